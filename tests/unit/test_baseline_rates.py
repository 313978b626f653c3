"""A rate before and after: what a baseline keeps of it, what may be compared, what has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_convergence.baseline.blocks import CaseBlock, GroupBlock, ModelBlock, checksum
from pytest_convergence.baseline.decision import Decision
from pytest_convergence.baseline.features import Cell, short_hash
from pytest_convergence.baseline.file import read_baseline, write_baseline
from pytest_convergence.baseline.rate_blocks import RateBlock, block_from
from pytest_convergence.baseline.rates import RateRule, compare_rates
from pytest_convergence.errors import BaselineError
from pytest_convergence.report.gate import gate_headline, gate_message

MODELS = ("a", "b")
RULE = RateRule(bound="at_least", counted="yes", smallest_effect=0.05, groups=4, seed=1)


def answers(often: Mapping[str, float], seed: int, *, prompts: int = 20) -> dict[str, list[str]]:
    """Five answers by "model/prompt", of which a model says yes so often."""
    rng = np.random.default_rng(seed)
    return {
        f"{model}/p{p:02}": ["yes" if rng.random() < often[model] else "no" for _ in range(5)]
        for model in MODELS
        for p in range(prompts)
    }


STEADY = {"a": 0.9, "b": 0.9}


def block(given: Mapping[str, list[str]], values: tuple[str, ...] | None = ("yes",)) -> RateBlock:
    """Each text is its own label."""
    prompts = sorted({name.split("/")[1] for name in given})
    cells = {
        name: Cell(
            len(said),
            short_hash(*said),
            {text: said.count(text) for text in sorted(set(said))},
            None,
            1.0,
            tuple(dict.fromkeys(said))[:2],
        )
        for name, said in given.items()
    }
    group = GroupBlock(
        "facts", "", "label:yes-no@1", 1, None, 5, {},
        {model: ModelBlock(("v1",), {}, False) for model in MODELS},
        {p: CaseBlock(f"hash of {p}", {m: cells[f"{m}/{p}"] for m in MODELS}) for p in prompts},
    )  # fmt: skip
    hits = {
        p: {
            m: (given[f"{m}/{p}"].count((values or ("yes",))[0]), len(given[f"{m}/{p}"]))
            for m in MODELS
        }
        for p in prompts
    }
    return RateBlock(group, values, hits)


def found(before: RateBlock | None, after: RateBlock, rule: RateRule = RULE) -> Decision:
    families = {prompt: prompt for prompt in after.group.cases}
    return compare_rates(before, after, families=families, rule=rule)


def test_the_same_recordings_differ_by_exactly_nothing_and_p_is_not_computed() -> None:
    decision = found(block(answers(STEADY, 1)), block(answers(STEADY, 1)))
    assert decision.status == "unchanged"
    assert (decision.difference, decision.low, decision.high) == (0.0, 0.0, 0.0)
    assert decision.method == "the recordings are the same"
    assert decision.models == ()


def test_new_draws_of_unchanged_models_are_unchanged() -> None:
    statuses = [
        found(block(answers(STEADY, seed)), block(answers(STEADY, seed + 100))).status
        for seed in range(40)
    ]
    assert statuses.count("regressed") <= 1


def test_a_rate_that_falls_is_a_regression_with_its_model_prompts_and_both_answers() -> None:
    fallen = block(answers({"a": 0.9, "b": 0.3}, 2))
    decision = found(block(answers(STEADY, 1)), fallen).failing(required=False)
    assert decision.status == "regressed"
    assert decision.failed
    moves = {model.name: model.movement for model in decision.models}
    assert moves == {"a": "unchanged", "b": "regressed"}
    (shown,) = decision.examples
    assert shown.model == "b"
    assert (shown.before[0], shown.after[0]) == ("yes", "no")
    assert shown.labels_after == "no 5"
    assert decision.moved[0].before > decision.moved[0].after
    text = gate_message(decision)
    assert gate_headline(decision).startswith("regressed: rate of yes 0.9")
    assert "; b 0.90 -> 0.33" in gate_headline(decision)
    assert "with the others" not in text
    assert "labels: yes 5 -> no 5" in text
    assert json.loads(json.dumps(decision.as_dict())) == decision.as_dict()


def test_where_the_marker_asks_at_most_a_rise_is_the_regression() -> None:
    pair = block(answers(STEADY, 1)), block(answers({"a": 0.9, "b": 0.3}, 2))
    asked = replace(RULE, bound="at_most")
    assert found(*pair, asked).status == "improved"
    assert found(pair[1], pair[0], asked).status == "regressed"


def test_a_rate_of_the_same_height_with_other_labels_is_told_as_changed() -> None:
    old = answers(STEADY, 1)
    new = {name: ["maybe" if text == "no" else text for text in said] for name, said in old.items()}
    wide = {name: ["no"] * 3 + said[3:] for name, said in old.items()}
    other = {name: ["maybe"] * 3 + said[3:] for name, said in new.items()}
    decision = found(block(wide), block(other))
    assert decision.status == "unchanged"
    assert decision.difference == 0.0
    assert all(model.changed for model in decision.models)


def test_another_labeller_other_labels_and_another_judgement_are_not_compared() -> None:
    before = block(answers(STEADY, 1))
    relabelled = replace(before, group=replace(before.group, metric="label:yes-no@2"))
    assert "the metric was label:yes-no@1" in found(before, relabelled).reason
    partial = found(before, replace(before, values=("full", "partial")))
    assert partial.status == "stale"
    assert partial.reason == "the rate was of yes, now it is of full or partial"
    right = replace(before, values=None)
    wrong = {p: {m: (0, usable) for m, (_, usable) in row.items()} for p, row in right.hits.items()}
    judged = found(right, replace(right, hits=wrong))
    assert judged.status == "stale"
    assert "are now represented otherwise" in judged.reason


def test_a_group_that_the_baseline_lacks_is_new_and_a_reworded_prompt_makes_it_partial() -> None:
    one = block(answers(STEADY, 1))
    assert found(None, one).status == "new"
    cases = {**one.group.cases, "p00": replace(one.group.cases["p00"], prompt="reworded")}
    decision = found(one, replace(one, group=replace(one.group, cases=cases)))
    assert decision.status == "partial"
    assert (decision.compared, decision.prompts) == (19, 20)
    assert decision.failing(required=True).failed


def test_a_prompt_under_another_id_is_found_by_its_text() -> None:
    one = block(answers(STEADY, 1))
    rename = {p: ("other" if p == "p03" else p) for p in one.group.cases}
    cases = {rename[p]: case for p, case in one.group.cases.items()}
    hits = {rename[p]: row for p, row in one.hits.items()}
    decision = found(one, RateBlock(replace(one.group, cases=cases), one.values, hits))
    assert (decision.status, decision.compared, decision.difference) == ("unchanged", 20, 0.0)


def test_a_file_keeps_scores_and_rates_and_those_without_rates_are_read_as_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "base.json"
    rate = block(answers(STEADY, 1))
    write_baseline(path, {"t.py::test_x[group]": rate.group.as_dict()})
    assert isinstance(read_baseline(path)["t.py::test_x[group]"], GroupBlock)
    entries = {
        "t.py::test_x[group]": rate.group.as_dict(),
        "t.py::test_x[group]#rate": rate.as_dict(),
    }
    write_baseline(path, entries)
    read = read_baseline(path)["t.py::test_x[group]#rate"]
    assert isinstance(read, RateBlock)
    assert read.as_dict() == block_from(rate.as_dict()).as_dict() == rate.as_dict()
    assert found(read, rate).difference == 0.0
    assert not write_baseline(
        path, {name: one.as_dict() for name, one in read_baseline(path).items()}
    )


@pytest.mark.parametrize(
    ("old", "new"), [('"passed": 5', '"passed": 6'), ('"usable": 5', '"usable": -1')]
)
def test_impossible_counts_are_damage_even_with_a_checksum_that_fits(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "base.json"
    entry = json.loads(json.dumps(block(answers(STEADY, 1)).as_dict()).replace(old, new, 1))
    write_baseline(path, {"t.py::test_x[group]#rate": {**entry, "checksum": checksum(entry)}})
    with pytest.raises(BaselineError, match="damaged"):
        read_baseline(path)
