"""A network built the usual way, half a feature off, to be compared with its aligned twin.

Taught in chapter 6.
"""

from segcore._errors import check
from segcore._keras import keras
from segcore.models import blocks


def plain_twin(network: keras.Model, size: int) -> keras.Model:
    """`network` with the same weights for images (B, size, size, 3), plainly resized on its way.

    Each aligned upsampling (`blocks.upsample_aligned`) becomes a bilinear resize to the sides that
    "same" padding leaves of `size`: with 16k pixels half a feature off, with 16k+1 right in the
    middle only. ValueError for a `size` below 32. Taught in chapter 6.
    """
    check("size", size, size >= 32, "at least 32 pixels")
    aligned = network.input_shape[1]

    def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
        name = layer.name
        if name == "aspp_spread":
            side = -(-size // 16)
            return keras.layers.UpSampling2D(side, interpolation="bilinear", name=name)
        if name.endswith("_crop"):
            stride = (aligned - 1) // (layer.output.shape[1] - 1)
            return blocks.BilinearResize(-(-size // stride), name=name)
        if name.endswith("_up"):
            return keras.layers.Identity(name=name)
        return layer.__class__.from_config(layer.get_config())

    images = keras.Input((size, size, 3), name="image")
    twin = keras.models.clone_model(network, images, plain)
    twin.set_weights(network.get_weights())
    return twin
