"""What a reader is told about an answer."""

import pytest

from segcore.course import checks


def test_ellipsis_is_not_an_answer(capsys):
    checks.check(next(_names()), ...)
    assert "replace the ..." in capsys.readouterr().out


def test_an_answer_that_raises_is_quoted(capsys, monkeypatch):
    def judge(answer):
        return answer()

    task = checks.Exercise(judge, "never", (), ())
    monkeypatch.setattr(checks, "exercise", lambda name: task)
    checks.check("x", lambda: 1 / 0)
    assert "Not yet: your answer raised ZeroDivisionError" in capsys.readouterr().out


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
    ("answer", "said"),
    [
        (0.5, None),
        (0.509, None),
        (0.6, "too large"),
        (0.4, "too small"),
        (True, "bool"),
        ("a", "str"),
    ],
)
def test_expect_number(answer, said):
    verdict = checks.expect_number(answer, 0.5, 0.01)
    assert verdict is None if said is None else said in verdict


def _names():
    from segcore.course.exercises import chapter01

    return (f"01-{slug}" for slug in chapter01.EXERCISES)
