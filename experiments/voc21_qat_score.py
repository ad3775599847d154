"""What quantisation-aware training is worth: float32, plain int8 and trained int8 on the 40 photos.

    python experiments/voc21_qat_score.py ../shared runs/voc21_qat

Takes the weights that `voc21_qat.py` left, writes an int8 file beside them for each size, and
scores it on the 40 VOC val photos next to the float32 network and to two int8 files of the same
network: only calibrated, with 100 photos of the training set, and with its biases corrected too.
How far the trained network and its file differ is measured on 8 training photos, in steps of the
output. Ten minutes on two cores. Expected: the trained int8 within 0.5 mIoU of float32.
"""

import json
import sys
from pathlib import Path

import numpy as np
from voc21_photos import pairs_of

from segcore import metrics
from segcore._files import write_bytes
from segcore.course import results
from segcore.data import voc
from segcore.data.images import letterbox, read_image
from segcore.export.calibration import draw_photos
from segcore.export.convert import to_tflite
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import load, wrap
from segcore.models import checkpoint, deeplab, pretrained
from segcore.quantisation import qat
from segcore.quantisation.bias_correction import to_int8


def network(size, out):
    """The trained fake-quantised network with a batch of 1."""
    fresh = qat.quantise(deeplab.deeplab_v3_plus(size, batch_size=1))
    checkpoint.load_weights(fresh, out / f"voc21_qat_{size}.npz")
    qat.round_biases(fresh)
    return fresh


def differences(fake, segmenter, photos):
    """How well the trained network predicts its own file, in steps of the output scale."""
    boxes = [letterbox(read_image(photo), segmenter.size)[0] for photo in photos]
    apart = np.stack([qat.steps_apart(fake, segmenter, box) for box in boxes])
    return {
        "photos": len(photos),
        "within_2": round(100 * float((apart < 2.5).mean()), 3),
        "largest": round(float(apart.max()), 1),
    }


def files(size, shared, out):
    """Name → segmenter: the float network and three int8 files; the trained network beside them."""
    fake, plain = network(size, out), pretrained.load(size, batch_size=1)
    calibration = draw_photos([photo for photo, _ in pairs_of(shared)], 100)
    contents = {
        "ptq": to_tflite(plain, "int8", calibration),
        "corrected": to_int8(plain, calibration),
        "qat": to_tflite(fake, "int8"),
    }
    found = {"float32": wrap(plain, "float32")}
    for name, content in contents.items():
        found[name] = load(write_bytes(out / f"{name}_int8_{size}.tflite", content))
    return found, fake


def changed(log):
    """Pixels in a hundred, of photos held out, that got another class than from the float network:
    of the network that was only calibrated, with its biases corrected, and of the trained one."""
    stages = {
        "calibrated": {size: found["agree"] for size, found in log["calibrated"].items()},
        "corrected": {size: log["validation"][0][size]["agree"] for size in log["best_agree"]},
        "trained": log["best_agree"],
    }
    return {
        f"{stage}_{size}": round(100 - 100 * agree, 2)
        for stage, sizes in stages.items()
        for size, agree in sizes.items()
    }


def measure(size, shared, out):
    """One size: scores of all files, and how well the trained network predicts its own."""
    pairs, scores = voc.file_pairs(shared / "voc"), {}
    found, fake = files(size, shared, out)
    for name, segmenter in found.items():
        scores[name] = metrics.summary(evaluate(segmenter, pairs)[0])
        print(size, name, scores[name]["miou"], flush=True)
    whole = scores["float32"]["miou"]
    lost = {
        f"lost_{name}": round(whole - scores[name]["miou"], 2)
        for name in ("ptq", "corrected", "qat")
    }
    path = Path(found["qat"].name)
    photos = [photo for photo, _ in pairs_of(shared)][:8]
    steps = differences(fake, found["qat"], photos)
    return scores | lost | {"steps_apart": steps, "bytes": path.stat().st_size}


if __name__ == "__main__":
    shared, out = Path(sys.argv[1]), Path(sys.argv[2])
    log = json.loads((out / "voc21_qat.json").read_text())
    values = {f"size_{size}": measure(int(size), shared, out) for size in log["best_agree"]}
    values |= {"changed": changed(log), "training": log}
    print(results.record("voc21_qat", values, log["seed"]))
