"""What a replay loads and reads, seen from a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, run

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
generate = import_module("generate")

FORMS = ("whole", "cases")
STUDY = generate.Study(models=3, prompts=8)
NEVER = (
    *("torch", "sentence_transformers", "onnxruntime", "tokenizers", "transformers"),
    *("vcr", "httpx", "httpcore", "asyncio", "anyio", "yaml", "tenacity", "genai_prices"),
    *("scipy.stats", "scipy.optimize", "hypothesis"),
)
# Writes what this process has opened below the study's recordings, and what it has loaded.
WITNESS = """
import atexit, json, os, sys

opened = []

def hear(event, arguments):
    if event == "open" and f"cassettes{os.sep}evals" in str(arguments[0]):
        opened.append(str(arguments[0]))

def tell():
    with open(f"witness-{os.getpid()}.json", "w") as stream:
        json.dump({"modules": sorted(sys.modules), "opened": opened}, stream)

sys.addaudithook(hear)
atexit.register(tell)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = generate.write_study(tmp_path_factory.mktemp("replay") / "study", STUDY)
    (folder / "witness.py").write_text(WITNESS)
    return folder


def replay(study: Path, *arguments: str) -> list[dict[str, Any]]:
    """What each process of a run has loaded and opened."""
    for old in study.glob("witness-*.json"):
        old.unlink()
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(study)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "witness"]
    command += ["-p", "pytest_convergence.plugin", "--convergence-json=run.json", *arguments]
    done = subprocess.run(
        command, cwd=study, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(path.read_text()) for path in sorted(study.glob("witness-*.json"))]


def names(opened: list[str]) -> Counter[str]:
    return Counter(Path(path).name for path in opened)


@pytest.mark.parametrize("form", FORMS)
def test_a_replay_loads_no_network_no_recorder_and_no_model_and_reads_each_recording_once(
    study: Path, form: str
) -> None:
    (seen,) = replay(study, f"evals/test_{form}.py")
    counts = names(seen["opened"])
    assert len(counts) == 2 * STUDY.models
    assert set(counts.values()) == {1}
    assert "pytest_convergence.cassettes" in seen["modules"]
    assert [name for name in NEVER if name in seen["modules"]] == []
    assert not any(name.startswith("pytest_convergence.models.sim") for name in seen["modules"])


def test_a_replay_of_functions_calls_none_and_loads_no_network(project: Project) -> None:
    inner = project(
        """
        import pytest
        from pytest_convergence import assert_converges

        @pytest.mark.parametrize("prompt", ["one", "two", "three"])
        @pytest.mark.convergence(metric="exact")
        def test_echo(prompt, models):
            assert_converges(models, threshold=0.5)
        """
    )
    run(inner, "--convergence-record=new_episodes").assert_outcomes(passed=4)
    inner.makepyfile(witness=WITNESS)
    run(inner, "-p", "witness").assert_outcomes(passed=4)
    (seen,) = [json.loads(path.read_text()) for path in inner.path.glob("witness-*.json")]
    assert "pytest_convergence.models.callables" in seen["modules"]
    assert [name for name in (*NEVER, "scipy", "numpy.ma") if name in seen["modules"]] == []


def test_a_replay_in_workers_loads_none_of_it_either(study: Path) -> None:
    processes = replay(study, "evals/test_cases.py", "-p", "xdist.plugin", "-n2")
    assert len(processes) == 3
    for seen in processes:
        assert [name for name in NEVER if name in seen["modules"]] == []


def test_recordings_of_tests_that_are_not_selected_are_not_read(study: Path) -> None:
    (seen,) = replay(study, "evals", "-k", "test_whole")
    assert {Path(path).parts[-3] for path in seen["opened"]} == {"test_whole"}


def test_collecting_reads_no_recording(study: Path) -> None:
    (seen,) = replay(study, "evals", "--collect-only")
    assert seen["opened"] == []
    assert "numpy" not in seen["modules"]
