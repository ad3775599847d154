"""What stands in 2,895 official VOC 2012 masks: class frequencies, void, and two classic mistakes.

    python experiments/voc_masks.py ../shared

Expected: 73 % of the labelled pixels are background, 5 % of all pixels are void. About a minute.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from segcore import metrics
from segcore.course import results
from segcore.data import voc

SIDE = 257


def invented(mask: np.ndarray) -> float:
    """Share of pixels whose class was nowhere in `mask` before its ids were resized bilinearly."""
    resized = np.asarray(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return float(1 - np.isin(resized, np.unique(mask)).mean())


def statistics(paths: list[Path]) -> dict:
    """Counts over all masks, in pixels, photos and percent."""
    pixels, photos, invented_shares, kinds = np.zeros(256, np.int64), np.zeros(256, int), [], []
    for path in tqdm(paths, unit="mask"):
        mask = voc.read_mask(path)
        counts = np.bincount(mask.ravel(), minlength=256)
        pixels, photos = pixels + counts, photos + (counts > 0)
        invented_shares.append(invented(mask))
        kinds.append((counts[1:21] > 0).sum())
    labelled = pixels[:21].sum()
    baseline = np.zeros((21, 21), np.int64)
    baseline[:, 0] = pixels[:21]
    by_class = dict(zip(voc.CLASSES, pixels[:21], strict=True))
    return {
        "masks": len(paths),
        "void_percent": round(100 * pixels[255] / pixels.sum(), 2),
        "share_percent": {name: round(100 * n / labelled, 3) for name, n in by_class.items()},
        "photos": {name: int(photos[i]) for i, name in enumerate(voc.CLASSES)},
        "background_baseline": metrics.summary(baseline),
        "bilinear_invented_percent": round(100 * float(np.mean(invented_shares)), 2),
        "bilinear_masks_hit_percent": round(100 * float(np.mean(np.array(invented_shares) > 0)), 1),
        "classes_per_photo": round(float(np.mean(kinds)), 2),
        "rarest": min(by_class, key=by_class.get),
        "imbalance": round(float(pixels[0] / pixels[1:21].min())),
    }


if __name__ == "__main__":
    shared = Path(sys.argv[1])
    masks = [*shared.glob("voc/masks_only/*.png"), *shared.glob("voc/VOCdevkit/*/Segm*/*.png")]
    print(results.record("voc_masks", statistics(sorted(masks))))
