"""What a model must take and answer, and what its classes are called, before it may segment."""

from __future__ import annotations

from collections.abc import Sequence

from segcore import shipped
from segcore.data.voc import CLASSES, VOID


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
