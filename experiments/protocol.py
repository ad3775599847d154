"""How optimizers are compared: what each may try, and what may be said in the end.

Equal budget: every optimizer is tried at four learning rates, at up to two more where the best lies
at an end of those tried, and at two other values of one number of its own (Choi et al. 2019, On
Empirical Comparisons of Deep Learning Optimizers). The verdict is that of voc_optimizers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import common
import scores

from segcore import metrics
from segcore.metrics import PhotoMatrices

BEYOND = 2
LADDER = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
Tried = dict[tuple[float, float], float]  # learning rate and the other number → score


@dataclass(frozen=True)
class Search:
    """What is tried: the learning rates with `option` at its `usual` value, then the `others`.

    AdamW decays weights by itself; the others have an L2 penalty of `kernel_l2`.
    """

    rates: tuple[float, float, float, float]
    option: str
    usual: float
    others: tuple[float, float]
    kernel_l2: float = 1e-4


SEARCHES = {
    "adam": Search((3e-4, 1e-3, 3e-3, 0.01), "epsilon", 1e-7, (1e-5, 1e-3)),
    "sgd": Search((0.01, 0.03, 0.1, 0.3), "momentum", 0.9, (0.8, 0.95)),
    "adabound": Search((3e-4, 1e-3, 3e-3, 0.01), "final_lr", 0.1, (0.3, 1.0)),
    "adamw": Search((3e-4, 1e-3, 3e-3, 0.01), "weight_decay", 0.01, (0.1, 1.0), kernel_l2=0.0),
}


def search(plan: Search, score: Callable[[float, float], float]) -> Tried:
    """The `score` of all that `plan` tries: a learning rate, and the other number."""
    tried = {(rate, plan.usual): score(rate, plan.usual) for rate in plan.rates}
    for _ in range(BEYOND):
        rate = beyond({rate: found for (rate, _), found in tried.items()})
        if rate is None:
            break
        tried[rate, plan.usual] = score(rate, plan.usual)
    best = best_of(tried)[0]
    return tried | {(best, other): score(best, other) for other in plan.others}


def beyond(tried: Mapping[float, float]) -> float | None:
    """The next learning rate behind the best one, where that is the lowest or the highest tried."""
    best = max(tried, key=tried.__getitem__)
    if min(tried) < best < max(tried):
        return None
    return LADDER[LADDER.index(best) + (1 if best == max(tried) else -1)]


def best_of(tried: Tried) -> tuple[float, float]:
    """The learning rate and the other number that scored highest; of equals the first."""
    return max(tried, key=tried.__getitem__)


def verdict(a: Sequence[PhotoMatrices], b: Sequence[PhotoMatrices]) -> common.Row:
    """What may be `said` of the seeds `a` against the seeds `b`: better, worse, or not told apart.

    Better: its worst seed is above the best of `b`, and the difference between the middle seeds has
    an interval that excludes 0.
    """
    first, second = sorted(a, key=miou), sorted(b, key=miou)
    middle = first[len(first) // 2], second[len(second) // 2]
    difference = scores.difference_row(middle[1], middle[0])
    better = miou(first[0]) > miou(second[-1]) and difference["verdict"] == "better"
    worse = miou(second[0]) > miou(first[-1]) and difference["verdict"] == "worse"
    said = "better" if better else "worse" if worse else "not told apart"
    return {"said": said, "middle_seeds": difference}


def verdicts(found: Mapping[str, Sequence[PhotoMatrices]]) -> common.Row:
    """`verdict` for each pair of names, as A_against_B."""
    pairs = combinations(found, 2)
    return {f"{a}_against_{b}": verdict(found[a], found[b]) for a, b in pairs}


def miou(found: PhotoMatrices) -> float:
    """Mean IoU of all photos, 0..1."""
    return metrics.mean_iou(found.matrices.sum(0))


def spread(found: Sequence[PhotoMatrices]) -> common.Row:
    """Mean, lowest and highest mIoU of the seeds."""
    values = [miou(one) for one in found]
    parts = {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
    return {name: common.fraction(value) for name, value in parts.items()}
