"""What every test shares: where the data beside the repository lies, which kind a test is, order.

Under xdist a file of tests is one piece of work, since its fixtures are shared, but each page of
the book and each notebook is a piece of its own. Long pieces begin first and short ones fill up the
end, so that no core waits.
"""

import os
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
KINDS = ("book", "browser")  # a folder of tests whose tests carry its name as their marker
# A worker is one process among several: its libraries take one core each.
LIMITED = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
PIECES = (
    *("test_every_output_comes_out_again", "test_page[", "test_looks["),
    "test_killed_at_random_moments",
)
FIRST = (
    *("training/test_processes", "test_notebooks", "cli/test_hostile", "quantisation/"),
    *("export/", "inference/", "models/", "training/", "test_live", "cli/", "test_widgets"),
)
LAST = ("browser/test_pages",)

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.update(dict.fromkeys(LIMITED, "1"))  # before any test imports TensorFlow


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler whose pieces are files, or single tests of those in PIECES."""
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, name = nodeid.partition("::")
            return nodeid if name.startswith(PIECES) else file

    config.option.loadscopereorder = False
    return Pieces(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of the folders in KINDS; under xdist puts long pieces first."""
    for item in items:
        for kind in KINDS:
            if TESTS / kind in item.path.parents:
                item.add_marker(kind)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


def rank(nodeid: str) -> int:
    """The earlier a piece of work should begin, the smaller."""
    places = [i for i, part in enumerate(FIRST) if part in nodeid]
    return min(places, default=len(FIRST) + any(part in nodeid for part in LAST))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `../shared`: real photos, masks and weights that a reader's machine lacks."""
    folder = TESTS.parents[1] / "shared"
    if folder.is_dir():
        return folder
    reason = "the folder ../shared (real photos, masks and weights) is not beside the repository"
    if os.environ.get("CI"):
        pytest.fail(reason + "; in CI it must be")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def voc_root(shared: Path) -> Path:
    """A VOC2012 folder in the official layout: 509 train and 416 val photos with masks."""
    return shared / "voc2012" / "VOCdevkit" / "VOC2012"
