"""The training loop: what a step changes, what survives, what is refused."""

import json
import os
import random
import resource
import runpy
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segcore._keras import keras
from segcore.data import toy
from segcore.models import deeplab
from segcore.training import runs, trainer
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, re_estimate, train

SCRIPT = Path(__file__).with_name("training_job.py")
JOB = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
RUN = Run(6, 1e-2, log=2, every=3)


@pytest.fixture(scope="module")
def draw():
    return JOB.draw_from(*JOB.scenes())


def trainer_of(run, objective=JOB.objective):
    return Trainer(JOB.network(), run, objective)


def arrays_of(network):
    return {variable.path: np.array(variable) for variable in network.variables}


def npz(path):
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def assert_equal(one, other):
    assert set(one) == set(other)
    for key, array in one.items():
        np.testing.assert_array_equal(array, other[key], err_msg=key)


@pytest.mark.parametrize("optimizer", runs.OPTIMIZERS)
def test_the_encoder_has_its_share_of_the_rate(draw, optimizer):
    moved = []
    for share in (1.0, 0.25):
        trainer = trainer_of(Run(6, 1e-2, optimizer, encoder=share, clip=0))
        before = arrays_of(trainer.network)
        trainer.step(draw(0), 1e-2)
        after = arrays_of(trainer.network)
        moved.append({key: after[key] - before[key] for key in before})
    for path, whole in moved[0].items():
        wanted = 0.25 if path.startswith(("Conv1/", "bn_Conv1/gam", "bn_Conv1/be", "block")) else 1
        np.testing.assert_allclose(moved[1][path], wanted * whole, rtol=1e-3, atol=1e-7)
    assert np.abs(moved[0]["block_1_depthwise/kernel"]).max() > 1e-5


def test_decay_pulls_at_dense_kernels_alone(draw):
    def nothing(call, batch):
        return 0.0 * keras.ops.sum(call(batch["image"])), {}

    trainer = trainer_of(Run(6, 1.0, "sgd", l2=0.1, clip=0), nothing)
    before = arrays_of(trainer.network)
    trainer.step(draw(0), 1.0)
    for key, array in arrays_of(trainer.network).items():
        dense = key in ("Conv1/kernel", "decoder1_pointwise/kernel", "logits/kernel")
        if "moving" not in key:
            np.testing.assert_allclose(array, (0.9 if dense else 1) * before[key], rtol=1e-5)


def test_gradients_are_cut_to_their_common_length(draw):
    lengths = []
    for clip in (0.0, 0.01):
        trainer = trainer_of(Run(6, 1.0, "sgd", clip=clip))
        before = arrays_of(trainer.network)
        trainer.step(draw(0), 1.0)
        after = arrays_of(trainer.network)
        squares = [((after[k] - before[k]) ** 2).sum() for k in before if "moving" not in k]
        lengths.append(np.sqrt(sum(squares)))
    assert lengths[0] > 0.1
    assert lengths[1] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("mode", ["trained", "frozen"])
def test_batch_norm_moves_only_when_it_is_trained(draw, mode):
    trainer = trainer_of(Run(6, 1e-2, batch_norm=mode))
    before = arrays_of(trainer.network)
    trainer.step(draw(0), 1e-2)
    after = arrays_of(trainer.network)
    statistics = [key for key in before if "moving" in key]
    assert len(statistics) == 4
    assert all((after[k] != before[k]).any() == (mode == "trained") for k in statistics)
    assert (after["bn_Conv1/gamma"] != before["bn_Conv1/gamma"]).any()


def test_the_running_average_is_published_and_training_goes_on_from_its_own_weights(draw, tmp_path):
    run = replace(RUN, average=0.6)
    plain, averaged = trainer_of(replace(run, average=0)), trainer_of(run)
    mean = None
    for step, rate in enumerate(run.rates()):
        plain.step(draw(step), float(rate))
        now = arrays_of(plain.network)
        mean = now if mean is None else {k: 0.6 * mean[k] + 0.4 * now[k] for k in now}
    seen = []
    judge = lambda: seen.append(arrays_of(averaged.network)) or {"miou": len(seen)}  # noqa: E731
    history = train(averaged, draw, tmp_path / "run", judge)
    assert_equal(seen[-1], npz(tmp_path / "run" / "weights.npz"))
    for key, array in seen[-1].items():
        wanted = now[key] if "moving" in key else mean[key]
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6, err_msg=key)
    assert_equal(arrays_of(averaged.network), now)
    assert [row.get("miou") for row in history] == [None, 1, None, 2]


def test_the_history_holds_mean_losses_and_stands_in_a_table(draw, tmp_path):
    run = replace(RUN, warmup=1)
    history = train(trainer_of(run), draw, tmp_path / "run")
    again, losses = trainer_of(run), []
    for step, rate in enumerate(run.rates()):
        losses.append(float(again.step(draw(step), float(rate))["loss"]))
    assert [row["step"] for row in history] == [2, 3, 4, 6]
    wanted = [np.mean(losses[:2]), losses[2], losses[3], np.mean(losses[4:])]
    assert [row["loss"] for row in history] == pytest.approx(wanted, rel=1e-6)
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert lines[0].split(",")[:2] == ["step", "rate"]
    assert len(lines) == 5
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "history.csv", "state.npz", "weights.npz"
    ]  # fmt: skip


def test_another_rate_from_the_same_start_costs_no_compilation_and_changes_nothing(draw, tmp_path):
    other = replace(RUN, rate=3e-3, steps=4, warmup=1, seed=1)
    trainer = trainer_of(RUN)
    start = trainer.memory()
    train(trainer, draw, tmp_path / "first")
    trainer.restart(other, start)
    train(trainer, draw, tmp_path / "second")
    train(trainer_of(other), draw, tmp_path / "fresh")
    assert_equal(*(npz(tmp_path / name / "weights.npz") for name in ("second", "fresh")))
    with pytest.raises(ValueError, match=r"run may differ in steps.*alone"):
        trainer.restart(replace(RUN, l2=0.1), start)


def poisoned(kind):
    """The job's objective, in which batches with `ill` = 1 spoil the loss or only its gradient."""
    from keras import ops

    def objective(call, batch):
        loss, parts = JOB.objective(call, batch)
        if kind == "loss":
            return ops.where(batch["ill"] > 0, np.float32(np.nan), loss), parts
        power = ops.mean(call(batch["image"]) ** 2) * (1 - batch["ill"])
        hidden = ops.where(batch["ill"] > 0, 0.0, ops.log(power))  # log 0 is not used: its slope is
        return loss + hidden, parts

    return objective


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_loss_or_weight_that_is_no_number_stops_the_run_and_keeps_the_last_good(
    draw, tmp_path, kind
):
    run = replace(RUN, steps=12, every=4)
    ill_at = lambda bad: lambda s: draw(s) | {"ill": np.float32(s == bad)}  # noqa: E731
    train(trainer_of(replace(run, steps=4), poisoned(kind)), ill_at(-1), tmp_path / "good")
    with pytest.raises(trainer.Diverged, match=r"step 8; the last good weights.*smaller rate"):
        train(trainer_of(run, poisoned(kind)), ill_at(7), tmp_path / "run")
    kept = npz(tmp_path / "run" / "weights.npz")
    assert all(np.isfinite(array).all() for array in kept.values())
    assert json.loads(str(npz(tmp_path / "run" / "state.npz")["note"]))["step"] == 4
    with pytest.raises(trainer.Diverged, match="nothing was saved yet"):
        train(trainer_of(run, poisoned(kind)), ill_at(1), tmp_path / "early")


@contextmanager
def files_of_at_most(size):
    """No file of this process may grow beyond `size` bytes: to it, the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named_and_takes_nothing_away(draw, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    train(trainer_of(RUN), draw, whole)

    def fill(step):  # the disk fills up between the two times of saving
        if step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        return draw(step)

    with (
        files_of_at_most(resource.RLIM_INFINITY),
        pytest.raises(OSError, match=r"saved before is still there: '.*run/weights\.npz'"),
    ):
        train(trainer_of(RUN), fill, folder)
    assert json.loads(str(npz(folder / "state.npz")["note"]))["step"] == 3
    assert not list(folder.glob("*.part"))
    train(trainer_of(RUN), draw, folder, resume=True)
    for name in ("weights.npz", "state.npz"):
        assert_equal(npz(whole / name), npz(folder / name))


def test_a_run_is_neither_overwritten_nor_taken_for_another(draw, tmp_path):
    train(trainer_of(RUN), draw, tmp_path)
    with pytest.raises(FileExistsError, match="holds a run; go on with it"):
        train(trainer_of(RUN), draw, tmp_path)
    with pytest.raises(ValueError, match=r"was begun as .*'rate': 0.01.* not as .*'rate': 0.02"):
        train(trainer_of(replace(RUN, rate=0.02)), draw, tmp_path, resume=True)
    stranger = Trainer(deeplab.deeplab_v3_plus(33, 2, 8), RUN, JOB.objective)
    with pytest.raises(ValueError, match="saved by another network or optimizer"):
        train(stranger, draw, tmp_path, resume=True)


def test_a_finished_run_that_is_resumed_is_finished(draw, tmp_path):
    first = train(trainer_of(RUN), draw, tmp_path)
    trainer = trainer_of(RUN)
    assert train(trainer, draw, tmp_path, resume=True) == first
    assert_equal(arrays_of(trainer.network), npz(tmp_path / "weights.npz"))


def test_memory_is_a_copy(draw):
    trainer = trainer_of(RUN)
    memory = trainer.memory()
    kept = {key: array.copy() for key, array in memory.items()}
    trainer.step(draw(0), 1e-2)
    assert_equal(memory, kept)


def start(backend, *options):
    """The job in a process of its own."""
    command = [sys.executable, SCRIPT, *options]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    return subprocess.Popen(
        list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_at_any_moment_and_resumed_a_run_ends_as_if_never_killed(tmp_path, backend):
    options = ("--steps", 40, "--every", 3)
    process = start(backend, tmp_path / "killed", "--pause", 0.1, *options)
    while process.poll() is None and not (tmp_path / "killed" / "state.npz").exists():
        time.sleep(0.05)
    time.sleep(random.uniform(0, 2))
    process.kill()
    error = process.communicate()[1]
    assert process.returncode == -9, error
    step = json.loads(str(npz(tmp_path / "killed" / "state.npz")["note"]))["step"]
    assert 3 <= step < 40
    process = start(
        backend, tmp_path / "killed", "--resume", "--also", tmp_path / "whole", *options
    )
    error = process.communicate()[1]
    assert process.returncode == 0, error
    for name in ("weights.npz", "state.npz"):
        assert_equal(npz(tmp_path / "whole" / name), npz(tmp_path / "killed" / name))
    killed, whole = ((tmp_path / name / "history.csv").read_text() for name in ("killed", "whole"))
    assert killed == whole


@pytest.mark.parametrize("optimizer", ["adam", "adabound"])
def test_mixed_precision_trains_alike_and_keeps_its_slots_exact(draw, optimizer):
    losses, before = [], keras.config.dtype_policy()
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            trainer = trainer_of(Run(20, 1e-2, optimizer, average=0.5))
        finally:
            keras.config.set_dtype_policy(before)
        assert {str(a.dtype) for a in trainer.memory().values()} <= {"float32", "int64", "int32"}
        losses.append([float(trainer.step(draw(step), 1e-2)["loss"]) for step in range(8)])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_half_precision_is_refused_because_its_gradients_vanish(draw):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = JOB.network()
    finally:
        keras.config.set_dtype_policy(before)
    with pytest.raises(ValueError, match=r"float16.*mixed_bfloat16"):
        Trainer(network, RUN, JOB.objective)


def test_re_estimated_statistics_are_the_mean_of_those_of_the_batches(draw):
    network = JOB.network()
    batches = [draw(step)["image"] for step in range(3)]
    re_estimate(network, batches)
    kernel, maps = np.array(network.get_layer("Conv1").kernel), []
    for images in batches:
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
        maps.append(np.einsum("bhwcij,ijcf->bhwf", patches, kernel))
    norm = network.get_layer("bn_Conv1")
    wanted = np.mean([m.mean((0, 1, 2)) for m in maps], axis=0)
    np.testing.assert_allclose(norm.moving_mean, wanted, atol=1e-5)
    wanted = np.mean([m.var((0, 1, 2)) for m in maps], axis=0)
    np.testing.assert_allclose(norm.moving_variance, wanted, rtol=1e-4)
    assert norm.momentum == 0.9
    with pytest.raises(ValueError, match="batches"):
        re_estimate(network, [])


def test_head_after_encoder_is_the_whole_network():
    whole = deeplab.deeplab_v3_plus(65, config=deeplab.DeepLabConfig(width=0.35))
    encoder, head = deeplab.split(whole)
    images = toy.scenes(2, size=65)[0] / np.float32(127.5) - 1
    features = encoder(images)
    assert [tuple(f.shape[1:3]) for f in features] == [(5, 5), (17, 17)]
    np.testing.assert_allclose(head(features), whole(images), atol=1e-5)
    inside = {v.path for v in head.trainable_variables}
    assert inside and not any(runs.is_encoder(path) for path in inside)
    assert inside | {v.path for v in encoder.trainable_variables} == {
        v.path for v in whole.trainable_variables
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamw"}, "optimizer must be one of .*not 'adamw'"),
        ({"batch_norm": "off"}, 'batch_norm must be "trained" or "frozen", not \'off\''),
        ({"steps": 0}, "steps 0, every 3 and log 2 must be at least 1"),
        ({"rate": 0.0}, "peak must be above 0"),
        ({"warmup": 6}, "warmup must be 0 to steps - 1 = 5, not 6"),
        ({"average": 1.0}, "average 1.0 at least 0 and below 1"),
        ({"encoder": -1}, "encoder -1, l2 0.0 and clip 1.0 must be 0 or more"),
        ({"clip": -1.0}, "clip -1.0 must be 0 or more"),
    ],
)
def test_what_a_run_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        replace(RUN, **options)
