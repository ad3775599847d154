"""Exercises of chapter 2, "The VOC labels": a loss without void, and a swap that stays silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, array, recognise
from segcore.data import voc

Loss = Callable[[NDArray, NDArray], Any]
WANTED = "a set of class ids, such as {8, 15},"


def _case() -> tuple[NDArray, NDArray]:
    """Probabilities (6, 7, 21) and labels (6, 7) uint8 of which ten are void."""
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 0, 6, 13, 20], (6, 7)).astype(np.uint8)
    labels.reshape(-1)[rng.choice(labels.size, 10, replace=False)] = voc.VOID
    return rng.dirichlet(np.ones(voc.NUM_CLASSES), (6, 7)), labels


def _costs(probabilities: NDArray, labels: NDArray) -> NDArray:
    """-log of the probability of each pixel's label, (H, W); `labels` holds classes only."""
    picked = np.take_along_axis(probabilities, labels[..., None].astype(int), axis=-1)
    return -np.log(picked[..., 0])


def _costs_without_void(probabilities: NDArray, labels: NDArray) -> NDArray:
    keep = labels != voc.VOID
    return _costs(probabilities[keep], labels[keep])


def _right_loss(probabilities: NDArray, labels: NDArray) -> float:
    return float(_costs_without_void(probabilities, labels).mean())


def _void_as(label: int) -> Loss:
    return lambda p, y: _costs(p, np.where(y == voc.VOID, label, y)).mean()


_SLIPS: tuple[tuple[Loss, str], ...] = (
    (
        _void_as(0),
        "void counts as background here: drop those pixels, do not rename them.",
    ),
    (
        _void_as(20),
        "void counts as class 20, tvmonitor: clipping 255 invents a class. Drop those pixels.",
    ),
    (
        lambda p, y: _costs_without_void(p, y).sum() / y.size,
        "the sum is right, but you divide by all pixels: divide by those that have a label.",
    ),
    (
        lambda p, y: _costs_without_void(p, y).sum(),
        "that is the sum over the labelled pixels; their mean is wanted.",
    ),
    (
        lambda p, y: -_right_loss(p, y),
        "right but for the sign: a loss is positive, and small when the network is right.",
    ),
    (
        lambda p, y: np.exp(-_costs_without_void(p, y)).mean(),
        "that is the mean probability of the right class; take -log of each before the mean.",
    ),
    (
        lambda p, y: -np.log(p[y != voc.VOID]).mean(),
        "that averages over all 21 classes; only the label's own probability counts.",
    ),
)


def _judge_loss(function: Loss) -> str | None:
    """Runs the reader's `function` on a small case; recognises the usual slips."""
    probabilities, labels = _case()
    value = array(function(probabilities.copy(), labels.copy()))
    if value.shape != ():
        return f"one number for the whole photo is wanted, yours has shape {value.shape}."
    wanted = _right_loss(probabilities, labels)
    if np.isclose(value, wanted):
        return None
    slip = recognise(_SLIPS, lambda slip: np.isclose(value, slip(probabilities, labels)))
    return slip or f"on a small case the loss is {wanted:.4f}, yours is {float(value):.4f}."


def _swapped() -> dict[int, int | None]:
    """What each class id becomes when red and blue change places; None for an unknown colour."""
    ids = {tuple(color): label for label, color in enumerate(voc.COLORS.tolist())}
    return {label: ids.get(color[::-1]) for color, label in ids.items()}


def _judge_swap(answer: object) -> str | None:
    """Names the first id that does not belong, else says that some are missing."""
    values = array(sorted(answer) if isinstance(answer, set) else answer, WANTED)
    if values.ndim != 1 or (values != np.round(values)).any():
        return f"{WANTED} is wanted."
    becomes, given = _swapped(), {int(i) for i in values}
    for label in sorted(given):
        if label not in becomes:
            return f"{label} is no class id; they run from 0 to 20."
        name = voc.CLASSES[label]
        if becomes[label] == label:
            return f"{name} ({label}) has as much red as blue: the swap leaves it what it was."
        if becomes[label] is None:
            color = tuple(voc.COLORS[label, ::-1].tolist())
            return f"{name} ({label}) becomes {color}, no class's colour: voc.decode refuses it."
    missing = len({i for i, j in becomes.items() if j not in (None, i)} - given)
    if not missing:
        return None
    part = "all of these do, but more do" if given else "there are some"
    return f"{part}: {missing} ids are missing. The swap exchanges bit 0 with 2, and 3 with 5."


EXERCISES = {
    "loss": Exercise(
        judge=_judge_loss,
        function="",
        unanswered=(
            "your function returns ...; put the mean of -log(probability of the label) there."
        ),
        raises=(
            (
                IndexError,
                "255 is no column of the probabilities: drop void before you look anything up.",
            ),
        ),
        praise="void neither costs nor earns anything.",
        right=(_right_loss, lambda p, y: np.float32(_right_loss(p, y))),
        wrong=(
            (3.2, "without brackets"),
            (lambda p, y: ..., "returns ..."),
            (lambda p, y: _costs(p, y).mean(), "no column"),
            (lambda p, y: _costs_without_void(p, y), "shape (32,)"),
            *((slip, sentence[:40]) for slip, sentence in _SLIPS),
            (lambda p, y: 0.0, "yours is 0.0000"),
        ),
    ),
    "swap": Exercise(
        judge=_judge_swap,
        praise="three pairs trade places without a sound; it is the rim that gives them away.",
        right=({1, 3, 4, 6, 17, 20}, [20, 17, 6, 4, 3, 1], np.array([1, 3, 4, 6, 17, 20])),
        wrong=(
            ({"bus", "bird"}, "a set of class ids"),
            ({1, 21}, "no class id"),
            ({0, 1, 4}, "leaves it what it was"),
            ({1, 4, 8}, "(0, 0, 64), no class"),
            ({1, 3, 4, 6}, "2 ids are missing"),
            (set(), "there are some"),
        ),
    ),
}
