"""The int8 files in the wheel: whole, small, all integers, and true to their Keras networks."""

import pytest
import skimage.data

import segcore
from segcore import shipped
from segcore.data import voc
from segcore.export import tflite
from segcore.inference.segmenter import load
from segcore.models import checkpoint

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
    for size, path in network.files.items():
        if path.suffix == ".npz":
            described = checkpoint.read_description(path)
            said = described.class_names
            assert described.size == size and described.num_classes == len(said)
        else:
            said = tflite.File(path).class_names
        assert said == network.class_names == voc.CLASSES
    assert network.made_from in ["", *shipped.NETWORKS]


@pytest.mark.parametrize(
    ("size", "own"), [(None, 513), (81, 257), (257, 257), (353, 257), (369, 513), (801, 513)]
)
def test_the_float_network_takes_the_weights_of_the_nearest_size(size, own):
    assert shipped.file_of("float", size) == shipped.FLOAT.files[own]
    assert shipped.file_of(shipped.PHONE.file, size) == shipped.PHONE.file


def test_default_is_the_phones():
    photo = PHOTOS["cat"]
    prediction = segcore.load()(photo)
    assert prediction.names == segcore.load("phone")(photo).names == ["cat", "background"]
    assert prediction.class_names == voc.CLASSES and not prediction.names_assumed
    with pytest.raises(
        ValueError, match=r"^phone: is made for 257 .* 513 there are sharp and float"
    ):
        load(size=513)
