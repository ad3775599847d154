"""Load a network by its name or file, and segment photos with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segcore import shipped
from segcore._errors import damage_named
from segcore.data.images import letterbox, signed, strips, unletterbox
from segcore.data.voc import CLASSES
from segcore.export import tflite
from segcore.export.interpreter import open_interpreter
from segcore.export.labels import labels_beside
from segcore.inference import litert

if TYPE_CHECKING:
    import keras

Infer = Callable[[NDArray[np.uint8]], NDArray]


@dataclass(frozen=True)
class Prediction:
    """A mask and what it cost.

    `mask` (H, W) uint8 class ids at the photo's own size; times in milliseconds for bringing the
    photo to the network's size, for the network, and for bringing the answer back. `class_names`
    has a name for each id; `names_assumed` says that the model did not name them, and that its 21
    scores were taken for VOC's.
    """

    mask: NDArray[np.uint8]
    preprocess_ms: float
    inference_ms: float
    mask_ms: float
    class_names: tuple[str, ...] = CLASSES
    names_assumed: bool = False

    def fractions(self) -> dict[str, float]:
        """Class name → fraction of pixels (0..1) for every class in the mask, largest first."""
        counts = np.zeros(len(self.class_names), int)
        for rows in strips(self.mask.shape):  # bincount makes 8 bytes of each pixel's one
            counts += np.bincount(self.mask[rows].ravel(), minlength=len(counts))
        parts = zip(self.class_names, (counts / self.mask.size).tolist(), strict=True)
        return dict(sorted((pair for pair in parts if pair[1]), key=lambda pair: -pair[1]))

    @property
    def names(self) -> list[str]:
        """The names of the classes in the mask, that of the largest first."""
        return list(self.fractions())


@dataclass(frozen=True)
class Segmenter:
    """A loaded network. Call it with a photo (H, W, 3) uint8 RGB to get a `Prediction`.

    `infer` maps a letterboxed photo (size, size, 3) uint8 to logits (size, size, C) or class ids
    (size, size); `name` says which network or file it is. Make one with `load`. It may be called
    from several threads, one of which is served at a time. A call raises ValueError for scores
    that are not finite and for ids that have no name.
    """

    infer: Infer
    size: int
    name: str
    class_names: tuple[str, ...] = CLASSES
    names_assumed: bool = False

    def __call__(self, image: NDArray[np.uint8]) -> Prediction:
        start = perf_counter()
        box, content = letterbox(image, self.size)
        boxed = perf_counter()
        answer = self.infer(box)
        inferred = perf_counter()
        self._check(answer)
        mask = unletterbox(answer, content, image.shape[:2])
        stamps = [start, boxed, inferred, perf_counter()]
        before, network, after = (1000 * np.diff(stamps)).tolist()
        return Prediction(mask, before, network, after, self.class_names, self.names_assumed)

    def _check(self, answer: NDArray) -> None:
        """Refuses what would look like a mask and is none."""
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise ValueError(f"{self.name}: answers with scores that are not finite; train it anew")
        if answer.ndim == 2 and answer.dtype.kind not in "iu":
            found = f"answers with one {answer.dtype} a pixel; class ids are integers"
            raise ValueError(f"{self.name}: {found}: export it with 2 or more scores a pixel")
        if answer.ndim == 2 and not 0 <= answer.min() <= answer.max() < len(self.class_names):
            ids = f"class ids {answer.min()} to {answer.max()}"
            last = len(self.class_names) - 1
            raise ValueError(f"{self.name}: answers with {ids}; its names are those of 0 to {last}")


def load(
    model: str | Path | bytes = "phone",
    size: int | None = None,
    threads: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Segmenter:
    """The segmenter called `model`: `phone`, `sharp` or `float` (see `shipped`), a file
    (.tflite, .npz or .keras), or the bytes of a .tflite.

    `size` is the input side, for an .npz any 16k+1; a .tflite and a .keras have one. `threads`
    (1 to 256) are for a .tflite. `class_names` name the ids; without them the names that travel
    with the model count: those in an .npz, `labels.txt` in a .tflite, or a line for each in
    FILE.labels.txt beside it. 21 classes without names are taken for VOC's, and `names_assumed`
    says so.
    Raises FileNotFoundError or ValueError saying what was wanted.
    """
    name, source = tflite.name_of(model), model
    if not isinstance(source, bytes):
        source = shipped.file_of(source, size)
    if isinstance(source, bytes) or source.suffix == ".tflite":
        return _load_tflite(source, name, size, threads, class_names)
    if source.suffix not in (".npz", ".keras"):
        raise ValueError(f"{name}: a model ends in .tflite, .npz or .keras")
    if threads is not None:
        raise ValueError(f"{name}: threads={threads} is for a .tflite; Keras takes all of them")
    return _load_keras(source, name, size, class_names)


def wrap(network: keras.Model, name: str, class_names: Sequence[str] | None = None) -> Segmenter:
    """A Keras `network` in hand, images (1, S, S, 3) in [-1, 1] → logits, as a `Segmenter`.

    The network is neither compiled nor changed; when its weights change, the segmenter's do.
    `class_names` as in `load`.
    """
    from segcore._keras import keras

    litert.check_input(name, network.input_shape)
    side = network.input_shape[1]
    litert.check_answer(name, tuple(network.output_shape[1:]), side)
    named = litert.names(name, tuple(network.output_shape[1:]), class_names)
    runner, lock = keras.Model(network.inputs, network.outputs), Lock()
    runner.compile(jit_compile=False)  # one graph: three times faster than layer by layer

    def infer(box: NDArray[np.uint8]) -> NDArray:
        with lock:
            return runner.predict_on_batch(signed(box)[None])[0]

    infer(np.zeros((side, side, 3), np.uint8))  # the first call draws the graph: not to be timed
    return Segmenter(infer, side, name, *named)


def _load_keras(
    path: Path, name: str, size: int | None, class_names: Sequence[str] | None
) -> Segmenter:
    """A network under Keras; this is the import that takes seconds."""
    from segcore.models import checkpoint, pretrained

    if path.suffix == ".npz":
        stored = checkpoint.read_description(path).class_names
        network = pretrained.load(size, path)
    else:
        from segcore._keras import keras

        with damage_named(path, "not a readable Keras model"):
            network, stored = keras.saving.load_model(path, compile=False), ()
        litert.check_input(name, network.input_shape, size)
    return wrap(network, name, class_names or stored or labels_beside(path))


def _load_tflite(
    source: Path | bytes,
    name: str,
    size: int | None,
    threads: int | None,
    class_names: Sequence[str] | None,
) -> Segmenter:
    """A `.tflite` with one image input and one output of scores or class ids."""
    file = tflite.File(source)
    stored = file.class_names or (labels_beside(source) if isinstance(source, Path) else ())
    interpreter = open_interpreter(file, threads)
    shape, answer = litert.shapes(name, interpreter)
    litert.check_input(name, shape, size)
    litert.check_answer(name, answer, int(shape[1]))
    named = litert.names(name, answer, class_names or stored)
    return Segmenter(litert.inference(name, interpreter), int(shape[1]), name, *named)
