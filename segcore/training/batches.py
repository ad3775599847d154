"""Training data for Keras' `fit`: each batch is a function of (seed, epoch, index) alone."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore._keras import keras

Arrays = Sequence[NDArray[Any]]
Change = Callable[..., tuple[Any, Any]]


class Batches(keras.utils.PyDataset):
    """`arrays`, each (N, ...), in batches of `size`: an epoch shows every item at most once.

    Epochs are shuffled anew, and what does not fill a batch waits for another epoch. Without
    `change` the arrays are inputs and targets; else a batch is `change(rng, *parts)` → (inputs,
    targets), `rng` being its own. So a run that was killed sees the same batches when it goes on.
    (`workers` stays 1: Keras' queue for more keeps batches of one epoch for the next.)
    Raises ValueError when the arrays differ in length or are shorter than a batch.
    """

    def __init__(
        self, arrays: Arrays, size: int, seed: int = 0, change: Change | None = None
    ) -> None:
        super().__init__()
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) != 1 or not 1 <= size <= lengths[0]:
            raise ValueError(f"arrays of lengths {lengths} do not make batches of {size}")
        self.arrays, self.size, self.seed, self.change = tuple(arrays), size, seed, change
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.arrays[0]) // self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.arrays[0]))
        chosen = order[index * self.size : (index + 1) * self.size]
        parts = [array[chosen] for array in self.arrays]
        if self.change is None:
            inputs, targets = parts
            return inputs, targets
        return self.change(np.random.default_rng((self.seed, self.epoch, index)), *parts)

    def identity(self) -> dict[str, Any]:
        """What makes these batches these and no others, for JSON: two runs on equal data agree."""
        change = getattr(
            self.change, "__qualname__", re.sub(" at 0x[0-9a-f]+", "", repr(self.change))
        )
        arrays = [[list(a.shape), str(a.dtype), _checksum(a)] for a in self.arrays]
        return {"arrays": arrays, "size": self.size, "seed": self.seed, "change": change}


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)
