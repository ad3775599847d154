"""How the live page is put together: what is fetched, checked, filled in and kept."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import build_live
import numpy as np
import pytest
import vendor_live
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "book" / "live"
BUILT = ROOT / "_build" / "html" / "book" / "live"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """No download yet, no npm and no pip that works, unless a test says so."""
    monkeypatch.setattr(vendor_live, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(vendor_live, "runs", lambda command: False)
    return tmp_path / "cache"


def archive(path: Path, **files: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_without_npm_and_network_the_build_goes_on_with_the_cdn(empty_cache, tmp_path, capsys):
    with pytest.raises(vendor_live.Unreachable, match="no npm, and pip could not bring one"):
        vendor_live.vendor(tmp_path / "litert")
    assert vendor_live.main([str(tmp_path / "litert")]) == 1
    assert "will use its CDN" in capsys.readouterr().err
    assert not (tmp_path / "litert").exists()


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit, match="name a new one, or empty it first"):
        build_live.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_runtime_replaces_its_own_files_alone(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(vendor_live, "package", lambda name: name)
    monkeypatch.setattr(vendor_live, "read", lambda *name: b'from "@litertjs/wasm-utils"')
    (tmp_path / "thesis.txt").write_text("mine")
    for _ in range(2):
        vendor_live.vendor(tmp_path)
    assert (tmp_path / "thesis.txt").exists() and (tmp_path / "index.js").exists()


def test_pip_brings_npm_where_there_is_none(empty_cache, monkeypatch):
    commands = []
    monkeypatch.setattr(vendor_live.shutil, "which", lambda name: None)
    monkeypatch.setattr(vendor_live, "runs", lambda command: commands.append(command) or True)
    program, script = vendor_live.npm()
    assert commands[0][1:4] == ["-m", "pip", "install"] and commands[0][-1] == vendor_live.NODE
    assert re.fullmatch(r"[\w-]+==[\d.]+", vendor_live.NODE)
    assert Path(program).is_relative_to(empty_cache) and script.endswith("npm-cli.js")


def test_another_package_than_the_pinned_one_is_refused(empty_cache, tmp_path):
    path = empty_cache / f"litertjs-core-{vendor_live.VERSION}.tgz"
    archive(path, **{"dist/index.js": b"evil()"})
    with pytest.raises(ValueError, match="is not the pinned package: sha512 "):
        vendor_live.vendor(tmp_path / "litert")
    assert not path.exists()


def test_runtime_is_complete_and_imports_by_path():
    names = {path.name for path in (BUILT / "litert").iterdir()}
    builds = {f"{build}{suffix}" for build in vendor_live.BUILDS for suffix in (".js", ".wasm")}
    assert names == builds | {"index.js", "wasm-utils.js"}
    imports = re.findall(r'from "([^"]+)"', (BUILT / "litert" / "index.js").read_text())
    assert imports == ["./wasm-utils.js"]
    assert not re.search(
        r"^import ", (BUILT / "litert" / "wasm-utils.js").read_text(), re.MULTILINE
    )


def test_nothing_is_left_unfilled_and_nothing_comes_from_elsewhere():
    for path in sorted(SOURCE.iterdir()):
        text = (BUILT / path.name).read_text(encoding="utf-8")
        assert not re.search(r"\{\{\w+\}\}", text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org)", text.replace(" https:// ", " ")), (
            path.name
        )


def test_what_is_named_is_there():
    config = json.loads((BUILT / "live.json").read_text())
    names = [*config["keep"], config["runtime"]["module"]]
    names += [entry["file"] for entry in config["models"].values()]
    names += json.loads(re.search(r"FILES = (.*);", (BUILT / "sw.js").read_text())[1])
    manifest = json.loads((BUILT / "live.webmanifest").read_text())
    names += [icon["src"] for icon in manifest["icons"]]
    names += re.findall(r'(?:src|href)="([^"#:]+)"', (BUILT / "index.html").read_text())
    for name in names:
        assert (BUILT / name).exists(), name
    for icon in manifest["icons"]:
        if icon["sizes"] != "any":
            with Image.open(BUILT / icon["src"]) as image:
                assert f"{image.width}x{image.height}" == icon["sizes"]
    scripts = {path.name for path in SOURCE.glob("*.js")} - {"sw.js"}
    assert scripts <= set(names)  # the service worker keeps every one of them


def test_icon_shows_the_course_sign():
    pixels = np.asarray(build_live.icon(96, 0.0)).astype(int)
    assert np.abs(pixels[50, 48] - (0xC2, 0x57, 0x1A)).max() < 4  # the cat
    assert np.abs(pixels[8, 48] - (0x1D, 0x27, 0x33)).max() < 4  # the phone
    assert (pixels[48, 3] == 255).all()
    assert (np.asarray(build_live.icon(96, 0.2))[:12] == 255).all()


def test_every_class_has_an_ink_of_its_own():
    rows = build_live.classes()
    assert [row["name"] for row in rows][:2] == ["background", "aeroplane"] and len(rows) == 21
    inks = {(row["color"], row["pattern"]) for row in rows}
    assert len(inks) == 21


@pytest.mark.parametrize("vendored", [True, False])
def test_policy_and_page_say_where_the_runtime_is_from(vendored, tmp_path):
    for name in ("index.html", "sw.js"):
        (tmp_path / name).write_text((SOURCE / name).read_text())
    models = {name: {"mb": "1.0"} for name in ("int8", "float16", "sharp")}
    build_live.fill_in(tmp_path, {"runtime": build_live.runtime(vendored), "models": models})
    page, worker = ((tmp_path / name).read_text() for name in ("index.html", "sw.js"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert f'"{policy}"' in worker
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert sources["default-src"] == "'none'"
    assert sources["connect-src"] == ("'self'" if vendored else f"'self' {build_live.CDN}")
    assert "'unsafe-inline'" not in policy and "'unsafe-eval'" not in policy
    assert (build_live.CDN in page) == (not vendored)
    assert ("from our own server" in page) == vendored


def test_another_content_is_another_version(tmp_path):
    versions = set()
    for content in ("a", "b"):
        folder = tmp_path / content
        folder.mkdir()
        for name in ("index.html", "sw.js"):
            (folder / name).write_text((SOURCE / name).read_text())
        (folder / "mask.js").write_text(content)
        config = {"runtime": build_live.runtime(True), "models": {}}
        (folder / "index.html").write_text("{{policy}}")
        build_live.fill_in(folder, config)
        versions.add(re.search(r'"live (\w+)"', (folder / "sw.js").read_text())[1])
    assert len(versions) == 2


def test_float16_file_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(vendor_live, "CACHE", tmp_path)
    sources = ("models/checkpoint.py", "models/deeplab.py", "export/convert.py")
    parts = [build_live.CHECKPOINT, *(ROOT / "segcore" / name for name in sources)]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:12]
    ready = tmp_path / f"float16_257_{key}.tflite"
    ready.write_bytes(b"made before")
    assert build_live.float16() == ready and ready.read_bytes() == b"made before"


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.js")), ids=lambda path: path.name)
def test_scripts_are_small_and_say_what_they_do(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert lines[0].startswith("// ")
    assert max(map(len, lines)) <= 230  # sentences for people stand on one line
