"""AdaBound against the authors' values, through a restart, under both backends."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from segcore._keras import keras
from segcore.training import optimizers
from segcore.training.optimizers import AdaBound, PolynomialDecay

REPLAY = """
import json, sys
import numpy as np
if sys.argv[1] == "jax":
    import jax
    jax.config.update("jax_enable_x64", True)
from segcore._keras import keras
from segcore.training.optimizers import AdaBound
oracle = json.load(sys.stdin)
worst = 0.0
for name, options in oracle["cases"].items():
    betas = options.get("betas", [0.9, 0.9])
    optimizer = AdaBound(
        options.get("lr", 1e-2), *betas, gamma=options.get("gamma", 0.3),
        l2=options.get("weight_decay", 0.0))
    weight = keras.Variable(np.array(oracle["p0"]), dtype="float64")
    optimizer.build([weight])
    for gradient, wanted in zip(oracle["grads"], oracle["params_after_each_step"][name]):
        optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient), "float64")])
        worst = max(worst, float(np.abs(np.asarray(weight) - wanted).max()))
print(worst)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_adabound_gives_the_authors_values(shared, backend):
    oracle = (shared / "reference" / "adabound_vectors.json").read_text()
    assert len(json.loads(oracle)["cases"]) == 3
    run = subprocess.run(
        [sys.executable, "-c", REPLAY, backend],
        input=oracle, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": backend},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) < 1e-7


def by_hand(gradients, rates, amsbound=False):
    """Algorithm 2 for one weight that starts at 1, in Python floats."""
    weight, m, v, largest = 1.0, 0.0, 0.0, 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        largest = max(largest, v) if amsbound else v
        final = 0.1 * rate / rates[0]
        step = rate * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) / (largest**0.5 + 1e-8)
        lower, upper = final * (1 - 1 / (1e-3 * t + 1)), final * (1 + 1 / (1e-3 * t))
        weight -= min(max(step, lower), upper) * m
    return weight


@pytest.mark.parametrize("amsbound", [False, True])
def test_a_falling_rate_shrinks_the_bounds_too(amsbound):
    gradients, rates = [3.0, -2.0, 0.01, 0.01, 0.5], [1e-3, 8e-4, 6e-4, 4e-4, 2e-4]
    optimizer = AdaBound(1e-3, amsbound=amsbound)
    weight = keras.Variable(np.ones(1, np.float32))
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.full((1,), gradient)], [weight])
    assert float(weight[0]) == pytest.approx(by_hand(gradients, rates, amsbound), abs=1e-6)


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(AdaBound(PolynomialDecay(1e-2, 40, warmup=3), amsbound=True, l2=1e-3), "mse")
    return model


def test_saved_in_the_middle_it_goes_on_exactly(tmp_path):
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(8, 4)), rng.normal(size=(8, 1))) for _ in range(20)]
    whole = network()
    for batch in batches:
        whole.train_on_batch(*batch)
    half = network()
    for batch in batches[:10]:
        half.train_on_batch(*batch)
    half.save(tmp_path / "half.keras")
    half = keras.saving.load_model(tmp_path / "half.keras")
    assert half.optimizer.base_lr == 1e-2
    for batch in batches[10:]:
        half.train_on_batch(*batch)
    for wanted, got in zip(whole.get_weights(), half.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_base_rate_survives_the_configuration():
    optimizer = AdaBound(1e-2)
    optimizer.learning_rate = 1e-4
    assert AdaBound.from_config(optimizer.get_config()).base_lr == 1e-2


def test_polynomial_decay_rises_then_falls_to_zero():
    schedule = PolynomialDecay(0.5, steps=100, power=2, warmup=9)
    rates = [float(schedule(step)) for step in (0, 8, 9, 54.5, 100, 200)]
    assert rates == pytest.approx([0.05, 0.45, 0.5, 0.125, 0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "base_lr must be above 0, not 0"),
        ({"weight_decay": 1e-4}, "weight_decay must be None.*use l2"),
        ({"beta_1": 1.0}, "beta_1 must be at least 0 and below 1, not 1.0"),
        ({"l2": -1e-4}, "l2 must be 0 or more"),
        ({"gamma": 0}, "gamma must be above 0"),
        (
            {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)},
            "base_lr is needed with ExponentialDecay",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdaBound(**options)


def test_a_schedule_that_only_warms_up_is_refused():
    with pytest.raises(ValueError, match="warmup must be 0 to steps - 1 = 9, not 10"):
        PolynomialDecay(0.1, steps=10, warmup=10)
    with pytest.raises(ValueError, match="learning_rate must be above 0, not 0"):
        PolynomialDecay(0, steps=10)


KINDS = dict(optimizers.OPTIMIZERS) | {
    "adamw": lambda *args, **options: optimizers.PerLayerAdamW(*args, weight_decay=0.0, **options)
}
PATHS = ("Conv1/kernel", "block_1_depthwise/kernel", "logits/kernel", "logits/bias")


def stepped(optimizer, gradient=1.0, steps=3):
    """What some steps make of four weights of a network, each 1 at first."""
    weights = [keras.Variable(np.ones(2, np.float32)) for _ in PATHS]
    for weight, path in zip(weights, PATHS, strict=True):
        weight._path = path
    for _ in range(steps):
        optimizer.apply([keras.ops.full((2,), gradient)] * len(PATHS), weights)
    return {path: float(weight[0]) for path, weight in zip(PATHS, weights, strict=True)}


@pytest.mark.parametrize("name", KINDS)
def test_the_encoder_moves_by_its_part_of_the_learning_rate(name):
    moved = {path: 1 - w for path, w in stepped(KINDS[name](0.01, encoder_rate=0.25)).items()}
    assert moved["logits/kernel"] > 1e-3
    assert moved["logits/bias"] == pytest.approx(moved["logits/kernel"], rel=1e-5)
    for path in PATHS[:2]:
        assert moved[path] == pytest.approx(0.25 * moved["logits/kernel"], rel=1e-3)


def test_a_part_for_an_encoder_that_is_not_there_is_refused():
    optimizer = optimizers.PerLayerAdam(0.01, encoder_rate=0.25)
    with pytest.raises(ValueError, match=r"encoder_rate must be 1 in .*\(Conv1, .* not 0\.25"):
        optimizer.build([keras.Variable(np.ones(2, np.float32), name="stem_kernel")])


@pytest.mark.parametrize("name", KINDS)
def test_without_options_it_is_the_plain_optimizer(name):
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    plain = {"adam": adam, "sgd": sgd, "adabound": AdaBound, "adamw": adam}
    assert stepped(KINDS[name](0.01)) == stepped(plain[name](0.01))


@pytest.mark.parametrize(
    ("optimizer", "pulled"),
    [
        (optimizers.PerLayerSGD(1.0, kernel_l2=0.1), {"Conv1/kernel", "logits/kernel"}),
        (optimizers.PerLayerAdamW(1.0, weight_decay=0.1), {"Conv1/kernel", "logits/kernel"}),
        (optimizers.PerLayerAdamW(1.0, encoder_rate=0.5, weight_decay=0.1), {"logits/kernel"}),
    ],
)
def test_decay_pulls_at_dense_kernels_alone(optimizer, pulled):
    found = stepped(optimizer, gradient=0.0, steps=1)
    assert found == pytest.approx({path: 0.9 if path in pulled else 1 for path in PATHS})


@pytest.mark.parametrize("name", KINDS)
def test_optimizers_survive_their_configuration(name):
    optimizer = KINDS[name](PolynomialDecay(0.1, 9, 2), encoder_rate=0.5, kernel_l2=1e-3)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert stepped(copy) == stepped(optimizer)
    assert (copy.encoder_rate, copy.kernel_l2) == (0.5, 1e-3)


@pytest.mark.parametrize("options", [{"encoder_rate": -1}, {"kernel_l2": -1e-4}])
def test_negative_parts_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be 0 or more"):
        optimizers.PerLayerSGD(0.1, **options)
