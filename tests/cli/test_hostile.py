"""The short form of `tests/hostile.py`: hostile files and command lines, two of each kind."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "hostile.py"


@pytest.mark.slow
def test_forty_hostile_runs():
    typed = [sys.executable, str(SCRIPT), "--quick", "--runs", "40", "--seed", "3"]
    done = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 runs, 40 right, 0 wrong" in done.stdout
