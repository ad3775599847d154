"""`segcore train`: which process runs what, with which options."""

import os
import subprocess
import sys

import pytest

from segcore import cli, cli_train

ECHO = """
import os, sys
import beside
print(__name__, os.environ.get("KERAS_BACKEND"), "keras" in sys.modules, sys.argv, beside.X)
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "beside.py").write_text("X = 7")
    (tmp_path / "echo.py").write_text(ECHO)
    return tmp_path / "echo.py"


def test_the_experiment_runs_as_a_program_on_the_backend_asked_for(experiment):
    words = ["--seed", "3", "--backend", "jax", "--resume", "--", "--out", "x", "--seed"]
    run = subprocess.run(
        [sys.executable, "-m", "segcore", "train", experiment, *words],
        capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    wanted = [str(experiment), "--out", "x", "--seed", "--resume", "--seed", "3"]
    assert run.stdout.split(maxsplit=3)[:3] == ["__main__", "jax", "False"]
    assert run.stdout.split(maxsplit=3)[3] == f"{wanted} 7\n"


@pytest.fixture
def unharmed(monkeypatch):
    """`train` changes the process, which otherwise ends with it."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))


@pytest.mark.parametrize(
    ("before", "after"),
    [([], ["--seed", "2", "--steps", "5"]), (["--seed", "2"], ["--", "--steps", "5"])],
)
def test_options_may_stand_before_or_behind_the_file(experiment, unharmed, capsys, before, after):
    assert cli.main(["train", *before, str(experiment), *after]) == 0
    assert "'--steps', '5', '--seed', '2']" in capsys.readouterr().out


def test_a_missing_experiment_is_named_beside_those_that_exist(experiment, capsys):
    assert cli.main(["train", str(experiment.with_name("ecko.py"))]) == 2
    said = capsys.readouterr().err
    assert "ecko.py: no such experiment" in said and "beside.py, echo.py" in said


def test_a_missing_backend_says_how_to_get_it(experiment, unharmed, capsys, monkeypatch):
    monkeypatch.setattr(cli_train, "find_spec", lambda name: None)
    assert cli.main(["train", str(experiment), "--backend", "jax"]) == 2
    said = capsys.readouterr().err
    assert "backend jax is not installed; run: pip install 'segcore[train]'" in said


def test_a_backend_that_comes_too_late_is_refused(experiment, unharmed, capsys):
    from segcore._keras import keras  # noqa: F401

    assert cli.main(["train", str(experiment), "--backend", "jax"]) == 2
    assert "Keras already runs on tensorflow" in capsys.readouterr().err


def test_a_run_that_diverged_ends_in_one_line(experiment, unharmed, capsys):
    experiment.write_text("class Diverged(RuntimeError): pass\nraise Diverged('the loss is nan')")
    assert cli.main(["train", str(experiment)]) == 2
    assert capsys.readouterr().err == "segcore: the loss is nan\n"
