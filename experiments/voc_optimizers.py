"""The course paper's main job on VOC: four optimizers train a head behind a frozen encoder.

    python experiments/voc_optimizers.py
    python experiments/voc_optimizers.py --voc data    # all of VOC, from `segcore download voc`

Adam, SGD with momentum, AdaBound and AdamW, in the course paper's wiring (224, output stride 32)
and in ours (257, output stride 16). All get the schedule that the course paper gave to SGD alone
(polynomial decay), the same loss, batches and epochs, and equal chances to choose (`protocol`):
short runs with seed 0, without the train photos held apart, judged by mIoU on those. The best then
trains on all train photos, those included, with seeds 0, 1 and 2, and is scored on the val photos:
after every epoch at the head's own resolution, in the end at native size, photo by photo.

The verdict, stated beforehand: one optimizer is better than another if its worst seed scores higher
mIoU at native size than the other's best, and the paired bootstrap interval over photos of the
difference between their middle seeds excludes 0. Otherwise they are not told apart.

Two and a half to three hours on two cores. A run that was killed goes on when it is started again:
OUT holds its state, and in log.txt a line for each run. results/voc_optimizers_masks.npz keeps what
seed 0 says of six pictures (`film`), none of VOC, after some epochs: uint8 class ids (6, S, S) by
WIRING_OPTIMIZER_EPOCH.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import common
import film
import numpy as np
import protocol
import scores
import voc_features
from protocol import SEARCHES
from voc_features import WIRINGS, Bench

from segcore import metrics
from segcore._files import replacing
from segcore.metrics import PhotoMatrices
from segcore.training.callbacks import Diverged
from segcore.training.fit import Recipe, fit

EPOCHS = (6, 18)  # of a short run and of a final one
BATCH, SEEDS = 8, (0, 1, 2)
History = Mapping[str, list[float]]


class Run(NamedTuple):
    """Where a finished run lies, and what it went through, epoch by epoch."""

    folder: Path
    history: History

    @property
    def miou(self) -> float:
        """On what judged it, at the head's own resolution."""
        return self.history["val_miou"][-1]


def recipe_of(name: str, rate: float, value: float, epochs: int, photos: int) -> Recipe:
    """How optimizer `name` learns from so many photos, warming up over a twentieth of the steps."""
    plan, warmup = SEARCHES[name], epochs * (photos // BATCH) // 20
    own = {plan.option: value}
    return Recipe(epochs, rate, name, warmup, kernel_l2=plan.kernel_l2, options=own)


def train(bench: Bench, recipe: Recipe, seed: int, short: bool, out: Path) -> Run:
    """One head from fresh weights: `short` without the photos held apart, judged by these.

    Raises Diverged.
    """
    rows, (value,) = np.arange(len(bench.held)), recipe.options.values()
    judged = bench.judged(bench.val, np.arange(len(bench.val.pairs)))
    if short:
        judged, rows = bench.judged(bench.train, rows[bench.held]), rows[~bench.held]
    name = f"{recipe.optimizer}_{recipe.learning_rate:g}_{value:g}_{recipe.epochs}_{seed}"
    folder = out / bench.name / ("search" if short else "final") / name
    filmed = not short and seed == SEEDS[0]
    boxes = film.pictures(bench.wiring.size) if filmed else None
    watch = film.Watch(folder, bench.segmenter, boxes)
    voc_features.reset(bench.head, seed)
    data = bench.batches(rows, BATCH, seed)
    history = fit(
        bench.head, data, recipe, validation=judged, folder=folder, resume=True, watch=[watch]
    )
    run = Run(folder, history)
    log(out, f"{bench.name} {name}: mIoU {100 * run.miou:.2f}, {film.seconds(folder):.0f} s")
    return run


def choose(bench: Bench, name: str, epochs: int, out: Path) -> tuple[protocol.Tried, float]:
    """All that was tried of an optimizer, and the seconds that it took."""
    spent, photos = 0.0, int((~bench.held).sum())

    def score(rate: float, value: float) -> float:
        nonlocal spent
        recipe = recipe_of(name, rate, value, epochs, photos)
        try:
            run = train(bench, recipe, SEEDS[0], True, out)
        except Diverged:
            log(out, f"{bench.name} {recipe}: diverged")
            return 0.0
        spent += film.seconds(run.folder)
        return run.miou

    return protocol.search(SEARCHES[name], score), spent


def final(bench: Bench, recipe: Recipe, seed: int, out: Path) -> tuple[Run, PhotoMatrices]:
    """One seed of what was chosen, trained on all train photos and scored at native size."""
    run = train(bench, recipe, seed, False, out)
    name = f"voc_optimizers_{bench.name}_{recipe.optimizer}_{seed}"
    return run, native(bench, run.folder, name, out)


def native(bench: Bench, folder: Path, name: str, out: Path) -> PhotoMatrices:
    """The matrices that `folder` keeps, else those of the network as it is now."""
    kept = folder / "matrices.npz"
    if not kept.exists():
        metrics.save_matrices(kept, scores.score(bench.segmenter, bench.val.pairs, name))
    found = metrics.load_matrices(kept)
    log(out, f"{name}: mIoU {100 * protocol.miou(found):.2f} at native size")
    return found


def compete(
    bench: Bench, name: str, options: argparse.Namespace
) -> tuple[list[Run], list[PhotoMatrices], common.Row]:
    """The whole protocol for one optimizer: runs and matrices of the seeds, and its row."""
    (short, long), option = options.epochs, SEARCHES[name].option
    tried, spent = choose(bench, name, short, options.out)
    recipe = recipe_of(name, *protocol.best_of(tried), long, len(bench.held))
    finals = [final(bench, recipe, seed, options.out) for seed in SEEDS]
    runs, found = [run for run, _ in finals], [matrices for _, matrices in finals]
    cells = [
        {"learning_rate": rate, option: value, "miou": common.fraction(miou)}
        for (rate, value), miou in tried.items()
    ]
    optimizer = recipe.compiled_optimizer(len(bench.held) // BATCH)
    row = {
        "tried": cells,
        "search_seconds": round(spent),
        "recipe": recipe.identity(),
        "optimizer": optimizer.get_config(),  # its defaults, and the schedule
    }
    return runs, found, row | seed_rows(runs, found, options)


def seed_rows(
    runs: list[Run], found: list[PhotoMatrices], options: argparse.Namespace
) -> common.Row:
    """Scores, histories and seconds of all seeds as they stand in the record."""
    return {
        "miou": protocol.spread(found),
        "seconds": round(sum(film.seconds(run.folder) for run in runs)),
        "seeds": [
            scores.keep(matrices, options) | {"history": rounded(run.history)}
            for run, matrices in zip(runs, found, strict=True)
        ],
    }


def rounded(history: History) -> common.Row:
    """A history as records keep it."""
    return {name: [common.fraction(value) for value in values] for name, values in history.items()}


def measure(options: argparse.Namespace) -> tuple[common.Row, dict[str, Any]]:
    """The record, and the film's masks by WIRING_OPTIMIZER_EPOCH."""
    short, long = options.epochs
    values: common.Row = {"batch": BATCH, "epochs": {"search": short, "final": long}}
    masks: dict[str, Any] = {}
    for wiring in options.wirings:
        bench, rows = voc_features.bench(wiring, options), {}
        found: dict[str, list[PhotoMatrices]] = {}
        for name in options.only:
            try:
                runs, found[name], rows[name] = compete(bench, name, options)
            except Diverged as error:  # with what was chosen: the others still compete
                log(options.out, f"{wiring} {name}: {error}")
                rows[name] = {"diverged": True}
                continue
            shown = film.masks(runs[0].folder).items()
            masks |= {f"{wiring}_{name}_{epoch}": each for epoch, each in shown}
        verdicts = protocol.verdicts(found)
        values[wiring] = voc_features.facts(bench) | rows | {"verdicts": verdicts}
    return values, masks


def log(out: Path, text: str) -> None:
    """A line with the time, on the screen and in OUT/log.txt."""
    line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}"
    print(line, flush=True)
    with (out / "log.txt").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments of the photos and of the runs."""
    arguments = voc_features.parser(description)
    arguments.add_argument("--out", type=Path, default=Path("runs/voc_optimizers"))
    arguments.add_argument(
        "--epochs", nargs=2, type=int, default=EPOCHS, metavar=("SHORT", "FINAL"),
        help="of a run that is judged by photos held apart, and of a final one",
    )  # fmt: skip
    return arguments


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", choices=SEARCHES, default=[*SEARCHES])
    arguments.add_argument("--wirings", nargs="+", choices=WIRINGS, default=[*WIRINGS])
    options = common.parse(arguments)
    everything = options.only == [*SEARCHES] and options.wirings == [*WIRINGS]
    if not (everything or options.trial):
        arguments.error("--only and --wirings are for a --trial; a record is of all")
    options.out.mkdir(parents=True, exist_ok=True)
    values, masks = measure(options)
    spent = sum(film.seconds(path.parent) for path in options.out.rglob("seconds.json"))
    log(options.out, f"{spent / 3600:.2f} hours of training in all")
    with replacing(scores.matrices_folder(options).parent / "voc_optimizers_masks.npz") as file:
        np.savez_compressed(file, **masks)
    common.record("voc_optimizers", values, options)


if __name__ == "__main__":
    main()
