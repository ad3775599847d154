"""What a training step makes small: losses over logits (B, H, W, C) that leave void pixels out.

Where a batch is spread over several devices, each counts its own pixels and divides by everybody's,
so that the losses add up to the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segcore._keras import keras
from segcore.data import augment
from segcore.data.voc import VOID

ops = keras.ops


def cross_entropy(logits: Any, labels: Any, void: int = VOID) -> Any:
    """Mean of -log p(label) over the labelled pixels, a float32 scalar; 0 when all are void.

    `logits` (B, H, W, C) in any float dtype, `labels` (B, H, W) ids with `void` where nobody knows.
    Taught in chapter 7.
    """
    known = labels != void
    classes = ops.one_hot(ops.where(known, labels, 0), logits.shape[-1], dtype="float32")
    surprise = -ops.sum(classes * ops.log_softmax(ops.cast(logits, "float32")), axis=-1)
    return _mean(surprise, known)


def dice(logits: Any, labels: Any, void: int = VOID) -> Any:
    """One minus the mean soft overlap, 2·Σpy / (Σp + Σy), of the classes labelled in the batch.

    Every class counts the same however few pixels it has, as in mIoU. Float32 scalar, 0..1.
    Milletari et al. 2016, V-Net, section 3. Taught in chapter 7.
    """
    known = ops.cast(labels != void, "float32")[..., None]
    truth = ops.one_hot(ops.where(labels != void, labels, 0), logits.shape[-1], dtype="float32")
    truth = truth * known
    guess = ops.softmax(ops.cast(logits, "float32")) * known
    both, truths, guesses = (
        across(ops.sum(x, axis=(0, 1, 2))) for x in (truth * guess, truth, guess)
    )
    overlap = 2 * both / ops.maximum(truths + guesses, 1.0)
    present = ops.cast(truths > 0, "float32")
    loss = 1 - ops.sum(overlap * present) / ops.maximum(ops.sum(present), 1.0)
    return loss / across(ops.ones(()))  # each device holds the whole batch's: a share of it each


def cross_entropy_and_dice(logits: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
    """Cross-entropy plus half of dice, the loss of our runs → (the sum, {"ce": ..., "dice": ...}).

    `logits` (B, H, W, C), `labels` (B, H, W) ids, 255 void; all results are float32 scalars.
    """
    ce, overlap = cross_entropy(logits, labels), dice(logits, labels)
    return ce + 0.5 * overlap, {"ce": ce, "dice": overlap}


def on_views(size: int) -> Callable[[Callable, Any], tuple[Any, dict[str, Any]]]:
    """The objective of runs that cut views on the accelerator: `augment.cut` to `size` pixels, then
    `cross_entropy_and_dice`. For `training.Trainer` under jax; batches are as `cut` wants them."""

    def objective(call: Callable, batch: Any) -> tuple[Any, dict[str, Any]]:
        shown, labels = augment.cut(batch, size)
        return cross_entropy_and_dice(call(shown), labels)

    return objective


def distillation(logits: Any, teacher: Any, known: Any) -> Any:
    """Mean KL divergence from the teacher's probabilities (B, H, W, C) over the `known` pixels.

    `known` (B, H, W) bool is false on padding. Float32 scalar, 0 when the student agrees.
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, at temperature 1.
    """
    teacher = ops.cast(teacher, "float32")
    student = ops.log_softmax(ops.cast(logits, "float32"))
    surprise = ops.sum(teacher * (ops.log(ops.maximum(teacher, 1e-6)) - student), axis=-1)
    return _mean(surprise, known)


def across(values: Any) -> Any:
    """The sum of `values` over the replicas of a `tf.distribute` strategy; else `values` itself.

    Under jax a batch is one array wherever its parts lie, and there is nothing to add.
    """
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    if not tf.distribute.has_strategy() or tf.distribute.in_cross_replica_context():
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def _mean(values: Any, known: Any) -> Any:
    known = ops.cast(known, "float32")
    return ops.sum(values * known) / ops.maximum(across(ops.sum(known)), 1.0)
