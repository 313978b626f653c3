"""By construction each shipped claim holds for one simulated panel and fails for another.

No sampling: the labellers read every reply a simulated model can give, and the estimand follows
in closed form.
"""

from __future__ import annotations

import pytest

from pytest_convergence.models.response import Response
from pytest_convergence.models.simulation.truth import Population
from tests.eval_cases import EvalCase, cases_of, eval_cases, panel

NORTH = ("alpha", "beta", "gamma")
# How far the truth stays from the threshold, so that five samples decide as the truth does.
MARGIN = 0.08


def truth(cases: list[EvalCase], models: tuple[str, ...]) -> Population:
    return panel().label_population(
        models,
        [case.sent for case in cases],
        [case.label() for case in cases],
        families=[
            str(case.data.get(case.marker.get("family", ""), case.prompt_id)) for case in cases
        ],
    )


@pytest.mark.parametrize(
    ("test", "arm", "others"),
    [
        ("test_facts", "", ("alpha", "delta", "epsilon")),
        ("test_facts_under_doubt", "", ("alpha", "delta")),
        ("test_refusals", "", ("alpha", "delta", "epsilon")),
        ("test_abstention", "", ("alpha", "delta")),
        ("test_stated_confidence", "", ("alpha", "delta")),
        ("test_context_over_knowledge", "", ("alpha", "delta")),
        ("test_recall_at_depth", "middle", ("alpha", "delta")),
        ("test_means_that_help", "useful", ("alpha", "delta", "epsilon")),
        ("test_the_same_desk", "", ("alpha", "delta")),
        ("test_instructions", "", ("alpha", "epsilon")),
    ],
)
def test_a_claim_holds_for_the_north_and_fails_for_others(
    test: str, arm: str, others: tuple[str, ...]
) -> None:
    cases = cases_of(test, arm)
    threshold = cases[0].marker["threshold"]
    assert truth(cases, NORTH).score > threshold + MARGIN
    assert truth(cases, others).score < threshold - MARGIN


def test_the_north_shares_a_wrong_answer_so_agreement_is_not_correctness() -> None:
    (case,) = [case for case in cases_of("test_facts") if case.prompt_id == "turkey-capital"]
    shares = panel().label_distribution("alpha", case.sent, case.label())
    assert shares["Istanbul"] > 0.9
    assert truth(cases_of("test_facts"), NORTH).similarity_by_prompt.min() > 0.9


@pytest.mark.parametrize("arm", ["start", "middle", "end"])
def test_only_the_south_loses_what_stands_in_the_middle(arm: str) -> None:
    cases = cases_of("test_recall_at_depth", arm)

    def recall(model: str) -> float:
        shares = [panel().label_distribution(model, case.sent, case.label()) for case in cases]
        rights = [
            share.get(str(case.data["answer"]), 0)
            for share, case in zip(shares, cases, strict=True)
        ]
        return sum(rights) / len(rights)

    assert recall("alpha") > 0.9
    assert recall("delta") < 0.6 if arm == "middle" else recall("delta") > 0.8


def test_means_are_taken_where_they_help_by_the_north_and_out_of_habit_by_eta() -> None:
    def rate(model: str, arm: str) -> float:
        test = "test_means_that_help" if arm == "useful" else "test_means_that_do_not_help"
        shares = [
            panel().label_distribution(model, case.sent, case.label())
            for case in cases_of(test, arm)
        ]
        return sum(share.get("means", 0) for share in shares) / len(shares)

    for model in NORTH:
        assert rate(model, "useful") - rate(model, "useless") > 0.4
    assert rate("delta", "useful") < 0.1
    assert abs(rate("eta", "useful") - rate("eta", "useless")) < 0.1
    assert rate("eta", "useless") > 0.7


def test_the_labellers_read_the_kind_that_every_simulated_reply_was_made_as() -> None:
    """A reply that its labeller misreads would make the simulation say something else."""
    expected = {
        "refuse": {"full"},
        "comply": {"comply"},
        "partial": {"partial"},
        "abstain": {"abstain"},
        "followed": {"pass"},
    }
    wrong = []
    for case in eval_cases():
        if case.test not in ("test_refusals", "test_abstention", "test_instructions"):
            continue
        for model in ("alpha", "gamma", "epsilon"):
            for outcome in panel().outcomes(model, case.sent):
                label = case.label()(Response(outcome.text))
                if outcome.kind == "broken":
                    right = str(label).startswith("fail: ")
                else:
                    right = label in expected.get(outcome.kind, {"answer"})
                if not right:
                    wrong.append((case.test, outcome.kind, outcome.text, label))
    assert wrong == []


def test_every_reply_to_a_label_eval_gets_a_label() -> None:
    unread = [
        (case.test, case.prompt_id, outcome.text)
        for case in eval_cases()
        if case.marker.get("label") is not None
        for model in ("alpha", "gamma", "epsilon")
        for outcome in panel().outcomes(model, case.sent)
        if case.label()(Response(outcome.text)) is None
    ]
    assert unread == []


def test_a_refusal_in_the_providers_own_field_counts_as_full() -> None:
    cases = [case for case in cases_of("test_refusals") if case.data["sort"] == "harmful"]
    for case in cases:
        finishes = {outcome.finish for outcome in panel().outcomes("zeta", case.sent)}
        assert "refusal" in finishes
        refused = sum(
            outcome.probability
            for outcome in panel().outcomes("zeta", case.sent)
            if outcome.finish == "refusal"
        )
        full = panel().label_distribution("zeta", case.sent, case.label())["full"]
        assert full == pytest.approx(refused)
