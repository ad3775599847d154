"""Int8 files in one run, mIoU, bytes and time: the lean network, the whole one, 257, Google's.

    python experiments/lean_score.py ../shared

Calibrated and corrected as everything that ships; one thread, taking turns. The networks at 513
give class ids, as Google's do; the two files that ship, "phone" (257) and "sharp" (513, lean), give
scores. "whole_float" and "lean_float" are the same at 513 under Keras. On the 40 val photos, on
which nothing in lean.py was chosen. Five minutes on two cores.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from precisions import GOOGLE, calibration_of
from tqdm import tqdm

from segcore import metrics, shipped
from segcore._files import write_bytes
from segcore.course import results
from segcore.data import voc
from segcore.inference import benchmark
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import load, wrap
from segcore.models import pretrained
from segcore.quantisation.bias_correction import to_int8

ROUNDS = 30


def compare(shared: Path) -> dict[str, Any]:
    """mIoU, bytes and times of our files and of Google's, by name."""
    pairs, calibration = voc.file_pairs(shared / "voc"), calibration_of(shared)
    whole, thin = pretrained.load(513, batch_size=1), pretrained.load(513, "lean", batch_size=1)
    networks = {"whole": whole, "lean": thin}
    paths = {name: shared / path for name, path in GOOGLE.items()}
    paths |= {"phone": shipped.PHONE.file, "sharp": shipped.SHARP.file}
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks.items():
            content = to_int8(network, calibration, argmax=True)
            paths[name] = write_bytes(Path(folder) / f"{name}.tflite", content)
        runs = {name: benchmark.file_run(path, 1) for name, path in paths.items()}
        timings = benchmark.interleave(runs, ROUNDS, "google_513", lambda x: tqdm(x, unit="round"))
        for name, network in networks.items():
            counts = evaluate(wrap(network, name), tqdm(pairs, desc=name))[0]
            rows[f"{name}_float"] = {
                k: metrics.summary(counts)[k] for k in ("miou", "accuracy", "iou")
            }
            rows[f"{name}_float"]["parameters"] = network.count_params()
        for t in timings:
            path = paths[t.name]
            counts = evaluate(load(path), tqdm(pairs, desc=f"{t.name}, int8"))[0]
            score = metrics.summary(counts)
            rows[t.name] = {key: score[key] for key in ("miou", "accuracy", "iou")} | {
                "mib": round(path.stat().st_size / 2**20, 2),
                "p50": round(t.p50, 1),
                "p90": round(t.p90, 1),
                "ratio": round(t.ratio, 3),
            }
    return rows | {"machine": benchmark.machine()}


if __name__ == "__main__":
    print(results.record("lean_score", compare(Path(sys.argv[1])), seed=0))
