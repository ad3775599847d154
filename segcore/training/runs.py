"""What decides a training run: its counts, rates and optimizer. Taught in chapter 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcore._keras import keras
from segcore.training.optimizers import AdaBound, PolynomialDecay

ENCODER = ("Conv1", "bn_Conv1", "expanded_conv", "block_")  # how the backbone's layer names begin
OPTIMIZERS = ("adam", "sgd", "adabound")


@dataclass(frozen=True)
class Run:
    """What decides a run, beside its data.

    `steps` updates; the rate rises to `rate` over `warmup` of them and falls as a polynomial to 0.
    `optimizer` is "adam", "sgd" (momentum 0.9) or "adabound" (`final_lr` is 100 × the rate, the
    authors' ratio). Gradients are cut to the global norm `clip` (0: never), kernels get `l2`·weight
    added, and the encoder's rate is `encoder` × the rate. `batch_norm` is "trained" (statistics of
    the batch) or "frozen" (the stored ones, for good; scale and shift still learn). With `average`
    > 0 the weights that count are the running average with that memory. The history gets a row
    every `log` steps; every `every` steps the run is judged and saved.
    """

    steps: int
    rate: float
    optimizer: str = "adam"
    warmup: int = 0
    encoder: float = 1.0
    l2: float = 0.0
    clip: float = 1.0
    batch_norm: str = "trained"
    average: float = 0.0
    log: int = 50
    every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {OPTIMIZERS}, not {self.optimizer!r}")
        if self.batch_norm not in ("trained", "frozen"):
            raise ValueError(f'batch_norm must be "trained" or "frozen", not {self.batch_norm!r}')
        if min(self.steps, self.every, self.log) < 1:
            counts = f"steps {self.steps}, every {self.every} and log {self.log}"
            raise ValueError(f"{counts} must be at least 1")
        if min(self.encoder, self.l2, self.clip) < 0 or not 0 <= self.average < 1:
            raise ValueError(
                f"encoder {self.encoder}, l2 {self.l2} and clip {self.clip} must be 0 or more, "
                f"average {self.average} at least 0 and below 1"
            )
        PolynomialDecay(self.rate, self.steps, warmup=self.warmup)  # checks rate and warmup

    def rates(self) -> np.ndarray:
        """The learning rate of every step, (steps,) float32."""
        schedule = PolynomialDecay(self.rate, self.steps, warmup=self.warmup)
        return np.asarray(schedule(np.arange(self.steps)), np.float32)


def optimizer_of(run: Run) -> keras.optimizers.Optimizer:
    """The optimizer that `run` names; its rate is set anew at every step."""
    options: dict[str, Any] = {"global_clipnorm": run.clip or None}
    if run.average:
        options |= {"use_ema": True, "ema_momentum": run.average}
    if run.optimizer == "adam":
        return keras.optimizers.Adam(run.rate, **options)
    if run.optimizer == "sgd":
        return keras.optimizers.SGD(run.rate, momentum=0.9, **options)
    return AdaBound(run.rate, final_lr=100 * run.rate, **options)


def scale_rates(optimizer: keras.optimizers.Optimizer, factors: Sequence[float]) -> None:
    """Gives each trainable variable its own share of the learning rate, for any optimizer."""
    plain = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        factor = factors[optimizer._get_variable_index(variable)]
        plain(gradient, variable, learning_rate if factor == 1 else learning_rate * factor)

    optimizer.update_step = update_step


def is_encoder(path: str) -> bool:
    """Whether a variable with this path belongs to MobileNetV2."""
    return path.startswith(ENCODER)


def is_dense_kernel(path: str) -> bool:
    """Whether a path names a kernel that L2 applies to: not depthwise, no bias, no batch norm."""
    return path.endswith("/kernel") and "depthwise" not in path
