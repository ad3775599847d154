"""The commands around the book say what helps when something is missing."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import count_cells
import find_chromium
import nbformat
import pytest
import serve
import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_make_help_lists_every_command():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for command in ("book", "check", "test", "chapters", "lint", "lock", "lowest"):
        assert f"make {command} " in said


def test_without_a_fitting_python_one_sentence_says_what_to_do(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    script = (ROOT / "scripts" / "make_venv.sh").read_text().replace("/usr/bin/python3", "")
    (scripts / "make_venv.sh").write_text(script)
    broken = tmp_path / "bin"
    broken.mkdir()
    for name in (
        "python3.13",
        "python3.12",
        "python3.11",
        "python3",
        "python",
    ):  # shims that do not run
        (broken / name).write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
        (broken / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "scripts/make_venv.sh"],
        cwd=tmp_path,
        env={"PATH": f"{broken}:/bin:/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13 was found" in done.stderr
    assert "make book PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def named_python(tmp_path):
    """`named_python(minor)` → what make_venv.sh says, with a Python 3.`minor` that was named.

    In a folder where .venv holds a Python 3.11. Nothing is installed: these Pythons only pretend.
    """
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")

    def pretend(path: Path, minor: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PRETENDED.format(real=sys.executable, minor=minor))
        path.chmod(0o755)
        return path

    def said(minor: int) -> subprocess.CompletedProcess:
        pretend(tmp_path / ".venv" / "bin" / "python", 11)
        named = pretend(tmp_path / "mine" / f"python3.{minor}", minor)
        return subprocess.run(
            ["/bin/bash", "scripts/make_venv.sh"],
            cwd=tmp_path,
            env=os.environ | {"PYTHON": str(named)},
            capture_output=True,
            text=True,
        )

    return said


PRETENDED = """#!/bin/sh
case "$1 $2" in
  "-m venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip") ;;
  *) exec {real} -c "import sys; sys.version_info = (3, {minor}); exec(sys.argv[1])" "$2" ;;
esac
"""


@pytest.mark.parametrize("minor", [10, 14])
def test_a_named_python_that_does_not_fit_is_refused_with_a_sentence(named_python, minor):
    done = named_python(minor)
    assert done.returncode == 1
    assert f"is Python 3.{minor}; the course needs a Python 3.11, 3.12 or 3.13" in done.stderr


@pytest.mark.parametrize(("minor", "anew"), [(11, False), (12, True), (13, True)])
def test_a_named_python_of_another_version_makes_the_environment_anew(named_python, minor, anew):
    done = named_python(minor)
    assert done.returncode == 0, done.stderr
    assert (f"Making .venv with Python 3.{minor} ..." in done.stdout) == anew


def test_chromium_can_be_named(monkeypatch):
    monkeypatch.setenv("CHROMIUM", sys.executable)
    assert find_chromium.find() == sys.executable
    monkeypatch.setenv("CHROMIUM", "/no/such/browser")
    with pytest.raises(FileNotFoundError, match="/no/such/browser"):
        find_chromium.find()


def test_hopeless_search_for_chromium_ends_with_help(monkeypatch, capsys):
    monkeypatch.setattr(find_chromium, "find", lambda: None)
    monkeypatch.setattr(find_chromium, "attempt", lambda *_: False)
    assert find_chromium.main(["--fetch"]) == 1
    assert "CHROMIUM=/path/to/chrome make test" in capsys.readouterr().err


def test_taken_port_is_explained(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert serve.main(taken.getsockname()[1]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_the_address_of_the_repository_stands_in_two_places_that_agree():
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    written_by_hand = [
        path
        for pattern in ("*.md", "*.toml", "*.cff", "book/*.md", "chapters/*.md", "s*/*.py")
        for path in ROOT.glob(pattern)
        if address in path.read_text(encoding="utf-8")
    ]
    assert [path.name for path in written_by_hand] == ["pyproject.toml"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(url.startswith(address) for url in project["urls"].values())
    assert project["urls"]["Repository"] == address


def test_lock_file_has_exact_versions_and_no_address():
    lines = (ROOT / "requirements.lock.txt").read_text().splitlines()
    assert len(lines) > 100
    for line in lines:
        assert re.match(r"[\w.-]+==[\w.]+( ; .+)?$", line), line
        assert "://" not in line


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_front_pages_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (ROOT / target).is_file(), target


@pytest.mark.parametrize(("ran", "status"), [(2, 0), (1, 1)])
def test_cells_that_were_never_compared_are_noticed(tmp_path, capsys, ran, status):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1") for _ in range(2)])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    (tmp_path / "report.xml").write_text(
        f'<testsuites><testsuite tests="{ran}" skipped="0" errors="0" failures="0"/></testsuites>'
    )
    assert count_cells.main([str(tmp_path / "report.xml"), str(tmp_path / "a.ipynb")]) == status
    said = capsys.readouterr()
    assert ("All 2 cells" in said.out) == (status == 0)
    assert ("1 cells were compared, the chapters have 2" in said.err) == (status == 1)
