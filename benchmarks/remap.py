"""How fast a coloured mask becomes class ids: `voc.decode` against three well-known ways.

`make bench` runs it; it writes results/remap.json. Every way decodes the same RGB masks of
500×375 pixels (drawn, or VOC's own from ../shared where that is there), one after the other in
each round, so that a slow moment of the machine hits all alike; medians over all are compared.
The production decode is timed as it stands, its search for unknown colours included; the others
do not look for any: the table makes them background, the comparisons leave them void.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segcore.course import results
from segcore.data import toy, voc

HEIGHT, WIDTH = 375, 500
MASKS, ROUNDS = 10, 12
Pixels = NDArray[np.uint8]
Remap = Callable[[Pixels], NDArray]


def compare_each_color(image: Pixels) -> Pixels:
    """One comparison per colour, the way most first attempts go: (H, W, 3) uint8 → (H, W)."""
    mask = np.full(image.shape[:2], voc.VOID, np.uint8)
    for label, color in enumerate(voc.COLORS):
        mask[np.all(image == color, axis=-1)] = label
    return mask


def compare_each_channel(image: Pixels) -> Pixels:
    """The same comparisons, channel by channel, which NumPy does much faster."""
    mask = np.full(image.shape[:2], voc.VOID, np.uint8)
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    for label, (r, g, b) in enumerate(voc.COLORS):
        mask[(red == r) & (green == g) & (blue == b)] = label
    return mask


def dictionary_table() -> Remap:
    """The idea of d2l.ai, section 14.9: a table of 256³ int64 ids, indexed on int32 sums."""
    table = np.zeros(256**3, np.int64)
    for label, (red, green, blue) in enumerate(voc.COLORS.tolist()):
        table[(red * 256 + green) * 256 + blue] = label

    def remap(image: Pixels) -> Pixels:
        wide = image.astype(np.int32)
        return table[(wide[:, :, 0] * 256 + wide[:, :, 1]) * 256 + wide[:, :, 2]]

    return remap


def masks() -> tuple[str, list[Pixels]]:
    """Where they come from, and MASKS coloured masks (375, 500, 3) uint8 with void borders."""
    root = Path(__file__).resolve().parents[2] / "shared" / "voc2012"
    if root.is_dir():
        found = (voc.read_mask(path) for _, path in voc.file_pairs(root, "train"))
        sized = [voc.encode(mask) for mask in found if mask.shape == (HEIGHT, WIDTH)]
        return "VOC 2012 train", sized[:MASKS]
    drawn = [toy.scene(i, size=WIDTH)[1][:HEIGHT] for i in range(MASKS)]
    return "ToyVOC", [voc.encode(mask) for mask in drawn]


def check(ways: dict[str, Remap], images: list[Pixels]) -> None:
    """All ways agree wherever the label is not void, which d2l's table makes background."""
    for image in images:
        wanted = compare_each_color(image)
        assert np.array_equal(voc.decode(image), wanted)
        for way in ways.values():
            assert np.array_equal(way(image)[wanted != voc.VOID], wanted[wanted != voc.VOID])


def medians(ways: dict[str, Remap], images: list[Pixels]) -> dict[str, float]:
    """Median milliseconds per mask of every way, the ways interleaved mask by mask."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for image in images:
            for name, way in ways.items():
                start = time.perf_counter()
                way(image)
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Time the ways, print and record medians and ratios."""
    options = results.parse(results.parser(__doc__))
    source, images = masks()
    ways = {
        "compare_each_color": compare_each_color,
        "compare_each_channel": compare_each_channel,
        "dictionary_table": dictionary_table(),
        "decode": voc.decode,
    }
    check(ways, images)
    ms = medians(ways, images)
    times_faster = {name: ms[name] / ms["decode"] for name in ways if name != "decode"}
    for name in ways:
        print(f"{name:20s} {ms[name]:8.3f} ms a mask, {ms[name] / ms['decode']:6.1f} × decode's")
    values: dict[str, object] = {
        "masks": len(images),
        "source": source,
        "height": HEIGHT,
        "width": WIDTH,
    }
    values |= {"rounds": ROUNDS, "p50_ms": ms, "times_faster": times_faster}
    print(results.record("remap", values, trial=options.trial))


if __name__ == "__main__":
    main()
