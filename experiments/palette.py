"""Which class colours of VOC look alike, to four kinds of colour vision, and which safe ones do.

    python experiments/palette.py

Expected: of 210 pairs, 4 are closer than 10 (CIEDE2000) to normal vision, 25 to a protanope, 24 to
a deuteranope, 8 to a tritanope; no pair of the seven safe hues is. A second. (With the older CIE76
formula and unrounded colours a deuteranope has 14 such pairs, a protanope 19.)
"""

from __future__ import annotations

import common
import numpy as np
from numpy.typing import NDArray

from segcore.data import voc
from segcore.display import colour_vision, legend


def summary(colors: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """How many pairs are close, and the closest one, for each kind of colour vision."""
    found = {}
    for kind in colour_vision.MATRICES:
        pairs = colour_vision.close_pairs(colors, kind, limit=float("inf"))
        close = sum(apart < 10 for *_, apart in pairs)
        found[kind] = {"close": close, "pairs": len(pairs), "closest": round(pairs[0][2], 2)}
    return found


if __name__ == "__main__":
    options = common.options(__doc__, data=False)
    safe = np.array([list(bytes.fromhex(color[1:])) for color in legend.SAFE], np.uint8)
    cat = voc.COLORS[[0, voc.CLASSES.index("cat")]]
    horse = voc.COLORS[[voc.CLASSES.index(name) for name in ("bus", "horse")]]
    alone = {
        "cat_protanopia": summary(cat)["protanopia"]["closest"],
        "cat_normal": summary(cat)["normal"]["closest"],
        "horse_bus_deuteranopia": summary(horse)["deuteranopia"]["closest"],
        "horse_bus_normal": summary(horse)["normal"]["closest"],
    }
    common.record("palette", {"voc": summary(voc.COLORS), "safe": summary(safe), **alone}, options)
