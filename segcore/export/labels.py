"""Class names travel with a .tflite: packed behind the model, or in a file beside it."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from segcore._errors import DAMAGE

LABELS = "labels.txt"
CHECKSUM = b"CRC-32 of the model before this zip: "
MOST_BYTES = 1 << 20  # of names


def with_labels(content: bytes, class_names: Sequence[str]) -> bytes:
    """A .tflite that carries its `class_names`: `labels.txt`, in a zip behind the model.

    TFLite's metadata packs files so: interpreters do not look behind the model, and
    `unzip -p FILE labels.txt` prints the names. The zip's comment holds a checksum of the model.
    Names that `content` had are replaced; without `class_names` it stays as it is.
    """
    if not class_names:
        return content
    model = content[: _model_size(content)]
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a") as archive:
        info = zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0))  # equal names make equal bytes
        archive.writestr(info, "".join(f"{name}\n" for name in class_names))
        archive.comment = CHECKSUM + f"{zlib.crc32(model):08x}".encode()
    return packed.getvalue()


def read_labels(content: bytes) -> tuple[str, ...]:
    """The class names in the bytes of a .tflite, () where there are none. See `with_labels`.

    Also reads what TFLite's own tools pack, when it is the only text. Raises ValueError when the
    model is not the one that the names were packed with.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            comment, listed = archive.comment, archive.infolist()
            texts = [info for info in listed if info.filename.endswith(".txt")]
            found = [info for info in texts if info.filename == LABELS] or texts
            whole = len(found) == 1 and found[0].file_size <= MOST_BYTES
            names = _lines(archive.read(found[0]).decode("utf-8")) if whole else ()
    except DAMAGE:
        return ()  # no zip behind the model, or none that can be read
    model = content[: _model_size(content)]
    if comment.startswith(CHECKSUM) and comment != CHECKSUM + f"{zlib.crc32(model):08x}".encode():
        raise ValueError("damaged since its class names were packed; copy it anew")
    return names


def labels_beside(path: Path) -> tuple[str, ...]:
    """The class names in `FILE.labels.txt` beside the model FILE, a line for each; () without."""
    beside = path.with_name(f"{path.name}.labels.txt")
    return _lines(beside.read_text(encoding="utf-8-sig")) if beside.is_file() else ()


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _model_size(content: bytes) -> int:
    """Where the zip behind a model begins; the length of `content` where there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return min((info.header_offset for info in archive.infolist()), default=len(content))
    except DAMAGE:
        return len(content)
