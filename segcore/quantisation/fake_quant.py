"""Rounding that can be trained through: what int8 does, imitated in float32, as Keras layers."""

from dataclasses import asdict, dataclass
from typing import Any, Self, TypeAlias

from segcore._keras import keras

ops = keras.ops

Tensor: TypeAlias = Any  # of the backend, or what it takes for one: an array, a number

# The largest kernel value stays inside its own range even when float32 rounds the range down.
HEADROOM = 1 + 1e-6
# A channel of smaller weights than this would need a bias beyond int32, in units of its scale.
LEAST_KERNEL = 1e-4


def fake_quantise(
    x: Tensor, low: Tensor, high: Tensor, bits: int = 8, narrow_range: bool = False
) -> Tensor:
    """`x` moved to the nearest of 2**bits levels between `low` and `high`: same shape, float32.

    `low` and `high` are scalars, or (C,) for the last axis; low ≤ 0 ≤ high, low < high.
    `narrow_range` leaves the lowest level out, so that a symmetric range has as many levels below
    zero as above. The levels are shifted until one of them is exactly zero ("nudged"), as
    TensorFlow does it. The gradient is 1 inside the range and 0 outside: rounding counts as the
    identity. Bengio et al. 2013, straight-through estimator; Jacob et al. 2018, section 3. Taught
    in chapter 10.
    """
    x, low, high = (ops.convert_to_tensor(each, "float32") for each in (x, low, high))
    if keras.backend.backend() == "tensorflow":
        return _by_tensorflow(x, low, high, bits, narrow_range)
    return by_formula(x, low, high, bits, narrow_range)


def nudge(
    low: Tensor, high: Tensor, bits: int = 8, narrow_range: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """(lowest level, highest level, quantisation step) of the nudged range, shaped like `low`."""
    first, last = float(narrow_range), float(2**bits - 1)
    step = (high - low) / (last - first)
    zero = ops.clip(ops.floor(first - low / step + 0.5), first, last)
    return (first - zero) * step, (last - zero) * step, step


def by_formula(
    x: Tensor, low: Tensor, high: Tensor, bits: int = 8, narrow_range: bool = False
) -> Tensor:
    """`fake_quantise` in plain operations of whichever backend.

    It gives what TensorFlow's own operation gives, but that a value halfway between two levels may
    fall to the other side.
    """
    x, low, high = (ops.convert_to_tensor(each, "float32") for each in (x, low, high))
    return _straight_through(x, *nudge(low, high, bits, narrow_range))


@keras.saving.register_keras_serializable("segcore")
class FakeQuantise(keras.layers.Layer):
    """Rounds activations (B, H, W, C) to 2**bits levels of one range for the whole tensor.

    The range is two non-trainable weights, `low` and `high`, and always holds zero. While `moving`
    is true, each training call that `observe`s draws it towards the batch's own extremes (the mean
    over photos of each photo's least and largest value). Always float32. Taught in chapter 10.
    """

    def __init__(self, bits: int = 8, momentum: float = 0.99, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.bits, self.momentum, self.moving = bits, momentum, False

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes `low` and `high`, at first -6 and 6."""
        for name, value in (("low", -6.0), ("high", 6.0)):
            start = keras.initializers.Constant(value)
            setattr(self, name, self.add_weight((), start, trainable=False, name=name))

    def call(self, x: Tensor, observe: bool = False, training: bool = False) -> Tensor:
        if observe and training and self.moving:
            for variable, found in zip((self.low, self.high), extremes(x), strict=True):
                towards = ops.mean(found) - variable
                variable.assign(variable + (1 - self.momentum) * towards)
        return fake_quantise(x, self.low, self.high, self.bits)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "bits": self.bits, "momentum": self.momentum}


@dataclass(frozen=True)
class Geometry:
    """Shape of a square convolution with "same" padding; `filters` are all channels it gives."""

    filters: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    depthwise: bool = False


@keras.saving.register_keras_serializable("segcore")
class Convolution(keras.layers.Layer):
    """A convolution with bias ("same" padding), its kernel rounded channel by channel.

    (B, H, W, C) → (B, H/stride, W/stride, filters), sides rounded up. Each output channel's kernel
    has a symmetric range of its own, its largest absolute value, and 2**bits - 1 levels; `bits`
    None leaves the kernel as it is. `source` names the range of the inputs. Always float32. Jacob
    et al. 2018, section 3; per channel as in Krishnamoorthi 2018, section 2.2.
    Taught in chapter 10.
    """

    def __init__(
        self, geometry: Geometry, bits: int | None = None, source: str = "", name: str | None = None
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.geometry, self.bits, self.source = geometry, bits, source

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes `kernel` (size, size, C, filters), or (size, size, C, 1), and `bias`."""
        size, filters = self.geometry.kernel_size, self.geometry.filters
        kernel = (size, size, shape[-1], 1 if self.geometry.depthwise else filters)
        self.kernel = self.add_weight(kernel, "zeros", name="kernel")
        self.bias = self.add_weight((filters,), "zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        shape = self.geometry
        convolve = ops.depthwise_conv if shape.depthwise else ops.conv
        kernel = self.rounded_kernel()
        y = convolve(x, kernel, shape.stride, "same", dilation_rate=shape.dilation)
        return y + self.bias

    def rounded_kernel(self) -> Tensor:
        """The kernel as the exported file will have it, times its scale; same shape."""
        if self.bits is None:
            return self.kernel
        shape = self.kernel.shape
        last = (1, *shape[:3]) if self.geometry.depthwise else shape  # output channels last
        largest = ops.stop_gradient(self.kernel_range())
        kernel = ops.reshape(self.kernel, last)
        rounded = fake_quantise(kernel, -largest, largest, self.bits, narrow_range=True)
        return ops.reshape(rounded, shape)

    def kernel_range(self) -> Tensor:
        """The largest absolute value that each output channel's kernel may have, (filters,)."""
        axes = (0, 1, 3) if self.geometry.depthwise else (0, 1, 2)
        largest = ops.max(ops.abs(self.kernel), axis=axes)
        return ops.maximum(largest * HEADROOM, LEAST_KERNEL)

    def get_config(self) -> dict[str, Any]:
        parts = {"name": self.name, "bits": self.bits, "source": self.source}
        return parts | {"geometry": asdict(self.geometry)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config | {"geometry": Geometry(**config["geometry"])})


def extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest value of each photo in (B, H, W, C), zero included: (B,), (B,)."""
    axes = tuple(range(1, len(x.shape)))
    return ops.minimum(ops.min(x, axes), 0.0), ops.maximum(ops.max(x, axes), 0.0)


@ops.custom_gradient  # type: ignore[untyped-decorator]
def _straight_through(
    x: Tensor, lowest: Tensor, highest: Tensor, step: Tensor
) -> tuple[Tensor, Any]:
    inside = ops.logical_and(x >= lowest, x <= highest)

    def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
        upstream = arguments[0] if upstream is None else upstream
        passed = upstream * ops.cast(inside, upstream.dtype)
        return passed, ops.zeros_like(lowest), ops.zeros_like(highest), ops.zeros_like(step)

    inverse = 1 / step
    zero = ops.floor(0.5 - lowest * inverse)
    above = ops.minimum(ops.maximum(x, lowest), highest) - lowest
    return ops.floor(above * inverse - zero + 0.5) * step, gradient


def _by_tensorflow(x: Tensor, low: Tensor, high: Tensor, bits: int, narrow_range: bool) -> Tensor:
    """TensorFlow's own operations, which its converter to TFLite recognises."""
    import tensorflow as tf

    per_channel = "_per_channel" if len(low.shape) else ""
    operation = getattr(tf.quantization, f"fake_quant_with_min_max_vars{per_channel}")
    return operation(x, low, high, num_bits=bits, narrow_range=narrow_range)
