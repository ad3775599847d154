"""Four precisions of the shipped network, and Google's two files: scores, differences, times.

    python experiments/precisions.py

One evaluator, the 416 VOC val photos at hand, native size; times are taken in turn, one thread
unless the name says so. Int8 is calibrated on a hundred train photos, never on a val photo: once as
the converter leaves it ("int8_plain") and once with corrected biases ("int8"). Each file is
compared with float32 of its size, paired over photos. To expect: float16 and dynamic range score
like float32, plain int8 loses some mIoU and corrected int8 almost none. About an hour and a half on
two quiet cores.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import common
import scores

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.export import tflite
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.inference import benchmark
from segcore.inference.segmenter import wrap
from segcore.models import pretrained
from segcore.quantisation import bias_correction, debugger
from segcore.quantisation.bias_correction import to_int8

SIZES = (257, 513)
ROUNDS = 30
PROFILED = ("int8_257", "int8_513", "float32_513", "google_513")
KEYS = {  # names fit for results.get
    "Keras predict()": "keras_predict",
    "Keras predict_on_batch()": "keras_predict_on_batch",
    "Keras model(x)": "keras_call",
    "tf.function": "tf_function",
}


def contents_of(network: keras.Model, calibration: Calibration) -> dict[str, bytes]:
    """The bytes of a file in each precision, and of int8 in each way of giving its answer."""
    contents = {name: to_tflite(network, name) for name in ("float32", "float16", "dynamic")}
    images = list(islice(calibration.images(network.input_shape[1]), bias_correction.CORRECTING))
    contents["int8_plain"] = to_tflite(network, "int8", calibration)
    contents["int8"] = bias_correction.correct_bias(
        contents["float32"], contents["int8_plain"], images
    )
    contents["int8_argmax"] = to_int8(network, calibration, argmax=True)
    return contents


def noise(contents: dict[str, bytes], calibration: Calibration, size: int) -> common.Row:
    """Signal-to-noise in dB behind each operator, plain and corrected, on three photos."""
    images = list(islice(calibration.images(size), 60, 63))  # none that corrected the biases
    rows = {
        name: debugger.signal_to_noise(contents["float32"], contents[name], images)
        for name in ("int8_plain", "int8")
    }
    return {
        "layers": [operator.layer or operator.kind for operator, _ in rows["int8"]],
        "kinds": [operator.kind for operator, _ in rows["int8"]],
        **{name: [round(decibels, 2) for _, decibels in row] for name, row in rows.items()},
    }


def profile(path: Path) -> common.Row:
    """Milliseconds by operator of one file, the longest first."""
    parts = benchmark.profile(path)
    longest = sorted(parts, key=lambda part: -part.ms)[:12]
    return {
        "sum_ms": round(sum(part.ms for part in parts), 2),
        "by_kind": {kind: round(ms, 2) for kind, ms in benchmark.sums_by_kind(parts).items()},
        "longest": [[o.kind, o.layer, list(o.shape), round(ms, 2)] for o, ms in longest],
    }


def times(paths: dict[str, Path]) -> common.Row:
    """Times and the ratio to float32 of the same size, for every file and for Keras at 257."""
    rows: common.Row = {}
    for size in SIZES:
        names = [name for name in paths if name.endswith(f"_{size}")]
        runs = {name: benchmark.file_run(paths[name], 1) for name in names}
        for name in (f"float32_{size}", f"int8_{size}"):
            runs[f"{name}_2_threads"] = benchmark.file_run(paths[name], 2)
        if size == 257:
            runs |= benchmark.keras_runs(pretrained.load(size, batch_size=1))
        for timing in common.time_in_turn(runs, ROUNDS, f"float32_{size}"):
            threads = 2 if timing.name.endswith("threads") else 1
            key = KEYS.get(timing.name, timing.name)
            rows[key] = common.timing_row(timing, None if timing.name in KEYS else threads)
    return rows


def measure(options: argparse.Namespace, folder: Path) -> common.Row:
    """All scores, noises, times and profiles; the files are written to `folder`."""
    pairs, calibration = common.val_pairs(options), common.calibration(options.shared)
    paths, noises, rows = common.google(options.shared), {}, {}
    for size in SIZES:
        network = pretrained.load(size, batch_size=1)
        contents, reference = contents_of(network, calibration), wrap(network, "Keras")
        noises[f"size_{size}"] = noise(contents, calibration, size)
        float32 = None
        for name, content in contents.items():
            path = write_bytes(folder / f"{name}_{size}.tflite", content)
            paths[path.stem] = path
            found, held = scores.score_file(path, reference, pairs, f"precisions_{path.stem}")
            float32 = float32 or found
            rows[path.stem] = held | scores.keep(found, options, float32)
    for name in common.GOOGLE:  # scored in results/voc.json
        rows[name] = dict(tflite.File(paths[name]).summary())
    return {
        "photos": len(pairs),
        "rounds": ROUNDS,
        "noise": noises,
        "calibration": {"photos": len(calibration.photos), "seed": calibration.seed},
        **rows,
        "times": times(paths),
        "operators": {name: profile(paths[name]) for name in PROFILED},
    }


if __name__ == "__main__":
    options = common.options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        values = measure(options, Path(folder))
    common.record("precisions", values, options, seed=0)
