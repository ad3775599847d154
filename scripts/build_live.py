"""Makes the live page: book/live/, the runtime, three networks, samples and icons in one folder.

    python scripts/build_live.py FOLDER

FOLDER must be new or empty. `make book` runs this beside Sphinx. The int8 networks are those that
segcore ships; the float16 one is exported from the shipped checkpoint (half a minute) and kept in
_build/cache until the checkpoint or the exporter changes: 5 MB that anybody can make need not be in
the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import vendor_live

from segcore import shipped

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "book" / "live"
CHECKPOINT = shipped.FLOAT.file_for(shipped.PHONE.size)
ICON = ROOT / "book" / "assets" / "favicon.svg"
EXPORTERS = (
    "models/checkpoint.py",
    "models/deeplab.py",
    "export/convert.py",
)  # what else decides the float16 file
SIZE, SHARP_SIZE = shipped.PHONE.size, shipped.SHARP.size
CDN = "https://cdn.jsdelivr.net/"
WASM_MB = 9.4  # one of the runtime's builds: a browser fetches one
SAMPLES = {  # name in skimage.data, what is on it, what stands under it
    "chelsea": ("A tabby cat, looking at you", "Cat"),
    "astronaut": ("Eileen Collins in her space suit, before a flag", "Astronaut"),
    "stereo_motorcycle": ("A motorbike in a workshop", "Motorbike"),
    "coffee": ("A cup of coffee with a spoon on a wooden table", "Coffee"),
}
# Classes of one hue differ by pattern; those that a phone sees most often are plain.
PATTERNS = {
    0: "car person chair bird diningtable dog tvmonitor",
    1: "motorbike cat pottedplant cow sofa bottle bus",
    2: "aeroplane bicycle sheep boat train horse",
}


def build(folder: Path) -> None:
    """Fills `folder`, new or empty, with the finished page."""
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"{folder}: there are files in this folder; name a new one, or empty it first")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    try:
        vendor_live.vendor(folder / "litert")
        vendored = True
    except vendor_live.Unreachable as reason:
        print(f"{reason}; the live page will use its CDN.", flush=True)
        vendored = False
    (folder / "models").mkdir()
    shutil.copy(shipped.PHONE.file, folder / "models" / "int8.tflite")
    shutil.copy(shipped.SHARP.file, folder / "models" / "sharp.tflite")
    shutil.copy(float16(), folder / "models" / "float16.tflite")
    write_samples(folder / "samples")
    draw_icons(folder)
    config = configuration(folder, vendored)
    (folder / "live.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    fill_in(folder, config)


def float16() -> Path:
    """The float16 network, exported unless the cache has it."""
    parts = [CHECKPOINT, *(ROOT / "segcore" / name for name in EXPORTERS)]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:12]
    path = vendor_live.CACHE / f"float16_{SIZE}_{key}.tflite"
    if not path.exists():
        from segcore._files import write_bytes
        from segcore.export.convert import to_tflite
        from segcore.export.labels import with_labels
        from segcore.models import pretrained

        network = pretrained.load(SIZE, shipped.PHONE.made_from, batch_size=1)
        content = with_labels(to_tflite(network, "float16"), shipped.FLOAT.class_names)
        for old in path.parent.glob(f"float16_{SIZE}_*.tflite"):
            old.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    return path


def write_samples(folder: Path) -> None:
    """The photos of skimage.data that may be shown, as JPEG."""
    import skimage.data
    from PIL import Image

    folder.mkdir()
    for name in SAMPLES:
        photo = getattr(skimage.data, name)()
        photo = photo[0] if isinstance(photo, tuple) else photo
        Image.fromarray(photo).save(folder / f"{name}.jpg", quality=90)


def draw_icons(folder: Path) -> None:
    """The course's sign as PNG: phones want pixels. The maskable one keeps clear of the edge."""
    shutil.copy(ICON, folder / "icon.svg")
    for name, side, margin in (("192", 192, 0.02), ("512", 512, 0.02), ("maskable", 512, 0.16)):
        icon(side, margin).save(folder / f"icon-{name}.png", optimize=True)


def icon(side: int, margin: float) -> Any:
    """The rectangles of favicon.svg, `side` pixels square on white, `margin` (0..1) around."""
    from PIL import Image, ImageDraw

    svg = ElementTree.parse(ICON).getroot()
    large = 4 * side  # drawn large and shrunk: smooth edges
    scale = large * (1 - 2 * margin) / float(svg.attrib["viewBox"].split()[2])
    image = Image.new("RGB", (large, large), "white")
    for parent in svg.iter():
        for shape in parent.findall("{*}rect"):
            x, y, w, h, r = (
                float(shape.get(name, 0)) * scale for name in ("x", "y", "width", "height", "rx")
            )
            left, top = x + large * margin, y + large * margin
            fill = shape.get("fill") or parent.get("fill")
            ImageDraw.Draw(image).rounded_rectangle((left, top, left + w, top + h), r, fill)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def configuration(folder: Path, vendored: bool) -> dict[str, Any]:
    """What the scripts must know: runtime, networks, classes, and what to keep offline."""
    models = {name: {"file": f"models/{name}.tflite"} for name in ("int8", "float16", "sharp")}
    for entry in models.values():
        entry["mb"] = f"{(folder / entry['file']).stat().st_size / 1e6:.1f}"
    samples = [f"samples/{name}.jpg" for name in SAMPLES]
    return {
        "size": SIZE,
        "runtime": runtime(vendored),
        "models": models,
        "classes": classes(),
        "keep": [*(entry["file"] for entry in models.values()), *samples],
        "first_visit_mb": f"{WASM_MB + sum(float(entry['mb']) for entry in models.values()):.0f}",
    }


def runtime(vendored: bool) -> dict[str, Any]:
    """Where the page finds LiteRT.js: beside itself, or on the CDN."""
    base = f"{CDN}npm/@litertjs/core@{vendor_live.VERSION}/"
    return {
        "name": f"@litertjs/core {vendor_live.VERSION}",
        "vendored": vendored,
        "module": "litert/index.js" if vendored else f"{base}+esm",
        "wasm": "litert/" if vendored else f"{base}wasm/",
    }


def classes() -> list[dict[str, Any]]:
    """Name, colour and pattern of each class: the book's colours for everybody."""
    from segcore.display.legend import SAFE

    pattern = {name: number for number, names in PATTERNS.items() for name in names.split()}
    inks = ["#000000", *(SAFE[i % len(SAFE)] for i in range(1, len(shipped.PHONE.class_names)))]
    return [
        {"name": name, "color": ink, "pattern": pattern.get(name, 0)}
        for name, ink in zip(shipped.PHONE.class_names, inks, strict=True)
    ]


def fill_in(folder: Path, config: dict[str, Any]) -> None:
    """Puts policy, samples, sizes, file list and version where the sources have double braces."""
    vendored = config["runtime"]["vendored"]
    origin = "from our own server" if vendored else f"from a CDN ({CDN})"
    values = {
        "policy": policy(vendored),
        "cdn": CDN if not vendored else "none:",
        "allowed": "but to this page's own address"
        + ("" if vendored else f" and to {CDN}, where the runtime comes from"),
        "runtime": f"The runtime is {config['runtime']['name']}, {origin}.",
        "samples": "".join(sample_button(name) for name in SAMPLES),
        "size": str(SIZE),
        "sharp_size": str(SHARP_SIZE),
        **{f"{name}_mb": entry["mb"] for name, entry in config["models"].items()},
    }
    replace(folder / "index.html", values)
    small = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    values["files"] = json.dumps(["./", *(n for n in small if n not in ("sw.js", "index.html"))])
    digests = [
        hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    values["version"] = hashlib.sha256(b"".join(digests)).hexdigest()[:12]
    replace(folder / "sw.js", values)


def policy(vendored: bool) -> str:
    """The content security policy: nothing but this site, and the CDN where it is needed."""
    also = "" if vendored else f" {CDN}"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval'{also}",
            f"connect-src 'self'{also}",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def sample_button(name: str) -> str:
    """A button with a sample photo."""
    alt, label = SAMPLES[name]
    picture = f'<img src="samples/{name}.jpg" alt="{alt}" width="160" height="120">'
    return f'<button type="button" disabled>{picture}{label}</button>'


def replace(path: Path, values: dict[str, str]) -> None:
    """Fills each `{{name}}` in the file at `path`. KeyError for a name that has no value."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], text)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(ROOT))
    build(Path(sys.argv[1]))
