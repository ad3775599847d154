"""What batch norm remembers: measured anew, or left alone while the rest trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from segcore._keras import keras

if TYPE_CHECKING:
    from numpy.typing import NDArray


def re_estimate(model: keras.Model, batches: Iterable[NDArray[Any]]) -> None:
    """Sets every batch norm's statistics to the mean over `batches` of images, weights untouched.

    For networks whose statistics drifted in training, or come from another picture size.
    Batch-norm recalibration; Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, section 3.2.
    Raises ValueError when there is no batch. Taught in chapter 9.
    """
    norms, count = layers_of(model), 0
    before = [norm.momentum for norm in norms]
    try:
        for count, images in enumerate(batches, start=1):
            for norm in norms:
                norm.momentum = 1 - 1 / count  # the mean over all batches so far
            model(images, training=True)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
    if not count:
        raise ValueError("batches is empty; statistics need at least one")


def freeze(model: keras.Model) -> None:
    """From now on every batch norm keeps its statistics, scale and shift while the rest trains."""
    for norm in layers_of(model):
        norm.trainable = False


def layers_of(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch-norm layers of `model`, in its order."""
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
