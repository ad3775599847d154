"""Metrics against numbers worked out by hand, and Keras' MeanIoU where that one is right."""

import numpy as np
import pytest

from segcore import metrics

LABELS = np.array([[0, 0, 1], [1, 1, 2], [2, 255, 255]])
GUESS = np.array([[0, 1, 1], [1, 0, 2], [2, 2, 0]])


def test_confusion_matrix_of_the_worked_example():
    # Seven labelled pixels, counted with a pencil: row = label, column = prediction.
    by_hand = [[1, 1, 0], [1, 2, 0], [0, 0, 2]]
    assert metrics.confusion_matrix(LABELS, GUESS, 3).tolist() == by_hand


def test_scores_of_the_worked_example():
    confusion = metrics.confusion_matrix(LABELS, GUESS, 3)
    assert metrics.pixel_accuracy(confusion) == pytest.approx(5 / 7)
    np.testing.assert_allclose(metrics.iou(confusion), [1 / 3, 2 / 4, 2 / 2])
    assert metrics.mean_iou(confusion) == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)


def test_absent_class_is_left_out_even_when_predicted():
    confusion = metrics.confusion_matrix(np.array([0, 0, 0]), np.array([0, 0, 2]), 4)
    assert np.isnan(metrics.iou(confusion)[1:]).all()
    assert metrics.mean_iou(confusion) == pytest.approx(2 / 3)


def test_min_pixels_drops_the_rare_class():
    confusion = np.array([[90, 10], [3, 1]])
    assert metrics.mean_iou(confusion, 5) == pytest.approx(90 / 103)


def test_nothing_labelled_is_nan():
    void = np.full((2, 2), 255)
    confusion = metrics.confusion_matrix(void, np.zeros((2, 2), int))
    assert np.isnan(metrics.pixel_accuracy(confusion)) and np.isnan(metrics.mean_iou(confusion))


def test_agrees_with_keras_where_every_class_is_labelled():
    from segcore._keras import keras

    random = np.random.default_rng(0)
    labels, guess = random.integers(0, 5, (2, 40, 40))
    labels[:3] = 255
    theirs = keras.metrics.MeanIoU(5, ignore_class=255)
    theirs.update_state(labels, guess)
    ours = metrics.mean_iou(metrics.confusion_matrix(labels, guess, 5))
    assert ours == pytest.approx(float(theirs.result()), abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "guess", "words"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "differ in shape"),
        (np.zeros(2, int), np.array([0, 21]), "predictions holds class 21"),
        (np.array([0, 254]), np.zeros(2, int), "labels holds class 254"),
        (np.zeros(2, int), np.array([0, 255]), "predictions holds class 255"),
        (np.zeros(2, int), np.array([0.0, 1.0]), "must hold integer"),
    ],
)
def test_refuses(labels, guess, words):
    with pytest.raises(ValueError, match=words):
        metrics.confusion_matrix(labels, guess)


def test_boundary_band_by_brute_force():
    labels = np.zeros((9, 12), int)
    labels[3:7, 4:8] = 5
    labels[0, 0] = 255
    width = 2
    expected = np.zeros(labels.shape, bool)
    for row, column in np.ndindex(labels.shape):
        rows = slice(max(row - width, 0), row + width + 1)
        columns = slice(max(column - width, 0), column + width + 1)
        expected[row, column] = len(np.unique(labels[rows, columns])) > 1
    np.testing.assert_array_equal(metrics.boundary_band(labels, width), expected)


def test_boundary_iou_sees_edges_and_nothing_else():
    labels = np.zeros((40, 40), int)
    labels[10:30, 10:30] = 1
    inside_wrong, edge_wrong = labels.copy(), labels.copy()
    inside_wrong[18:22, 18:22] = 0
    edge_wrong[10, 10:30] = 0
    assert metrics.boundary_iou(labels, inside_wrong, 3, 2).tolist() == [1, 1]
    assert (metrics.boundary_iou(labels, edge_wrong, 3, 2) < 1).all()


def test_boundary_width_must_be_positive():
    with pytest.raises(ValueError, match="width must be 1"):
        metrics.boundary_band(np.zeros((3, 3), int), 0)
