"""Every output of every chapter comes out again, from the wheel, in an empty folder (nbval)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import count_cells
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "chapters").glob("[0-9][0-9]-*.ipynb"))
LIMITS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
NBVAL = [
    *("-q", "-c", "pytest.ini", "--rootdir", ".", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("--nbval", "--nbval-cell-timeout", "300", "--junit-xml", "report.xml"),
    *("--nbval-sanitize-with", str(ROOT / "tests" / "nbval_sanitize.cfg")),
]


@pytest.fixture
def environment(installed):
    """A reader's: the wheel, TensorFlow as `make chapters` has it, and no limits of a worker."""
    kept = {name: value for name, value in os.environ.items()
            if name not in LIMITS and not name.startswith(("PYTEST_", "COV_"))}  # fmt: skip
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return kept | quiet | {"PYTHONPATH": str(installed)}


def test_segcore_is_taken_from_the_wheel(environment, installed, tmp_path):
    code = "import segcore; print(segcore.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert Path(said.stdout.strip()).is_relative_to(installed), said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_output_comes_out_again(notebook, environment, tmp_path):
    shutil.copy(notebook, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", *NBVAL, notebook.name]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert count_cells.main([str(tmp_path / "report.xml"), str(notebook)]) == 0
