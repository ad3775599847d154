"""Compares a quantised network under jax with what `test_qat.record` wrote under TensorFlow.

Two kernel libraries differ by some 1e-6 of a value, and where a value lies half way between two
quantisation levels such noise decides which it becomes: after a doubling of quantised features
that is one value in fourteen. So each layer gets TensorFlow's own inputs and is compared away from
ties; only end to end may ties fall otherwise, by a step or two.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import test_qat

from segcore._keras import keras
from segcore.models import checkpoint
from segcore.quantisation import fake_quant, qat

NOISE = 2e-5  # of the largest value: sums of up to 27 products in float32, in any order
MARGIN = 0.01  # of a quantisation step, about a tie or an end of the range


def same(found, expected, where):
    """AssertionError unless two arrays are equal but for noise."""
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=NOISE * np.abs(expected).max() + 1e-7, err_msg=where
    )


def compare_call(layer, number, kept):
    """One layer on TensorFlow's inputs: its output and its gradients by input and by weight."""
    xs = [kept[key] for key in kept if key.startswith(f"{number}/x")]
    weights = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]

    def answer(weights, *xs):
        return layer.stateless_call(weights, others, list(xs) if len(xs) > 1 else xs[0])[0]

    y, pull_back = jax.vjp(answer, weights, *map(jnp.asarray, xs))
    by_weight, *by_input = pull_back(jnp.asarray(kept[f"{number}/upstream"]))
    expected, where = kept[f"{number}/y"], f"{number}: {layer.name}"
    if isinstance(layer, fake_quant.FakeQuantise):
        ends = float(layer.low), float(layer.high)
        decided = test_qat.off_ties(xs[0], *ends, margin=MARGIN)
        inner = test_qat.off_ends(xs[0], *ends, margin=MARGIN)
        inner |= xs[0] == 0  # always a level, exactly; many a ReLU gives it
        assert decided.mean() > 0.85 and inner.mean() > 0.98, where
        y, expected = np.asarray(y)[decided], expected[decided]
        by_input = [by_input[0] * inner]
        kept[f"{number}/gradient0"] = kept[f"{number}/gradient0"] * inner
    same(y, expected, where)
    for i, gradient in enumerate([*by_input, *by_weight]):
        same(gradient, kept[f"{number}/gradient{i}"], f"{where}, gradient {i}")


def compare_whole(network, kept):
    """End to end: ties may fall to the other side, and each moves scores by about a step.

    Under noise of 1e-6 TensorFlow's own scores move by one step in 14 % of cases, by two in 0.05 %.
    """
    low, high = qat.get_ranges(network)["logits_range"]
    apart = np.abs(network(test_qat.images()) - kept["logits"]) * 255 / (high - low)
    assert (apart < 0.5).mean() > 0.6 and (apart < 1.5).mean() > 0.99 and apart.max() < 3.5
    trainable = [v.value for v in network.trainable_variables]
    others = [v.value for v in network.non_trainable_variables]

    def loss(weights):
        return (network.stateless_call(weights, others, test_qat.images())[0] ** 2).mean()

    gradients = jax.jit(jax.grad(loss))(trainable)
    for v, g in zip(network.trainable_variables, gradients, strict=True):
        expected = kept[f"loss/{v.path}"]  # under the same noise 0.3 % apart
        assert np.linalg.norm(g - expected) < 0.03 * np.linalg.norm(expected), v.path
    return apart


def main():
    with np.load(sys.argv[1]) as file:
        kept = dict(file)
    network = qat.quantise(test_qat.tiny())
    marked = {k.removeprefix("weights/"): v for k, v in kept.items() if k.startswith("weights/")}
    checkpoint.load_weights(network, marked)
    for number, (layer, _, _) in enumerate(test_qat.calls(network)):
        compare_call(layer, number, kept)
    apart = compare_whole(network, kept)
    print("equal under", keras.backend.backend(), "scores moved:", (apart > 0.5).mean())


if __name__ == "__main__":
    main()
