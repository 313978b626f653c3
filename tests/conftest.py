"""An inner project with a panel of callables: small, offline, and with known answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401  # what an inner pytest's fixture unloads, it cannot load again
import pytest

PANEL = """
import pytest
from pytest_convergence import callable_model

ANSWERS = {answers!r}


def answer(name):
    def reply(messages, *, decoding, sample):
        text = messages[-1]["content"]
        choices = ANSWERS.get(text, {{}}).get(name, ["echo " + text])
        return choices[sample % len(choices)]

    return reply


def pytest_convergence_models(config):
    return {{
        f"mine/{{name}}": callable_model(f"mine/{{name}}", answer(name), version="1")
        for name in {names!r}
    }}
"""


# A quarter of a short inner run; the tests that are about one take PYTEST_ADDOPTS away.
UNUSED_PLUGINS = ("hypothesispytest", "asyncio", "anyio", "html", "html_fixtures", "metadata")
QUICK = " ".join(f"-p no:{name}" for name in UNUSED_PLUGINS)


@pytest.fixture(autouse=True)
def _quick_inner_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner runs start in half the time: compiled once, and without the plugins they do not use.

    They are told of a CI service only by the tests that are about one.
    """
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", QUICK)


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Pytester takes PYTEST_ADDOPTS away; here it comes back."""
    monkeypatch.setenv("PYTEST_ADDOPTS", QUICK)
    return pytester


Project = Callable[..., pytest.Pytester]


def lay_out(
    pytester: pytest.Pytester,
    source: str,
    *,
    answers: dict[str, dict[str, list[str]]] | None = None,
    names: Sequence[str] = ("a", "b", "c"),
    ini: str = "",
    **files: str,
) -> pytest.Pytester:
    """An inner project: ``lay_out(pytester, source, answers={prompt: {model: [texts]}})``."""
    models = ",".join(f"mine/{name}" for name in names)
    pytester.makeini(f"[pytest]\nconvergence_models = {models}\nconvergence_samples = 2\n{ini}")
    pytester.makeconftest(PANEL.format(answers=answers or {}, names=list(names)))
    pytester.makepyfile(test_evals=source, **files)
    return pytester


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """Lay out an inner project: ``project(test_source, answers={prompt: {model: [texts]}})``."""
    return partial(lay_out, pytester)


Prepare = Callable[[pytest.Pytester], object]
Prepared = Callable[[Prepare], pytest.Pytester]


@pytest.fixture(scope="session")
def _prepared_projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def prepared(pytester: pytest.Pytester, _prepared_projects: Path) -> Prepared:
    """An inner project as a function leaves it: run for the first test that asks, then copied."""

    def get(prepare: Prepare) -> pytest.Pytester:
        kept = _prepared_projects / f"{prepare.__module__}.{prepare.__qualname__}"
        if kept.exists():
            shutil.copytree(kept, pytester.path, dirs_exist_ok=True)
        else:
            prepare(pytester)
            left = shutil.ignore_patterns("__pycache__", "runpytest-*", "stdout", "stderr")
            shutil.copytree(pytester.path, kept, ignore=left)
        return pytester

    return get


def run(project: pytest.Pytester, *arguments: str, workers: int = 0) -> pytest.RunResult:
    """Run the real plugin in a process of its own."""
    return project.runpytest_subprocess(
        "-p", "no:cacheprovider", "-n", str(workers), *arguments, timeout=300
    )


def numbers(run_file: dict[str, Any]) -> dict[str, Any]:
    """The part of a run file that must not depend on how the run was made."""
    return {name: run_file[name] for name in ("cases", "groups", "models")}
