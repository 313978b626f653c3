"""Assertions over responses that a test already has: no panel, no cassette."""

from __future__ import annotations

import json

import pytest

from pytest_convergence import (
    ConvergenceError,
    ConvergenceFailure,
    assert_converges,
    assert_diverges,
)
from tests.conftest import Project, run

SAME = {"a": ["yes", "yes"], "b": ["yes", "yes"]}
DIFFERENT = {"a": ["yes", "yes"], "b": ["no", "no"]}


def test_converging_responses_return_a_frozen_result() -> None:
    result = assert_converges(SAME, 0.8, metric="exact")
    assert result.verdict == "converged"
    assert result.similarity == 1
    assert result.within == 1
    assert result.quantity == "similarity"
    with pytest.raises(AttributeError):
        result.value = 0  # type: ignore[misc]


def test_diverging_responses_raise_a_message_whose_first_line_stands_alone() -> None:
    with pytest.raises(ConvergenceFailure) as caught:
        assert_converges({**DIFFERENT, "c": ["yes", "yes"]}, 0.8, metric="exact")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("diverged: similarity 0.33 [")
    assert lines[0].endswith("is below the threshold 0.80")
    assert lines[1] == ""
    text = str(caught.value)
    assert "outlier: b, mean similarity to the others 0.00; among themselves 1.00" in text
    assert "similarity of pairs; in brackets a model with itself" in text
    assert "two responses" in text
    assert caught.value.result.verdict == "diverged"


def test_the_other_direction_passes_and_fails_the_other_way_round() -> None:
    assert assert_diverges(DIFFERENT, 0.8, metric="exact").verdict == "diverged"
    with pytest.raises(ConvergenceFailure, match=r"converged: similarity 1\.00"):
        assert_diverges(SAME, 0.8, metric="exact")


def test_an_error_is_neither_agreement_nor_disagreement() -> None:
    result = assert_converges(
        {"a": ["yes", "Error: 429 Too Many Requests"], "b": ["yes", "  "]}, 0.9, metric="exact"
    )
    assert result.similarity == 1
    assert [(m.model, m.kind) for m in result.missing] == [("a", "error"), ("b", "empty")]


def test_a_model_without_a_usable_response_makes_the_case_incomplete() -> None:
    with pytest.raises(pytest.skip.Exception, match="incomplete: no usable response from b"):
        assert_converges({"a": ["yes"], "b": [""]}, 0.9, metric="exact")


def test_a_bound_that_does_not_decide_is_inconclusive_and_fails_both_ways() -> None:
    responses = {"a": ["yes", "no", "yes"], "b": ["yes", "yes", "no"]}
    for assertion in (assert_converges, assert_diverges):
        with pytest.raises(ConvergenceFailure, match="inconclusive: similarity"):
            assertion(responses, 0.5, metric="exact", confidence=0.95)


def test_labels_are_compared_by_label() -> None:
    def first_word(response: object, data: object) -> str:
        return str(getattr(response, "text", "")).split()[0].strip(",!").lower()

    result = assert_converges(
        {"a": ["Yes, it is", "yes indeed"], "b": ["YES", "yes!"]}, 0.9, label=first_word
    )
    assert result.metric.startswith("label:")
    assert result.similarity == 1


@pytest.mark.parametrize(
    ("models", "threshold", "expected"),
    [
        ({"a": ["x"]}, 0.5, "convergence needs two models"),
        ({}, 0.5, "convergence needs two models"),
        ({"a": ["x"], "b": ["x"]}, None, "needs a threshold"),
        ({"a": "x", "b": ["x"]}, 0.5, "not a list of texts"),
        ({"a": [1], "b": ["x"]}, 0.5, "not a text"),
        (["x"], 0.5, "takes the models fixture"),
    ],
)
def test_bad_input_says_how_to_fix_it(models: object, threshold: float, expected: str) -> None:
    with pytest.raises(ConvergenceError, match=expected) as caught:
        assert_converges(models, threshold, metric="exact")  # type: ignore[arg-type]
    assert "How to fix:" in str(caught.value)


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(ConvergenceError, match="unknown metric 'cosign'") as caught:
        assert_converges(SAME, 0.5, metric="cosign")
    assert "word-ngrams" in str(caught.value)


def test_a_feature_function_can_be_the_metric() -> None:
    import numpy as np

    def length(texts: list[str]) -> object:
        return np.array([[1.0, 0.0] if len(text) > 2 else [0.0, 1.0] for text in texts])

    assert assert_converges({"a": ["yes"], "b": ["sure"]}, 0.9, metric=length).similarity == 1
    assert assert_diverges({"a": ["yes"], "b": ["no"]}, 0.1, metric=length).similarity == 0


HOSTILE = r"""
from pytest_convergence import assert_converges

NASTY = ["\x1b[2J\x1b[31mred", "\ud800 alone", "<script>alert(1)</script>", "x" * 2_000_000]

def test_hostile():
    assert_converges({"a": NASTY, "b": ["calm"] * 4}, 0.5, metric="exact")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_hostile_text_moves_no_cursor_and_kills_no_worker(project: Project, workers: int) -> None:
    tests = project(HOSTILE)
    result = run(tests, "--convergence-json=run.json", workers=workers)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "\x1b[2J" not in text
    assert "\\x1b[2J" in text
    assert len(text) < 50_000
    found = json.loads((tests.path / "run.json").read_text())
    texts = [response["text"] for response in found["cases"][0]["responses"]["a"]]
    assert texts[1] == "\ud800 alone"
    assert len(texts[3]) == 2_000_000


def test_texts_of_numpy_are_texts(project: Project) -> None:
    tests = project(
        """
        import numpy
        from pytest_convergence import assert_converges

        def test_array():
            texts = list(numpy.array(["yes", "Yes"]))
            assert_converges({"a": texts, "b": texts}, threshold=0.0, metric="normalized")

        def test_later():
            pass
        """
    )
    result = run(tests, "--convergence-json=run.json")
    result.assert_outcomes(passed=2)
    assert '"text":"Yes"' in (tests.path / "run.json").read_text().replace(": ", ":")
