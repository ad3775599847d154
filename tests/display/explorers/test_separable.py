"""SeparableSteps without a browser: multiply-adds as `cost` reads them off Keras' layers."""

from itertools import pairwise

import pytest
import traitlets

from segcore.display.explorers import SeparableSteps


@pytest.mark.slow
@pytest.mark.parametrize(("size", "inside", "outside", "kernel"), [(4, 3, 4, 3), (5, 2, 6, 5)])
def test_totals_are_those_of_keras(size: int, inside: int, outside: int, kernel: int) -> None:
    from segcore.models import cost

    keras = cost.keras
    images = keras.Input((size, size, inside))
    layers = [keras.layers.Conv2D(outside, kernel, padding="same", name="standard"),
              keras.layers.DepthwiseConv2D(kernel, padding="same", name="depthwise"),
              keras.layers.Conv2D(outside, 1, name="pointwise")]  # fmt: skip
    model = keras.Model(images, [layers[0](images), layers[2](layers[1](images))])
    macs = {row.name: row.macs for row in cost.layer_costs(model) if row.macs}
    totals = SeparableSteps(size, inside, outside, kernel).totals
    assert totals == macs
    ratio = (totals["depthwise"] + totals["pointwise"]) / totals["standard"]
    assert ratio == pytest.approx(1 / outside + 1 / kernel**2)


@pytest.mark.parametrize("convolution", ["standard", "separable"])
def test_steps_add_up_to_the_totals(convolution: str) -> None:
    explorer = SeparableSteps(4, 3, 5)
    explorer.convolution = convolution
    counts = []
    for step in range(explorer.steps + 1):
        explorer.step = step
        counts.append(explorer.macs)
    steps = [after - before for before, after in pairwise(counts)]
    wanted = [27] * 80 if convolution == "standard" else [9] * 48 + [3] * 80
    assert counts[0] == 0 and steps == wanted


def test_still_tells_the_ratio() -> None:
    still = SeparableSteps(4, 3, 4)._still()
    assert "<td>1,728</td>" in still and "<td>624</td>" in still
    assert f"1/4 + 1/9 = {1 / 4 + 1 / 9:.3f}." in still
    assert repr(SeparableSteps()) == "SeparableSteps(4x4 features, 3 to 4 channels)"


def test_with_fewer_values_the_last_is_shown() -> None:
    explorer = SeparableSteps(4, 3, 4)
    explorer.convolution = "separable"
    explorer.step = 112
    explorer.convolution = "standard"
    assert explorer.step == 64
    explorer.channels_out = 1
    assert (explorer.step, explorer.steps) == (16, 16)


@pytest.mark.parametrize(("name", "value"), [
    ("convolution", "dilated"), ("channels_out", 7), ("step", 65), ("step", -1),
])  # fmt: skip
def test_traits_refuse(name: str, value: object) -> None:
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(SeparableSteps(), name, value)


@pytest.mark.parametrize(("change", "said"), [
    ({"size": 7}, "size must be 2 to 6, not 7"),
    ({"channels_in": 0}, "channels_in must be 1 to 6, not 0"),
    ({"kernel": 2}, "kernel must be 1, 3 or 5, not 2"),
])  # fmt: skip
def test_arguments_refuse(change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SeparableSteps(**change)
