"""A .tflite file as data: its operators, what they compute in, and one operator cut out of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")  # they change the type and compute nothing


@dataclass(frozen=True)
class Operator:
    """One operator of a file, in the order in which they run.

    `kind` is TFLite's name such as "CONV_2D", `layer` the Keras layer that it came from (where the
    file still knows), `inputs` and `output` are stored types such as "int8", `shape` is that of
    the output, `macs` the multiply-adds of a convolution (else 0).
    """

    kind: str
    layer: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    macs: int

    @property
    def in_float(self) -> bool:
        """Whether it computes with floating-point values (a mere change of type does not)."""
        return self.kind not in CONVERSIONS and "float" in self.output + "".join(self.inputs)


def operators(file: str | Path | bytes) -> list[Operator]:
    """The operators of a file (its path or its bytes), in order.

    Raises ValueError for what is no .tflite file. Taught in chapter 8.
    """
    model = read(file)
    graph = model.subgraphs[0]
    return [_describe(model, graph, operator) for operator in graph.operators]


def contents(path: str | Path) -> dict[str, Any]:
    """What is in the file: bytes, operators by kind, kinds that compute in float. For JSON."""
    listed = operators(path)
    kinds = sorted({operator.kind for operator in listed})
    return {
        "bytes": Path(path).stat().st_size,
        "mib": round(Path(path).stat().st_size / 2**20, 2),
        "operators": {kind: sum(o.kind == kind for o in listed) for kind in kinds},
        "in_float": sorted({o.kind for o in listed if o.in_float}),
    }


def single(model: Any, number: int) -> bytes:
    """A file that holds nothing but operator `number` of `model`, its constants included.

    `model` comes from `read` and stays as it is. What the operator got from others becomes the
    input of the new file; operators that merely unpack stored kernels (float16) come along.
    """
    graph = model.subgraphs[0]
    needed = {int(i) for i in graph.operators[number].inputs}
    chosen = [
        copy.copy(operator)
        for place, operator in enumerate(graph.operators[: number + 1])
        if place == number or (operator.outputs[0] in needed and is_unpacking(model, place))
    ]
    used = [int(i) for o in chosen for i in (*o.inputs, *o.outputs) if i >= 0]
    place_of = {old: new for new, old in enumerate(dict.fromkeys(used))}
    made = {int(i) for o in chosen for i in o.outputs}
    part = copy.copy(graph)
    part.tensors = [graph.tensors[old] for old in place_of]
    part.inputs = [n for i, n in place_of.items() if i not in made and not _is_constant(model, i)]
    part.outputs = [place_of[int(i)] for i in chosen[-1].outputs]
    for operator in chosen:
        operator.inputs = [place_of.get(int(i), -1) for i in operator.inputs]  # -1: left out
        operator.outputs = [place_of[int(i)] for i in operator.outputs]
    part.operators = chosen
    return write(_without_unused_buffers(model, part))


def is_unpacking(model: Any, number: int) -> bool:
    """Whether operator `number` of `model` has nothing but constants to work on."""
    inputs = model.subgraphs[0].operators[number].inputs
    return all(_is_constant(model, int(i)) for i in inputs if i >= 0)


def read(file: str | Path | bytes) -> Any:
    """A file (its path or its bytes) as the objects of its schema.

    Raises ValueError for what is no .tflite file.
    """
    content = file if isinstance(file, bytes) else Path(file).read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError(f"{name_of(file)}: not a .tflite file (it lacks the mark TFL3)")
    return _tools().read_model_from_bytearray(bytearray(content))


def kind(model: Any, operator: Any) -> str:
    """TFLite's name for an `operator` of a `model` from `read`, such as "CONV_2D"."""
    return str(_tools().opcode_to_name(model, operator.opcodeIndex))


def write(model: Any) -> bytes:
    """The objects of `read` → the bytes of a file."""
    return bytes(_tools().convert_object_to_bytearray(model))


def _without_unused_buffers(model: Any, part: Any) -> Any:
    """`model` with `part` as its only graph, and none of the constants that `part` lacks."""
    small = copy.copy(model)
    small.subgraphs, small.signatureDefs, small.metadata = [part], None, None
    small.buffers = [copy.copy(buffer) for buffer in model.buffers]
    kept = {tensor.buffer for tensor in part.tensors}
    for index, buffer in enumerate(small.buffers):
        if index not in kept:
            buffer.data = None
    return small


def _tools() -> Any:
    """Google's reader and writer of the format; TensorFlow carries the same under another name."""
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError:
        from tensorflow.lite.tools import flatbuffer_utils
    return flatbuffer_utils


def _is_constant(model: Any, index: int) -> bool:
    buffer = model.buffers[model.subgraphs[0].tensors[index].buffer]
    return buffer.data is not None and len(buffer.data) > 0


def _describe(model: Any, graph: Any, operator: Any) -> Operator:
    output = graph.tensors[operator.outputs[0]]
    inputs = tuple(_type(graph.tensors[i]) for i in operator.inputs if i >= 0)
    shape = tuple(map(int, output.shape))
    name = kind(model, operator)
    kernel = graph.tensors[operator.inputs[1]].shape if "CONV" in name else ()
    return Operator(name, _layer(output.name), inputs, _type(output), shape, _macs(shape, kernel))


def _macs(output: Sequence[int], kernel: Sequence[int]) -> int:
    """Multiply-adds: each output value takes all of the kernel but its first axis's length.

    Kernels lie as (out, h, w, in), those of depthwise convolutions as (1, h, w, out).
    """
    if len(kernel) != 4:
        return 0
    inputs = 1 if kernel[0] == 1 and kernel[3] == output[-1] else int(kernel[3])
    return int(np.prod(output)) * int(kernel[1]) * int(kernel[2]) * inputs


def _type(tensor: Any) -> str:
    return _tools().type_to_name(tensor.type).lower()


def name_of(file: str | Path | bytes) -> str:
    """What messages call a file: its path, or "the content" for bytes."""
    return "the content" if isinstance(file, bytes) else str(file)


def _layer(name: bytes | None) -> str:
    """`model_1/block_1_expand_1/convolution;…` → `block_1_expand`; "" where nothing is left."""
    parts = (name or b"").decode().split(";")[0].split("/")
    return parts[1].removesuffix("_1") if len(parts) > 1 else ""
