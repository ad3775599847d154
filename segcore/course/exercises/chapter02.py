"""Exercises of chapter 2, "The VOC labels": a loss without void, a swap, five bugs, resizing.

`damaged_masks` makes the five masks of the third; reading on gives the bugs away.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore.course.checks import Exercise, Wrong, array, number, recognise
from segcore.data import toy, voc

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


def damaged_masks() -> dict[str, NDArray[np.uint8]]:
    """Five masks (H, W) of ToyVOC's scene 200, by letter, each read with another bug."""
    mask = toy.scene(200)[1]
    colors, file = voc.encode(mask), io.BytesIO()
    Image.fromarray(colors).save(file, "JPEG")
    resized = Image.fromarray(mask).resize((257, 257), Image.Resampling.BILINEAR)
    return {
        "A": np.minimum(mask, 20),
        "B": _without_checks(np.asarray(Image.open(file))),
        "C": np.asarray(resized),
        "D": _without_checks(colors[..., ::-1]),
        "E": _without_checks(colors),
    }


BUGS = {"A": "clipped", "B": "jpeg", "C": "resized", "D": "bgr", "E": "void"}
_TRACES = {
    "clipped": "255 clipped to the last class leaves thin outlines of class 20 around everything",
    "jpeg": "JPEG changes every colour a little, so a table of zeros finds almost no object",
    "resized": "smooth resizing invents values between the ids, most of them no class at all",
    "bgr": "red and blue exchanged keep the shapes and change the classes",
    "void": "void that became background leaves all classes right and no 255 anywhere",
}


def _without_checks(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ids (H, W) of `colors` (H, W, 3), unknown ones and void as background: a table of zeros."""
    ids = np.zeros(colors.shape[:2], np.uint8)
    for label, color in enumerate(voc.COLORS):
        ids[(colors == color).all(-1)] = label
    return ids


def _judge_bugs(answer: object) -> str | None:
    """A bug for each letter; of the wrong ones, the first is explained by its trace."""
    if not isinstance(answer, Mapping) or set(answer) != set(BUGS):
        return "a dictionary with a bug for each of A, B, C, D and E is wanted."
    for letter, bug in answer.items():
        if not isinstance(bug, str) or bug not in _TRACES:
            return f"for {letter} one of these words is wanted: {', '.join(sorted(_TRACES))}."
    wrong = [letter for letter in BUGS if answer[letter] != BUGS[letter]]
    if not wrong:
        return None
    return f"not {wrong[0]}: {_TRACES[answer[wrong[0]]]}. {5 - len(wrong)} of 5 are right."


SCENES, NATIVE = 40, 128


@functools.cache
def invented(side: int) -> float:
    """Fraction of values that 40 ToyVOC masks lacked, resized bilinearly to `side` pixels."""
    found = []
    for mask in toy.scenes(SCENES)[1]:
        resized = Image.fromarray(mask).resize((side, side), Image.Resampling.BILINEAR)
        found.append(1 - np.isin(np.asarray(resized), np.unique(mask)).mean())
    return float(np.mean(found))


def _judge_experiment(answer: object) -> str | None:
    """({side: fraction}, "falls" or "levels off"): right numbers on both sides of 128 pixels."""
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        return "a pair is wanted: (measured, conclusion)."
    measured, conclusion = answer
    if any(part is None or part is ... for part in answer):
        return "fill in both measured and conclusion, and run the cell again."
    sides = _measured(measured)
    if not isinstance(conclusion, str) or conclusion not in ("falls", "levels off"):
        return 'conclude "falls" or "levels off", in these words.'
    if sum(side <= NATIVE for side in sides) < 2 or sum(side >= 2 * NATIVE for side in sides) < 2:
        return "the masks have 128 pixels: measure two sides up to 128, and two of 256 or more."
    if conclusion == "falls":
        large = sorted(side for side in sides if side >= 2 * NATIVE)
        first, last = (100 * invented(side) for side in (large[0], large[-1]))
        return (
            f"your numbers say otherwise: {first:.1f} % at {large[0]} pixels, and still "
            f"{last:.1f} % at {large[-1]}."
        )
    return None


def _measured(measured: object) -> list[int]:
    """The sides that the reader measured; Wrong where a fraction is not that of `invented`."""
    if not isinstance(measured, Mapping) or len(measured) < 4:
        raise Wrong("measured is wanted as a dictionary of four sides or more.")
    for side, value in measured.items():
        if side not in range(8, 1025):
            raise Wrong(f"{side!r} is no side from 8 to 1024 pixels.")
        fraction, wanted = number(value, "one fraction for each side"), invented(int(side))
        if abs(fraction - 100 * wanted) < 0.3 and fraction > 1:
            raise Wrong(f"the value for {side} is in percent; invented returns fractions.")
        if abs(fraction - wanted) > 0.003:
            raise Wrong(f"for side {side} invented returns {wanted:.3f}, not {fraction:.3f}.")
    return [int(side) for side in measured]


_FOUND = {33: 0.245, 65: 0.150, 129: 0.068, 257: 0.068, 513: 0.068}

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
            (lambda p, y: _costs(p, y).mean(), "no column"),
            (lambda p, y: _costs_without_void(p, y), "shape (32,)"),
            *_SLIPS,
            (lambda p, y: 0.0, "yours is 0.0000"),
        ),
    ),
    "swap": Exercise(
        judge=_judge_swap,
        praise="three pairs trade places without a sound; it is void that gives them away.",
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
    "bugs": Exercise(
        judge=_judge_bugs,
        praise="each bug has left its trace in the values alone; np.unique tells most of them.",
        right=(BUGS, dict(reversed(BUGS.items()))),
        wrong=(
            ({"A": "void"}, "for each of A, B, C, D and E"),
            ({**BUGS, "C": "smooth"}, "for C one of these words"),
            ({**BUGS, "A": "void", "E": "clipped"}, "not A: void that became background"),
            ({**BUGS, "D": "jpeg", "B": "bgr"}, "not B: red and blue"),
            (dict.fromkeys(BUGS, "resized"), "1 of 5 are right"),
        ),
    ),
    "experiment": Exercise(
        judge=_judge_experiment,
        praise="invented values are a ring around each object, a pixel or two of the smaller of "
        "the two images; above the mask's own size the ring grows with the image.",
        right=(
            (_FOUND, "levels off"),
            [{32: 0.2534, 64: 0.1529, 256: np.float64(0.0687), 300: 0.0684}, "levels off"],
        ),
        wrong=(
            (_FOUND, "a pair is wanted"),
            ((_FOUND, ...), "fill in both"),
            (({257: 0.068}, "falls"), "four sides or more"),
            ((_FOUND, "rises"), "in these words"),
            ((_FOUND, "falls"), "your numbers say otherwise"),
            (({33: 0.245, 65: 0.150, 129: 0.068, 257: 0.068}, "falls"), "the masks have 128"),
            (({side: 100 * part for side, part in _FOUND.items()}, "falls"), "in percent"),
            (({**_FOUND, 33: 0.1}, "falls"), "not 0.100"),
            (({**_FOUND, 2: 0.1}, "falls"), "no side from 8"),
        ),
    ),
}
