"""Accuracy against time in int8: where to stop inside the network, what thinner ones would save.

    python experiments/front.py ../shared

Variants of the shipped network that need no training give their answer as scores at full size, as
class ids, or both at stride 4, to be enlarged outside; they are scored on the 40 VOC val photos.
Thinner networks have random weights: only their times mean anything ("miou" is null). All are timed
in turn, one thread, beside Google's files; ratios are to Google's uint8 file of width 1.0. About
six minutes on two quiet cores.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from precisions import GOOGLE, calibration_of
from tqdm import tqdm

from segcore import metrics
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.course import results
from segcore.data import voc
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter
from segcore.inference import benchmark
from segcore.inference.evaluate import evaluate
from segcore.inference.litert import inference
from segcore.inference.segmenter import Segmenter, load
from segcore.models import deeplab, pretrained
from segcore.quantisation.bias_correction import to_int8

ROUNDS = 30
THINNER = {  # filters of ASPP and decoder, wiring
    "filters_128": (128, deeplab.Wiring()),
    "filters_64": (64, deeplab.Wiring()),
    "width_half": (256, deeplab.Wiring(width=0.5)),
    "width_half_filters_128": (128, deeplab.Wiring(width=0.5)),
    "no_decoder": (256, deeplab.Wiring(decoder=False)),
}


def enlarged(path, size):
    """The stride-4 file at `path` as a segmenter: cell i of its answer lies on pixel 4·i."""
    small = inference(str(path), open_interpreter(path))
    pixels = np.arange(size)
    nearest = (pixels + 2) // 4
    low, part = pixels // 4, ((pixels % 4) / 4).astype(np.float32)
    high = np.minimum(low + 1, low[-1])

    def infer(box):
        answer = small(box)
        if answer.ndim == 2:
            return answer[nearest][:, nearest]
        rows = answer[low] * (1 - part[:, None, None]) + answer[high] * part[:, None, None]
        return rows[:, low] * (1 - part[:, None]) + rows[:, high] * part[:, None]

    return Segmenter(infer, size, path.stem)


def exact_variants(network, calibration, folder):
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
        found[path.stem] = (path, enlarged(path, size) if source is early else load(path))
    return found


def thinner_variants(size, folder):
    """Untrained networks, for their times alone → paths by name."""
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    paths = {}
    for name, (filters, wiring) in THINNER.items():
        network = deeplab.deeplab_v3_plus(size, filters=filters, batch_size=1, wiring=wiring)
        content = to_tflite(network, "int8", Calibration(tuple(noise)), argmax=True)
        paths[f"{name}_{size}"] = write_bytes(folder / f"{name}_{size}.tflite", content)
    return paths


def main(shared):
    pairs, calibration = voc.file_pairs(shared / "voc"), calibration_of(shared)
    values = {"machine": benchmark.machine(), "rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: shared / file for name, file in GOOGLE.items()}
        segmenters = {name: load(path) for name, path in paths.items()}
        for size in (257, 513):
            exact = exact_variants(pretrained.load(size, batch_size=1), calibration, Path(folder))
            paths |= {name: path for name, (path, _) in exact.items()}
            segmenters |= {name: segmenter for name, (_, segmenter) in exact.items()}
            paths |= thinner_variants(size, Path(folder))
        runs = {name: benchmark.file_run(path, 1) for name, path in paths.items()}
        timings = benchmark.interleave(runs, ROUNDS, "google_513", lambda x: tqdm(x, unit="round"))
        for timing in timings:
            row = {"p50": timing.p50, "p90": timing.p90, "ratio": timing.ratio, "miou": None}
            if timing.name in segmenters:
                bar = tqdm(pairs, desc=timing.name, unit="photo")
                row["miou"] = metrics.summary(evaluate(segmenters[timing.name], bar)[0])["miou"]
            values[timing.name] = {key: value and round(value, 3) for key, value in row.items()}
    print(results.record("front", values, seed=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
