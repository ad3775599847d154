"""Two networks that err differently: their probabilities averaged, and their weights.

    python experiments/averages.py

The shipped network at 513 was made from a DeepLabV3 and trained on. What do the two know together?
First each alone, with an output stride of 8 instead of 16, and the mean of both's probabilities.
Then one network whose weights lie between theirs (Wortsman et al. 2022, Robust fine-tuning of
zero-shot models), plainly, and with every batch norm set so that the channels behind it have the
mean of both's statistics, measured on training photos layer by layer (Jordan et al. 2023, REPAIR);
and so that only the encoder is mixed. No step of training in any.

All rows are scored on the 40 val photos, to learn what may be worth training: nothing that ships
was chosen by them. Expected mIoU: 74.6 and 76.0 alone, 77.1 for the ensemble; 48.9 for weights
averaged plainly, 75.9 with statistics, 76.3 in the encoder alone. Five minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import common
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from segcore import shipped
from segcore._keras import keras
from segcore.data import voc
from segcore.data.images import letterbox, read_image, signed
from segcore.inference.segmenter import Segmenter, wrap
from segcore.models import checkpoint, deeplab, surgery
from segcore.models.checkpoint import Arrays
from segcore.models.graph import inputs_by_layer
from segcore.training.optimizers import is_encoder

LARGE, SEEN, CHUNK = 513, 40, 8  # photos to measure statistics on; as many at once
Norm: TypeAlias = keras.layers.BatchNormalization
MIXTURES = (  # name, part of the second network in the encoder and behind it, norms made to fit
    ("weights", 0.5, 0.5, False),
    ("weights_adapted", 0.5, 0.5, True),
    ("weights_adapted_75", 0.75, 0.75, True),
    ("encoder_adapted_75", 0.75, 1.0, True),
)
Statistics = dict[str, NDArray]  # LAYER/mean and LAYER/deviation (C,) behind each batch norm


def walk(model: keras.Model, images: NDArray, at_norm: Callable[[Norm, list], None]) -> None:
    """Runs `images` through `model` one layer after the other; before a batch norm, `at_norm` gets
    it and what comes in, and may still change it. Ends at the scores."""
    begin, *rest = model.layers
    sources = inputs_by_layer(model)
    last = {source: name for name in sources for source in sources[name]}
    seen = {begin.name: [images[at : at + CHUNK] for at in range(0, len(images), CHUNK)]}
    for layer in rest:
        inputs = [seen[source] for source in sources[layer.name]]
        if isinstance(layer, keras.layers.BatchNormalization):
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


def moments(parts: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
    """Mean and deviation (C,) of each channel over all of `parts` (B, H, W, C)."""
    first, second = (
        np.asarray([keras.ops.mean(part**power, (0, 1, 2)) for part in parts]).mean(0, np.float64)
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


def network(arrays: Arrays, stride: int = 16) -> keras.Model:
    """DeepLabV3+ at 513 with `arrays`."""
    model = deeplab.deeplab_v3_plus(LARGE, config=deeplab.DeepLabConfig(output_stride=stride))
    checkpoint.load_weights(model, arrays)
    return model


def ensemble(segmenters: Sequence[Segmenter]) -> Segmenter:
    """The sum of what `segmenters` find probable."""

    def infer(box: NDArray[np.uint8]) -> NDArray:
        return np.sum([softmax(one.infer(box), axis=-1) for one in segmenters], axis=0)

    return Segmenter(infer, LARGE, "ensemble")


def boxes(shared: Path) -> NDArray[np.float32]:
    """Training photos to measure statistics on, (SEEN, 513, 513, 3), drawn with seed 0."""
    photos = [photo for photo, _ in voc.file_pairs(shared / "voc", "train")]
    coco = sorted((shared / "coco128" / "masks").glob("*.png"))
    photos += [next((shared / "coco128" / "images").glob(f"{mask.stem}.*")) for mask in coco]
    photos += sorted((shared / "voc" / "unlabelled").glob("*.jpg"))
    picked = np.random.default_rng(0).permutation(len(photos))[:SEEN]
    return signed(np.stack([letterbox(read_image(photos[i]), LARGE)[0] for i in picked]))


def measure(shared: Path) -> common.Row:
    """Scores of each network, of both together, and of four mixtures of their weights."""
    pairs, images = common.val_pairs(shared), boxes(shared)
    second = checkpoint.read_weights(shipped.FLOAT.file, LARGE)
    v3 = checkpoint.read_weights(shared / common.DEEPLAB_V3)
    first = surgery.deeplab_v3_as_plus(v3, second)
    both = network(first), network(second)
    alone = [wrap(model, "") for model in both]
    values: common.Row = {"photos": len(pairs), "seen": SEEN}

    def score(name: str, segmenter: Segmenter) -> None:
        values[name] = common.score_row(common.score(segmenter, pairs, name))

    for name, segmenter in zip(("deeplab_v3", "shipped"), alone, strict=True):
        score(name, segmenter)
    score("ensemble", ensemble(alone))
    score("shipped_stride_8", wrap(network(second, 8), ""))
    statistics = [behind_norms(model, images) for model in both]
    for name, of_encoder, of_rest, adapt in MIXTURES:

        def share(key: str, encoder: float = of_encoder, rest: float = of_rest) -> float:
            return encoder if is_encoder(key) else rest

        checkpoint.load_weights(both[0], between(first, second, share))
        if adapt:
            give_statistics(both[0], images, between(statistics[0], statistics[1], share))
        score(name, alone[0])
    return values


if __name__ == "__main__":
    options = common.options(__doc__)
    common.record("averages", measure(options.shared), options)
