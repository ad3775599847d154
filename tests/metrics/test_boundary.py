"""Scores near labelled borders, by brute force and on squares drawn for it."""

import numpy as np
import pytest

from segcore import metrics


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
