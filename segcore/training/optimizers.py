"""AdaBound, a warm-up for schedules, and optimizers whose layers differ, for Keras 3."""

from __future__ import annotations

from typing import Any

from segcore._keras import keras

ops = keras.ops
schedules = keras.optimizers.schedules
Schedule = Any  # a keras.optimizers.schedules.LearningRateSchedule
LearningRate = Any  # a float, or a keras.optimizers.schedules.LearningRateSchedule

OPTIMIZERS = ("adam", "sgd", "adabound")
ENCODER = ("Conv1", "bn_Conv1", "expanded_conv", "block_")  # how the backbone's layer names begin


@keras.saving.register_keras_serializable("segcore")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """`peak`·(step + 1) / (`steps` + 1) for `steps` steps, then `schedule`, which begins at `peak`.

    Goyal et al. 2017, Accurate, Large Minibatch SGD, section 2.2.
    """

    def __init__(self, schedule: Schedule, peak: float, steps: int) -> None:
        self.schedule, self.peak, self.steps = schedule, peak, steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = self.peak * (step + 1) / (self.steps + 1)
        falling = self.schedule(ops.maximum(step - self.steps, 0.0))
        return ops.where(step < self.steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "peak": self.peak, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """The schedule of a `get_config()`."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["peak"], config["steps"])


def polynomial_decay(peak: float, steps: int, warmup: int = 0, power: float = 0.9) -> WarmUp:
    """The learning rate rises over `warmup` steps to `peak`, then falls to 0 at `steps`.

    After the warm-up it is peak·(1 - progress)**power, progress 0..1 over what is left; beyond
    `steps` it stays 0. Raises ValueError naming the argument. Chen et al. 2018, DeepLab, section
    4.1 ("poly"). Taught in chapter 7.
    """
    _check("learning_rate", peak, peak > 0, "above 0")
    _check("warmup", warmup, 0 <= warmup < steps, f"0 to steps - 1 = {steps - 1}")
    falling = schedules.PolynomialDecay(peak, steps - warmup, end_learning_rate=0.0, power=power)
    return WarmUp(falling, peak, warmup)


@keras.saving.register_keras_serializable("segcore")
class AdaBound(keras.optimizers.Optimizer):
    """Adam whose step size for each weight is clipped between two bounds that close on SGD's.

    With g the gradient (+ `l2`·weight), m and v its running mean and square, t from 1:
    weight ← weight - clip(lr·√(1-β2ᵗ)/(1-β1ᵗ) / (√v + ε), lower, upper)·m, where lr is the learning
    rate, lower = F·(1 - 1/(γt + 1)), upper = F·(1 + 1/(γt)) and F = `final_lr`·lr/`base_lr`.
    m is not bias-corrected, as in the authors' code. `base_lr` is the learning rate (or the peak of
    a `WarmUp`) at construction: it is frozen and saved, so that a schedule shrinks F as well. With
    `amsbound`, v never falls. In the limit this is heavy-ball SGD at lr `final_lr`·(1 - β1).

    Raises ValueError for a learning rate of 0 or below, β outside [0, 1), and for Keras' own
    `weight_decay`, which is decoupled: use `l2`.
    Luo et al. 2019, Adaptive Gradient Methods with Dynamic Bound, alg. 2. Taught in chapter 7.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
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


class PerLayer(keras.optimizers.Optimizer):
    """Placed before an optimizer's class: its learning rate and L2 differ from layer to layer.

    Variables of the encoder learn at `encoder_rate` times the learning rate; scaling their
    gradients instead would change nothing in Adam, which divides by them. Kernels that are not
    depthwise get `kernel_l2`·kernel added to their gradients (coupled L2, after clipping).
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        encoder_rate: float = 1.0,
        kernel_l2: float = 0.0,
        **options: Any,  # of the optimizer that comes after
    ) -> None:
        _check("encoder_rate", encoder_rate, encoder_rate >= 0, "0 or more")
        _check("kernel_l2", kernel_l2, kernel_l2 >= 0, "0 or more")
        super().__init__(learning_rate, **options)
        self.encoder_rate, self.kernel_l2 = encoder_rate, kernel_l2

    def build(self, variables: list[keras.Variable]) -> None:
        """Notes for each of `variables` what is its own."""
        if not self.built:
            paths = [variable.path for variable in variables]
            self.factors = [self.encoder_rate if is_encoder(path) else 1.0 for path in paths]
            self.decays = [self.kernel_l2 * is_dense_kernel(path) for path in paths]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """The step of the optimizer that comes after, at this variable's own learning rate."""
        index = self._get_variable_index(variable)
        if self.decays[index]:
            gradient = gradient + self.decays[index] * ops.cast(variable, gradient.dtype)
        if self.factors[index] != 1:
            learning_rate = learning_rate * self.factors[index]
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        own = {"encoder_rate": self.encoder_rate, "kernel_l2": self.kernel_l2}
        return super().get_config() | own


@keras.saving.register_keras_serializable("segcore")
class PerLayerAdam(PerLayer, keras.optimizers.Adam):
    """Adam with `PerLayer`'s options."""


@keras.saving.register_keras_serializable("segcore")
class PerLayerSGD(PerLayer, keras.optimizers.SGD):
    """SGD with `PerLayer`'s options."""


@keras.saving.register_keras_serializable("segcore")
class PerLayerAdaBound(PerLayer, AdaBound):
    """AdaBound with `PerLayer`'s options."""


def is_encoder(path: str) -> bool:
    """Whether a layer or variable of this name belongs to MobileNetV2."""
    return path.startswith(ENCODER)


def is_dense_kernel(path: str) -> bool:
    """Whether a path names a kernel that L2 applies to: not depthwise, no bias, no batch norm."""
    return path.endswith("/kernel") and "depthwise" not in path


def _base_rate(learning_rate: LearningRate) -> float:
    """What AdaBound's bounds are relative to: the number itself, or the warm-up's peak."""
    if isinstance(learning_rate, WarmUp):
        return learning_rate.peak
    if isinstance(learning_rate, schedules.LearningRateSchedule):
        raise ValueError(
            f"base_lr is needed with {type(learning_rate).__name__}: final_lr goes with that rate"
        )
    return float(learning_rate)


def _check(argument: str, value: float, fine: bool, wanted: str) -> None:
    if not fine:
        raise ValueError(f"{argument} must be {wanted}, not {value}")
