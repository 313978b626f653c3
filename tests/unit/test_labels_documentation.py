"""The figures that the docs give for each labeller are those of its labelled examples.

``python tests/unit/test_labels_documentation.py`` writes them into the docs again.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from pytest_convergence.represent.labels import LABELLERS, labeller
from pytest_convergence.represent.labels.scoring import (
    MISSING,
    Confusion,
    confusion,
    read_examples,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "data" / "labels"
PAGE = ROOT / "docs" / "labellers.md"
SPLITS = ("development", "held-out")
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
# The others have as many labels as examples: their matrix is told by what was found.
FEW_LABELS = ("abstention", "refusal", "response-format", "yes-no")
FILES = sorted(EXAMPLES.glob("*.jsonl"))

# What the first run on the held-out examples gave; they have shaped no rule since.
HELD_OUT = {
    "abstention": 1.0,
    "confidence": 1.0,
    "instructions": 1.0,
    "matches": 0.950,
    "multiple-choice": 0.974,
    "number": 0.975,
    "refusal": 0.956,
    "response-format": 1.0,
    "yes-no": 0.976,
}


def measured(name: str, split: str) -> Confusion:
    examples = read_examples(EXAMPLES / f"{name}.jsonl")
    return confusion(labeller(name), [e for e in examples if e.split == split])


def figures() -> str:
    """The summary and the matrices, as the page holds them."""
    names = sorted(HELD_OUT)
    lines = ["| labeller | development | held-out | held-out, 95 % Wilson |", "|---|---:|---:|---|"]
    found = {(name, split): measured(name, split) for name in names for split in SPLITS}
    for name in names:
        shown = [f"{c.accuracy:.3f} of {c.total}" for c in (found[name, s] for s in SPLITS)]
        low, high = wilson(found[name, "held-out"])
        lines.append(f"| {name} | {shown[0]} | {shown[1]} | {low:.2f} to {high:.2f} |")
    for name in names:
        title = f"### {name}, held-out" + ("" if name in FEW_LABELS else ": found or not")
        result = found[name, "held-out"]
        table = result if name in FEW_LABELS else merged(result)
        lines += ["", title, "", table.markdown()]
    return "\n".join(lines)


def merged(result: Confusion) -> Confusion:
    """With every label as one, apart from missing: right, another label, or none."""
    counts: Counter[tuple[str, str]] = Counter()
    for (given, found), count in result.counts.items():
        there = MISSING if given == MISSING else "a label"
        same = there if given == found else MISSING if found == MISSING else "another label"
        counts[there, same] += count
    return Confusion(dict(counts))


def wilson(result: Confusion) -> tuple[float, float]:
    z, n, p = 1.959964, result.total, result.accuracy
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_main_labeller_has_sixty_examples_of_which_thirty_are_held_out(path: Path) -> None:
    examples = read_examples(path)
    assert len(examples) >= 60
    assert sum(example.split == "held-out" for example in examples) >= 30
    assert len({example.id for example in examples}) == len(examples)
    texts = [(e.response.text.strip(), e.response.finish, str(e.data)) for e in examples]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_labeller_reads_its_development_examples(name: str) -> None:
    result = measured(name, "development")
    assert result.accuracy >= 0.97, result.wrong


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_labeller_reaches_on_held_out_examples_what_the_docs_say(name: str) -> None:
    result = measured(name, "held-out")
    assert result.accuracy >= HELD_OUT[name] - 0.0005, result.wrong


@pytest.mark.parametrize("name", HELD_OUT)
def test_an_example_that_cannot_be_labelled_is_missing_for_the_reason_given(name: str) -> None:
    for example in read_examples(EXAMPLES / f"{name}.jsonl"):
        if example.label is None and example.split == "development":
            answer = labeller(name)(example.response, example.data)
            assert not isinstance(answer, str)
            assert answer is not None
            assert answer.missing is not None
            assert (example.id, answer.missing.kind) == (example.id, example.missing)


def test_every_file_of_examples_has_its_labeller_and_its_figure() -> None:
    assert {path.stem for path in FILES} == set(HELD_OUT) == set(LABELLERS)


def test_the_page_holds_the_figures_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = (page.index(mark) for mark in MARKS)
    assert page[begin + len(MARKS[0]) : end].strip() == figures()


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8")
    head, tail = old[: old.index(MARKS[0]) + len(MARKS[0])], old[old.index(MARKS[1]) :]
    PAGE.write_text(f"{head}\n\n{figures()}\n\n{tail}", encoding="utf-8")
