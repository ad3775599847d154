"""The shipped network, trained on until 8 bits cost it nothing: at 513 and at 257 pixels.

    KERAS_BACKEND=jax python experiments/voc21_qat.py --shared ../shared --out runs/voc21_qat
    python experiments/voc21_qat_score.py runs/voc21_qat

The student is the network with every kernel and activation rounded; its teacher is the same network
without rounding, looking at the same view. Photos: VOC train (52) and COCO (126) with masks, 1,806
without (804 of them in the recorded run), of which 100 are held out to choose the best weights by;
the 40 val photos are not opened.
The recorded run began with the checkpoint before voc21.py, whose 513 is the same and 257 is not.
Each size gets weights and ranges of its own: voc21_qat_513.npz, voc21_qat_257.npz, voc21_qat.json.
Four minutes on an H100, compilation included; the second command takes ten on two cores and says
what came of it. To see on a CPU that it runs at all: --steps 4 --limit 6 --hold 4 --part 2
--sizes 65 --batch 2 --seconds 900.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from voc21_photos import pairs_of
from voc21_qat_programs import Size, build, calibrate, correct_biases, draw, prepare, validate

from segcore import shipped
from segcore._keras import keras
from segcore.data import dataset
from segcore.models import checkpoint

BEGAN = perf_counter()
PATHS = ("shared", "weights", "out")  # of one machine


def say(*words: Any) -> None:
    print(f"[{perf_counter() - BEGAN:6.1f} s]", *words, flush=True)


def save(each: Size, out: Path) -> None:
    """The best weights and ranges so far, by `layer/variable`, float32."""
    kinds = (each.student.trainable_variables, each.student.non_trainable_variables)
    found = {
        variable.path: array
        for kind, best in zip(kinds, each.best[1], strict=True)
        for variable, array in zip(kind, best, strict=True)
    }
    checkpoint.write_weights(found, out / f"voc21_qat_{each.size}.npz", "float32")


def compile_all(sizes: list[Size], options: argparse.Namespace) -> dict[tuple[int, str], Callable]:
    """Every size's programs, compiled side by side: minutes become the slowest one's."""
    lowered = {(e.size, name): low for e in sizes for name, low in prepare(e, options).items()}
    say("lowered", len(lowered), "programs")
    with ThreadPoolExecutor(len(lowered)) as pool:
        compiled = pool.map(lambda program: program.compile(), lowered.values())
        programs = dict(zip(lowered, compiled, strict=True))
    say("compiled")
    return programs


def advance(sizes: list[Size], programs: dict, number: int, rates: list[float], log: dict) -> bool:
    """One step at each size, at its rate → whether all losses looked at so far were numbers."""
    fine = True
    for each, rate in zip(sizes, rates, strict=True):
        batch = draw(each, log["seed"], number, log["train"])
        each.state, terms = programs[each.size, "step"](
            each.state, each.levels, each.frozen, each.data, batch,
            np.float32(rate), np.float32(number),
        )  # fmt: skip
        if number % 25 == 0:
            shown = {name: round(float(value), 5) for name, value in terms.items()}
            log["history"].append({"step": number, "size": each.size, **shown})
            fine = fine and shown["fine"] == 1
    return fine


def judge_all(sizes: list[Size], programs: dict, number: int, log: dict, out: Path) -> None:
    """Scores and keeps what is best so far."""
    scores = {each.size: validate(each, programs[each.size, "judge"], log) for each in sizes}
    log["validation"].append({"step": number, **scores})
    for each in sizes:
        save(each, out)
    say(number, log["history"][-2:], scores)


def how_many(sizes: list[Size], programs: dict, seconds: float, log: dict) -> int:
    """Steps that fit into what is left of the time: ten are timed, at rate 0."""
    for number in range(12):
        if number == 2:
            jax.block_until_ready([each.state for each in sizes])
            began = perf_counter()
        advance(sizes, programs, number + 1, [0.0] * len(sizes), log)
    jax.block_until_ready([each.state for each in sizes])
    pace = (perf_counter() - began) / 10
    log["ms_per_step_at_all_sizes"] = round(1000 * pace, 1)
    return max(int((seconds - (perf_counter() - BEGAN) - 20) / pace / 1.1), 1)


def choose_rate(
    options: argparse.Namespace, sizes: list[Size], programs: dict, log: dict
) -> dict[int, float]:
    """For each size, the rate that agrees best after a short trial of each; nothing is kept."""
    copy = partial(jax.tree.map, jnp.array)
    log["trials"] = {each.size: {} for each in sizes}
    for rate in options.rates if len(options.rates) > 1 else ():
        before = [copy(each.state) for each in sizes]
        for number in range(options.trial):
            step = rate * min((number + 1) / 20, 1 - number / options.trial)
            advance(sizes, programs, number, [step] * len(sizes), log)
        for each, state in zip(sizes, before, strict=True):
            log["trials"][each.size][rate] = validate(each, programs[each.size, "judge"], log)
            each.state = state
        say("trial", rate, {size: trials[rate] for size, trials in log["trials"].items()})
    log["history"].clear()
    lowest = {
        size: min(trials, key=lambda rate: trials[rate]["kl"]) if trials else options.rates[0]
        for size, trials in log["trials"].items()
    }
    return lowest


def train(options: argparse.Namespace, sizes: list[Size], programs: dict, log: dict) -> None:
    """Steps at all sizes in turn; ends early when the time is up or a loss is no number."""
    judge_all(sizes, programs, 0, log, options.out)
    log["rates"] = choose_rate(options, sizes, programs, log)
    steps = options.steps or how_many(sizes, programs, options.seconds, log)
    log["steps"] = steps
    say(steps, "steps of", log.get("ms_per_step_at_all_sizes"), "ms, rates", log["rates"])
    for number in range(steps):
        share = min((number + 1) / options.warmup, (1 - number / steps) ** 0.9)
        rates = [log["rates"][each.size] * share for each in sizes]
        if not advance(sizes, programs, number, rates, log):
            say("a loss is no number: the best weights so far stay")
            break
        if perf_counter() - BEGAN > options.seconds - 8:
            say("out of time at", number)
            break
        if (number + 1) % max(steps // 6, 1) == 0 and number + 1 < steps:
            judge_all(sizes, programs, number + 1, log, options.out)
    log["steps_done"] = number + 1
    judge_all(sizes, programs, number + 1, log, options.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=shipped.FLOAT.file)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[513, 257])
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32], help="for each size")
    parser.add_argument("--part", type=int, default=20, help="photos judged at once")
    parser.add_argument("--hold", type=int, default=100, help="photos to choose by")
    parser.add_argument("--seconds", type=float, default=240, help="for everything")
    parser.add_argument("--steps", type=int, default=0, help="0: as many as the time allows")
    rates = [0.001, 0.003, 0.01]
    parser.add_argument("--rates", type=float, nargs="+", default=rates, help="in levels, tried")
    parser.add_argument("--trial", type=int, default=80, help="steps for each rate")
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradients")
    parser.add_argument("--labels", type=float, default=0.02, help="weight of the cross-entropy")
    parser.add_argument("--share", type=float, default=0.9, help="see qat.calibrate")
    parser.add_argument("--moving", action="store_true", help="ranges move with the training")
    parser.add_argument("--limit", type=int, default=None, help="photos of each kind")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    say(jax.devices()[0].device_kind, "jax", jax.__version__, "keras", keras.__version__)
    pairs = pairs_of(options.shared, options.limit)
    sizes = [
        build(size, batch, options.part, options.weights, dataset.load(pairs, size, threads=8))
        for size, batch in zip(options.sizes, options.batch, strict=True)
    ]
    order = np.arange(len(sizes[0].read))
    say(len(order), "photos,", len(sizes[0].read.masks), "of them labelled")
    log: dict[str, Any] = {
        "seed": options.seed, "history": [], "validation": [], "calibrated": {},
        "train": order[: len(order) - options.hold], "held": order[len(order) - options.hold :],
    }  # fmt: skip
    programs = compile_all(sizes, options)
    for each in sizes:
        calibrate(each, programs[each.size, "watch"], log["train"][:240], options.share)
        log["calibrated"][each.size] = validate(each, programs[each.size, "judge"], log)
        correct_biases(each, programs[each.size, "means"], log["train"][-options.part :])
    say("calibrated", log["calibrated"])
    train(options, sizes, programs, log)
    chosen = {name: str(value) for name, value in vars(options).items() if name not in PATHS}
    report = log | {
        "train": len(log["train"]), "held": len(log["held"]), "options": chosen,
        "device": jax.devices()[0].device_kind, "seconds": round(perf_counter() - BEGAN, 1),
        "best_agree": {each.size: round(each.best[0], 5) for each in sizes},
        "versions": {"jax": jax.__version__, "keras": keras.__version__},
    }  # fmt: skip
    (options.out / "voc21_qat.json").write_text(json.dumps(report, indent=1) + "\n")
    say("done", log["validation"][0], log["validation"][-1])


if __name__ == "__main__":
    main()
