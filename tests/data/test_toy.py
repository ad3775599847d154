"""`segcore.data.toy`: the same every time, VOC-like in its numbers, and decided by shape alone."""

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label as components

from segcore.data import toy, voc
from segcore.data.toy_shapes import SHAPES


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    return toy.scenes(300)


def test_scenes_have_the_shapes_and_ids_of_voc(drawn):
    images, masks = drawn
    assert images.shape == (300, 128, 128, 3) and images.dtype == np.uint8
    assert masks.shape == (300, 128, 128) and masks.dtype == np.uint8
    assert set(np.unique(masks)) == {*range(21), 255}
    assert tuple(SHAPES) == voc.CLASSES[1:]


def test_the_same_numbers_draw_the_same_scene(drawn):
    images, masks = drawn
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    image, mask = toy.scene(7)
    assert np.array_equal(image, images[7]) and np.array_equal(mask, masks[7])
    later = toy.scenes(2, start=6)
    assert np.array_equal(later[0], images[6:8]) and np.array_equal(later[1], masks[6:8])
    other, _ = toy.scene(7, seed=1)
    assert not np.array_equal(other, image)
    assert len({image.tobytes() for image in images}) == len(images)


def test_background_void_and_class_shares_are_like_vocs(drawn):
    _, masks = drawn
    assert 0.65 < (masks == 0).mean() < 0.75  # VOC 2012 train: 0.69
    assert 0.04 < (masks == 255).mean() < 0.08  # VOC 2012 train: 0.055
    shown = np.array([(masks == c).any(axis=(1, 2)).sum() for c in range(21)])
    assert shown[15] == shown[1:].max() and shown[15] > 3 * np.median(shown[1:])
    assert shown[1:].min() >= 3


def test_every_edge_between_labels_lies_under_void(drawn):
    """No two different ids touch (4-neighbours): the rim always parts them."""
    _, masks = drawn
    for a, b in [(masks[:, 1:], masks[:, :-1]), (masks[:, :, 1:], masks[:, :, :-1])]:
        assert not ((a != b) & (a != 255) & (b != 255)).any()


@pytest.mark.parametrize(("size", "widths"), [(64, 2), (128, 2), (256, 4)])
def test_the_rim_is_thin_and_grows_with_the_page(size, widths):
    """On straight edges the band is 2 pixels a 128-pixel page: runs of void along the rows."""
    _, masks = toy.scenes(12, size=size)
    void = np.pad(masks.reshape(-1, size) == 255, ((0, 0), (1, 1))).astype(int)
    starts, ends = (np.argwhere(np.diff(void) == way)[:, 1] for way in (1, -1))
    runs = np.bincount(ends - starts)
    assert runs.argmax() == widths
    assert runs[:widths].sum() < 0.1 * runs.sum()  # narrower ones stand at the page's edges


def test_odd_sizes_work_and_small_or_negative_ones_are_refused():
    image, mask = toy.scene(0, size=129)
    assert image.shape == (129, 129, 3) and mask.shape == (129, 129)
    for arguments, said in [((-1, 128, 0), "index"), ((0, 31, 0), "size"), ((0, 128, -2), "seed")]:
        with pytest.raises(ValueError, match=f"{said} must be .*, not (-1|31|-2)"):
            toy.scene(*arguments)
    with pytest.raises(ValueError, match="n must be at least one scene, not 0"):
        toy.scenes(0)


def mean_iou(labels: np.ndarray, guesses: np.ndarray) -> float:
    ious = [
        ((labels == c) & (guesses == c)).sum() / max(1, ((labels == c) | (guesses == c)).sum())
        for c in np.unique(labels)
    ]
    return float(np.mean(ious))


def test_a_pixels_colour_alone_does_not_tell_the_class(drawn):
    """A lookup of the commonest class per colour cell, and 5 nearest neighbours, both fail."""
    images, masks = drawn
    rng = np.random.default_rng(0)
    train, test = slice(0, 200), slice(200, 300)
    known = masks[train] != 255
    colors, labels = images[train][known], masks[train][known]
    asked, truth = images[test][masks[test] != 255], masks[test][masks[test] != 255]
    some = rng.permutation(len(truth))[:4000]
    asked, truth = asked[some].astype(float), truth[some]

    cell = (colors >> 4) @ np.array([256, 16, 1])
    votes = np.bincount(cell * 21 + labels, minlength=4096 * 21).reshape(4096, 21)
    weights = 1 / np.bincount(labels, minlength=21)  # so that background does not always win
    for table in (votes, votes * weights):
        guesses = table.argmax(axis=1)[(asked.astype(int) >> 4) @ np.array([256, 16, 1])]
        assert mean_iou(truth, guesses) < 0.15

    few = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:100] for c in range(21)])
    distance = ((asked[:, None] - colors[few][None].astype(float)) ** 2).sum(axis=2)
    nearest = labels[few][np.argsort(distance, axis=1)[:, :5]]
    guesses = np.array([np.bincount(row, minlength=21).argmax() for row in nearest])
    assert mean_iou(truth, guesses) < 0.15


def silhouettes(masks: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every unbroken thing that stands alone: its class, 24×24 outline, and colour histogram."""
    found = []
    for mask, image in zip(masks, images, strict=True):
        blobs = components(mask > 0)  # void rims join the parts of a thing, and touching things
        for blob in range(1, blobs.max() + 1):
            inside = blobs == blob
            ids = np.unique(mask[inside & (mask != 255)])
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            at_edge = columns[0] == 0 or columns[-1] == mask.shape[1] - 1
            if len(ids) != 1 or at_edge or inside.sum() < 300:
                continue
            outline = Image.fromarray(inside[box].astype(np.uint8) * 255).resize((24, 24))
            tall = len(rows) / (len(rows) + len(columns))
            cells = (image[inside] >> 6) @ np.array([16, 4, 1])
            histogram = np.sqrt(np.bincount(cells, minlength=64) / inside.sum())
            shape = np.append(np.asarray(outline).ravel() / 255, 12 * tall)
            found.append((ids[0], shape, histogram))
    return tuple(np.array(column) for column in zip(*found, strict=True))


@pytest.mark.slow
def test_shape_alone_tells_the_class_and_a_colour_histogram_does_not():
    """Nearest neighbour on silhouettes against nearest neighbour on colours, same things."""
    images, masks = toy.scenes(700, size=96, seed=5)
    labels, shapes, histograms = silhouettes(masks, images)
    common = np.bincount(labels).max() / len(labels)
    mirrored = shapes.copy()
    mirrored[:, :-1] = shapes[:, :-1].reshape(-1, 24, 24)[:, :, ::-1].reshape(len(shapes), -1)
    half = len(labels) // 2

    def score(known: np.ndarray, asked: np.ndarray, names: np.ndarray) -> float:
        distance = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
        return float((names[distance.argmin(axis=1)] == labels[half:]).mean())

    by_shape = score(
        np.concatenate([shapes[:half], mirrored[:half]]), shapes[half:], np.tile(labels[:half], 2)
    )
    by_color = score(histograms[:half], histograms[half:], labels[:half])
    assert len(labels) > 200 and by_shape > 0.85
    assert by_color < common + 0.05 < 0.5
