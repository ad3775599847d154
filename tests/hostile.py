"""Runs the real command on hostile files and command lines, and counts what it does to them.

    python tests/hostile.py --runs 500 --seed 0

Each run is drawn from the seed and its number alone. It happens in a forked process and a folder of
its own, and must end without a crash, a traceback or a hang, with exit code 0 or 2; each complaint
is one line, a file that is to blame is named; no input changes, nothing half-written stays, every
mask that appears is whole, and a broken network gives none. `--quick` leaves out TensorFlow.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, features
from voc_folder import write_voc

from segcore import shipped
from segcore.cli.common import one_line
from segcore.cli.main import main as segcore
from segcore.data import voc
from segcore.export import tflite

LIMIT = 120  # seconds, then it hangs
FORMATS = ["jpg", "png", "webp", "tif", "gif", "bmp", "ppm"] + ["avif"] * features.check("avif")
Random = np.random.Generator


@dataclass
class Case:
    """What is typed, and what must come of it: `codes`; `blames` is a name in the complaint."""

    typed: list[str]
    codes: tuple[int, ...] = (0, 2)
    blames: str = ""
    shell: str = ""  # around the command, as a process of its own
    masks: bool = True  # whether any may appear


# --- files ---------------------------------------------------------------------------------------


def photo(random: Random, kind: str = "png", side: int = 120) -> bytes:
    """A whole picture, of a mode and with options that the format has."""
    top, left = random.integers(0, 300, 2)
    pixels = skimage.data.astronaut()[top : top + side, left : left + side + 20]
    image, stream = Image.fromarray(pixels), io.BytesIO()
    modes = {"png": "L LA RGB RGBA P 1 I;16", "tif": "L RGB CMYK", "jpg": "L RGB CMYK"}
    mode = str(random.choice(modes.get(kind, "RGB").split()))
    image = image.convert("RGB").convert("L").convert(mode) if mode == "LA" else image
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode != "LA":
        image = image.convert(mode)
    exif = image.getexif()
    exif[0x0112], exif[0x010F] = int(random.integers(0, 10)), "Maker"
    options = {"exif": exif} if kind in ("jpg", "png", "webp", "avif", "tif") else {}
    options |= {"progressive": True} if kind == "jpg" and random.random() < 0.5 else {}
    names = {"jpg": "JPEG", "tif": "TIFF"}
    image.save(stream, names.get(kind, kind.upper()), **options)
    return stream.getvalue()


def spoil(content: bytes, random: Random) -> bytes:
    """Cuts, flips, blanks, doubles or replaces a part."""
    data, length = bytearray(content), len(content)
    start, end = sorted(random.integers(0, length, 2))
    way = random.integers(6)
    if way == 0:
        return bytes(data[:start])
    if way == 1:
        data[start:end] = bytes(end - start)
    elif way == 2:
        data[start:start] = data[start:end]
    elif way == 3:
        del data[start:end]
    else:  # a few bits, in the headers half of the time
        most = min(200, length) if way == 4 else length
        for place in random.integers(0, most, random.integers(1, 12)):
            data[place] ^= 1 << random.integers(8)
    return bytes(data)


def png_header(width: int, height: int, bits: int, kind: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b"")]
    sealed = (
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


def claims(random: Random) -> bytes:
    """Headers that promise more than there is."""
    w, h = (int(n) for n in random.choice([0, 9_999, 10_001, 65_535, 2**31 - 1], 2))
    return [
        png_header(w, h, int(random.choice([1, 2, 4, 8, 16])), int(random.integers(0, 7))),
        f"P6 {w} {h} 255\n".encode() + bytes(99),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, w, -h, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a" + struct.pack("<HHBBB", w % 65536, h % 65536, 0xF7, 0, 0) + bytes(768) + b",",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n%%EOF\n",
    ][random.integers(5)]


def broken_network(random: Random) -> bytes:
    """The file for phones with a scale that is not a number, so that its scores are none."""
    file = tflite.File(shipped.PHONE.file)
    output = file.graph.tensors[file.graph.outputs[0]]
    output.quantization.scale = np.array([random.choice([np.nan, np.inf])], np.float32)
    return tflite.write(file.model)


# --- cases: (folder, random) → what to type ------------------------------------------------------


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def spoilt_photo(here: Path, random: Random) -> Case:
    kind = str(random.choice(FORMATS))
    name = f"a.{random.choice([kind, 'jpg'])}"
    write(here / name, spoil(photo(random, kind), random))
    write(here / "good.png", photo(random))
    return Case(["predict", name, "good.png"], blames=name)


def whole_photo(here: Path, random: Random) -> Case:
    kind = str(random.choice(FORMATS))
    write(here / f"a.{kind}", photo(random, kind))
    return Case(["predict", f"a.{kind}"], (0,))


def claiming_photo(here: Path, random: Random) -> Case:
    write(here / "big.png", claims(random))
    return Case(["predict", "big.png"], (2,), "big.png", masks=False)


def odd_name(here: Path, random: Random) -> Case:
    names = ["a\nb.png", "-a.png", "--out", "ä ☃.png", "a\x1b[31m.png", "%s{0}.png", "a\\b.png"]
    names += ["n" * 240 + ".png", ".png", "a.png.png", "\udcff.png", " .png", "*.png", "'\".png"]
    name = names[random.integers(len(names))]
    write(here / name, photo(random) if random.random() < 0.7 else b"text")
    dash = name.startswith("-")
    guard = ["--"] if dash and random.random() < 0.5 else []
    blames = "" if dash and not guard else name
    return Case(["predict", *guard, name], blames=blames)


def output_is_input(here: Path, random: Random) -> Case:
    write(here / "p/cat.jpg", photo(random, "jpg"))
    write(here / "p/cat_mask.png", photo(random))
    os.link(here / "p/cat_mask.png", here / "p/hard.png")
    (here / "soft.png").symlink_to("p/cat_mask.png")
    names = ["p/cat_mask.png", "p/../p/cat_mask.png", "p/hard.png", "soft.png"]
    second = [*names, str(here / "p/cat_mask.png")][random.integers(5)]
    force = ["--force"] if random.random() < 0.5 else []
    typed = ["predict", "p/cat.jpg", second, "--out", "p", *force]
    return Case(typed, (2,), "cat_mask.png", masks=False)


def output_is_taken(here: Path, random: Random) -> Case:
    write(here / "cat.jpg", photo(random, "jpg"))
    (here / "out").mkdir()
    target = here / "out" / str(random.choice(["cat_mask.png", "cat_overlay.png"]))
    way = random.integers(5)
    if way == 0:
        target.mkdir()
    elif way == 1:
        os.mkfifo(target)
    elif way == 2:
        target.symlink_to("/nowhere/at/all")
    elif way == 3:
        write(target, photo(random))
    else:
        shutil.rmtree(here / "out")
        (here / "out").write_text("mine")
        return Case(["predict", "cat.jpg", "--out", "out"], (2,), "out", masks=False)
    return Case(["predict", "cat.jpg", "--out", "out"], (2,), target.name, masks=False)


def output_goes_nowhere(here: Path, random: Random) -> Case:
    write(here / "cat.jpg", photo(random, "jpg"))
    out = str(random.choice(["/proc/segcore", "/dev/null", "cat.jpg/x", "o" * 300, "/dev/full/x"]))
    return Case(["predict", "cat.jpg", "--out", out], (2,), out, masks=False)


def numbers(here: Path, random: Random) -> Case:
    write(here / "a.png", photo(random))
    number = str(random.choice(["0", "-1", "100000", "1000001", "9" * 40, "1e9", "", "257", "nan"]))
    typed = [
        ["predict", "a.png", "--threads"],
        ["predict", "a.png", "--size"],
        ["evaluate", ".", "--threads"],
        ["benchmark", "a.png", "--rounds"],
        ["export", "--size"],
        ["export", "--photos"],
    ][random.integers(6)]
    fitting = number == "257" and "--size" in typed
    if typed[0] == "export":
        typed[1:1] = ["--calibrate", "nowhere"]
    return Case([*typed, number], (0,) if fitting and typed[0] == "predict" else (2,))


def spoilt_tflite(here: Path, random: Random) -> Case:
    write(here / "m.tflite", spoil(shipped.PHONE.file.read_bytes(), random))
    write(here / "a.png", photo(random))
    benchmark = ["benchmark", "m.tflite", "--rounds", "1"]
    typed = benchmark if random.random() < 0.2 else ["predict", "a.png", "--model", "m.tflite"]
    return Case(typed, blames="m.tflite")


def network_of_nan(here: Path, random: Random) -> Case:
    write(here / "m.tflite", broken_network(random))
    if random.random() < 0.5:
        write(here / "a.png", photo(random))
        return Case(["predict", "a.png", "--model", "m.tflite"], (2,), "m.tflite", masks=False)
    write_voc(here / "voc")
    return Case(["evaluate", "voc", "--model", "m.tflite"], (2,), "m.tflite", masks=False)


def not_a_model(here: Path, random: Random) -> Case:
    write(here / "a.png", photo(random))
    name = str(random.choice(["m.h5", "m", "m.TFLITE", "m.tflite", "phone ", "d.npz/", "a.png"]))
    if name == "d.npz/":
        (here / name).mkdir()
    elif name.startswith("m"):
        write(here / name, random.bytes(random.integers(0, 2000)))
    blames = name.strip("/ ")
    return Case(["predict", "a.png", "--model", name], (2,), blames, masks=False)


def voc_folder(here: Path, random: Random, n: int = 2) -> tuple[Path, Path, Path]:
    """A small VOC folder → its list, and one photo and mask that the list names."""
    write_voc(here / "voc", n_val=n, size=96)
    (image, mask), *_ = voc.file_pairs(here / "voc", "val")
    return next((here / "voc").rglob("val.txt")), image, mask


def spoilt_mask(here: Path, random: Random) -> Case:
    _, image, mask = voc_folder(here, random)
    spoilt = mask if random.random() < 0.8 else image
    if random.random() < 0.2:
        spoilt.write_bytes(png_header(96, 96, int(random.choice([1, 2, 4, 16])), 0))
    else:
        spoilt.write_bytes(spoil(spoilt.read_bytes(), random))
    return Case(["evaluate", "voc", *["--json"] * random.integers(2)], blames=spoilt.stem)


def spoilt_list(here: Path, random: Random) -> Case:
    listing, image, _ = voc_folder(here, random)
    name, text = image.stem, listing.read_text()
    bad = {
        "twice": f"{text}{name}\n",
        "outside": f"{text}../JPEGImages/{name}\n",
        "rooted": f"{image.with_suffix('').resolve()}\n",
        "empty": "\ufeff\n\n",
        "nul": f"{text}\0\n",
        "unknown": f"{text}nobody\n",
        "long": "n" * 5000,
        "binary": "".join(map(chr, random.integers(0, 256, 300))),
    }
    good = {"mark": f"\ufeff{text}", "dos": text.replace("\n", "\r\n"), "spaced": f"\n {text} \n\n"}
    kind = str(random.choice([*bad, *good]))
    listing.write_text((bad | good)[kind], encoding="utf-8", newline="")
    return Case(["evaluate", "voc"], (0,) if kind in good else (2,), "" if kind in good else "val")


def odd_folder(here: Path, random: Random) -> Case:
    voc_folder(here, random)
    typed = [
        ["evaluate", "voc", "--split", "../../../voc/ImageSets/Segmentation/val"],
        ["evaluate", "nowhere"],
        ["evaluate", "voc", "--split", "\0"],
        ["evaluate", "voc/JPEGImages"],
        ["predict", "voc"],
        ["predict", "/dev/null"],
        ["predict", "/dev/zero"],
        ["predict", ""],
        ["predict", "a\0b"],
        ["benchmark", "voc"],
        ["export", "--calibrate", "nowhere", "--out", "voc"],
    ][random.integers(11)]
    return Case(typed, (2,))


def odd_streams(here: Path, random: Random) -> Case:
    write(here / "a.png", photo(random))
    way = random.choice(
        ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full", "| true", "2>&1 | head -c 5"]
    )
    full = random.random() < 0.2
    return Case(
        ["predict", "a.png"], (2,) if full else (0,), shell=">/dev/full" if full else str(way)
    )


def spoilt_npz(here: Path, random: Random) -> Case:  # TensorFlow from here on
    content = shipped.FLOAT.file.read_bytes()
    way = random.integers(4)
    if way == 0:
        write(here / "m.npz", spoil(content, random))
    else:
        with np.load(io.BytesIO(content)) as stored:
            arrays = dict(stored)
        kernels = [n for n in arrays if n.endswith("kernel") and "depthwise" not in n]
        name = str(random.choice(kernels))
        kernel = arrays[name]
        arrays[name] = [kernel * np.nan, kernel[:, :, :1], kernel.ravel()][way - 1]
        with (here / "m.npz").open("wb") as file:
            np.savez(file, **arrays)
    write(here / "a.png", photo(random))
    codes = (0, 2) if way == 0 else (2,)
    typed = ["predict", "a.png", "--model", "m.npz", "--size", "65"]
    return Case(typed, codes, "m.npz", masks=way == 0)


def inflating_npz(here: Path, random: Random) -> Case:
    """A member that says that it is 8 GB of zeros."""
    head = io.BytesIO()
    shape = (1, 1, 2**16, 2**15)
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(here / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Conv1/kernel.npy", head.getvalue() + bytes(1 << 20))
    write(here / "a.png", photo(random))
    return Case(["predict", "a.png", "--model", "m.npz"], (2,), "m.npz", masks=False)


def spoilt_keras(here: Path, random: Random) -> Case:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", '{"module": "keras", "class_name": "Model", "config": {}}')
        archive.writestr("metadata.json", '{"keras_version": "3.0"}')
        archive.writestr("model.weights.h5", bytes(99))
    whole = stream.getvalue()
    write(here / "m.keras", whole if random.random() < 0.3 else spoil(whole, random))
    write(here / "a.png", photo(random))
    typed = ["predict", "a.png", "--model", "m.keras"]
    return Case(typed, (2,), "m.keras", masks=False)


def export(here: Path, random: Random) -> Case:
    write(here / "out/contract.json", b"{}" if random.random() < 0.3 else b"")
    write(here / "photos/a.jpg", spoil(photo(random, "jpg"), random))
    typed = ["export", "--size", "65", "--out", "out", "--precision", "int8"]
    return Case([*typed, "--calibrate", "photos", "--photos", "1"], (2, 0))


Maker = Callable[[Path, Random], Case]
QUICK: list[Maker] = [
    spoilt_photo, spoilt_tflite, spoilt_mask, odd_name, spoilt_photo, claiming_photo, spoilt_list,
    output_is_input, spoilt_photo, output_is_taken, numbers, network_of_nan, spoilt_tflite,
    whole_photo, odd_folder, not_a_model, spoilt_photo, output_goes_nowhere, spoilt_mask,
    odd_streams,
]  # fmt: skip
SLOW = [spoilt_npz, inflating_npz, spoilt_keras, spoilt_npz, export]


# --- running -------------------------------------------------------------------------------------


def forked(typed: list[str], here: Path) -> tuple[int, str]:
    """Runs the command in a child of this process → exit code, or minus a signal, and what it said
    on standard error."""
    said = here.parent / f"{here.name}.err"
    child = os.fork()
    if child == 0:
        os.chdir(here)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        code = 99
        try:
            code = segcore(typed)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + LIMIT
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM, "hangs"
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1]), said.read_text(errors="replace")


def shelled(case: Case, here: Path) -> tuple[int, str]:
    """The same under sh, as a process of its own."""
    line = f"{sys.executable} -m segcore {' '.join(case.typed)} {case.shell}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return done.returncode, done.stderr.decode(errors="replace")


def fingerprints(here: Path) -> dict[Path, str]:
    """The checksum of every file, and the kind of all else."""
    found = {}
    for path in sorted(here.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[path] = (
            hashlib.sha256(path.read_bytes()).hexdigest() if plain else str(os.lstat(path).st_mode)
        )
    return found


def faults(case: Case, here: Path, code: int, said: str, before: dict[Path, str]) -> list[str]:
    """What went wrong, as sentences; none if nothing did."""
    found = []
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.strip()]
    lines = [line for line in lines if "it/s" not in line and "/s]" not in line]
    complaints = [line for line in lines if line.startswith("segcore: ")]
    if "Traceback" in said:
        found.append("a traceback")
    if code not in case.codes:
        found.append(f"exit code {code}")
    if len(complaints) != len(lines):
        found.append("lines that are not segcore's")
    if code == 2 and not case.shell and len([c for c in complaints if "taken for" not in c]) != 1:
        found.append(f"{len(complaints)} complaints")
    if code == 2 and one_line(case.blames) not in said:
        found.append(f"{case.blames!r} is not named")
    after = fingerprints(here)
    found += [f"{path.name} changed" for path in before if after.get(path) != before[path]]
    found += [f"{path.name} was left" for path in after if path.suffix == ".part"]
    for path in (path for path in after if path not in before and path.name.endswith("_mask.png")):
        if not case.masks:
            found.append(f"{path.name} from a broken network or against the rules")
        voc.read_mask(path)
    return found


def run(
    number: int, seed: int, kinds: list[Callable[[Path, Random], Case]]
) -> tuple[str, int, str]:
    """Run `number` → its kind, exit code, and what went wrong ("" for nothing)."""
    make, random = kinds[number % len(kinds)], np.random.default_rng([seed, number])
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, "here")
        here.mkdir()
        case = make(here, random)
        before = fingerprints(here)
        code, said = shelled(case, here) if case.shell else forked(case.typed, here)
        found = faults(case, here, code, said, before)
    story = f"{case.typed} {case.shell} → {code}: {'; '.join(found)}\n    {said.strip()[-900:]}"
    return make.__name__, code, story if found else ""


def main() -> int:
    """Runs them all and prints counts → 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--quick", action="store_true", help="without TensorFlow")
    options = parser.parse_args()
    kinds = QUICK if options.quick else [*QUICK, *QUICK, *QUICK, *SLOW]
    counts: Counter[tuple[str, int]] = Counter()
    wrong = 0
    for number in range(options.first, options.first + options.runs):
        kind, code, story = run(number, options.seed, kinds)
        counts[kind, code] += 1
        if story:
            wrong += 1
            print(f"run {number}, {kind}: {story}", flush=True)
    for (kind, code), times in sorted(counts.items()):
        print(f"{kind:20} exit {code:4} {times:5}")
    print(f"{options.runs} runs, {options.runs - wrong} right, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
