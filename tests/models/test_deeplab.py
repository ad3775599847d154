"""DeepLabV3 and V3+ in every configuration, against published sizes and against misuse."""

import numpy as np
import pytest

from segcore.models import deeplab

SMALL = 65  # five features at stride 16: the smallest map that the rates 1, 2, 3 fit on


def test_parameters_and_shape():
    network = deeplab.deeplab_v3_plus(SMALL)
    assert network.count_params() == 2_764_357
    assert network.output_shape == (None, SMALL, SMALL, 21)


@pytest.mark.parametrize("size", [512, 224, 17, 0])
def test_size_must_be_16k_plus_1(size):
    with pytest.raises(ValueError, match="16k\\+1"):
        deeplab.deeplab_v3_plus(size)


def test_rates_shrink_with_the_map():
    assert deeplab.dilation_rates(513) == (6, 12, 18) and deeplab.dilation_rates(257) == (3, 6, 9)
    assert deeplab.dilation_rates(33) == (
        1,
        2,
        2,
    )  # of three features rate 3 reaches none


@pytest.mark.parametrize("aligned", [True, False])
def test_deeplab_v3_upsamples_at_once_or_twice(aligned):
    for factors in ((16,), (4, 4), (2, 8)):
        network = deeplab.deeplab_v3(97, 5, 16, aligned, factors)
        assert network.output_shape == (None, 97, 97, 5)
    with pytest.raises(ValueError, match=r"upsampling must be factors of .* not \(4, 2\)"):
        deeplab.deeplab_v3(97, upsampling=(4, 2))


def test_feature_maps_of_the_course_paper():
    network = deeplab.deeplab_v3_plus(224, config=deeplab.PAPER)

    def shape(name):
        return network.get_layer(name).output.shape[1:]

    assert shape("block_3_expand_relu") == (56, 56, 6 * 24)  # not 114
    assert shape("block_16_project_BN") == (7, 7, 320)
    assert shape("decoder_concat") == (56, 56, 256 + 48)
    assert network.output_shape == (None, 224, 224, 21)
    backbone = [layer for layer in network.layers if layer.name.startswith(("block", "expanded"))]
    assert {layer.dilation_rate for layer in backbone if "depthwise" in layer.name and not
            layer.name.endswith(("BN", "relu"))} == {(1, 1)}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "config", "channels"),
    [
        (SMALL, deeplab.DeepLabConfig(output_stride=8, width=0.35), 112),
        (129, deeplab.DeepLabConfig(output_stride=32), 320),
        (SMALL, deeplab.DeepLabConfig(width=1.4, dilation_rates=(1, 2, 4)), 448),
        (64, deeplab.DeepLabConfig(aligned=False, dilation_rates=(1, 2, 3)), 320),
    ],
    ids=str,
)
def test_every_configuration_answers_at_the_size_of_its_input(size, config, channels):
    network = deeplab.deeplab_v3_plus(size, num_classes=5, filters=32, config=config)
    side = -(-size // config.output_stride)
    assert network.get_layer("block_16_project").output.shape[1:] == (side, side, channels)
    x = np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    logits = network(x).numpy()
    assert logits.shape == (1, size, size, 5)
    assert np.isfinite(logits).all() and logits.std() > 0


@pytest.mark.parametrize(
    ("size", "config", "words"),
    [
        (512, deeplab.DeepLabConfig(), r"size must be 16k\+1 .* such as 497, not 512"),
        (49, deeplab.DeepLabConfig(output_stride=32), r"size must be 32k\+1 .* not 49"),
        (
            100,
            deeplab.DeepLabConfig(aligned=False),
            r"size must be 16k or 16k\+1, at least 32, such as 97, not 100",
        ),
        (
            257,
            deeplab.DeepLabConfig(dilation_rates=(6, 12, 18)),
            r"dilation_rates must be below 17 in a feature map of 17×17, .* not \(6, 12, 18\)",
        ),
        (97, deeplab.DeepLabConfig(output_stride=12), "output_stride must be 8, 16 or 32, not 12"),
        (SMALL, deeplab.DeepLabConfig(width=0), "width must be positive, not 0"),
        (SMALL, deeplab.DeepLabConfig(width=-0.5), "width must be positive, not -0.5"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_refuses(size, config, words):
    with pytest.raises(ValueError, match=words):
        deeplab.deeplab_v3_plus(size, config=config)
