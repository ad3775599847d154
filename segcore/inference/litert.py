"""A photo goes into LiteRT's interpreter, and scores or class ids come out."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.data.images import signed
from segcore.export.affine import Affine

Infer = Callable[[NDArray[np.uint8]], NDArray]


def shapes(name: str, interpreter: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What `interpreter` takes, (1, S, S, 3) with -1 for any, and gives, (S, S) or (S, S, C).

    Raises ValueError saying that model `name` has more than one input or output.
    """
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    for kind, found in (("inputs", sources), ("outputs", targets)):
        if len(found) != 1:
            raise ValueError(f"{name}: has {len(found)} {kind}; one is wanted")
    answer = tuple(int(n) for n in targets[0]["shape"] if n != 1)
    return tuple(int(n) for n in sources[0]["shape_signature"]), answer


def inference(name: str, interpreter: Any) -> Infer:
    """What `interpreter`, of model `name`, says of a box (S, S, 3) uint8: scores or ids.

    Scores are float32. The interpreter serves one thread at a time: others wait. Raises ValueError
    when the file takes other pixels than uint8, int8 or float32, when its scores have no scale, and
    at a call when it cannot run: a damaged file may show it only then.
    """
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    convert = _input_conversion(name, source["dtype"])
    scores, lock = _scores(name, target), Lock()

    def infer(box: NDArray[np.uint8]) -> NDArray:
        with lock:
            try:
                interpreter.set_tensor(source["index"], convert(box)[None])
                interpreter.invoke()
                answer = np.squeeze(interpreter.get_tensor(target["index"]))
            except (RuntimeError, ValueError) as error:
                raise ValueError(f"{name}: does not run ({error}); export it anew") from error
        return answer if answer.ndim == 2 else scores(answer)

    return infer


def _scores(name: str, target: Any) -> Callable[[NDArray], NDArray]:
    """How stored scores become numbers: integers by the scale and zero point of `target`."""
    scale, zero = target["quantization"]
    ids = sum(n != 1 for n in target["shape"]) == 2
    if ids or np.issubdtype(target["dtype"], np.floating):
        return lambda stored: stored
    if not 0 < scale < np.inf:
        raise ValueError(f"{name}: its scores are integers of scale {scale}; export it anew")
    return Affine(scale, zero).dequantise


def _input_conversion(name: str, dtype: type) -> Callable[[NDArray[np.uint8]], NDArray]:
    """How a photo's bytes enter: as they are (uint8), shifted (int8), or in [-1, 1] (float32).

    All three mean the same number where the file's scale is 1/127.5. Google's files say 1/128 and
    still score best on plain bytes: rounding by their own scale lost 1 mIoU on 40 photos.
    """
    conversions: dict[type, Callable[[NDArray[np.uint8]], NDArray]] = {
        np.uint8: lambda box: box,
        np.int8: lambda box: (box.astype(np.int16) - 128).astype(np.int8),
        np.float32: signed,
    }
    if dtype not in conversions:
        raise ValueError(f"{name}: takes {dtype.__name__} pixels; uint8, int8 or float32 wanted")
    return conversions[dtype]
