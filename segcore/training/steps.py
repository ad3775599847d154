"""One training step, compiled: by jax as a function over arrays, by TensorFlow over variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcore._keras import keras
from segcore.training import losses

Objective = Callable[[Callable, Mapping[str, Any]], tuple[Any, Mapping[str, Any]]]
TF_STRATEGIES = ("mirrored", "multi_worker")


@dataclass(frozen=True)
class Plan:
    """What a step needs: `decays` are L2 factors, one for each trainable variable of `network`;
    `training` is what the network is told about its mode."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    objective: Objective
    decays: Sequence[float]
    training: bool


def make(plan: Plan, devices: str = "one") -> JaxStep | TensorFlowStep:
    """The step of the backend that Keras runs on."""
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise ValueError(f"backend is {backend}; set KERAS_BACKEND to tensorflow or jax")
    return JaxStep(plan, devices) if backend == "jax" else TensorFlowStep(plan, devices)


def spread(devices: str) -> Any:
    """How to spread batches over `devices`; enter its `.scope()` before the network is made.

    Under jax "data_parallel" (all devices of this machine), under tensorflow "mirrored" (likewise)
    or "multi_worker". A batch is split evenly, variables are copied, gradients summed and batch
    norm sees all parts: the step is that of the whole batch. For several hosts, start the same
    program on each, with a folder of its own and with the number of the host as index:

        TF_CONFIG='{"cluster": {"worker": ["host0:2222", "host1:2222"]},
                    "task": {"type": "worker", "index": 0}}' python PROGRAM --out runs/host0

    To resume, copy the folder of one host to all.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and devices in TF_STRATEGIES:
        import tensorflow as tf

        return (
            tf.distribute.MirroredStrategy()
            if devices == "mirrored"
            else tf.distribute.MultiWorkerMirroredStrategy()
        )
    if backend == "jax" and devices == "data_parallel":
        return keras.distribution.DataParallel(auto_shard_dataset=False)
    wanted = "data_parallel" if backend == "jax" else " or ".join(TF_STRATEGIES)
    raise ValueError(f"devices must be one or {wanted} under {backend}, not {devices!r}")


class JaxStep:
    """Keras' stateless functions, differentiated and compiled by jax.

    The arrays live here between steps; `sync` copies them into Keras' variables, `load` back.
    """

    def __init__(self, plan: Plan, devices: str) -> None:
        import jax

        self.plan, self.devices = plan, devices
        network, optimizer = plan.network, plan.optimizer
        weights, others = network.trainable_variables, network.non_trainable_variables
        self.groups = (weights, others, optimizer.variables)
        self.place = [v is optimizer.learning_rate for v in optimizer.variables].index(True)
        self.compiled = jax.jit(self._run, donate_argnums=(0, 1, 2))
        self.load()

    def load(self) -> None:
        """Takes the arrays from Keras' variables."""
        import jax.numpy as jnp

        self.state = tuple([jnp.array(v.value) for v in group] for group in self.groups)

    def sync(self) -> None:
        """Copies the arrays into Keras' variables."""
        import jax.numpy as jnp

        for group, arrays in zip(self.groups, self.state, strict=True):
            for variable, array in zip(group, arrays, strict=True):
                variable.assign(jnp.array(array))

    def step(self, batch: Mapping[str, Any], rate: float) -> Mapping[str, Any]:
        """One update at `rate` → {"loss": ..., parts}, scalars still on the device."""
        if self.devices == "data_parallel":
            batch = {key: _shard(value) for key, value in batch.items()}
        terms, *state = self.compiled(*self.state, batch, np.float32(rate))
        self.state = tuple(state)
        return terms

    def _run(self, weights: Any, others: Any, slots: Any, batch: Any, rate: Any) -> Any:
        import jax

        plan = self.plan

        def forward(weights: Any) -> Any:
            kept = [others]

            def call(images: Any) -> Any:
                logits, kept[0] = plan.network.stateless_call(
                    weights, kept[0], images, training=plan.training
                )
                return logits

            loss, parts = plan.objective(call, batch)
            return loss, ({"loss": loss, **parts}, kept[0])

        (_, (terms, others)), gradients = jax.value_and_grad(forward, has_aux=True)(weights)
        gradients = decayed(gradients, weights, plan.decays)
        slots = list(slots)
        slots[self.place] = rate
        weights, slots = plan.optimizer.stateless_apply(slots, gradients, weights)
        return terms, weights, others, slots


class TensorFlowStep:
    """A gradient tape in a compiled graph, on one device or on every replica of a strategy."""

    def __init__(self, plan: Plan, devices: str) -> None:
        import tensorflow as tf

        self.plan = plan
        self.strategy = tf.distribute.get_strategy()
        self.share = 1 / self.strategy.num_replicas_in_sync
        if (devices == "one") != (self.share == 1):
            raise ValueError(f"devices is {devices!r}: make network and trainer in its scope()")
        if plan.optimizer.global_clipnorm:  # Keras cuts each replica's share, then adds them up
            plan.optimizer.global_clipnorm *= self.share
        for layer in plan.network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.share < 1  # statistics of the whole batch
        self.compiled = tf.function(self._run)

    def load(self) -> None:
        """Nothing to do: the variables are the state."""

    def sync(self) -> None:
        """Nothing to do: the variables are the state."""

    def step(self, batch: Mapping[str, Any], rate: float) -> Mapping[str, Any]:
        """One update at `rate` → {"loss": ..., parts}, scalar tensors."""
        self.plan.optimizer.learning_rate.assign(rate)
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return self.compiled(dict(batch))

        def part(context: Any) -> Any:
            index = context.replica_id_in_sync_group
            return {key: part_of(value, index, replicas) for key, value in batch.items()}

        return self.compiled(self.strategy.experimental_distribute_values_from_function(part))

    def _run(self, batch: Any) -> Any:
        terms = self.strategy.run(self._replica, args=(batch,))
        reduce = self.strategy.reduce
        return {key: reduce("SUM", value, axis=None) for key, value in terms.items()}

    def _replica(self, batch: Any) -> Any:
        import tensorflow as tf

        plan, network = self.plan, self.plan.network
        weights = network.trainable_variables
        with tf.GradientTape() as tape:
            loss, parts = plan.objective(lambda x: network(x, training=plan.training), batch)
        gradients = losses.across(tape.gradient(loss, [v.value for v in weights]))
        gradients = decayed(gradients, weights, plan.decays)
        plan.optimizer.apply([g * self.share for g in gradients], weights)  # it adds the shares
        return {"loss": loss, **parts}


def observer(network: keras.Model) -> Callable[[Any], None]:
    """A compiled call of `network` in training mode that only moves its batch-norm statistics."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def look_graph(images: Any) -> None:
            network(images, training=True)

        return tf.function(look_graph)
    import jax

    look = jax.jit(lambda w, o, x: network.stateless_call(w, o, x, training=True)[1])

    def observe(images: Any) -> None:
        weights = [v.value for v in network.trainable_variables]
        others = [v.value for v in network.non_trainable_variables]
        for variable, array in zip(
            network.non_trainable_variables, look(weights, others, images), strict=True
        ):
            variable.assign(array)

    return observe


def decayed(gradients: Sequence[Any], weights: Sequence[Any], decays: Sequence[float]) -> list[Any]:
    """L2: each gradient plus its decay times its weight."""
    pairs = zip(gradients, weights, decays, strict=True)
    return [g + decay * w if decay else g for g, w, decay in pairs]


def _shard(value: Any) -> Any:
    """An array with its first axis spread over the devices of the current distribution."""
    layout = keras.distribution.distribution().get_data_layout(np.shape(value))
    return keras.distribution.distribute_tensor(value, layout)


def part_of(value: Any, index: int, count: int) -> Any:
    """Part `index` of `count` equal parts of an array; ValueError where they cannot be equal."""
    if len(value) % count:
        raise ValueError(f"a batch of {len(value)} cannot be split evenly over {count} devices")
    size = len(value) // count
    return value[index * size : (index + 1) * size]
