"""Keras' `fit`, with what each run of ours has in common: recipe, averages, resuming, refusals.

Distribution is Keras' own: make the model inside `tf.distribute.MirroredStrategy().scope()`, or
under jax after `keras.distribution.set_distribution(keras.distribution.DataParallel())`. Taught in
chapter 8.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segcore._errors import check
from segcore._keras import keras
from segcore.models import checkpoint
from segcore.training import batch_norm, callbacks, optimizers, run_folder
from segcore.training.batches import Batches, fingerprint
from segcore.training.losses import CrossEntropyAndDice
from segcore.training.metrics import MeanIoU, PixelAccuracy


@dataclass(frozen=True)
class Recipe:
    """What decides a run, beside its data and its network.

    The learning rate rises to `learning_rate` over `warmup` steps and falls as a polynomial to 0
    at the end of `epochs`. `optimizer` is "adam", "sgd" (momentum 0.9), "adabound" (`final_lr` is
    100 times the learning rate, its authors' ratio) or "adamw"; `options` are its own numbers that
    differ from these or from Keras' defaults, such as {"epsilon": 1e-3}. The encoder learns at
    `encoder_rate` times the learning rate, kernels that are not depthwise have an L2 penalty of
    `kernel_l2`, gradients are clipped to the global norm `clip` (0: never). With `average` > 0 the
    weights that count are the running average with that momentum. Raises ValueError naming the
    argument.
    """

    epochs: int
    learning_rate: float
    optimizer: str = "adam"
    warmup: int = 0
    encoder_rate: float = 1.0
    kernel_l2: float = 0.0
    clip: float = 0.0
    average: float = 0.0
    loss: keras.losses.Loss = field(default_factory=CrossEntropyAndDice)
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = optimizers.OPTIMIZERS
        check("optimizer", self.optimizer, self.optimizer in known, f"one of {', '.join(known)}")
        check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        check("clip", self.clip, self.clip >= 0, "0 or more")
        check("average", self.average, 0 <= self.average < 1, "at least 0 and below 1")

    def compiled_optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """A new optimizer for epochs of `steps` steps."""
        schedule = optimizers.PolynomialDecay(self.learning_rate, self.epochs * steps, self.warmup)
        ours = {"sgd": {"momentum": 0.9}, "adabound": {"final_lr": 100 * self.learning_rate}}
        options: dict[str, Any] = {
            "encoder_rate": self.encoder_rate,
            "kernel_l2": self.kernel_l2,
            "global_clipnorm": self.clip or None,
            "use_ema": self.average > 0,
            "ema_momentum": self.average,
            **ours.get(self.optimizer, {}),
            **self.options,
        }
        return optimizers.OPTIMIZERS[self.optimizer](schedule, **options)

    def identity(self) -> dict[str, Any]:
        """All fields, for JSON, and in place of `options` each of these."""
        loss = {"class": type(self.loss).__name__, **self.loss.get_config()}
        values = dict(self.options) | vars(self) | {"loss": loss}
        return {name: value for name, value in values.items() if name != "options"}


def fit(
    model: keras.Model,
    data: Batches,
    recipe: Recipe,
    *,
    validation: tuple[Any, Any] | Batches | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    watch: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Trains `model` → its history, a list for each of loss, accuracy, miou, val_loss, ...

    `validation`, (inputs, targets) or `Batches`, is scored whole after every epoch. A progress bar
    shows losses, scores and the time left. `folder` gets what `run_folder` describes; with `resume`
    a run that was killed goes on there, to the same weights as if it never had been, and a finished
    one is read back. `watch` are callbacks of your own: they see each epoch before it is saved. In
    the end the model holds the weights that count.
    Raises Diverged; FileExistsError where a run would be overwritten; ValueError naming what
    differs from the run that is resumed; OSError when the disk is full. What was saved before stays
    as it was.
    """
    place = Path(folder) if folder is not None else None
    if isinstance(validation, Batches):
        validation = validation.in_order()
    _compile(model, data, recipe)
    first = 0
    if place:
        first = _begin(model, place, _identity(model, data, recipe, validation), resume)
    total, done = recipe.epochs * len(data), first * len(data)
    epochs = keras.callbacks.LambdaCallback(on_epoch_begin=data.begin_epoch)
    average = [callbacks.Average()] if recipe.average else []
    with _table(place) as table, tqdm(total=total, initial=done, unit="step", disable=None) as bar:
        found = model.fit(
            data, epochs=recipe.epochs, initial_epoch=first, shuffle=False, verbose=0,
            validation_data=validation, validation_batch_size=data.size,
            callbacks=[epochs, *average, keras.callbacks.TerminateOnNaN(), *table, *watch,
                       callbacks.Keep(place), callbacks.Progress(bar)],
        )  # fmt: skip
    if place is None:
        return dict(found.history)
    checkpoint.save_weights(model, place / "weights.npz", "float32")
    return run_folder.history(place)


@contextmanager
def _table(folder: Path | None) -> Iterator[list[keras.callbacks.Callback]]:
    """What adds each epoch to history.csv in `folder`; the file is closed when the run breaks."""
    if folder is None:
        yield []
        return
    table = keras.callbacks.CSVLogger(folder / "history.csv", append=True)
    try:
        yield [table]
    finally:
        if table.csv_file:  # else it had not begun, and older Keras would hide the reason
            table.on_train_end()


def _compile(model: keras.Model, data: Batches, recipe: Recipe) -> None:
    """Gives `model` its optimizer, loss and metrics, where its variables are."""
    backend, scope = keras.backend.backend(), nullcontext()
    if backend == "tensorflow":
        _check_replicas(model, data, recipe)
        scope = model.distribute_strategy.scope()
    with scope:
        metrics = [PixelAccuracy(), MeanIoU(model.output_shape[-1])]
        jit = backend == "jax"  # XLA on a CPU compiles for minutes, to no gain
        optimizer = recipe.compiled_optimizer(len(data))
        model.compile(optimizer, recipe.loss, metrics=metrics, jit_compile=jit)
        model.optimizer.build(model.trainable_variables)


def _check_replicas(model: keras.Model, data: Batches, recipe: Recipe) -> None:
    """Where `tf.distribute` splits batches, batch norm sees them whole; what differs is refused."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas == 1:
        return
    if data.size % replicas:
        raise ValueError(f"batches of {data.size} cannot be split evenly over {replicas} devices")
    if recipe.clip:
        raise ValueError("clip must be 0 under tf.distribute: Keras clips each device's part alone")
    for norm in batch_norm.layers_of(model):
        norm.synchronized = True


def _identity(
    model: keras.Model, data: Batches, recipe: Recipe, validation: tuple[Any, Any] | Batches | None
) -> dict[str, Any]:
    """What tells this run from others, for JSON."""
    variables = [[list(v.shape), v.trainable] for v in model.variables]
    seen = validation.identity() if isinstance(validation, Batches) else validation
    return {
        "recipe": recipe.identity(),
        "data": data.identity(),
        "validation": fingerprint(seen) if isinstance(seen, tuple) else seen,
        "input": model.input_shape,
        "parameters": model.count_params(),
        "variables": zlib.crc32(json.dumps(variables).encode()),
    }


def _begin(model: keras.Model, folder: Path, identity: dict[str, Any], resume: bool) -> int:
    """Opens the run's folder and takes up what it holds → the number of epochs that are done."""
    run_folder.begin(folder, identity, resume)
    epochs, state = run_folder.load_state(folder)
    for variable, array in zip(callbacks.variables_of(model), state, strict=bool(state)):
        variable.assign(array)
    if not state:
        run_folder.save_state(folder, 0, callbacks.copies(callbacks.variables_of(model)))
    run_folder.cut_history(folder, epochs)
    return epochs
