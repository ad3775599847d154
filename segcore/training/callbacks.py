"""What happens around Keras' steps: averages, saving, refusing NaN, progress in one line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from segcore._keras import keras
from segcore.training import run_folder


class Diverged(RuntimeError):
    """The loss or a weight is no longer a number. The message says when, and what is left."""


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """All that a step changes: weights, statistics, random states, the optimizer's memory."""
    return [*model.variables, *model.optimizer.variables]


def copies(variables: Iterable[keras.Variable]) -> run_folder.State:
    """The values of `variables`, in arrays that nobody else writes to."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


class Average(keras.callbacks.Callback):
    """Validation sees the running average; training goes on from its own weights, to the bit.

    (Keras' `SwapEMAWeights` swaps by adding and subtracting under TensorFlow, which rounds.)
    """

    def on_test_begin(self, logs: Any = None) -> None:
        weights = self.model.trainable_variables
        self.own = copies(weights)
        self.model.optimizer.finalize_variable_values(weights)
        for variable, array in zip(weights, copies(weights), strict=True):
            variable.assign(array)  # else jax would give the average's own buffer away

    def on_test_end(self, logs: Any = None) -> None:
        for variable, array in zip(self.model.trainable_variables, self.own, strict=True):
            variable.assign(array)


class Keep(keras.callbacks.Callback):
    """Saves the state after every epoch; stops the run instead when it is not made of numbers."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss, state = logs["loss"], copies(variables_of(self.model))
        if not np.isfinite(loss) or not all(np.isfinite(array).all() for array in state):
            left = run_folder.checkpoints(self.folder) if self.folder else []
            kept = f"the last good state is {left[0]}" if left else "nothing was saved"
            raise Diverged(
                f"the loss is {loss:.4g} in epoch {epoch + 1} of {self.params['epochs']}, and not "
                f"all weights are numbers; {kept}; try a smaller learning rate"
            )
        if self.folder:
            run_folder.save_state(self.folder, epoch + 1, state)


class Progress(keras.callbacks.Callback):
    """Loss, mIoU and the time left, in one line."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update()
        if not self.bar.disable:
            self._show(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._show(logs)

    def _show(self, logs: Any) -> None:
        shown = {key: logs[key] for key in ("loss", "miou", "val_miou") if key in logs}
        self.bar.set_postfix(shown, refresh=False)
