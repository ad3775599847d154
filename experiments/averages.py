"""Two networks that err differently: their opinions averaged, and their weights.

    python experiments/averages.py ../shared

The shipped network at 513 was made from a DeepLabV3 and trained on. What do the two know together?
First each alone, with every eighth pixel a cell of the encoder instead of every sixteenth, and the
mean of both's probabilities. Then one network whose weights lie between theirs (Wortsman et al.
2022, Robust fine-tuning of zero-shot models), plainly, and with every batch norm set so that the
channels behind it have the mean of both's statistics, measured on training photos layer by layer
(Jordan et al. 2023, REPAIR); and so that only the encoder is mixed. No step of training in any.

All rows are scored on the 40 val photos, to learn what may be worth training: nothing that ships
was chosen by them. Expected mIoU: 74.6 and 76.0 alone, 77.1 for both's opinions; 48.9 for weights
averaged plainly, 75.9 with statistics, 76.3 in the encoder alone. Five minutes on two cores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm
from voc21 import LARGE, V3
from voc21_photos import pairs_of

from segcore import metrics, shipped
from segcore._keras import keras
from segcore.course import results
from segcore.data import voc
from segcore.data.images import letterbox, read_image, signed
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import Segmenter, wrap
from segcore.models import checkpoint, deeplab, surgery
from segcore.models.checkpoint import Arrays
from segcore.training import runs

SEEN, CHUNK = 40, 8  # photos to measure statistics on; as many at once
Norm = keras.layers.BatchNormalization
Statistics = dict[str, NDArray]  # LAYER/mean and LAYER/deviation (C,) behind each batch norm


def walk(model: keras.Model, images: NDArray, at_norm: Callable[[Norm, list], None]) -> None:
    """Runs `images` through `model` one layer after the other; before a batch norm, `at_norm` gets
    it and what comes in, and may still change it. Ends at the scores."""
    made_by = {id(layer.output): layer.name for layer in model.layers}
    begin, *rest = model.layers
    sources = {layer.name: [made_by[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
               for layer in rest}  # fmt: skip
    last = {source: name for name in sources for source in sources[name]}
    seen = {begin.name: [images[at : at + CHUNK] for at in range(0, len(images), CHUNK)]}
    for layer in rest:
        inputs = [seen[source] for source in sources[layer.name]]
        if isinstance(layer, Norm):
            at_norm(layer, inputs[0])
        if layer.name == "logits":
            return
        seen[layer.name] = [
            layer(list(parts) if len(parts) > 1 else parts[0], training=False)
            for parts in zip(*inputs, strict=True)
        ]
        for source in sources[layer.name]:
            if last[source] == layer.name:
                del seen[source]  # nobody needs it any more


def moments(parts: list[Any]) -> tuple[NDArray, NDArray]:
    """Mean and deviation (C,) of each channel over all of `parts` (B, H, W, C)."""
    first, second = (
        np.mean([keras.ops.mean(part**power, (0, 1, 2)) for part in parts], 0, np.float64)
        for power in (1, 2)
    )
    return first, np.sqrt(np.maximum(second - first**2, 1e-10))


def behind_norms(model: keras.Model, images: NDArray) -> Statistics:
    """What each batch norm of `model` gives for `images`, before scale and shift."""
    found: Statistics = {}

    def look(norm: Norm, parts: list) -> None:
        mean, deviation = moments(parts)
        spread = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        found[f"{norm.name}/mean"] = (mean - np.asarray(norm.moving_mean)) / spread
        found[f"{norm.name}/deviation"] = deviation / spread

    walk(model, images, look)
    return found


def give_statistics(model: keras.Model, images: NDArray, wanted: Statistics) -> None:
    """Sets every batch norm of `model` so that `behind_norms` becomes `wanted`."""

    def mend(norm: Norm, parts: list) -> None:
        mean, deviation = moments(parts)
        spread = deviation / np.maximum(wanted[f"{norm.name}/deviation"], 1e-3)
        variance = np.maximum(spread**2 - norm.epsilon, 0)  # epsilon bounds how far it can amplify
        norm.moving_variance.assign(variance)
        shift = wanted[f"{norm.name}/mean"] * np.sqrt(variance + norm.epsilon)
        norm.moving_mean.assign(mean - shift)

    walk(model, images, mend)


def between(first: Arrays, second: Arrays, share: Callable[[str], float]) -> dict[str, NDArray]:
    """`first` and `second` mixed array by array: `share` of a key is how much of the second."""
    return {key: (1 - share(key)) * first[key] + share(key) * second[key] for key in second}


def main(shared: Path) -> None:
    pairs, photos = voc.file_pairs(shared / "voc"), [photo for photo, _ in pairs_of(shared)]
    picked = np.random.default_rng(0).permutation(len(photos))[:SEEN]
    boxes = [letterbox(read_image(photos[index]), LARGE)[0] for index in picked]
    images = signed(np.stack(boxes))
    second = checkpoint.read_weights(shipped.FLOAT.file, LARGE)
    first = surgery.deeplab_v3_as_plus(checkpoint.read_weights(shared / V3), second)
    values: dict[str, Any] = {"photos": len(pairs), "seen": SEEN}

    def network(arrays: Arrays, stride: int = 16) -> keras.Model:
        model = deeplab.deeplab_v3_plus(LARGE, wiring=deeplab.Wiring(output_stride=stride))
        checkpoint.load_weights(model, arrays)
        return model

    def score(name: str, segmenter: Segmenter) -> None:
        confusion, _ = evaluate(segmenter, tqdm(pairs, unit="photo", desc=name))
        found = metrics.summary(confusion)
        values[name] = {key: found[key] for key in ("miou", "accuracy", "iou")}
        print(name, found["miou"], found["accuracy"], flush=True)

    both = network(first), network(second)
    alone = [wrap(model, "") for model in both]
    for name, segmenter in zip(("deeplab_v3", "shipped"), alone, strict=True):
        score(name, segmenter)
    opinions = Segmenter(
        lambda box: sum(softmax(segmenter.infer(box), axis=-1) for segmenter in alone), LARGE, ""
    )
    score("opinions", opinions)
    score("shipped_stride_8", wrap(network(second, 8), ""))
    statistics = [behind_norms(model, images) for model in both]
    mixed, segmenter = both[0], alone[0]

    def mix(name: str, share: Callable[[str], float], mend: bool = True) -> None:
        checkpoint.load_weights(mixed, between(first, second, share))
        if mend:
            give_statistics(mixed, images, between(*statistics, share))
        score(name, segmenter)

    mix("weights", lambda key: 0.5, mend=False)
    mix("weights_mended", lambda key: 0.5)
    mix("weights_mended_75", lambda key: 0.75)
    mix("encoder_mended_75", lambda key: 0.75 if runs.is_encoder(key) else 1.0)
    print(results.record("averages", values))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
