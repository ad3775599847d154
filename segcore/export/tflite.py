"""A .tflite file as data: its operators, its class names, and one operator cut out of it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from segcore._errors import damage_named
from segcore.export.labels import read_labels

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


class File:
    """A .tflite, given as its path or its bytes, parsed once and not before that is needed.

    `content` is its bytes, `name` what messages call it, `model` the objects of its schema. Raises
    ValueError for what is no .tflite file. Taught in chapter 9.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        self.name = name_of(source)
        self.content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if self.content[4:8] != b"TFL3":
            raise ValueError(f"{self.name}: not a .tflite file (it lacks the mark TFL3)")

    @cached_property
    def model(self) -> Any:
        with damage_named(self.name, "a damaged .tflite file"):
            return _tools().read_model_from_bytearray(bytearray(self.content))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The class names that the file carries, () for one without. See `labels`."""
        try:
            return read_labels(self.content)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    @property
    def graph(self) -> Any:
        """The graph of `model`: `tensors`, `operators`, `inputs`, `outputs`."""
        return self.model.subgraphs[0]

    @cached_property
    def operators(self) -> list[Operator]:
        """The operators in the order in which they run."""
        return [self._describe(operator) for operator in self.graph.operators]

    def summary(self) -> dict[str, Any]:
        """What is in the file: bytes, operators by kind, kinds that compute in float. For JSON."""
        kinds = sorted({operator.kind for operator in self.operators})
        return {
            "bytes": len(self.content),
            "mib": round(len(self.content) / 2**20, 2),
            "operators": {kind: sum(o.kind == kind for o in self.operators) for kind in kinds},
            "in_float": sorted({o.kind for o in self.operators if o.in_float}),
        }

    def is_constant(self, index: int) -> bool:
        """Whether the file stores the values of tensor `index`."""
        buffer = self.model.buffers[self.graph.tensors[index].buffer]
        return buffer.data is not None and len(buffer.data) > 0

    def is_unpacking(self, number: int) -> bool:
        """Whether operator `number` has nothing but constants to work on."""
        inputs = self.graph.operators[number].inputs
        return all(self.is_constant(int(i)) for i in inputs if i >= 0)

    def single(self, number: int) -> bytes:
        """A file that holds nothing but operator `number`, its constants included.

        What the operator got from others becomes the input of the new file; operators that merely
        unpack stored kernels (float16) come along.
        """
        graph = self.graph
        needed = {int(i) for i in graph.operators[number].inputs}
        chosen = [
            copy.copy(operator)
            for place, operator in enumerate(graph.operators[: number + 1])
            if place == number or (operator.outputs[0] in needed and self.is_unpacking(place))
        ]
        used = [int(i) for o in chosen for i in (*o.inputs, *o.outputs) if i >= 0]
        place_of = {old: new for new, old in enumerate(dict.fromkeys(used))}
        made = {int(i) for o in chosen for i in o.outputs}
        part = copy.copy(graph)
        part.tensors = [graph.tensors[old] for old in place_of]
        part.inputs = [n for i, n in place_of.items() if i not in made and not self.is_constant(i)]
        part.outputs = [place_of[int(i)] for i in chosen[-1].outputs]
        for operator in chosen:
            operator.inputs = [place_of.get(int(i), -1) for i in operator.inputs]  # -1: left out
            operator.outputs = [place_of[int(i)] for i in operator.outputs]
        part.operators = chosen
        return write(_without_unused_buffers(self.model, part))

    def _describe(self, operator: Any) -> Operator:
        tensors = self.graph.tensors
        output = tensors[operator.outputs[0]]
        inputs = tuple(type_name(tensors[i]) for i in operator.inputs if i >= 0)
        shape = tuple(map(int, output.shape))
        kind = str(_tools().opcode_to_name(self.model, operator.opcodeIndex))
        kernel = tensors[operator.inputs[1]].shape if "CONV" in kind else ()
        macs = _macs(shape, kernel)
        return Operator(kind, _layer(output.name), inputs, type_name(output), shape, macs)


Source: TypeAlias = str | Path | bytes | File


def opened(source: Source) -> File:
    """`source` as a `File`; one that is a `File` already is not parsed again."""
    return source if isinstance(source, File) else File(source)


def write(model: Any) -> bytes:
    """The `model` of a `File` → the bytes of a file, without class names."""
    return bytes(_tools().convert_object_to_bytearray(model))


def name_of(source: Source) -> str:
    """What messages call a file: its path, or "the content" for bytes."""
    if isinstance(source, File):
        return source.name
    return "the content" if isinstance(source, bytes) else str(source)


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
    """Google's reader and writer of the format, which takes a moment to load."""
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils


def _macs(output: Sequence[int], kernel: Sequence[int]) -> int:
    """Multiply-adds: each output value takes all of the kernel but its first axis's length.

    Kernels lie as (out, h, w, in), those of depthwise convolutions as (1, h, w, out).
    """
    if len(kernel) != 4:
        return 0
    inputs = 1 if kernel[0] == 1 and kernel[3] == output[-1] else int(kernel[3])
    return int(np.prod(output)) * int(kernel[1]) * int(kernel[2]) * inputs


def type_name(tensor: Any) -> str:
    """What a `tensor` of `File.graph` stores, such as "int8"."""
    return _tools().type_to_name(tensor.type).lower()


def _layer(name: bytes | None) -> str:
    """`model_1/block_1_expand_1/convolution;…` → `block_1_expand`; "" where nothing is left."""
    parts = (name or b"").decode().split(";")[0].split("/")
    return parts[1].removesuffix("_1") if len(parts) > 1 else ""
