"""The networks that ship with segcore: one table behind every command, default and test."""

from dataclasses import dataclass
from pathlib import Path

from segcore.data.voc import CLASSES

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Network:
    """A network in `weights/`: call it by `name`, in `segcore.load` and behind `--model`.

    `sizes` are the input sides that it is made for, the usual one first; `class_names` has a name
    for each class id. `made_from` names the float network that an int8 file was converted from.
    """

    name: str
    file: Path
    sizes: tuple[int, ...]
    meaning: str
    made_from: str = ""
    class_names: tuple[str, ...] = CLASSES

    @property
    def size(self) -> int:
        """The side of the image that the network takes where nobody asks for another."""
        return self.sizes[0]


PHONE = Network(
    "phone",
    WEIGHTS / "deeplabv3plus_mnv2_voc_int8_257.tflite",
    (257,),
    "int8 at 257: the fastest, no TensorFlow needed",
    "float",
)
SHARP = Network(
    "sharp",
    WEIGHTS / "deeplab_lean_voc_int8_513.tflite",
    (513,),
    "int8 at 513: finer outlines, no TensorFlow needed",
    "lean",
)
FLOAT = Network(
    "float",
    WEIGHTS / "deeplabv3plus_mnv2_voc.npz",
    (513, 257),
    "DeepLabV3+ under Keras, at 513 or 257",
)
LEAN = Network(
    "lean",
    WEIGHTS / "deeplab_lean_head_voc.npz",  # its encoder is that of FLOAT
    (513,),
    "the float network behind sharp, under Keras",
)
NETWORKS = {network.name: network for network in (PHONE, SHARP, FLOAT, LEAN)}


def file_of(model: str | Path) -> Path:
    """The file of the network called `model`, or that file itself; FileNotFoundError for none."""
    known = NETWORKS.get(str(model))
    path = known.file if known else Path(model)
    if not path.exists():
        names = ", ".join(NETWORKS)
        raise FileNotFoundError(f"{path}: no such model file; check the spelling, or say {names}")
    return path


def int8_of(name: str, size: int) -> Network | None:
    """The shipped int8 file made from the float network `name` at `size`, None where there is none.

    It was calibrated on 100 photos and its biases were corrected (`experiments/ship_int8.py`).
    """
    made = (n for n in NETWORKS.values() if n.made_from == name and size in n.sizes)
    return next(made, None)
