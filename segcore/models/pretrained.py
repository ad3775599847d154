"""The shipped networks as Keras models, and others whose .npz says what they are."""

from collections.abc import Callable
from pathlib import Path

from segcore import shipped
from segcore._errors import check
from segcore._keras import keras
from segcore.models import deeplab
from segcore.models.checkpoint import load_weights, read_description

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    builder.__name__: builder for builder in (deeplab.deeplab_v3_plus, deeplab.deeplab_light)
}

MOST_PIXELS = 2049  # of a side: scores of such an image take 350 MB, and activations as much again


def load(
    size: int | None = None, weights: str | Path = "float", batch_size: int | None = None
) -> keras.Model:
    """A network with its weights, ready to predict: images (B, size, size, 3) → logits.

    `weights` is `float`, or an .npz from `checkpoint.save_weights`; `size` (16k+1) is 513 where it
    is free. `float` has weights of their own for 257 and 513, and takes those nearest to `size`.
    Set `batch_size` to export. Raises FileNotFoundError, or ValueError naming what does not fit.
    """
    path = shipped.file_of(weights, size)
    said = read_description(path)
    if said.architecture not in BUILDERS:
        wanted = ", ".join(BUILDERS)
        raise ValueError(f"{path}: holds weights of {said.architecture!r}; wanted {wanted}")
    size = said.size if size is None else size
    check("size", size, size <= MOST_PIXELS, f"at most {MOST_PIXELS}, for memory's sake")
    model = BUILDERS[said.architecture](size, said.num_classes, batch_size=batch_size)
    load_weights(model, path)
    return model


def class_names(weights: str | Path = "float") -> tuple[str, ...]:
    """The class names that travel with `weights`, () where nobody gave any. See `load`."""
    return read_description(shipped.file_of(weights)).class_names
