"""Weights for networks that nobody trained."""

import numpy as np
import pytest

from segcore.models import checkpoint


def drawn(model, seed=0):
    """Arrays for every variable of `model`: nothing is zero, no activation explodes."""
    random = np.random.default_rng(seed)
    arrays = {}
    for key, variable in checkpoint.variables_of(model).items():
        values = random.normal(0, 1, variable.shape)
        if key.endswith("kernel"):
            window = variable.shape[:2] if "depthwise" in key else variable.shape[:-1]
            arrays[key] = values * np.sqrt(2 / np.prod(window))
        elif key.endswith(("gamma", "variance")):
            arrays[key] = 1 + 0.2 * np.tanh(values)
        else:
            arrays[key] = 0.2 * values
    return arrays


@pytest.fixture(scope="session")
def random_arrays():
    """The function (model, seed) → arrays for its variables, by `layer/variable`."""
    return drawn
