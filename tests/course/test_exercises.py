"""Every exercise accepts its right answers and says something else to each wrong one."""

import importlib
import pkgutil

import pytest

from segcore.course import checks, exercises

MODULES = sorted(module.name for module in pkgutil.iter_modules(exercises.__path__))
NAMES = [
    f"{module.removeprefix('chapter')}-{slug}"
    for module in MODULES
    for slug in importlib.import_module(f"segcore.course.exercises.{module}").EXERCISES
]
RIGHT = [
    pytest.param(name, answer, id=f"{name}-{number}")
    for name in NAMES
    for number, answer in enumerate(checks.exercise(name).right)
]
WRONG = [
    pytest.param(name, answer, words, id=f"{name}-{words.replace(' ', '_')}")
    for name in NAMES
    for answer, words in checks.exercise(name).wrong
]


def test_chapters_have_exercises():
    assert MODULES and all(module.startswith("chapter") for module in MODULES)


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answer_is_praised(name, answer, capsys):
    checks.check(name, answer)
    assert capsys.readouterr().out == f"Right: {checks.exercise(name).praise}\n"


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answer_is_told_its_mistake(name, answer, words, capsys):
    checks.check(name, answer)
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and words in said and said.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_has_its_own_message(name):
    task = checks.exercise(name)
    said = [task.judge(answer) for answer, _ in task.wrong]
    assert len(task.right) >= 1 and len(task.wrong) >= 3
    assert len(set(said)) == len(said), f"{name} says the same to two mistakes"


@pytest.mark.parametrize("name", NAMES)
def test_sentences_end(name):
    task = checks.exercise(name)
    sentences = [task.praise, *(str(task.judge(answer)) for answer, _ in task.wrong)]
    assert all(sentence.rstrip().endswith((".", "?")) for sentence in sentences)
