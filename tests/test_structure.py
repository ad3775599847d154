"""The house plan: imports go one way, few rooms, light packages stay light, every room has a sign.

All of it is read from the sources with `ast`, imports inside functions included, so that nothing is
excused by being imported late.
"""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SEGCORE = Path(__file__).resolve().parents[1] / "segcore"
# A package imports only from those before it; the helpers import from none but each other.
HELPERS = {"_errors", "_files", "_keras"}
ORDER = ["data", "shipped", "metrics", "models", "training", "export", "quantisation", "inference",
         "display", "course", "cli"]  # fmt: skip
LIGHT = ["data", "metrics", "inference", "display", "course.checks", "cli"]
HEAVY = {"tensorflow", "keras", "jax"}


def module(path: Path) -> str:
    """The dotted name of the file `path`; that of the package for its `__init__`."""
    parts = path.relative_to(SEGCORE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in sorted(SEGCORE.rglob("*.py"))}
FRONT = {"segcore", "segcore.__main__"}  # the front door stands above all rooms


def imported(name: str, source: str) -> set[str]:
    """The modules of segcore that module `name` with text `source` imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; write segcore.…"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
    return {target for target in found if target.split(".")[0] == "segcore"}


IMPORTS = {name: imported(name, path.read_text("utf-8")) for name, path in MODULES.items()}


def room(name: str) -> str:
    """`data` for `segcore.data.voc`."""
    return name.split(".")[1]


def backward(imports: dict[str, set[str]]) -> list[str]:
    """The imports that go up again, from a package to a later one, or out at the front door."""
    floor = dict.fromkeys(HELPERS, 0) | {name: i for i, name in enumerate(ORDER, start=1)}
    return [
        f"{name} imports {target}"
        for name, targets in imports.items()
        for target in targets
        if name not in FRONT and (target in FRONT or floor[room(target)] > floor[room(name)])
    ]


def test_every_room_has_its_floor():
    assert {room(name) for name in set(MODULES) - FRONT} == HELPERS | set(ORDER)


def test_no_import_goes_back_up():
    assert backward(IMPORTS) == []


def test_modules_stand_in_an_order():
    tuple(TopologicalSorter(IMPORTS).static_order())  # CycleError names a circle


def test_a_circle_and_an_arrow_back_would_be_seen():
    late = "def f():\n    from segcore.display import overlay\n"
    wrong = {"segcore.data.voc": imported("segcore.data.voc", late)}
    assert backward(wrong) == ["segcore.data.voc imports segcore.display.overlay"]
    with pytest.raises(ValueError, match="nodes are in a cycle"):
        tuple(
            TopologicalSorter(
                wrong | {"segcore.display.overlay": {"segcore.data.voc"}}
            ).static_order()
        )


def test_the_top_stays_small():
    top = [path.name for path in SEGCORE.iterdir() if path.name != "__pycache__"]
    assert "py.typed" in top
    assert len(top) <= 18, sorted(top)


@pytest.mark.parametrize("name", MODULES)
def test_module_says_what_it_is(name):
    said = ast.get_docstring(ast.parse(MODULES[name].read_text("utf-8")))
    assert said, f"{name} has no docstring"
    assert said.splitlines()[0].endswith((".", ":")), f"{name} begins with no sentence"


def test_light_packages_load_no_framework_and_names_load_on_first_use():
    names = [name for name in MODULES if name.removeprefix("segcore.").startswith(tuple(LIGHT))]
    code = f"""
import importlib, sys, segcore
early = [name for name in sys.modules if name.startswith("segcore.")]
assert early == [], early
assert [hasattr(segcore, name) for name in segcore.__all__] == [True] * len(segcore.__all__)
assert set(segcore.__all__) <= set(dir(segcore)) and not hasattr(segcore, "no_such_name")
import segcore.display.overlay, segcore.display.frames
assert "matplotlib" not in sys.modules, "a mask needs no plots"
for name in ["segcore", *{names}]:
    importlib.import_module(name)
    heavy = {HEAVY} & set(sys.modules)
    assert not heavy, f"{{name}} imports {{heavy}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "home"),
    [
        ("12.92", "data.srgb"),  # the sRGB curve
        ("b64encode", "display.pictures"),  # data URIs
        ("def neighbours", "data.images"),  # bilinear resampling
        ("before + 1", "data.images"),
        ("def percent", "metrics.scores"),  # fractions in print
        ("/proc/cpuinfo", "inference.machine"),
    ],
)
def test_what_several_rooms_need_stands_once(code, home):
    found = [name for name, path in MODULES.items() if code in path.read_text("utf-8")]
    assert found == [f"segcore.{home}"]


def test_the_api_page_lists_every_module():
    page = (SEGCORE.parent / "book" / "api.md").read_text("utf-8")
    listed = set(re.findall(r"\[\[api ([\w.]+)\]\]", page))
    inside = {name.removeprefix("segcore.") for name in set(MODULES) - FRONT if "._" not in name}
    public = {name for name in inside if not name.startswith(("cli", "course.exercises"))}
    packages = {name for name in inside if any(other.startswith(f"{name}.") for other in inside)}
    assert listed == public - packages
