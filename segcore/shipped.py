"""The networks that ship with segcore: one table behind every command, default and test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segcore.data.voc import CLASSES

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Network:
    """A network in `weights/`: call it by `name`, in `segcore.load` and behind `--model`.

    `files` stand by the input side that each was trained for, the usual one first; `class_names`
    has a name for each class id. `made_from` names the float network that an int8 file was
    converted from.
    """

    name: str
    files: Mapping[int, Path] = field(hash=False)
    meaning: str
    made_from: str = ""
    class_names: tuple[str, ...] = CLASSES

    @property
    def sizes(self) -> tuple[int, ...]:
        """The input sides that it is made for."""
        return tuple(self.files)

    @property
    def size(self) -> int:
        """The side of the image that the network takes where nobody asks for another."""
        return self.sizes[0]

    @property
    def file(self) -> Path:
        """The file for that side."""
        return self.files[self.size]

    def file_for(self, size: int | None) -> Path:
        """The file whose own side is nearest to `size` by ratio; None asks for the usual one."""
        wanted = self.size if size is None else size
        return self.files[min(self.files, key=lambda side: max(side / wanted, wanted / side))]


PHONE = Network(
    "phone",
    {257: WEIGHTS / "deeplab_light_voc_int8_257.tflite"},
    "int8 at 257: the fastest, no TensorFlow needed",
    "float",
)
SHARP = Network(
    "sharp",
    {513: WEIGHTS / "deeplab_light_voc_int8_513.tflite"},
    "int8 at 513: finer outlines, no TensorFlow needed",
    "float",
)
FLOAT = Network(
    "float",
    {side: WEIGHTS / f"deeplab_light_voc_{side}.npz" for side in (513, 257)},
    "the float networks behind both, under Keras, at 513 or 257",
)
NETWORKS = {network.name: network for network in (PHONE, SHARP, FLOAT)}


def file_of(model: str | Path, size: int | None = None) -> Path:
    """The file of the network called `model` for `size`, or that file itself; FileNotFoundError
    for none."""
    known = NETWORKS.get(str(model))
    path = known.file_for(size) if known else Path(model)
    if not path.exists():
        names = ", ".join(NETWORKS)
        raise FileNotFoundError(f"{path}: no such model file; check the spelling, or say {names}")
    return path


def int8_of(name: str, size: int) -> Network | None:
    """The shipped int8 file made from the float network `name` at `size`, None where there is none.

    It was calibrated on 100 photos and its biases were corrected (`experiments/voc_int8.py`).
    """
    made = (n for n in NETWORKS.values() if n.made_from == name and size in n.sizes)
    return next(made, None)
