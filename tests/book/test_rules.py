"""The chapter rules accept a good chapter and refuse one broken in each way."""

import chapter_rules
import pytest

GOOD = (
    """\
# Counting pixels

**The question: how many pixels has a photo?** 20 minutes to read, 30 seconds to run.

## What you will be able to do

- Count pixels.
- Explain why 640 by 480 is small, with `x = 0.5` and $y = 1.5$ and {{voc40.photos:.1f}} %.

"""
    + "word " * 1300
)

CELL = "\n\n```python\nx = 1\n```\n\nAnd then:\n"
EXERCISE = """
```python tags=["exercise"]
answer = ...
checks.check("01-{0}", answer)
```

Think first.

```python tags=["solution"]
checks.check("01-{0}", 1)
```

"""
END = "\n## What to take away\n\nPixels are many.\n"
WHOLE = GOOD + CELL * 8 + EXERCISE.format("a") + EXERCISE.format("b") + END


def complaints(rule, text, tmp_path):
    path = tmp_path / "01-trial.md"
    path.write_text(text, encoding="utf-8")
    return " ".join(rule(chapter_rules.read(path)))


@pytest.mark.parametrize(
    "rule",
    [
        chapter_rules.length,
        chapter_rules.opening,
        chapter_rules.exercises,
        chapter_rules.numbers,
    ],
)
def test_good_chapter_passes(rule, tmp_path):
    assert complaints(rule, WHOLE, tmp_path) == ""


@pytest.mark.parametrize(
    ("rule", "old", "new", "said"),
    [
        (chapter_rules.length, "word " * 1300, "word " * 900, "words, wanted"),
        (chapter_rules.length, "word " * 1300, "word " * 1900, "words, wanted"),
        (chapter_rules.length, CELL * 8, CELL * 4, "code cells, wanted"),
        (chapter_rules.length, CELL * 8, CELL * 14, "code cells, wanted"),
        (chapter_rules.length, "x = 1\n", "x = 1\n" * 6, "the median cell has 6 lines"),
        (chapter_rules.length, "answer = ...\n", "y = 2\n" * 26, "a cell has 27 lines"),
        (chapter_rules.opening, "- Count", "- Understand", "measurable verb"),
        (chapter_rules.opening, "20 minutes", "some time", "minutes"),
        (chapter_rules.opening, "30 seconds", "a while", "seconds"),
        (chapter_rules.opening, "has a photo?", "has a photo.", "question"),
        (chapter_rules.opening, "# Counting", "# One\n\n# Counting", "exactly one title"),
        (chapter_rules.opening, "able to do", "expected to do", "objectives"),
        (chapter_rules.exercises, EXERCISE.format("b"), "", "1 checked exercises"),
        (chapter_rules.exercises, 'tags=["solution"]', "", "0 solutions"),
        (chapter_rules.exercises, "01-b", "02-b", "not of this chapter"),
        (chapter_rules.exercises, 'check("01-b", 1)', "done()", "no solution cell checks 01-b"),
        (chapter_rules.exercises, "take away", "remember", "take away"),
        (chapter_rules.numbers, "{{voc40.photos:.1f}}", "76.0", "line 8: '76.0' is typed in"),
        (chapter_rules.numbers, "word word", "83 % word", "'83 %' is typed in"),
        (chapter_rules.numbers, "word word", "takes 12 ms word", "'12 ms' is typed in"),
        (chapter_rules.numbers, "word word", "1,200.5 word", "'1,200.5' is typed in"),
    ],
)
def test_broken_chapter_is_refused(rule, old, new, said, tmp_path):
    assert old in WHOLE
    count = 1 if rule is chapter_rules.numbers else -1
    assert said in complaints(rule, WHOLE.replace(old, new, count), tmp_path)
