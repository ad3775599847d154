"""AdaBound, a schedule with warm-up, and optimizers whose layers differ, for Keras 3."""

from typing import Any

from segcore._errors import check
from segcore._keras import keras

ops = keras.ops
schedules = keras.optimizers.schedules
LearningRate = Any  # a float, or a keras.optimizers.schedules.LearningRateSchedule

ENCODER = ("Conv1", "bn_Conv1", "expanded_conv", "block_")  # how the backbone's layer names begin


@keras.saving.register_keras_serializable("segcore")
class PolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate rises over `warmup` steps to `peak`, then falls to 0 at `steps`.

    It rises as peak·(step + 1)/(warmup + 1) (Goyal et al. 2017, Accurate, Large Minibatch SGD,
    section 2.2) and falls as peak·(1 - progress)**power, progress 0..1 over what is left; beyond
    `steps` it stays 0 (Chen et al. 2018, DeepLab, section 4.1, "poly"). Raises ValueError naming
    the argument. Taught in chapter 8.
    """

    def __init__(self, peak: float, steps: int, warmup: int = 0, power: float = 0.9) -> None:
        check("learning_rate", peak, peak > 0, "above 0")
        check("warmup", warmup, 0 <= warmup < steps, f"0 to steps - 1 = {steps - 1}")
        self.peak, self.steps, self.warmup, self.power = peak, steps, warmup, power

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = self.peak * (step + 1) / (self.warmup + 1)
        progress = ops.clip((step - self.warmup) / (self.steps - self.warmup), 0, 1)
        return ops.where(step < self.warmup, rising, self.peak * (1 - progress) ** self.power)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("peak", "steps", "warmup", "power")}


@keras.saving.register_keras_serializable("segcore")
class AdaBound(keras.optimizers.Optimizer):
    """Adam whose step size for each weight is clipped between two bounds that close on SGD's.

    With g the gradient (+ `l2`·weight), m and v its running mean and square, t from 1:
    weight ← weight - clip(lr·√(1-β2ᵗ)/(1-β1ᵗ) / (√v + ε), lower, upper)·m, where lr is the learning
    rate, lower = F·(1 - 1/(γt + 1)), upper = F·(1 + 1/(γt)) and F = `final_lr`·lr/`base_lr`.
    m is not bias-corrected, as in the authors' code. `base_lr` is the learning rate (or the peak of
    a `PolynomialDecay`) at construction: it is frozen and saved, so that a schedule shrinks F as
    well. With `amsbound`, v never falls. In the limit this is heavy-ball SGD at lr
    `final_lr`·(1 - β1).

    Raises ValueError for a learning rate of 0 or below, β outside [0, 1), and for Keras' own
    `weight_decay`, which is decoupled: use `l2`.
    Luo et al. 2019, Adaptive Gradient Methods with Dynamic Bound, alg. 2. Taught in chapter 8.
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
        base = _base_lr(learning_rate) if base_lr is None else float(base_lr)
        positive = {"base_lr": base, "final_lr": final_lr, "gamma": gamma, "epsilon": epsilon}
        for argument, value in positive.items():
            check(argument, value, value > 0, "above 0")
        for argument, value in {"beta_1": beta_1, "beta_2": beta_2}.items():
            check(argument, value, 0 <= value < 1, "at least 0 and below 1")
        check("l2", l2, l2 >= 0, "0 or more")
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
        slots = [slot[self._get_variable_index(variable)] for slot in self.slots]
        momentum, velocity = slots[:2]
        learning_rate = ops.cast(learning_rate, variable.dtype)
        t = ops.cast(self.iterations + 1, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        if self.amsbound:
            self.assign(slots[2], ops.maximum(slots[2], velocity))
        bias = ops.sqrt(1 - ops.power(self.beta_2, t)) / (1 - ops.power(self.beta_1, t))
        final = self.final_lr * learning_rate / self.base_lr
        lower = final * (1 - 1 / (self.gamma * t + 1))
        upper = final * (1 + 1 / (self.gamma * t))
        size = learning_rate * bias / (ops.sqrt(slots[-1]) + self.epsilon)
        self.assign_sub(variable, ops.clip(size, lower, upper) * momentum)

    def get_config(self) -> dict[str, Any]:
        names = "beta_1 beta_2 final_lr gamma epsilon l2 amsbound base_lr".split()
        return super().get_config() | {name: getattr(self, name) for name in names}


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
        check("encoder_rate", encoder_rate, encoder_rate >= 0, "0 or more")
        check("kernel_l2", kernel_l2, kernel_l2 >= 0, "0 or more")
        super().__init__(learning_rate, **options)
        self.encoder_rate, self.kernel_l2 = encoder_rate, kernel_l2

    def build(self, variables: list[keras.Variable]) -> None:
        """Notes for each of `variables` what is its own."""
        if not self.built:
            paths = [variable.path for variable in variables]
            self.factors = [self.encoder_rate if is_encoder(path) else 1.0 for path in paths]
            fine = self.encoder_rate == 1 or any(map(is_encoder, paths))
            wanted = f"1 in a network without MobileNetV2's layers ({', '.join(ENCODER)}...)"
            check("encoder_rate", self.encoder_rate, fine, wanted)
            self.decays = [self.kernel_l2 * _is_dense_kernel(path) for path in paths]
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
class PerLayerAdamW(PerLayer, keras.optimizers.AdamW):
    """AdamW with `PerLayer`'s options; its `weight_decay` is for the kernels that L2 applies to.

    An encoder that learns at another rate is not decayed: Keras knows one learning rate only.
    Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, alg. 2.
    """

    def build(self, variables: list[keras.Variable]) -> None:
        """Tells Keras which of `variables` not to decay."""
        if not self.built:
            left = [v for v in variables if not _is_dense_kernel(v.path)]
            if self.encoder_rate != 1:
                left += [v for v in variables if is_encoder(v.path)]
            self.exclude_from_weight_decay(left)
        super().build(variables)


@keras.saving.register_keras_serializable("segcore")
class PerLayerSGD(PerLayer, keras.optimizers.SGD):
    """SGD with `PerLayer`'s options."""


@keras.saving.register_keras_serializable("segcore")
class PerLayerAdaBound(PerLayer, AdaBound):
    """AdaBound with `PerLayer`'s options."""


OPTIMIZERS: dict[str, type[PerLayer]] = {
    "adam": PerLayerAdam,
    "sgd": PerLayerSGD,
    "adabound": PerLayerAdaBound,
    "adamw": PerLayerAdamW,
}


def is_encoder(path: str) -> bool:
    """Whether a layer or variable of this name belongs to MobileNetV2."""
    return path.startswith(ENCODER)


def _is_dense_kernel(path: str) -> bool:
    return path.endswith("/kernel") and "depthwise" not in path


def _base_lr(learning_rate: LearningRate) -> float:
    """What AdaBound's bounds are relative to: the number itself, or the schedule's peak."""
    if isinstance(learning_rate, PolynomialDecay):
        return learning_rate.peak
    if isinstance(learning_rate, schedules.LearningRateSchedule):
        kind = type(learning_rate).__name__
        raise ValueError(f"base_lr is needed with {kind}: final_lr goes with it")
    return float(learning_rate)
