"""Training data for Keras' `fit`: each batch is a function of (seed, epoch, index) alone."""

import copy
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

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
        self.epoch, self.shuffle = 0, True

    def begin_epoch(self, epoch: int, logs: Any = None) -> None:
        """From now on the batches are those of `epoch`; a callback of Keras."""
        self.epoch = epoch

    def in_order(self) -> Self:
        """The same items in their order, all of them, so that the last batch may be smaller."""
        ordered = copy.copy(self)
        ordered.shuffle = False
        return ordered

    def __len__(self) -> int:
        rest = 0 if self.shuffle else self.size - 1
        return (len(self.arrays[0]) + rest) // self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        order = np.arange(len(self.arrays[0]))
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        chosen = order[index * self.size : (index + 1) * self.size]
        parts = [array[chosen] for array in self.arrays]
        if self.change is None:
            return parts[0], parts[1]
        return self.change(np.random.default_rng((self.seed, self.epoch, index)), *parts)

    def identity(self) -> dict[str, Any]:
        """What makes these batches these and no others, for JSON: two runs on equal data agree."""
        change = re.sub(" at 0x[0-9a-f]+", "", repr(self.change))
        arrays = fingerprint(self.arrays)
        return {"arrays": arrays, "size": self.size, "seed": self.seed, "change": change}


def fingerprint(arrays: Any) -> list[Any]:
    """Shape, dtype and checksum of every array in nested tuples, for JSON."""
    flat = [np.ascontiguousarray(array) for array in keras.tree.flatten(arrays)]
    return [[list(a.shape), str(a.dtype), zlib.crc32(a.view(np.uint8).data)] for a in flat]
