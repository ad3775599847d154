"""The preprocessing contract of a .tflite, found by trying: how it wants its photos.

A few pictures in all values and orders of channels tell where to begin. Then each question is
answered with the others as they stand: what values the pixels become, in which order red, green and
blue come, letterbox or squeeze, and last by how much the masks miss their photo.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from segcore import metrics
from segcore.data import voc
from segcore.inference.agreement import Agreement, Counts, Offset
from segcore.inference.contract_pictures import Picture
from segcore.inference.ways import GEOMETRIES, ORDERS, Answer, Network, Way

SCREEN, HOPELESS = 6, 0.15  # pictures after which what is so far behind is given up
FEW_NAMES = 0.4  # mIoU below which ids are taken to mean something else
FEW_REGIONS = 0.3  # of mere colours: 0.2; of a right network: 0.6
SLACK = 128  # masks that are less than this part of the side off count as aligned


@dataclass(frozen=True)
class Choice:
    """One `question` of a contract: the score (0..1) of each option, the `best`, and its `lead`.

    `lead` is how much more it scores than the next one, with its interval over the pictures; None
    where there is but one option.
    """

    question: str
    scores: dict[str, float]
    best: str
    lead: metrics.Interval | None

    @property
    def is_sure(self) -> bool:
        """Whether the best is better than the next one beyond the chance of the pictures."""
        return self.lead is None or self.lead.excludes_zero


@dataclass(frozen=True)
class Contract:
    """How a file wants its photos, and what tells so.

    `way` names values, order of channels and geometry. Masks lie `offset` pixels of the input
    (down, right) from their photo; `is_aligned` where that is within the error of measurement. The
    `score` (0..1) of all `pictures` at `way` is a `measure`, "mIoU" or "regions" (see `Agreement`);
    `is_judged` is False where no way comes near the labels, so that nothing of this holds.
    `classes` tells for each labelled class which id covers it, and with what IoU; `remark` is a
    sentence where ids do not mean what the labels call them.
    """

    way: Way
    offset: Offset
    is_aligned: bool
    score: float
    measure: str
    is_judged: bool
    pictures: int
    choices: tuple[Choice, ...]
    classes: dict[str, tuple[int, float]]
    remark: str


def find_contract(
    network: Network, pictures: Sequence[Picture], tick: Callable[[], object] = lambda: None
) -> Contract:
    """How `network` wants its photos, by its answers to `pictures`; `tick` is called after each.

    Raises ValueError where it does not run, and for scores that are not finite.
    """
    names = network.class_names
    if not names and network.classes in (None, voc.NUM_CLASSES):
        names = voc.CLASSES
    trials = _Trials(network, pictures, Agreement([p.labels for p in pictures], names), tick)
    values, order, geometry = trials.prepare()
    way = Way(values.best, order.best, geometry.best)
    offset, masks = trials.align(way)
    counts, judge = trials.counts(way), trials.judge
    score, classes = judge.score(counts), judge.covered(counts)
    return Contract(
        way=way,
        offset=offset,
        is_aligned=not masks.is_sure or max(map(abs, offset)) <= max(network.side) / SLACK,
        score=score,
        measure=judge.measure,
        is_judged=judge.measure == "mIoU" or score > FEW_REGIONS,
        pictures=len(pictures),
        choices=(values, order, geometry, masks),
        classes=classes,
        remark=_remark(judge, classes),
    )


class _Trials:
    """A network, pictures, and its answers to them, each asked for once."""

    def __init__(
        self,
        network: Network,
        pictures: Sequence[Picture],
        judge: Agreement,
        tick: Callable[[], object],
    ) -> None:
        self.network, self.pictures, self.judge, self._tick = network, pictures, judge, tick
        self._answer: Callable[[Way, int], Answer] = cache(self._ask)

    def prepare(self) -> tuple[Choice, Choice, Choice]:
        """Values, order of channels, geometry."""
        everything = range(len(self.pictures))
        wide = [n for n in everything if self.pictures[n].is_wide] or everything
        order_found = self._screen(everything[:SCREEN]).order
        for _ in ORDERS:  # wrong values may have looked best with wrong colours
            options = {v: Way(v, order_found) for v in self.network.tables}
            values = self.choose("values", options, everything)
            order = self.choose("order", {o: Way(values.best, o) for o in ORDERS}, everything)
            if order.best == order_found:
                break
            order_found = order.best
        way = partial(Way, values.best, order.best)
        return values, order, self.choose("geometry", {g: way(g) for g in GEOMETRIES}, wide)

    def _screen(self, numbers: Sequence[int]) -> Way:
        """The best of all values in all orders on a few pictures; tells whether names hold."""
        ways = [Way(values, order) for values in self.network.tables for order in ORDERS]
        counts = {way: self.counts(way, numbers) for way in ways}
        if max(map(self.judge.score, counts.values())) < FEW_NAMES:
            self.judge.forget_names()
        return max(ways, key=lambda way: self.judge.score(counts[way]))

    def choose(self, question: str, options: dict[str, Way], numbers: Sequence[int]) -> Choice:
        """The option that scores best on the pictures `numbers`; the hopeless see a few of them."""
        score = self.judge.score
        counts = {option: self.counts(way, numbers[:SCREEN]) for option, way in options.items()}
        ranks = sorted(options, key=lambda option: -score(counts[option]))
        least = score(counts[ranks[0]]) - HOPELESS
        near = [o for place, o in enumerate(ranks) if place < 2 or score(counts[o]) >= least]
        counts |= {option: self.counts(options[option], numbers) for option in near}
        scores = {option: score(counts[option]) for option in options}
        best, *others = sorted(near, key=lambda option: -scores[option])
        lead = self.judge.lead(counts[best], counts[others[0]]) if others else None
        return Choice(question, scores, best, lead)

    def align(self, way: Way) -> tuple[Offset, Choice]:
        """Where masks lie best, searched from where they should, in ever smaller steps."""

        @cache
        def score(offset: Offset) -> float:
            return self.judge.score(self.counts(way, offset=offset))

        at, step = (0.0, 0.0), 2.0 ** round(np.log2(max(self.network.side) / 32))
        while step >= 0.5:
            steps = (-step, 0, step)
            best = max(((at[0] + y, at[1] + x) for y in steps for x in steps), key=score)
            at, step = (best, step) if score(best) > score(at) else (at, step / 2)
        here, there = "as they come", f"moved by {0 - at[0]:g} down, {0 - at[1]:g} right"
        if at == (0, 0):
            return at, Choice("masks", {here: score(at)}, here, None)
        scores = {here: score((0.0, 0.0)), there: score(at)}
        lead = self.judge.lead(self.counts(way, offset=at), self.counts(way))
        return at, Choice("masks", scores, there, lead)

    def counts(
        self, way: Way, numbers: Iterable[int] | None = None, offset: Offset = (0, 0)
    ) -> Counts:
        """How often each labelled class met each id, picture by picture; by default in all."""
        chosen = range(len(self.pictures)) if numbers is None else numbers
        side, count = self.network.side, self.judge.count
        return np.stack([count(n, self._answer(way, n), side, offset) for n in chosen])

    def _ask(self, way: Way, number: int) -> Answer:
        answer = self.network(self.pictures[number].image, way)
        self._tick()
        return answer


def _remark(judge: Agreement, classes: dict[str, tuple[int, float]]) -> str:
    if judge.measure == "mIoU":
        return ""
    found = ", ".join(f"{name} by id {number}" for name, (number, _) in classes.items())
    if judge.is_named:
        return f"its class ids do not mean what their names say: {found}"
    return f"it does not name the labelled classes; they are covered so: {found}"
