"""Files broken on purpose are named right without being run; whole ones are left in peace."""

import numpy as np
import pytest

from segcore import shipped
from segcore._keras import keras
from segcore.export import convert, tflite
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.description import describe

SIDE = 33
PHOTO = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def network(*more, batch=1, side=SIDE):
    """A dilated convolution, scores of three classes, and what comes behind."""
    image = keras.Input((side, side, 3), batch_size=batch)
    x = keras.layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(image)
    x = keras.layers.Conv2D(3, 1, strides=4, padding="same")(x)
    for layer in more:
        x = layer(x)
    return keras.Model(image, x)


def converted(model, select=False):
    """What people export who do not fix the batch."""
    import tensorflow as tf

    with convert._silence():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if select:
            kinds = tf.lite.OpsSet
            converter.target_spec.supported_ops = [kinds.TFLITE_BUILTINS, kinds.SELECT_TF_OPS]
        return bytes(converter.convert())


def kinds(source):
    return [finding.kind for finding in describe(source).findings]


def said(source, kind):
    """The sentence of the one finding of this `kind`."""
    (text,) = [finding.text for finding in describe(source).findings if finding.kind == kind]
    return text


@pytest.mark.parametrize("known", [shipped.PHONE, shipped.SHARP], ids=lambda n: n.name)
def test_shipped_files_have_no_fault(known):
    found = describe(known.file)
    assert found.numbers == "int8" and set(kinds(known.file)) <= {"full-size"}
    (image,), (scores,) = found.inputs, found.outputs
    assert image.shape == (1, known.size, known.size, 3) and image.dtype == "uint8"
    np.testing.assert_allclose(image.range, (-1, 1), atol=0.01)
    assert scores.shape == (1, known.size, known.size, len(known.class_names))
    assert found.bytes == known.file.stat().st_size
    assert sum(found.operators.values()) == len(tflite.File(known.file).operators)


def test_a_free_batch_leaves_space_to_batch():
    assert kinds(to_tflite(network(), "float32")) == []
    free = converted(network(batch=None))
    assert kinds(free) == ["free-batch", "space-to-batch"]
    assert "1 dilated convolution fell apart" in said(free, "space-to-batch")
    assert describe(free).inputs[0].shape == (-1, SIDE, SIDE, 3)
    assert "free-size" in kinds(converted(network(batch=None, side=None)))


def test_a_float_operator_in_an_int8_file_is_named():
    import tensorflow as tf

    sine = network(keras.layers.Lambda(tf.sin))
    with pytest.raises(ValueError, match="SIN stayed in float"):
        to_tflite(sine, "int8", Calibration((PHOTO,)))  # our own export refuses it
    with convert._silence():
        converter = convert._converter(sine, "int8", Calibration((PHOTO,)), "uint8")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        content = bytes(converter.convert())
    assert kinds(content) == ["float-in-int8"] and describe(content).numbers == "int8"
    assert "1 of" in said(content, "float-in-int8") and "SIN" in said(content, "float-in-int8")
    assert kinds(to_tflite(network(), "int8", Calibration((PHOTO,)), "float32")) == []
    assert kinds(to_tflite(sine, "float32")) == []  # there it is at home


def test_what_a_phone_would_stumble_over_behind_the_last_convolution():
    ids = to_tflite(network(), "float32", argmax=True)
    assert kinds(ids) == ["not-on-gpu", "argmax"] and "ARG_MAX" in said(ids, "not-on-gpu")
    large = to_tflite(
        network(keras.layers.UpSampling2D(4, interpolation="bilinear"), keras.layers.Softmax()),
        "float32",
    )
    assert kinds(large) == ["full-size", "softmax"]
    assert "36×36 positions of 3 scores" in said(large, "full-size")


def test_an_operator_that_tflite_lacks_is_named():
    import tensorflow as tf

    content = converted(network(keras.layers.Lambda(tf.math.erf)), select=True)
    assert "custom" in kinds(content) and "FlexErf" in said(content, "custom")
    assert "not-on-gpu" not in kinds(content)


def test_precisions_are_told_apart():
    calibration = Calibration((PHOTO,))
    found = {p: describe(to_tflite(network(), p, calibration)).numbers for p in convert.PRECISIONS}
    assert found["float32"] == "float32" and found["int8"] == "int8"
    assert found["float16"] == "float32, float16 kernels"
    up = network(keras.layers.Conv2DTranspose(3, 3, strides=2))
    assert describe(to_tflite(up, "float32")).numbers == "float32"


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x1c\0\0\0TFL3" + bytes(40)])
def test_what_is_no_tflite_is_refused(content):
    with pytest.raises(ValueError, match=r"^the content: (not|a damaged) "):
        describe(content)


def test_damage_anywhere_is_a_sentence():
    whole, random = to_tflite(network(), "float32"), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 8):
            damaged[place] = random.integers(256)
        try:
            describe(bytes(damaged))
        except ValueError as error:
            assert str(error).startswith("the content: ")
