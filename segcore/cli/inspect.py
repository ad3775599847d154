"""The command `segcore inspect`: what a .tflite holds, and how it wants its photos."""

import argparse
import json
import textwrap
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segcore import shipped
from segcore.cli.common import one_line, positive, thread_count
from segcore.export.description import Description, Tensor, describe
from segcore.inference.contract import Choice, Contract, find_contract
from segcore.inference.contract_pictures import Picture, labelled_pictures, shipped_pictures
from segcore.inference.segmenter import load
from segcore.inference.ways import Network
from segcore.metrics import percent

WIDTH, LABEL = 92, 15  # characters of a line, and of what it begins with
GEOMETRY = {"letterbox": "letterboxed", "squeeze": "squeezed"}


def add_inspect(commands: Any) -> None:
    """Adds `inspect` to the `commands` of an argument parser."""
    command = commands.add_parser(
        "inspect", help="what a .tflite holds, and how it wants its photos, found by trying"
    )
    command.add_argument("file", metavar="FILE.tflite", help="or phone, or sharp")
    command.add_argument(
        "--voc", metavar="DIR", help="judge by labelled val photos, not by agreement with sharp"
    )
    command.add_argument(
        "--photos", type=positive, default=40, help="of --voc; default: %(default)s"
    )
    command.add_argument("--threads", type=thread_count, default=2, help="default: %(default)s")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=inspect)


def inspect(options: argparse.Namespace) -> int:
    """Describes a file, tries it, and prints both as a table or JSON."""
    path = shipped.file_of(options.file)
    described = describe(path)
    contract, why_not = _try(path, options)
    if options.json:
        found = {"contract": contract, "why_not": why_not or None}
        print(json.dumps(_plain(described) | _plain(found), indent=1))
    else:
        judge = f"photos of {options.voc}" if options.voc else "pictures, by agreement with sharp"
        tried = _contract_table(contract, judge) if contract else _wrapped("not tried", why_not)
        print(f"{_description_table(described)}\n\n{tried}")
    return 0


def _try(path: Path, options: argparse.Namespace) -> tuple[Contract | None, str]:
    """The contract of the file at `path`, or why there is none."""
    try:
        network = Network(path, options.threads)
    except ValueError as error:
        return None, str(error)
    pictures = _pictures(options)
    bar = tqdm(desc="trying", unit="answer", leave=False, disable=None)
    try:
        return find_contract(network, pictures, bar.update), ""
    except ValueError as error:
        return None, str(error)
    finally:
        bar.close()


def _pictures(options: argparse.Namespace) -> list[Picture]:
    if options.voc:
        return labelled_pictures(options.voc, options.photos)
    return shipped_pictures(load("sharp", threads=options.threads))


def _description_table(described: Description) -> str:
    counts = [f"{count} {kind}" for kind, count in described.operators.items()]
    lines = [
        f"{one_line(described.name)}: {described.bytes / 2**20:.2f} MiB, "
        f"{sum(described.operators.values())} operators, convolutions in {described.numbers}",
        *(_tensor_line("in", tensor) for tensor in described.inputs),
        *(_tensor_line("out", tensor) for tensor in described.outputs),
        _wrapped("operators", ", ".join(counts)),
        *(_wrapped(kind, text) for kind, text in described.findings),
    ]
    return "\n".join(lines)


def _tensor_line(end: str, tensor: Tensor) -> str:
    line = f"{end:{LABEL}}{one_line(tensor.name)} {tensor.shape} {tensor.dtype}"
    if tensor.scale is not None:
        line += f", scale {tensor.scale:.6g}, zero point {tensor.zero}"
    if tensor.range is not None:
        line += ": {:.4g} to {:.4g}".format(*tensor.range)
    return line


def _contract_table(contract: Contract, judge: str) -> str:
    measure = "mIoU" if contract.measure == "mIoU" else "mutual information of regions"
    lines = [f"tried on {contract.pictures} {judge}: {measure}, %"]
    *preparing, masks = contract.choices
    for choice in preparing if contract.is_aligned else contract.choices:
        lines += _choice_lines(choice)
    if contract.is_aligned:
        lines.append(_wrapped(masks.question, "on the photo"))
    if contract.remark:
        lines.append(_wrapped("classes", contract.remark))
    return "\n".join([*lines, _wrapped("=>", _verdict(contract))])


def _choice_lines(choice: Choice) -> list[str]:
    """A line for each option, the best first, with its lead over the next."""
    scores = choice.scores
    names = sorted(scores, key=lambda option: (option != choice.best, -scores[option]))
    lines = [f"{'':{LABEL}}{one_line(name):31}{percent(scores[name]):>6}" for name in names]
    lines[0] = f"{choice.question:{LABEL}}{lines[0][LABEL:]}"
    if choice.lead is not None:
        value, low, high = map(percent, choice.lead)
        chance = "" if choice.is_sure else ", may be chance"
        lines[0] += f"  ahead by {value} [{low}, {high}]{chance}"
    return lines


def _verdict(contract: Contract) -> str:
    if not contract.is_judged:
        return (
            "no way of preparing photos makes its regions follow the labels, so nothing can be "
            "said; judge it by labelled photos of its own kind, with --voc"
        )
    values, order, geometry = contract.way
    down, right = contract.offset
    masks = (
        "masks lie on the photo"
        if contract.is_aligned
        else f"masks lie {down:+g} pixels down and {right:+g} right of the photo: move them back"
    )
    unsure = [choice.question for choice in contract.choices[:3] if not choice.is_sure]
    doubt = f" (not told apart here: {', '.join(unsure)})" if unsure else ""
    return f"{order}, {values}, {GEOMETRY[geometry]}{doubt}; {masks}"


def _wrapped(label: str, text: str) -> str:
    first, indent = f"{label:{LABEL}}", " " * LABEL
    return textwrap.fill(one_line(text), WIDTH, initial_indent=first, subsequent_indent=indent)


def _plain(value: Any) -> Any:
    """`value` as JSON has it: objects by their fields, null for NaN."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(held) for held in value]
    return None if value != value else value
