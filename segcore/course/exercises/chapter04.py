"""Exercises of chapter 4, "Inverted residuals": a leaky ReLU, parameters, a block, a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Wrong, number, recognise
from segcore.course.judges import Experiment, Function

Count = Callable[[int, int, int], Any]

# (channels in, channels out, expansion) of three blocks of MobileNetV2: 14, 16 and the first one.
CASES = ((160, 160, 6), (160, 320, 6), (32, 16, 1))
CHANNELS = 16  # of the small input on which a reader's block is tried


def _count(
    before: int, after: int, expansion: int, norm: int = 4, kernel: int = 9, bias: int = 0
) -> int:
    """Parameters of an inverted residual; other values than the defaults make it a slip."""
    wide = before * expansion
    first = before * wide + (norm + bias) * wide if expansion > 1 else 0
    return first + (kernel + norm + bias) * wide + wide * after + (norm + bias) * after


_COUNT_SLIPS: tuple[tuple[Count, str], ...] = (
    (
        lambda b, a, t: _count(b, a, t, norm=0),
        "the kernels are right; each of the three batch norms keeps 4 numbers a channel as well.",
    ),
    (
        lambda b, a, t: _count(b, a, t, norm=2),
        "batch norm keeps 4 numbers a channel: two are learned, mean and variance are measured.",
    ),
    (
        lambda b, a, t: _count(b, a, t, bias=1),
        "right but for the biases: in front of a batch norm a convolution has none.",
    ),
    (
        lambda b, a, t: _count(b, a, t, kernel=9 * b * t),
        "a depthwise kernel has 3×3 numbers for each channel, and does not mix channels.",
    ),
    (
        lambda b, a, t: _count(b, a, t, kernel=1),
        "the depthwise kernel is 3×3: nine numbers for each expanded channel.",
    ),
    (
        lambda b, a, t: _count(b, a, t) - 4 * a,
        "the projection has no activation, but it does have a batch norm.",
    ),
)


def _judge_parameters(function: Count) -> str | None:
    """Runs the reader's `function` on three blocks; recognises seven slips."""
    answers = [number(function(*case), "one number for each block") for case in CASES]
    wrong = [i for i, case in enumerate(CASES) if answers[i] != _count(*case)]
    if not wrong:
        return None
    slip = recognise(_COUNT_SLIPS, lambda slip: answers[0] == slip(*CASES[0]))
    if slip and wrong[0] == 0:
        return slip
    case, answer = CASES[wrong[0]], answers[wrong[0]]
    if case[2] == 1:
        return "right for t = 6; with t = 1 nothing is expanded, so the first 1×1 is gone."
    shown = "before {}, after {}, expansion {}".format(*case)
    return f"for {shown} the block has {_count(*case):,}; you say {answer:,.0f}."


def _judge_block(function: Callable[[Any], Any]) -> str | None:
    """Builds the reader's block on a small input and looks at its layers, then at its numbers."""
    from segcore._keras import keras

    x = keras.Input((8, 8, CHANNELS))
    y = function(x)
    if not isinstance(y, keras.KerasTensor):
        return f"the block's output is wanted, x + ..., a Keras tensor; this is a {_kind(y)}."
    if tuple(y.shape) != (None, 8, 8, CHANNELS):
        return f"(8, 8, {CHANNELS}) goes in and must come out; yours gives {tuple(y.shape[1:])}."
    model = keras.Model(x, y)
    return _why_layers(model) or _why_numbers(model)


def _kind(value: object) -> str:
    return type(value).__name__


def _why_layers(model: Any) -> str | None:
    """What is wrong with the sort or order of layers, if anything."""
    kinds = [type(step).__name__ for step in model.operations]  # x + y is a step, but no layer
    depthwise = [layer for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    if "Add" not in kinds:
        return "the input is not added back: x + what the block made of it."
    if not depthwise:
        return "there is no DepthwiseConv2D: something must combine neighbouring positions."
    if depthwise[0].output.shape[-1] != 6 * CHANNELS:
        found = depthwise[0].output.shape[-1]
        return f"the depthwise filter works on {found} channels; expand sixfold before it."
    if kinds[-1] == "ReLU":
        return "a ReLU behind the sum: the bottleneck stays linear, after the sum too."
    if kinds[kinds.index("Add") - 1] == "ReLU" or kinds.count("ReLU") > 2:
        return "the last 1×1 convolution has an activation; pass None for a linear bottleneck."
    if any(layer.max_value != 6 for layer in model.layers if type(layer).__name__ == "ReLU"):
        return 'MobileNetV2 clips at 6: ask for "relu6", not "relu".'
    return None


def _why_numbers(model: Any) -> str | None:
    """Compares with the library's block under the same random weights."""
    from segcore._keras import keras
    from segcore.models import blocks

    x = keras.Input((8, 8, CHANNELS))
    ours = keras.Model(x, blocks.inverted_residual(x, blocks.Bottleneck(CHANNELS), "block"))
    wanted = [tuple(weight.shape) for weight in ours.weights]
    found = [tuple(weight.shape) for weight in model.weights]
    if found != wanted:
        return (
            f"{len(found)} weights with {model.count_params():,} numbers; the block has "
            f"{len(wanted)} with {ours.count_params():,}. No biases, and three batch norms."
        )
    random = np.random.default_rng(4)
    values = [random.uniform(0.1, 0.5, shape) * random.choice((-1, 1)) for shape in wanted]
    values = [
        abs(v) if "variance" in w.name else v for v, w in zip(values, ours.weights, strict=True)
    ]
    ours.set_weights(values)
    model.set_weights(values)
    image = random.normal(size=(1, 8, 8, CHANNELS)).astype("float32")
    if not np.allclose(ours(image), model(image), rtol=1e-3, atol=1e-3):
        return "layers and weights fit, the numbers do not: is every batch norm where it belongs?"
    return None


def _parts() -> tuple[Any, Any]:
    """`blocks` and Keras' layers, imported only when a block is tried: they take seconds."""
    from segcore.models import blocks

    return blocks, blocks.layers


def _a_block(
    x: Any, expansion: int = 6, last: str | None = None, first: str = "relu6", bias: bool = False
) -> Any:
    """An inverted residual from the library's pieces; other values than the defaults break it."""
    blocks, layers = _parts()
    inside = blocks.convolution(x, expansion * x.shape[-1], "a", first)
    inside = layers.DepthwiseConv2D(3, padding="same", use_bias=bias)(inside)
    inside = blocks.normalise(inside, "b", first)
    return x + blocks.convolution(inside, x.shape[-1], "c", last)


def _library_block(x: Any) -> Any:
    blocks, _ = _parts()
    return blocks.inverted_residual(x, blocks.Bottleneck(16), "block")


def _norm_behind_relu(x: Any) -> Any:
    blocks, layers = _parts()
    inside = layers.Conv2D(6 * x.shape[-1], 1, use_bias=False)(x)
    inside = blocks.normalise(layers.ReLU(6.0)(inside), "a", None)
    inside = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(inside)
    inside = blocks.normalise(inside, "b", "relu6")
    return x + blocks.convolution(inside, x.shape[-1], "c", None)


SLOPE = 0.1  # of the leaky ReLU in the exercise


def _undone(y: NDArray, T: NDArray) -> NDArray:
    """The point x (2,) of which y = leaky ReLU(T x), (n,)."""
    return np.linalg.pinv(T) @ np.where(y > 0, y, y / SLOPE)


def _leaky_cases() -> tuple[tuple[NDArray, NDArray], ...]:
    """Points in two, two and five dimensions; negative values in each, both in the first."""
    random = np.random.default_rng(5)
    cases = []
    for n, wanted in ((2, 2), (2, 1), (5, 3)):
        T, z = np.empty((n, 2)), np.zeros(n)
        while (z < 0).sum() != wanted:
            T, x = random.normal(size=(n, 2)), random.normal(size=2)
            z = T @ x
        cases.append((np.where(z > 0, z, SLOPE * z), T))
    return tuple(cases)


_LEAKY_SLIPS: tuple[tuple[Callable[[NDArray, NDArray], Any], str], ...] = (
    (
        lambda y, T: np.linalg.pinv(T) @ y,
        "that reads y as if nothing had happened to it; undo the leaky ReLU first.",
    ),
    (
        lambda y, T: np.linalg.pinv(T) @ (y / SLOPE),
        "only the negative values were multiplied by 0.1; leave the others as they are.",
    ),
    (
        lambda y, T: np.linalg.pinv(T) @ np.where(y > 0, y, SLOPE * y),
        "the negative values are multiplied by 0.1 a second time; divide them by it.",
    ),
    (
        lambda y, T: np.linalg.pinv(T) @ np.maximum(y, 0),
        "that throws the negative values away, as a plain ReLU does; here they are still there.",
    ),
    (
        lambda y, T: np.where(y > 0, y, y / SLOPE),
        "those are the values T x in front of the leaky ReLU; one step more gives x.",
    ),
)


def _supported(measured: dict[str, NDArray[np.float64]]) -> str:
    """What the difference of means plus or minus two standard errors supports."""
    linear, other = measured["linear"], measured["other"]
    if min(linear.size, other.size) < 5:
        raise Wrong("five random starts of each kind are the least from which a spread shows.")
    if min(linear.min(), other.min()) < 0 or max(linear.max(), other.max()) > 1:
        raise Wrong("accuracies lie between 0 and 1: hand over what accuracies(...) gave.")
    difference = linear.mean() - other.mean()
    error = np.sqrt(linear.var(ddof=1) / linear.size + other.var(ddof=1) / other.size)
    if abs(difference) <= 2 * error:
        return "cannot tell"
    return "linear is better" if difference > 0 else "other is better"


_BOTTLENECK = Experiment(
    start={"slope": 0, "width": 2, "shortcut": 0},
    measured=("linear", "other"),
    conclusions=("linear is better", "other is better", "cannot tell"),
    supported=_supported,
    slips=(
        ("linear is better", "linear would need a difference that lies above zero as a whole."),
        ("other is better", "other would need a difference that lies below zero as a whole."),
        ("cannot tell", "zero lies outside the interval, so you can tell."),
    ),
)


def _run(linear: float, other: float, conclusion: str, /, **more: Any) -> dict[str, Any]:
    """A run in which eight starts of each kind lie up to 0.04 around a mean."""
    spread = np.linspace(-0.04, 0.04, 8)
    settings = {"slope": 0.1, "width": 2, "shortcut": 1}
    measured = {"linear": linear + spread, "other": other + spread[::-1]}
    return {**settings, **measured, "conclusion": conclusion} | more


EXERCISES = {
    "leaky": Function(
        _undone,
        cases=_leaky_cases(),
        slips=_LEAKY_SLIPS,
        tolerance=1e-4,
        name="undo",
    ).exercise(
        "every point comes back, in two dimensions already: a leaky ReLU loses nothing.",
        right=(lambda y, T: np.linalg.lstsq(T, np.minimum(y, 10 * y), rcond=None)[0],),
    ),
    "parameters": Exercise(
        judge=_judge_parameters,
        function="parameters",
        praise="nearly all of them sit in the two 1×1 convolutions.",
        right=(_count, lambda b, a, t: float(_count(b, a, t))),
        wrong=(
            *_COUNT_SLIPS,
            (
                lambda b, a, t: _count(b, a, t) + (b * b + 4 * b if t == 1 else 0),
                "nothing is expanded",
            ),
            (lambda b, a, t: _count(b, b, t), "after 320"),
            (lambda b, a, t: 0, "you say 0"),
        ),
    ),
    "block": Exercise(
        judge=_judge_block,
        function="my_block",
        praise="it gives the library's own numbers under the same weights.",
        right=(_a_block, lambda x: _library_block(x)),
        wrong=(
            (lambda x: None, "returns nothing"),
            (lambda x: 3, "this is a int"),
            (lambda x: _a_block(x)[:, ::2], "must come out"),
            (lambda x: x * 1.0, "not added back"),
            (lambda x: x + _parts()[0].convolution(x, 16, "a", None), "no DepthwiseConv2D"),
            (lambda x: _a_block(x, expansion=1), "expand sixfold"),
            (lambda x: _parts()[1].ReLU(6.0)(_a_block(x)), "behind the sum"),
            (lambda x: _a_block(x, last="relu6"), "linear bottleneck"),
            (lambda x: _a_block(x, first="relu"), "clips at 6"),
            (lambda x: _a_block(x, bias=True), "No biases"),
            (_norm_behind_relu, "where it belongs"),
        ),
    ),
    "bottleneck": _BOTTLENECK.exercise(
        "your starts support that; others than yours may have another spread.",
        right=(
            _run(0.9, 0.6, "linear is better"),
            _run(0.6, 0.9, "Other is better"),
            _run(0.9, 0.91, "cannot tell"),
        ),
        wrong=(
            (_run(0.9, 0.91, "linear is better"), "above zero"),
            (_run(0.9, 0.91, "other is better"), "below zero"),
            (_run(0.9, 0.6, "cannot tell"), "you can tell"),
            (_run(0.9, 0.6, "linear is better", other=[0.6, 0.7]), "five random starts"),
            (_run(90, 60, "linear is better"), "between 0 and 1"),
        ),
    ),
}
