"""Calibration sets that help and hurt: int8 at 257, ranges taken from seven sets of pictures.

    python experiments/calibration.py

The same network, converter and 416 VOC val photos (never calibrated on); only the pictures differ
that show how far activations reach; biases stay as the converter leaves them. Expected: ten
everyday photos do as well as a hundred, even one is not bad; dark photos and a grey card ruin the
file, because ranges that are too narrow clip what a bright photo needs. Each is compared with a
hundred photos. About twenty minutes on two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import common
import numpy as np
import scores

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data import toy
from segcore.data.images import read_image
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.inference.segmenter import wrap
from segcore.metrics import PhotoMatrices
from segcore.models import pretrained

SIZE = 257


def sets(shared: Path) -> dict[str, Calibration]:
    """Seven calibration sets by name; what is random has seed 0."""
    photos = [photo for photo in common.calibration(shared).photos if isinstance(photo, Path)]
    random = np.random.default_rng(0)
    dark = tuple(read_image(photo) // 16 for photo in photos[::5])
    noise = tuple(random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in dark)
    return {
        "photos_100": Calibration(tuple(photos)),
        "photos_10": Calibration(tuple(photos[::10])),
        "photo_1": Calibration(tuple(photos[:1])),
        "dark_20": Calibration(dark),
        "noise_20": Calibration(noise, seed=0),
        "grey_1": Calibration((np.full((SIZE, SIZE, 3), 127, np.uint8),)),
        "drawn_20": Calibration(tuple(toy.scenes(20, size=SIZE, seed=0)[0]), seed=0),
    }


def try_set(
    name: str, calibration: Calibration, network: keras.Model, pairs: common.Pairs
) -> tuple[PhotoMatrices, common.Row]:
    """Matrices of the int8 file that a calibration set leads to, and how far it is from float."""
    content = to_tflite(network, "int8", calibration)
    with tempfile.TemporaryDirectory() as folder:
        path = write_bytes(Path(folder) / "int8.tflite", content)
        found, held = scores.score_file(path, wrap(network, "Keras"), pairs, f"calibration_{name}")
    return found, {"changed": held["changed"], "pictures": len(calibration.photos)}


if __name__ == "__main__":
    options = common.options(__doc__)
    pairs, network = common.val_pairs(options), pretrained.load(SIZE, batch_size=1)
    values, hundred = {}, None
    for name, calibration in sets(options.shared).items():
        found, more = try_set(name, calibration, network, pairs)
        hundred = hundred or found
        values[name] = scores.keep(found, options, hundred) | more
    common.record("calibration", values, options, seed=0)
