"""Who feeds whom, against a graph that is written down here."""

import pytest

from segcore._keras import keras
from segcore.models.graph import inputs_by_layer

layers = keras.layers


def test_inputs_are_named_in_the_order_in_which_a_layer_takes_them():
    image = keras.Input((8, 8, 3), name="image")
    a = layers.Conv2D(4, 1, name="a")(image)
    b = layers.ReLU(name="b")(a)
    c = layers.Add(name="c")([b, a])
    model = keras.Model(image, layers.Concatenate(name="d")([image, c, b]))
    assert inputs_by_layer(model) == {
        "image": [], "a": ["image"], "b": ["a"], "c": ["b", "a"], "d": ["image", "c", "b"]
    }  # fmt: skip


def test_a_layer_that_is_called_twice_is_refused_by_name():
    image, twice = keras.Input((8, 8, 3)), layers.Conv2D(3, 1, name="twice")
    with pytest.raises(ValueError, match="twice is called 2 times"):
        inputs_by_layer(keras.Model(image, twice(twice(image))))
