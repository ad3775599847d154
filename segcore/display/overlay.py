"""The interactive mask: a photo under its class colours, for the hand to take apart.

Taught in chapter 1.
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray
from PIL import Image
from traitlets.utils.bunch import Bunch

from segcore._errors import check
from segcore.data import voc
from segcore.display.legend import check_mask, class_rows, listing, mask_uri
from segcore.display.pictures import picture_uri
from segcore.display.widget import STILL, Widget, check_image, display_size, shown_width
from segcore.inference.segmenter import Prediction


class MaskOverlay(Widget):
    """A photo under its mask: opacity, outlines, classes to toggle, names under the pointer.

    `image` (H, W, 3) uint8 RGB; `mask` and `compare` (H, W) integer ids, each with a name in
    `class_names` and an RGB row in `colors`, or 255 (void). A `Prediction` brings its names along;
    ids alone are VOC's unless `class_names` says otherwise. With `compare` a wipe parts the
    picture: `mask` on the left, `compare` on the right, called `labels`. A class called
    "background" starts hidden. `alt` says what there is to see. Raises ValueError naming the
    argument that does not fit.

    Traits, read and set from Python: `opacity` and `wipe` (0-1), `outlines`, `safe_palette`,
    `visible` (list of ids), `picked` (None or a dict: column `x`, row `y`, `id`, `name`; setting
    x and y is enough). `fractions` (name → part of all pixels of `mask`, counted at full size) is
    an ordinary dict. Taught in chapter 1.
    """

    opacity = traitlets.Float(0.6, min=0, max=1).tag(sync=True)
    outlines = traitlets.Bool(False).tag(sync=True)
    visible = traitlets.List(traitlets.Int()).tag(sync=True)
    picked = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    wipe = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    safe_palette = traitlets.Bool(False).tag(sync=True)
    _scripts = ("overlay",)
    _state = ("opacity", "outlines", "visible", "picked", "wipe", "safe_palette")

    def __init__(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.integer] | Prediction,
        class_names: Sequence[str] = (),
        colors: NDArray[np.uint8] | None = None,
        *,
        compare: NDArray[np.integer] | Prediction | None = None,
        title: str = "",
        alt: str = "",
        opacity: float = 0.6,
        labels: Sequence[str] = ("mask", "compare"),
    ) -> None:
        if isinstance(mask, Prediction):
            class_names = class_names or mask.class_names
            mask = mask.mask
        if isinstance(compare, Prediction):
            compare = compare.mask
        class_names = class_names or voc.CLASSES
        colors = voc.palette() if colors is None else colors
        check_image(image, "image")
        _check(class_names, colors, opacity, labels)
        self._masks = [check_mask(mask, "mask", image.shape[:2], class_names)]
        if compare is not None:
            self._masks.append(check_mask(compare, "compare", image.shape[:2], class_names))
        self._names = dict(enumerate(class_names)) | {voc.VOID: "void"}
        rows = class_rows(self._masks, self._names, np.asarray(colors))
        self.fractions = {row["name"]: row["shares"][0] for row in rows}
        height, width = display_size(*mask.shape)
        photo = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
        super().__init__(
            _scene={"width": width, "height": height, "shown": shown_width(height, width),
                    "native": [mask.shape[1], mask.shape[0]], "classes": rows,
                    "title": title, "labels": list(labels),
                    "alt": alt or f"Photo with a segmentation mask: {listing(rows)}"},
            _sources=[picture_uri(np.asarray(photo)),
                      *(mask_uri(ids, (height, width), rows) for ids in self._masks)],
            visible=[row["id"] for row in rows if row["name"] != "background"],
            opacity=opacity,
        )  # fmt: skip

    @traitlets.validate("picked")
    def _complete(self, proposal: Bunch) -> dict[str, Any] | None:
        """Fills in id and name, read from the mask that shows at (x, y)."""
        if not proposal["value"]:
            return None
        (height, width), pixel = self._masks[0].shape, proposal["value"]
        x, y = pixel.get("x", -1), pixel.get("y", -1)
        if not (0 <= x < width and 0 <= y < height):
            wanted = f"x from 0 to {width - 1} and y from 0 to {height - 1}"
            raise traitlets.TraitError(f"picked is {pixel}; wanted {wanted}.")
        side = -1 if x + 0.5 > self.wipe * width else 0
        number = int(self._masks[side][y, x])
        return {"x": x, "y": y, "id": number, "name": self._names[number]}

    @traitlets.validate("visible")
    def _named(self, proposal: Bunch) -> list[int]:
        unknown = [number for number in proposal["value"] if number not in self._names]
        if unknown:
            raise traitlets.TraitError(f"visible has {unknown}; wanted ids with a class name.")
        return sorted(set(proposal["value"]))

    def _still(self) -> str:
        scene, (photo, *masks) = self._scene, self._sources
        stack = f"{STILL};position:absolute;top:0;left:0;opacity:{self.opacity:g}"
        words = [html.escape(listing(scene["classes"], side)) for side in range(len(masks))]
        title = f"<strong>{html.escape(scene['title'])}</strong><br>" if scene["title"] else ""
        text = (
            '<figure style="margin:0"><div style="position:relative">'
            f'<img class="dark-light" style="{STILL}" alt="{html.escape(scene["alt"])}" '
            f'src="{photo}"><img class="dark-light" style="{stack}" alt="" src="{masks[0]}"></div>'
            f"<figcaption>{title}{words[0]}</figcaption></figure>"
        )
        for source, listed in zip(masks[1:], words[1:], strict=True):
            caption = f"{html.escape(scene['labels'][1])}: {listed}"
            text += (
                f'<figure style="margin:1rem 0 0"><img class="dark-light" style="{STILL}" '
                f'alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'
            )
        return text

    def __repr__(self) -> str:
        height, width = self._masks[0].shape
        return f"MaskOverlay({height}x{width}: {listing(self._scene['classes'])})"


def _check(
    names: Sequence[str], colors: NDArray[np.uint8], opacity: float, labels: Sequence[str]
) -> None:
    """Raises ValueError naming the first argument that does not fit."""
    texts = not isinstance(names, str) and all(isinstance(name, str) for name in names)
    check("class_names", names, texts, "a text for each id, from 0 up")
    rows, N = np.asarray(colors), len(names)
    fits = rows.ndim == 2 and rows.shape[1] == 3 and rows.dtype == np.uint8 and len(rows) >= N
    check("colors", rows, fits, f"({N}, 3) uint8, a row for each class name")
    check("opacity", opacity, 0 <= opacity <= 1, "a number from 0 to 1")
    two = not isinstance(labels, str) and len(labels) == 2
    check("labels", labels, two, "two texts, for mask and compare")
