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


def test_leading_axes_are_matrix_after_matrix():
    confusions = np.random.default_rng(3).integers(0, 9, (4, 5, 3, 3))
    confusions[1, 2, 0] = confusions[3] = 0  # a class without labels, photos without any
    with np.errstate(all="raise"):
        found = metrics.iou(confusions), metrics.mean_ious(confusions)
        right = metrics.pixel_accuracies(confusions)
    for place in np.ndindex(4, 5):
        one = confusions[place]
        np.testing.assert_array_equal(found[0][place], metrics.iou(one))
        np.testing.assert_equal(found[1][place], metrics.mean_iou(one))
        np.testing.assert_equal(right[place], metrics.pixel_accuracy(one))


def test_mean_over_chosen_classes_leaves_out_the_unlabelled():
    confusion = np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])
    chosen = np.array([False, True, True])
    assert metrics.mean_ious(confusion, chosen) == pytest.approx(2 / 4)
    assert np.isnan(metrics.mean_ious(confusion, np.array([False, False, True])))
