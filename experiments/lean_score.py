"""Int8 files in one run, mIoU, bytes and time: the lean network, the whole one, 257, Google's.

    python experiments/lean_score.py

Calibrated and corrected as everything that ships; one thread, taking turns. The networks at 513
give class ids, as Google's do; the two files that ship, "phone" (257) and "sharp" (513, lean), give
scores. "whole_float" and "lean_float" are the same at 513 under Keras. On the 40 val photos, on
which nothing in its making (results/lean.json) was chosen. Five minutes on two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import common

from segcore import shipped
from segcore._files import write_bytes
from segcore.inference import benchmark
from segcore.inference.segmenter import load, wrap
from segcore.models import pretrained
from segcore.quantisation.bias_correction import to_int8

ROUNDS = 30


def compare(shared: Path, folder: Path) -> common.Row:
    """Scores, bytes and times of our files and of Google's, by name; files go to `folder`."""
    pairs, calibration = common.val_pairs(shared), common.calibration(shared)
    whole, lean = pretrained.load(513, batch_size=1), pretrained.load(513, "lean", batch_size=1)
    paths = common.google(shared) | {"phone": shipped.PHONE.file, "sharp": shipped.SHARP.file}
    rows: common.Row = {}
    for name, network in (("whole", whole), ("lean", lean)):
        content = to_int8(network, calibration, argmax=True)
        paths[name] = write_bytes(folder / f"{name}.tflite", content)
        scores = common.score_row(common.score(wrap(network, name), pairs))
        rows[f"{name}_float"] = scores | {"parameters": network.count_params()}
    runs = {name: benchmark.file_run(path, 1) for name, path in paths.items()}
    for timing in common.time_in_turn(runs, ROUNDS, "google_513"):
        path = paths[timing.name]
        scores = common.score_row(common.score(load(path), pairs, timing.name))
        size = {"bytes": path.stat().st_size}
        rows[timing.name] = scores | size | common.timing_row(timing)
    return rows


if __name__ == "__main__":
    options = common.options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        common.record("lean_score", compare(options.shared, Path(folder)), options, seed=0)
