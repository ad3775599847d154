"""AdaBound and polynomial decay, for Keras 3 on any backend."""

from __future__ import annotations

from typing import Any

from segcore._keras import keras

ops = keras.ops
Rate = Any  # a float, or a keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("segcore")
class PolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The rate rises linearly over `warmup` steps to `peak`, then falls to 0 at `steps`.

    After the warm-up it is peak·(1 - progress)**power, progress 0..1 over what is left; beyond
    `steps` it stays 0. Chen et al. 2018, DeepLab, section 4.1 ("poly"). Taught in chapter 7.
    """

    def __init__(self, peak: float, steps: int, power: float = 0.9, warmup: int = 0) -> None:
        if peak <= 0:
            raise ValueError(f"peak must be above 0, not {peak}")
        if not 0 <= warmup < steps:
            raise ValueError(f"warmup must be 0 to steps - 1 = {steps - 1}, not {warmup}")
        self.peak, self.steps, self.power, self.warmup = float(peak), steps, power, warmup

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = (step + 1) / (self.warmup + 1)
        left = 1 - (step - self.warmup) / (self.steps - self.warmup)
        falling = ops.power(ops.clip(left, 0.0, 1.0), self.power)
        return self.peak * ops.where(step < self.warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak, "steps": self.steps, "power": self.power, "warmup": self.warmup
        }  # fmt: skip


@keras.saving.register_keras_serializable("segcore")
class AdaBound(keras.optimizers.Optimizer):
    """Adam whose step size for each weight is clipped between two bounds that close on SGD's.

    With g the gradient (+ `l2`·weight), m and v its running mean and square, t from 1:
    weight ← weight - clip(rate·√(1-β2ᵗ)/(1-β1ᵗ) / (√v + ε), lower, upper)·m, where
    lower = F·(1 - 1/(γt + 1)), upper = F·(1 + 1/(γt)) and F = `final_lr`·rate/`base_lr`.
    m is not bias-corrected, as in the authors' code. `base_lr` is the rate (or a schedule's peak)
    at construction: it is frozen and saved, so that a schedule shrinks F as well. With `amsbound`,
    v never falls. In the limit this is heavy-ball SGD at rate `final_lr`·(1 - β1).

    Raises ValueError for a rate of 0 or below, β outside [0, 1), and for Keras' own
    `weight_decay`, which is decoupled: use `l2`.
    Luo et al. 2019, Adaptive Gradient Methods with Dynamic Bound, alg. 2. Taught in chapter 7.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        epsilon: float = 1e-8,
        l2: float = 0.0,
        amsbound: bool = False,
        base_lr: float | None = None,
        name: str = "adabound",
        **options: Any,  # the options of every Keras optimizer, such as clipnorm and use_ema
    ) -> None:
        base = _base_rate(learning_rate) if base_lr is None else float(base_lr)
        _check("base_lr", base, base > 0, "above 0")
        _check("final_lr", final_lr, final_lr > 0, "above 0")
        _check("gamma", gamma, gamma > 0, "above 0")
        _check("epsilon", epsilon, epsilon > 0, "above 0")
        _check("l2", l2, l2 >= 0, "0 or more")
        _check("beta_1", beta_1, 0 <= beta_1 < 1, "at least 0 and below 1")
        _check("beta_2", beta_2, 0 <= beta_2 < 1, "at least 0 and below 1")
        if options.get("weight_decay"):
            raise ValueError("weight_decay must be None: it is decoupled in Keras; use l2 instead")
        super().__init__(learning_rate=learning_rate, name=name, **options)
        self.beta_1, self.beta_2, self.final_lr, self.gamma = beta_1, beta_2, final_lr, gamma
        self.epsilon, self.l2, self.amsbound, self.base_lr = epsilon, l2, amsbound, base

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes m, v and, with amsbound, the largest v so far for each of `variables`."""
        if self.built:
            return
        super().build(variables)
        names = ["momentum", "velocity"] + ["velocity_max"] * self.amsbound
        self.slots = self.add_optimizer_variables(variables, names)

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """One step for one variable, in the variable's own dtype."""
        momentum, velocity = (slot[self._get_variable_index(variable)] for slot in self.slots[:2])
        rate = ops.cast(learning_rate, variable.dtype)
        t = ops.cast(self.iterations + 1, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        largest = self._largest(velocity, variable)
        bias = ops.sqrt(1 - ops.power(self.beta_2, t)) / (1 - ops.power(self.beta_1, t))
        final = self.final_lr * rate / self.base_lr
        lower = final * (1 - 1 / (self.gamma * t + 1))
        upper = final * (1 + 1 / (self.gamma * t))
        step = ops.clip(rate * bias / (ops.sqrt(largest) + self.epsilon), lower, upper)
        self.assign_sub(variable, step * momentum)

    def _largest(self, velocity: keras.Variable, variable: keras.Variable) -> Any:
        if not self.amsbound:
            return velocity
        largest = self.slots[2][self._get_variable_index(variable)]
        self.assign(largest, ops.maximum(largest, velocity))
        return largest

    def get_config(self) -> dict[str, Any]:
        names = (
            "beta_1", "beta_2", "final_lr", "gamma", "epsilon", "l2", "amsbound", "base_lr"
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _base_rate(learning_rate: Rate) -> float:
    """The rate that the bounds are relative to: the number itself, or a schedule's highest."""
    if isinstance(learning_rate, PolynomialDecay):
        return learning_rate.peak
    if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        raise ValueError(
            f"base_lr is needed with {type(learning_rate).__name__}: final_lr goes with that rate"
        )
    return float(learning_rate)


def _check(argument: str, value: float, fine: bool, wanted: str) -> None:
    if not fine:
        raise ValueError(f"{argument} must be {wanted}, not {value}")
