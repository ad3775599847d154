"""A batch is a function of seed, epoch and index."""

import numpy as np
import pytest

from segcore.data.augment import Augmentation
from segcore.training.batches import Batches

PHOTOS = np.arange(10, dtype=np.uint8)


def shaken(rng, photos, masks):
    return photos + rng.uniform(size=len(photos)), masks


def test_an_epoch_shows_every_item_at_most_once_and_each_with_its_own():
    data = Batches((PHOTOS, PHOTOS + 100), 3)
    assert len(data) == data.num_batches == 3
    orders = []
    for data.epoch in range(2):
        pairs = [data[index] for index in range(3)]
        for photos, masks in pairs:
            np.testing.assert_array_equal(photos + 100, masks)
        orders.append(np.concatenate([photos for photos, _ in pairs]))
        assert len(set(orders[-1])) == 9
    assert (orders[0] != orders[1]).any()


def test_the_same_seed_epoch_and_index_give_the_same_batch():
    first, other = Batches((PHOTOS, PHOTOS), 2, 5, shaken), Batches((PHOTOS, PHOTOS), 2, 5, shaken)
    other.epoch = 3
    for index in (4, 0, 2):
        other[index]
    other.epoch = 0
    np.testing.assert_array_equal(first[1][0], other[1][0])
    found = {float(first[index][0][0] % 1) for index in range(5)}
    assert len(found) == 5  # each batch has its own random numbers
    assert (Batches((PHOTOS, PHOTOS), 2, 6, shaken)[1][0] != first[1][0]).any()


def test_identity_tells_data_seeds_and_changes_apart():
    other = PHOTOS.copy()
    other[3] = 77
    several = [
        Batches((PHOTOS, PHOTOS), 2),
        Batches((PHOTOS, other), 2),
        Batches((PHOTOS, PHOTOS.astype(np.int8)), 2),
        Batches((PHOTOS, PHOTOS), 3),
        Batches((PHOTOS, PHOTOS), 2, seed=1),
        Batches((PHOTOS, PHOTOS), 2, change=shaken),
        Batches((PHOTOS, PHOTOS), 2, change=Augmentation(33)),
        Batches((PHOTOS, PHOTOS), 2, change=Augmentation(33, flip=False)),
    ]
    found = [str(data.identity()) for data in several]
    assert len(set(found)) == len(several)
    assert str(Batches((PHOTOS.copy(), PHOTOS), 2).identity()) == found[0]


def test_in_order_every_item_comes_once_also_those_that_fill_no_batch():
    data = Batches((PHOTOS, PHOTOS + 100), 4).in_order()
    assert len(data) == 3
    batches = [data[index] for index in range(3)]
    np.testing.assert_array_equal(np.concatenate([photos for photos, _ in batches]), PHOTOS)
    np.testing.assert_array_equal(batches[2][1], [108, 109])


@pytest.mark.parametrize(("lengths", "size"), [((10, 9), 2), ((10, 10), 11), ((10, 10), 0)])
def test_arrays_that_make_no_batch_are_refused(lengths, size):
    with pytest.raises(ValueError, match=rf"lengths \[{lengths[0]}, {lengths[1]}\].*of {size}"):
        Batches([np.zeros(length) for length in lengths], size)
