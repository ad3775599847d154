"""Exercises of chapter 11, "On the device": quantiles, what a faster network buys, camera bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore.course.checks import Exercise, array, number, recognise, side
from segcore.data.images import letterbox

Report = Callable[[Any, float], Any]
SIZE = 257
STEPS = {"preprocess": 12, "network": 60, "mask": 28}  # milliseconds; chapter 11 shows them
FASTER = 3


def _times() -> list[float]:
    """Ten frames, unsorted, of which one takes exactly the budget of 33."""
    return [31.0, 24.0, 90.0, 26.0, 25.0, 33.0, 23.0, 28.0, 27.0, 70.0]


def _more_times() -> list[list[float]]:
    """Twelve and thirteen frames: ranks that are no whole numbers tell the percentiles apart."""
    twelve = [*_times(), 29.0, 30.0]
    return [twelve, [*twelve, 95.0]]


def _rank(times: Any, share: float) -> float:
    return float(np.percentile(times, 100 * share, method="inverted_cdf"))


def _by(times: Any, budget: float, method: Any) -> tuple[float, float, float]:
    """A report by another of NumPy's percentiles; some agree with ours on ten frames."""
    low, high = np.percentile(times, [50, 90], method=method)
    return float(low), float(high), float(np.mean(np.asarray(times) > budget))


def _right_report(times: Any, budget: float) -> tuple[float, float, float]:
    return _rank(times, 0.5), _rank(times, 0.9), float(np.mean(np.asarray(times) > budget))


_REPORT_SLIPS: tuple[tuple[Report, str], ...] = (
    (
        lambda t, b: (np.mean(t), _rank(t, 0.9), np.mean(np.asarray(t) > b)),
        "the first is the mean; p50 is the time that half of the frames do not exceed.",
    ),
    (
        lambda t, b: (np.percentile(t, 50), np.percentile(t, 90), np.mean(np.asarray(t) > b)),
        "NumPy's default puts a time between two that were measured; name a method that does not, "
        'method="inverted_cdf".',
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.1), np.mean(np.asarray(t) > b)),
        "that is the fastest tenth; p90 is the time that nine of ten frames do not exceed.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), np.max(t), np.mean(np.asarray(t) > b)),
        "the second is the slowest frame of all; p90 leaves the slowest tenth out.",
    ),
    (
        lambda t, b: (t[len(t) // 2], t[9 * len(t) // 10], np.mean(np.asarray(t) > b)),
        "you took the times as they came; sort them first.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), np.mean(np.asarray(t) >= b)),
        "a frame that takes just the budget is in time; count only the longer ones.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), np.mean(np.asarray(t) <= b)),
        "that is the share of frames in time; the share of late ones is asked for.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), np.sum(np.asarray(t) > b)),
        "that counts the late frames; their share of all frames is asked for, 0 to 1.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), 100 * np.mean(np.asarray(t) > b)),
        "the share is asked for as a number from 0 to 1, not in percent.",
    ),
)


def _judge_report(function: Report) -> str | None:
    """Runs the reader's function on 10, 12 and 13 frames; recognises the usual slips."""
    values = array(function(_times(), 33.0)).ravel()
    if values.shape != (3,):
        return f"three numbers are wanted, p50, p90 and a share; yours are {values.size}."
    if np.allclose(values, _right_report(_times(), 33.0)):
        return _judge_more(function)
    wanted = _right_report(_times(), 33.0)
    return recognise(_REPORT_SLIPS, lambda slip: np.allclose(values, slip(_times(), 33.0))) or (
        f"for {_times()} and a budget of 33 it is {wanted}; yours is {tuple(values.tolist())}."
    )


def _judge_more(function: Report) -> str | None:
    """Where a rank is no whole number: None, or what a function right for ten frames missed."""
    for times in _more_times():
        wanted = _right_report(times, 33.0)
        values = array(function(times, 33.0)).ravel()
        if values.shape != (3,) or not np.allclose(values, wanted):
            found = tuple(np.round(values, 2).tolist())
            return (
                f"right for ten frames; for {times} it is {tuple(np.round(wanted, 2).tolist())}, "
                f"yours is {found}. A rank that is no whole number is rounded up."
            )
    return None


def _speedup() -> float:
    """A whole frame's time before, divided by its time after: Amdahl's law."""
    rest = sum(STEPS.values()) - STEPS["network"]
    return sum(STEPS.values()) / (rest + STEPS["network"] / FASTER)


_SPEEDUP_SLIPS = (
    (FASTER, "only the network got faster; preprocessing and mask take as long as before."),
    (1 / _speedup(), "turned round: divide the time before by the time after."),
    (
        sum(STEPS.values()) - STEPS["network"] + STEPS["network"] / FASTER,
        "those are the milliseconds of the new frame; how many times does it fit into the old one?",
    ),
    (
        sum(STEPS.values()) / (sum(STEPS.values()) - STEPS["network"]),
        "that is what a network for nothing would buy; ours still takes a third of its time.",
    ),
)


def _judge_speedup(answer: object) -> str | None:
    """1.67, with a sentence for each slip that gives another number."""
    value = number(answer)
    if abs(value - _speedup()) <= 0.04:
        return None
    slip = recognise(_SPEEDUP_SLIPS, lambda slip: abs(value - slip) < 0.005)
    return slip or f"{side(value, _speedup())} Add up a frame before and after, and divide."


def _frame() -> NDArray[np.uint8]:
    """What a camera might hand over: (90, 160, 4) uint8, blue first, the last channel opaque."""
    rng = np.random.default_rng(10)
    smooth = np.cumsum(rng.normal(size=(90, 160, 3)), axis=1)
    photo = (128 + 100 * np.sin(smooth / 4 + np.arange(3))).astype(np.uint8)
    return np.dstack([photo, np.full((90, 160), 255, np.uint8)])


def _signed(box: NDArray) -> NDArray:
    return (box[None] / 127.5 - 1).astype(np.float32)


def _right_input(frame: NDArray[np.uint8]) -> NDArray:
    return _signed(letterbox(np.ascontiguousarray(frame[..., 2::-1]), SIZE)[0])


def _squeezed(frame: NDArray[np.uint8]) -> NDArray:
    image = Image.fromarray(np.ascontiguousarray(frame[..., 2::-1]))
    return _signed(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)))


_INPUT_SLIPS: tuple[tuple[Callable[[NDArray], NDArray], str], ...] = (
    (
        lambda f: _signed(letterbox(np.ascontiguousarray(f[..., :3]), SIZE)[0]),
        "blue and red have changed places: the camera puts blue first, the network wants red.",
    ),
    (
        lambda f: _signed(letterbox(np.ascontiguousarray(f[..., :0:-1]), SIZE)[0]),
        "that drops blue and keeps the opacity: leave out the last channel, then turn the order.",
    ),
    (
        lambda f: (_right_input(f) + 1) / 2,
        "values run from 0 to 1; this network was trained on -1 to 1.",
    ),
    (
        lambda f: np.round((_right_input(f) + 1) * 127.5),
        "those are still bytes; divide by 127.5 and take 1 away.",
    ),
    (
        lambda f: _right_input(f) / 127.5,
        "too small: 127.5 has divided twice.",
    ),
    (
        _squeezed,
        "squeezed into the square: letterbox keeps the proportions and pads the rest.",
    ),
)


def _judge_input(function: Callable[[NDArray], Any]) -> str | None:
    """Runs the reader's function on a small frame; recognises the usual slips."""
    answer, wanted = function(_frame()), _right_input(_frame())
    found = array(answer)
    if found.shape == wanted.shape[1:]:
        return "one picture is a batch of one: a first axis of length 1 is missing, box[None]."
    if found.shape != wanted.shape:
        return f"the shape is {found.shape}; the network takes {wanted.shape}."
    if np.allclose(found, wanted, atol=1e-5):
        kind = np.asarray(answer).dtype
        return None if kind == np.float32 else f"right values as {kind}; the file takes float32."
    slip = recognise(_INPUT_SLIPS, lambda slip: np.allclose(found, slip(_frame()), atol=1e-4))
    off = np.abs(found - wanted).max()
    return slip or f"values differ by up to {off:.2f}; go through the steps anew."


EXERCISES = {
    "report": Exercise(
        judge=_judge_report,
        function="",
        unanswered="your function returns ...; put p50, p90 and the share of late frames there.",
        praise="half took 27 or less, nine of ten took 70 or less, and two were late.",
        right=(_right_report, lambda t, b: np.array(_right_report(t, b))),
        wrong=(
            (27.0, "without brackets"),
            (lambda t, b: ..., "returns ..."),
            (lambda t, b: _rank(t, 0.5), "yours are 1"),
            *((slip, sentence[:40]) for slip, sentence in _REPORT_SLIPS),
            (lambda t, b: (1, 2, 0.5), "yours is (1.0, 2.0, 0.5)"),
            (lambda t, b: _by(t, b, "lower"), "yours is (28.0, 33.0,"),
            (lambda t, b: _by(t, b, "nearest"), "yours is (29.0, 70.0,"),
            (lambda t, b: _by(t, b, "closest_observation"), "for [31.0, 24.0, 90.0, 26.0, 25.0"),
        ),
    ),
    "speedup": Exercise(
        judge=_judge_speedup,
        praise="from 100 to 60 ms. Even a network for nothing would leave 40: Amdahl's law.",
        right=(100 / 60, 1.67, np.float64(5 / 3)),
        wrong=(
            ("1.67", "single number"),
            *((value, sentence[:30]) for value, sentence in _SPEEDUP_SLIPS),
            (2.2, "too large. Add up"),
            (1.2, "too small. Add up"),
        ),
    ),
    "input": Exercise(
        judge=_judge_input,
        function="",
        unanswered="your function returns ...; put the network's input there.",
        praise="red first, opacity gone, letterboxed, -1 to 1, a batch of one, float32.",
        right=(_right_input, lambda f: _right_input(f).copy()),
        wrong=(
            (np.zeros(3), "without brackets"),
            (lambda f: ..., "returns ..."),
            (lambda f: _right_input(f)[0], "a batch of one"),
            (lambda f: _right_input(f).transpose(0, 3, 1, 2), "the shape is (1, 3, 257, 257)"),
            (lambda f: _right_input(f).astype(float), "as float64"),
            *((slip, sentence[:30]) for slip, sentence in _INPUT_SLIPS),
            (lambda f: 0 * _right_input(f), "go through the steps"),
        ),
    ),
}
