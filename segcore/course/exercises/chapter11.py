"""Exercises of chapter 11, "On the device": quantiles, camera bytes, a contract, a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore import shipped
from segcore.course.checks import Exercise, Wrong, array, recognise
from segcore.data.images import letterbox, signed
from segcore.export import tflite

Report = Callable[[Any, float], Any]
ToNetwork = Callable[[NDArray[np.uint8], str], Any]
SIZE = 257
REPEATS = 3  # measurements of each candidate, at least
NOBODY = "cannot tell"


def _times() -> list[float]:
    """Ten frames, unsorted, of which one takes exactly the budget of 33."""
    return [31.0, 24.0, 90.0, 26.0, 25.0, 33.0, 23.0, 28.0, 27.0, 70.0]


def _more_times() -> list[list[float]]:
    """Twelve and thirteen frames: ranks that are no whole numbers tell the percentiles apart."""
    twelve = [*_times(), 29.0, 30.0]
    return [twelve, [*twelve, 95.0]]


def _rank(times: Any, fraction: float) -> float:
    return float(np.percentile(times, 100 * fraction, method="inverted_cdf"))


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
        "that is the fraction of frames in time; the fraction of late ones is asked for.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), np.sum(np.asarray(t) > b)),
        "that counts the late frames; divide by how many frames there are.",
    ),
    (
        lambda t, b: (_rank(t, 0.5), _rank(t, 0.9), 100 * np.mean(np.asarray(t) > b)),
        "the fraction is asked for as a number from 0 to 1, not in per cent.",
    ),
)


def _judge_report(function: Report) -> str | None:
    """Runs the reader's function on 10, 12 and 13 frames; recognises the usual slips."""
    values = array(function(_times(), 33.0)).ravel()
    if values.shape != (3,):
        return f"three numbers are wanted, p50, p90 and a fraction; yours are {values.size}."
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


def _frame(order: str) -> NDArray[np.uint8]:
    """What a camera might hand over: (90, 160, 4) uint8, its bytes in this order, opaque."""
    rng = np.random.default_rng(10)
    smooth = np.cumsum(rng.normal(size=(90, 160, 3)), axis=1)
    photo = (128 + 100 * np.sin(smooth / 4 + np.arange(3))).astype(np.uint8)
    colors = photo if order == "RGBA" else photo[..., ::-1]
    return np.dstack([colors, np.full((90, 160), 255, np.uint8)])


def _input_of(rgb: NDArray[np.uint8]) -> NDArray:
    return signed(letterbox(np.ascontiguousarray(rgb), SIZE)[0])[None]


def to_network(frame: NDArray[np.uint8], order: str) -> NDArray:
    """The answer: the input (1, 257, 257, 3) float32 for a `frame` in `order`, "RGBA" or "BGRA"."""
    return _input_of(frame[..., [order.index(color) for color in "RGB"]])


def _squeezed(frame: NDArray[np.uint8], order: str) -> NDArray:
    rgb = frame[..., [order.index(color) for color in "RGB"]]
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return signed(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)))[None]


def _swapped(frame: NDArray[np.uint8], order: str) -> NDArray:
    return to_network(frame, "BGRA" if order == "RGBA" else "RGBA")


_INPUT_SLIPS: tuple[tuple[ToNetwork, str], ...] = (
    (
        lambda f, order: to_network(f, "RGBA"),
        "right for RGBA; where `order` is BGRA, red and blue have changed places.",
    ),
    (
        lambda f, order: to_network(f, "BGRA"),
        "right for BGRA, and it turns RGBA round as well: look at `order` first.",
    ),
    (_swapped, "the wrong one of the two is turned round: the network wants red first."),
    (
        lambda f, order: _input_of(f[..., 1:] if order == "RGBA" else f[..., :0:-1]),
        "a colour is gone and the opacity is left: the opacity comes last in both orders.",
    ),
    (
        lambda f, order: (to_network(f, order) + 1) / 2,
        "values run from 0 to 1; this network was trained on -1 to 1.",
    ),
    (
        lambda f, order: np.round((to_network(f, order) + 1) * 127.5),
        "those are still bytes; divide by 127.5 and take 1 away.",
    ),
    (lambda f, order: to_network(f, order) / 127.5, "too small: 127.5 has divided twice."),
    (_squeezed, "squeezed into the square: letterbox keeps the proportions and pads the rest."),
)
_ORDERS = ("RGBA", "BGRA")


def _judge_input(function: ToNetwork) -> str | None:
    """Runs the reader's function on a small frame in both orders; recognises the usual slips."""
    returned = [function(_frame(order), order) for order in _ORDERS]
    found = [array(answer) for answer in returned]
    wanted = to_network(_frame("RGBA"), "RGBA")
    for answer in found:
        if answer.shape == wanted.shape[1:]:
            return "one picture is a batch of one: a first axis of length 1 is missing, box[None]."
        if answer.shape != wanted.shape:
            return f"the shape is {answer.shape}; the network takes {wanted.shape}."
    off = max(float(np.abs(answer - wanted).max()) for answer in found)
    if off <= 1e-5:
        kind = np.asarray(returned[0]).dtype
        return None if kind == np.float32 else f"right values as {kind}; the file takes float32."

    def same(slip: ToNetwork) -> bool:
        pairs = zip(found, _ORDERS, strict=True)
        return all(np.allclose(a, slip(_frame(order), order), atol=1e-4) for a, order in pairs)

    known = recognise(_INPUT_SLIPS, same)
    return known or f"values differ by up to {off:.2f}; go through the steps anew."


def mystery() -> bytes:
    """The file for phones with its first kernel turned round: a .tflite with one secret."""
    file = tflite.File(shipped.PHONE.file)
    first = next(n for n, operator in enumerate(file.operators) if operator.kind == "CONV_2D")
    kernel = file.graph.tensors[file.graph.operators[first].inputs[1]]
    buffer = file.model.buffers[kernel.buffer]
    buffer.data = np.reshape(buffer.data, kernel.shape)[..., ::-1].ravel()
    return tflite.write(file.model)


_CONTRACT = ("BGR", "bytes", "letterbox")
_STEMS = {"letterboxed": "letterbox", "squeezed": "squeeze"}
_CONTRACT_SLIPS = (
    (("RGB", *_CONTRACT[1:]), "red first is what most files want; not this one: see `order`."),
    (("BGR", "-1 to 1", "letterbox"), "that is what its bytes mean; as uint8 it takes them plain."),
    ((*_CONTRACT[:2], "squeeze"), "see `geometry`: squeezed, it agrees with sharp on less."),
)


def _judge_contract(answer: object) -> str | None:
    """Three words in any order, as the chapter or `inspect` says them; a sentence for each slip."""
    said = [str(word).strip() for word in answer] if isinstance(answer, tuple | list) else []
    if len(said) != 3:
        return "three words are wanted, e.g. ('RGB', '0 to 1', 'squeeze')."
    words = tuple("bytes" if word.startswith("bytes") else _STEMS.get(word, word) for word in said)
    if sorted(words) == sorted(_CONTRACT):
        return None
    known = recognise(_CONTRACT_SLIPS, lambda slip: sorted(words) == sorted(slip))
    return (
        known or f"{tuple(said)} is not what inspect prints behind =>; read its last lines again."
    )


def conclude(readings: dict[str, Any]) -> str:
    """The answer: the name of the fastest where its slowest reading beats all others, else NOBODY.

    `readings` maps a candidate's name to its repeated measurements in milliseconds.
    """
    first, *others = sorted(readings, key=lambda name: float(np.median(readings[name])))
    fastest_other = min(np.min(readings[name]) for name in others)
    return first if np.max(readings[first]) < fastest_other else NOBODY


def _readings(answer: object) -> tuple[dict[str, NDArray], str]:
    """The two parts of an answer to the open experiment. Raises Wrong for anything else."""
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not isinstance(answer[0], dict):
        raise Wrong("two things are wanted: a dictionary of readings, and a conclusion.")
    held, conclusion = answer
    if not isinstance(conclusion, str):
        kind = type(conclusion).__name__
        raise Wrong(f"a conclusion is a name from the readings, or {NOBODY!r}; its type is {kind}.")
    if len(held) < 2:
        raise Wrong("a comparison needs readings of two candidates or more.")
    readings = {str(name): array(times).ravel() for name, times in held.items()}
    for name, times in readings.items():
        if len(times) < REPEATS:
            raise Wrong(f"{name}: {len(times)} is too few; measure {REPEATS} times or more.")
        if not (np.isfinite(times).all() and (times > 0).all()):
            raise Wrong(f"{name}: a time in milliseconds is a number above 0.")
        if np.ptp(times) == 0:
            raise Wrong(f"{name}: {len(times)} equal times; measure anew instead of copying one.")
    return readings, conclusion.strip()


def _judge_device(answer: object) -> str | None:
    """Holds the conclusion to the numbers that came out, whatever they are."""
    readings, said = _readings(answer)
    wanted = conclude(readings)
    if said == wanted:
        return None
    if said != NOBODY and said not in readings:
        return f"{said!r} is no candidate; say one of {', '.join(readings)}, or {NOBODY!r}."
    if wanted == NOBODY:
        return f"the readings of {said} and of another overlap; what may you say then?"
    if said == NOBODY:
        return f"every reading of one candidate lies below all others: {wanted}."
    return f"{said} is not the fastest: its median lies above that of {wanted}."


EXERCISES = {
    "report": Exercise(
        judge=_judge_report,
        function="",
        unanswered="your function returns ...; put p50, p90 and the fraction of late frames there.",
        praise="half took 27 or less, nine of ten took 70 or less, and two were late.",
        right=(_right_report, lambda t, b: np.array(_right_report(t, b))),
        wrong=(
            (lambda t, b: _rank(t, 0.5), "yours are 1"),
            *_REPORT_SLIPS,
            (lambda t, b: (1, 2, 0.5), "yours is (1.0, 2.0, 0.5)"),
            (lambda t, b: _by(t, b, "lower"), "yours is (28.0, 33.0,"),
            (lambda t, b: _by(t, b, "nearest"), "yours is (29.0, 70.0,"),
            (lambda t, b: _by(t, b, "closest_observation"), "for [31.0, 24.0, 90.0, 26.0, 25.0"),
        ),
    ),
    "input": Exercise(
        judge=_judge_input,
        function="",
        unanswered="your function returns ...; put the network's input there.",
        praise="red first, opacity gone, letterboxed, -1 to 1, a batch of one, float32.",
        right=(to_network, lambda f, order: to_network(f, order).copy()),
        wrong=(
            (lambda f, order: to_network(f, order)[0], "a batch of one"),
            (lambda f, order: to_network(f, order).transpose(0, 3, 1, 2), "shape is (1, 3, 257"),
            (lambda f, order: to_network(f, order).astype(float), "as float64"),
            *_INPUT_SLIPS,
            (lambda f, order: 0 * to_network(f, order), "go through the steps"),
        ),
    ),
    "contract": Exercise(
        judge=_judge_contract,
        praise="blue first, plain bytes, letterboxed: and nothing in the file says so.",
        right=(
            _CONTRACT,
            list(_CONTRACT),
            ("BGR", "bytes as they are (-1 to 1)", "letterboxed"),
            ("bytes as they are", "BGR", "letterbox"),
        ),
        wrong=(
            ("BGR", "three words"),
            *_CONTRACT_SLIPS,
            (("RGB", "0 to 1", "squeeze"), "is not what inspect prints"),
        ),
    ),
    "device": Exercise(
        judge=_judge_device,
        praise="the readings carry that conclusion. Note the device beside them.",
        right=(
            ({"1 thread": [20, 22, 21], "2 threads": [12, 13, 12.5]}, "2 threads"),
            [{"int8": (20.0, 26, 21), "float16": np.array([25.0, 30, 29])}, " cannot tell "],
        ),
        wrong=(
            ({"1": [20, 22, 21], "2": [12, 13, 12]}, "two things"),
            (({"1": [20, 22, 21]}, "1"), "two candidates"),
            (({"1": [20, 22, 21], "2": [12, 13, 12]}, 2), "its type is int"),
            (({"1": [20, 22, 21], "2": [12, 13]}, "2"), "2: 2 is too few"),
            (({"1": [20, 22, 21], "2": [12, 13, 0]}, "2"), "above 0"),
            (({"1": [20, 22, 21], "2": [12, 12, 12]}, "2"), "3 equal times"),
            (({"1": [20, 22, 21], "2": [12, 13, 12]}, "3"), "is no candidate"),
            (({"1": [20, 22, 21], "2": [12, 13, 12]}, "1"), "not the fastest"),
            (({"1": [20, 22, 21], "2": [12, 13, 12]}, NOBODY), "below all others: 2"),
            (({"1": [20, 26, 21], "2": [25, 30, 29]}, "1"), "overlap"),
        ),
    ),
}
