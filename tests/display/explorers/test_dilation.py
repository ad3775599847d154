"""DilationExplorer without a browser: weights inside, traits and refusals."""

import numpy as np
import pytest
import traitlets

from segcore.display.explorers import DilationExplorer


@pytest.mark.parametrize("size", [5, 16, 17])
@pytest.mark.parametrize(("kernel", "dilation", "stride"), [(3, 1, 2), (3, 6, 1), (5, 2, 3)])
def test_weights_inside_are_those_on_the_padded_map(
    size: int, kernel: int, dilation: int, stride: int
) -> None:
    """The map is written out with its zeros, and the kernel slides from the corner."""
    explorer = DilationExplorer(size, dilation, kernel=kernel, stride=stride)
    outputs = int(np.ceil(size / stride))
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    padded = np.pad(np.ones((size, size), int), (total // 2, total - total // 2))
    for row, column in [(0, 0), (outputs - 1, 0), (outputs // 2, outputs - 1)]:
        explorer.row, explorer.column = row, column
        window = padded[row * stride :: dilation, column * stride :: dilation]
        assert explorer.weights_inside == window[:kernel, :kernel].sum()


def test_still_tells_the_receptive_field() -> None:
    still = DilationExplorer(17, 6, before=(491, 16))._still()
    assert "<td>9 of 9</td>" in still and "<td>13 features</td>" in still
    assert f"<td>{491 + 2 * 6 * 16}</td>" in still
    assert "17x17" in repr(DilationExplorer(17, 6))


def test_a_smaller_map_keeps_the_kernel_on_it() -> None:
    explorer = DilationExplorer(17)
    assert (explorer.row, explorer.column) == (8, 8)
    explorer.column = 16
    explorer.stride = 2
    assert (explorer.row, explorer.column) == (8, 8)
    explorer.size = 5
    assert (explorer.row, explorer.column) == (2, 2)


@pytest.mark.parametrize(("name", "value", "said"), [
    ("size", 34, "size"), ("dilation", 0, "dilation"), ("stride", 5, "stride"),
    ("kernel", 4, "kernel is 4; wanted 1, 3, 5 or 7"),
    ("row", 17, "row is 17; wanted 0 to 16"), ("column", -1, "column is -1; wanted 0 to 16"),
])  # fmt: skip
def test_traits_refuse(name: str, value: int, said: str) -> None:
    with pytest.raises(traitlets.TraitError, match=said):
        setattr(DilationExplorer(), name, value)


def test_before_refuses() -> None:
    with pytest.raises(ValueError, match=r"before is \(1, 0\); wanted"):
        DilationExplorer(before=(1, 0))
