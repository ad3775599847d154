"""The int8 files that ship: the trained network rounded, its biases corrected, trained on rounded.

    python experiments/voc_int8.py --size 257 [--qat]
    python experiments/voc_int8.py --size 513 [--qat]

Three files are made from the float network of `voc_train.py`. "ptq" is what the converter makes of
it with 100 calibration photos; "corrected" has the means of its channels put right; with --qat
there is a third that goes on learning for a few hundred steps with the rounding inside, from the
same teacher and views: the better part of an hour, where the others take a minute. All are scored
on the 132 photos that are held apart, against the float network. DeepLabV3 remembers these, so they
do not decide: what ships is the file whose masks are nearest to the float network's on the 200
photos without masks that are held apart. `--ship NAME` then writes that one to `segcore/weights`,
with the float network beside it, and needs no second training.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
import scores
import voc_teacher
import voc_train
from numpy.typing import NDArray

from segcore import shipped
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data import voc
from segcore.data.images import read_image
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.labels import with_labels
from segcore.inference.segmenter import Segmenter, load
from segcore.models import checkpoint, pretrained
from segcore.quantisation import qat
from segcore.quantisation.bias_correction import to_int8
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.losses import Distillation

SEED, CALIBRATING = 0, 100
RECIPES = {
    257: Recipe(3, 1e-5, warmup=30, average=0.98, loss=Distillation()),
    513: Recipe(2, 2e-5, "sgd", warmup=30, clip=6.0, average=0.98, loss=Distillation()),
}
STEPS = 100
SHIPS = {257: shipped.PHONE, 513: shipped.SHARP}


def calibrating(photos: voc_teacher.Pool) -> NDArray[np.intp]:
    """Photos to calibrate on: official train ones, not held apart."""
    official = len(voc.file_pairs(common.BESIDE / "voc2012", "train"))
    return np.random.default_rng(SEED).permutation(np.flatnonzero(~photos.held[:official]))[
        :CALIBRATING
    ]


def trained_rounded(size: int, path: Path, photos: voc_teacher.Pool) -> keras.Model:
    """The float network at `path`, trained on with its rounding inside, with a batch of 1."""
    plain = voc_train.Views(size, 0, photos)
    rng = np.random.default_rng(SEED)
    batches = [plain.view(rng, index)[0][None] for index in calibrating(photos)]
    model = pretrained.load(size, path)
    network = qat.quantise(model, qat.calibrate(model, batches))
    student = keras.Model(network.input, network.get_layer("logits").output, name=network.name)
    batch = voc_train.BATCH[size]
    views = voc_train.Views(
        size, voc_train.source(photos), photos, voc_train.chances(photos), voc_train.SCALES[size]
    )
    data = Batches((np.arange(STEPS * batch),), batch, SEED + 1, views)
    folder = voc_teacher.CACHE / f"qat_{size}"
    fit(student, data, RECIPES[size], folder=folder, resume=folder.exists())
    single = qat.quantise(pretrained.load(size, path, batch_size=1))
    checkpoint.load_weights(single, checkpoint.arrays_of(network))
    return single


def rounded(size: int, path: Path, photos: voc_teacher.Pool) -> bytes:
    """What the converter makes of the float network at `path`."""
    return to_tflite(pretrained.load(size, path, batch_size=1), "int8", calibration(photos))


def corrected(size: int, path: Path, photos: voc_teacher.Pool) -> bytes:
    """That file with the means of its channels put right."""
    return to_int8(pretrained.load(size, path, batch_size=1), calibration(photos))


def trained(size: int, path: Path, photos: voc_teacher.Pool) -> bytes:
    """The file of the network that goes on learning with its rounding inside."""
    return to_tflite(trained_rounded(size, path, photos), "int8")


MADE = {"ptq": rounded, "corrected": corrected, "qat": trained}


def same_pixels(network: Segmenter, file: Segmenter, photos: voc_teacher.Pool) -> common.Row:
    """How large a part of each photo without a mask, held apart, both give the same classes."""
    files = (photos.files[index] for index in np.flatnonzero(photos.held))
    images = (read_image(photo) for photo, mask in files if mask is None)
    same = np.array([(network(image).mask == file(image).mask).mean() for image in images])
    drawn = np.random.default_rng(SEED).integers(0, len(same), (1000, len(same)))
    low, high = np.percentile(same[drawn].mean(1), [2.5, 97.5])
    return {
        "photos": len(same),
        "same": common.fraction(same.mean()),
        "low": common.fraction(low),
        "high": common.fraction(high),
    }


def calibration(photos: voc_teacher.Pool) -> Calibration:
    """The pictures that show how far activations reach."""
    return Calibration(tuple(photos.files[i][0] for i in calibrating(photos)), SEED)


def main() -> None:
    arguments = common.parser(__doc__)
    arguments.add_argument("--size", type=int, choices=RECIPES, required=True)
    arguments.add_argument("--qat", action="store_true", help="train one with its rounding, too")
    arguments.add_argument("--ship", choices=MADE)
    chosen = common.parse(arguments)
    size, photos = chosen.size, voc_teacher.pool(chosen.shared)
    path = voc_teacher.CACHE / f"student_{size}" / "final.npz"
    wanted = [name for name in MADE if chosen.qat or name != "qat"]
    files = {name: voc_teacher.CACHE / f"{name}_{size}.tflite" for name in wanted}
    for name, file in files.items():
        if not file.exists() and chosen.ship in (None, name):
            write_bytes(file, with_labels(MADE[name](size, path, photos), voc.CLASSES))
    if chosen.ship:
        write_bytes(SHIPS[size].file, files[chosen.ship].read_bytes())
        write_bytes(shipped.FLOAT.file_for(size), path.read_bytes())
        return
    pairs, rows, network = voc_train.apart(photos), {}, load(path)
    reference = scores.score(network, pairs, f"held_float_{size}")
    rows["float"] = scores.keep(reference, chosen)
    for name, file in files.items():
        found = scores.score(load(file), pairs, f"held_{name}_{size}")
        rows[name] = scores.keep(found, chosen, reference) | {
            "unlabelled": same_pixels(network, load(file), photos)
        }
        print(name, rows[name]["miou"], rows[name]["unlabelled"])
    recipe = {"steps": STEPS, **RECIPES[size].identity()} if chosen.qat else None
    common.record(
        f"voc_int8_{size}", {"photos": CALIBRATING, "qat": recipe, "held": rows}, chosen, SEED
    )


if __name__ == "__main__":
    main()
