"""Matrices come back from a file as they were; pairs are of the same photos, classes and labels."""

from dataclasses import replace

import numpy as np
import pytest

from segcore import metrics

NAMES = ("sky", "tree", "dog")
MATRICES = np.array([[[50, 0, 0], [10, 40, 0], [0, 0, 0]], [[30, 0, 20], [0, 0, 0], [0, 0, 50]]])


@pytest.mark.parametrize("most", [200, 60_000, 3_000_000])
def test_matrices_come_back_as_they_were(tmp_path, most):
    matrices = np.random.default_rng(0).integers(0, most, (5, 3, 3))
    photos = ("a", "b", "ç", "d", "2007_000033")
    found = metrics.PhotoMatrices(photos, matrices, NAMES, matrices // 2, 3, "x.npz", 257, "ab")
    path = metrics.save_matrices(tmp_path / "m.npz", found)
    back = metrics.load_matrices(path)
    assert (back.photos, back.class_names) == (photos, NAMES)
    assert (back.trimap_width, back.model, back.size, back.sha256) == (3, "x.npz", 257, "ab")
    for counts, wanted in ((back.matrices, matrices), (back.trimap, matrices // 2)):
        assert counts.dtype == np.int64 and np.array_equal(counts, wanted)
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
    with np.load(path) as stored:
        negative = dict(stored) | {"matrices": stored["matrices"].astype(np.int16) - 9}
    np.savez(tmp_path / "negative.npz", **negative)
    changed = bytearray(whole)
    changed[whole.index(b"matrices.npy") + 60] ^= 255
    wrong = [path.read_bytes() for path in (others, *tmp_path.glob("[np]*.np[yz]"))]
    assert len(wrong) == 3
    for content in (whole[: len(whole) // 2], b"", b"no zip", bytes(changed), *wrong):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"m\.npz: no whole file of matrices"):
            metrics.load_matrices(path)


def test_a_pair_is_put_into_one_order():
    a = metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES)
    b = metrics.PhotoMatrices(("y", "x"), MATRICES[::-1, :, ::-1], NAMES)  # other answers
    first, second = metrics.paired(a, b)
    assert np.array_equal(first[..., ::-1], second)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"photos": ("x", "z")}, r"phone was scored on other photos \(2, here 2; y is among one"),
        ({"class_names": ("sky", "tree", "cat")}, "phone was .* classes: 2 is cat, here dog"),
        ({"class_names": ("sky", "dog", "tree")}, "1 is dog, here tree"),
        ({"matrices": MATRICES + np.eye(3, dtype=int)}, "x was scored with other labels"),
    ],
)
def test_what_is_no_pair_is_refused(change, said):
    first = metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES)
    with pytest.raises(ValueError, match=said):
        metrics.paired(first, replace(first, model="phone", **change))
    four = np.zeros((2, 4, 4), np.int64)
    with pytest.raises(ValueError, match="3 is bird, here nothing"):
        metrics.paired(first, metrics.PhotoMatrices(("x", "y"), four, (*NAMES, "bird")))


def test_near_borders_the_trimap_takes_the_place_of_all_pixels():
    near = MATRICES // 2
    found = metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES, near, 3, "phone", 257)
    assert np.array_equal(found.near_borders().matrices, near)
    assert found.near_borders().model == "phone" and found.near_borders().trimap is None
    with pytest.raises(ValueError, match="phone was scored without a trimap"):
        replace(found, trimap=None, trimap_width=0).near_borders()


def test_only_files_of_matrices_are_known_as_such(tmp_path):
    path = metrics.save_matrices(
        tmp_path / "m.npz", metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES)
    )
    np.savez(tmp_path / "weights.npz", kernel=np.zeros(3))
    (tmp_path / "text.npz").write_text("no zip")
    assert metrics.is_matrices(path)
    for name in ("weights.npz", "text.npz", "lost.npz"):
        assert not metrics.is_matrices(tmp_path / name)


def test_photos_and_matrices_belong_together():
    with pytest.raises(ValueError, match=r"wanted \(photos, C, C\) = \(1, 3, 3\)"):
        metrics.PhotoMatrices(("x",), MATRICES, NAMES)
    with pytest.raises(ValueError, match="names one twice"):
        metrics.PhotoMatrices(("x", "x"), MATRICES, NAMES)
    with pytest.raises(ValueError, match=r"trimap is \(1, 3, 3\); wanted"):
        metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES, MATRICES[:1], 3)
    with pytest.raises(ValueError, match="trimap_width is 3; wanted it with a trimap"):
        metrics.PhotoMatrices(("x", "y"), MATRICES, NAMES, trimap_width=3)
