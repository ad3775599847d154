"""Losses against the same sums written out in NumPy."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.training import losses


@pytest.fixture
def labels_and_logits():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 255], (2, 5, 4)).astype(np.uint8)
    return labels, rng.normal(size=(2, 5, 4, 3)).astype(np.float32)


def probabilities(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


def test_cross_entropy_is_the_mean_over_labelled_pixels(labels_and_logits):
    labels, logits = labels_and_logits
    known = labels != 255
    wanted = -np.log(probabilities(logits)[known, labels[known]]).mean()
    assert float(losses.cross_entropy(labels, logits)) == pytest.approx(wanted, rel=1e-5)
    assert float(losses.cross_entropy(np.full_like(labels, 255), logits)) == 0
    kerass = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    assert float(kerass(labels, logits)) == pytest.approx(wanted, rel=1e-5)


def test_void_pixels_change_no_loss(labels_and_logits):
    labels, logits = labels_and_logits
    other = np.where((labels == 255)[..., None], 100 * logits, logits)
    for loss in (losses.cross_entropy, losses.dice, losses.CrossEntropyAndDice()):
        assert float(loss(labels, other)) == pytest.approx(float(loss(labels, logits)), rel=1e-6)


def test_dice_by_hand(labels_and_logits):
    labels, logits = labels_and_logits
    labels = np.where(labels == 2, 1, labels)  # class 2 is guessed, but labelled nowhere
    guess, overlaps = probabilities(logits), []
    for label in range(2):
        truth, mine = labels == label, guess[..., label] * (labels != 255)
        overlaps.append(2 * mine[truth].sum() / (truth.sum() + mine.sum()))
    assert float(losses.dice(labels, logits)) == pytest.approx(1 - np.mean(overlaps), rel=1e-5)


def test_distillation_is_zero_for_the_teacher_and_the_divergence_otherwise(labels_and_logits):
    labels, logits = labels_and_logits
    teacher, known = probabilities(logits[::-1]), labels != 255
    assert float(losses.distillation(probabilities(logits), logits)) < 1e-6
    pixels = (teacher * np.log(teacher / probabilities(logits))).sum(-1)
    masked = np.where(known[..., None], teacher, 0)
    got = float(losses.distillation(masked, logits))
    assert got == pytest.approx(pixels[known].mean(), rel=1e-4)
    loss = losses.Distillation()
    assert float(loss(masked, logits)) == pytest.approx(got, rel=1e-6)
    wanted = float(losses.cross_entropy(labels, logits))
    assert float(loss(labels, logits)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("loss", [losses.CrossEntropyAndDice(0.25), losses.Distillation("kl")])
def test_losses_survive_their_configuration(loss):
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is type(loss) and copy.get_config() == loss.get_config()


def test_the_runs_loss_is_cross_entropy_plus_a_part_of_dice(labels_and_logits):
    ce, dice = (float(loss(*labels_and_logits)) for loss in (losses.cross_entropy, losses.dice))
    for weight in (0.0, 0.5):
        found = float(losses.CrossEntropyAndDice(weight)(*labels_and_logits))
        assert found == pytest.approx(ce + weight * dice, rel=1e-6)


def test_replicas_parts_add_up_to_the_whole(monkeypatch, labels_and_logits):
    labels, logits = labels_and_logits
    labels[0, 1:] = 255  # one part has far more void
    for loss in (losses.cross_entropy, losses.dice):
        whole, seen = float(loss(labels, logits)), []  # what each replica sends, in its order
        monkeypatch.setattr(losses, "across", lambda x, seen=seen: seen.append(np.array(x)) or x)
        halves = [(labels[:1], logits[:1]), (labels[1:], logits[1:])]
        for half in halves:
            loss(*half)
        count = len(seen) // 2
        sums, parts = [a + b for a, b in zip(seen[:count], seen[count:], strict=True)], []
        for half in halves:
            answers = iter(sums)
            monkeypatch.setattr(losses, "across", lambda x, answers=answers: next(answers))
            parts.append(float(loss(*half)))
        monkeypatch.undo()
        assert sum(parts) == pytest.approx(whole, rel=1e-5)
