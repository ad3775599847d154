"""Every exercise accepts its right answers and says something else to each wrong one."""

import importlib
import pkgutil

import numpy as np
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
    said, task = capsys.readouterr().out, checks.exercise(name)
    verdict = task.verdict(answer)
    assert verdict is None or isinstance(verdict, checks.Right)
    assert said == f"Right: {verdict or task.praise}\n"


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answer_is_told_its_mistake(name, answer, words, capsys):
    checks.check(name, answer)
    said, verdict = capsys.readouterr().out, checks.exercise(name).verdict(answer)
    assert words in str(verdict)
    assert said == ("" if isinstance(verdict, checks.Unanswered) else f"Not yet: {verdict}\n")


@pytest.mark.parametrize("name", NAMES)
def test_an_unanswered_exercise_prints_nothing(name, capsys):
    checks.check(name, ...)
    if checks.exercise(name).function is not None:
        checks.check(name, lambda *arguments: ...)
        checks.check(name, lambda *arguments: (..., ...))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name", [name for name in NAMES if checks.exercise(name).function is not None]
)
def test_a_value_and_a_function_without_answer_are_told_so(name):
    task = checks.exercise(name)
    for value in (3.7, (1, 2), np.zeros(3)):
        assert "without brackets" in str(task.verdict(value))
    verdict = task.verdict(lambda *arguments: ...)
    assert isinstance(verdict, checks.Unanswered) and verdict == task.unanswered


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_has_its_own_message(name):
    task = checks.exercise(name)
    said = [task.verdict(answer) for answer, _ in task.wrong]
    assert len(task.right) >= 1 and len(task.wrong) >= 3
    assert len(set(said)) == len(said), f"{name} says the same to two mistakes"


@pytest.mark.parametrize("name", NAMES)
def test_sentences_end(name):
    task = checks.exercise(name)
    sentences = [task.praise, *(str(task.verdict(answer)) for answer, _ in task.wrong)]
    assert all(sentence.rstrip().endswith((".", "?")) for sentence in sentences)


class Odd:
    """Something that is no number in any way."""

    def __repr__(self):
        return "Odd()"


def broken(*arguments):
    raise RuntimeError("my own mistake")


ODD = (
    None, "text", "", True, 1 + 2j, float("nan"), float("inf"), -1, 0, 1e30, [], {}, (), set(),
    {"a"}, [1, "a"], [[1], [2, 3]], [None], np.zeros((2, 3, 4)), np.array([]), np.array("x"),
    Odd(), int,
)  # fmt: skip
ODD_FUNCTIONS = [
    *(lambda *arguments, value=value: value for value in ODD),
    lambda: 1,
    lambda *arguments: (..., 1),
    lambda *arguments: (None, None),
    lambda *arguments: (1, 2),
    lambda *arguments: ("a", [1, "b"]),
    broken,
    np.linalg.inv,
]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_handed_in_is_answered_with_a_sentence(name, capsys):
    for answer in (*ODD, *ODD_FUNCTIONS):
        checks.check(name, answer)
        said = capsys.readouterr().out
        assert said.startswith(("Not yet: ", "Right: ")), f"{name} fails on {answer!r}: {said}"
        assert said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_told_so_and_not_judged(name, capsys):
    checks.check(name, None)
    said = capsys.readouterr().out
    wants_function = checks.exercise(name).function is not None
    assert ("the function itself" if wants_function else "your answer is None") in said
    if not wants_function:
        return
    checks.check(name, lambda *arguments: None)
    assert "returns nothing, or None" in capsys.readouterr().out
    checks.check(name, broken)
    assert "your answer raised RuntimeError: my own mistake" in capsys.readouterr().out


def test_either_convention_of_iou_is_accepted_by_name(capsys):
    from segcore import metrics

    checks.check("01-iou", lambda c: np.nan_to_num(metrics.iou(c)))
    assert "Right: by the rule of the VOC devkit" in capsys.readouterr().out


def test_a_tensor_is_as_good_as_an_array(capsys):
    from segcore._keras import keras

    checks.check("05-receptive-field", keras.ops.convert_to_tensor(55))
    checks.check("10-gradient", lambda x, g, a, b: keras.ops.where((x < a) | (x > b), 0.0, g))
    assert capsys.readouterr().out.count("Right: ") == 2


def test_the_file_that_wants_blue_first_differs_from_the_one_for_phones_in_that_alone():
    from segcore import load
    from segcore.course.exercises import chapter11

    photo = np.random.default_rng(0).integers(0, 256, (257, 257, 3), np.uint8)
    wants_blue, wants_red = load(chapter11.mystery()), load("phone")
    assert np.array_equal(wants_blue.infer(photo[..., ::-1].copy()), wants_red.infer(photo))
    assert not np.array_equal(wants_blue.infer(photo), wants_red.infer(photo))


def test_upsamplings_of_the_frameworks_are_judged_as_they_are():
    from segcore._keras import keras
    from segcore.models import blocks

    def aligned(features):
        images = keras.Input(features.shape[1:])
        return keras.Model(images, blocks.upsample_aligned(images, 16, "up"))(features)

    def plain(features):
        side = 16 * (features.shape[1] - 1) + 1
        return keras.ops.image.resize(features, (side, side), interpolation="bilinear")

    repair = checks.exercise("06-repair")
    assert repair.verdict(aligned) is None
    assert "the plain resize still" in repair.verdict(plain)
