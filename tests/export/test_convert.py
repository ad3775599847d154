"""What an exported file promises, with limits tight enough to be broken by a small mistake."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from segcore._files import write_bytes
from segcore.data import voc
from segcore.data.images import letterbox
from segcore.export import convert, tflite
from segcore.export.calibration import Calibration, draw_photos
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter
from segcore.inference.evaluate import compare_files
from segcore.inference.segmenter import Segmenter, load, wrap
from segcore.models import deeplab, pretrained
from segcore.quantisation import bias_correction, debugger, integers

SIZE = 129
PHOTOS = {
    "chelsea": skimage.data.chelsea(),
    "astronaut": skimage.data.astronaut(),
    "coffee": skimage.data.coffee(),
    "motorcycle": skimage.data.stereo_motorcycle()[0],
}
# Behind each limit: what was measured with the first checkpoint.
LIMITS = {  # MiB, share of pixels changed, largest difference between scores, IoU with float's mask
    "float32": (10.4, 1e-4, 1e-3, 0.9999),  # 10.38, 0, 0.00004, 1
    "float16": (5.3, 0.003, 0.6, 0.99),  # 5.25, 0.0008, 0.31, 0.998
    "dynamic": (3.0, 0.03, 3, 0.94),  # 2.92, 0.013, 1.3, 0.974
    "int8": (3.15, 0.05, 7, 0.9),  # 3.14, 0.027, 3.9, 0.946
    "corrected": (3.15, 0.03, 3.5, 0.94),  # 3.14, 0.015, 1.7, 0.972
}


@pytest.fixture(scope="session")
def network():
    return pretrained.load(SIZE, batch_size=1)


@pytest.fixture(scope="session")
def calibration():
    return Calibration(tuple(PHOTOS.values()))


@pytest.fixture(scope="session")
def contents(network, calibration):
    """The bytes of a file in each precision, and of the int8 one with corrected biases."""
    made = {name: to_tflite(network, name, calibration) for name in convert.PRECISIONS}
    images = list(calibration.images(SIZE))
    return made | {"corrected": bias_correction.correct_bias(made["float32"], made["int8"], images)}


@pytest.fixture(scope="session")
def reference(network):
    return wrap(network, "float")


@pytest.fixture(scope="session")
def pairs(reference, tmp_path_factory):
    """Four photos, and as labels what the float network says to them."""
    folder = tmp_path_factory.mktemp("photos")
    for name, image in PHOTOS.items():
        Image.fromarray(image).save(folder / f"{name}.png")
        voc.write_mask(folder / f"{name}_mask.png", reference(image).mask)
    return [(folder / f"{name}.png", folder / f"{name}_mask.png") for name in PHOTOS]


@pytest.fixture(scope="session")
def paths(contents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return {name: write_bytes(folder / f"{name}.tflite", c) for name, c in contents.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_contract(name, paths, reference, pairs):
    mib, changed, difference, iou = LIMITS[name]
    held = compare_files(paths[name], reference, pairs)
    assert held["bytes"] <= mib * 2**20 and held["mib"] == pytest.approx(
        held["bytes"] / 2**20, 0.01
    )
    assert held["changed"] <= changed
    assert held["logit_difference"] <= difference
    assert held["miou"] >= iou
    assert held["matrices"].sum() == sum(image[..., 0].size for image in PHOTOS.values())
    assert held["changed"] == pytest.approx(1 - held["accuracy"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_batch_of_one_leaves_no_space_to_batch(name, contents):
    kinds = {operator.kind for operator in tflite.File(contents[name]).operators}
    assert not [kind for kind in kinds if "SPACE" in kind or "BATCH" in kind]


@pytest.mark.slow
def test_only_int8_computes_in_integers(contents):
    for name, content in contents.items():
        operators = tflite.File(content).operators
        in_float = {o.kind for o in operators if o.in_float}
        convolutions = [o for o in operators if o.kind in bias_correction.CONVOLUTIONS]
        assert len(convolutions) == 62
        if name in ("int8", "corrected"):
            assert not in_float
            assert {o.inputs for o in convolutions} == {("int8", "int8", "int32")}
            assert operators[0].inputs == ("uint8",) and operators[-1].output == "uint8"
        else:
            assert "CONV_2D" in in_float and "ADD" in in_float


@pytest.mark.slow
def test_kernels_are_stored_as_promised(contents):
    for name, precision in convert.PRECISIONS.items():
        model = tflite.File(contents[name]).model
        sizes = {"float32": 4, "float16": 2, "int8": 1}
        most = max(len(b.data) for b in model.buffers if b.data is not None)
        assert most == 960 * 320 * sizes[precision.weights]  # block_16_project


@pytest.mark.slow
def test_multiply_adds_are_counted_like_the_networks(network, contents):
    from segcore.models import cost

    counted = sum(operator.macs for operator in tflite.File(contents["int8"]).operators)
    assert counted == cost.total(cost.layer_costs(network))[1]
    assert tflite.File(contents["int8"]).operators[2].layer.startswith("expanded_conv")


@pytest.mark.slow
def test_argmax_inside_names_the_highest_score(network, calibration, paths, tmp_path):
    content = to_tflite(network, "int8", calibration, argmax=True)
    operators = tflite.File(content).operators
    assert not [o for o in operators if o.in_float]
    assert (operators[-1].kind, operators[-1].output) == ("ARG_MAX", "int32")
    winner = load(write_bytes(tmp_path / "winner.tflite", content))
    box, _ = letterbox(PHOTOS["astronaut"], SIZE)
    ids, scores = winner.infer(box), load(paths["int8"]).infer(box)
    assert ids.dtype == np.int32 and len(np.unique(ids)) > 1
    np.testing.assert_array_equal(ids, scores.argmax(-1))
    assert compare_files(paths["int8"], winner, [])["logit_difference"] is None


@pytest.mark.slow
def test_float_interface(calibration):
    small = deeplab.deeplab_v3_plus(65, 21, 8, 1, deeplab.DeepLabConfig(width=0.35))
    operators = tflite.File(to_tflite(small, "int8", calibration, "float32")).operators
    assert (operators[0].inputs, operators[-1].output) == (("float32",), "float32")
    assert not [o for o in operators if o.in_float]  # changes of type at the two ends, no more


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["expanded_conv_project_BN", "block_5_expand_relu", "logits"])
def test_one_layer_by_hand_to_the_bit(contents, calibration, layer):
    layer = debugger.integers(contents["int8"], next(calibration.images(SIZE)), layer)
    ours = integers.pointwise(layer.image, layer.kernel, layer.bias, layer.maps)
    assert np.ptp(layer.output.astype(int)) > 100
    np.testing.assert_array_equal(ours, layer.output)


@pytest.mark.slow
def test_only_pointwise_layers_are_opened(contents, calibration):
    for layer in ("Conv1_relu", "nowhere", "block_2_add"):
        with pytest.raises(ValueError, match=f"layer '{layer}' is no 1×1 convolution"):
            debugger.integers(contents["int8"], next(calibration.images(SIZE)), layer)


@pytest.mark.slow
def test_signal_to_noise_falls_from_conversion_to_conversion(contents, calibration):
    images = list(calibration.images(SIZE))[:1]
    rows = debugger.signal_to_noise(contents["float32"], contents["int8"], images)
    assert rows[0][1] > 40 and rows[0][0].layer == "Conv1_relu"
    assert 5 < min(decibels for _, decibels in rows) < 20
    assert min(d for _, d in debugger.signal_to_noise(*[contents["float32"]] * 2, images)) > 200


@pytest.mark.slow
def test_signal_to_noise_is_the_formula(contents, calibration):
    image = next(calibration.images(SIZE))
    rows = debugger.signal_to_noise(contents["float32"], contents["int8"], [image])
    runs = [open_interpreter(contents[name], keep=True) for name in ("float32", "int8")]
    truth, rounded = (debugger.run_operators(run, image) for run in runs)
    truth, rounded = truth[-1], rounded[-2]  # the last one changes int8 to uint8
    wanted = 10 * np.log10((truth**2).sum() / ((truth - rounded) ** 2).sum())
    assert rows[-1][1] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.slow
def test_corrected_biases_bring_the_means_back(contents, calibration):
    images = list(calibration.images(SIZE))
    wanted, before, after = (
        bias_correction.channel_means(contents[name], images)
        for name in ("float32", "int8", "corrected")
    )
    off = [
        np.mean([np.abs(x - y).mean() for x, y in zip(wanted, means, strict=True)])
        for means in (before, after)
    ]
    assert off[1] < 0.5 * off[0]
    assert len(contents["corrected"]) <= len(contents["int8"])


@pytest.mark.slow
def test_files_of_two_networks_are_not_compared(contents):
    small = to_tflite(_fixed(deeplab.deeplab_v3(65, filters=8)), "float32")
    for wrong in (debugger.signal_to_noise, bias_correction.correct_bias):
        with pytest.raises(ValueError, match="different operators"):
            wrong(small, contents["int8"], [np.zeros((1, SIZE, SIZE, 3), np.float32)])


def _fixed(network):
    from segcore._keras import keras

    images = keras.Input(batch_shape=(1, *network.input_shape[1:]))
    return keras.Model(images, network(images))


def test_calibration_is_drawn_by_seed_and_recorded(tmp_path):
    photos = [tmp_path / f"{number}.png" for number in range(20)]
    first, again, other = (draw_photos(photos[::step], 5, seed) for step, seed in CASES)
    assert first == again and first != other and len(set(first.photos)) == 5
    scheme = first.scheme(257)
    assert scheme["names"] == [photo.name for photo in first.photos] and scheme["seed"] == 3
    assert "257" in scheme["letterbox"] and scheme["photos"] == 5
    with pytest.raises(ValueError, match=r"count must be 1 to 20, .* not 21"):
        draw_photos(photos, 21)


CASES = ((1, 3), (-1, 3), (1, 4))  # order of the photos, seed


def test_calibration_images_are_what_the_network_sees():
    image = np.full((10, 20, 3), 255, np.uint8)
    (seen,) = Calibration((image,)).images(33)
    assert seen.shape == (1, 33, 33, 3) and seen.dtype == np.float32
    np.testing.assert_allclose(seen[0, 0, 0], 1)
    np.testing.assert_allclose(seen[0, -1, 0], 127 / 127.5 - 1, atol=1e-6)
    assert Calibration((image,)).scheme(33)["names"][0].startswith("20x10 sha256 ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"precision": "int4"}, r"precision must be one of float32, float16, .* not 'int4'"),
        ({"interface": "bytes"}, r"interface must be one of uint8, .* not 'bytes'"),
        ({"precision": "int8"}, r"calibration is None .* name some photos"),
    ],
)
def test_bad_arguments(network, arguments, said):
    with pytest.raises(ValueError, match=said):
        to_tflite(network, **({"precision": "float32"} | arguments))


def test_free_batch_is_refused():
    with pytest.raises(ValueError, match=r"input must be .*batch_size=1.* not \(None, 65, 65, 3\)"):
        to_tflite(deeplab.deeplab_v3_plus(65), "float32")


def test_nothing_is_left_behind_when_writing_fails(tmp_path):
    assert write_bytes(tmp_path / "a.tflite", b"x").read_bytes() == b"x"
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(FileExistsError):
        write_bytes(tmp_path / "folder.tflite", b"x")
    assert not list(Path(tmp_path).glob("*.part"))


def test_what_is_no_tflite_file_is_named(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"hello, I am no model")
    with pytest.raises(ValueError, match=r"a\.tflite: not a \.tflite file"):
        tflite.File(tmp_path / "a.tflite")
    with pytest.raises(ValueError, match=r"a\.tflite: not a \.tflite file"):
        open_interpreter(tmp_path / "a.tflite")


@pytest.mark.slow
def test_reference_of_another_size_is_refused(paths):
    other = Segmenter(lambda box: box, 65, "other")
    with pytest.raises(ValueError, match="reference is made for 65 pixels"):
        compare_files(paths["float32"], other, [])
