"""How much a score says with 40, 100 and 416 photos: from stored matrices, without a network.

    python experiments/interval_width.py        # after voc_scores.py

Subsets of the 416 photos are drawn again and again. For each number of photos: how many of the 21
classes are among them, between which bounds 95 % of the subsets' mIoUs lie, how wide the bootstrap
interval of one subset is, how wide that of a paired difference, and how often it says "better",
"worse" or nothing. `forty` is the story of the first edition: the very forty photos that it chose
by, and the twelve classes with 20,000 pixels there, beside all photos and classes. A minute.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from functools import partial

import common
import numpy as np
import scores
from numpy.typing import NDArray
from tqdm import tqdm

from segcore import metrics
from segcore.metrics import PhotoMatrices

SUBSETS, RESAMPLES, SEED = 200, 1000, 0
COUNTS = (40, 100, 416)
PAIRS = (("first_float_513", "google_513"), ("sharp", "google_513"), ("phone", "deeplabv3_257"))
ENOUGH = 20_000  # pixels that a class had to have in the first edition
FORTY = """
2007_000123 2007_000129 2007_000529 2007_000629 2007_000636 2007_000663 2007_000727 2007_001763
2007_001884 2007_002268 2007_002470 2007_002565 2007_002597 2007_002643 2007_003101 2007_003106
2007_003137 2007_003143 2007_003169 2007_003195 2007_003499 2007_003587 2007_003621 2007_003711
2007_003917 2007_003957 2007_003991 2007_004281 2007_004483 2007_004649 2007_004856 2007_005074
2007_005331 2007_005460 2007_005509 2007_005547 2007_005845 2007_005911 2007_006035 2007_009764
""".split()


def some(scored: PhotoMatrices, rows: NDArray[np.intp]) -> PhotoMatrices:
    """The photos of `scored` at `rows` alone."""
    names = tuple(scored.photos[i] for i in rows)
    return PhotoMatrices(names, scored.matrices[rows], scored.class_names)


def subsets(photos: int, count: int) -> NDArray[np.intp]:
    """Rows of `count` of `photos` photos, (SUBSETS, count); once where it is all of them."""
    rng = np.random.default_rng(SEED)
    times = SUBSETS if count < photos else 1
    return np.stack([rng.permutation(photos)[:count] for _ in range(times)])


def width(one: PhotoMatrices, other: PhotoMatrices, count: int) -> common.Row:
    """What `count` photos tell of the two networks; `one` is compared against `other`."""
    first, second = metrics.paired(one, other)
    drawn = subsets(len(first), count)
    alone, pair = [], []
    for rows in tqdm(drawn, desc=f"{one.model}, {count}", unit="subset", leave=False):
        alone.append(metrics.bootstrap_interval(first[rows], resamples=RESAMPLES))
        pair.append(metrics.paired_bootstrap(second[rows], first[rows], resamples=RESAMPLES))
    classes = (first[drawn].sum(1).sum(-1) > 0).sum(-1)
    said = Counter(interval.verdict for interval in pair)
    return {
        "photos": count,
        "subsets": len(drawn),
        "classes": round(float(classes.mean()), 1),
        "miou": spread([interval.value for interval in alone]),
        "interval_width": mean_width(alone),
        "difference": spread([interval.value for interval in pair]),
        "difference_width": mean_width(pair),
        "better": common.fraction(said["better"] / len(drawn)),
        "worse": common.fraction(said["worse"] / len(drawn)),
        "not_told_apart": common.fraction(said["not told apart"] / len(drawn)),
    }


def spread(values: list[float]) -> common.Row:
    """Between which bounds 95 % of `values` lie."""
    low, high = np.percentile(values, [2.5, 97.5])
    return {"low": common.fraction(low), "high": common.fraction(high)}


def mean_width(intervals: list[metrics.Interval]) -> common.Value:
    """How far apart the two ends are, on average."""
    return common.fraction(float(np.mean([one.high - one.low for one in intervals])))


def forty(ours: PhotoMatrices, theirs: PhotoMatrices) -> common.Row:
    """Two networks on the first edition's forty photos and its classes, and on all."""
    found: common.Row = {"photos": FORTY}
    rows = [np.flatnonzero(np.isin(one.photos, FORTY)) for one in (ours, theirs)]
    chosen = [some(one, row) for one, row in zip((ours, theirs), rows, strict=True)]
    enough = chosen[0].matrices.sum((0, 2)) >= ENOUGH
    everything = np.ones_like(enough)
    for name, pair, classes in (
        ("forty_12_classes", chosen, enough),
        ("forty_all_classes", chosen, everything),
        ("all", [ours, theirs], everything),
    ):
        first, second = metrics.paired(*pair)
        score = partial(metrics.mean_ious, classes=classes)
        apart = metrics.paired_bootstrap(second, first, score)
        found[name] = {
            "photos": len(first),
            "classes": int((classes & (first.sum((0, 2)) > 0)).sum()),
            "ours": common.fraction(float(score(first.sum(0)))),
            "theirs": common.fraction(float(score(second.sum(0)))),
            "difference": scores.difference(apart),
            "verdict": apart.verdict,
        }
    return found


def measure(stored: Mapping[str, PhotoMatrices]) -> common.Row:
    """All of it from matrices by name."""
    values: common.Row = {"pairs": [f"{one}_against_{other}" for one, other in PAIRS]}
    for one, other in PAIRS:
        values[f"{one}_against_{other}"] = {
            f"photos_{count}": width(stored[one], stored[other], count) for count in COUNTS
        }
    return values | {"forty": forty(stored["first_float_513"], stored["google_513"])}


def load(options: argparse.Namespace) -> dict[str, PhotoMatrices]:
    """What voc_scores.py kept of the networks of PAIRS."""
    folder = scores.matrices_folder(options)
    names = sorted({name for pair in PAIRS for name in pair})
    return {name: metrics.load_matrices(folder / f"{name}.npz") for name in names}


if __name__ == "__main__":
    options = common.options(__doc__, data=False)
    common.record("interval_width", measure(load(options)), options, SEED)
