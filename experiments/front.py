"""Accuracy against time in int8: where to stop inside the network, what thinner ones would save.

    python experiments/front.py

Variants of the shipped network that need no training give their answer as scores at full size, as
class ids, or both at stride 4, to be upsampled outside; they are scored on the 416 VOC val photos.
Thinner networks have random weights: only their times mean anything ("miou" is null). All are timed
in turn, one thread, beside Google's files; ratios are to Google's uint8 file of width 1.0. About
forty minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data.images import neighbours
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter
from segcore.inference import benchmark
from segcore.inference.litert import inference
from segcore.inference.segmenter import Segmenter, load
from segcore.models import deeplab, pretrained
from segcore.quantisation.bias_correction import to_int8

ROUNDS = 30
THINNER = {  # filters of ASPP and decoder, config
    "filters_128": (128, deeplab.DeepLabConfig()),
    "filters_64": (64, deeplab.DeepLabConfig()),
    "width_half": (256, deeplab.DeepLabConfig(width=0.5)),
    "width_half_filters_128": (128, deeplab.DeepLabConfig(width=0.5)),
    "no_decoder": (256, deeplab.DeepLabConfig(decoder=False)),
}


def upsampled(path: Path, size: int) -> Segmenter:
    """The stride-4 file at `path` as a segmenter: feature i of its answer lies on pixel 4·i."""
    small = inference(str(path), open_interpreter(path))
    nearest = (np.arange(size) + 2) // 4
    low, high, along = neighbours(np.arange(size) / 4, (size + 3) // 4)

    def infer(box: NDArray[np.uint8]) -> NDArray:
        answer = small(box)
        if answer.ndim == 2:
            return answer[nearest][:, nearest]
        rows = answer[low] * (1 - along[:, None, None]) + answer[high] * along[:, None, None]
        return rows[:, low] * (1 - along[:, None]) + rows[:, high] * along[:, None]

    return Segmenter(infer, size, path.stem)


def exact_variants(
    network: keras.Model, calibration: Calibration, folder: Path
) -> dict[str, tuple[Path, Segmenter]]:
    """The shipped weights, stopped at four places → (path, segmenter) by name."""
    size = network.input_shape[1]
    early = keras.Model(network.input, network.get_layer("logits").output)
    found = {}
    for name, source, argmax in (
        ("scores", network, False),
        ("ids", network, True),
        ("scores_stride_4", early, False),
        ("ids_stride_4", early, True),
    ):
        content = to_int8(source, calibration, argmax=argmax)
        path = write_bytes(folder / f"{name}_{size}.tflite", content)
        found[path.stem] = (path, upsampled(path, size) if source is early else load(path))
    return found


def thinner_variants(size: int, folder: Path) -> dict[str, Path]:
    """Untrained networks, for their times alone → paths by name."""
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    paths = {}
    for name, (filters, config) in THINNER.items():
        network = deeplab.deeplab_v3_plus(size, filters=filters, batch_size=1, config=config)
        content = to_tflite(network, "int8", Calibration(tuple(noise)), argmax=True)
        paths[f"{name}_{size}"] = write_bytes(folder / f"{name}_{size}.tflite", content)
    return paths


def measure(options: argparse.Namespace, folder: Path) -> common.Row:
    """Times of every variant, and scores of those that have learned something."""
    pairs, calibration = common.val_pairs(options), common.calibration(options.shared)
    paths = common.google(options.shared)
    segmenters = {name: load(path) for name, path in paths.items()}
    for size in (257, 513):
        exact = exact_variants(pretrained.load(size, batch_size=1), calibration, folder)
        paths |= {name: path for name, (path, _) in exact.items()}
        segmenters |= {name: segmenter for name, (_, segmenter) in exact.items()}
        paths |= thinner_variants(size, folder)
    values: common.Row = {"rounds": ROUNDS}
    runs = {name: benchmark.file_run(path, 1) for name, path in paths.items()}
    for timing in common.time_in_turn(runs, ROUNDS, "google_513"):
        row: common.Row = {"miou": None}
        if timing.name in segmenters:
            found = scores.score(segmenters[timing.name], pairs, f"front_{timing.name}")
            row = scores.keep(found, options)
        values[timing.name] = common.timing_row(timing) | row
    return values


if __name__ == "__main__":
    options = common.options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        common.record("front", measure(options, Path(folder)), options, seed=0)
