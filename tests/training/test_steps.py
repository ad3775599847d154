"""One step spread over devices, machines and backends is one step."""

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segcore.training import steps
from segcore.training.runs import Run
from segcore.training.trainer import Trainer

SCRIPT = Path(__file__).with_name("training_job.py")
JOB = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
OPTIONS = ("--optimizer", "adabound", "--steps", 8)


def start(backend, *options, **environment):
    """The job in a process of its own."""
    command = [sys.executable, SCRIPT, *options, *OPTIONS]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "KERAS_BACKEND": backend, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 0, error


def assert_same(one, other):
    """Losses of every step within 1e-5, and the published weights nearly as close."""
    losses = [json.loads((folder / "losses.json").read_text()) for folder in (one, other)]
    assert len(losses[0]) == 8 and losses[0][-1] < losses[0][0]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    with np.load(one / "weights.npz") as left, np.load(other / "weights.npz") as right:
        assert set(left) == set(right)
        for key in left:
            np.testing.assert_allclose(left[key], right[key], atol=1e-4, err_msg=key)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same eight steps on one and on two devices under both backends."""
    root = tmp_path_factory.mktemp("runs")
    two = {
        "tensorflow": ("--devices", "mirrored", "--logical", 2),
        "jax": ("--devices", "data_parallel"),
    }
    for backend, options in two.items():
        folders = (root / f"{backend}2", "--also", root / f"{backend}1")
        flags = "--xla_force_host_platform_device_count=2"
        finish(start(backend, *folders, *options, XLA_FLAGS=flags))
    return root


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_give_the_losses_and_weights_of_one(runs, backend):
    assert_same(runs / f"{backend}2", runs / f"{backend}1")


def test_both_backends_take_the_same_steps(runs):
    assert_same(runs / "tensorflow1", runs / "jax1")


def test_two_machines_give_the_losses_of_one(runs, tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = [
        start(
            "tensorflow", tmp_path / str(index), "--devices", "multi_worker",
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in (0, 1)
    ]  # fmt: skip
    try:
        for worker in workers:
            finish(worker)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    for index in (0, 1):
        assert_same(tmp_path / str(index), runs / "tensorflow1")


@pytest.mark.parametrize("devices", ["data_parallel", "two"])
def test_devices_of_another_backend_are_refused(devices):
    wanted = f"devices must be one or mirrored or multi_worker under tensorflow, not '{devices}'"
    with pytest.raises(ValueError, match=wanted):
        steps.spread(devices)


def test_a_network_made_outside_its_scope_is_refused():
    with pytest.raises(ValueError, match=r"make network and trainer in its scope\(\)"):
        Trainer(JOB.network(), Run(2, 1e-3), JOB.objective, "mirrored")


def test_a_batch_is_cut_evenly_or_not_at_all():
    parts = [steps.part_of(np.arange(6), index, 3).tolist() for index in range(3)]
    assert parts == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="a batch of 5 cannot be split evenly over 2 devices"):
        steps.part_of(np.arange(5), 0, 2)
