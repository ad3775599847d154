"""The summary against numbers worked out by hand; matrices come back from a file as they were."""

import numpy as np
import pytest

from segcore import metrics

NAMES = ("sky", "tree", "dog")
MATRICES = np.array([[[50, 0, 0], [10, 40, 0], [0, 0, 0]], [[30, 0, 20], [0, 0, 0], [0, 0, 50]]])


def test_summary_of_two_photos():
    assert metrics.summary(MATRICES, NAMES) == {
        "photos": 2,
        "accuracy": 170 / 200,
        "miou": pytest.approx(float("nan"), nan_ok=True),  # no class has 20,000 pixels
        "miou_all": pytest.approx((80 / 110 + 40 / 50 + 50 / 70) / 3),
        "classes": 0,
        "iou": {"sky": 80 / 110, "tree": 40 / 50, "dog": 50 / 70},
        "pixels": {"sky": 100, "tree": 50, "dog": 50},
        "photos_with": {"sky": 2, "tree": 1, "dog": 1},
    }


def test_only_classes_with_pixels_enough_count_in_the_mean():
    scores = metrics.summary(1000 * MATRICES[:1], NAMES)
    assert scores["classes"] == 2 and set(scores["iou"]) == {"sky", "tree"}
    assert scores["miou"] == scores["miou_all"] == pytest.approx((50 / 60 + 40 / 50) / 2)
    assert metrics.summary(200 * MATRICES, NAMES)["miou"] == pytest.approx(80 / 110)


def test_summary_wants_a_matrix_for_each_photo():
    with pytest.raises(ValueError, match=r"\(3, 3\); wanted \(photos, 3, 3\)"):
        metrics.summary(MATRICES[0], NAMES)
    with pytest.raises(ValueError, match=r"wanted \(photos, 21, 21\)"):
        metrics.summary(MATRICES)


def test_percent_is_how_fractions_are_printed():
    assert metrics.percent(0.73249) == "73.2" and metrics.percent(0.73249, 2) == "73.25"
    assert metrics.percent(float("nan")) == "nan"


@pytest.mark.parametrize("most", [200, 60_000, 3_000_000])
def test_matrices_come_back_as_they_were(tmp_path, most):
    matrices = np.random.default_rng(0).integers(0, most, (5, 3, 3))
    found = metrics.PhotoMatrices(("a", "b", "ç", "d", "2007_000033"), matrices, NAMES)
    path = metrics.save_matrices(tmp_path / "m.npz", found)
    back = metrics.load_matrices(path)
    assert (back.photos, back.class_names) == (found.photos, NAMES)
    assert back.matrices.dtype == np.int64 and np.array_equal(back.matrices, matrices)
    first = path.read_bytes()
    assert metrics.save_matrices(path, back).read_bytes() == first


def test_a_file_of_a_whole_data_set_is_small(tmp_path):
    matrices = np.zeros((416, 21, 21), np.int64)
    rng = np.random.default_rng(0)
    for matrix in matrices:  # three classes a photo, as in VOC
        present = np.ix_(*[rng.choice(21, 3, replace=False)] * 2)
        matrix[present] = rng.integers(0, 90_000, (3, 3))
    names = tuple(f"2007_{number:06}" for number in range(416))
    path = metrics.save_matrices(tmp_path / "m.npz", metrics.PhotoMatrices(names, matrices))
    assert path.stat().st_size < 50_000


def test_a_broken_file_is_named(tmp_path):
    path = metrics.save_matrices(
        tmp_path / "m.npz", metrics.PhotoMatrices(("a",), MATRICES[:1], NAMES)
    )
    whole = path.read_bytes()
    others = tmp_path / "other.npz"
    np.savez(others, a=np.zeros(3))
    np.save(tmp_path / "plain.npy", np.zeros(3))
    changed = bytearray(whole)
    changed[whole.index(b"matrices.npy") + 60] ^= 255
    wrong = [path.read_bytes() for path in (others, tmp_path / "plain.npy")]
    for content in (whole[: len(whole) // 2], b"", b"no zip", bytes(changed), *wrong):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"m\.npz: no matrices"):
            metrics.load_matrices(path)


def test_a_pair_is_put_into_one_order():
    a = metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES)
    b = metrics.PhotoMatrices(("y", "x"), 2 * MATRICES[::-1], NAMES)
    first, second = metrics.paired(a, b)
    assert np.array_equal(2 * first, second)
    with pytest.raises(ValueError, match="z was scored in one"):
        metrics.paired(
            a, metrics.PhotoMatrices(("x", "y", "z"), np.repeat(MATRICES[:1], 3, 0), NAMES)
        )
    with pytest.raises(ValueError, match="other classes"):
        metrics.paired(a, metrics.PhotoMatrices(("x", "y"), MATRICES, ("sky", "tree", "cat")))


def test_photos_and_matrices_belong_together():
    with pytest.raises(ValueError, match=r"wanted \(photos, C, C\) = \(1, 3, 3\)"):
        metrics.PhotoMatrices(("x",), MATRICES, NAMES)
    with pytest.raises(ValueError, match="names one twice"):
        metrics.PhotoMatrices(("x", "x"), MATRICES, NAMES)
