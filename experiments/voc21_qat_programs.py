"""What `voc21_qat.py` compiles for each size: a training step, a judge, a look at the ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from segcore._keras import keras
from segcore.data import augment, dataset
from segcore.models import pretrained
from segcore.quantisation import fake_quant, fold, qat
from segcore.training import losses

AVERAGE = 0.998  # memory of the running average, in steps
RECIPE = augment.Recipe(scale=(0.7, 1.6), corner=0.5)


@dataclass
class Size:
    """All that belongs to one input size; networks give scores for every fourth pixel."""

    size: int
    batch: int
    part: int  # photos in one call that does not train
    folded: keras.Model  # the float network at full size
    teacher: keras.Model
    student: keras.Model
    observer: keras.Model
    read: dataset.Photos
    data: Any = None  # images, contents and masks on the device
    frozen: Any = None  # the teacher's arrays
    levels: Any = None  # how far apart the levels of each kernel are
    state: Any = None  # weights, ranges, Adam's two memories, the weights' running average
    best: tuple[float, Any] = (-1.0, None)


def build(size: int, batch: int, part: int, weights: Any, read: dataset.Photos) -> Size:
    """Teacher and student of one size; nothing calibrated or compiled yet."""
    folded = fold.fold(pretrained.load(size, weights))
    student, observer = small(qat.quantise(folded)), qat.observer(folded)
    return Size(size, batch, part, folded, small(folded), student, observer, read)


def small(network: keras.Model) -> keras.Model:
    """`network` without its last enlargement."""
    return keras.Model(network.input, network.get_layer("logits_up").input)


def arrays(model: keras.Model) -> tuple[list, list]:
    """The trainable and the other arrays of `model`, as `stateless_call` takes them."""
    kinds = (model.trainable_variables, model.non_trainable_variables)
    return tuple([jnp.array(v.value) for v in kind] for kind in kinds)


def shown(size: int, image: Any, content: Any, view: Any) -> tuple[Any, Any]:
    """One view of a photo, and which of its every fourth pixels show it."""
    inside = augment.positions(content, view, size, jnp)[2][::4, ::4]
    return augment.apply_image(image, content, view, size, jnp), inside


def objective(each: Size, label_weight: float) -> Callable:
    """A function (weights, ranges, teacher, data, batch) → (loss, (ranges, parts))."""

    def label(mask: Any, content: Any, view: Any) -> Any:
        return augment.apply_mask(mask, content, view, each.size, jnp)[::4, ::4]

    def loss_of(weights: Any, ranges: Any, teacher: Any, data: Any, batch: Any) -> Any:
        images, contents, masks = data
        index, view, labelled = batch
        look = partial(shown, each.size)
        x, known = jax.vmap(look)(images[index], contents[index], view)
        target = each.teacher.stateless_call(*teacher, x, training=False)[0]
        logits, ranges = each.student.stateless_call(weights, ranges, x, training=True)
        kl = losses.distillation(logits, jax.nn.softmax(target), known)
        labels = jax.vmap(label)(masks[index % len(masks)], contents[index], view)
        labels = jnp.where(labelled[:, None, None], labels, 255).astype("int32")
        ce = losses.cross_entropy(logits, labels)
        return kl + label_weight * ce, (ranges, {"kl": kl, "ce": ce})

    return loss_of


def trainer(each: Size, clip: float, label_weight: float) -> Callable:
    """A function (state, levels, teacher, data, batch, rate, number) → (state, terms).

    Adam, whose steps are measured in `levels` of each kernel (see `qat.quantisation_steps`). A step
    whose gradient is not finite changes nothing and says so: "fine" is 0.
    """
    grad = jax.value_and_grad(objective(each, label_weight), has_aux=True)

    def step(
        state: Any, levels: Any, teacher: Any, data: Any, batch: Any, rate: Any, n: Any
    ) -> Any:
        weights, ranges, m, v, average = state
        (loss, (ranges, parts)), grads = grad(weights, ranges, teacher, data, batch)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in grads))
        grads = [g * jnp.minimum(1.0, clip / (norm + 1e-12)) for g in grads]
        m = [0.9 * a + 0.1 * g for a, g in zip(m, grads, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, grads, strict=True)]
        unbias = jnp.sqrt(1 - 0.999 ** (n + 1)) / (1 - 0.9 ** (n + 1))
        weights = [
            w - rate * level * unbias * a / (jnp.sqrt(b) + 1e-10)
            for w, level, a, b in zip(weights, levels, m, v, strict=True)
        ]
        keep = jnp.minimum(AVERAGE, (1 + n) / (10 + n))
        average = [a + (1 - keep) * (w - a) for a, w in zip(average, weights, strict=True)]
        fine = jnp.isfinite(norm)
        new = (weights, ranges, m, v, average)
        kept = jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, state)
        return kept, {"loss": loss, "norm": norm, "fine": fine, **parts}

    return step


def judge(each: Size) -> Callable:
    """A function (weights, ranges, teacher, images, contents) → (pixels that agree, pixels, KL)."""
    look = partial(shown, each.size, view=augment.IDENTITY)

    def compare(weights: Any, ranges: Any, teacher: Any, images: Any, contents: Any) -> Any:
        x, known = jax.vmap(look)(images, contents)
        target = each.teacher.stateless_call(*teacher, x, training=False)[0]
        logits = each.student.stateless_call(weights, ranges, x, training=False)[0]
        same = (target.argmax(-1) == logits.argmax(-1)) & known
        return same.sum(), known.sum(), losses.distillation(logits, jax.nn.softmax(target), known)

    return compare


def watcher(each: Size) -> Callable:
    """A function (arrays of the observer, images, contents) → extremes (B, R, 2)."""
    look = partial(shown, each.size, view=augment.IDENTITY)

    def watch(known: Any, images: Any, contents: Any) -> Any:
        return each.observer.stateless_call(*known, jax.vmap(look)(images, contents)[0])[0]

    return watch


def means(each: Size) -> Callable:
    """A function (weights, ranges, teacher, images, contents) → the mean of each channel behind
    each convolution, of the teacher and of the student: two lists of (C,)."""
    look = partial(shown, each.size, view=augment.IDENTITY)
    names = convolutions(each.student)
    watched = [
        keras.Model(net.input, [net.output, *(net.get_layer(name).output for name in names)])
        for net in (each.teacher, each.student)
    ]
    for net, model in zip((each.teacher, each.student), watched, strict=True):
        assert [v.path for v in net.variables] == [v.path for v in model.variables]

    def run(weights: Any, ranges: Any, teacher: Any, images: Any, contents: Any) -> Any:
        x = jax.vmap(look)(images, contents)[0]
        answers = (
            watched[0].stateless_call(*teacher, x, training=False)[0][1:],
            watched[1].stateless_call(weights, ranges, x, training=False)[0][1:],
        )
        return [[answer.mean((0, 1, 2)) for answer in each] for each in answers]

    return run


def convolutions(network: keras.Model) -> list[str]:
    """The names of the convolutions, in running order."""
    return [x.name for x in network.layers if isinstance(x, fake_quant.Convolution)]


def correct_biases(each: Size, run: Callable, chosen: np.ndarray) -> None:
    """Biases of the student so that each channel has the teacher's mean over `chosen` photos.

    One convolution after the other, behind all that was corrected before: rounding shifts the mean
    of a channel, and training would have to unlearn that first. Nagel et al. 2019, section 4.2.
    """
    place = {v.path: n for n, v in enumerate(each.student.trainable_variables)}
    weights, ranges, m, v, _ = each.state
    some = [each.data[k][chosen] for k in (0, 1)]
    for number, name in enumerate(convolutions(each.student)):
        wanted, found = run(weights, ranges, each.frozen, *some)
        weights[place[f"{name}/bias"]] += wanted[number] - found[number]
    each.state = (weights, ranges, m, v, [jnp.array(w) for w in weights])


def prepare(each: Size, options: Any) -> dict[str, Any]:
    """The four programs of one size, lowered but not compiled; the state is made on the way."""
    weights, ranges = arrays(each.student)
    nothing = [jnp.zeros_like(w) for w in weights]
    average, v = (jax.tree.map(jnp.array, x) for x in (weights, nothing))  # donated: no sharing
    each.state = (weights, ranges, nothing, v, average)
    each.levels = [jnp.asarray(level) for level in qat.quantisation_steps(each.student)]
    each.frozen = arrays(each.teacher)
    each.data = tuple(map(jnp.asarray, (each.read.images, each.read.contents, each.read.masks)))
    qat.set_moving(each.student, options.moving)
    step = jax.jit(trainer(each, options.clip, options.labels), donate_argnums=(0,))
    some = each.data[0][: each.part], each.data[1][: each.part]
    batch, number = draw(each, 0, 0, np.arange(len(each.read))), np.float32(0)
    rest = (each.levels, each.frozen, each.data, batch, number, number)
    return {
        "step": step.lower(each.state, *rest),
        "judge": jax.jit(judge(each)).lower(weights, ranges, each.frozen, *some),
        "watch": jax.jit(watcher(each)).lower(arrays(each.observer), *some),
        "means": jax.jit(means(each)).lower(weights, ranges, each.frozen, *some),
    }


def draw(each: Size, seed: int, number: int, train: np.ndarray) -> tuple[Any, ...]:
    """The batch of step `number`: (indices, views, which are labelled), a quarter labelled."""
    rng = np.random.default_rng((seed, number, each.size))
    M = len(each.read.masks)
    labelled = rng.integers(M, size=max(each.batch // 4, 1))
    rest = rng.choice(train[train >= M], each.batch - len(labelled))
    index = np.r_[labelled, rest].astype(np.int32)
    return index, augment.draw(rng, each.read.contents[index], each.size, RECIPE), index < M


def calibrate(each: Size, watch: Callable, chosen: np.ndarray, share: float) -> None:
    """Ranges from `chosen` photos into the student and its state."""
    known, look = arrays(each.observer), slices(chosen, each.part)
    seen = [np.asarray(watch(known, *(each.data[k][part] for k in (0, 1)))) for part in look]
    found = qat.ranges_from(each.folded, np.concatenate(seen), share)
    for layer in each.student.layers:
        for end, value in zip(("low", "high"), found.get(layer.name, ()), strict=False):
            getattr(layer, end).assign(value)
    each.state = (each.state[0], arrays(each.student)[1], *each.state[2:])


def validate(each: Size, compare: Callable, log: dict[str, Any]) -> dict[str, float]:
    """Agreement of the averaged student with its teacher on the held-out photos; the best stays."""
    same = pixels = kl = 0.0
    parts = slices(log["held"], each.part)
    for part in parts:
        chosen = (each.data[k][part] for k in (0, 1))
        a, b, c = compare(each.state[-1], each.state[1], each.frozen, *chosen)
        same, pixels, kl = same + float(a), pixels + float(b), kl + float(c) / len(parts)
    if same / pixels > each.best[0]:
        each.best = same / pixels, [[np.asarray(a) for a in each.state[k]] for k in (-1, 1)]
    return {"agree": round(same / pixels, 5), "kl": round(kl, 5)}


def slices(chosen: np.ndarray, part: int) -> list[np.ndarray]:
    """`chosen` cut into pieces of `part`; what is left over is left out."""
    return [chosen[i : i + part] for i in range(0, len(chosen) - part + 1, part)]
