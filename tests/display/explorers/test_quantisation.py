"""QuantisationExplorer without a browser: what travels, the still, traits and refusals."""

import base64
import io

import numpy as np
import pytest
import traitlets
from explorer_samples import BITS, CLIPS, layer, masks, quantisation
from PIL import Image

from segcore.display.explorers import MaskTable, QuantisationExplorer
from segcore.quantisation.error import quantisation_error


def test_few_values_travel_and_tell_nearly_the_same() -> None:
    explorer = QuantisationExplorer(layer(), CLIPS)
    assert len(base64.b64decode(explorer._scene["codes"].split(",")[1])) == 2 * 1977  # of 9,300
    assert explorer.values.shape == (9300,)
    assert np.ptp(explorer.values) == pytest.approx(np.ptp(layer()))  # the extremes are kept
    for clip, ends in enumerate(CLIPS):
        for bits in range(2, 9):
            explorer.clip, explorer.bits = clip, bits
            truth = quantisation_error(layer(), *ends, bits)
            assert explorer.error.sqnr == pytest.approx(truth.sqnr, abs=0.05)


def test_all_of_few_values_travel() -> None:
    explorer = QuantisationExplorer(np.linspace(-3, 5, 50))
    assert np.allclose(explorer.values, np.linspace(-3, 5, 50), atol=8 / 65535)
    assert explorer.clips[-1] == (-3, 5) and explorer.clips[0] == pytest.approx((-3 / 24, 5 / 24))
    assert "<img" in explorer._still() and explorer._sources == []


def test_masks_travel_as_differences_from_the_reference() -> None:
    table = masks()
    uri = str(table.scene()["uri"])
    tall = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    reference, *others = tall.reshape(-1, 20, 24)
    assert np.array_equal(reference, table.reference)
    assert np.array_equal(np.array(others) ^ reference, table.masks.reshape(-1, 20, 24))


def test_still_tells_the_present_setting() -> None:
    explorer = quantisation()
    explorer.clip, explorer.bits = 1, 3
    still, found = explorer._still(), quantisation_error(layer(), *CLIPS[1], 3)
    assert f"<td>{found.sqnr:.1f} dB</td>" in still and "<td>3</td>" in still
    changed = (masks().masks[1, 1] != masks().reference).mean()
    assert f"<td>{100 * changed:.1f} %</td>" in still
    first = still[still.index("<img") :]  # what the script takes for the photo
    assert first[first.index("src=") :].startswith(f'src="{explorer._sources[0]}"')
    assert repr(explorer) == "QuantisationExplorer(9,300 values, 4 clip ranges, 2-5 bits)"


@pytest.mark.parametrize(("name", "value", "said"), [
    ("clip", 4, "clip is 4; wanted 0 to 3"), ("clip", -1, "clip is -1"),
    ("bits", 6, r"bits is 6; wanted one of \[2, 3, 4, 5\]"),
])  # fmt: skip
def test_traits_refuse(name: str, value: int, said: str) -> None:
    with pytest.raises(traitlets.TraitError, match=said):
        setattr(quantisation(), name, value)


@pytest.mark.parametrize(("change", "said"), [
    ({"values": np.ones(4)}, r"values \(4,\) must hold finite numbers that differ"),
    ({"values": np.array([0, np.nan])}, r"values \(2,\) must hold finite"),
    ({"clips": [(-2, 2), (-1, 1)]}, "clips is .* the widest last"),
    ({"clips": [(1, -1)]}, "clips is"),
    ({"bits": (2, 4)}, r"bits is \[2, 4\]; wanted consecutive"),
    ({"bits": (8, 9)}, r"bits is \[8, 9\]"),
    ({"clips": CLIPS[:2]}, r"masks has shape \(4, 4, 20, 24\); wanted \(2, 4, ...\)"),
])  # fmt: skip
def test_arguments_refuse(change: dict, said: str) -> None:
    arguments = {"values": layer(), "clips": CLIPS, "bits": BITS, "masks": masks()}
    with pytest.raises(ValueError, match=said):
        QuantisationExplorer(**arguments | change)


@pytest.mark.parametrize(("change", "said"), [
    ({"image": np.zeros((20, 24))}, "image must be"),
    ({"reference": np.zeros((20, 20), int)}, r"reference has shape \(20, 20\)"),
    ({"masks": np.zeros((4, 4, 20, 20), int)}, r"masks has shape \(4, 4, 20, 20\); wanted \(clips"),
    ({"masks": np.full((4, 4, 20, 24), 21)}, "masks has id 21"),
])  # fmt: skip
def test_masks_refuse(change: dict, said: str) -> None:
    table = masks()
    arguments = {"image": table.image, "reference": table.reference, "masks": table.masks}
    with pytest.raises(ValueError, match=said):
        MaskTable(**arguments | change)
