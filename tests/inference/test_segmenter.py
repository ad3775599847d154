"""The segmenter on free photos, and the scores that the course quotes, measured anew."""

import re

import numpy as np
import pytest
import skimage

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.export import tflite
from segcore.export.convert import to_tflite
from segcore.export.labels import with_labels
from segcore.inference import segmenter as segmenter_module
from segcore.inference.segmenter import Prediction, load


@pytest.fixture(scope="module")
def segmenter():
    return load("float")


@pytest.mark.parametrize(
    ("photo", "wanted"), [("chelsea", "cat"), ("astronaut", "person"), ("coffee", "diningtable")]
)
def test_free_photos(segmenter, photo, wanted):
    image = getattr(skimage.data, photo)()
    prediction = segmenter(image)
    assert prediction.mask.shape == image.shape[:2] and prediction.mask.dtype == np.uint8
    largest = next(name for name in prediction.fractions() if name != "background")
    assert largest == wanted and prediction.fractions()[wanted] > 0.25
    assert sum(prediction.fractions().values()) == pytest.approx(1)
    assert min(prediction.preprocess_ms, prediction.inference_ms, prediction.mask_ms) > 0


def test_motorbike(segmenter):
    fractions = segmenter(skimage.data.stereo_motorcycle()[0]).fractions()
    assert fractions["motorbike"] > 0.25 and "bicycle" not in fractions


def test_fractions_are_counted():
    prediction = Prediction(np.array([[0, 0, 8], [8, 8, 15]], np.uint8), 1, 1, 1)
    assert prediction.fractions() == {"cat": 3 / 6, "background": 2 / 6, "person": 1 / 6}
    assert prediction.names == ["cat", "background", "person"]


def network(side=33, stride=1, classes=21):
    """One convolution, for images (1, side, side, 3)."""
    image = keras.Input((side, side, 3), batch_size=1)
    return keras.Model(image, keras.layers.Conv2D(classes, 1, stride)(image))


@pytest.fixture
def saved(tmp_path):
    """A function that writes the bytes of a .tflite, or a network as .keras → its path."""

    def save(model):
        if isinstance(model, bytes):
            return write_bytes(tmp_path / "m.tflite", model)
        model.save(tmp_path / "m.keras")
        return tmp_path / "m.keras"

    return save


@pytest.mark.parametrize("prepare", [lambda net: net, lambda net: to_tflite(net, "float32")])
@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"stride": 4}, "answers with (9, 9, 21) to 33×33 pixels"),
        ({"classes": 256}, "answers with (33, 33, 256) to 33×33 pixels"),
    ],
)
def test_an_answer_that_fits_no_mask_is_refused(saved, prepare, odd, said):
    path = saved(prepare(network(**odd)))
    with pytest.raises(ValueError, match=re.escape(f"{path}: {said}; export it so that each")):
        load(path)


def test_a_file_for_any_size_is_refused(saved):
    model = tflite.File(to_tflite(network(), "float32")).model
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shape = np.array([1, 1, 1, 3], np.int32)
    tensor.shapeSignature = np.array([1, -1, -1, 3], np.int32)
    for free in (tflite.write(model), network(side=None)):
        path = saved(free)
        with pytest.raises(ValueError, match=re.escape(f"{path}: takes images of any size; exp")):
            load(path)


def test_ids_that_voc_does_not_have_are_refused(saved):
    """A file that was made for 300 classes and answers with ids; 44 + 256 is no bottle."""
    photo = np.zeros((20, 30, 3), np.uint8)
    for winner, fine in ((20, True), (21, False), (300, False)):
        many = network(classes=301)
        many.layers[1].bias.assign(np.eye(301)[winner])
        many.layers[1].kernel.assign(np.zeros((1, 1, 3, 301)))
        segmenter = load(saved(to_tflite(many, "float32", argmax=True)))
        if fine:
            assert (segmenter(photo).mask == 20).all()
        else:
            with pytest.raises(
                ValueError, match=f"class ids {winner} to {winner}; its names are those of 0 to 20"
            ):
                segmenter(photo)


@pytest.mark.parametrize("threads", [0, -1, 257, 100_000])
def test_threads_out_of_range_are_not_the_files_fault(threads):
    with pytest.raises(ValueError, match=f"^threads must be 1 to 256, not {threads}$"):
        load("phone", threads=threads)


def test_tflite_input_and_output_types(monkeypatch, tmp_path):
    """Float, uint8 and int8 files see the same photo; quantised scores come back as numbers."""
    box = np.arange(33 * 33 * 3, dtype=np.uint8).reshape(33, 33, 3)
    for dtype, scale, zero in [
        (np.float32, 1, 0),
        (np.uint8, 1 / 127.5, 127.5),
        (np.int8, 1 / 127.5, -0.5),
    ]:
        fake = FakeInterpreter(dtype)
        monkeypatch.setattr(
            segmenter_module, "open_interpreter", lambda file, threads, fake=fake: fake
        )
        (tmp_path / "m.tflite").write_bytes(with_labels(b"\0\0\0\0TFL3", "abc"))
        answer = load(tmp_path / "m.tflite").infer(box)
        seen = (fake.seen[0].astype(float) - zero) * scale
        np.testing.assert_allclose(seen, box / 127.5 - 1, atol=1e-6)
        np.testing.assert_allclose(answer[0, 0], [-2.0, 0.0, 5.0])


class FakeInterpreter:
    """Answers with int8 scores of scale 0.5 and zero point 10; remembers what it was given."""

    def __init__(self, dtype):
        self.dtype = dtype

    def get_input_details(self):
        shape = np.array([1, 33, 33, 3])
        return [{"dtype": self.dtype, "shape": shape, "shape_signature": shape, "index": 0}]

    def get_output_details(self):
        shape = np.array([1, 33, 33, 3])
        return [{"index": 1, "shape": shape, "dtype": np.int8, "quantization": (0.5, 10)}]

    def set_tensor(self, index, value):
        assert value.dtype == self.dtype and index == 0
        self.seen = value

    def invoke(self):
        pass

    def get_tensor(self, index):
        assert index == 1
        return np.broadcast_to(np.array([6, 10, 20], np.int8), (1, 33, 33, 3))
