"""The training loop: gradients, an optimizer's step, and a run that survives being killed.

A batch is a function of (seed, step) and nothing else, and everything that a step changes is saved
together: a run that was stopped at any moment goes on as if nothing had happened. The step itself
stands in `steps`, once for each backend. Taught in chapter 7.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from segcore._files import replacing
from segcore._keras import keras
from segcore.training import steps
from segcore.training.runs import (
    OPTIMIZERS,
    Run,
    is_dense_kernel,
    is_encoder,
    optimizer_of,
    scale_rates,
)

__all__ = [
    "OPTIMIZERS", "Diverged", "Run", "Trainer", "is_encoder", "re_estimate", "train",
]  # fmt: skip
Batch = Mapping[str, Any]
Judge = Callable[[], Mapping[str, float]]


class Diverged(RuntimeError):
    """The loss is no longer a number. The last good weights are kept; the message says where."""


class Trainer:
    """A `network`, its optimizer and an `objective`, stepped together.

    `objective(call, batch)` gets `call(images) → logits` and returns (loss, dict of parts), all
    scalars. `devices` is "one", or how to spread each batch: see `steps.spread`.
    """

    def __init__(
        self,
        network: keras.Model,
        run: Run,
        objective: steps.Objective,
        devices: str = "one",
    ) -> None:
        if any(layer.compute_dtype == "float16" for layer in network.layers):
            raise ValueError(
                "network computes in float16, which loses small gradients; take float32, or "
                "mixed_bfloat16 where the device has it"
            )
        self.network, self.run = network, run
        self.optimizer = optimizer_of(run)
        factors = [
            run.encoder if is_encoder(variable.path) else 1.0
            for variable in network.trainable_variables
        ]
        scale_rates(self.optimizer, factors)
        self.optimizer.build(network.trainable_variables)
        decays = [run.l2 * is_dense_kernel(v.path) for v in network.trainable_variables]
        plan = steps.Plan(network, self.optimizer, objective, decays, run.batch_norm == "trained")
        self.stepper = steps.make(plan, devices)

    def step(self, batch: Batch, rate: float) -> Mapping[str, Any]:
        """One update at this `rate` → {"loss": ..., parts}, scalars on their device."""
        return self.stepper.step(batch, rate)

    def memory(self) -> dict[str, np.ndarray]:
        """Everything that steps change, by name: equal memory, equal future."""
        self.stepper.sync()
        return {key: np.asarray(variable) for key, variable in self._variables().items()}

    def restore(self, memory: Mapping[str, np.ndarray]) -> None:
        """Takes up `memory()` again. ValueError when it belongs to another network or optimizer."""
        variables = self._variables()
        if set(memory) != set(variables):
            odd = sorted(set(memory) ^ set(variables))[0]
            raise ValueError(f"{odd}: saved by another network or optimizer; start a new folder")
        for key, variable in variables.items():
            variable.assign(memory[key])
        self.stepper.load()

    def restart(self, run: Run, memory: Mapping[str, np.ndarray]) -> None:
        """Begins `run`, which may differ in its counts, rate and seed alone, from this `memory`.

        What was compiled stays: trying another rate costs no new compilation.
        """
        free = ("steps", "rate", "seed", "warmup", "every", "log")
        if replace(self.run, **{name: getattr(run, name) for name in free}) != run:
            raise ValueError(f"run may differ in {', '.join(free)} alone from {self.run}")
        self.run = run
        self.restore(memory)

    def publish(self) -> dict[str, np.ndarray]:
        """The weights that count, by `layer/variable`: the running average where there is one.

        They are also put into the network, for judging; training goes on from where it was.
        """
        self.stepper.sync()
        if self.run.average and int(np.asarray(self.optimizer.iterations)):
            self.optimizer.finalize_variable_values(self.network.trainable_variables)
        return {v.path: np.asarray(v) for v in self.network.variables}

    def _variables(self) -> dict[str, Any]:
        named = {f"network/{v.path}": v for v in self.network.variables}
        slots = enumerate(self.optimizer.variables)
        return named | {f"optimizer/{index:04d}": variable for index, variable in slots}


def train(
    trainer: Trainer,
    draw: Callable[[int], Batch],
    folder: Path,
    judge: Judge | None = None,
    resume: bool = False,
) -> list[dict[str, float]]:
    """Runs all steps → the history: rows of step, rate, mean losses since the last row, judgements.

    `draw(step)` gives the batch of a step. `judge()` scores the published network, for instance
    {"miou": ...}. `folder` gets `state.npz`, `history.csv` and `weights.npz`. A progress bar shows
    the latest row. With `resume` the run goes on from `folder`. Raises FileExistsError where a run
    would be overwritten, Diverged when the loss is not a number, OSError when the disk is full;
    what was saved before stays as it was.
    """
    run, rates = trainer.run, trainer.run.rates()
    first, history = begin(trainer, folder, resume)
    bar = tqdm(total=run.steps, initial=first, unit="step", disable=None)
    recent: list[Mapping[str, Any]] = []
    with ThreadPoolExecutor(1) as pool, bar:
        coming = pool.submit(draw, first)
        for step in range(first, run.steps):
            batch = coming.result()
            if step + 1 < run.steps:
                coming = pool.submit(draw, step + 1)  # drawn while the device is busy
            recent.append(trainer.step(batch, float(rates[step])))
            bar.update()
            due = not (step + 1) % run.every or step + 1 == run.steps
            if due or not (step + 1) % run.log:
                row = {"step": float(step + 1), "rate": float(rates[step])} | _means(recent)
                _check_finite(row, folder)
                history.append(row)
                recent = []
            if due:
                save(trainer, folder, history, judge)
            bar.set_postfix({key: f"{value:.4g}" for key, value in (history or [{}])[-1].items()})
    return history


def begin(trainer: Trainer, folder: Path, resume: bool) -> tuple[int, list[dict[str, float]]]:
    """The next step and the history so far: 0 and [] for a new run, else what `folder` holds."""
    state = folder / "state.npz"
    if not resume or not state.exists():
        if state.exists():
            raise FileExistsError(
                f"{folder}: holds a run; go on with it (resume) or choose another"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return 0, []
    with np.load(state) as file:
        memory = {key: file[key] for key in file.files}
    note = json.loads(str(memory.pop("note")))
    if note["run"] != asdict(trainer.run):
        raise ValueError(f"{folder}: was begun as {note['run']}, not as {asdict(trainer.run)}")
    trainer.restore(memory)
    return note["step"], note["history"]


def save(
    trainer: Trainer, folder: Path, history: list[dict[str, float]], judge: Judge | None
) -> None:
    """Adds what `judge` finds to the last row; writes weights, history and state, each whole or not
    at all. Raises Diverged, and writes nothing, when a weight is not a number."""
    memory = trainer.memory()
    weights: Any = trainer.publish()
    if not all(np.isfinite(array).all() for array in [*memory.values(), *weights.values()]):
        _check_finite(history[-1] | {"loss": float("nan")}, folder)
    history[-1] |= dict(judge()) if judge else {}
    trainer.restore(memory)
    note = {"step": int(history[-1]["step"]), "history": history, "run": asdict(trainer.run)}
    with replacing(folder / "weights.npz") as file:
        np.savez(file, **weights)
    with replacing(folder / "history.csv") as file:
        file.write(_csv(history))
    named: Any = memory | {"note": np.array(json.dumps(note))}
    with replacing(folder / "state.npz") as file:  # last: it vouches for the others
        np.savez(file, **named)


def re_estimate(network: keras.Model, batches: Iterable[Any]) -> None:
    """Sets every batch norm's statistics to the mean over `batches` of images, weights untouched.

    For networks whose statistics drifted in training, or come from another picture size.
    """
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics become those of the batch at hand
    statistics = [variable for norm in norms for variable in norm.non_trainable_variables]
    observe, sums, count = steps.observer(network), [np.zeros(v.shape) for v in statistics], 0
    for count, images in enumerate(batches, start=1):  # noqa: B007
        observe(images)
        sums = [total + np.asarray(v) for total, v in zip(sums, statistics, strict=True)]
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    if not count:
        raise ValueError("batches is empty; statistics need at least one")
    for variable, total in zip(statistics, sums, strict=True):
        variable.assign(total / count)


def _check_finite(row: Mapping[str, float], folder: Path) -> None:
    if not all(isfinite(value) for value in row.values()):
        kept = folder / "weights.npz"
        where = f"the last good weights are in {kept}" if kept.exists() else "nothing was saved yet"
        raise Diverged(
            f"the loss is {row['loss']} at step {row['step']:.0f}; {where}; try a smaller rate"
        )


def _means(terms: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: float(np.mean([float(term[key]) for term in terms])) for key in terms[0]}


def _csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
