"""The photos that voc21.py and voc21_qat.py learn from."""

from __future__ import annotations

from pathlib import Path

from segcore.data import dataset, voc


def pairs_of(shared: Path, limit: int | None = None) -> list[dataset.Pair]:
    """(photo, mask) of 52 VOC and 126 COCO photos, then (photo, None) of 1,806 without labels.

    In the order of their names, the first `limit` of each kind.
    """
    coco = [
        (next((shared / "coco128" / "images").glob(f"{mask.stem}.*")), mask)
        for mask in sorted((shared / "coco128" / "masks").glob("*.png"))
    ]
    rest = [(photo, None) for photo in sorted((shared / "voc" / "unlabelled").glob("*.jpg"))]
    kinds = (voc.file_pairs(shared / "voc", "train"), coco, rest)
    return [pair for kind in kinds for pair in kind[:limit]]
