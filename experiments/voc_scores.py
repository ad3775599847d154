"""Every network that the book speaks of on the 416 VOC val photos at hand: 21 classes, one ruler.

    python experiments/voc_scores.py
    python experiments/voc_scores.py --trial --only mine phone --add mine=runs/x/final.npz@257

Ours as shipped, DeepLabV3 in float at both sizes, Google's two uint8 files, the networks of the
first edition (from this repository's history), a baseline that says background everywhere, and any
file given with --add NAME=FILE[@SIZE]. Each network's matrices are kept as it is done, and one
whose file and photos are still the same is not scored again (--anew scores it). Then come intervals
and the differences of the PAIRS: results/voc.json and results/matrices/NAME.npz. Beside mIoU stands
a number that looks like it and is not, the mean over photos. A quarter of an hour on two cores. To
expect, in per cent of mIoU: DeepLabV3 73.5 at 513 and 58.1 at 257, Google's files 73.2 and 69.1,
the first edition 66.3 and 57.0, in int8 65.6 and 54.6.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import common
import numpy as np
import scores

from segcore import metrics, shipped
from segcore.inference.segmenter import Segmenter, load, wrap
from segcore.metrics import PhotoMatrices
from segcore.models import checkpoint, deeplab

TRIMAP = 3  # pixels to either side of a labelled border
ROOT = Path(__file__).resolve().parents[1]
FIRST = "86eb3b3d69"  # a commit with the networks of the first edition
PAIRS = (  # what the book compares: a network, and against which
    ("float_513", "deeplabv3_513"),
    ("float_513", "google_513"),
    ("float_257", "deeplabv3_257"),
    ("sharp", "google_513"),
    ("sharp", "deeplabv3_513"),
    ("phone", "google_513"),
    ("phone", "google_half_513"),
    ("phone", "deeplabv3_257"),
    ("google_513", "deeplabv3_513"),
    ("google_half_513", "google_513"),
    ("deeplabv3_257", "deeplabv3_513"),
    ("first_float_513", "deeplabv3_513"),
    ("first_float_513", "google_513"),
    ("first_float_257", "deeplabv3_257"),
    ("first_phone", "first_float_257"),
    ("float_513", "first_float_513"),
    ("float_257", "first_float_257"),
    ("phone", "first_phone"),
    ("sharp", "first_sharp"),
)


@dataclass(frozen=True)
class Source:
    """Where a network comes from: `path`, in this repository's `commit` where one is named.

    `size` is the side of its input, None for the file's own.
    """

    path: Path
    size: int | None = None
    commit: str = ""

    def content(self) -> bytes:
        """The bytes of its file."""
        if not self.commit:
            return self.path.read_bytes()
        named = f"{self.commit}:{self.path.as_posix()}"
        done = subprocess.run(["git", "-C", ROOT, "show", named], capture_output=True, check=True)
        return done.stdout

    def sha256(self) -> str:
        """The checksum of its file."""
        return hashlib.sha256(self.content()).hexdigest()


def key(network: shipped.Network, size: int) -> str:
    """`phone`, or `float_513` where a network is made for more sizes than one."""
    return network.name if len(network.sizes) == 1 else f"{network.name}_{size}"


def sources(shared: Path) -> dict[str, Source]:
    """Every network by the key that it has in the record."""
    found: dict[str, Source] = {}
    for network in shipped.NETWORKS.values():
        for size, path in network.files.items():
            found[key(network, size)] = Source(path, size)
    for size in (513, 257):
        found[f"deeplabv3_{size}"] = Source(shared / common.DEEPLAB_V3, size)
    found |= {name: Source(path) for name, path in common.google(shared).items()}
    weights = Path("segcore/weights")
    for name, file, size in (
        ("first_float_513", "deeplabv3plus_mnv2_voc.npz", 513),
        ("first_float_257", "deeplabv3plus_mnv2_voc.npz", 257),
        ("first_sharp", "deeplab_lean_voc_int8_513.tflite", 513),
        ("first_phone", "deeplabv3plus_mnv2_voc_int8_257.tflite", 257),
    ):
        found[name] = Source(weights / file, size, FIRST)
    return found


def added(text: str) -> tuple[str, Source]:
    """What --add says: NAME=FILE[@SIZE]."""
    name, equals, rest = text.partition("=")
    file, _, size = rest.partition("@")
    if not (name and equals and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=FILE[@SIZE] of a file that is there")
    return name, Source(Path(file), int(size) if size else None)


def open_network(name: str, source: Source) -> Segmenter:
    """The network of `source`, ready to score."""
    if name.startswith("deeplabv3_"):
        v3 = deeplab.deeplab_v3(source.size or 513)
        checkpoint.load_weights(v3, source.path)
        return wrap(v3, name)
    if source.path.suffix == ".npz" and source.commit:
        return first_edition(source)
    return load(source.content() if source.commit else source.path, source.size)


def first_edition(source: Source) -> Segmenter:
    """The float network of the first edition: one file, in which small images have layers of their
    own, named with `_257`."""
    side = source.size or 513
    network = deeplab.deeplab_v3_plus(side)
    stored = np.load(io.BytesIO(source.content()))
    arrays = {name: stored[name] for name in stored.files if "/" in name and "_257/" not in name}
    if side <= 359:
        own = (name for name in stored.files if "_257/" in name)
        arrays |= {name.replace("_257/", "/"): stored[name] for name in own}
    checkpoint.load_weights(network, arrays)
    return wrap(network, "first edition")


def network_matrices(
    name: str, source: Source, pairs: common.Pairs, file: Path, anew: bool
) -> PhotoMatrices:
    """The matrices in `file` if they are of this network and these photos, else new ones."""
    sha256 = source.sha256()
    if file.exists() and not anew:
        kept = metrics.load_matrices(file)
        same = kept.sha256 == sha256 and source.size in (None, kept.size)
        if same and kept.photos == scores.photo_names(pairs) and kept.trimap_width == TRIMAP:
            print(f"{name}: as kept")
            return kept
    found = scores.score(open_network(name, source), pairs, name, TRIMAP)
    found = replace(found, sha256=sha256)
    metrics.save_matrices(file, found)
    return found


def background(pairs: common.Pairs) -> PhotoMatrices:
    """What a network scores that says "background" everywhere."""
    nothing = Segmenter(lambda box: np.zeros(box.shape[:2], np.uint8), 33, "background")
    return scores.score(nothing, pairs, "background", TRIMAP)


def pairs_of(names: Sequence[str], extra: Sequence[str]) -> list[tuple[str, str]]:
    """PAIRS, int8 against the float network it was made from, and what was added against all."""
    wanted = list(PAIRS)
    for network in shipped.NETWORKS.values():
        if network.made_from:
            made_from = shipped.NETWORKS[network.made_from]
            wanted.append((network.name, key(made_from, network.size)))
    wanted += [(one, other) for one in extra for other in names if other not in extra]
    return [pair for pair in wanted if set(pair) <= set(names)]


def report(rows: dict[str, common.Row], differences: dict[str, common.Row]) -> None:
    """Prints the networks by mIoU, and what may be said of each pair."""

    def text(row: common.Row, value: str, bounds: str, sign: str = "") -> str:
        paths = (value, f"{bounds}.low", f"{bounds}.high")
        middle, low, high = (f"{100 * common.number(row, path):{sign}.1f}" for path in paths)
        return f"{middle} ({low} to {high})"

    for name, row in sorted(rows.items(), key=lambda item: -common.number(item[1], "miou")):
        accuracy = text(row, "accuracy", "interval.accuracy")
        print(f"{name:16} mIoU {text(row, 'miou', 'interval.miou'):22} accuracy {accuracy}")
    for name, row in differences.items():
        print(f"{name}: {text(row, 'miou.difference', 'miou', '+')}, {row['verdict']}")


def measure(options: argparse.Namespace) -> common.Row:
    """Rows of all networks chosen, and of the pairs among them."""
    pairs, known = common.val_pairs(options), sources(options.shared) | dict(options.add)
    names = options.only or list(known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"{min(unknown)}: no such network; there are {', '.join(known)}")
    folder, kept = scores.matrices_folder(options), {}
    for name in names:
        file = folder / f"{name}.npz"
        kept[name] = network_matrices(name, known[name], pairs, file, options.anew)
    if not options.only:
        kept["background"] = background(pairs)
    rows = {name: scores.keep(found, options) for name, found in kept.items()}
    for name, row in rows.items():
        row |= {"size": kept[name].size, "sha256": kept[name].sha256}
        row["mean_over_photos"] = common.fraction(metrics.mean_ious(kept[name].matrices).mean())
    differences: dict[str, common.Row] = {}
    for one, other in pairs_of(names, [name for name, _ in options.add]):
        row = scores.difference_row(kept[other], kept[one])
        differences[f"{one}_against_{other}"] = row
    report(rows, differences)
    counted = metrics.summary(next(iter(kept.values())).matrices)
    return {
        "photos": len(pairs),
        "photos_with": counted["photos_with"],
        "pixels": counted["pixels"],
        **rows,
        "differences": differences,
    }


if __name__ == "__main__":
    parser = common.parser(__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks; for a trial")
    parser.add_argument("--add", nargs="+", type=added, default=[], metavar="NAME=FILE[@SIZE]")
    parser.add_argument("--anew", action="store_true", help="score what has been scored, too")
    options = common.parse(parser)
    if options.only and not options.trial:
        parser.error("--only is for a --trial; a record is of all networks")
    common.record("voc", measure(options), options, seed=0)
