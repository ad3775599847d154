"""What a reader is told about an answer."""

import numpy as np
import pytest

from segcore.course import checks


@pytest.mark.parametrize("answer", [..., (..., ...), [...], {"a": ...}])
def test_ellipsis_is_not_an_answer_and_prints_nothing(answer, capsys):
    name = next(_names())
    checks.check(name, answer)
    assert capsys.readouterr().out == ""
    assert "replace the ..." in checks.exercise(name).verdict(answer)


def test_half_an_answer_is_told_so(capsys, monkeypatch):
    given(monkeypatch, lambda answer: "half." if ... in answer else None)
    checks.check("x", (1, ...))
    assert capsys.readouterr().out == "Not yet: half.\n"


def given(monkeypatch, judge, **more):
    """Puts an exercise with this `judge` in place of every other."""
    task = checks.Exercise(judge, "well done.", (), (), **more)
    monkeypatch.setattr(checks, "exercise", lambda name: task)


def test_a_function_that_raises_is_quoted(capsys, monkeypatch):
    given(monkeypatch, lambda function: function(1), function="")
    checks.check("x", lambda one: one / 0)
    assert "Not yet: your answer raised ZeroDivisionError" in capsys.readouterr().out


def test_an_exception_that_a_slip_leads_to_is_explained(capsys, monkeypatch):
    hint = ((IndexError, "drop void first."),)
    given(monkeypatch, lambda function: function(1), function="", raises=hint)
    checks.check("x", lambda one: [][one])
    checks.check("x", lambda one: {}[one])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Not yet: drop void first." and second.startswith("Not yet: your answer raised")


def test_a_fault_of_the_checker_is_not_called_the_readers(capsys, monkeypatch):
    given(monkeypatch, lambda answer: f"{answer['lost']}")
    checks.check("x", 3)
    said = capsys.readouterr().out
    assert said.startswith("Not judged: the checker fails on this int (TypeError")


def test_a_verdict_may_accept_with_a_sentence_of_its_own(capsys, monkeypatch):
    given(monkeypatch, lambda answer: checks.Right("by another rule.") if answer else None)
    checks.check("x", 1)
    checks.check("x", 0)
    assert capsys.readouterr().out == "Right: by another rule.\nRight: well done.\n"


def test_a_function_without_an_answer(capsys, monkeypatch):
    given(monkeypatch, lambda function: function(1), function="mine", unanswered="put it there.")
    for answer in (lambda one: ..., lambda one: (..., ...), lambda one: one + ...):
        checks.check("x", answer)
    assert capsys.readouterr().out == ""
    for answer in (3, lambda one: (1, ...), lambda one: None):
        checks.check("x", answer)
    value, pair, nothing = capsys.readouterr().out.splitlines()
    assert value == "Not yet: hand over the function itself, mine, without brackets behind it."
    assert pair == "Not yet: put it there."
    assert "returns nothing, or None" in nothing


@pytest.mark.parametrize(
    ("name", "words"), [("01-lost", "chapter 01 has:"), ("99-a", "no chapter")]
)
def test_unknown_exercise(name, words):
    with pytest.raises(KeyError, match=words):
        checks.exercise(name)


def test_reveal(capsys):
    checks.reveal(50, 73.4, " %")
    checks.reveal(None, 73.4, " %")
    near, none = capsys.readouterr().out.splitlines()
    assert near == "Measured: 73.4 %. Your guess was 23.4 % away."
    assert none.startswith("Measured: 73.4 %. (Write your guess first")


@pytest.mark.parametrize(
    "answer", [3, 3.0, np.int8(3), np.float32(3), np.array(3), np.array([[3.0]]), [3]]
)
def test_numbers_in_every_dress(answer):
    assert checks.number(answer) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (True, "this is a bool"),
        ("3", "this is a str"),
        (None, "this is a NoneType"),
        ([1, 2], "this is a list"),
        ([[1], [1, 2]], "this is a list"),
        (1j, "this is a complex"),
        (float("nan"), "this is nan"),
        (float("inf"), "this is inf"),
    ],
)
def test_what_is_no_number_is_named(answer, words):
    with pytest.raises(checks.Wrong, match=f"a single number is wanted, {words}"):
        checks.number(answer)


def test_slips_are_recognised_in_their_order():
    slips = ((2, "two."), (3, "three."), (3, "three again."))
    assert checks.recognise(slips, lambda slip: slip == 3) == "three."
    assert checks.recognise(slips, lambda slip: slip == 4) is None
    assert (checks.side(4, 3), checks.side(2, 3)) == ("too large.", "too small.")


def _names():
    from segcore.course.exercises import chapter01

    return (f"01-{slug}" for slug in chapter01.EXERCISES)
