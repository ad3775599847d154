"""What a .tflite says of itself, and what in it costs days on a device. Nothing is run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from segcore._errors import damage_named
from segcore.export import tflite
from segcore.export.tflite import File, Operator

# What LiteRT's GPU delegate takes, under conditions: tflite/tools/versioning/gpu_compatibility.cc.
ON_GPU = frozenset(
    """ABS ADD ADD_N ATAN2 AVERAGE_POOL_2D BATCH_MATMUL BITCAST CAST CEIL CONCATENATION CONV_2D COS
    CUMSUM DENSIFY DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GELU GREATER
    GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGISTIC LSTM
    MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU
    QUANTIZE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RIGHT_SHIFT ROUND RSQRT SELECT SELECT_V2 SIGN
    SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB
    SUM TANH TILE TOPK_V2 TRANSPOSE TRANSPOSE_CONV""".split()
)
INTEGERS = ("int8", "uint8", "int16")
UNFOLDED = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
ENLARGE = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


class Tensor(NamedTuple):
    """An input or output: `shape` has -1 for any length; `scale` and `zero` are None for floats.

    A stored integer q means the number (q - zero) · scale.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero: int | None

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the largest number that an integer of 8 bits can stand for here."""
        if self.scale is None or self.zero is None or self.dtype not in ("int8", "uint8"):
            return None
        low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        return (low - self.zero) * self.scale, (high - self.zero) * self.scale


class Finding(NamedTuple):
    """Something to know before the file ships: a `kind` for machines and a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Description:
    """A file without running it; `numbers` says what its convolutions compute in."""

    name: str
    bytes: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    numbers: str
    findings: tuple[Finding, ...]


def describe(source: tflite.Source) -> Description:
    """What the .tflite `source` holds. Raises ValueError for another file or a damaged one."""
    file = tflite.opened(source)
    model = file.model  # which names the file if it cannot be parsed
    with damage_named(file.name, "a damaged .tflite file"):
        graph = model.subgraphs[0]
        inputs, outputs = (
            tuple(_tensor(file, int(i)) for i in ends) for ends in (graph.inputs, graph.outputs)
        )
        return Description(
            name=file.name,
            bytes=len(file.content),
            inputs=inputs,
            outputs=outputs,
            operators=dict(Counter(_kinds(file)).most_common()),
            numbers=_numbers(file),
            findings=tuple(_findings(file, inputs)),
        )


def _findings(file: File, inputs: tuple[Tensor, ...]) -> Iterator[Finding]:
    for tensor in inputs:
        if tensor.shape[:1] == (-1,):
            yield Finding("free-batch", "takes any number of photos; export it with a batch of 1")
        if -1 in tensor.shape[1:]:
            yield Finding(
                "free-size", "takes photos of any size; delegates plan memory for one: export it so"
            )
    yield from _unfolded(file)
    yield from _in_float(file)
    yield from _left_to_the_cpu(file)
    yield from _tail(file)


def _unfolded(file: File) -> Iterator[Finding]:
    count = sum(kind == UNFOLDED[0] for kind in _kinds(file))
    if count:
        yield Finding(
            "space-to-batch",
            f"{count} dilated convolution{'s' * (count > 1)} fell apart: SPACE_TO_BATCH_ND, "
            "convolution, BATCH_TO_SPACE_ND; GPU delegate and browsers refuse them: export with a "
            "fixed batch of 1",
        )


def _in_float(file: File) -> Iterator[Finding]:
    """Operators that compute in float although convolutions do so in integers."""
    floats = [o for n, o in enumerate(file.operators) if o.in_float and not file.is_unpacking(n)]
    if _numbers(file) not in INTEGERS or not floats:
        return
    named = ", ".join(dict.fromkeys(_where(o) for o in floats[:4])) + ", ..." * (len(floats) > 4)
    yield Finding(
        "float-in-int8",
        f"{len(floats)} of {len(file.operators)} operators compute in float in an integer file "
        f"({named}); an int8 accelerator hands each to the CPU",
    )


def _left_to_the_cpu(file: File) -> Iterator[Finding]:
    named = list(zip(_kinds(file), file.operators, strict=True))
    if custom := list(dict.fromkeys(kind for kind, o in named if o.kind == "CUSTOM")):
        flex = any(kind.startswith("Flex") for kind in custom)
        needed = "TensorFlow's Flex delegate" if flex else "code of its own"
        text = f"{', '.join(custom)}: no operator of TFLite; an app needs {needed} to run it"
        yield Finding("custom", text)
    known = {*ON_GPU, *UNFOLDED, *custom}
    if left := list(dict.fromkeys(kind for kind, _ in named if kind not in known)):
        text = f"{', '.join(left)}: the GPU delegate leaves it to the CPU, and waits"
        yield Finding("not-on-gpu", text)


def _tail(file: File) -> Iterator[Finding]:
    """What is done behind the last convolution, at the size of the photo."""
    operators = file.operators
    last = max((n for n, o in enumerate(operators) if o.macs), default=-1)
    for operator in operators[last + 1 :]:
        shape, positions = operator.shape, int(np.prod(operator.shape[1:3]))
        size = f"{'×'.join(map(str, shape[1:3]))} positions"
        if operator.kind == "ARG_MAX":
            wide = ", 8 bytes each" if operator.output == "int64" else ""
            yield Finding("argmax", f"ends in ARG_MAX at {size}{wide}: ids come out, no scores")
        if operator.kind in ("SOFTMAX", "LOGISTIC") and positions > 1:
            yield Finding("softmax", f"ends in {operator.kind} at {size}; the winner wins without")
        if operator.kind in ENLARGE and last >= 0 and 2 * operators[last].shape[1] < shape[1]:
            values = positions * shape[-1]
            yield Finding(
                "full-size",
                f"ends in {operator.kind} to {size} of {shape[-1]} scores, {values / 1e6:.1f} "
                "million a photo; for the screen, take the winner first and enlarge that",
            )


def _numbers(file: File) -> str:
    """What convolutions compute in: a type, "mixed", or float with what their kernels are."""
    heavy = [o for o in file.operators if o.macs]
    types = {next((t for t in o.inputs if t != "int32"), "int32") for o in heavy}  # not a shape
    if len(types) > 1:
        return "mixed: " + ", ".join(sorted(types))
    if types and not types & {"float32", "float16"}:
        return types.pop()
    kernels = {o.inputs[1] for o in heavy}
    if kernels & set(INTEGERS):
        return "float32, int8 kernels (dynamic range)"
    unpacked = any(o.kind == "DEQUANTIZE" and o.inputs == ("float16",) for o in file.operators)
    return "float32, float16 kernels" if unpacked else "float32"


def _kinds(file: File) -> list[str]:
    """TFLite's name of each operator; for a custom one the name that its file gives it."""
    codes = file.model.operatorCodes
    return [
        (codes[stored.opcodeIndex].customCode or b"CUSTOM").decode("ascii", "replace")
        if operator.kind == "CUSTOM"
        else operator.kind
        for operator, stored in zip(file.operators, file.graph.operators, strict=True)
    ]


def _where(operator: Operator) -> str:
    return f"{operator.kind} of {operator.layer}" if operator.layer else operator.kind


def _tensor(file: File, index: int) -> Tensor:
    stored: Any = file.graph.tensors[index]
    known = stored.shapeSignature if stored.shapeSignature is not None else stored.shape
    shape = tuple(int(n) for n in (known if known is not None else ()))
    parameters = stored.quantization
    given = parameters is not None and parameters.scale is not None and len(parameters.scale) > 0
    scale = float(parameters.scale[0]) if given else None
    zero = int(parameters.zeroPoint[0]) if given else None
    name = (stored.name or b"").decode("utf-8", "replace")
    return Tensor(name, shape, tflite.type_name(stored), scale, zero)
