"""The shipped networks as Keras models."""

from __future__ import annotations

from pathlib import Path

from segcore import shipped
from segcore._keras import keras
from segcore.models.checkpoint import for_size, load_weights, read_weights, variables_of
from segcore.models.deeplab import deeplab_lean, deeplab_v3_plus


def load(
    size: int = 513, weights: str | Path = shipped.FLOAT, batch_size: int | None = None
) -> keras.Model:
    """`deeplab_v3_plus(size)` with the shipped weights: 21 VOC classes, ready to predict.

    Phone and quality sizes share nearly all weights; batch norm and depthwise kernels
    are each size's own where the file has them (`checkpoint.for_size`). Set `batch_size` to export.
    """
    model = deeplab_v3_plus(size, batch_size=batch_size)
    load_weights(model, weights)
    return model


def load_lean(batch_size: int | None = None) -> keras.Model:
    """`deeplab_lean(513)` with its trained weights, ready to predict; set `batch_size` to export.

    The encoder is that of `load(513)`.
    """
    model, head = deeplab_lean(513, batch_size=batch_size), read_weights(shipped.LEAN_HEAD)
    whole, wanted = for_size(read_weights(shipped.FLOAT), 513), variables_of(model)
    encoder = {key: whole[key] for key in whole if key in wanted and key not in head}
    load_weights(model, encoder | head, shipped.LEAN_HEAD.name)
    return model
