"""The chapter rules accept a good chapter and refuse one broken in each way."""

import chapter_rules
import pytest
import words

GOOD = (
    """\
# Counting pixels

**The question: how many pixels has a photo?** 20 minutes to read, 30 seconds to run.

## What you will be able to do

- Count pixels.
- Explain why 640 by 480 is small, with `x = 0.5` and $y = 1.5$ and {{voc.photos:.1f}} %.

"""
    + "Prerequisites: [basics](../book/basics.md).\n\n## Pixels\n\n"
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
GUESS = """
Predict how many there are.

- in a photo
- on a screen

<details>
<summary>The answer</summary>

There are 640 by 480 of them.

</details>

"""
QUIZ = """
**Which is larger?**

- A. This.
- B. That.

<details>
<summary>Answer</summary>

B. That one is larger; A is smaller.

</details>
"""
TAKE = "\n## What to take away\n\nPixels are many.\n"
SELF = "\n## Check yourself\n" + QUIZ * 5
OPEN = """
## Open experiment

Change the width.

```python tags=["exercise"]
checks.check("01-open", ...)
```
"""
WHOLE = GOOD + CELL * 8 + GUESS + EXERCISE.format("a") + EXERCISE.format("b") + TAKE + SELF + OPEN


def complaints(rule, text, tmp_path):
    path = tmp_path / "01-trial.md"
    path.write_text(text, encoding="utf-8")
    return " ".join(rule(chapter_rules.read(path)))


@pytest.mark.parametrize("rule", chapter_rules.RULES)
def test_good_chapter_passes(rule, tmp_path):
    assert complaints(rule, WHOLE, tmp_path) == ""


LONG = "x = 1\n" * 16
GUESSED = GUESS[: GUESS.index("<details>")]


@pytest.mark.parametrize(
    ("rule", "old", "new", "said"),
    [
        (chapter_rules.length, "word " * 1300, "word " * 2600, "words, wanted"),
        (chapter_rules.length, CELL * 8, CELL * 4, "code cells, wanted"),
        (chapter_rules.length, CELL * 8, CELL * 16, "code cells, wanted"),
        (chapter_rules.length, "x = 1\n", LONG, "a cell of 16 lines"),
        (chapter_rules.opening, "- Count", "- Understand", "measurable verb"),
        (chapter_rules.opening, "20 minutes", "some time", "minutes"),
        (chapter_rules.opening, "30 seconds", "a while", "seconds"),
        (chapter_rules.opening, "has a photo?", "has a photo.", "question"),
        (chapter_rules.opening, "# Counting", "# One\n\n# Counting", "exactly one title"),
        (chapter_rules.opening, "able to do", "expected to do", "objectives"),
        (chapter_rules.order, "[basics](../book/basics.md)", "none", "the prerequisites"),
        (chapter_rules.order, TAKE + SELF, SELF + TAKE, "'Check yourself' should come after"),
        (chapter_rules.order, SELF + OPEN, OPEN + SELF, "'open experiment' should come after"),
        (chapter_rules.exercises, EXERCISE.format("b"), "", "1 checked exercises"),
        (chapter_rules.exercises, 'tags=["solution"]', "", "no solution cell checks 01-a"),
        (chapter_rules.exercises, "01-b", "02-b", "not of this chapter"),
        (chapter_rules.exercises, "01-open", "02-open", "not of this chapter"),
        (chapter_rules.exercises, OPEN, "", "0 checked open experiments"),
        (chapter_rules.exercises, 'check("01-b", 1)', "done()", "no solution cell checks 01-b"),
        (chapter_rules.exercises, "take away", "remember", "take away"),
        (chapter_rules.folded, GUESS, GUESSED + "It is 640.\n\n", "no folded answer follows"),
        (chapter_rules.folded, GUESS, GUESSED + CELL, "no folded answer follows"),
        (chapter_rules.folded, "There are 640 by 480 of them.", "", "no folded answer follows"),
        (chapter_rules.quiz, QUIZ * 5, QUIZ * 4, "4 folded answers"),
        (chapter_rules.quiz, QUIZ * 5, QUIZ * 9, "9 folded answers"),
        (chapter_rules.quiz, "- B. That.\n", "", "offers 1 choices"),
        (chapter_rules.quiz, "; A is smaller", "", "2 choices, 1 explained"),
        (chapter_rules.vocabulary, "word word", "the student paper", "write the course paper"),
        (chapter_rules.vocabulary, "x = 1", 'x = "half a cell"', "'half a cell' is out"),
        (chapter_rules.numbers, "{{voc.photos:.1f}}", "76.0", "line 8: '76.0' is typed in"),
        (chapter_rules.numbers, "word word", "83 % word", "'83 %' is typed in"),
        (chapter_rules.numbers, "word word", "takes 12 ms word", "'12 ms' is typed in"),
        (chapter_rules.numbers, "word word", "1,200.5 word", "'1,200.5' is typed in"),
    ],
)
def test_broken_chapter_is_refused(rule, old, new, said, tmp_path):
    assert old in WHOLE
    count = 1 if rule in (chapter_rules.numbers, chapter_rules.vocabulary) else -1
    assert said in complaints(rule, WHOLE.replace(old, new, count), tmp_path)


def test_a_guess_whose_cell_hides_its_output_is_folded(tmp_path):
    hidden = '```python tags=["hide-output"]\nguess = None\n```\n\n'
    assert complaints(chapter_rules.folded, WHOLE.replace(GUESS, GUESSED + hidden), tmp_path) == ""


def test_folded_code_may_be_long_and_does_not_count(tmp_path):
    cell = f'\n```python tags=["hide-input"]\n{LONG}```\n\nAnd then:\n'
    assert complaints(chapter_rules.length, WHOLE.replace(CELL, CELL + cell), tmp_path) == ""


@pytest.mark.parametrize(
    "sentence",
    [
        "The rim is void.",
        "A bottle takes a small share of the pixels.",
        "The network is 98 % sure.",
        "Choose the rate.",
        "A small\nrate helps.",
        "The paper names a winner.",
        "The project report says so.",
        "Upsampling with half a cell of error.",
        "The reach grows.",
        "We enlarge the scores.",
        "Spoil one label.",
        "Its taps fall on padding.",
        "A network that sees nothing.",
        "The thin ends are joined.",
    ],
)
def test_words_that_are_out(sentence):
    assert len(words.in_markdown(sentence)) == 1
    assert len(words.in_python(f'def f():\n    """{sentence}"""\n')) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "Run the next cell.",
        "Two classes share the pixel; the two share a border.",
        "The learning rate, both dilation rates and the frame rate.",
        "The course paper and the paper by Chen and others.",
        "Are you sure? Tap the photo.",
        "The rim of the cup is background.",
        "[the field](../book/the%20reach.md) and `{{voc.rate:.1f}}`",
        "They reach the phone.",
        "Map of the course.",
    ],
)
def test_words_that_may_stay(sentence):
    assert words.in_markdown(sentence) == []


def test_words_of_code_are_those_of_its_strings_and_comments():
    assert words.in_python("rate = reach(rim)") == []
    assert words.in_python('x = 1  # the rim\ny = "the " \\\n    "reach"\n') == [
        "line 1: 'rim' is out; write void boundary",
        "line 2: 'the reach' is out; write receptive field; for values: range",
    ]
