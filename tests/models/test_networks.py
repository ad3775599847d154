"""Every network that we build: forward, to a float32 .tflite, loaded, with the same answer."""

import numpy as np
import pytest

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.export.convert import to_tflite
from segcore.inference.segmenter import load
from segcore.models import checkpoint, deeplab

NARROW = deeplab.DeepLabConfig(width=0.35)


def fixed(network):
    """`network` with a batch of 1, as files want it."""
    image = keras.Input(network.input_shape[1:], batch_size=1)
    return keras.Model(image, network(image))


NETWORKS = {
    "v3": (65, lambda size: deeplab.deeplab_v3(size, 4, 16)),
    "v3_upsampled_twice": (65, lambda size: deeplab.deeplab_v3(size, 4, 16, upsampling=(4, 4))),
    "v3_plus": (65, lambda size: deeplab.deeplab_v3_plus(size, 4, 16, 1, NARROW)),
    "course_paper": (64, lambda size: deeplab.deeplab_v3_plus(size, 4, 16, 1, deeplab.PAPER)),
    "light": (65, lambda size: deeplab.deeplab_light(size, 4, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_forward_export_reload(name, random_arrays, tmp_path):
    size, build = NETWORKS[name]
    network = build(size)
    checkpoint.load_weights(network, random_arrays(network))
    box = np.random.default_rng(5).integers(0, 256, (size, size, 3), np.uint8)
    expected = np.asarray(network(box[None] / np.float32(127.5) - 1))[0]
    assert expected.shape == (size, size, 4) and expected.std() > 0.05
    path = write_bytes(tmp_path / "network.tflite", to_tflite(fixed(network), "float32"))
    file = load(path, class_names=["a", "b", "c", "d"])
    apart = np.abs(file.infer(box) - expected).max()
    assert apart < 1e-3 * np.ptp(expected)
