"""The int8 files in the wheel: whole, small, all integers, and true to their Keras networks."""

import pytest
import skimage.data

import segcore
from segcore import shipped
from segcore.data import voc
from segcore.export import tflite
from segcore.inference.segmenter import load, wrap
from segcore.models import checkpoint, pretrained
from segcore.training.optimizers import is_encoder

PHOTOS = {
    "cat": skimage.data.chelsea(),
    "person": skimage.data.astronaut(),
    "motorbike": skimage.data.stereo_motorcycle()[0],
}
AGREE = {"phone": 0.95, "sharp": 0.97}  # of pixels; the astronaut has 0.956 and 0.973


@pytest.mark.parametrize("name", AGREE)
def test_small_and_all_integers(name):
    file = tflite.File(shipped.NETWORKS[name].file)
    assert len(file.content) <= 3.3e6
    operators = file.operators
    assert len(operators) > 60
    assert not [operator.layer for operator in operators if operator.in_float]
    assert not [o.kind for o in operators if "SPACE" in o.kind or "BATCH" in o.kind]


@pytest.mark.parametrize("name", AGREE)
def test_agrees_with_the_network_that_it_was_made_from(name):
    file, made_from = load(name), shipped.NETWORKS[name].made_from
    network = load(made_from, file.size)
    for shown, photo in PHOTOS.items():
        expected, found = network(photo).mask, file(photo).mask
        assert found.shape == photo.shape[:2]
        assert (found == voc.CLASSES.index(shown)).mean() > 0.1, shown
        assert (found == expected).mean() > AGREE[name], shown


@pytest.mark.parametrize("network", shipped.NETWORKS.values(), ids=shipped.NETWORKS)
def test_files_say_what_the_table_says(network):
    if network.file.suffix == ".npz":
        described = checkpoint.read_description(network.file)
        said = described.class_names
        assert described.size == network.size and described.num_classes == len(said)
    else:
        said = tflite.File(network.file).class_names
    assert said == network.class_names == voc.CLASSES
    assert network.made_from in ["", *shipped.NETWORKS]


def test_default_is_the_phones():
    photo = PHOTOS["cat"]
    prediction = segcore.load()(photo)
    assert prediction.names == segcore.load("phone")(photo).names == ["cat", "background"]
    assert prediction.class_names == voc.CLASSES and not prediction.names_assumed
    with pytest.raises(ValueError, match=r"^phone: is made for 257 .* 513 there are sharp and "):
        load(size=513)


@pytest.mark.slow
def test_lean_network_has_the_shipped_encoder_and_a_head_of_its_own():
    whole, thin = pretrained.load(513), pretrained.load(weights="lean")
    assert thin.output_shape == (None, 513, 513, 21)
    assert thin.count_params() < 0.85 * whole.count_params()
    theirs = {variable.path: variable.numpy() for variable in whole.variables}
    for variable in thin.variables:
        if is_encoder(variable.path):
            assert (variable.numpy() == theirs[variable.path]).all(), variable.path
    masks = [wrap(net, "net")(PHOTOS["person"]).mask for net in (whole, thin)]
    assert (masks[0] == masks[1]).mean() > 0.97  # a head for another encoder would see little
    kernels = [net.get_layer("aspp0").get_weights()[0] for net in (whole, thin)]
    assert (kernels[0] != kernels[1]).mean() > 0.9
