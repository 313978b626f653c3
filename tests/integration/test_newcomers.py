"""What a newcomer stumbles over: said where it shows, and said rightly."""

from __future__ import annotations

from tests.conftest import Project, run

RECORD = "--convergence-record=new_episodes"
REWRITE = "--convergence-record=rewrite"
BASELINE = "--convergence-baseline=base.json"
PAIR = """
import pytest
from pytest_convergence import labels

eval_of_facts = pytest.mark.convergence(label=labels.matches(other="text"), samples=3)

@eval_of_facts
@pytest.mark.parametrize(("prompt", "answer"), [(f"q{n}", f"a{n}") for n in range(8)])
def test_many(prompt, answer, models):
    assert len(models.samples) == 2

@eval_of_facts
@pytest.mark.parametrize(("prompt", "answer"), [(f"p{n}", f"b{n}") for n in range(4)])
def test_blind(prompt, answer, models):
    assert len(models.samples) == 2
"""


def test_a_gate_that_cannot_fail_says_so_of_two_models(project: Project) -> None:
    right = {f"q{n}": {"a": [f"a{n}"], "b": [f"a{n}"]} for n in range(8)}
    right |= {f"p{n}": {"a": [f"b{n}"], "b": [f"b{n}"]} for n in range(4)}
    tests = project(PAIR, answers=right, names=("a", "b"))
    run(tests, RECORD, BASELINE, "--convergence-update-baseline")
    conftest = tests.path / "conftest.py"
    text = conftest.read_text()
    for answer in ("a0", "a1", "a2", "b0", "b1", "b2", "b3"):
        text = text.replace(f"'b': ['{answer}']", f"'b': ['wrong {answer}']")
    conftest.write_text(text)
    for arguments in ((REWRITE,), ("-q",)):
        result = run(tests, BASELINE, *arguments)
        assert "INTERNALERROR" not in result.stdout.str()
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*gate: 2 unchanged*"])
        result.stdout.fnmatch_lines(["*unchanged *test_blind*cannot fail*"])


ASSERTED = """
import pytest
from pytest_convergence import assert_converges, assert_rate, labels

@pytest.mark.convergence(label=labels.matches(other="text"))
@pytest.mark.parametrize(("prompt", "answer"), [(f"q{n}", f"a{n}") for n in range(8)])
def test_facts(prompt, answer, models):
    assert_converges(models, threshold=0.9)

@pytest.mark.convergence(prompts={f"p{n}": f"q{n}" for n in range(8)}, label=labels.matches("yes"))
def test_rate(models):
    assert_rate(models, at_least=0.8)
"""


def test_models_that_are_wrong_together_are_named_in_a_run_that_passes(project: Project) -> None:
    wrong = {f"q{n}": {"a": ["Sydney"], "b": ["Sydney"]} for n in range(8)}
    tests = project(ASSERTED, answers=wrong, names=("a", "b"))
    result = run(tests, RECORD, "-k", "test_facts and not group")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["converged, and mostly on wrong answers: 8 cases (test_facts[[]q0-a0], *, …)"]
    )


def test_one_certain_miss_is_not_open_because_another_model_is(project: Project) -> None:
    answers = {f"q{n}": {"a": ["no"], "b": ["yes" if n else "no"]} for n in range(8)}
    tests = project(ASSERTED, answers=answers, names=("a", "b"))
    result = run(tests, RECORD, "-k", "test_rate")
    assert result.ret == 1
    assert "unsettled" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "E*missed: rate of * of mine/a 0.00 [[]0.00, *], wanted at least 0.80",
            "E*responses of mine/a that count against it",
            "E*p2 #0, labelled other:",
            "E*    no",
            "E*… and on 5 more prompts",
            "FAILED *test_rate - missed: rate of *",
        ]
    )
