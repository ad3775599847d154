"""Numbers by key, and the record of where they come from."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segcore import metrics
from segcore.course import results


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository of its own that `results` takes for the course's, all of it committed."""

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *names, *arguments], check=True, capture_output=True)

    for name in ("segcore", "experiments", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1\n")
    (tmp_path / "pyproject.toml").touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "segcore")
    monkeypatch.setattr(
        sys, "argv", [str(tmp_path / "experiments" / "a.py"), "--shared", "../shared"]
    )
    return tmp_path


def test_what_is_recorded_can_be_read_by_key(checkout):
    path = results.record("speed", {"table": {"ratio": 31.5}}, seed=3)
    assert path == checkout / "results" / "speed.json"
    assert results.get("speed.table.ratio") == 31.5
    record = json.loads(path.read_text())["record"]
    assert record["seed"] == 3 and record["versions"]["numpy"]
    assert record["command"] == "python experiments/a.py --shared ../shared"
    assert re.fullmatch(r"[0-9a-f]{10}", record["commit"])
    assert {"processor", "family", "flags", "cores", "runtime"} <= set(record["machine"])


def test_matrices_of_a_row_are_found_by_its_name(checkout):
    found = metrics.PhotoMatrices(("a",), np.ones((1, 2, 2), int), ("sky", "tree"), model="m")
    (checkout / "results" / "matrices").mkdir()
    metrics.save_matrices(checkout / "results" / "matrices" / "m.npz", found)
    assert np.array_equal(results.matrices("m").matrices, found.matrices)
    with pytest.raises(KeyError, match=r"no matrices 'n' in results/matrices/; there are: m"):
        results.matrices("n")


CHANGES = {
    "changed": lambda root: (root / "segcore" / "a.py").write_text("2\n"),
    "new": lambda root: (root / "experiments" / "b.py").touch(),
    "gone": lambda root: (root / "experiments" / "a.py").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_tree_with_changes_is_refused_unless_it_is_a_trial(checkout, change, monkeypatch, capsys):
    CHANGES[change](checkout)
    with pytest.raises(results.DirtyTreeError, match=r"[ab].py: changed and not committed"):
        results.record("speed", {"ratio": 1})
    with pytest.raises(SystemExit):
        results.parse(results.parser("Measures."))
    assert "--trial" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["a.py", "--trial"])
    options = results.parse(results.parser("Measures."))
    path = results.record("speed", {"ratio": 1}, trial=options.trial)
    assert json.loads(path.read_text())["record"]["commit"].endswith("+")
    assert not (checkout / "results" / "speed.json").exists() and checkout not in path.parents


def test_prose_and_records_may_change_meanwhile(checkout):
    results.record("speed", {"ratio": 1})
    (checkout / "README.md").write_text("changed")
    assert results.record("speed", {"ratio": 2}).exists()


def test_without_git_nothing_is_recorded(checkout, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", checkout.parent / "elsewhere")
    with pytest.raises(results.DirtyTreeError, match="not a git checkout"):
        results.record("speed", {"ratio": 1})
    assert results.record("speed", {"ratio": 1}, trial=True).exists()


def test_what_is_no_number_is_refused(checkout):
    with pytest.raises(ValueError, match="JSON"):
        results.record("speed", {"ratio": float("nan")})
    assert not (checkout / "results" / "speed.json").exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../shared", "../shared"),
        ("/somebody/data/voc", "voc"),
        ("--shared=/somebody/data/voc", "--shared=voc"),
        ("--rate=0.1", "--rate=0.1"),
        ("ROOT/runs/a", "runs/a"),
        ("--out=ROOT/runs/a", "--out=runs/a"),
        ("ROOT-other/a", "a"),
    ],
)
def test_a_command_names_no_folder_of_this_machine(given, kept):
    root = str(Path(results.__file__).resolve().parents[2])
    assert results.relative(given.replace("ROOT", root)) == kept


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("speed.table.lost", "no 'lost' there; there is: ratio"),
        ("speed.table.ratio.deeper", "no 'deeper' there"),
        ("other.ratio", "recorded: speed"),
    ],
)
def test_unknown_key_says_what_there_is(checkout, key, words):
    results.record("speed", {"table": {"ratio": 31.5}})
    with pytest.raises(KeyError, match=words):
        results.get(key)


def test_every_committed_record_is_complete_and_names_no_machine():
    paths = sorted(results.folder().glob("*.json"))
    assert len(paths) >= 4
    for path in paths:
        record = json.loads(path.read_text())["record"]
        assert record["command"].startswith("python "), path
        assert re.match(r"[0-9a-f]{7,}\+?$", record["commit"]), path
        assert re.match(r"\d{4}-\d\d-\d\d$", record["date"]), path
        assert not re.search(r"/(home|root|work|Users)/", path.read_text()), path
