"""Clip range and bit width of a layer to move: its errors, its SQNR, and the mask that results.

Taught in chapter 9.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import traitlets
from numpy.typing import NDArray
from traitlets.utils.bunch import Bunch

from segcore.data import voc
from segcore.display.explorers import _still
from segcore.display.legend import check_mask, class_rows, listing, mask_uri
from segcore.display.pictures import data_uri, picture_uri
from segcore.display.widget import STILL, Widget, check_image
from segcore.metrics import percent
from segcore.quantisation.error import QuantisationError, quantisation_error

_TAIL, _MIDDLE = 256, 1536  # of the values that travel: each extreme one, and groups between
_BINS, _LEVELS = 96, 65535


@dataclass(frozen=True, eq=False)
class MaskTable:
    """Masks of one photo, computed beforehand for every clip range and bit width.

    `image` (h, w, 3) uint8; `reference` (h, w) ids, the mask of the float network; `masks`
    (clips, bits, h, w) ids, in the order of the explorer's `clips` and `bits`. About 90 pixels a
    side keep a page light. ValueError names what does not fit.
    """

    image: NDArray[np.uint8]
    reference: NDArray[np.integer]
    masks: NDArray[np.integer]
    class_names: Sequence[str] = voc.CLASSES

    def __post_init__(self) -> None:
        check_image(self.image, "image")
        size = self.image.shape[:2]
        check_mask(self.reference, "reference", size, self.class_names)
        if np.ndim(self.masks) != 4 or self.masks.shape[2:] != size:
            wanted = f"(clips, bits, {size[0]}, {size[1]})"
            raise ValueError(f"masks has shape {np.shape(self.masks)}; wanted {wanted}.")
        stack = self.stack
        check_mask(stack, "masks", stack.shape, self.class_names)

    @property
    def stack(self) -> NDArray[np.integer]:
        """The reference and under it all masks, as one tall mask."""
        return np.concatenate([self.reference, self.masks.reshape(-1, self.image.shape[1])])

    def scene(self) -> dict[str, object]:
        """What quantisation.js reads: the tall mask as a palette PNG, its size, its classes.

        The masks below the first hold what differs from it (exclusive or), which halves the bytes.
        """
        names = dict(enumerate(self.class_names)) | {voc.VOID: "void"}
        stack, (height, width) = self.stack.astype(np.uint8), self.image.shape[:2]
        rows = class_rows([stack], names, voc.palette())
        for row in rows:
            row["color"] = row["safe"]  # the palette of VOC is hard to tell from a photo
        words = listing(class_rows([stack[:height]], names, voc.palette()))
        stack[height:] ^= np.tile(stack[:height], (len(stack) // height - 1, 1))
        return {"uri": mask_uri(stack, stack.shape, rows), "classes": rows, "width": width,
                "height": height, "words": words}  # fmt: skip


class QuantisationExplorer(Widget):
    """A histogram of `values` under a clip range and a bit width, with the errors they make.

    `values` are a layer's numbers, of any shape. `clips` are the ranges (low, high) to choose from,
    the widest last; by default 24 fractions of the whole range. `bits` are consecutive, 2 to 8. Of
    many values the page has 2,048, each with its weight: the attribute `values`, repeated as often,
    whose `error` is shown. Traits, read and set from Python: `clip` (index of the range), `bits`.
    ValueError or TraitError names what does not fit. Taught in chapter 9.
    """

    clip = traitlets.Int(0).tag(sync=True)
    bits = traitlets.Int(8).tag(sync=True)
    _scripts = ("explorers/explorer", "explorers/quantisation")
    _state = ("clip", "bits")

    def __init__(
        self,
        values: NDArray,
        clips: Sequence[tuple[float, float]] = (),
        bits: Sequence[int] = range(2, 9),
        *,
        masks: MaskTable | None = None,
        title: str = "",
        alt: str = "",
    ) -> None:
        numbers = _checked(values)
        ends = float(numbers[0]), float(numbers[-1])
        fractions = np.linspace(0, 1, 25)[1:]
        self.clips = [(float(a), float(b)) for a, b in clips or np.outer(fractions, ends)]
        self._bits, self._masks = list(bits), masks
        _check(self.clips, self._bits, masks)
        kept, weights = _thin(numbers)
        step = (ends[1] - ends[0]) / _LEVELS
        codes = np.rint((kept - ends[0]) / step).astype("<u2")
        self.values = np.repeat(ends[0] + codes * step, weights)
        counts, _ = np.histogram(numbers, _BINS)
        scene = {
            "shown": 450, "title": title, "alt": alt or "Histogram of a layer under a clip range.",
            "codes": data_uri(codes.tobytes(), "application/octet-stream"),
            "ends": ends, "bits": self._bits,
            "weights": [(int(weight), len([*run])) for weight, run in groupby(weights)],
            "counts": counts.tolist(), "count": numbers.size, "clips": self.clips,
            "digits": int(np.clip(5 - np.floor(np.log10(ends[1] - ends[0])), 0, 8)),
            "masks": masks.scene() if masks else None,
        }  # fmt: skip
        sources = [picture_uri(masks.image, exact=0)] if masks else []
        super().__init__(_scene=scene, _sources=sources)
        self.clip, self.bits = len(self.clips) - 1, self._bits[-1]

    @property
    def error(self) -> QuantisationError:
        """Rounding error, clipping error and SQNR of the values at the present setting."""
        return quantisation_error(self.values, *self.clips[self.clip], self.bits)

    @traitlets.validate("clip")
    def _listed(self, proposal: Bunch) -> int:
        if not 0 <= proposal["value"] < len(self.clips):
            wanted = f"wanted 0 to {len(self.clips) - 1}"
            raise traitlets.TraitError(f"clip is {proposal['value']}; {wanted}.")
        return int(proposal["value"])

    @traitlets.validate("bits")
    def _offered(self, proposal: Bunch) -> int:
        if proposal["value"] not in self._bits:
            raise traitlets.TraitError(f"bits is {proposal['value']}; wanted one of {self._bits}.")
        return int(proposal["value"])

    def _still(self) -> str:
        digits, (rounding, clipping, sqnr) = self._scene["digits"], self.error
        low, high = self.clips[self.clip]
        rows = [
            ("clip range", f"{low:.{digits}f} to {high:.{digits}f}"), ("bit width", self.bits),
            ("rounding error (RMS)", f"{rounding**0.5:.{digits}f}"),
            ("clipping error (RMS)", f"{clipping**0.5:.{digits}f}"), ("SQNR", f"{sqnr:.1f} dB"),
        ]  # fmt: skip
        picture = ""
        if self._masks:
            mask = self._masks.masks[self.clip, self._bits.index(self.bits)]
            changed = float((mask != self._masks.reference).mean())
            rows.append(("pixels whose class changes", f"{percent(changed)} %"))
            picture = self._masked(mask)
        return _still.figure(
            self._scene["title"],
            picture,
            _still.cells(_bars(self._scene["counts"]), self._scene["alt"], 450),
            _still.table(("quantity", "value"), rows),
        )

    def _masked(self, mask: NDArray[np.integer]) -> str:
        """The photo, which is the first of the page's pictures, and `mask` over it."""
        rows = self._scene["masks"]["classes"]
        uri = mask_uri(mask.astype(np.uint8), mask.shape, rows)
        words = f"The photo under the mask that results: {self._scene['masks']['words']}."
        return (
            '<div style="position:relative;max-width:240px">'
            f'<img class="dark-light" style="{STILL}" alt="{html.escape(words)}" '
            f'src="{self._sources[0]}"><img class="dark-light" '
            f'style="{STILL};position:absolute;top:0;left:0;opacity:0.6" alt="" src="{uri}"></div>'
        )

    def __repr__(self) -> str:
        count = f"{self._scene['count']:,} values, {len(self.clips)} clip ranges"
        return f"QuantisationExplorer({count}, {self._bits[0]}-{self._bits[-1]} bits)"


def _checked(values: NDArray) -> NDArray[np.float64]:
    """`values` in order, as float64; ValueError where they are no numbers, or all the same."""
    numbers = np.sort(np.asarray(values, np.float64), axis=None)
    if not numbers.size or not np.isfinite(numbers).all() or numbers[0] == numbers[-1]:
        raise ValueError(f"values {np.shape(values)} must hold finite numbers that differ.")
    return numbers


def _check(
    clips: Sequence[tuple[float, float]], bits: Sequence[int], masks: MaskTable | None
) -> None:
    """Raises ValueError naming the first argument that does not fit."""
    widths = [max(high, 0) - min(low, 0) for low, high in clips]
    if min(widths) <= 0 or sorted(widths) != widths:
        raise ValueError(f"clips is {clips}; wanted pairs (low, high), the widest last.")
    if not bits or bits[0] < 2 or bits[-1] > 8 or list(bits) != list(range(bits[0], bits[-1] + 1)):
        raise ValueError(f"bits is {bits}; wanted consecutive numbers from 2 to 8.")
    if masks and masks.masks.shape[:2] != (len(clips), len(bits)):
        wanted = f"({len(clips)}, {len(bits)}, ...), a mask for each of clips and bits"
        raise ValueError(f"masks has shape {masks.masks.shape}; wanted {wanted}.")


def _thin(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Some of the ordered `numbers`, and how many of them each stands for.

    The extremes stay one by one, since they make the clipping error; between them the middle one
    of each group stands for all.
    """
    if len(numbers) <= 2 * _TAIL + _MIDDLE:
        return numbers, np.ones(len(numbers), int)
    middle, ones = numbers[_TAIL:-_TAIL], np.ones(_TAIL, int)
    starts = np.arange(0, len(middle), -(-len(middle) // _MIDDLE))
    sizes = np.diff(starts, append=len(middle))
    kept = np.concatenate([numbers[:_TAIL], middle[starts + sizes // 2], numbers[-_TAIL:]])
    return kept, np.concatenate([ones, sizes, ones])


def _bars(counts: Sequence[int], height: int = 40) -> NDArray[np.uint8]:
    """A histogram (height, bins, 3), its heights logarithmic."""
    tall = np.log1p(counts) / np.log1p(max(counts)) * height
    filled = np.arange(height, 0, -1)[:, None] <= tall
    return np.where(filled[..., None], (10, 94, 207), (243, 245, 247)).astype(np.uint8)
