"""Layers are timed by name and in turn, and what is timed is what was asked for."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.course import layer_times
from segcore.export import tflite


def test_each_stack_has_a_time_for_each_round():
    layers = keras.layers
    stacks = {"none": [layers.ReLU()], "two": [layers.DepthwiseConv2D(3), layers.Conv2D(6, 1)]}
    found = layer_times.milliseconds(stacks, (9, 9, 4), rounds=3)
    assert list(found) == ["none", "two"]
    assert all(times.shape == (3,) and (times > 0).all() for times in found.values())


def test_the_file_holds_the_layers_of_the_stack():
    stack = [keras.layers.DepthwiseConv2D(3, padding="same"), keras.layers.Conv2D(6, 1)]
    file = tflite.File(layer_times._file(stack, (9, 9, 4)))
    kinds = [operator.kind for operator in file.operators]
    assert kinds == ["DEPTHWISE_CONV_2D", "CONV_2D"]
    assert file.operators[-1].shape == (1, 9, 9, 6)


@pytest.mark.parametrize(
    ("stacks", "shape", "rounds", "named"),
    [
        ({}, (9, 9, 4), 3, "stacks"),
        ({"a": []}, (9, 9, 4), 0, "rounds"),
        ({"a": []}, (9, 8, 4), 3, "shape"),
    ],
)
def test_what_cannot_be_timed_is_named(stacks, shape, rounds, named):
    with pytest.raises(ValueError, match=named):
        layer_times.milliseconds(stacks, shape, rounds)


def test_times_are_numbers_of_milliseconds(monkeypatch):
    monkeypatch.setattr(layer_times.benchmark, "milliseconds", lambda run, at_least: 7.0)
    found = layer_times.milliseconds({"a": [keras.layers.ReLU()]}, (5, 5, 2), rounds=2)
    np.testing.assert_array_equal(found["a"], [7, 7])
