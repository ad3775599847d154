"""What goes in and out of each operator of a .tflite file, and where int8 loses its signal."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.export import tflite
from segcore.export.affine import Affine
from segcore.export.interpreter import open_interpreter

Image = NDArray[np.float32]  # (1, S, S, 3) in [-1, 1]


@dataclass(frozen=True)
class Integers:
    """A convolution as an int8 file holds it, and what it did with one photo.

    `image` (H, W, I) int8 and `output` (H, W, O) int8 of a 1×1 convolution, its `kernel` (I, O)
    int8 and `bias` (O,) int32; `maps` say what the integers of image, kernel and output mean.
    """

    image: NDArray[np.int8]
    kernel: NDArray[np.int8]
    bias: NDArray[np.int32]
    output: NDArray[np.int8]
    maps: tuple[Affine, Affine, Affine]


def integers(file: tflite.Source, image: Image, layer: str) -> Integers:
    """What goes in and out of the 1×1 convolution `layer` of an int8 `file`, to the bit.

    By the reference kernels, which `integers.pointwise` equals. Raises ValueError for a layer that
    is no 1×1 convolution of this file. Taught in chapter 9.
    """
    file = tflite.opened(file)
    found = [i for i, o in enumerate(file.operators) if o.layer == layer]
    run = open_interpreter(file, exact=True, keep=True)
    operator = run._get_ops_details()[found[0]] if found else {"inputs": [], "outputs": []}
    indices = [*operator["inputs"], *operator["outputs"]]
    details = {tensor["index"]: tensor for tensor in run.get_tensor_details()}
    if len(indices) != 4 or list(details[indices[1]]["shape"][1:3]) != [1, 1]:
        raise ValueError(f"layer {layer!r} is no 1×1 convolution of this file")
    run_operators(run, image)
    x, kernel, bias, y = (run.get_tensor(index) for index in indices)
    source, weights, _, target = (_affine(details[index]) for index in indices)
    return Integers(x[0], kernel[:, 0, 0].T, bias, y[0], (source, weights, target))


def signal_to_noise(
    float_file: tflite.Source, int8_file: tflite.Source, images: Iterable[Image]
) -> list[tuple[tflite.Operator, float]]:
    """How much signal is left behind each operator of `int8_file`, in decibels.

    10·log₁₀(Σ x² / Σ (x - x̂)²), x from `float_file`, x̂ from `int8_file`, summed over the values
    of all `images`; 20 dB means an error of a tenth. Noise of earlier operators counts as well.
    Raises ValueError when the files do not come from one network. Taught in chapter 9.
    """
    files = tflite.opened(float_file), tflite.opened(int8_file)
    operators, kept = files[1].operators, same_operators(*files)
    runs = [open_interpreter(file, keep=True) for file in files]
    signal, noise = np.zeros(len(kept)), np.zeros(len(kept))
    for image in images:
        truth, rounded = (run_operators(run, image) for run in runs)
        for place, (x, y) in enumerate(zip(truth, [rounded[i] for i in kept], strict=True)):
            signal[place] += np.square(x, dtype=np.float64).sum()
            noise[place] += np.square(x - y, dtype=np.float64).sum()
    decibels = 10 * np.log10(signal / np.maximum(noise, 1e-30))
    return [(operators[i], float(value)) for i, value in zip(kept, decibels, strict=True)]


def same_operators(float_file: tflite.File, int8_file: tflite.File) -> list[int]:
    """Numbers of the int8 operators that compute; ValueError when `float_file` has others."""
    operators = int8_file.operators
    kept = [i for i, o in enumerate(operators) if o.kind not in tflite.CONVERSIONS]
    if [o.kind for o in float_file.operators] != [operators[i].kind for i in kept]:
        raise ValueError("float_file and int8_file hold different operators; export both anew")
    return kept


def run_operators(interpreter: Any, image: Image) -> list[NDArray[np.float32]]:
    """The output of each operator as numbers, after running `image` through `interpreter`."""
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], to_input(image, source))
    interpreter.invoke()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    numbers = []
    for operator in interpreter._get_ops_details():
        tensor = tensors[operator["outputs"][0]]
        values, (scale, zero) = interpreter.get_tensor(tensor["index"]), tensor["quantization"]
        numbers.append(Affine(scale, zero).dequantise(values) if scale else values)
    return numbers


def _affine(tensor: Any) -> Affine:
    """What the integers of a tensor stand for, from the interpreter's details of it."""
    stored = tensor["quantization_parameters"]
    scale, zero = stored["scales"].astype(np.float64), stored["zero_points"]
    return Affine(scale if len(scale) > 1 else float(scale[0]), int(zero[0]))


def to_input(image: Image, source: Any) -> NDArray:
    """`image`, a photo's bytes / 127.5 - 1, in the type in which a file takes it.

    `source` are the interpreter's input details. Integers are the photo's bytes again, as they
    enter when the file is used: by scale and zero point each would lie half way between
    two integers.
    """
    scale, _ = source["quantization"]
    if not scale:
        return image
    pixels = np.rint((image + 1) * np.float32(127.5)).astype(np.int16)
    return (pixels + np.iinfo(source["dtype"]).min).astype(source["dtype"])
