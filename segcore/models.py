"""MobileNetV2 from its table, DeepLabV3+ on top of it, and their weights by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segcore import blocks
from segcore.quiet import keras
from segcore.voc import NUM_CLASSES

# Sandler et al. 2018, Table 2 (the course paper's Table 1): expansion t, channels c, repeats n,
# stride s of the first repeat.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LOW_LEVEL = "block_3_expand_relu"  # the last 144 channels at stride 4
layers = keras.layers
SHIPPED = Path(__file__).parent / "weights" / "deeplabv3plus_mnv2_voc.npz"


def mobilenet_v2(x: keras.KerasTensor, output_stride: int = 16) -> keras.KerasTensor:
    """Images (B, S, S, 3) in [-1, 1] → features (B, s, s, 320), a cell per `output_stride` pixels.

    Layer names are those of `keras.applications.MobileNetV2`. Where the table asks for a stride
    beyond `output_stride` (32, 16 or 8), the stride is dropped and later kernels are spread by an
    atrous rate instead, so the same weights see the same distances. Taught in chapter 4.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32, not {output_stride}")
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = blocks.normalise(x, "bn_Conv1", "relu6")
    reached, rate, number = 2, 1, 0
    for expansion, filters, repeats, first_stride in MOBILENET_V2:
        for repeat in range(repeats):
            wanted = first_stride if repeat == 0 else 1
            stride = wanted if reached * wanted <= output_stride else 1
            name = f"block_{number}" if number else "expanded_conv"
            x = blocks.inverted_residual(x, filters, expansion, stride, rate, name)
            reached, rate, number = reached * stride, rate * wanted // stride, number + 1
    return x


def deeplab_v3_plus(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = 256,
    batch_size: int | None = None,
) -> keras.Model:
    """DeepLabV3+ on MobileNetV2: images (B, size, size, 3) in [-1, 1] → logits of the same size.

    `size` is 16k+1, so that every stride keeps cell 0 on pixel 0 and the last cell on the last
    pixel. Atrous rates are 6, 12, 18 at 513 and shrink with the map. Set `batch_size` to export.
    Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution. Taught in chapter 6.
    """
    if size % 16 != 1 or size < 33:
        below = max(size - 1, 32) // 16 * 16 + 1
        raise ValueError(f"size must be 16k+1 and at least 33, not {size}; try {below}")
    images = keras.Input((size, size, 3), batch_size=batch_size, name="image")
    x = mobilenet_v2(images)
    low = keras.Model(images, x).get_layer(LOW_LEVEL).output
    x = blocks.aspp(x, filters, atrous_rates(size))
    x = blocks.upsample_aligned(x, 4, "encoder")
    low = blocks.convolution(low, 48, "low_projection")
    x = layers.Concatenate(name="decoder_concat")([x, low])
    x = blocks.separable_convolution(x, filters, "decoder1")
    x = blocks.separable_convolution(x, filters, "decoder2")
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    x = blocks.upsample_aligned(x, 4, "logits", late=True)
    return keras.Model(images, x, name="deeplab_v3_plus")


def atrous_rates(size: int) -> tuple[int, int, int]:
    """Rates of the three atrous branches for input `size`: 6, 12, 18 at 513, 3, 6, 9 at 257."""
    unit = max(round(6 * size / 513), 1)
    return unit, 2 * unit, 3 * unit


def pretrained(size: int = 513, weights: str | Path = SHIPPED) -> keras.Model:
    """`deeplab_v3_plus(size)` with the shipped weights: 21 VOC classes, ready to predict."""
    model = deeplab_v3_plus(size)
    load_weights(model, weights)
    return model


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Fills `model` from an .npz of `layer/variable` arrays, each variable exactly once.

    Raises FileNotFoundError, or ValueError naming the first variable that is missing, superfluous
    or of another shape. The model is only touched when everything fits.
    """
    arrays = read_weights(path)
    variables = {_key(layer, v): v for layer in model.layers for v in layer.weights}
    for key in [*variables, *arrays]:
        if key not in arrays:
            raise ValueError(f"{path}: {key} is missing; the file belongs to another network")
        if key not in variables:
            raise ValueError(f"{path}: {key} has no place in {model.name}")
        if arrays[key].shape != tuple(variables[key].shape):
            shapes = f"{arrays[key].shape} in the file, {tuple(variables[key].shape)} in the model"
            raise ValueError(f"{path}: {key} differs in shape: {shapes}")
    for key, variable in variables.items():
        variable.assign(arrays[key])


def read_weights(path: str | Path) -> Mapping[str, np.ndarray]:
    """The arrays of an .npz by `layer/variable`, float32. ValueError when the file is damaged."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            return {key: file[key].astype(np.float32) for key in file.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise ValueError(f"{path}: not a readable .npz of weights ({error})") from None


def save_weights(model: keras.Model, path: str | Path, dtype: str = "float16") -> None:
    """Writes every variable as `layer/variable` to a compressed .npz, all at once or not at all.

    float16 halves the file; it is refused (ValueError) where a value would overflow.
    """
    arrays = {_key(layer, v): np.asarray(v) for layer in model.layers for v in layer.weights}
    write_weights(arrays, path, dtype)


def write_weights(
    arrays: Mapping[str, np.ndarray], path: str | Path, dtype: str = "float16"
) -> None:
    """Like `save_weights`, for arrays that are already in hand."""
    for key, array in arrays.items():
        if np.abs(array).max(initial=0) > np.finfo(dtype).max:
            raise ValueError(f"{key} holds {np.abs(array).max():.3g}, too large for {dtype}")
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        small: Any = {key: array.astype(dtype) for key, array in arrays.items()}
        np.savez_compressed(file, **small)
    temporary.replace(path)


def _key(layer: keras.Layer, variable: keras.Variable) -> str:
    return f"{layer.name}/{variable.name}"
