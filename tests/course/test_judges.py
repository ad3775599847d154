"""Judges made from tables: they prove themselves, and say which slip an answer looks like."""

import numpy as np
import pytest

from segcore.course import checks
from segcore.course.judges import Choice, Experiment, Function, Number, apart

NUMBER = Number(
    12.0, slips=((24.0, "twice."), (12e3, "in thousands."), (29.0, "odd.")), hint="Add."
)
FUNCTION = Function(
    lambda x, y: x * y,
    cases=((2, 5), (3, 4), (np.arange(3.0), 2)),
    slips=(
        (lambda x, y: x + y, "that is the sum."),
        (lambda x, y: np.sum(x * y), "do not sum up."),
        (lambda x, y: x / y, "do not divide."),
    ),
    name="mine",
)
CHOICE = Choice("one-hot", slips=(("palette", "it has colours."), ("sparse", "it has ids.")))
EXPERIMENT = Experiment(
    start={"dilation": 6},
    measured=("ours", "theirs"),
    conclusions=("better", "worse", "cannot tell"),
    supported=lambda n: apart(n["ours"], n["theirs"]),
    slips=(("better", "the two overlap."),),
)
RUN = {"dilation": 4, "ours": [0.5, 0.6], "theirs": [0.4, 0.55], "conclusion": "cannot tell"}
TASKS = {
    "number": NUMBER.exercise("well."),
    "function": FUNCTION.exercise("well.", right=(lambda x, y: np.multiply(x, y),)),
    "choice": CHOICE.exercise("well."),
    "experiment": EXPERIMENT.exercise(
        "well.", right=(RUN,), wrong=(({**RUN, "conclusion": "better"}, "overlap"),)
    ),
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_judge_proves_itself(kind):
    task = TASKS[kind]
    assert len(task.right) >= 1 and len(task.wrong) >= 3
    assert [task.verdict(answer) for answer in task.right] == [None] * len(task.right)
    said = [(str(task.verdict(answer)), words) for answer, words in task.wrong]
    assert all(words in verdict for verdict, words in said)
    assert len({verdict for verdict, _ in said}) == len(said)


def test_a_slip_is_a_number_near_it():
    assert NUMBER(24.01) == "twice." and NUMBER(23) == "too large. Add."
    assert NUMBER(12.01) is None and NUMBER(-12) == "too small. Add."
    assert Number(0.0, slips=())(0.0) is None


def test_a_function_is_told_where_it_differs():
    assert FUNCTION(lambda x, y: x * y + (np.arange(3) if np.ndim(x) else 0)) == (
        "for [0.0, 1.0, 2.0], 2 element 1 should be 2, yours is 3."
    )
    assert FUNCTION(lambda x, y: 7) == "for 2, 5 10 is wanted, yours is 7."
    said = FUNCTION(lambda x, y: (x * y)[:2] if np.ndim(x) else x * y)
    assert said == "for [0.0, 1.0, 2.0], 2 shape (3,) is wanted, yours has shape (2,)."


def test_a_slip_that_raises_is_passed_over():
    slips = ((lambda x: [][x], "never."), (lambda x: x + 1, "one more."))
    assert Function(lambda x: x, ((1,), (2,)), slips)(lambda x: x + 1) == "one more."


def test_an_answer_may_write_into_its_arguments():
    def writes(x, y):
        if isinstance(x, np.ndarray):
            x *= y
            return x
        return x * y

    assert FUNCTION(writes) is None and FUNCTION(lambda x, y: x * y) is None


def test_a_choice_is_heard_in_any_dress():
    assert CHOICE(" One-Hot ") is None
    assert CHOICE("other") == "choose one of these: one-hot, palette, sparse."
    assert Choice(3, slips=((2, "no."),))(np.float32(3)) is None
    assert Choice(3, slips=((2, "no."),))([2]) == "no."
    assert "choose one" in (Choice(1, slips=((2, "no."),))(True) or "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dilation": 6}, "change dilation first"),
        ({"ours": []}, "ours must hold finite numbers"),
        ({"ours": [float("nan")]}, "ours must hold finite numbers"),
        ({"ours": "much"}, "a number, or several, as ours is wanted, this is a str."),
        ({"conclusion": "yes"}, "write one of these as the conclusion: better, worse, cannot tell"),
        ({"conclusion": None}, "write one of these"),
        ({"conclusion": "worse"}, "your numbers do not support 'worse'"),
        ({"ours": [0.7, 0.8]}, "your numbers do not support 'cannot tell'"),
    ],
)
def test_an_experiment_is_read(change, said):
    assert said in str(TASKS["experiment"].verdict(RUN | change))


def test_an_experiment_without_a_conclusion_is_unanswered():
    verdict = TASKS["experiment"].verdict(RUN | {"conclusion": ...})
    assert isinstance(verdict, checks.Unanswered)
    assert "lacks theirs" in EXPERIMENT({k: v for k, v in RUN.items() if k != "theirs"})


def test_apart():
    assert apart([3, 4], [1, 2]) == "better" and apart([1, 2], [3, 4]) == "worse"
    assert apart([1, 3], [2, 4]) == apart([3], [1]) == apart([2, 3], [1, 2]) == "cannot tell"
