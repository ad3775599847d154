"""Losses against the same sums written out in NumPy."""

import numpy as np
import pytest

from segcore.training import losses


def logits_and_labels():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 5, 4, 3)).astype(np.float32), rng.choice([0, 1, 2, 255], (2, 5, 4))


def probabilities(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits, labels = logits_and_labels()
    known = labels != 255
    wanted = -np.log(probabilities(logits)[known, labels[known]]).mean()
    assert float(losses.cross_entropy(logits, labels)) == pytest.approx(wanted, rel=1e-5)
    assert float(losses.cross_entropy(logits, np.full_like(labels, 255))) == 0


def test_void_pixels_change_no_loss():
    logits, labels = logits_and_labels()
    other = np.where((labels == 255)[..., None], 100 * logits, logits)
    for loss in (losses.cross_entropy, losses.dice):
        assert float(loss(other, labels)) == pytest.approx(float(loss(logits, labels)), rel=1e-6)


def test_dice_by_hand():
    logits, labels = logits_and_labels()
    guess, overlaps = probabilities(logits), []
    for label in range(3):
        truth, mine = labels == label, guess[..., label] * (labels != 255)
        overlaps.append(2 * mine[truth].sum() / (truth.sum() + mine.sum()))
    assert float(losses.dice(logits, labels)) == pytest.approx(1 - np.mean(overlaps), rel=1e-5)


def test_distillation_is_zero_for_the_teacher_itself_and_the_divergence_otherwise():
    logits, labels = logits_and_labels()
    teacher, known = probabilities(logits[::-1]), labels != 255
    assert float(losses.distillation(logits, probabilities(logits), known)) < 1e-6
    pixels = (teacher * np.log(teacher / probabilities(logits))).sum(-1)
    got = float(losses.distillation(logits, teacher, known))
    assert got == pytest.approx(pixels[known].mean(), rel=1e-4)


def test_sums_over_devices_are_plain_sums_on_one():
    values = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(losses.across(values), values)


def test_a_loss_that_is_shared_by_devices_adds_up(monkeypatch):
    logits, labels = logits_and_labels()
    whole = {loss: float(loss(logits, labels)) for loss in (losses.cross_entropy, losses.dice)}
    halves = [(logits[:1], labels[:1]), (logits[1:], labels[1:])]
    for loss, wanted in whole.items():
        seen = []  # what each device would send, in the order in which it sends
        monkeypatch.setattr(losses, "across", lambda x, seen=seen: seen.append(np.array(x)) or x)
        for half in halves:
            loss(*half)
        count = len(seen) // 2
        sums = [one + other for one, other in zip(seen[:count], seen[count:], strict=True)]
        shares = []
        for half in halves:
            answers = iter(sums)
            monkeypatch.setattr(losses, "across", lambda x, answers=answers: next(answers))
            shares.append(float(loss(*half)))
        assert sum(shares) == pytest.approx(wanted, rel=1e-5)


def test_the_runs_loss_is_cross_entropy_plus_half_of_dice():
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(2, 6, 6, 4)), rng.integers(0, 4, (2, 6, 6))
    total, parts = losses.cross_entropy_and_dice(logits, labels)
    ce, dice = float(losses.cross_entropy(logits, labels)), float(losses.dice(logits, labels))
    assert float(total) == pytest.approx(ce + dice / 2, rel=1e-6)
    assert {key: float(value) for key, value in parts.items()} == {"ce": ce, "dice": dice}


def test_on_views_is_that_loss_of_what_is_cut(monkeypatch):
    rng = np.random.default_rng(6)
    shown, labels = rng.normal(size=(2, 6, 6, 3)), rng.integers(0, 4, (2, 6, 6))
    asked = []
    monkeypatch.setattr(
        losses.augment, "cut", lambda batch, size: asked.append((batch, size)) or (shown, labels)
    )
    kernel = rng.normal(size=(3, 4))
    total, parts = losses.on_views(6)(lambda images: images @ kernel, "a batch")
    wanted, others = losses.cross_entropy_and_dice(shown @ kernel, labels)
    assert asked == [("a batch", 6)]
    assert float(total) == float(wanted) and set(parts) == set(others)
