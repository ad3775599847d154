"""How long a network takes: candidates in turn, so that a slow moment of the machine hits all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check, damage_named
from segcore.export import tflite
from segcore.export.interpreter import open_interpreter

if TYPE_CHECKING:
    import keras

Run = Callable[[], Any]  # runs a network once
WARM_UP = 3
SHORT_MS = 0.2  # an operator shorter than this is called repeatedly, to be seen by the clock


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one candidate: median, nine tenths are below `p90`, and how they compare.

    `ratio` is the median, over rounds, of its time divided by the reference's in the same round:
    2.0 means twice as slow.
    """

    name: str
    p50: float
    p90: float
    ratio: float
    rounds: int


def interleave(
    runs: Mapping[str, Run],
    rounds: int = 30,
    reference: str | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Timing]:
    """Times every candidate once a round, in an order shuffled anew (seed 0), after a warm-up.

    `reference` names the candidate that ratios compare with (None: the first). `progress` may wrap
    the rounds in a bar. Raises ValueError for no candidates, no rounds or an unknown reference.
    """
    names = list(runs)
    check("runs", runs, names, "one or more")
    check("rounds", rounds, rounds >= 1, "1 or more")
    reference = reference or names[0]
    check("reference", reference, reference in runs, f"one of {', '.join(names)}")
    for _ in range(WARM_UP):
        for run in runs.values():
            run()
    times = np.zeros((rounds, len(names)))
    order = np.random.default_rng(0)
    for number in progress(range(rounds)):
        for place in order.permutation(len(names)):
            times[number, place] = milliseconds(runs[names[place]])
    ratios = np.median(times.T / times[:, names.index(reference)], axis=1)
    low, high = np.percentile(times, [50, 90], axis=0)
    rows = zip(names, low, high, ratios, strict=True)
    return [Timing(name, float(a), float(b), float(r), rounds) for name, a, b, r in rows]


def file_run(file: tflite.Source, threads: int | None = None) -> Run:
    """A .tflite in an interpreter of its own, fed with noise: inference alone."""
    interpreter = open_interpreter(file, threads)
    for source in interpreter.get_input_details():
        interpreter.set_tensor(source["index"], _noise(source["shape"], source["dtype"]))
    with damage_named(tflite.name_of(file), "does not run; export it anew"):
        interpreter.invoke()  # a damaged file may show it only now
    return interpreter.invoke


def keras_runs(network: keras.Model) -> dict[str, Run]:
    """Four ways to run a Keras `network` with a fixed size on one image, by name.

    They compute the same; what differs is how much Python stands around it. Taught in chapter 9.
    """
    import tensorflow as tf

    image = _noise((1, *network.input_shape[1:]), np.float32)
    graph = tf.function(lambda x: network(x, training=False))
    tensor = tf.constant(image)
    return {
        "Keras predict()": lambda: network.predict(image, verbose=0),
        "Keras predict_on_batch()": lambda: network.predict_on_batch(image),
        "Keras model(x)": lambda: np.asarray(network(tensor, training=False)),
        "tf.function": lambda: np.asarray(graph(tensor)),
    }


class Part(NamedTuple):
    """One operator of a file and its median milliseconds when it runs alone."""

    operator: tflite.Operator
    ms: float


def profile(path: str | Path, threads: int | None = 1, rounds: int = 10) -> list[Part]:
    """Milliseconds of each operator of the .tflite at `path`, in the order in which they run.

    Each is cut out into a file of its own and timed in turn with the others; what it reads is
    often still in the cache, so the sum may lie below the time of the whole. Those that unpack
    stored kernels count with the convolution behind them. Taught in chapter 9.
    """
    file = tflite.File(path)
    numbers = [n for n in range(len(file.operators)) if not file.is_unpacking(n)]
    operators = [file.operators[number] for number in numbers]
    runs = [file_run(file.single(number), threads) for number in numbers]
    times = np.zeros((rounds, len(runs)))
    for number in range(rounds):
        for place, run in enumerate(runs):
            times[number, place] = milliseconds(run, at_least=SHORT_MS)
    medians = np.median(times, axis=0)
    return [Part(operator, float(ms)) for operator, ms in zip(operators, medians, strict=True)]


def table(timings: Sequence[Timing]) -> str:
    """`timings` as text, a line for each candidate."""
    wide = max(len(timing.name) for timing in timings)
    lines = [f"{'':{wide}} {'p50 ms':>8} {'p90 ms':>8} {'ratio':>6}"]
    lines += [f"{t.name:{wide}} {t.p50:8.1f} {t.p90:8.1f} {t.ratio:6.2f}" for t in timings]
    return "\n".join(lines)


def profile_table(parts: Sequence[Part], most: int = 15) -> str:
    """The `most` expensive parts, and the sum of each kind of operator, as text."""
    total = sum(part.ms for part in parts)
    lines = [f"{'operator':20} {'layer':28} {'output':>16} {'ms':>8} {'%':>6}"]
    for o, ms in sorted(parts, key=lambda part: -part.ms)[:most]:
        shape = "×".join(map(str, o.shape[1:]))
        lines.append(f"{o.kind:20} {o.layer:28} {shape:>16} {ms:8.2f} {100 * ms / total:5.1f}%")
    for kind, ms in sums_by_kind(parts).items():
        lines.append(f"{'all ' + kind:66} {ms:8.2f} {100 * ms / total:5.1f}%")
    return "\n".join(lines)


def sums_by_kind(parts: Sequence[Part]) -> dict[str, float]:
    """Milliseconds by kind of operator, largest first."""
    kinds = {part.operator.kind for part in parts}
    sums = {kind: sum(p.ms for p in parts if p.operator.kind == kind) for kind in kinds}
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def milliseconds(run: Run, at_least: float = 0.0) -> float:
    """Milliseconds of one call, the mean over as many as fill `at_least` milliseconds."""
    start, calls = perf_counter(), 0
    while calls == 0 or 1000 * (perf_counter() - start) < at_least:
        run()
        calls += 1
    return 1000 * (perf_counter() - start) / calls


def _noise(shape: Iterable[int], dtype: Any) -> NDArray:
    """Random bytes, or as many random numbers in [-1, 1], the same at every call."""
    random = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return random.uniform(-1, 1, tuple(shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(max(limits.min, -128), min(limits.max, 255), tuple(shape), dtype)
