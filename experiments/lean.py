"""The lean network: what the trained DeepLabV3+ hardly uses is left out, and the rest makes do.

    python experiments/lean.py --shared ../shared --taught runs/voc21 --out runs/lean [--resume]
    python experiments/ship_int8.py
    python experiments/lean_score.py

Half of DeepLabV3+'s time goes into ASPP and decoder. How much of them does the trained one need?
On photos that are held out it is asked what the masks lose without the atrous branches, with a
decoder that looks at one cell only of the enlarged deep features, and with 224 channels of 256 in
the decoder's first convolution: about the most that is no slower than Google's file. What is left
speaks for what is gone (`segcore.models.pruning`): no step of training in that. Then the head is
trained to give the masks of the whole one (dice; its scores weigh little), from the features of the
frozen encoder, computed once for one view of each photo. Photos and their drawing by class are
voc21.py's; its teachers' answers, from `taught` or asked anew, decide on that drawing alone. Rate
and losses were not searched; the number of channels was chosen by time and on the held-out photos.

At the end segcore/weights gets the new head. The second command makes the int8 file anew, the third
opens the 40 val photos. Half an hour on two cores, 9 GB of memory, ten minutes more where the
teachers must be asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax
from tqdm import tqdm
from voc21 import LARGE, Photo, chooser, photos_of, view_of

from segcore import metrics, shipped
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.course import results
from segcore.data import voc
from segcore.models import checkpoint, deeplab, mobilenet, pretrained, pruning, surgery
from segcore.training import losses, runs
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, train

BATCH, MOMENTS = 8, 160  # photos in a batch, views for the moments
RUN = Run(400, 3e-4, warmup=20, batch_norm="frozen", average=0.98, log=10, every=200)
Scores = dict[str, dict[str, float]]


class View(NamedTuple):
    """What the encoder and the whole head say of a view, in float16; `known` is false on padding,
    `labels` are those of the photo, all void where it has none."""

    features: np.ndarray
    low: np.ndarray
    wanted: np.ndarray
    known: np.ndarray
    labels: np.ndarray


def parts(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """A segmenter → its encoder, and its head up to the scores at every fourth pixel."""
    return deeplab.split(keras.Model(network.input, network.get_layer("logits").output))


def views_of(photos: list[Photo], whole: keras.Model, seed: int) -> list[View]:
    """One random view of each photo, as features, and what the whole head says of it."""
    encoder, head = parts(whole)
    for model in (encoder, head):
        model.compile(jit_compile=False)
    found = []
    for index, photo in enumerate(tqdm(photos, unit="photo", desc="encoding")):
        image, _, known, labels = view_of(photo, np.random.default_rng((seed, index)), LARGE)
        features = encoder.predict_on_batch(image[None])
        said = (*features, softmax(head.predict_on_batch(features), axis=-1))
        found.append(View(*(part[0].astype("f2") for part in said), known, labels))
    return found


def moments_of(whole: keras.Model, views: list[View]) -> dict[str, pruning.Moments]:
    """How the channels vary together where the lean network leaves some out."""
    inside = [whole.get_layer(name).output for name in ("block_16_project_BN", mobilenet.LOW_LEVEL)]

    def outputs(name: str) -> Iterator[np.ndarray]:
        probe = keras.Model(inside, whole.get_layer(name).output)
        probe.compile(jit_compile=False)
        for view in tqdm(views, unit="view", desc=name):
            yield probe.predict_on_batch([part[None].astype("f4") for part in view[:2]])

    return {name: pruning.Moments.of(outputs(name)) for name in surgery.PRUNED}


def objective(call: Any, batch: Any) -> Any:
    """What the lean head's logits (B, h, w, 21) cost → (loss, its parts)."""
    logits = call(batch["images"])
    kl = losses.distillation(logits, batch["wanted"], batch["known"])
    overlap = losses.dice(logits, batch["ids"])
    return kl + 0.2 * overlap, {"kl": kl, "dice": overlap}


def draws(seed: int, photos: list[Photo], views: list[View]) -> Callable[[int], dict[str, Any]]:
    """The batch of a step, drawn by class."""
    choose = chooser(photos, BATCH)

    def draw(step: int) -> dict[str, Any]:
        rng = np.random.default_rng((seed, step))
        picked = [views[i] for i in choose(rng)]
        batch = View(*(np.stack(part) for part in zip(*picked, strict=True)))
        ids = np.where(batch.known, batch.wanted.argmax(-1), voc.VOID).astype(np.int32)
        images = tuple(part.astype("f4") for part in (batch.features, batch.low))
        wanted = batch.wanted.astype("f4")
        return {"images": images, "wanted": wanted, "known": batch.known, "ids": ids}

    return draw


def judge_of(head: keras.Model, views: list[View]) -> Callable[[], dict[str, float]]:
    """mIoU against the whole head and, where there are labels, those, at every fourth pixel."""

    def judge() -> dict[str, float]:
        agree = labels = np.zeros((voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)
        for view in views:
            inputs = [part[None].astype("f4") for part in (view.features, view.low)]
            said = head.predict_on_batch(inputs)[0].argmax(-1)
            truth = np.where(view.known, view.wanted.argmax(-1), voc.VOID)
            agree = agree + metrics.confusion_matrix(truth, said)
            labels = labels + metrics.confusion_matrix(view.labels, said)
        scores = {"agree": (agree, 4000), "labels": (labels, 1200)}
        return {key: 100 * metrics.mean_iou(*pair) for key, pair in scores.items()}

    return judge


def cut(whole: keras.Model, thin: keras.Model, seen: list[View], unseen: list[View]) -> Scores:
    """Fills the lean network `thin` from `whole`, untrained → scores with each part left out."""
    judged = {"whole": judge_of(parts(whole)[1], unseen)()}
    plus = checkpoint.arrays_of(whole)
    moments = moments_of(whole, seen)
    near = np.arange(2 * plus["concat_projection/kernel"].shape[-1])  # what is not atrous
    for name, arrays in {
        "without_atrous": pruning.remove_channels(
            plus, "concat_projection", moments["concat"], near
        ),
        "without_neighbours": surgery.centre_kernels(plus),
    }.items():
        checkpoint.load_weights(whole, arrays)
        judged[name] = judge_of(parts(whole)[1], unseen)()
    for name, network, filters in (
        ("without_both", deeplab.deeplab_lean(LARGE, filters=256), 256),
        ("cut", thin, deeplab.LEAN_FILTERS),
    ):
        checkpoint.load_weights(network, surgery.lean_from_plus(plus, moments, filters))
        judged[name] = judge_of(parts(network)[1], unseen)()
    return judged


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shared", type=Path, required=True)
    options.add_argument("--taught", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument(
        "--limit", type=int, help="photos of each kind, for a trial that ships nothing"
    )
    options.add_argument("--steps", type=int, default=RUN.steps)
    options.add_argument("--resume", action="store_true")
    chosen = options.parse_args()
    run = replace(RUN, steps=chosen.steps, warmup=chosen.steps // 20)
    for folder in (chosen.taught, chosen.out):
        folder.mkdir(parents=True, exist_ok=True)
    whole, thin = pretrained.load(LARGE, batch_size=1), deeplab.deeplab_lean(LARGE)
    held, photos = photos_of(chosen.shared, chosen.taught, chosen.limit)
    unseen, seen = views_of(held, whole, 0), views_of(photos, whole, 1)
    spread = np.random.default_rng(run.seed).permutation(len(seen))[:MOMENTS]
    judged = cut(whole, thin, [seen[i] for i in spread], unseen)
    print(judged, flush=True)
    _, head = parts(thin)
    judge, draw = judge_of(head, unseen), draws(run.seed, photos, seen)
    trainer = Trainer(head, run, objective)
    history = train(trainer, draw, chosen.out, judge, chosen.resume)
    learnt = checkpoint.read_weights(chosen.out / "weights.npz")  # the running average
    for variable in head.variables:
        variable.assign(learnt[variable.path])
    judged["taught"] = judge()
    print(judged, flush=True)
    values = {
        "photos": {"taught": len(photos), "held": len(held)},
        "filters": deeplab.LEAN_FILTERS,
        "run": asdict(run),
        "judged": judged,
        "history": history,
    }
    arrays = checkpoint.arrays_of(thin)
    found = {key: arrays[key] for key in arrays if not runs.is_encoder(key)}
    said = checkpoint.read_description(shipped.LEAN.file)
    checkpoint.write_weights(found, chosen.out / "head.npz", description=said)
    if chosen.limit is None and chosen.steps == RUN.steps:  # no trial: it ships
        write_bytes(shipped.LEAN.file, (chosen.out / "head.npz").read_bytes())
        print(results.record("lean", values, seed=run.seed))


if __name__ == "__main__":
    main()
