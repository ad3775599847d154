"""Weights in and out by name: `.npz` files of `layer/variable`, Keras' own models, and surgery."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segcore._files import replacing

Arrays = Mapping[str, np.ndarray]


def load_weights(model: Any, source: str | Path | Arrays, name: str = "weights") -> None:
    """Fills `model` from `source`: an .npz of `layer/variable` arrays, of which those `for_size`
    count, or such a mapping called `name` in messages.

    Every variable must be found exactly once. Raises FileNotFoundError, or ValueError naming the
    first variable that is missing, superfluous or of another shape. The model is only touched when
    everything fits.
    """
    if isinstance(source, Mapping):
        arrays = source
    else:
        arrays, name = for_size(read_weights(source), model.input_shape[1]), str(source)
    variables = variables_of(model)
    _check_fit(name, arrays, variables)
    for key, variable in variables.items():
        variable.assign(arrays[key])


def variables_of(model: Any) -> dict[str, Any]:
    """The variables of a Keras `model` by `layer/variable`."""
    return {f"{layer.name}/{v.name}": v for layer in model.layers for v in layer.weights}


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """The values in a Keras `model` (ours or `keras.applications`') by `layer/variable`."""
    return {key: np.asarray(variable) for key, variable in variables_of(model).items()}


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by `layer/variable`, float32. ValueError when the file is damaged."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such weights file; check the spelling")
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            return {key: file[key].astype(np.float32) for key in file.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise ValueError(f"{path}: not a readable .npz of weights ({error})") from None


def fresh(variables: Sequence[Any], start: Arrays, seed: int) -> dict[str, np.ndarray]:
    """First weights by path: those of `start` that fit, else random kernels and a neutral rest.

    Kernels are drawn as He et al. 2015 do for ReLU, scores' kernels small; batch norm passes on.
    """
    rng, weights = np.random.default_rng(seed), {}
    for v in variables:
        shape = tuple(v.shape)
        if v.path in start and start[v.path].shape == shape:
            weights[v.path] = start[v.path]
        elif v.name == "kernel":
            inputs = 9 if "depthwise" in v.path else shape[2]
            deviation = 0.01 if v.path.startswith("logits") else np.sqrt(2 / inputs)
            weights[v.path] = rng.normal(0, deviation, shape).astype(np.float32)
        else:
            one = v.name in ("gamma", "moving_variance")
            weights[v.path] = np.full(shape, one, np.float32)
    return weights


def for_size(arrays: Arrays, size: int) -> dict[str, np.ndarray]:
    """The arrays of one input `size`, from a file in which a second size has some of its own.

    Their layers have the size behind their names: `bn_Conv1_257/gamma` takes the place of
    `bn_Conv1/gamma` for pictures of up to 1.4 times 257 pixels, and is left out for larger ones.
    What a channel means is common to all sizes; how often it speaks is not (Wang et al. 2020,
    Resolution Switchable Networks), nor how many pixels away its neighbours are.
    """
    plain: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        own = re.fullmatch(r"(.+)_(\d{2,})(/\w+)", key)
        if own is None or own[1] + own[3] not in arrays:
            plain.setdefault(key, array)
        elif size <= 1.4 * int(own[2]):
            plain[own[1] + own[3]] = array
    return plain


def save_weights(model: Any, path: str | Path, dtype: str = "float16") -> None:
    """Writes every variable as `layer/variable` to a compressed .npz, all at once or not at all.

    float16 halves the file. ValueError where a value would overflow, or is not a number.
    """
    write_weights(arrays_of(model), path, dtype)


def write_weights(arrays: Arrays, path: str | Path, dtype: str = "float16") -> None:
    """Like `save_weights`, for arrays that are already in hand."""
    for key, array in arrays.items():
        if np.isnan(array).any():
            raise ValueError(f"{key} holds values that are not numbers; these weights are spoilt")
        if np.abs(array).max(initial=0) > np.finfo(dtype).max:
            raise ValueError(f"{key} holds {np.abs(array).max():.3g}, too large for {dtype}")
    small: Any = {key: array.astype(dtype) for key, array in arrays.items()}
    with replacing(path) as file:
        np.savez_compressed(file, **small)


def _check_fit(name: str, arrays: Arrays, variables: Mapping[str, Any]) -> None:
    for key in [*variables, *arrays]:
        if key not in arrays:
            raise ValueError(f"{name}: {key} is missing; the weights belong to another network")
        if key not in variables:
            raise ValueError(f"{name}: {key} has no place in this model; choose its own network")
        if arrays[key].shape != tuple(variables[key].shape):
            shapes = f"{arrays[key].shape} in the file, {tuple(variables[key].shape)} in the model"
            raise ValueError(f"{name}: {key} differs in shape: {shapes}")
