"""What the plugin reports of a simulated panel is what follows from its known distributions."""

from __future__ import annotations

import json

import pytest

from pytest_convergence.models.simulation.truth import Population
from pytest_convergence.represent.ngrams import word_ngrams
from tests.conftest import numbers, run
from tests.eval_cases import EVALS, cases_of, panel

MODELS = ("alpha", "delta", "epsilon")
CASES = cases_of("test_facts")
FACTS = [
    (case.prompt_id, case.prompt, case.data["answer"], case.data["alternatives"]) for case in CASES
]

SOURCE = f"""
import pytest
from pytest_convergence import labels

FACTS = [pytest.param(*given, id=name) for name, *given in {FACTS!r}]
pytestmark = pytest.mark.parametrize(("prompt", "answer", "alternatives"), FACTS)

@pytest.mark.convergence(label=labels.matches(), samples=20)
def test_labels(prompt, answer, alternatives, models): pass

@pytest.mark.convergence(metric="word-ngrams", samples=20)
def test_texts(prompt, answer, alternatives, models): pass
"""


def truth(metric: str) -> Population:
    prompts = [case.sent for case in CASES]
    if metric == "labels":
        return panel().label_population(MODELS, prompts, [case.label() for case in CASES])
    return panel().text_population(MODELS, prompts, word_ngrams)


def test_similarity_within_floor_and_score_are_the_true_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_known=SOURCE)
    found = []
    # Recorded by two workers and replayed by one process.
    for workers, recorded in ((2, ["--convergence-record=new_episodes"]), (0, [])):
        result = run(
            pytester,
            f"--convergence-models={','.join(f'sim/{model}' for model in MODELS)}",
            *("-o", f"convergence_simulation={EVALS / 'simulated'}"),
            *("-k", "group", "--convergence-json=run.json", *recorded),
            workers=workers,
        )
        result.assert_outcomes(passed=2)
        assert "simulated" in result.stdout.str()
        found.append(json.loads((pytester.path / "run.json").read_text()))
    assert numbers(found[0]) == numbers(found[1])
    groups = found[0]["groups"]
    assert [group["id"].split("::")[1] for group in groups] == [
        "test_labels[group]",
        "test_texts[group]",
    ]
    for group, metric in zip(groups, ("labels", "texts"), strict=True):
        expected = truth(metric)
        # 36 prompts x 20 samples: the error of sampling alone is about .01.
        assert group["similarity"] == pytest.approx(expected.similarity, abs=0.03)
        assert group["within"] == pytest.approx(expected.within, abs=0.03)
        assert group["floor"] == pytest.approx(expected.floor, abs=0.03)
        assert group["score"] == pytest.approx(expected.score, abs=0.05)
        assert group["interval"]["low"] <= expected.score <= group["interval"]["high"]
        assert group["simulated"] == [f"sim/{model}" for model in MODELS]
