"""Rounding that can be trained through: what int8 does, imitated in float32, as Keras layers."""

from __future__ import annotations

from typing import Any

from segcore._keras import keras

ops = keras.ops

# The largest kernel value stays inside its own range even when float32 rounds the range down.
HEADROOM = 1 + 1e-6
# A channel of smaller weights than this would need a bias beyond int32, in units of its scale.
LEAST_KERNEL = 1e-4


def fake_quantise(x: Any, low: Any, high: Any, bits: int = 8, narrow: bool = False) -> Any:
    """`x` moved to the nearest of 2**bits levels between `low` and `high`: same shape, float32.

    `low` and `high` are scalars, or (C,) for the last axis; low ≤ 0 ≤ high. `narrow` leaves the
    lowest level out, so that a symmetric range has as many levels below zero as above. The levels
    are shifted until one of them is exactly zero ("nudged"), as TensorFlow does it.
    The gradient is 1 inside the range and 0 outside: rounding counts as the identity.
    Bengio et al. 2013, straight-through estimator; Jacob et al. 2018, section 3. Taught in
    chapter 9.
    """
    x, low, high = (ops.convert_to_tensor(each, "float32") for each in (x, low, high))
    if keras.backend.backend() == "tensorflow":
        return _by_tensorflow(x, low, high, bits, narrow)
    return by_formula(x, low, high, bits, narrow)


def nudge(low: Any, high: Any, bits: int = 8, narrow: bool = False) -> tuple[Any, Any, Any]:
    """(lowest level, highest level, step) of the nudged range, each shaped like `low`."""
    first, last = float(narrow), float(2**bits - 1)
    step = (high - low) / (last - first)
    zero = ops.clip(ops.floor(first - low / step + 0.5), first, last)
    return (first - zero) * step, (last - zero) * step, step


def by_formula(x: Any, low: Any, high: Any, bits: int = 8, narrow: bool = False) -> Any:
    """`fake_quantise` in plain operations of whichever backend: what TensorFlow's own operation
    gives, but that a value halfway between two levels may fall to the other side."""
    low, high = (ops.convert_to_tensor(end, "float32") for end in (low, high))
    return _straight_through(ops.convert_to_tensor(x, "float32"), *nudge(low, high, bits, narrow))


@keras.saving.register_keras_serializable("segcore")
class FakeQuantise(keras.layers.Layer):
    """Rounds activations (B, H, W, C) to 2**bits levels of one range for the whole tensor.

    The range is two non-trainable weights, `low` and `high`, and always holds zero. While `moving`
    is true, each training call that `observe`s draws it towards the batch's own extremes (the mean
    over photos of each photo's least and largest value). Always float32. Taught in chapter 9.
    """

    def __init__(self, bits: int = 8, momentum: float = 0.99, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.bits, self.momentum, self.moving = bits, momentum, False

    def build(self, shape: Any) -> None:
        """Makes `low` and `high`, at first -6 and 6."""
        for name, value in (("low", -6.0), ("high", 6.0)):
            start = keras.initializers.Constant(value)
            setattr(self, name, self.add_weight((), start, trainable=False, name=name))

    def call(self, x: Any, observe: bool = False, training: bool = False) -> Any:
        if observe and training and self.moving:
            for variable, seen in zip((self.low, self.high), extremes(x), strict=True):
                towards = ops.mean(seen) - variable
                variable.assign(variable + (1 - self.momentum) * towards)
        return fake_quantise(x, self.low, self.high, self.bits)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "bits": self.bits, "momentum": self.momentum}


@keras.saving.register_keras_serializable("segcore")
class Convolution(keras.layers.Layer):
    """A convolution with bias ("same" padding), its kernel rounded channel by channel.

    (B, H, W, C) → (B, H/stride, W/stride, filters), or C channels when `depthwise`. Each output
    channel's kernel has a symmetric range of its own, its largest absolute value, and 2**bits - 1
    levels; `bits` None leaves the kernel as it is. `source` names the
    range of the inputs. Always float32. Taught in chapter 9.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        stride: int = 1,
        rate: int = 1,
        depthwise: bool = False,
        bits: int | None = None,
        source: str = "",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.filters, self.size, self.stride, self.rate = filters, size, stride, rate
        self.depthwise, self.bits, self.source = depthwise, bits, source

    def build(self, shape: Any) -> None:
        """Makes `kernel` (size, size, C, filters), or (size, size, C, 1), and `bias`."""
        outputs = 1 if self.depthwise else self.filters
        kernel = (self.size, self.size, shape[-1], outputs)
        self.kernel = self.add_weight(kernel, "zeros", name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias")

    def call(self, x: Any) -> Any:
        convolve = ops.depthwise_conv if self.depthwise else ops.conv
        kernel, dilation = self.rounded_kernel(), self.rate
        return convolve(x, kernel, self.stride, "same", dilation_rate=dilation) + self.bias

    def rounded_kernel(self) -> Any:
        """The kernel as the exported file will have it, times its scale; same shape."""
        if self.bits is None:
            return self.kernel
        shape = self.kernel.shape
        last = (1, *shape[:3]) if self.depthwise else shape  # output channels last, as in TFLite
        kernel = ops.reshape(self.kernel, last)
        reach = ops.stop_gradient(ops.max(ops.abs(kernel), axis=(0, 1, 2)))
        reach = ops.maximum(reach * HEADROOM, LEAST_KERNEL)
        rounded = fake_quantise(kernel, -reach, reach, self.bits, narrow=True)
        return ops.reshape(rounded, shape)

    def get_config(self) -> dict[str, Any]:
        names = ("name", "filters", "size", "stride", "rate", "depthwise", "bits", "source")
        return {name: getattr(self, name) for name in names}


def extremes(x: Any) -> tuple[Any, Any]:
    """The least and the largest value of each photo in (B, H, W, C), zero included: (B,), (B,)."""
    axes = tuple(range(1, len(x.shape)))
    return ops.minimum(ops.min(x, axes), 0.0), ops.maximum(ops.max(x, axes), 0.0)


@ops.custom_gradient  # type: ignore[untyped-decorator]
def _straight_through(x: Any, lowest: Any, highest: Any, step: Any) -> Any:
    inside = ops.logical_and(x >= lowest, x <= highest)

    def gradient(*arguments: Any, upstream: Any = None) -> Any:
        upstream = arguments[0] if upstream is None else upstream
        passed = upstream * ops.cast(inside, upstream.dtype)
        return passed, ops.zeros_like(lowest), ops.zeros_like(highest), ops.zeros_like(step)

    inverse = 1 / step
    zero = ops.floor(0.5 - lowest * inverse)
    above = ops.minimum(ops.maximum(x, lowest), highest) - lowest
    return ops.floor(above * inverse - zero + 0.5) * step, gradient


def _by_tensorflow(x: Any, low: Any, high: Any, bits: int, narrow: bool) -> Any:
    """TensorFlow's own operations, which its converter to TFLite recognises."""
    import tensorflow as tf

    kinds = tf.quantization
    one_range = kinds.fake_quant_with_min_max_vars
    chosen = one_range if len(low.shape) == 0 else kinds.fake_quant_with_min_max_vars_per_channel
    return chosen(x, low, high, num_bits=bits, narrow_range=narrow)
