"""The ways in which a photo may enter a .tflite, and the file as it answers to each of them.

Nothing in a file says which of them it was trained with, and every one delivers the right number
of values: that is its preprocessing contract.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore._errors import damage_named
from segcore.data.images import letterbox, signed
from segcore.export import tflite
from segcore.export.affine import Affine
from segcore.export.interpreter import open_interpreter
from segcore.export.labels import labels_beside
from segcore.inference.litert import ask

Pixels = NDArray[np.uint8]
Table = NDArray  # (256, 3): what a byte of red, green, blue becomes

IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
VALUES: dict[str, Callable[[NDArray], NDArray]] = {
    "-1 to 1": signed,
    "0 to 1": lambda bytes_: bytes_ / 255,
    "0 to 255": lambda bytes_: bytes_,
    "ImageNet mean and std": lambda bytes_: (bytes_ / 255 - IMAGENET_MEAN) / IMAGENET_STD,
    "0 to 255 less the mean": lambda bytes_: bytes_ - 255 * IMAGENET_MEAN,
}
ORDERS = ("RGB", "BGR")
GEOMETRIES = ("letterbox", "squeeze")
ANY_SIZE = 257  # what a file that takes any size is tried at
MOST_IDS = 256
NEAR = 4  # of 256 levels: two tables that differ by no more are one to a network


class Way(NamedTuple):
    """One way of preparing a photo: a name of `tables`, one of ORDERS, one of GEOMETRIES."""

    values: str
    order: str = "RGB"
    geometry: str = "letterbox"


class Answer(NamedTuple):
    """Class ids (h, w) uint8, and the part (rows, columns) of them that the photo filled."""

    ids: Pixels
    content: tuple[float, float]


class Network:
    """A .tflite with one photo in and one map of scores or ids out, whatever it was promised.

    `side` (H, W) is the size of its input, `tables` has a `Table` for each name of `Way.values`,
    `classes` is the number of its scores, None where ids come out; `class_names` travel with it or
    lie beside it. Raises ValueError saying what else it is.
    """

    def __init__(self, source: tflite.Source, threads: int | None = None) -> None:
        file = tflite.opened(source)
        self.name = file.name
        beside = labels_beside(source) if isinstance(source, Path) else ()
        self.class_names = file.class_names or beside
        self._run = open_interpreter(file, threads)
        self._input = self._one_photo()
        H, W = (int(n) for n in self._input["shape"][1:3])
        self.side = (H, W)
        self.tables = tables(self._input["dtype"], *self._input["quantization"])
        self._output = self._one_map()
        shape, dtype = self._output["shape"], self._output["dtype"]
        last = int(shape[3]) if len(shape) == 4 else 1
        ids = last == 1 and np.issubdtype(dtype, np.integer) and not self._output["quantization"][0]
        self.classes = None if ids else max(last, 2)

    def __call__(self, image: Pixels, way: Way) -> Answer:
        """What the file says of `image` (H, W, 3) uint8, prepared in this `way`."""
        box, (h, w) = fit(image, self.side, way.geometry)
        table = self.tables[way.values]
        values = np.stack([table[box[..., c], c] for c in range(3)], axis=-1)
        answer = self._infer(values[..., ::-1] if way.order == "BGR" else values)
        rows, columns = (n / side for n, side in zip(answer.shape, self.side, strict=True))
        return Answer(answer, (h * rows, w * columns))

    def _infer(self, values: NDArray) -> Pixels:
        values = np.ascontiguousarray(values)
        answer = ask(self.name, self._run, values, self._output["index"])[0]
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise ValueError(f"{self.name}: answers with scores that are not finite; train it anew")
        if self.classes is None:
            ids = answer.reshape(answer.shape[:2])
        elif answer.ndim == 3 and answer.shape[2] > 1:
            ids = answer.argmax(-1)
        else:
            ids = self._foreground(answer.reshape(answer.shape[:2]))
        return np.clip(ids, 0, MOST_IDS - 1).astype(np.uint8)

    def _foreground(self, stored: NDArray) -> NDArray[np.bool_]:
        """One score a position: a probability above one half, or a logit above 0."""
        scale, zero = self._output["quantization"]
        scores = Affine(scale, zero).dequantise(stored) if scale else stored
        return scores > (0.5 if scores.min() >= 0 and scores.max() <= 1 else 0)

    def _one_photo(self) -> dict[str, Any]:
        """The details of the input, once it has a size."""
        inputs = self._run.get_input_details()
        shape = tuple(int(n) for n in inputs[0]["shape_signature"]) if len(inputs) == 1 else ()
        said = f"{self.name}: takes {shape}"
        if len(inputs) != 1:
            raise ValueError(f"{self.name}: has {len(inputs)} inputs; one photo is wanted")
        if len(shape) != 4:
            raise ValueError(f"{said}: no photo, which is (1, height, width, 3)")
        if shape[1] == 3 != shape[3]:
            raise ValueError(
                f"{said}: channels first (NCHW), which no camera and few operators of TFLite "
                "have; convert it to channels last, (1, height, width, 3)"
            )
        if shape[3] != 3 or shape[0] not in (-1, 1):
            raise ValueError(f"{said}; one photo with three channels, (1, height, width, 3), fits")
        if inputs[0]["dtype"] not in (np.uint8, np.int8, np.float32):
            found = np.dtype(inputs[0]["dtype"]).name
            raise ValueError(f"{said} {found}; uint8, int8 or float32 is wanted")
        if -1 in shape[1:3]:
            with damage_named(self.name, f"takes {shape}, but not {ANY_SIZE}×{ANY_SIZE}"):
                self._run.resize_tensor_input(inputs[0]["index"], (1, ANY_SIZE, ANY_SIZE, 3))
                self._run.allocate_tensors()
                self._run.invoke()  # some sizes of outputs are known only then
        return self._run.get_input_details()[0]

    def _one_map(self) -> dict[str, Any]:
        """The details of the one output that has a place for each part of the photo."""
        outputs = self._run.get_output_details()
        shapes = [tuple(int(n) for n in output["shape"]) for output in outputs]
        maps = [n for n, shape in enumerate(shapes) if _is_map(shape[:3], self.side)]
        said = f"{self.name}: answers with {', '.join(map(str, shapes))}"
        if any(_is_map(shape[1:], self.side) for shape in shapes if len(shape) == 4) and not maps:
            raise ValueError(f"{said}: channels first (NCHW); convert it to channels last")
        if not maps and len(shapes) == 1 and len([n for n in shapes[0] if n > 1]) < 2:
            raise ValueError(f"{said}, scores of the whole photo: a classifier; a map is wanted")
        if not maps and len(shapes) > 1:
            raise ValueError(f"{said}, no map of the photo: a detector, perhaps; a map is wanted")
        if len(maps) != 1:
            found = "maps" if maps else "no map of the photo"
            raise ValueError(f"{said}, {found}; one map of scores or class ids is wanted")
        return outputs[maps[0]]


def tables(dtype: Any, scale: float = 0, zero: int = 0) -> Mapping[str, Table]:
    """The ways to turn bytes into what an input of `dtype`, `scale` and `zero` takes, by name.

    uint8 and int8 also take the bytes as they are; where they are nearly what one of VALUES gives,
    that is told in brackets.
    """
    levels = np.repeat(np.arange(256.0)[:, None], 3, axis=1)
    numbers = {name: change(levels) for name, change in VALUES.items()}
    if dtype == np.float32:
        return {name: values.astype(np.float32) for name, values in numbers.items()}
    least = np.iinfo(dtype).min
    raw = (levels + least).astype(dtype)
    name = "bytes less 128" if least else "bytes as they are"
    if not scale:
        return {name: raw}
    stored = {n: Affine(scale, zero).quantise(values, dtype) for n, values in numbers.items()}
    same = {n for n, table in stored.items() if np.abs(table - raw.astype(int)).max() <= NEAR}
    told = f"{name} ({min(same)})" if same else name
    return {told: raw} | {n: table for n, table in stored.items() if n not in same}


def fit(image: Pixels, side: tuple[int, int], geometry: str) -> tuple[Pixels, tuple[int, int]]:
    """`image` (H, W, 3) brought to `side` by one of GEOMETRIES, as `letterbox` gives it."""
    if geometry == "letterbox":
        return letterbox(image, side)
    size = side[::-1]  # Pillow puts the width first
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)), side


def _is_map(shape: tuple[int, ...], side: tuple[int, int]) -> bool:
    """Whether (1 or C, h, w) lies over a photo of `side`, at its size or a smaller one."""
    if len(shape) != 3 or min(shape[1:]) < 2:
        return False
    rows, columns = (n / whole for n, whole in zip(shape[1:], side, strict=True))
    return abs(rows / columns - 1) < 0.1
