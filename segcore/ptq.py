"""After training, without training: where an int8 file loses its signal, and a cheap repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.affine import Affine
from segcore.export import tflite
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
CORRECTING = 12  # photos that a bias is corrected on; 30 changed nothing more
Image = NDArray[np.float32]  # (1, S, S, 3) in [-1, 1]


def to_int8(
    network: Any, calibration: Calibration, interface: str = "uint8", argmax: bool = False
) -> bytes:
    """`to_tflite` to int8, then `correct_bias` on the first dozen calibration photos."""
    size = network.input_shape[1]
    content = to_tflite(network, "int8", calibration, interface, argmax)
    floats = to_tflite(network, "float32", argmax=argmax)
    return correct_bias(floats, content, list(islice(calibration.images(size), CORRECTING)))


def activations(file: bytes, image: Image, exact: bool = False) -> list[NDArray[np.float32]]:
    """The output of each operator of a .tflite for one `image`, as numbers, in running order.

    Integers are turned into the numbers that they stand for. Taught in chapter 8.
    """
    interpreter = open_interpreter(file, exact=exact, keep=True)
    return _outputs(interpreter, image)


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


def integers(file: bytes, image: Image, layer: str) -> Integers:
    """What goes in and out of the 1×1 convolution `layer` of an int8 `file`, to the bit.

    By the reference kernels, which `affine.pointwise` equals. Raises ValueError for a layer that
    is no 1×1 convolution of this file. Taught in chapter 8.
    """
    found = [i for i, o in enumerate(tflite.operators(file)) if o.layer == layer]
    run = open_interpreter(file, exact=True, keep=True)
    operator = run._get_ops_details()[found[0]] if found else {"inputs": [], "outputs": []}
    indices = [*operator["inputs"], *operator["outputs"]]
    details = {tensor["index"]: tensor for tensor in run.get_tensor_details()}
    if len(indices) != 4 or list(details[indices[1]]["shape"][1:3]) != [1, 1]:
        raise ValueError(f"layer {layer!r} is no 1×1 convolution of this file")
    _outputs(run, image)
    x, kernel, bias, y = (run.get_tensor(index) for index in indices)
    source, weights, _, target = (_affine(details[index]) for index in indices)
    return Integers(x[0], kernel[:, 0, 0].T, bias, y[0], (source, weights, target))


def signal_to_noise(
    float_file: bytes, int8_file: bytes, images: Iterable[Image]
) -> list[tuple[tflite.Operator, float]]:
    """How much signal is left behind each operator of `int8_file`, in decibels.

    10·log₁₀(Σ x² / Σ (x - x̂)²), x from `float_file`, x̂ from `int8_file`, summed over the values
    of all `images`; 20 dB means an error of a tenth. Noise of earlier operators counts as well.
    Raises ValueError when the files do not come from one network. Taught in chapter 8.
    """
    operators = tflite.operators(int8_file)
    kept = _same_operators(float_file, operators)
    runs = [open_interpreter(file, keep=True) for file in (float_file, int8_file)]
    signal, noise = np.zeros(len(kept)), np.zeros(len(kept))
    for image in images:
        truth, rounded = (_outputs(run, image) for run in runs)
        for place, (x, y) in enumerate(zip(truth, [rounded[i] for i in kept], strict=True)):
            signal[place] += np.square(x, dtype=np.float64).sum()
            noise[place] += np.square(x - y, dtype=np.float64).sum()
    decibels = 10 * np.log10(signal / np.maximum(noise, 1e-30))
    return [(operators[i], float(value)) for i, value in zip(kept, decibels, strict=True)]


def correct_bias(
    float_file: bytes,
    int8_file: bytes,
    images: Sequence[Image],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> bytes:
    """`int8_file` with new biases, so that each channel has the mean that it has in `float_file`.

    Rounding adds noise, but it also moves the mean of a channel, and a channel that is off for all
    pixels alike changes the verdict. One convolution after the other, in running order: measure
    how far the mean over `images` is off behind all that was corrected before, and take that off
    the bias. Nothing is trained and no file grows. `progress` may wrap the operators in a bar.
    Nagel et al. 2019, Data-Free Quantization, section 4.2. Taught in chapter 8.
    """
    _same_operators(float_file, tflite.operators(int8_file))
    wanted = iter(channel_means(float_file, images))
    model = tflite.read(int8_file)
    graph = model.subgraphs[0]
    last = {int(i): n for n, o in enumerate(graph.operators) for i in o.inputs}
    source = open_interpreter(int8_file).get_input_details()[0]
    values = {int(graph.inputs[0]): [_entered(image, source) for image in images]}
    for number in progress(range(len(graph.operators))):
        operator = graph.operators[number]
        outputs = _run_alone(model, number, values)
        if tflite.kind(model, operator) in CONVOLUTIONS:
            _move_bias(model, operator, next(wanted) - _mean(model, operator, outputs))
            outputs = _run_alone(model, number, values)
        values[int(operator.outputs[0])] = outputs
        values = {index: kept for index, kept in values.items() if last.get(index, -1) > number}
    return tflite.write(model)


def _same_operators(float_file: bytes, operators: Sequence[tflite.Operator]) -> list[int]:
    """Numbers of those int8 `operators` that compute; ValueError when `float_file` has others."""
    kept = [i for i, o in enumerate(operators) if o.kind not in tflite.CONVERSIONS]
    if [o.kind for o in tflite.operators(float_file)] != [operators[i].kind for i in kept]:
        raise ValueError("float_file and int8_file hold different operators; export both anew")
    return kept


def _run_alone(model: Any, number: int, values: dict[int, list[NDArray]]) -> list[NDArray]:
    """Outputs of operator `number` of `model` for each image, given `values` by tensor number."""
    operator = model.subgraphs[0].operators[number]
    inputs = [values[int(i)] for i in operator.inputs if int(i) in values]
    run = open_interpreter(tflite.single(model, number))
    target, outputs = run.get_output_details()[0]["index"], []
    for image in zip(*inputs, strict=True):
        for source, array in zip(run.get_input_details(), image, strict=True):
            run.set_tensor(source["index"], array)
        run.invoke()
        outputs.append(run.get_tensor(target))
    return outputs


def _mean(model: Any, operator: Any, outputs: Sequence[NDArray]) -> NDArray[np.float64]:
    """Mean number of each channel, (C,), that integer `outputs` of `operator` stand for."""
    stored = model.subgraphs[0].tensors[operator.outputs[0]].quantization
    mean = np.mean([output.mean((0, 1, 2), dtype=np.float64) for output in outputs], axis=0)
    return (mean - stored.zeroPoint[0]) * stored.scale[0]


def _move_bias(model: Any, convolution: Any, by: NDArray[np.float64]) -> None:
    """Adds `by` (C,) to the bias of a convolution, in whole steps of its own scale."""
    tensor = model.subgraphs[0].tensors[convolution.inputs[2]]
    buffer = model.buffers[tensor.buffer]
    bias = np.frombuffer(bytes(buffer.data), np.int32)
    moved = np.round(bias + by / np.asarray(tensor.quantization.scale, np.float64))
    buffer.data = np.frombuffer(moved.astype(np.int32).tobytes(), np.uint8)


def channel_means(file: bytes, images: Sequence[Image]) -> list[NDArray[np.float64]]:
    """For each convolution of `file`: the mean of every channel over places and `images`, (C,)."""
    if not images:
        raise ValueError("images is empty; some photos are wanted, 10 are enough")
    kinds = [operator.kind for operator in tflite.operators(file)]
    places = [place for place, kind in enumerate(kinds) if kind in CONVOLUTIONS]
    run = open_interpreter(file, keep=True)
    totals = [np.zeros(1)] * len(places)
    for image in images:
        outputs = _outputs(run, image)
        means = [outputs[place].mean((0, 1, 2), dtype=np.float64) for place in places]
        totals = [total + mean for total, mean in zip(totals, means, strict=True)]
    return [total / len(images) for total in totals]


def _outputs(interpreter: Any, image: Image) -> list[NDArray[np.float32]]:
    """The output of each operator as numbers, after running `image` through `interpreter`."""
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], _entered(image, source))
    interpreter.invoke()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    numbers = []
    for operator in interpreter._get_ops_details():
        tensor = tensors[operator["outputs"][0]]
        values, (scale, zero) = interpreter.get_tensor(tensor["index"]), tensor["quantization"]
        numbers.append((values.astype(np.float32) - zero) * scale if scale else values)
    return numbers


def _affine(tensor: Any) -> Affine:
    """What the integers of a tensor stand for, from the interpreter's details of it."""
    stored = tensor["quantization_parameters"]
    scale, zero = stored["scales"].astype(np.float64), stored["zero_points"]
    return Affine(scale if len(scale) > 1 else float(scale[0]), int(zero[0]))


def _entered(image: Image, source: Any) -> NDArray:
    """`image` in the type in which a file takes it (`source`: the interpreter's input details)."""
    scale, zero = source["quantization"]
    if not scale:
        return image
    limits = np.iinfo(source["dtype"])
    steps = np.clip(np.round(image / scale + zero), limits.min, limits.max)
    return steps.astype(source["dtype"])
