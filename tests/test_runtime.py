"""The segmenter on free photos, and the scores that the course quotes, measured anew."""

import subprocess
import sys

import numpy as np
import pytest
import skimage

from segcore import results, runtime, voc

MINE = [(513, "shipped_513", 76.1), (257, "shipped_257", 68.1)]


@pytest.fixture(scope="module")
def segmenter():
    return runtime.load()


@pytest.mark.parametrize(
    ("photo", "wanted"), [("chelsea", "cat"), ("astronaut", "person"), ("coffee", "diningtable")]
)
def test_free_photos(segmenter, photo, wanted):
    image = getattr(skimage.data, photo)()
    prediction = segmenter(image)
    assert prediction.mask.shape == image.shape[:2] and prediction.mask.dtype == np.uint8
    largest = next(name for name in prediction.shares() if name != "background")
    assert largest == wanted and prediction.shares()[wanted] > 0.25
    assert sum(prediction.shares().values()) == pytest.approx(1)
    assert min(prediction.preprocess_ms, prediction.inference_ms, prediction.mask_ms) > 0


def test_motorbike(segmenter):
    shares = segmenter(skimage.data.stereo_motorcycle()[0]).shares()
    assert shares["motorbike"] > 0.25 and "bicycle" not in shares


def test_shares_are_counted():
    mask = np.array([[0, 0, 8], [8, 8, 15]], np.uint8)
    assert runtime.Prediction(mask, 1, 1, 1).shares() == pytest.approx(
        {"cat": 3 / 6, "background": 2 / 6, "person": 1 / 6}
    )


@pytest.mark.parametrize(("size", "key", "expected"), MINE)
def test_shipped_network_scores_what_the_course_says(voc_root, size, key, expected):
    from segcore.cli import summary

    confusion, _ = runtime.evaluate(runtime.load(size=size), voc.file_pairs(voc_root))
    scores = summary(confusion)
    assert scores["miou"] == pytest.approx(expected, abs=0.3)
    assert scores["miou"] == pytest.approx(results.get(f"voc40.{key}.miou"), abs=0.05)


def test_googles_file_scores_what_the_course_says(shared, voc_root):
    from segcore.cli import summary

    model = runtime.load(shared / "reference" / "deeplabv3_mnv2_pascal_quant.tflite")
    confusion, _ = runtime.evaluate(model, voc.file_pairs(voc_root))
    assert summary(confusion)["miou"] == pytest.approx(74.9, abs=0.3)


@pytest.mark.parametrize("module", ["", ".voc", ".metrics", ".overlay", ".runtime", ".toy", ".cli"])
def test_light_modules_do_not_import_tensorflow(module):
    code = f"import sys, segcore{module}; print({{'tensorflow', 'keras'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_tflite_input_and_output_types(monkeypatch, tmp_path):
    """Float, uint8 and int8 files see the same photo; quantised scores come back as numbers."""
    box = np.arange(33 * 33 * 3, dtype=np.uint8).reshape(33, 33, 3)
    for dtype, scale, zero in [
        (np.float32, 1, 0),
        (np.uint8, 1 / 127.5, 127.5),
        (np.int8, 1 / 127.5, -0.5),
    ]:
        fake = FakeInterpreter(dtype)
        monkeypatch.setattr(runtime.tflite, "interpreter", lambda path, threads, fake=fake: fake)
        (tmp_path / "m.tflite").touch()
        answer = runtime.load(tmp_path / "m.tflite").infer(box)
        seen = (fake.seen[0].astype(float) - zero) * scale
        np.testing.assert_allclose(seen, box / 127.5 - 1, atol=1e-6)
        np.testing.assert_allclose(answer[0, 0], [-2.0, 0.0, 5.0])


class FakeInterpreter:
    """Answers with int8 scores of scale 0.5 and zero point 10; remembers what it was given."""

    def __init__(self, dtype):
        self.dtype = dtype

    def get_input_details(self):
        return [{"dtype": self.dtype, "shape": np.array([1, 33, 33, 3]), "index": 0}]

    def get_output_details(self):
        return [{"index": 1, "quantization": (0.5, 10)}]

    def set_tensor(self, index, value):
        assert value.dtype == self.dtype and index == 0
        self.seen = value

    def invoke(self):
        pass

    def get_tensor(self, index):
        assert index == 1
        return np.broadcast_to(np.array([6, 10, 20], np.int8), (1, 33, 33, 3))
