"""What a newcomer stumbles over: said where it shows, and said rightly."""

from __future__ import annotations

import pytest

from tests.conftest import Project, run

RECORD = "--convergence-record=new_episodes"
REWRITE = "--convergence-record=rewrite"
BASELINE = "--convergence-baseline=base.json"
PAIR = """
import pytest
from pytest_convergence import labels

@pytest.mark.convergence(label=labels.matches(other="text"), samples=3)
@pytest.mark.parametrize(("prompt", "answer"), [(f"q{{n}}", f"a{{n}}") for n in range({prompts})])
def test_facts(prompt, answer, models):
    assert len(models.samples) == 2
"""


@pytest.mark.parametrize(("prompts", "changed", "blind"), [(8, 3, False), (4, 4, True)])
def test_a_gate_that_cannot_fail_says_so_of_two_models(
    project: Project, prompts: int, changed: int, blind: bool
) -> None:
    right = {f"q{n}": {"a": [f"a{n}"], "b": [f"a{n}"]} for n in range(prompts)}
    tests = project(PAIR.format(prompts=prompts), answers=right, names=("a", "b"))
    run(tests, RECORD, BASELINE, "--convergence-update-baseline")
    conftest = tests.path / "conftest.py"
    text = conftest.read_text()
    for number in range(changed):
        text = text.replace(f"'b': ['a{number}']", f"'b': ['wrong {number}']")
    conftest.write_text(text)
    for more in (REWRITE, "-q"):
        result = run(tests, BASELINE, more)
        assert "INTERNALERROR" not in result.stdout.str()
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*gate: 1 unchanged*"])
        if blind:
            result.stdout.fnmatch_lines(["*unchanged *test_facts*cannot fail*"])


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
