"""The shipped checkpoint: v0, and for 257 pixels what depends on scale, learnt anew.

    python experiments/voc21.py --shared ../shared --out runs/voc21 [--resume]
    segcore evaluate ../shared/voc --model runs/voc21/voc21.npz --size 257

v0 was trained for 513. At 257 things are half as large: what a channel means can stay, how far a
depthwise kernel looks and how loudly a channel speaks cannot. So batch norm and depthwise kernels
get a second set for 257, 4 % of all weights, and everything else is frozen: 513 does not change by
a bit. The teachers are v0 (letterboxed, and mirrored and squeezed into the square) and the
DeepLabV3 it came from, all looking at 513; the student, at 257, learns their mean (KL divergence).
Labelled photos add cross-entropy, and dice counts every class the same.

Most of each batch is drawn by class and then by photo, because the unlabelled photos were collected
for four classes. That alone is not enough: an earlier run that did the same with all weights free
forgot sofas, cows and dogs. Every fifth labelled photo and every twelfth of the others is held out.
On those it is chosen how far to go from v0's weights to the learnt ones (Wortsman et al. 2022,
Robust fine-tuning of zero-shot models): the share with the best mIoU against their labels. Rate and
losses were set by hand and not searched; the 40 val photos are not opened here.

To expect on those 40: 68.1 mIoU at 257 (v0: 66.0) and 93.0 % of the pixels (91.6). Ten of twelve
classes gain; sofa (three photos) and horse (one) lose. The goal of 71 was not reached.
About 50 minutes on two cores, a fifth of it for the teachers, whose answers are kept in `out`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # several times as fast on a CPU

import numpy as np
from PIL import Image
from tqdm import tqdm
from voc21_photos import pairs_of

from segcore import metrics
from segcore._files import replacing
from segcore._keras import keras
from segcore.course import results
from segcore.data import augment, voc
from segcore.data.dataset import Pair
from segcore.data.images import PAD, read_image, signed
from segcore.models import checkpoint, deeplab, surgery
from segcore.training import losses
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, train

LARGE, SMALL = 513, 257
BATCH = 16
V0 = Path("weights") / "deeplabv3plus_mnv2_voc_v0.npz"
V3 = Path("weights") / "deeplabv3_mnv2_coco_voc.npz"
SHARES = (0.3, 0.5, 0.7, 0.85, 1.0)
LETTERBOX, BETWEEN, SQUARE = 0.0, 0.5, 1.0  # how far a photo is stretched to fill the box
COMMON = (0, 6, 7, 8, 15, 19)  # background, and what the unlabelled photos were collected for
LIGHT = augment.Recipe(brightness=0.08, contrast=0.2, saturation=0.2)
RUN = Run(900, 1e-3, warmup=45, batch_norm="frozen", average=0.99, log=20, every=300)
GRID = np.arange(0, LARGE, 8) + 0.5  # where the teachers' answer is kept: pixels of the 513 box
OWN = keras.layers.BatchNormalization | keras.layers.DepthwiseConv2D  # what 257 has for itself


class Photo(NamedTuple):
    """(H, W, 3) uint8, its mask (H, W) uint8 or None, the teachers' (65, 65, 21) float16."""

    image: np.ndarray
    mask: np.ndarray | None
    wanted: np.ndarray


def extent(shape: Sequence[int], size: int, fit: float) -> tuple[int, int]:
    """Height and width of a photo (H, W, ...) in a box of `size`, stretched by `fit`."""
    ratio = np.minimum(1, np.array(shape[:2]) / np.array(shape[1::-1])) ** (1 - fit)
    h, w = (max(round(float(side)), 1) for side in size * ratio)
    return h, w


def cells(content: Sequence[int], stride: int) -> list[int]:
    """How many cells of `stride` pixels, aligned at 0, lie on `content` = (h, w)."""
    return [(side - 1) // stride + 1 for side in content]


def boxed(image: np.ndarray, content: tuple[int, int], size: int, window: Any = None) -> np.ndarray:
    """The `window` (x0, y0, x1, y1) of a photo at the top left of a grey (size, size, 3) box."""
    (h, w), box = content, np.full((size, size, 3), PAD, np.uint8)
    box[:h, :w] = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR, window)
    return box


def small(size: int, arrays: checkpoint.Arrays) -> keras.Model:
    """DeepLabV3+ without its last enlargement: one score vector for every fourth pixel."""
    model = deeplab.deeplab_v3_plus(size)
    checkpoint.load_weights(model, arrays)
    net = keras.Model(model.input, model.get_layer("logits").output)
    net.compile(jit_compile=False)
    return net


def opinion(net: keras.Model, image: np.ndarray, fit: float, flip: bool) -> np.ndarray:
    """What `net` says of one view at 513: probabilities (65, 65, 21) on GRID."""
    content, plain = (extent(image.shape, LARGE, f) for f in (fit, LETTERBOX))
    seen = boxed(np.ascontiguousarray(image[:, ::-1]) if flip else image, content, LARGE)
    scores = net.predict_on_batch(signed(seen)[None])[0]
    odds = np.exp(scores - scores.max(-1, keepdims=True))
    y, x = (GRID * side / whole - 0.5 for side, whole in zip(content, plain, strict=True))
    x = content[1] - 1 - x if flip else x
    probability = odds / odds.sum(-1, keepdims=True)
    return augment.bilinear(probability, y / 4, x / 4, cells(content, 4))


def teachers(shared: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives the teachers' mean opinion of a photo, float16."""
    v0 = checkpoint.read_weights(shared / V0)
    v3 = surgery.deeplab_v3_as_plus(checkpoint.read_weights(shared / V3), v0)
    plus, original = small(LARGE, v0), small(LARGE, v3)
    views = ((plus, LETTERBOX, False), (plus, SQUARE, True), (original, BETWEEN, False))

    def teach(image: np.ndarray) -> np.ndarray:
        return (sum(opinion(net, image, *how) for net, *how in views) / len(views)).astype("f2")

    return teach


def worth(pairs: list[Pair], net: keras.Model) -> list[Pair]:
    """Of the photos without masks: those on which `net`, at 257, sees anything uncommon, and every
    fourth of the rest."""
    kept = []
    for index, pair in enumerate(tqdm(pairs, unit="photo", desc="choosing")):
        box = boxed(image := read_image(pair[0]), extent(image.shape, SMALL, SQUARE), SMALL)
        ids = net.predict_on_batch(signed(box)[None])[0].argmax(-1)
        shares = np.bincount(ids.ravel(), minlength=voc.NUM_CLASSES) / ids.size
        shares[list(COMMON)] = 0
        if shares.max() > 0.01 or index % 4 == 0:
            kept.append(pair)
    return kept


def gather(pairs: list[Pair], shared: Path, answers: Path) -> list[Photo]:
    """Photos with the teachers' answers, which are asked once and kept in the file `answers`, whose
    name gets a digest of photos and teachers: others of these, another file."""
    images = [read_image(photo) for photo, _ in pairs]
    digest = hashlib.sha256((shared / V0).read_bytes() + (shared / V3).read_bytes())
    for image in images:
        digest.update(image)
    answers = answers.with_stem(f"{answers.stem}_{digest.hexdigest()[:8]}")
    if not answers.exists():
        teach = teachers(shared)
        wanted = [teach(image) for image in tqdm(images, unit="photo", desc="teaching")]
        with replacing(answers) as file:
            np.save(file, np.stack(wanted))
    masks = [None if mask is None else voc.read_mask(mask) for _, mask in pairs]
    return [Photo(*item) for item in zip(images, masks, np.load(answers), strict=True)]


def photos_of(shared: Path, folder: Path, limit: int | None) -> tuple[list[Photo], list[Photo]]:
    """The photos that are held out and those to learn from; labelled ones come first."""
    pairs = pairs_of(shared, limit)
    count = sum(mask is not None for _, mask in pairs)
    labelled, rest = pairs[:count], pairs[count:]
    held = gather(labelled[::5] + rest[::12], shared, folder / "held.npy")
    others = [pair for index, pair in enumerate(rest) if index % 12]
    taught = [pair for index, pair in enumerate(labelled) if index % 5]
    taught += worth(others, small(SMALL, checkpoint.read_weights(shared / V0)))
    return held, gather(taught, shared, folder / "taught.npy")


def view_of(photo: Photo, rng: np.random.Generator, size: int = SMALL) -> tuple[np.ndarray, ...]:
    """A random view for the student: image (size, size, 3) and, at every fourth pixel, the
    teachers' probabilities, where they are known, and labels with void."""
    fit = rng.choice([LETTERBOX, BETWEEN, SQUARE], p=[0.4, 0.2, 0.4])
    scale = np.exp(rng.uniform(np.log(0.85), np.log(1.4)))
    flip, corner = rng.uniform(size=2) < 0.5
    turn = slice(None, None, -1 if flip else 1)
    H, W = photo.image.shape[:2]
    full = np.array(extent(photo.image.shape, size, fit)) * scale
    h, w = (int(side) for side in np.minimum(np.round(full), size))
    share = np.minimum([h, w] / full, 1)
    y0, x0 = np.zeros(2) if corner else rng.uniform(size=2) * (1 - share)
    y1, x1 = y0 + share[0], x0 + share[1]
    window = (x0 * W, y0 * H, x1 * W, y1 * H)
    image = boxed(np.ascontiguousarray(photo.image[:, turn]), (h, w), size, window).astype("f4")
    light = {
        key: np.float32(middle + getattr(LIGHT, key) * rng.uniform(-1, 1))
        for key, middle in (("brightness", 0), ("contrast", 1), ("saturation", 1))
    }
    image[:h, :w] = augment.light(image[:h, :w], augment.IDENTITY._replace(**light))
    steps = np.arange(0, size, 4) + 0.5
    plain = extent(photo.image.shape, LARGE, LETTERBOX)
    y = (y0 + steps / h * (y1 - y0)) * plain[0] - 0.5
    x = (x0 + steps / w * (x1 - x0)) * plain[1] - 0.5
    x = plain[1] - 1 - x if flip else x
    wanted = augment.bilinear(photo.wanted, y / 8, x / 8, cells(plain, 8))
    labels = np.full((size, size), voc.VOID, np.uint8)
    if photo.mask is not None:
        mask = Image.fromarray(np.ascontiguousarray(photo.mask[:, turn]))
        labels[:h, :w] = mask.resize((w, h), Image.Resampling.NEAREST, window)
    known = (steps < h)[:, None] & (steps < w)
    return signed(image), wanted, known, labels[::4, ::4].astype(np.int32)


def showing(ids: Sequence[np.ndarray], least: float = 0.01) -> list[np.ndarray]:
    """For each class but background: the indices of the masks on which it covers enough."""
    lists = [
        np.array([i for i, mask in enumerate(ids) if (mask == label).mean() > least])
        for label in range(1, voc.NUM_CLASSES)
    ]
    return [found for found in lists if len(found)]


def chooser(photos: list[Photo], batch: int) -> Callable[[np.random.Generator], list[int]]:
    """A function that draws `batch` indices: a quarter of them labelled photos and half of them any
    photos, by class and then by photo; the rest evenly."""
    masks = [photo.mask for photo in photos if photo.mask is not None]
    labelled = showing([np.where(mask == voc.VOID, 0, mask) for mask in masks])
    anything = showing([photo.wanted.argmax(-1) for photo in photos])

    def choose(rng: np.random.Generator) -> list[int]:
        def pick(lists: list[np.ndarray], count: int) -> list[int]:
            return [int(rng.choice(lists[rng.integers(len(lists))])) for _ in range(count)]

        index = pick(labelled, batch // 4) + pick(anything, batch // 2)
        return index + rng.choice(len(photos), batch - len(index)).tolist()

    return choose


def draws(seed: int, photos: list[Photo]) -> Callable[[int], dict[str, np.ndarray]]:
    """The batch of a step: `BATCH` random views."""
    choose = chooser(photos, BATCH)

    def draw(step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((seed, step))
        views = [view_of(photos[i], rng) for i in choose(rng)]
        images, wanted, known, labels = (np.stack(part) for part in zip(*views, strict=True))
        taught = (labels != voc.VOID).any((1, 2), keepdims=True)
        guesses = np.where(known, wanted.argmax(-1), voc.VOID)
        ids = np.where(taught, labels, guesses).astype(np.int32)
        return {"images": images, "wanted": wanted, "known": known, "labels": labels, "ids": ids}

    return draw


def objective(call: Any, batch: Any) -> Any:
    """What the student's logits (B, 65, 65, 21) cost → (loss, its parts)."""
    logits = call(batch["images"])
    kl = losses.distillation(logits, batch["wanted"], batch["known"])
    ce = losses.cross_entropy(logits, batch["labels"])
    overlap = losses.dice(logits, batch["ids"])
    return kl + 0.3 * ce + 0.2 * overlap, {"kl": kl, "ce": ce, "dice": overlap}


def judge_of(net: keras.Model, held: list[Photo]) -> Callable[[], dict[str, float]]:
    """A function that scores `net` on the photos `held`, letterboxed and squeezed into the square:
    mIoU on GRID against the teachers (`agree`) and, where there are labels, those (`labels`)."""

    def said(photo: Photo, fit: float, plain: tuple[int, int]) -> np.ndarray:
        content = extent(photo.image.shape, SMALL, fit)
        scores = net.predict_on_batch(signed(boxed(photo.image, content, SMALL))[None])[0]
        y, x = (
            (GRID[:count] * side / whole - 0.5) / 4
            for count, side, whole in zip(cells(plain, 8), content, plain, strict=True)
        )
        return augment.bilinear(scores, y, x, cells(content, 4)).argmax(-1)

    def score(fit: float) -> tuple[float, float]:
        agree = labels = np.zeros((voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)
        for photo in held:
            plain = extent(photo.image.shape, LARGE, LETTERBOX)
            rows, columns = cells(plain, 8)
            answer = said(photo, fit, plain)
            truth = photo.wanted[:rows, :columns].argmax(-1)
            agree = agree + metrics.confusion_matrix(truth, answer)
            if photo.mask is not None:
                mask = Image.fromarray(photo.mask).resize(plain[::-1], Image.Resampling.NEAREST)
                labels = labels + metrics.confusion_matrix(np.asarray(mask)[::8, ::8], answer)
        return 100 * metrics.mean_iou(agree, 1000), 100 * metrics.mean_iou(labels, 300)

    def judge() -> dict[str, float]:
        boxes, squares = score(LETTERBOX), score(SQUARE)
        names = ("agree", "labels", "agree_squeezed", "labels_squeezed")
        return dict(zip(names, boxes + squares, strict=True))

    return judge


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shared", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--steps", type=int, default=RUN.steps)
    options.add_argument("--limit", type=int, help="photos of each kind, for a quick look")
    options.add_argument("--resume", action="store_true")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    run = replace(RUN, steps=chosen.steps, warmup=chosen.steps // 20, seed=chosen.seed)

    held, photos = photos_of(chosen.shared, chosen.out, chosen.limit)
    v0 = checkpoint.read_weights(chosen.shared / V0)
    net = small(SMALL, v0)
    for layer in net.layers:
        layer.trainable = isinstance(layer, OWN)
    judge = judge_of(net, held)
    start = judge()
    print("v0 at 257:", start)
    trainer = Trainer(net, run, objective)
    history = train(trainer, draws(run.seed, photos), chosen.out, judge, resume=chosen.resume)
    learnt = checkpoint.read_weights(chosen.out / "weights.npz")  # the running average

    def mix(share: float) -> None:
        for variable in net.variables:
            old, new = v0[variable.path], learnt[variable.path]
            variable.assign((1 - share) * old + share * new)

    shares = {}
    for share in SHARES:
        mix(share)
        shares[str(share)] = judge()
        print(share, shares[str(share)])
    best = max(SHARES, key=lambda share: shares[str(share)]["labels"])
    mix(best)
    own = {
        f"{layer.name}_{SMALL}/{v.name}": np.asarray(v)
        for layer in net.layers
        if isinstance(layer, OWN)
        for v in layer.trainable_variables
    }
    said = checkpoint.Description(class_names=voc.CLASSES, own_layers={f"_{SMALL}": 359})
    checkpoint.write_weights(v0 | own, chosen.out / "voc21.npz", description=said)
    values = {"photos": {"taught": len(photos), "held": len(held),
                         "labelled": sum(photo.mask is not None for photo in photos)},
              "own_weights": sum(array.size for array in own.values()),
              "run": asdict(run), "start": start, "share": best, "end": shares[str(best)],
              "shares": shares, "history": history}  # fmt: skip
    if chosen.limit is None:
        print(results.record("voc21", values, seed=run.seed))
    print("at the end:", best, shares[str(best)])


if __name__ == "__main__":
    main()
