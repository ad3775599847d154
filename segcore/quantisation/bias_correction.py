"""Biases of an int8 file corrected so that each channel keeps the mean that it has in float."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore.export import tflite
from segcore.export.affine import Affine
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter
from segcore.export.labels import with_labels
from segcore.quantisation.debugger import Image, run_operators, same_operators, to_input

if TYPE_CHECKING:
    import keras

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
CORRECTING = 12  # photos that a bias is corrected on; 30 changed nothing more


def to_int8(
    network: keras.Model, calibration: Calibration, interface: str = "uint8", argmax: bool = False
) -> bytes:
    """`to_tflite` to int8, then `correct_bias` on the first dozen calibration photos."""
    size = network.input_shape[1]
    content = to_tflite(network, "int8", calibration, interface, argmax)
    floats = to_tflite(network, "float32", argmax=argmax)
    return correct_bias(floats, content, list(islice(calibration.images(size), CORRECTING)))


def correct_bias(
    float_file: tflite.Source,
    int8_file: tflite.Source,
    images: Sequence[Image],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> bytes:
    """`int8_file` with new biases, so that each channel has the mean that it has in `float_file`.

    Rounding adds noise, but it also moves the mean of a channel, and a channel that is off for all
    pixels alike changes the verdict. One convolution after the other, in running order: measure
    how far the mean over `images` is off behind all that was corrected before, and take that off
    the bias. Nothing is trained and no file grows. `progress` may wrap the operators in a bar.
    Nagel et al. 2019, Data-Free Quantization, section 4.2. Taught in chapter 9.
    """
    truth = tflite.opened(float_file)
    file = tflite.File(tflite.opened(int8_file).content)  # parsed here: its model will be changed
    same_operators(truth, file)
    wanted = iter(channel_means(truth, images))
    graph = file.graph
    last = {int(i): n for n, o in enumerate(graph.operators) for i in o.inputs}
    source = open_interpreter(file).get_input_details()[0]
    values = {int(graph.inputs[0]): [to_input(image, source) for image in images]}
    for number in progress(range(len(graph.operators))):
        operator = graph.operators[number]
        outputs = _run_alone(file, number, values)
        if file.operators[number].kind in CONVOLUTIONS:
            _move_bias(file, operator, next(wanted) - _mean(file, operator, outputs))
            outputs = _run_alone(file, number, values)
        values[int(operator.outputs[0])] = outputs
        values = {index: kept for index, kept in values.items() if last.get(index, -1) > number}
    return with_labels(tflite.write(file.model), file.class_names)


def correct_network(
    folded: keras.Model, quantised: keras.Model, images: NDArray[np.float32]
) -> None:
    """New biases in `quantised`, so that each convolution has the means that it has in `folded`.

    As `correct_bias`, for the two networks of quantisation-aware training, of any number of bits:
    `folded` from `fold.fold`, `quantised` from `qat.quantise` of it. `images` (B, S, S, 3). The
    means are those before the ReLU. Nagel et al. 2019, section 4.2. Taught in chapter 10.
    """
    from segcore.quantisation.fake_quant import Convolution

    for layer in quantised.layers:
        if isinstance(layer, Convolution):
            wanted, found = (
                _mean_before_relu(model, layer.name, images) for model in (folded, quantised)
            )
            layer.bias.assign_add(wanted - found)


def _mean_before_relu(
    model: keras.Model, name: str, images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Each channel's mean behind the layer `name` over positions and `images`, (C,)."""
    part = type(model)(model.input, model.get_layer(name).output)
    return np.asarray(part(images)).mean((0, 1, 2), dtype=np.float64).astype(np.float32)


def _run_alone(file: tflite.File, number: int, values: dict[int, list[NDArray]]) -> list[NDArray]:
    """Outputs of operator `number` of `file` for each image, given `values` by tensor number."""
    operator = file.graph.operators[number]
    inputs = [values[int(i)] for i in operator.inputs if int(i) in values]
    run = open_interpreter(file.single(number))
    target, outputs = run.get_output_details()[0]["index"], []
    for image in zip(*inputs, strict=True):
        for source, array in zip(run.get_input_details(), image, strict=True):
            run.set_tensor(source["index"], array)
        run.invoke()
        outputs.append(run.get_tensor(target))
    return outputs


def _mean(file: tflite.File, operator: Any, outputs: Sequence[NDArray]) -> NDArray[np.float64]:
    """Mean number of each channel, (C,), that integer `outputs` of `operator` stand for."""
    stored = file.graph.tensors[operator.outputs[0]].quantization
    mean = np.mean([output.mean((0, 1, 2), dtype=np.float64) for output in outputs], axis=0)
    return Affine(stored.scale[0], stored.zeroPoint[0]).dequantise(mean, np.float64)


def _move_bias(file: tflite.File, convolution: Any, by: NDArray[np.float64]) -> None:
    """Adds `by` (C,) to the bias of a convolution, in whole steps of its own scale."""
    tensor = file.graph.tensors[convolution.inputs[2]]
    buffer = file.model.buffers[tensor.buffer]
    bias = np.frombuffer(bytes(buffer.data), np.int32)
    steps = Affine(np.asarray(tensor.quantization.scale, np.float64)).quantise(by, np.int32)
    buffer.data = np.frombuffer((bias + steps).tobytes(), np.uint8)


def channel_means(file: tflite.Source, images: Sequence[Image]) -> list[NDArray[np.float64]]:
    """For each convolution of `file`: every channel's mean over positions and `images`, (C,)."""
    check("images", images, len(images), "some photos, 10 are enough")
    file = tflite.opened(file)
    kinds = [operator.kind for operator in file.operators]
    numbers = [number for number, kind in enumerate(kinds) if kind in CONVOLUTIONS]
    run = open_interpreter(file, keep=True)
    totals = [np.zeros(1)] * len(numbers)
    for image in images:
        outputs = run_operators(run, image)
        means = [outputs[number].mean((0, 1, 2), dtype=np.float64) for number in numbers]
        totals = [total + mean for total, mean in zip(totals, means, strict=True)]
    return [total / len(images) for total in totals]
