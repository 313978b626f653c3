"""Every assertion over recorded responses: the same numbers with and without workers."""

from __future__ import annotations

import json

from tests.conftest import Project, numbers, run

SOURCE = """
import pytest
from pytest_convergence import (
    assert_diverges, assert_same_model, convergent_groups, kernel, labels)

WORDS = ("red", "blue", "green", "stone", "river", "cloud", "paper", "glass")
PROMPTS = {f"q{i}": f"Say {WORDS[i]}." for i in range(8)}


def shared(first, second):
    return len(set(first.split()) & set(second.split())) / max(
        len(set(first.split()) | set(second.split())), 1)


@pytest.mark.convergence(prompts=PROMPTS, metric="word-ngrams", samples=4)
def test_panel(models):
    assert assert_same_model(models, "mine/a", "mine/b").verdict == "met"
    assert convergent_groups(models, cutoff=0.5).groups == (("mine/a", "mine/b"), ("mine/c",))
    assert_diverges(models.only("mine/a", "mine/c"), 0.5)


@pytest.mark.convergence(prompts=PROMPTS, metric="word-ngrams", samples=4)
def test_other(models):
    assert_same_model(models, "mine/a", "mine/c")


@pytest.mark.convergence(
    metric=kernel(shared), samples=4, threshold=0.9, models=["mine/a", "mine/b"])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_kernel(prompt, models):
    assert_diverges(models, 1)


@pytest.mark.convergence(metric="hybrid", samples=4, models=["mine/a", "mine/c"])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_hybrid(prompt, models):
    assert_diverges(models, 0.9)
"""

CONFTEST = '''

class Letters:
    """Counts of letters, as unit vectors."""

    name, revision, engine = "letters", "1", "python"

    def embed(self, texts):
        import numpy as np

        rows = np.array([[text.count(c) for c in "abcdefghilmnoprstuwy"] for text in texts], float)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pytest_convergence_embedders(config):
    return {"letters": Letters()}
'''


def test_checks_kernels_and_hybrids_give_the_same_numbers_in_two_workers(project: Project) -> None:
    words = ("red", "blue", "green", "stone", "river", "cloud", "paper", "glass")
    answers = {
        f"Say {word}.": {
            "a": [f"it is {word}", f"it is {word} now"],
            "b": [f"it is {word} now", f"it is {word}"],
            "c": ["nothing at all", f"my answer stays {words[i - 1]}"],
        }
        for i, word in enumerate(words)
    }
    tests = project(SOURCE, answers=answers, ini="convergence_embedder = letters\n")
    conftest = tests.path / "conftest.py"
    conftest.write_text(conftest.read_text() + CONFTEST)
    found = []
    # Recorded by two workers and replayed by one process.
    for workers, recorded in ((2, ["--convergence-record=new_episodes"]), (0, [])):
        options = (f"--convergence-json=run{workers}.json", *recorded)
        result = run(tests, *options, workers=workers)
        result.assert_outcomes(passed=21, failed=1)
        result.stdout.fnmatch_lines(["*missed: p that mine/a and mine/c are the same model 0.001*"])
        found.append(json.loads((tests.path / f"run{workers}.json").read_text()))
    assert numbers(found[0]) == numbers(found[1])
    assert found[0]["checks"] == found[1]["checks"]
    groups = {group["id"].split("::")[1]: group for group in found[0]["groups"]}
    assert groups["test_kernel[group]"]["verdict"] == "converged"
    hybrid = groups["test_hybrid[group]"]
    assert hybrid["score"] is None
    assert 0 < hybrid["similarity"] < 1
    assert "neither floor nor ceiling" in hybrid["undefined"]
    kinds = {check["id"].split("::")[1] for check in found[0]["checks"]}
    assert kinds == {
        "test_panel#same-model-1",
        "test_panel#groups-1",
        "test_other#same-model-1",
    }


def test_a_simulated_model_can_judge(project: Project) -> None:
    source = """
import pytest
from pytest_convergence import labels

JUDGE = labels.judge("sim/alpha", "yes: it names a colour. no: it does not.", labels=("yes", "no"))

@pytest.mark.convergence(label=JUDGE, samples=2, value="yes", at_least=0)
@pytest.mark.parametrize("prompt", ["Say red.", "Say blue."])
def test_colours(prompt, models):
    pass
"""
    tests = project(source, names=("a",))
    recorded = run(tests, "--convergence-record=new_episodes", "--convergence-json=run.json")
    replayed = run(tests, "--convergence-json=again.json")
    assert recorded.parseoutcomes() == replayed.parseoutcomes()
    files = [path.name for path in (tests.path / "cassettes").rglob("judge*.json")]
    assert files == ["judge%3Asim%2Falpha.json"]
    first, second = (
        json.loads((tests.path / name).read_text())["checks"] for name in ("run.json", "again.json")
    )
    assert first == second
    assert first[0]["metric"] == "label:judge@1"


def test_an_unknown_metric_in_a_marker_fails_with_the_list(project: Project) -> None:
    tests = project(
        """
import pytest

@pytest.mark.convergence(metric="cosign", samples=1)
@pytest.mark.parametrize("prompt", ["Say red."])
def test_colours(prompt, models):
    pass
"""
    )
    result = run(tests, "--convergence-record=new_episodes")
    result.stdout.fnmatch_lines(["*unknown metric 'cosign'*", "*total-variation*", "*kernel(*"])
