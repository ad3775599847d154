"""Keras metrics against `segcore.metrics`, which is tested against brute force."""

import numpy as np
import pytest

from segcore import metrics as ours
from segcore._keras import keras
from segcore.training.metrics import MeanIoU, PixelAccuracy


def batches():
    """Two batches; class 3 is guessed but never labelled, and half of the second is void."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 6, 5, 4)).astype(np.float32)
    labels = rng.choice([0, 1, 2, 255], (2, 3, 6, 5)).astype(np.uint8)
    labels[1, :, :3] = 255
    return labels, logits


def test_more_pixels_than_an_int32_counts():
    """Ten thousand photos at 513 have 2.6 thousand million."""
    miou = MeanIoU(2)
    for _ in range(3):
        miou.counts.assign(miou.counts + np.array([[1e9, 0], [0, 1e9]], np.float32))
    miou.update_state(np.array([[[0, 1]]]), np.eye(2, dtype=np.float32)[None, None])
    assert float(miou.result()) == 1


@pytest.mark.parametrize("soft", [False, True])
def test_scores_are_those_of_one_confusion_matrix(soft):
    labels, logits = batches()
    counts = ours.confusion_matrix(labels, logits.argmax(-1), 4)
    accuracy, miou = PixelAccuracy(), MeanIoU(4)
    targets = np.where((labels == 255)[..., None], 0, labels[..., None] == range(4)).astype("f4")
    for metric, wanted in ((accuracy, ours.pixel_accuracy(counts)), (miou, ours.mean_iou(counts))):
        for index in range(2):
            metric.update_state((targets if soft else labels)[index], logits[index])
        assert float(metric.result()) == pytest.approx(wanted, rel=1e-6)
        metric.reset_state()
        assert float(metric.result()) == 0
        copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert copy.get_config() == metric.get_config()
