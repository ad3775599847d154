"""What batch norm remembers: measured anew, or left alone while the rest trains."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from numpy.typing import NDArray

from segcore._errors import check
from segcore._keras import keras


def re_estimate(model: keras.Model, batches: Iterable[NDArray[Any]]) -> None:
    """Sets every batch norm's statistics to the mean over `batches` of images, weights untouched.

    For networks whose statistics drifted in training, or come from another picture size.
    Batch-norm recalibration; Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, section 3.2.
    Raises ValueError when there is no batch. Taught in chapter 10.
    """
    norms, count = layers_of(model), 0
    before = [(norm.momentum, norm.trainable) for norm in norms]
    try:
        for count, images in enumerate(batches, start=1):
            for norm in norms:  # momentum for the mean over all batches so far, even if frozen
                norm.momentum, norm.trainable = 1 - 1 / count, True
            model(images, training=True)
    finally:
        for norm, kept in zip(norms, before, strict=True):
            norm.momentum, norm.trainable = kept
    check("batches", count, count, "at least one")


def freeze(model: keras.Model) -> None:
    """From now on every batch norm keeps its statistics, scale and shift while the rest trains."""
    for norm in layers_of(model):
        norm.trainable = False


def layers_of(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch-norm layers of `model` and of models inside it, in its order."""
    found = [layers_of(x) if isinstance(x, keras.Model) else [x] for x in model.layers]
    return [x for x in chain(*found) if isinstance(x, keras.layers.BatchNormalization)]
