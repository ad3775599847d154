"""What a step makes small: Keras losses over logits (B, H, W, C) that leave void pixels out.

Where `tf.distribute` spreads a batch over several replicas, each counts its own pixels and divides
by everybody's, so that their losses add up to the loss of the whole batch. (Keras' own reduction
takes the mean of the replicas' means, which is another number when one has more void.) Under jax a
batch is one array wherever its parts lie.
"""

from typing import Any

from segcore._keras import keras
from segcore.data.voc import VOID

ops = keras.ops
Tensor = Any  # of the backend at hand


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Mean of -log p(label) over the labelled pixels, a float32 scalar; 0 when all are void.

    `labels` (B, H, W) ids with 255 where nobody knows, `logits` (B, H, W, C) in any float dtype.
    On one device this is `keras.losses.SparseCategoricalCrossentropy(from_logits=True,
    ignore_class=255)`. Taught in chapter 8.
    """
    total = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=VOID, reduction="sum"
    )
    known = ops.cast(ops.not_equal(labels, VOID), "float32")
    return total(labels, logits) / ops.maximum(across(ops.sum(known)), 1.0)


def dice(labels: Tensor, logits: Tensor) -> Tensor:
    """One minus the mean soft overlap, 2·Σpy / (Σp + Σy), of the classes labelled in the batch.

    Every class counts the same however few pixels it has, as in mIoU. Float32 scalar, 0..1.
    Arguments as for `cross_entropy`. Milletari et al. 2016, V-Net, section 3. Taught in chapter 8.
    """
    known = ops.not_equal(labels, VOID)
    ids = ops.cast(ops.where(known, labels, 0), "int32")
    weight = ops.cast(known, "float32")[..., None]
    truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * weight
    guess = ops.softmax(ops.cast(logits, "float32")) * weight
    both, truths, guesses = (
        across(ops.sum(x, axis=(0, 1, 2))) for x in (truth * guess, truth, guess)
    )
    overlap = 2 * both / ops.maximum(truths + guesses, 1.0)
    present = ops.cast(truths > 0, "float32")
    loss = 1 - ops.sum(overlap * present) / ops.maximum(ops.sum(present), 1.0)
    return loss / across(ops.ones(()))  # each replica holds the whole batch's: a part of it each


def distillation(teacher: Tensor, logits: Tensor) -> Tensor:
    """Mean KL divergence from the teacher's probabilities, a float32 scalar; 0 for the teacher.

    `teacher` and `logits` are (B, H, W, C); where all of a pixel's probabilities are 0 (padding),
    nothing is asked. Hinton et al. 2015, Distilling the Knowledge in a Neural Network, at
    temperature 1. Taught in chapter 10.
    """
    teacher = ops.cast(teacher, "float32")
    known = ops.cast(ops.sum(teacher, axis=-1) > 0, "float32")
    student = ops.log_softmax(ops.cast(logits, "float32"))
    pixels = ops.sum(teacher * (ops.log(ops.maximum(teacher, 1e-6)) - student), axis=-1)
    return ops.sum(pixels) / ops.maximum(across(ops.sum(known)), 1.0)


@keras.saving.register_keras_serializable("segcore")
class CrossEntropyAndDice(keras.losses.Loss):
    """`cross_entropy` plus `dice_weight` times `dice`: the loss of our runs, for `compile`."""

    def __init__(self, dice_weight: float = 0.5, name: str = "cross_entropy_and_dice") -> None:
        super().__init__(name=name)
        self.dice_weight = dice_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        loss = cross_entropy(y_true, y_pred)
        return loss + self.dice_weight * dice(y_true, y_pred) if self.dice_weight else loss

    def get_config(self) -> dict[str, Any]:
        return {"dice_weight": self.dice_weight, "name": self.name}


@keras.saving.register_keras_serializable("segcore")
class Distillation(keras.losses.Loss):
    """`distillation` for `compile`. Targets that are ids, 255 void, cost their cross-entropy."""

    def __init__(self, name: str = "distillation") -> None:
        super().__init__(name=name)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        soft = len(y_true.shape) == len(y_pred.shape)
        return distillation(y_true, y_pred) if soft else cross_entropy(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def across(values: Tensor) -> Tensor:
    """The sum of `values` over the replicas of a `tf.distribute` strategy; else `values` itself."""
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    if not tf.distribute.has_strategy() or tf.distribute.in_cross_replica_context():
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
