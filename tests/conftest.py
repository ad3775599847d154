"""Fixtures for every test: where the data beside the repository lies, if it is there."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `../shared`: real photos, masks and weights that a reader's machine lacks."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if folder.is_dir():
        return folder
    reason = "the folder ../shared (real photos, masks and weights) is not beside the repository"
    if os.environ.get("CI"):
        pytest.fail(reason + "; in CI it must be")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def voc_root(shared: Path) -> Path:
    """A VOC2012 folder in the official layout: 52 train and 40 val photos with masks."""
    return shared / "voc" / "VOCdevkit" / "VOC2012"
