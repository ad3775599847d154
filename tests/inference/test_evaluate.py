"""Scores of segmenters that are known beforehand, on drawn photos."""

import numpy as np
import pytest
from voc_folder import write_voc

import segcore
from segcore import metrics, shipped
from segcore.course import results
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import Segmenter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "voc"
    write_voc(root, n_train=2, n_val=3, size=96)
    return root


def dog(size=33):
    return Segmenter(lambda box: np.full(box.shape[:2], 12), size, "dogs")


def test_what_says_dog_everywhere_is_right_on_dogs_alone(folder):
    found = segcore.evaluate(dog(), folder)
    labels = [voc.read_mask(mask) for _, mask in voc.file_pairs(folder)]
    for matrix, mask in zip(found.matrices, labels, strict=True):
        assert matrix[:, 12].tolist() == [(mask == c).sum() for c in range(21)]
        assert matrix.sum() == (mask != voc.VOID).sum() == matrix[:, 12].sum()
    kept = found.photos
    assert kept.photos == tuple(photo.stem for photo, _ in voc.file_pairs(folder))
    assert (kept.model, kept.size, kept.trimap) == ("dogs", 33, None)
    assert found.inference_ms.shape == (3,) and (found.inference_ms > 0).all()
    assert found.scores == metrics.summary(found.matrices)


def test_a_name_a_file_or_a_segmenter_and_a_folder_or_pairs(folder):
    matrices = segcore.evaluate("phone", folder).matrices
    for model in (shipped.PHONE.file, str(shipped.PHONE.file), segcore.load("phone")):
        again = segcore.evaluate(model, voc.file_pairs(folder)).matrices
        assert np.array_equal(matrices, again)
    assert len(segcore.evaluate(dog(), str(folder), "train").matrices) == 2
    with pytest.raises(FileNotFoundError, match="no such split"):
        segcore.evaluate(dog(), folder, "test")
    with pytest.raises(FileNotFoundError, match="no such model"):
        segcore.evaluate("telephone", folder)


def test_a_trimap_counts_the_pixels_near_borders_alone(folder):
    found = segcore.evaluate(dog(), folder, trimap_width=2).photos
    for (_, mask), near in zip(voc.file_pairs(folder), found.trimap, strict=True):
        labels = voc.read_mask(mask)
        band = metrics.boundary_band(labels, 2) & (labels != voc.VOID)
        assert near[:, 12].tolist() == [(labels[band] == c).sum() for c in range(21)]
    assert found.trimap_width == 2 and (found.trimap <= found.matrices).all()


def test_look_gets_each_photo_and_its_prediction(folder):
    looks = []
    segcore.evaluate(dog(), folder, look=lambda *pair: looks.append(pair))
    for (photo, _), (image, prediction) in zip(voc.file_pairs(folder), looks, strict=True):
        assert np.array_equal(image, read_image(photo)) and (prediction.mask == 12).all()


def test_no_photos_have_no_scores():
    found = segcore.evaluate(dog(), [], trimap_width=1)
    assert found.matrices.shape == found.photos.trimap.shape == (0, 21, 21)
    assert np.isnan(found.scores["miou"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "size"),
    [
        ("phone", "phone", 257),
        ("sharp", "sharp", 513),
        ("float_513", "float", 513),
        ("float_257", "float", 257),
        ("google_513", "reference/deeplabv3_mnv2_pascal_quant.tflite", 513),
    ],
)
def test_networks_score_what_the_course_says(shared, voc_root, name, model, size):
    """Nine of the 416 photos; kernels of another processor may round a pixel in 200 otherwise."""
    if not (results.folder() / "voc.json").exists():
        assert not (results.folder() / "matrices").exists()  # nothing is claimed yet
        return
    kept = results.matrices(name)
    source = model if model in shipped.NETWORKS else shared / model
    found = segcore.evaluate(segcore.load(source, size), voc.file_pairs(voc_root)[::50]).photos
    same = kept.matrices[[kept.photos.index(photo) for photo in found.photos]]
    assert np.array_equal(found.matrices.sum(-1), same.sum(-1))
    assert np.abs(found.matrices - same).sum() / 2 < 0.005 * same.sum()
