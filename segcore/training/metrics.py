"""Accuracy and mean IoU as Keras metrics, the same numbers as `segcore.metrics` computes.

Keras' own `MeanIoU` also averages classes that are guessed but never labelled, with an IoU of 0,
and its accuracies know no void. Targets are ids (B, H, W), or a teacher's probabilities
(B, H, W, C), of which the largest counts; predictions are logits (B, H, W, C).
"""

from typing import Any

from segcore._keras import keras
from segcore.data.voc import VOID

ops = keras.ops


@keras.saving.register_keras_serializable("segcore")
class PixelAccuracy(keras.metrics.Mean):
    """Fraction of the labelled pixels that have the right class, 0..1. Taught in chapter 1."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Counts one batch; `sample_weight` means nothing here."""
        labels = ids(y_true, y_pred)
        right = ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        known = ops.cast(ops.not_equal(labels, VOID), "float32")
        return super().update_state(ops.cast(right, "float32"), sample_weight=known)


@keras.saving.register_keras_serializable("segcore")
class MeanIoU(keras.metrics.Metric):
    """Mean IoU over the classes that are labelled, 0..1. Taught in chapter 1."""

    def __init__(self, num_classes: int, name: str = "miou", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes, shape = num_classes, (num_classes, num_classes)
        self.counts = self.add_variable(shape, "zeros", "float32", name="confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch to the confusion matrix; `sample_weight` means nothing here."""
        labels, guesses = ids(y_true, y_pred), ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        known = ops.not_equal(labels, VOID)
        pairs = ops.where(known, labels, 0) * self.num_classes + guesses
        ones, pairs = ops.reshape(ops.cast(known, "float32"), (-1,)), ops.reshape(pairs, (-1,))
        counts = ops.segment_sum(ones, pairs, self.num_classes**2)
        self.counts.assign(self.counts + ops.reshape(counts, self.counts.shape))

    def result(self) -> Any:
        """The mean so far; 0 before anything is labelled."""
        labelled, hits = ops.sum(self.counts, axis=1), ops.diagonal(self.counts)
        union = labelled + ops.sum(self.counts, axis=0) - hits
        present = ops.cast(labelled > 0, "float32")
        overlap = hits / ops.maximum(union, 1.0)
        return ops.sum(overlap * present) / ops.maximum(ops.sum(present), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"num_classes": self.num_classes, "name": self.name}


def ids(targets: Any, logits: Any) -> Any:
    """Targets as int32 ids: themselves, or a teacher's likeliest class, void where it has none."""
    if len(targets.shape) < len(logits.shape):
        return ops.cast(targets, "int32")
    likeliest = ops.cast(ops.argmax(targets, axis=-1), "int32")
    return ops.where(ops.sum(targets, axis=-1) > 0, likeliest, VOID)
