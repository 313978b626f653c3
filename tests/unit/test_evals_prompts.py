"""The prompts of the shipped suites: enough of them, each with an id, none a copy of another."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest

from pytest_convergence.models.messages import as_messages, prompt_text
from pytest_convergence.represent.ngrams import word_ngrams
from tests.eval_cases import EvalCase, eval_cases, eval_modules, panel

ENOUGH = 30
# Above this cosine of word uni- and bigrams two prompts are the same one in other words.
NEAR = 0.6
HEADINGS = ("Claim", "Source", "Refutation", "Control", "Decision rule")


def by_capability() -> dict[str, dict[str, EvalCase]]:
    """For each capability its distinct prompts by text."""
    found: dict[str, dict[str, EvalCase]] = defaultdict(dict)
    for case in eval_cases():
        found[case.capability].setdefault(case.prompt, case)
    return found


def test_every_capability_has_thirty_distinct_prompts() -> None:
    counts = {name: len(prompts) for name, prompts in by_capability().items()}
    assert counts
    assert {name: count for name, count in counts.items() if count < ENOUGH} == {}


def test_every_prompt_has_an_explicit_id_of_its_own() -> None:
    for case in eval_cases():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(\+[a-z0-9-]+)*", case.prompt_id), case
    keys = [(case.test, case.arm, case.prompt_id) for case in eval_cases()]
    assert len(set(keys)) == len(keys)


def test_no_prompt_is_nearly_another_one_unless_they_share_a_family() -> None:
    near = []
    for prompts in by_capability().values():
        cases = list(prompts.values())
        vectors = word_ngrams(list(prompts), orders=(1, 2))
        alike = np.triu(vectors @ vectors.T, 1)
        for first, second in np.argwhere(alike > NEAR):
            if family(cases[first]) != family(cases[second]):
                near.append((cases[first].prompt, cases[second].prompt, alike[first, second]))
    assert near == []


def family(case: EvalCase) -> str:
    """The case's family as the plugin resolves it: a parameter's value, else the prompt's id."""
    name = case.marker.get("family")
    return str(case.data.get(name, name)) if name else case.prompt_id


def test_the_near_duplicate_test_finds_a_reworded_prompt() -> None:
    vectors = word_ngrams(
        ["Which bird lays the largest egg?", "Which living bird lays the largest egg?"],
        orders=(1, 2),
    )
    assert vectors[0] @ vectors[1] > NEAR


@pytest.mark.parametrize("module", eval_modules(), ids=lambda module: module.__name__)
def test_every_suite_says_its_claim_and_what_would_refute_it(module: object) -> None:
    said = module.__doc__ or ""
    assert [heading for heading in HEADINGS if f"\n{heading}\n" not in said] == []


def test_the_simulated_panel_knows_every_prompt_by_its_own_id() -> None:
    unknown = []
    for case in eval_cases():
        asked = [m["content"] for m in as_messages(case.sent) if m["role"] == "user"]
        known = [found for text in asked if (found := panel().question(text)) is not None]
        question = known[0] if known else None
        base = family(case).split("+")[0]
        if question is None or not (base.endswith(question.id) or question.id.startswith(base)):
            unknown.append((case.prompt_id, question and question.id))
    assert unknown == []


def test_no_prompt_is_sent_twice_under_two_ids() -> None:
    sent: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in eval_cases():
        sent[case.test, prompt_text(case.sent)].add(case.prompt_id)
    assert [ids for ids in sent.values() if len(ids) > 1] == []
