"""Before and after: what may be compared, what has changed, and what is exactly the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.baseline.blocks import CaseBlock, GroupBlock, ModelBlock
from pytest_convergence.baseline.comparison import compare
from pytest_convergence.baseline.decision import Decision, Rule
from pytest_convergence.baseline.features import Cell, short_hash

Floats = NDArray[np.float64]
MODELS = ("a", "b", "c")
TEMPERATURE = {"temperature": 0.7}
RULE = Rule(direction="converges", smallest_effect=0.05, groups=4, seed=1)


def answers(steady: float, seed: int, *, prompts: int = 12, off: str = "") -> dict[str, list[str]]:
    """Five answers by "model/prompt": the prompt's own, mostly; ``off`` always says another."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for model in MODELS:
        for p in range(prompts):
            told = [f"right {p}" if rng.random() < steady else f"odd {p}" for _ in range(5)]
            drawn[f"{model}/p{p:02}"] = [f"off {p}"] * 5 if model == off else told
    return drawn


def group(given: Mapping[str, list[str]], **changes: object) -> GroupBlock:
    """A block of labels: each text is its own label."""
    prompts = sorted({name.split("/")[1] for name in given})
    cases = {
        prompt: CaseBlock(
            f"hash of {prompt}",
            {
                model: Cell(
                    5,
                    short_hash(*given[f"{model}/{prompt}"]),
                    {
                        text: given[f"{model}/{prompt}"].count(text)
                        for text in sorted(set(given[f"{model}/{prompt}"]))
                    },
                    None,
                    1.0,
                    tuple(dict.fromkeys(given[f"{model}/{prompt}"]))[:2],
                )
                for model in MODELS
            },
        )
        for prompt in prompts
    }
    block = GroupBlock(
        "facts", "", "label:matches@1", 1, None, 5, {},
        {model: ModelBlock(("v1",), TEMPERATURE, False) for model in MODELS},
        cases,
    )  # fmt: skip
    return replace(block, **changes)  # type: ignore[arg-type]


def found(before: GroupBlock | None, after: GroupBlock, rule: Rule = RULE) -> Decision:
    return compare(
        before,
        after,
        features={
            (model, prompt): np.zeros((cell.count, 1))
            for prompt, case in after.cases.items()
            for model, cell in case.cells.items()
        },
        families={prompt: prompt for prompt in after.cases},
        rule=rule,
    )


def test_the_same_recordings_differ_by_exactly_nothing() -> None:
    one = group(answers(0.8, 1))
    decision = found(one, group(answers(0.8, 1)))
    assert decision.status == "unchanged"
    assert (decision.difference, decision.low, decision.high) == (0.0, 0.0, 0.0)
    assert decision.before == decision.after


def test_new_draws_of_an_unchanged_panel_are_unchanged() -> None:
    statuses = [
        found(group(answers(0.8, seed)), group(answers(0.8, seed + 100))).status
        for seed in range(40)
    ]
    assert statuses.count("unchanged") + statuses.count("improved") >= 39


def test_a_model_that_answers_otherwise_is_a_regression_with_its_name_and_both_answers() -> None:
    decision = found(group(answers(0.9, 1)), group(answers(0.9, 2, off="b")))
    assert decision.status == "regressed"
    worst = min(decision.models, key=lambda model: model.difference or 0)
    assert worst.name == "b"
    assert worst.movement == "regressed"
    assert worst.changed
    shown = decision.examples[0]
    assert shown.model == "b"
    assert shown.before[0].startswith("right")
    assert shown.after[0].startswith("off")
    assert shown.labels_after.endswith("5")
    assert decision.moved
    assert decision.failing(required=False).failed


def test_for_a_suite_that_guards_diversity_the_same_change_is_an_improvement() -> None:
    pair = group(answers(0.9, 1)), group(answers(0.9, 2, off="b"))
    guarded = replace(RULE, direction="diverges")
    assert found(*pair, guarded).status == "improved"
    assert found(pair[1], pair[0], guarded).status == "regressed"


def test_a_distribution_that_changed_at_the_same_score_is_told_and_passes() -> None:
    # Every model turns to another answer together: as alike as ever, but not the same answers.
    old = answers(0.9, 1)
    new = {name: [text.replace("right", "left") for text in told] for name, told in old.items()}
    decision = found(group(old), group(new))
    assert decision.status == "unchanged"
    assert [model.changed for model in decision.models] == [True, True, True]
    assert not decision.failing(required=True).failed


def test_a_group_that_the_baseline_lacks_is_new_and_fails_only_where_required() -> None:
    decision = found(None, group(answers(0.9, 1)))
    assert decision.status == "new"
    assert not decision.failing(required=False).failed
    assert decision.failing(required=True).failed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"metric": "label:matches@2"},
            "the metric was label:matches@1, now it is label:matches@2",
        ),
        ({"metric_version": 2}, "now it is label:matches@1 (version 2)"),
        ({"embedder": "other@1"}, "the embedder was None, now it is other@1"),
        ({"samples": 1}, "5 samples a prompt, now 1"),
    ],
)
def test_unlike_instruments_are_never_compared(change: dict[str, object], said: str) -> None:
    decision = found(group(answers(0.9, 1)), group(answers(0.9, 2), **change))
    assert decision.status == "stale"
    assert said in decision.reason
    assert decision.difference is None
    assert decision.failing(required=True).failed


def test_another_panel_or_decoding_is_stale_with_the_names() -> None:
    before, after = group(answers(0.9, 1)), group(answers(0.9, 2))
    models = dict(after.models)
    models["d"] = models.pop("c")
    cells = {
        name: CaseBlock(case.prompt, {**{m: case.cells[m] for m in "ab"}, "d": case.cells["c"]})
        for name, case in after.cases.items()
    }
    other = replace(after, models=models, cases=cells)
    reason = found(before, other).reason
    assert "models removed from the panel: c" in reason
    assert "models added to the panel: d" in reason
    warm = {
        name: replace(model, decoding={"temperature": 1.0}) for name, model in after.models.items()
    }
    assert (
        'a was asked with {"temperature":0.7}, now with {"temperature":1.0}'
        in found(before, replace(after, models=warm)).reason
    )


def test_a_model_served_under_another_name_is_stale_and_what_it_would_mean_is_told() -> None:
    before, after = group(answers(0.9, 1)), group(answers(0.9, 2, off="b"))
    served = {**after.models, "b": ModelBlock(("v2",), TEMPERATURE, False)}
    decision = found(before, replace(after, models=served))
    assert decision.status == "stale"
    assert "b was served as v1, now as v2" in decision.reason
    assert "it would be regressed" in decision.reason
    assert decision.difference is not None


def test_reworded_prompts_are_left_out_and_the_rest_is_compared() -> None:
    before, after = group(answers(0.9, 1)), group(answers(0.9, 1))
    cases = dict(after.cases)
    cases["p00"] = replace(cases["p00"], prompt="reworded")
    cases["extra"] = replace(cases.pop("p01"), prompt="new")
    decision = found(before, replace(after, cases=cases))
    assert decision.status == "partial"
    assert (decision.compared, decision.prompts) == (10, 12)
    assert decision.notes == (
        "prompts reworded: p00",
        "prompts not in the baseline: extra",
        "prompts that vanished: p01",
    )
    assert decision.failing(required=True).failed


def test_a_regression_on_the_comparable_prompts_is_a_regression() -> None:
    before, after = group(answers(0.9, 1)), group(answers(0.9, 2, off="b"))
    cases = {**after.cases, "p00": replace(after.cases["p00"], prompt="reworded")}
    assert found(before, replace(after, cases=cases)).status == "regressed"


def test_a_prompt_under_another_id_is_the_same_prompt() -> None:
    before, after = group(answers(0.9, 1)), group(answers(0.9, 1))
    cases = {("renamed" if name == "p03" else name): case for name, case in after.cases.items()}
    decision = found(before, replace(after, cases=cases))
    assert decision.status == "unchanged"
    assert decision.compared == 12


def test_when_no_prompt_is_the_same_nothing_is_compared() -> None:
    after = group(answers(0.9, 1))
    cases = {name: replace(case, prompt="x" + name) for name, case in after.cases.items()}
    decision = found(group(answers(0.9, 1)), replace(after, cases=cases))
    assert decision.status == "stale"
    assert "no prompt is the same" in decision.reason


def test_the_same_answers_judged_otherwise_are_stale_not_changed() -> None:
    before = group(answers(0.9, 1))
    cases = {
        name: CaseBlock(
            case.prompt,
            {
                model: replace(cell, labels={"other": cell.count})
                for model, cell in case.cells.items()
            },
        )
        for name, case in before.cases.items()
    }
    decision = found(before, replace(before, cases=cases))
    assert decision.status == "stale"
    assert "are now represented otherwise" in decision.reason


def test_a_decision_crosses_to_a_worker_as_plain_json() -> None:
    import json

    entry = found(group(answers(0.9, 1)), group(answers(0.9, 2, off="b"))).as_dict()
    assert json.loads(json.dumps(entry)) == entry
    assert entry["models"][0]["name"] == "a"


def test_where_no_change_could_be_significant_the_gate_says_so() -> None:
    pair = group(answers(0.9, 1, prompts=6)), group(answers(0.9, 2, prompts=6, off="b"))
    copied = replace(
        pair[1], models={**pair[1].models, "b": ModelBlock(("v1",), TEMPERATURE, True)}
    )
    decision = found(pair[0], copied)
    assert decision.status == "unchanged"
    (note,) = decision.notes
    assert "6 families of prompts: no change can be significant at p under 0.003" in note
    assert found(*pair).status == "regressed"
    assert found(*pair).notes == ()
