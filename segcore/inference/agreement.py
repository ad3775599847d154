"""How far the class ids of any file agree with labels, whatever it calls its classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.data import voc
from segcore.inference.ways import MOST_IDS, Answer

Counts = NDArray[np.int64]  # (pictures, R labelled classes, MOST_IDS ids of the file)
Labels = NDArray[np.uint8]
Offset = tuple[float, float]  # down and right, in pixels of the input

STEP = 2  # pixels between those compared
RESAMPLES = 1000
OTHER_NAMES = {"airplane": "aeroplane", "motorcycle": "motorbike", "couch": "sofa",
               "tv": "tvmonitor", "human": "person", "people": "person"}  # fmt: skip


class Agreement:
    """Scores of ids against `labels` (H, W) uint8, one for each picture, 255 where none is judged.

    `names` are the classes of the file. Where they name all that is labelled (`is_named`), the
    measure is "mIoU"; otherwise, or once names were forgotten, it is "regions": how much those of
    ids and those of labels tell about each other.
    """

    def __init__(self, labels: Sequence[Labels], names: Sequence[str]) -> None:
        present = np.unique(np.concatenate([np.unique(mask) for mask in labels]))
        self.truth = present[present != voc.VOID]  # (R,)
        self.labels = [mask[::STEP, ::STEP] for mask in labels]
        self.shapes = [mask.shape for mask in labels]
        self._naming = _naming(names, self.truth)
        self.is_named = self._naming is not None

    @property
    def measure(self) -> str:
        """What `score` is."""
        return "regions" if self._naming is None else "mIoU"

    def forget_names(self) -> None:
        """From now on ids are compared by the regions that they cover."""
        self._naming = None

    def count(self, number: int, answer: Answer, side: tuple[int, int], offset: Offset) -> Counts:
        """How often each labelled class of picture `number` met each id, (R, MOST_IDS).

        `answer` was given for an input of `side`; its masks are taken to lie `offset` off.
        """
        rows, columns = (
            _positions(n, content, by * length / whole, length)
            for n, content, by, length, whole in zip(
                self.shapes[number], answer.content, offset, answer.ids.shape, side, strict=True
            )
        )
        ids, labels = answer.ids[rows[:, None], columns[None]], self.labels[number]
        kept = labels != voc.VOID
        pairs = np.searchsorted(self.truth, labels[kept]) * MOST_IDS + ids[kept]
        counts = np.bincount(pairs, minlength=len(self.truth) * MOST_IDS)
        return counts.reshape(-1, MOST_IDS)

    def score(self, counts: Counts) -> float:
        """All pictures together, 0..1."""
        return float(self._statistic(self._square(counts).sum(0)))

    def lead(self, counts: Counts, others: Counts) -> metrics.Interval:
        """How much more `counts` score than `others` of the same pictures, and how sure that is."""
        both = self._square(np.concatenate([counts, others]))
        ours, theirs = both[: len(counts)], both[len(counts) :]
        return metrics.paired_bootstrap(theirs, ours, self._statistic, RESAMPLES)

    def covered(self, counts: Counts) -> dict[str, tuple[int, float]]:
        """The id that covers each labelled class best, and with what IoU (0..1)."""
        total = counts.sum(0)
        ious = total / np.maximum(total.sum(1, keepdims=True) + total.sum(0) - total, 1)
        return {
            voc.CLASSES[class_id]: (int(row.argmax()), float(row.max()))
            for class_id, row in zip(self.truth, ious, strict=True)
        }

    def _statistic(self, square: NDArray) -> NDArray[np.float64]:
        return shared_information(square) if self._naming is None else metrics.mean_ious(square)

    def _square(self, counts: Counts) -> Counts:
        """(N, R, MOST_IDS) → (N, K, K): ids by the class that they name, or as they are."""
        naming = self._naming
        counts = counts[..., counts.any((0, 1))] if naming is None else counts @ naming
        N, R, columns = counts.shape
        square = np.zeros((N, max(R, columns), max(R, columns)), np.int64)
        square[:, :R, :columns] = counts
        return square


def shared_information(confusions: NDArray) -> NDArray[np.float64]:
    """Normalised mutual information of labels and ids, (..., C, C) → (...) in 0..1.

    It asks whether regions follow each other, not what they are called. Strehl and Ghosh 2002,
    Cluster Ensembles, section 3.3.
    """
    joint = confusions / np.maximum(confusions.sum((-2, -1), keepdims=True), 1)
    rows, columns = _entropy(joint.sum(-1)), _entropy(joint.sum(-2))
    shared = rows + columns - _entropy(joint.reshape(*joint.shape[:-2], -1))
    scale = np.sqrt(rows * columns)
    return np.divide(shared, scale, out=np.zeros_like(scale), where=scale > 0)


def _entropy(fractions: NDArray) -> NDArray[np.float64]:
    return -(fractions * np.log(np.where(fractions > 0, fractions, 1))).sum(-1)


def _naming(names: Sequence[str], truth: NDArray) -> NDArray[np.int64] | None:
    """(MOST_IDS, R + 1): which labelled class an id names; in the last column none of them.

    None where a labelled class other than background has no name. A name that VOC does not have is
    taken for background.
    """
    plain = [name.lower().translate(str.maketrans("", "", " _-")) for name in names][:MOST_IDS]
    plain = [OTHER_NAMES.get(name, name) for name in plain]
    ids = [voc.CLASSES.index(name) if name in voc.CLASSES else 0 for name in plain]
    if not set(truth) - {0} <= set(ids):
        return None
    columns = [int(np.searchsorted(truth, i)) if i in truth else len(truth) for i in ids]
    naming = np.zeros((MOST_IDS, len(truth) + 1), np.int64)
    naming[len(ids) :, -1] = 1
    naming[np.arange(len(ids)), columns] = 1
    return naming


def _positions(n: int, content: float, offset: float, length: int) -> NDArray[np.int64]:
    """Where every second of `n` pixels lies among `length` of a mask whose `content` they fill."""
    places = (np.arange(0, n, STEP) + 0.5) * content / n + offset
    return np.clip(np.floor(places), 0, min(length, np.ceil(content)) - 1).astype(np.int64)
