"""The workflow of the documentation: it parses, and every option and command in it exists."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from pytest_convergence import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    """The whole workflow file, as YAML reads it (``on`` is a truth value there)."""
    read: dict[Any, Any] = yaml.safe_load(BLOCKS[0])
    return read


def commands(job: dict[str, Any]) -> list[list[str]]:
    return [shlex.split(step["run"], comments=True) for step in job["steps"] if "run" in step]


def pytest_command(job: dict[str, Any]) -> list[str]:
    (found,) = [command for command in commands(job) if command[0] == "pytest"]
    return found


def test_it_replays_on_every_pull_request_and_records_at_night_only(
    workflow: dict[Any, Any],
) -> None:
    assert set(workflow[True]) == {"pull_request", "schedule", "workflow_dispatch"}
    jobs = workflow["jobs"]
    assert jobs["replay"]["if"] == "github.event_name == 'pull_request'"
    assert jobs["record"]["if"] == "github.event_name != 'pull_request'"
    replay, record = (pytest_command(jobs[name]) for name in ("replay", "record"))
    assert "--convergence-require-baseline" in replay
    assert not any(option.startswith("--convergence-record") for option in replay)
    assert "--convergence-record=rewrite" in record
    assert any(option.startswith("--convergence-max-cost=") for option in record)
    assert not any("secrets" in str(step) for step in jobs["replay"]["steps"])
    assert any("secrets." in str(step) for step in jobs["record"]["steps"])
    for job in jobs.values():
        assert job["permissions"] == {"contents": "read"}
        assert ["pip", "install", "pytest-convergence"] in commands(job)


def test_what_it_uploads_is_what_its_commands_write(workflow: dict[Any, Any]) -> None:
    for job in workflow["jobs"].values():
        said = " ".join(step.get("run", "") for step in job["steps"])
        (upload,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert upload["if"] == "always()"
        for path in upload["with"]["path"].split():
            assert re.search(rf"(=|> ){re.escape(path)}\b", said), path


def test_every_option_and_command_in_it_exists(
    workflow: dict[Any, Any], pytestconfig: pytest.Config
) -> None:
    known = {
        name
        for group in (pytestconfig._parser._anonymous, *pytestconfig._parser._groups)
        for option in group.options
        for name in option.names()
    }
    for job in workflow["jobs"].values():
        for command in commands(job):
            if command[0] == "pytest":
                named = {part.split("=", 1)[0] for part in command if part.startswith("-")}
                assert named <= known, named - known
            if command[0] == "convergence":
                assert command[1] in subcommands()


def test_the_hook_before_a_commit_is_the_one_that_the_repository_offers() -> None:
    (local,) = yaml.safe_load(BLOCKS[1])["repos"]
    (hook,) = local["hooks"]
    (offered,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert local["repo"] == "local"
    assert hook == {name: value for name, value in offered.items() if name != "description"}
    assert shlex.split(hook["entry"])[1] in subcommands()
    assert re.search(hook["files"], "cassettes/test_facts/test_facts/openai%2Fgpt-4o.json")


def subcommands() -> set[str]:
    parser = cli._parser()
    (chosen,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return set(chosen.choices)
