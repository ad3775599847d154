"""The int8 files in the wheel: whole, small, all integers, and true to their Keras networks."""

import pytest
import skimage.data

from segcore import shipped
from segcore.data import voc
from segcore.export import tflite
from segcore.inference.segmenter import load, wrap
from segcore.models import pretrained
from segcore.training import runs

PHOTOS = {
    "cat": skimage.data.chelsea(),
    "person": skimage.data.astronaut(),
    "motorbike": skimage.data.stereo_motorcycle()[0],
}
FILES = {"phone": shipped.PHONE, "sharp": shipped.SHARP}
AGREE = {shipped.PHONE: 0.95, shipped.SHARP: 0.97}  # the astronaut has 0.956 and 0.973


@pytest.fixture(scope="module", params=["phone", "sharp"])
def shipped(request):
    """(file, the Keras network that it was made from)."""
    make = {"phone": lambda: pretrained.load(257), "sharp": pretrained.load_lean}
    return FILES[request.param], wrap(make[request.param](), request.param)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_small_and_all_integers(path):
    assert path.stat().st_size <= 3.3e6
    operators = tflite.operators(path)
    assert len(operators) > 60
    assert not [operator.layer for operator in operators if operator.in_float]
    assert not [o.kind for o in operators if "SPACE" in o.kind or "BATCH" in o.kind]


def test_agrees_with_its_network(shipped):
    path, network = shipped
    file = load(path)
    assert file.size == network.size
    for name, photo in PHOTOS.items():
        expected, found = network(photo).mask, file(photo).mask
        assert found.shape == photo.shape[:2]
        assert (found == voc.CLASSES.index(name)).mean() > 0.1, name
        assert (found == expected).mean() > AGREE[path], name


def test_lean_network_has_the_shipped_encoder_and_a_head_of_its_own():
    whole, thin = pretrained.load(513), pretrained.load_lean()
    assert thin.output_shape == (None, 513, 513, 21)
    assert thin.count_params() < 0.85 * whole.count_params()
    theirs = {variable.path: variable.numpy() for variable in whole.variables}
    for variable in thin.variables:
        if runs.is_encoder(variable.path):
            assert (variable.numpy() == theirs[variable.path]).all(), variable.path
    masks = [wrap(net, "net")(PHOTOS["person"]).mask for net in (whole, thin)]
    assert (masks[0] == masks[1]).mean() > 0.97  # a head for another encoder would see little
    kernels = [net.get_layer("aspp0").get_weights()[0] for net in (whole, thin)]
    assert (kernels[0] != kernels[1]).mean() > 0.9
