"""What a model takes and answers; a photo through LiteRT's interpreter, to scores or class ids."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import shipped
from segcore._errors import damage_named
from segcore.data.images import signed
from segcore.data.voc import CLASSES, VOID
from segcore.export.affine import Affine

Infer = Callable[[NDArray[np.uint8]], NDArray]


def check_input(name: str, shape: tuple[int | None, ...], size: int | None = None) -> None:
    """Refuses a model that does not take one square RGB image, of side `size` where it is given."""
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise ValueError(f"{name}: takes {tuple(shape)}; one square RGB image is wanted")
    if shape[1] in (None, -1):
        raise ValueError(f"{name}: takes images of any size; export it for one, e.g. 257")
    if size is not None and size != shape[1]:
        others = [n.name for n in shipped.NETWORKS.values() if size in n.sizes]
        advice = f"; at {size} there are {' and '.join(others)}" if others else ""
        raise ValueError(f"{name}: is made for {shape[1]} pixels, not for size {size}{advice}")


def check_answer(name: str, shape: tuple[int, ...], side: int) -> None:
    """Refuses a model whose answer is not (side, side) ids or (side, side, 2 to 255) scores."""
    if shape[:2] != (side, side) or (len(shape) != 2 and not 2 <= shape[-1] <= VOID):
        raise ValueError(
            f"{name}: answers with {shape} to {side}×{side} pixels; export it so that each pixel "
            f"gets a class id, or 2 to {VOID} scores"
        )


def names(
    name: str, answer: tuple[int, ...], given: Sequence[str] | None
) -> tuple[tuple[str, ...], bool]:
    """The class names of a model, and whether they are a guess.

    Where none are `given`, 21 scores (or class ids) are taken for VOC's: Google's files, and many
    others of that many classes, say no more. Any other number is refused.
    """
    scores = answer[2] if len(answer) == 3 else None
    if given:
        if len(given) > VOID:
            raise ValueError(f"{name}: {len(given)} class names; a mask holds ids 0 to {VOID - 1}")
        if scores not in (None, len(given)):
            raise ValueError(f"{name}: {len(given)} class names for {scores} scores; name each")
        return tuple(given), False
    if scores not in (None, len(CLASSES)):
        advice = f"class_names= in segcore.load, or a line for each in {name}.labels.txt"
        raise ValueError(f"{name}: {scores} classes without names; give {advice}")
    return CLASSES, True


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
            answer = np.squeeze(ask(name, interpreter, convert(box), target["index"]))
        return answer if answer.ndim == 2 else scores(answer)

    return infer


def ask(name: str, interpreter: Any, values: NDArray, output: int) -> NDArray:
    """What `interpreter` has in its tensor `output` (1, ...) after `values` (H, W, 3) went in.

    Raises ValueError saying that model `name` does not run.
    """
    with damage_named(name, "does not run; export it anew"):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values[None])
        interpreter.invoke()
        return interpreter.get_tensor(output)


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
