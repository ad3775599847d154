"""The command `segcore export`: .tflite files of a network in several precisions."""

from __future__ import annotations

import argparse
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore import shipped
from segcore._files import write_bytes
from segcore.cli.common import add_model_options, one_line, positive, progress, without_nan
from segcore.cli.outputs import CONTRACT, add_force, check_outputs, checksums, write_json
from segcore.data import voc
from segcore.export import convert, tflite
from segcore.export.calibration import Calibration, draw_photos
from segcore.export.convert import to_tflite
from segcore.export.labels import with_labels
from segcore.inference import benchmark
from segcore.inference.evaluate import compare_files
from segcore.inference.machine import machine
from segcore.inference.segmenter import Segmenter, wrap

if TYPE_CHECKING:
    import keras

NO_PHOTOS = (
    "needs photos to see the ranges of activations: name a folder of everyday photos with "
    "--calibrate, or leave it out: --precision float32 float16 dynamic"
)


def add_export(commands: Any) -> None:
    """Adds `export` to the `commands` of an argument parser."""
    command = commands.add_parser("export", help="write .tflite files in several precisions")
    add_model_options(command, "an .npz", threads=False)
    command.add_argument(
        "--precision", nargs="+", choices=tuple(convert.PRECISIONS), help="default: all four"
    )
    command.add_argument(
        "--calibrate", metavar="DIR", help="everyday photos, for int8 other than phone and sharp"
    )
    command.add_argument("--photos", type=positive, default=100, help="default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="draws them; default: %(default)s")
    command.add_argument(
        "--interface", choices=convert.INTERFACES, default="uint8", help="of int8 files"
    )
    command.add_argument("--argmax", action="store_true", help="class ids come out, not scores")
    command.add_argument("--check", metavar="VOC_DIR", help="score each file on its val photos")
    command.add_argument("--out", default="segcore_out", metavar="DIR", help="default: %(default)s")
    add_force(command)
    command.set_defaults(run=write_files)


def write_files(options: argparse.Namespace) -> int:
    """Writes deeplab_PRECISION_SIZE.tflite files and contract.json, and prints the contract."""
    from segcore.models import pretrained

    pairs = voc.file_pairs(options.check) if options.check else []
    _complete(options)
    calibration = _calibration(options, {photo.name for photo, _ in pairs})
    out = Path(options.out)
    files = {name: out / f"deeplab_{name}_{options.size}.tflite" for name in options.precision}
    read = [options.model, *chain(*pairs)]
    check_outputs([*files.values(), out / CONTRACT], read, options.force)
    network = pretrained.load(options.size, options.model, batch_size=1)
    names = pretrained.class_names(options.model)
    out.mkdir(parents=True, exist_ok=True)
    for name in progress(options.precision, "file", "exporting"):
        content = _convert(options, network, calibration, name)
        write_bytes(files[name], with_labels(content, names))
    record: dict[str, Any] = {"sha256": checksums(out, files.values())}
    write_json(out / CONTRACT, record)  # now already: the files are ours from here on
    contracts = _contracts(wrap(network, "Keras", names) if pairs else None, files, pairs)
    record["files"] = {name: without_nan(held) for name, held in contracts.items()}
    record["machine"] = machine()
    if calibration:
        record["calibration"] = calibration.scheme(options.size)
    elif "int8" in files and (ready := _ready(options)):
        record["calibration"] = {"as_shipped": ready.name}
    write_json(out / CONTRACT, record)
    print(_contract_table(contracts))
    print(f"files and {CONTRACT} are in {one_line(str(out))}/")
    return 0


def _complete(options: argparse.Namespace) -> None:
    """Fills in what was left free: the float network behind the model, its size, precisions."""
    from segcore.models import checkpoint

    known = shipped.NETWORKS.get(options.model)
    if known:
        options.size = options.size or known.size
        options.model = known.made_from or known.name
    elif Path(options.model).suffix == ".npz":
        path = shipped.file_of(options.model)
        options.size = options.size or checkpoint.read_description(path).size
    else:
        wanted = ", ".join([*shipped.NETWORKS, "an .npz of weights"])
        raise ValueError(f"{options.model}: cannot be exported; wanted {wanted}")
    if options.precision is None:
        able = options.calibrate or _ready(options)
        options.precision = [name for name in convert.PRECISIONS if able or name != "int8"]
        if not able:
            print(f"no int8 file: {NO_PHOTOS}", file=sys.stderr)


def _ready(options: argparse.Namespace) -> shipped.Network | None:
    """The shipped file that is the int8 one asked for, None where photos are needed to make it."""
    if options.calibrate or options.argmax or options.interface != "uint8":
        return None
    return shipped.int8_of(options.model, options.size)


def _calibration(options: argparse.Namespace, spared: set[str]) -> Calibration | None:
    """The photos that --calibrate names, without those `spared` for scoring; None without int8."""
    if "int8" not in options.precision or _ready(options):
        return None
    if not options.calibrate:
        raise ValueError(f"int8 {NO_PHOTOS}")
    found = [
        path
        for path in Path(options.calibrate).rglob("*")
        if path.suffix.lower() in (".jpg", ".jpeg", ".png") and path.name not in spared
    ]
    if not found:
        raise ValueError(f"{options.calibrate}: no photos (.jpg, .png) in this folder")
    return draw_photos(found, min(options.photos, len(found)), options.seed)


def _convert(
    options: argparse.Namespace,
    network: keras.Model,
    calibration: Calibration | None,
    precision: str,
) -> bytes:
    """One file; an int8 one is the shipped file, or gets corrected biases."""
    from segcore.quantisation import bias_correction

    if precision != "int8":
        return to_tflite(network, precision, argmax=options.argmax)
    if calibration:
        return bias_correction.to_int8(network, calibration, options.interface, options.argmax)
    ready = _ready(options)
    assert ready, "`_calibration` refuses int8 without photos"
    return ready.file.read_bytes()


def _contracts(
    reference: Segmenter | None, paths: dict[str, Path], pairs: list[tuple[Path, Path]]
) -> dict[str, dict[str, Any]]:
    """What each file holds, its times and, given `pairs`, how its answers differ from those of
    `reference`."""
    held = {}
    for name, path in paths.items():
        if reference is None:
            held[name] = tflite.File(path).summary()
        else:
            bar = progress(pairs, "photo", name)
            held[name] = compare_files(path, reference, bar)
            held[name]["confusion"] = held[name].pop("matrices").sum(0).tolist()
    runs = {name: benchmark.file_run(path, threads=1) for name, path in paths.items()}
    for timing in benchmark.interleave(runs, rounds=15):
        held[timing.name] |= {"p50_ms": timing.p50, "p90_ms": timing.p90, "threads": 1}
    return held


def _contract_table(contracts: dict[str, dict[str, Any]]) -> str:
    """A line for each file; scores only where there were photos to score."""
    scored = any("miou" in held for held in contracts.values())
    head = f"{'':8} {'bytes':>10} {'operators':>9} {'in float':>8} {'p50 ms':>7} {'p90 ms':>7}"
    lines = [head + (f" {'changed':>8} {'logits off':>10} {'mIoU':>6}" if scored else "")]
    for name, held in contracts.items():
        floats = len(held["in_float"]) or "none"
        line = f"{name:8} {held['bytes']:10,} {sum(held['operators'].values()):9} {floats:>8}"
        line += f" {held['p50_ms']:7.1f} {held['p90_ms']:7.1f}"
        if scored:
            off = held["logit_difference"]
            line += f" {100 * held['changed']:7.2f}% {'ids' if off is None else f'{off:.2f}':>10}"
            line += f" {100 * held['miou']:6.2f}"
        lines.append(line)
    return "\n".join(lines)
