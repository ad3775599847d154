"""What needs processes of its own: to be killed, or to have two devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def run(script, backend, *arguments):
    """A script beside this file, under a backend → what it prints."""
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": flags}
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kills"), [("tensorflow", 2), ("jax", 1)])
def test_killed_at_random_moments_a_run_ends_with_the_weights_of_one_never_killed(backend, kills):
    said = run("kill_job.py", backend, "--kills", str(kills))
    assert f"{kills} kills, after epochs [" in said and "never killed" in said


@pytest.fixture(scope="module")
def found():
    """By backend: what one device and two make of the same run."""
    return {b: json.loads(run("devices_job.py", b)) for b in ("tensorflow", "jax")}


def assert_near(one, other):
    """Losses and scores of all epochs within 1e-5, and the weights in the end."""
    assert one["loss"][-1] < one["loss"][0]
    for key in ("loss", "val_loss", "accuracy", "val_accuracy", "miou", "val_miou"):
        assert one[key] == pytest.approx(other[key], abs=1e-5), key
    for left, right in zip(one["weights"], other["weights"], strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_give_the_losses_and_weights_of_one(found, backend):
    assert_near(found[backend]["one"], found[backend]["two"])


@pytest.mark.slow
def test_both_backends_take_the_same_steps(found):
    assert_near(found["tensorflow"]["one"], found["jax"]["one"])


@pytest.mark.slow
def test_what_two_devices_would_do_otherwise_is_refused(found):
    assert found["tensorflow"]["refused"] == [
        "clip must be 0 under tf.distribute: Keras clips each device's part alone",
        "batches of 3 cannot be split evenly over 2 devices",
    ]
