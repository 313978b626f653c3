"""An inner project whose panel can be told to answer otherwise, for the tests of the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SUITE = """
import pytest

@pytest.mark.convergence(metric="exact", capability="letters")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(8)])
def test_letters(prompt, models): pass

@pytest.mark.convergence(metric="exact", capability="numbers")
@pytest.mark.parametrize("prompt", [f"q{i}" for i in range(8)])
def test_numbers(prompt, models): pass
"""
CONFTEST = """
import json
import random
from pathlib import Path

from pytest_convergence import callable_model

BEHAVIOUR = Path(__file__).with_name("behaviour.json")


def answer(name):
    def reply(messages, *, decoding, sample):
        told = json.loads(BEHAVIOUR.read_text()) if BEHAVIOUR.exists() else {}
        text = messages[-1]["content"]
        if name in told.get("off", []) and text[0] in told.get("on", "pq"):
            return told.get("says", "something else")
        draw = random.Random(f"{told.get('salt')} {name} {text} {sample}")
        return f"answer {text}" if draw.random() < 0.85 else f"no idea {draw.randint(1, 3)}"
    return reply


def pytest_convergence_models(config):
    return {f"mine/{n}": callable_model(f"mine/{n}", answer(n), version="1") for n in "abc"}
"""
# An embedder that takes no time, to be put behind a conftest.
LETTERS = """

class Letters:
    name, revision, engine = "letters", "1", "numpy"

    def embed(self, texts):
        from pytest_convergence.represent.ngrams import character_ngrams
        return character_ngrams(texts).astype("float32")


def pytest_convergence_embedders(config):
    return {"letters": Letters()}
"""
RECORD, REWRITE = "--convergence-record=new_episodes", "--convergence-record=rewrite"
BASELINE = "--convergence-baseline=base.json"
UPDATE = (BASELINE, "--convergence-update-baseline")


def gated_project(pytester: pytest.Pytester, suite: str = SUITE) -> pytest.Pytester:
    """Lay out the project; nothing is recorded yet."""
    pytester.makeini("[pytest]\nconvergence_models = mine/a,mine/b,mine/c\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_evals=suite)
    return pytester


def behave(project: pytest.Pytester, **told: Any) -> None:
    """What the models do from now on: ``off`` names those that answer otherwise."""
    (project.path / "behaviour.json").write_text(json.dumps(told))


def outcome(path: Path) -> dict[str, str]:
    """Group by group what the gate found, from a run file."""
    run = json.loads(path.read_text())
    return {group["capability"]: group["gate"]["status"] for group in run["groups"]}
