"""The one place that knows an interpreter: load a model file, segment a photo, score a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.data import voc
from segcore.data.images import letterbox, signed, unletterbox
from segcore.export.interpreter import open_interpreter

SIZES = (257, 513)  # for phones, for quality


@dataclass(frozen=True)
class Prediction:
    """A mask and what it cost.

    `mask` (H, W) uint8 class ids at the photo's own size; times in milliseconds for bringing the
    photo to the network's size, for the network, and for bringing the answer back.
    """

    mask: NDArray[np.uint8]
    preprocess_ms: float
    inference_ms: float
    mask_ms: float

    def shares(self) -> dict[str, float]:
        """Class name → share of pixels (0..1) for every class in the mask, largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=voc.NUM_CLASSES)
        found = [(voc.CLASSES[i], float(counts[i] / counts.sum())) for i in counts.nonzero()[0]]
        return dict(sorted(found, key=lambda item: -item[1]))


@dataclass(frozen=True)
class Segmenter:
    """A loaded network. Call it with a photo (H, W, 3) uint8 RGB to get a `Prediction`.

    `infer` maps a letterboxed photo (size, size, 3) uint8 to logits (size, size, C) or class ids
    (size, size); `name` says which file it came from. Make one with `load`. A call raises
    ValueError for ids that are not VOC's.
    """

    infer: Callable[[NDArray[np.uint8]], NDArray]
    size: int
    name: str

    def __call__(self, image: NDArray[np.uint8]) -> Prediction:
        start = perf_counter()
        box, content = letterbox(image, self.size)
        boxed = perf_counter()
        answer = self.infer(box)
        inferred = perf_counter()
        if answer.ndim == 2 and not 0 <= answer.min() <= answer.max() < voc.NUM_CLASSES:
            ids = f"class ids {answer.min()} to {answer.max()}"
            raise ValueError(f"{self.name}: answers with {ids}; a model of VOC's 0 to 20 is wanted")
        mask = unletterbox(answer, content, image.shape[:2])
        times = (boxed - start, inferred - boxed, perf_counter() - inferred)
        return Prediction(mask, *(1000 * seconds for seconds in times))


def load(
    model: str | Path | None = None, size: int | None = None, threads: int | None = None
) -> Segmenter:
    """The segmenter in file `model`: `.tflite`, or `.npz`/`.keras` weights of DeepLabV3+.

    None means the shipped checkpoint. `size` is 257 or 513 (any 16k+1) and 513 where it is free; a
    `.tflite` knows its own. Raises FileNotFoundError or ValueError saying what was wanted.
    """
    path = None if model is None else Path(model)
    if path is not None and not path.exists():
        raise FileNotFoundError(f"{path}: no such model file; check the spelling")
    if path is not None and path.suffix == ".tflite":
        return _load_tflite(path, size, threads)
    if path is not None and path.suffix not in (".npz", ".keras"):
        raise ValueError(f"{path}: a model ends in .tflite, .npz or .keras")
    return _load_keras(path, size)


def _load_keras(path: Path | None, size: int | None) -> Segmenter:
    """DeepLabV3+ under Keras; this is the import that takes seconds."""
    from segcore import shipped
    from segcore.models import pretrained

    if path is not None and path.suffix == ".keras":
        network = _open_keras(path, size)
    else:
        network = pretrained.load(size or 513, path or shipped.FLOAT)
    return wrap(network, "the shipped DeepLabV3+" if path is None else str(path))


def wrap(network: Any, name: str) -> Segmenter:
    """A Keras `network` in hand, images (1, S, S, 3) in [-1, 1] → logits, as a `Segmenter`."""
    network.compile(jit_compile=False)  # one graph: three times faster than layer by layer

    def infer(box: NDArray[np.uint8]) -> NDArray:
        return network.predict_on_batch(signed(box)[None])[0]

    side = network.input_shape[1]
    infer(np.zeros((side, side, 3), np.uint8))  # the first call draws the graph: not to be timed
    return Segmenter(infer, side, name)


def _open_keras(path: Path, size: int | None) -> Any:
    from segcore._keras import keras

    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises zipfile's, h5py's and its own errors here
        raise ValueError(f"{path}: not a readable Keras model ({error})") from None
    _check_shape(path, network.input_shape, size)
    _check_answer(path, tuple(network.output_shape[1:]), network.input_shape[1])
    return network


def _load_tflite(path: Path, size: int | None, threads: int | None) -> Segmenter:
    """A `.tflite` file with one image input and one output of scores or class ids."""
    interpreter = open_interpreter(path, threads)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    _check_shape(path, tuple(source["shape_signature"].tolist()), size)
    side = int(source["shape"][1])
    _check_answer(path, tuple(n for n in target["shape"].tolist() if n != 1), side)
    return Segmenter(inference(path, interpreter), side, str(path))


def inference(path: Path, interpreter: Any) -> Callable[[NDArray[np.uint8]], NDArray]:
    """What `interpreter`, of the file `path`, says of a box (S, S, 3) uint8: scores or ids.

    Unlike with `load` they need not stand for each pixel.
    """
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    convert = _input_conversion(path, source["dtype"])
    scale, zero = target["quantization"]

    def infer(box: NDArray[np.uint8]) -> NDArray:
        interpreter.set_tensor(source["index"], convert(box)[None])
        interpreter.invoke()
        answer = np.squeeze(interpreter.get_tensor(target["index"]))
        if answer.ndim == 2 or not scale:
            return answer
        return (answer.astype(np.float32) - zero) * scale

    return infer


def _input_conversion(path: Path, dtype: type) -> Callable[[NDArray[np.uint8]], NDArray]:
    """How a photo's bytes enter: as they are (uint8), shifted (int8), or in [-1, 1] (float32).

    All three mean the same number where the file's scale is 1/127.5. Google's files say 1/128 and
    still score best on plain bytes: rounding by their own scale lost 1 mIoU on 40 photos.
    """
    conversions = {
        np.uint8: lambda box: box,
        np.int8: lambda box: (box.astype(np.int16) - 128).astype(np.int8),
        np.float32: signed,
    }
    if dtype not in conversions:
        raise ValueError(f"{path}: takes {dtype.__name__} pixels; uint8, int8 or float32 wanted")
    return conversions[dtype]


def _check_shape(path: Path, shape: tuple[Any, ...], size: int | None) -> None:
    """Refuses a model that does not take one square RGB image of the size asked for."""
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise ValueError(f"{path}: takes {tuple(shape)}; one square RGB image is wanted")
    if shape[1] in (None, -1):
        raise ValueError(f"{path}: takes images of any size; export it for one, e.g. 257")
    if size is not None and size != shape[1]:
        raise ValueError(f"{path}: is made for {shape[1]} pixels, --size {size} cannot change that")


def _check_answer(path: Path, shape: tuple[int, ...], side: int) -> None:
    """Refuses a model whose answer is not (side, side) ids or (side, side, 2 to 21) scores."""
    scores = [(side, side, C) for C in range(2, voc.NUM_CLASSES + 1)]
    if shape not in [(side, side), *scores]:
        raise ValueError(
            f"{path}: answers with {shape} to {side}×{side} pixels; export it so that each pixel "
            f"gets a class id, or at most {voc.NUM_CLASSES} scores"
        )
