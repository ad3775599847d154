"""What quantisation-aware training is worth: float32, plain int8 and trained int8 on the 40 photos.

    python experiments/voc21_qat_score.py runs/voc21_qat

Takes the weights that `voc21_qat.py` left, writes an int8 file beside them for each size, and
scores it on the 40 VOC val photos next to the float32 network and to two int8 files of the same
network: only calibrated, with 100 photos of the training set, and with its biases corrected too.
How far the trained network and its file differ is measured on 8 training photos, in quantisation
steps of the output. Ten minutes on two cores. Expected: the trained int8 within half a per cent of
the mIoU of float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

import common
import numpy as np
from voc21_photos import pairs_of

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data.images import letterbox, read_image
from segcore.export.calibration import draw_photos
from segcore.export.convert import to_tflite
from segcore.inference.segmenter import Segmenter, load, wrap
from segcore.models import checkpoint, deeplab, pretrained
from segcore.quantisation import qat
from segcore.quantisation.bias_correction import to_int8


class Log(TypedDict):
    """What voc21_qat.py wrote: on photos held out, which part agrees with the float network."""

    seed: int
    best_agree: dict[str, float]
    calibrated: dict[str, dict[str, float]]
    validation: list[dict[str, dict[str, float]]]


def network(size: int, out: Path) -> keras.Model:
    """The trained fake-quantised network with a batch of 1."""
    fresh = qat.quantise(deeplab.deeplab_v3_plus(size, batch_size=1))
    checkpoint.load_weights(fresh, out / f"voc21_qat_{size}.npz")
    qat.round_biases(fresh)
    return fresh


def differences(fake: keras.Model, segmenter: Segmenter, photos: list[Path]) -> common.Row:
    """How well the trained network predicts its own file, in quantisation steps of the output."""
    boxes = [letterbox(read_image(photo), segmenter.size)[0] for photo in photos]
    apart = np.stack([qat.steps_apart(fake, box, segmenter.infer(box)) for box in boxes])
    return {
        "photos": len(photos),
        "within_2": common.fraction((apart < 2.5).mean()),
        "largest": round(float(apart.max()), 1),
    }


def changed(log: Log) -> dict[str, float | None]:
    """Part of the pixels of photos held out with another class than from the float network: of the
    network that was only calibrated, with its biases corrected, and of the trained one."""
    stages: dict[str, Mapping[str, float]] = {
        "calibrated": {size: found["agree"] for size, found in log["calibrated"].items()},
        "corrected": {size: log["validation"][0][size]["agree"] for size in log["best_agree"]},
        "trained": log["best_agree"],
    }
    return {
        f"{stage}_{size}": common.fraction(1 - agree)
        for stage, sizes in stages.items()
        for size, agree in sizes.items()
    }


def measure(size: int, shared: Path, out: Path) -> common.Row:
    """One size: scores of the float network and three files, and how the last fits its network."""
    photos, pairs = [photo for photo, _ in pairs_of(shared)], common.val_pairs(shared)
    fake, plain = network(size, out), pretrained.load(size, batch_size=1)
    calibration = draw_photos(photos, 100)
    contents = {
        "ptq": to_tflite(plain, "int8", calibration),
        "corrected": to_int8(plain, calibration),
        "qat": to_tflite(fake, "int8"),
    }
    segmenters = {"float32": wrap(plain, "float32")}
    for name, content in contents.items():
        segmenters[name] = load(write_bytes(out / f"{name}_int8_{size}.tflite", content))
    rows: common.Row = {
        name: common.score_row(common.score(segmenter, pairs, f"{name} {size}"))
        for name, segmenter in segmenters.items()
    }
    steps = differences(fake, segmenters["qat"], photos[:8])
    return rows | {"steps_apart": steps, "bytes": len(contents["qat"])}


if __name__ == "__main__":
    parser = common.parser(__doc__)
    parser.add_argument("out", type=Path, help="the folder that voc21_qat.py wrote")
    options = common.parse(parser)
    log: Log = json.loads((options.out / "voc21_qat.json").read_text())
    sizes = {
        f"size_{size}": measure(int(size), options.shared, options.out)
        for size in log["best_agree"]
    }
    values: common.Row = {**sizes, "changed": changed(log), "training": cast(common.Row, log)}
    common.record("voc21_qat", values, options, log["seed"])
