"""Exercises of chapter 4, "Inverted residuals": shortcuts, parameters, and a block to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segcore.course.checks import Exercise, number, recognise, side

Count = Callable[[int, int, int], Any]

# (channels in, channels out, expansion) of three blocks of MobileNetV2: 14, 16 and the first one.
CASES = ((160, 160, 6), (160, 320, 6), (32, 16, 1))
CHANNELS = 16  # of the small input on which a reader's block is tried


def _judge_shortcuts(answer: object) -> str | None:
    """Ten of the seventeen blocks add their input: all repeats but the first of each row."""
    slips = {
        17: "17 is all of them: a block that changes the shape has nothing to add its input to.",
        13: "13 blocks have stride 1, but three of those change the number of channels.",
        16: "16 leaves out only the first block; compare channels in and out, and the stride.",
        7: "7 blocks cannot add their input, one for each row; the question is about the others.",
        6: "6 rows repeat or widen; count blocks, not rows: a row has n of them.",
    }
    value = number(answer)
    if value == 10:
        return None
    hint = "Go through the rows: which of the n repeats keep stride and channels?"
    return recognise(slips.items(), lambda slip: value == slip) or f"{side(value, 10)} {hint}"


def _count(
    before: int, after: int, expansion: int, norm: int = 4, taps: int = 9, bias: int = 0
) -> int:
    """Parameters of an inverted residual; other values than the defaults make it a slip."""
    wide = before * expansion
    widen = before * wide + (norm + bias) * wide if expansion > 1 else 0
    return widen + (taps + norm + bias) * wide + wide * after + (norm + bias) * after


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
        lambda b, a, t: _count(b, a, t, taps=9 * b * t),
        "a depthwise kernel has 3×3 numbers for each channel, and does not mix channels.",
    ),
    (
        lambda b, a, t: _count(b, a, t, taps=1),
        "the depthwise kernel is 3×3: nine numbers for each wide channel.",
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
        return "right for t = 6; with t = 1 there is nothing to widen, so the first 1×1 is gone."
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
        return "there is no DepthwiseConv2D: something must look at neighbouring cells."
    if depthwise[0].output.shape[-1] != 6 * CHANNELS:
        found = depthwise[0].output.shape[-1]
        return f"the depthwise filter works on {found} channels; widen sixfold before it."
    if kinds[-1] == "ReLU":
        return "a ReLU behind the sum: the thin end stays linear, after the sum too."
    if kinds[kinds.index("Add") - 1] == "ReLU" or kinds.count("ReLU") > 2:
        return "the last 1×1 convolution has an activation; pass None for a linear bottleneck."
    if any(layer.max_value != 6 for layer in model.layers if type(layer).__name__ == "ReLU"):
        return 'MobileNetV2 clips at 6: ask for "relu6", not "relu".'
    return None


def _why_numbers(model: Any) -> str | None:
    """Compares with the library's block under the same random weights."""
    import numpy as np

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
    x: Any, widen: int = 6, last: str | None = None, first: str = "relu6", bias: bool = False
) -> Any:
    """An inverted residual from the library's pieces; other values than the defaults break it."""
    blocks, layers = _parts()
    inside = blocks.convolution(x, widen * x.shape[-1], "a", first)
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


EXERCISES = {
    "shortcuts": Exercise(
        judge=_judge_shortcuts,
        praise="all repeats but the first of each row; the other seven change the shape.",
        right=(10, 10.0),
        wrong=(
            ("ten", "a single number"),
            (17, "all of them"),
            (16, "only the first block"),
            (13, "change the number of channels"),
            (7, "about the others"),
            (6, "not rows"),
            (12, "too large"),
            (9, "too small"),
        ),
    ),
    "parameters": Exercise(
        judge=_judge_parameters,
        function="parameters",
        praise="nearly all of them sit in the two 1×1 convolutions.",
        right=(_count, lambda b, a, t: float(_count(b, a, t))),
        wrong=(
            (324_160, "without brackets"),
            (lambda b, a, t: ..., "behind return"),
            *((slip, sentence[:40]) for slip, sentence in _COUNT_SLIPS),
            (
                lambda b, a, t: _count(b, a, t) + (b * b + 4 * b if t == 1 else 0),
                "nothing to widen",
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
            (3, "without brackets"),
            (lambda x: ..., "behind return"),
            (lambda x: None, "returns nothing"),
            (lambda x: 3, "this is a int"),
            (lambda x: _a_block(x)[:, ::2], "must come out"),
            (lambda x: x * 1.0, "not added back"),
            (lambda x: x + _parts()[0].convolution(x, 16, "a", None), "no DepthwiseConv2D"),
            (lambda x: _a_block(x, widen=1), "widen sixfold"),
            (lambda x: _parts()[1].ReLU(6.0)(_a_block(x)), "behind the sum"),
            (lambda x: _a_block(x, last="relu6"), "linear bottleneck"),
            (lambda x: _a_block(x, first="relu"), "clips at 6"),
            (lambda x: _a_block(x, bias=True), "No biases"),
            (_norm_behind_relu, "where it belongs"),
        ),
    ),
}
