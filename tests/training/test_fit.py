"""One `fit` for all: what it leaves, what it refuses, and that it goes on where it was stopped."""

import resource
import runpy
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segcore._keras import keras
from segcore.models import checkpoint
from segcore.training import batch_norm, run_folder
from segcore.training.batches import Batches
from segcore.training.callbacks import Diverged
from segcore.training.fit import Recipe, fit

pytestmark = pytest.mark.slow
toy_run = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_run.py"))))


def weights_of(model):
    return {key: array.tobytes() for key, array in checkpoint.arrays_of(model).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of four epochs: its model, folder and history."""
    model, folder = toy_run.network(), tmp_path_factory.mktemp("runs") / "whole"
    seen = toy_run.validation()
    history = fit(model, toy_run.data(), toy_run.RECIPE, validation=seen, folder=folder)
    return model, folder, history


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of that run's folder, as if it had been killed after three epochs."""
    folder = shutil.copytree(whole[1], tmp_path / "run")
    (folder / "weights.npz").unlink()
    (folder / "checkpoints" / "epoch_0004.npz").unlink()
    return folder


def resume(folder, data=None, model=None, **fields):
    model = model or toy_run.network()
    data, recipe = data or toy_run.data(), toy_run.recipe(**fields)
    history = fit(model, data, recipe, validation=toy_run.validation(), folder=folder, resume=True)
    return model, history


def test_a_run_learns_and_leaves_its_history_weights_and_last_two_states(whole):
    model, folder, history = whole
    names = {"loss", "accuracy", "miou"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert all(len(values) == 4 for values in history.values())
    assert history["loss"][-1] < history["loss"][0]
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
    assert left == ["checkpoints/epoch_0003.npz", "checkpoints/epoch_0004.npz", "history.csv",
                    "run.json", "weights.npz"]  # fmt: skip
    arrays = checkpoint.read_weights(folder / "weights.npz")
    assert {key: array.tobytes() for key, array in arrays.items()} == weights_of(model)


def test_what_is_scored_is_what_the_model_holds_in_the_end_the_average(whole):
    model, _, history = whole
    found = model.evaluate(*toy_run.validation(), 4, verbose=0, return_dict=True)
    for name, value in found.items():
        assert value == pytest.approx(history[f"val_{name}"][-1], rel=1e-5), name
    _, state = run_folder.load_state(whole[1])
    own = dict(zip([v.path for v in model.variables], state, strict=False))
    kernel = model.get_layer("logits").kernel
    assert np.abs(own[kernel.path] - np.asarray(kernel)).max() > 1e-4


def test_validation_changes_no_bit_of_the_training(whole, tmp_path):
    model = toy_run.network()
    history = fit(model, toy_run.data(), toy_run.RECIPE, folder=tmp_path / "run")
    assert weights_of(model) == weights_of(whole[0])
    assert history == {name: whole[2][name] for name in ("accuracy", "loss", "miou")}


def test_batches_as_validation_are_scored_whole(whole):
    """Of six scenes, two fill no batch of four; they used to be left out."""
    recipe = toy_run.recipe(epochs=1)
    arrays = toy_run.validation()
    found = [
        fit(toy_run.network(), toy_run.data(), recipe, validation=seen)
        for seen in (arrays, Batches(arrays, 4))
    ]
    assert found[0]["val_miou"] == pytest.approx(found[1]["val_miou"], rel=1e-6)


def test_a_finished_run_that_is_resumed_is_read_back(whole):
    model, history = resume(whole[1])
    assert history == whole[2] and weights_of(model) == weights_of(whole[0])


def test_who_watches_sees_an_epoch_before_it_is_saved(copied):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states = [path.stem for path in run_folder.checkpoints(copied)]
            seen.append((epoch, "val_miou" in logs, states))

    model, data = toy_run.network(), toy_run.data()
    validation = toy_run.validation()
    fit(model, data, toy_run.RECIPE, validation=validation, folder=copied, resume=True,
        watch=[Watch()])  # fmt: skip
    assert seen == [(3, True, ["epoch_0003"])]


def test_a_broken_checkpoint_is_named_and_the_one_before_it_taken(whole, copied):
    content = bytearray((copied / "checkpoints" / "epoch_0003.npz").read_bytes())
    largest = max(run_folder.load_state(copied)[1], key=lambda array: array.nbytes)
    content[content.index(largest.tobytes()) + 5] ^= 255  # one byte of many, in the values
    (copied / "checkpoints" / "epoch_0004.npz").write_bytes(content)
    with pytest.warns(UserWarning, match=r"epoch_0004\.npz: not a readable .*the one before"):
        model, history = resume(copied)
    assert history == whole[2] and weights_of(model) == weights_of(whole[0])
    for state in run_folder.checkpoints(copied):
        state.write_bytes(content[: len(content) // 3])
    with (
        pytest.warns(UserWarning, match="not a readable"),
        pytest.raises(ValueError, match="checkpoints: all are damaged; begin in another folder"),
    ):
        resume(copied)


def test_a_run_is_not_overwritten_and_no_stranger_goes_on_with_it(whole, tmp_path):
    folder, data = whole[1], toy_run.data()
    with pytest.raises(FileExistsError, match="whole: holds a run; resume it or choose another"):
        fit(toy_run.network(), data, toy_run.RECIPE, folder=folder)
    with pytest.raises(ValueError, match=r"another run: recipe.learning_rate is 0.01 there and 0"):
        resume(folder, learning_rate=0.02)
    images, masks = (array.copy() for array in data.arrays)
    masks[0, 0, 0] = 20
    with pytest.raises(ValueError, match=r"data.arrays is .* there and .* now$"):
        resume(folder, Batches((images, masks), 4, change=toy_run.shifted))
    others = toy_run.validation()[0], 1 - toy_run.validation()[1]
    with pytest.raises(ValueError, match=r"another run: validation is .* there and .* now$"):
        fit(toy_run.network(), data, toy_run.RECIPE, validation=others, folder=folder, resume=True)
    with pytest.raises(ValueError, match=r"input is \[None, 33, 33, 3\] there and \[None, 49"):
        resume(folder, model=toy_run.network(49))
    (tmp_path / "weights.npz").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match=r"weights.npz: of an unknown run"):
        resume(tmp_path)
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"recipe":')
    with pytest.raises(ValueError, match=r"run.json: damaged; begin in another folder"):
        resume(tmp_path / "run")


def poisoned(rng, images, masks):
    """Batches in which a pixel is not a number, from the third epoch on."""
    inputs, labels = toy_run.shifted(rng, images, masks)
    poisoned.seen += 1
    inputs[0, 0, 0] = np.nan if poisoned.seen > 14 else inputs[0, 0, 0]
    return inputs, labels


@pytest.mark.parametrize("kept", [True, False])
def test_a_loss_that_is_no_number_ends_the_run_and_names_what_is_left(tmp_path, kept, capsys):
    poisoned.seen = 0
    folder = tmp_path / "run" if kept else None
    left = "the last good state is .*epoch_000[12].npz" if kept else "nothing was saved"
    with pytest.raises(Diverged, match=rf"nan in epoch [23] of 4, .*{left}; try a smaller"):
        fit(toy_run.network(), toy_run.data(change=poisoned), toy_run.RECIPE, folder=folder)
    if kept:
        assert all(np.isfinite(array).all() for array in run_folder.load_state(folder)[1])
        assert not (folder / "weights.npz").exists()


@contextmanager
def files_of_at_most(size):
    """No file of this process may grow beyond `size` bytes: to it, the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named_and_takes_nothing_away(whole, copied):
    with (
        files_of_at_most(2000),
        pytest.raises(OSError, match=r"epoch_0004\.npz"),
    ):
        resume(copied)
    assert [path.name for path in run_folder.checkpoints(copied)] == ["epoch_0003.npz"]
    assert not list(copied.rglob("*.part"))
    assert weights_of(resume(copied)[0]) == weights_of(whole[0])


def test_rows_of_epochs_that_were_not_saved_are_run_again(copied):
    before = (copied / "history.csv").read_text()
    assert len(before.splitlines()) == 5
    run_folder.cut_history(copied, 3)
    assert (copied / "history.csv").read_text() == "\n".join(before.splitlines()[:4]) + "\n"
    with (copied / "history.csv").open("a") as file:
        file.write("3,0.5")  # killed in the middle of a line
    run_folder.cut_history(copied, 3)
    assert (copied / "history.csv").read_text() == "\n".join(before.splitlines()[:4]) + "\n"
    run_folder.cut_history(copied, 0)
    assert (copied / "history.csv").read_text() == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of adam, sgd, adabound, adamw, not 'lion'"),
        ({"epochs": 0}, "epochs must be 1 or more, not 0"),
        ({"clip": -1.0}, "clip must be 0 or more, not -1.0"),
        ({"average": 1.0}, "average must be at least 0 and below 1, not 1.0"),
    ],
)
def test_what_a_recipe_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(toy_run.RECIPE, **fields)


@pytest.mark.parametrize("name", ["adam", "sgd", "adabound", "adamw"])
def test_a_recipe_is_an_optimizer_with_its_schedule(name):
    recipe = Recipe(10, 0.01, name, warmup=4, encoder_rate=0.3, kernel_l2=1e-4, clip=1, average=0.9)
    optimizer = recipe.compiled_optimizer(steps=5)
    assert (optimizer.encoder_rate, optimizer.kernel_l2) == (0.3, 1e-4)
    assert (optimizer.global_clipnorm, optimizer.use_ema, optimizer.ema_momentum) == (1, True, 0.9)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 4, 27, 50)]
    assert rates == pytest.approx([0.002, 0.01, 0.01 * 0.5**0.9, 0], abs=1e-6)
    assert getattr(optimizer, "final_lr", 1.0) == 1.0


@pytest.mark.parametrize(
    ("name", "own"),
    [("sgd", {"momentum": 0.5}), ("adabound", {"final_lr": 0.3}), ("adamw", {"weight_decay": 0.1})],
)
def test_an_optimizer_has_numbers_of_its_own_and_they_name_the_run(name, own):
    recipe = toy_run.recipe(optimizer=name, options=own)
    ((key, value),) = own.items()
    assert getattr(recipe.compiled_optimizer(5), key) == value
    assert recipe.identity()[key] == value and "options" not in recipe.identity()
    assert set(toy_run.RECIPE.identity()) == set(recipe.identity()) - {key}


def test_re_estimated_statistics_are_the_mean_of_those_of_the_batches():
    network = toy_run.network()
    images = np.split(toy_run.validation()[0], 3)
    batch_norm.re_estimate(network, images)
    kernel, maps = np.array(network.get_layer("Conv1").kernel), []
    for batch in images:
        padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
        maps.append(np.einsum("bhwcij,ijcf->bhwf", patches, kernel))
    norm = network.get_layer("bn_Conv1")
    wanted = np.mean([m.mean((0, 1, 2)) for m in maps], axis=0)
    np.testing.assert_allclose(norm.moving_mean, wanted, atol=1e-5)
    wanted = np.mean([m.var((0, 1, 2)) for m in maps], axis=0)
    np.testing.assert_allclose(norm.moving_variance, wanted, rtol=1e-4)
    assert norm.momentum == 0.9
    frozen = toy_run.network()
    batch_norm.freeze(frozen)
    inside = keras.Sequential([keras.Input((33, 33, 3)), frozen])
    batch_norm.re_estimate(inside, images)  # neither used to change anything
    norm = frozen.get_layer("bn_Conv1")
    np.testing.assert_allclose(norm.moving_variance, wanted, rtol=1e-4)
    assert not norm.trainable
    with pytest.raises(ValueError, match="batches must be at least one"):
        batch_norm.re_estimate(network, [])


def test_frozen_batch_norm_keeps_all_that_it_has():
    model = toy_run.network()
    batch_norm.freeze(model)
    before = weights_of(model)
    fit(model, toy_run.data(), Recipe(1, 1e-2))
    moved = {key for key, array in weights_of(model).items() if array != before[key]}
    assert moved == {"Conv1/kernel", "block_1_depthwise/kernel", "decoder1_pointwise/kernel",
                     "logits/kernel", "logits/bias"}  # fmt: skip
    assert keras.backend.backend() == "tensorflow"
