"""AlignmentRuler without a browser: positions as convolutions and resizing have them."""

import numpy as np
import pytest
import traitlets

from segcore.display.explorers import AlignmentRuler


def convolved(size: int, stride: int) -> np.ndarray:
    """The oracle: a ramp of positions, averaged by strided windows that zeros shift as TF does."""
    ramp = np.arange(size, dtype=float)
    while stride > 1:
        outputs = -(-len(ramp) // 2)
        total = max((outputs - 1) * 2 + 3 - len(ramp), 0)
        wide = np.pad(ramp, (total // 2, total - total // 2), "reflect", reflect_type="odd")
        ramp = np.array([wide[2 * i : 2 * i + 3].mean() for i in range(outputs)])
        stride //= 2
    return ramp


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize("size", [17, 24, 33, 50, 64, 65, 128, 129])
def test_features_stand_where_convolutions_put_them(size: int, stride: int) -> None:
    assert np.allclose(AlignmentRuler(size, stride).stands, convolved(size, stride))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stride"), [(64, 16), (65, 16), (33, 4), (50, 8)])
def test_features_land_where_tensorflow_puts_them(size: int, stride: int) -> None:
    """Features that hold their own number are upsampled; a line through the answer is inverted."""
    import tensorflow as tf

    from segcore._keras import keras

    count = len(AlignmentRuler(size, stride).stands)
    features = tf.reshape(tf.range(float(count)), (1, count, 1, 1))

    def landed(answer: np.ndarray) -> np.ndarray:
        inner = (answer > 1e-4) & (answer < count - 1 - 1e-4)
        slope, start = np.polyfit(np.flatnonzero(inner), answer[inner], 1)
        return (np.arange(count) - start) / slope

    resize = tf.compat.v1.image.resize_bilinear
    corners = resize(features, (size, 1), align_corners=True).numpy().ravel()
    centres = resize(features, (size, 1), half_pixel_centers=True).numpy().ravel()
    up = keras.layers.UpSampling2D((stride, 1), interpolation="bilinear")(features).numpy().ravel()
    for method, answer in [("align_corners", corners), ("half_pixel", centres), ("crop", up[3:])]:
        ruler = AlignmentRuler(size, stride, method, crop=3)
        assert np.allclose(ruler.lands, landed(answer), atol=1e-3), method


def test_misalignment_of_the_course() -> None:
    """Half a feature off at sizes of 16 k; nothing but half a pixel with the crop at 16 k + 1."""
    assert AlignmentRuler(64, 16).misalignment.tolist() == [-7.5] * 4
    assert AlignmentRuler(65, 16, "align_corners").misalignment.tolist() == [0] * 5
    assert AlignmentRuler(65, 16, "crop", 7).misalignment.tolist() == [0.5] * 5
    assert AlignmentRuler(65, 16, "crop", 8).misalignment.tolist() == [-0.5] * 5


def test_still_lists_every_feature() -> None:
    ruler = AlignmentRuler(64, 16, "crop", 7)
    still = ruler._still()
    assert "<td>63.0</td><td>48.5</td><td>-14.5</td>" in still and "crop in front 7 pixels" in still
    assert repr(ruler) == "AlignmentRuler(64 pixels, stride 16: 14.5 pixels off)"


@pytest.mark.parametrize(("name", "value"), [
    ("size", 16), ("stride", 3), ("method", "bicubic"), ("crop", 16), ("feature", 4),
])  # fmt: skip
def test_traits_refuse(name: str, value: object) -> None:
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(AlignmentRuler(64, 16), name, value)


def test_with_fewer_features_the_last_is_told_of() -> None:
    ruler = AlignmentRuler(64, 4)
    ruler.feature = 15
    ruler.stride = 16
    assert ruler.feature == 3
