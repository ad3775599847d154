"""Numbers by key, and the record of where they come from."""

import json
import re

import pytest

from segcore.course import results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "folder", lambda: tmp_path)
    return tmp_path


def test_what_is_recorded_can_be_read_by_key(folder):
    results.record("speed", {"table": {"ratio": 31.5}}, seed=3)
    assert results.get("speed.table.ratio") == 31.5
    record = json.loads((folder / "speed.json").read_text())["record"]
    assert record["seed"] == 3 and record["versions"]["numpy"]
    assert set(record) == {"command", "commit", "versions", "seed", "device", "date"}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("speed.table.lost", "no 'lost' there; there is: ratio"),
        ("speed.table.ratio.deeper", "no 'deeper' there"),
        ("other.ratio", "recorded: speed"),
    ],
)
def test_unknown_key_says_what_there_is(folder, key, words):
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
