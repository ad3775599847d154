"""Weights in and out by name: `.npz` files of `layer/variable` that say whose they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segcore._errors import damage_named
from segcore._files import read_arrays, replacing

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, np.ndarray]

META = "__meta__"  # the member of an .npz that holds its `Description`, as JSON
MOST_BYTES = 2**30  # of arrays in one file; those of the course's networks take 20 MB


@dataclass(frozen=True)
class Description:
    """What an .npz says of its network besides the arrays.

    `architecture` is the name of the function in `deeplab` that builds it, `size` its usual input
    side, `class_names` a name for each of its `num_classes` ids (none: unknown).
    """

    architecture: str = "deeplab_v3_plus"
    size: int = 513
    num_classes: int = 21
    class_names: tuple[str, ...] = ()


def load_weights(model: keras.Model, source: str | Path | Arrays, name: str = "weights") -> None:
    """Fills `model` from `source`: an .npz of `layer/variable` arrays, or such a mapping, called
    `name` in messages.

    Every variable must be found exactly once. Raises FileNotFoundError, or ValueError naming the
    first variable that is missing, superfluous or of another shape. The model is only touched when
    everything fits.
    """
    variables = variables_of(model)
    if isinstance(source, Mapping):
        arrays = source
    else:
        name, arrays = str(source), read_weights(source)
    _check_fit(name, arrays, variables)
    for key, variable in variables.items():
        variable.assign(arrays[key])


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables of a Keras `model` by `layer/variable`.

    ValueError where two share a name, as in a layer that is a model itself.
    """
    pairs = [(f"{layer.name}/{v.name}", v) for layer in model.layers for v in layer.weights]
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(key for key, variable in pairs if named[key] is not variable)
        raise ValueError(f"{model.name}: two variables are called {twice}; use no model as a layer")
    return named


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The values in a Keras `model` (ours or `keras.applications`') by `layer/variable`."""
    return {key: np.asarray(variable) for key, variable in variables_of(model).items()}


def read_weights(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of an .npz by `layer/variable`, float32.

    Raises FileNotFoundError, or ValueError naming the file when it is damaged, holds more than a
    gibibyte or a value that is not finite.
    """
    arrays = {k: v for k, v in read_arrays(path, most_bytes=MOST_BYTES).items() if k != META}
    arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {key} holds values that are not finite; save or train anew")
    return arrays


def read_description(path: str | Path) -> Description:
    """What the .npz at `path` says of itself; a plain `Description` where it says nothing.

    Raises FileNotFoundError, or ValueError naming the file when it is damaged.
    """
    for found in read_arrays(path, [META], MOST_BYTES).values():
        with damage_named(path, f"its {META} is not a description"):
            return _checked(json.loads(str(found)))
    return Description()


def _checked(said: Mapping[str, Any]) -> Description:
    """A description from a file; TypeError for fields of other kinds, KeyError without names."""
    names = said["class_names"]
    description = Description(**{**said, "class_names": tuple(names)})
    kinds = {key: type(value) for key, value in vars(Description()).items()}
    fine = isinstance(names, list) and all(type(name) is str for name in names)
    if not fine or any(type(value) is not kinds[key] for key, value in vars(description).items()):
        raise TypeError(f"fields of other kinds: {said}")
    return description


def save_weights(
    model: keras.Model, path: str | Path, dtype: str = "float16", class_names: Sequence[str] = ()
) -> None:
    """Writes every variable as `layer/variable` to a compressed .npz, all at once or not at all.

    The file also says what it is: the model's name and input size, and its `class_names`. float16
    halves the file. ValueError where a value would overflow, or is not a number.
    """
    sides = model.input_shape[1], model.output_shape[-1]
    description = Description(model.name, *sides, tuple(class_names))
    write_weights(arrays_of(model), path, dtype, description)


def write_weights(
    arrays: Arrays, path: str | Path, dtype: str = "float16", description: Description | None = None
) -> None:
    """Like `save_weights`, for arrays that are already in hand, and their `description`."""
    for key, array in arrays.items():
        if np.isnan(array).any():
            raise ValueError(f"{key} holds values that are not numbers; these weights are corrupt")
        if np.abs(array).max(initial=0) > np.finfo(dtype).max:
            raise ValueError(f"{key} holds {np.abs(array).max():.3g}, too large for {dtype}")
    members: dict[str, Any] = {key: array.astype(dtype) for key, array in arrays.items()}
    if description is not None:
        members[META] = np.array(json.dumps(asdict(description)))
    with replacing(path) as file:
        np.savez_compressed(file, **members)


def _check_fit(name: str, arrays: Arrays, variables: Mapping[str, keras.Variable]) -> None:
    for key in [*variables, *arrays]:
        if key not in arrays:
            raise ValueError(f"{name}: {key} is missing; the weights belong to another network")
        if key not in variables:
            raise ValueError(f"{name}: {key} has no place in this model; choose its own network")
        if arrays[key].shape != tuple(variables[key].shape):
            shapes = f"{arrays[key].shape} in the file, {tuple(variables[key].shape)} in the model"
            raise ValueError(f"{name}: {key} differs in shape: {shapes}")
