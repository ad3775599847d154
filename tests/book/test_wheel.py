"""The wheel: built without a network, it holds all that a reader without the repository needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_wheel_holds_everything(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {f"segcore/{path.relative_to(ROOT / 'segcore').as_posix()}" for path in files()}
    assert package <= names
    assert any(name.endswith(".npz") for name in package)
    assert {"segcore/display/overlay.js", "segcore/display/frames.js"} <= names
    records = {f"segcore/_results/{path.name}" for path in (ROOT / "results").glob("*.json")}
    assert records and records <= names
    assert {"LICENSE", "LICENSE-weights"} <= {Path(n).name for n in names if "licenses/" in n}
    assert not [n for n in names if n.startswith(("tests", "book", "chapters", "scripts"))]
    assert wheel.stat().st_size < 14e6


def files() -> list[Path]:
    """Everything of segcore that is no cache."""
    return [
        path
        for path in (ROOT / "segcore").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


def run(installed: Path, empty: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HOME": str(empty)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=empty, env=environment, capture_output=True, text=True
    )


def test_installed_wheel_finds_its_numbers_and_scripts(installed, tmp_path):
    code = (
        "import segcore, numpy as np; from segcore.course import results;"
        "from segcore.display import overlay;"
        "print(segcore.__file__); print(results.get('voc.photos'));"
        "print(len(overlay.MaskOverlay(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8),"
        " alt='a').to_html()) > 1000)"
    )
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    place, photos, drawn = done.stdout.split()
    assert Path(place).is_relative_to(installed)
    assert int(photos) == 416
    assert drawn == "True"


def test_installed_command_segments_a_photo(installed, tmp_path):
    import skimage.data
    from PIL import Image

    Image.fromarray(skimage.data.chelsea()).save(tmp_path / "chelsea.png")
    done = run(installed, tmp_path, "-m", "segcore", "predict", "chelsea.png")
    assert done.returncode == 0, done.stderr
    assert "cat" in done.stdout


@pytest.mark.parametrize("model", ["phone", "sharp"])
def test_predict_answers_without_a_training_framework(installed, tmp_path, model):
    import skimage.data
    from PIL import Image

    Image.fromarray(skimage.data.chelsea()).save(tmp_path / "chelsea.png")
    code = (
        "import sys; from segcore.cli import main as cli;"
        "code = cli.main(['predict', 'chelsea.png', '--model', sys.argv[1]]);"
        "print('loaded', sorted({'tensorflow', 'keras', 'jax', 'scipy'} & set(sys.modules)));"
        "sys.exit(code)"
    )
    done = run(installed, tmp_path, "-c", code, model)
    assert done.returncode == 0, done.stderr
    assert "cat" in done.stdout and "loaded []" in done.stdout
