"""Four precisions of the shipped network, and Google's two files: scores, differences, times.

    python experiments/precisions.py ../shared [--weights FILE.npz]

One evaluator, the 40 VOC val photos at hand, native size, one confusion matrix a file; times are
taken in turn, one thread unless the name says so. Int8 is calibrated on the 52 train photos and 48
unlabelled ones, never on a val photo: once as the converter leaves it ("int8_plain") and once with
corrected biases ("int8"). Expected with the first checkpoint: float16 and dynamic range score like
float32, plain int8 loses 3 mIoU at 513 and corrected int8 almost none. About a
quarter of an hour on two quiet cores, half of it for `--times`, which takes only those anew.
"""

import argparse
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from segcore import metrics, shipped
from segcore._files import write_bytes
from segcore.course import results
from segcore.data import voc
from segcore.export.calibration import draw_photos
from segcore.export.convert import to_tflite
from segcore.inference import benchmark
from segcore.inference.evaluate import compare_files
from segcore.inference.segmenter import wrap
from segcore.models import pretrained
from segcore.quantisation import bias_correction, debugger
from segcore.quantisation.bias_correction import to_int8

SIZES = (257, 513)
ROUNDS = 30
GOOGLE = {
    "google_513": "reference/deeplabv3_mnv2_pascal_quant.tflite",
    "google_half_513": "reference/deeplabv3_mnv2_dm05_pascal_quant.tflite",
}
KEYS = {  # names fit for results.get
    "Keras predict()": "keras_predict",
    "Keras predict_on_batch()": "keras_predict_on_batch",
    "Keras model(x)": "keras_call",
    "tf.function": "tf_function",
}


def calibration_of(shared):
    """All labelled train photos and 48 unlabelled ones, drawn with seed 0."""
    train = tuple(photo for photo, _ in voc.file_pairs(shared / "voc", "train"))
    more = draw_photos((shared / "voc" / "unlabelled").glob("*.jpg"), 48, seed=0)
    return replace(more, photos=train + more.photos)


def contents_of(network, calibration):
    """The bytes of a file in each precision, and of int8 in each way of giving its answer."""
    contents = {name: to_tflite(network, name) for name in ("float32", "float16", "dynamic")}
    images = list(islice(calibration.images(network.input_shape[1]), bias_correction.CORRECTING))
    contents["int8_plain"] = to_tflite(network, "int8", calibration)
    contents["int8"] = bias_correction.correct_bias(
        contents["float32"], contents["int8_plain"], images
    )
    contents["int8_argmax"] = to_int8(network, calibration, argmax=True)
    return contents


def score(path, reference, pairs):
    """One row: the contract of a file, its scores in percent, ready for JSON."""
    held = compare_files(path, reference, tqdm(pairs, desc=path.stem, unit="photo"))
    scores = metrics.summary(held.pop("confusion"))
    difference = held["logit_difference"]
    return held | {
        "accuracy": scores["accuracy"],
        "miou": scores["miou"],
        "iou": scores["iou"],
        "changed": round(100 * held["changed"], 3),
        "logit_difference": None if difference is None else round(difference, 3),
    }


def noise(contents, calibration, size):
    """Signal-to-noise in dB behind each operator, plain and corrected, on three photos."""
    images = list(islice(calibration.images(size), 60, 63))  # none that corrected the biases
    rows = {
        name: debugger.signal_to_noise(contents["float32"], contents[name], images)
        for name in ("int8_plain", "int8")
    }
    return {
        "layers": [operator.layer or operator.kind for operator, _ in rows["int8"]],
        "kinds": [operator.kind for operator, _ in rows["int8"]],
    } | {name: [round(decibels, 2) for _, decibels in row] for name, row in rows.items()}


def profiles(paths):
    """Milliseconds by operator of the int8 files and Google's, the longest first."""
    found = {}
    for name in ("int8_257", "int8_513", "float32_513", "google_513"):
        parts = benchmark.profile(paths[name])
        longest = sorted(parts, key=lambda part: -part.ms)[:12]
        found[name] = {
            "sum_ms": round(sum(part.ms for part in parts), 2),
            "by_kind": {k: round(ms, 2) for k, ms in benchmark.sums_by_kind(parts).items()},
            "longest": [[o.kind, o.layer, list(o.shape), round(ms, 2)] for o, ms in longest],
        }
    return found


def times(paths, shared, weights):
    """p50, p90 and the ratio to float32 of the same size, for every file and for Keras at 257."""
    rows = {}
    for size in SIZES:
        names = [name for name in paths if name.endswith(f"_{size}")]
        runs = {name: benchmark.file_run(paths[name], 1) for name in names}
        for name in (f"float32_{size}", f"int8_{size}"):
            runs[f"{name}_2_threads"] = benchmark.file_run(paths[name], 2)
        if size == 257:
            runs |= benchmark.keras_runs(pretrained.load(size, weights, batch_size=1))
        timings = benchmark.interleave(
            runs, ROUNDS, f"float32_{size}", lambda x: tqdm(x, unit="round")
        )
        for t in timings:
            row = {"p50": t.p50, "p90": t.p90, "ratio": t.ratio}
            rows[KEYS.get(t.name, t.name)] = {key: round(value, 3) for key, value in row.items()}
    return rows


def main(shared, weights, times_only):
    pairs, calibration = voc.file_pairs(shared / "voc"), calibration_of(shared)
    values = {"photos": len(pairs), "rounds": ROUNDS, "noise": {}}
    values["calibration"] = {"photos": len(calibration.photos), "seed": calibration.seed}
    if times_only:
        values = results.load("precisions")["values"]
    values["machine"] = benchmark.machine()
    paths = {name: shared / file for name, file in GOOGLE.items()}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            network = pretrained.load(size, weights, batch_size=1)
            contents = contents_of(network, calibration)
            for name, content in contents.items():
                path = write_bytes(Path(folder) / f"{name}_{size}.tflite", content)
                paths[path.stem] = path
            if times_only:
                continue
            reference = wrap(network, "Keras")
            values["noise"][f"size_{size}"] = noise(contents, calibration, size)
            for name in contents:
                key = f"{name}_{size}"
                values[key] = score(paths[key], reference, pairs)
        for name in GOOGLE if not times_only else ():
            values[name] = score(paths[name], reference, pairs) | {"changed": None}
        values["times"] = times(paths, shared, weights)
        values["operators"] = profiles(paths)
    print(results.record("precisions", values, seed=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--weights", type=Path, default=shipped.FLOAT.file)
    parser.add_argument("--times", action="store_true", help="take the times anew, keep the rest")
    options = parser.parse_args()
    main(options.shared, options.weights, options.times)
