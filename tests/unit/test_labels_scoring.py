"""Labels beside people's labels."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pytest_convergence.errors import ResponsesError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.labels import Confusion, Example, confusion, read_examples, yes_no

COUNTS = {("a", "a"): 6, ("a", "b"): 2, ("b", "b"): 1, ("b", "(missing)"): 1}


def test_the_figures_are_those_of_the_counts() -> None:
    result = Confusion(COUNTS)
    assert result.total == 10
    assert result.accuracy == 0.7
    assert (result.recall("a"), result.precision("a")) == (0.75, 1.0)
    assert result.recall("b") == 0.5
    assert result.precision("b") == pytest.approx(1 / 3)
    assert math.isnan(result.recall("c"))
    assert math.isnan(Confusion({}).accuracy)


def test_the_table_has_a_row_for_each_label_given() -> None:
    assert Confusion(COUNTS).markdown().splitlines() == [
        "| given \\ found | a | b | (missing) |",
        "|---|---:|---:|---:|",
        "| a | 6 | 2 | 0 |",
        "| b | 0 | 1 | 1 |",
        "| (missing) | 0 | 0 | 0 |",
    ]


def test_what_is_not_labelled_is_counted_as_missing() -> None:
    examples = [
        Example("1", Response("Yes"), "yes"),
        Example("2", Response("Perhaps"), None),
        Example("3", Response("Perhaps"), "no"),
    ]
    result = confusion(yes_no(), examples)
    assert result.counts == {
        ("yes", "yes"): 1,
        ("(missing)", "(missing)"): 1,
        ("no", "(missing)"): 1,
    }
    assert result.wrong == (("3", "no", "(missing)"),)


def test_examples_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [
        {"text": "Yes", "label": "yes"},
        {"text": "", "finish": "content_filter", "label": None},
    ]
    path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    first, second = read_examples(path)
    assert (first.id, first.label, first.response) == ("1", "yes", Response("Yes"))
    assert second.response.refused


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "a"}', '{"label": "a"}', '"a"'])
def test_a_line_that_is_no_example_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n' + line, encoding="utf-8")
    with pytest.raises(ResponsesError, match="line 2 of"):
        read_examples(path)
