"""Which source wins: command line, marker, environment, ini, default."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project, run

SHOW = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact"{marker})
@pytest.mark.parametrize("prompt", ["p"])
def test_shown(prompt, models, convergence):
    declared = convergence.declaration
    print("SAMPLES", declared.samples, "DECODING", dict(declared.decoding), "PANEL", *models)
    assert_converges(models, threshold=0)
"""


def shown(tests: pytest.Pytester, *arguments: str, key: str = "SAMPLES") -> str:
    result = run(tests, "-s", "--convergence-record=new_episodes", *arguments)
    line = next(line for line in result.outlines if "SAMPLES" in line)
    return line.split(key, 1)[1].split("DECODING")[0].split("PANEL")[0].strip()


def test_the_command_line_beats_the_marker_beats_the_environment_beats_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(project(SHOW.format(marker=""))) == "2"
    monkeypatch.setenv("CONVERGENCE_SAMPLES", "3")
    assert shown(project(SHOW.format(marker=""))) == "3"
    tests = project(SHOW.format(marker=", samples=4"))
    assert shown(tests) == "4"
    assert shown(tests, "--convergence-samples=1") == "1"


def test_decoding_is_merged_key_by_key(project: Project) -> None:
    tests = project(
        SHOW.format(marker=", temperature=0.5, extra={'min_p': 0.1}"),
        ini="convergence_decoding = temperature=1,top_p=0.9,extra={}",
    )
    result = run(
        tests, "-s", "--convergence-record=new_episodes", "--convergence-decoding=max_tokens=7"
    )
    line = next(line for line in result.outlines if "SAMPLES" in line)
    decoding = eval(line.split("DECODING")[1].split("PANEL")[0])
    assert decoding == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "extra": {"min_p": 0.1},
    }


def test_the_closest_marker_wins_key_by_key(project: Project) -> None:
    tests = project(
        """
        import pytest
        pytestmark = pytest.mark.convergence(samples=3, capability="far", metric="exact")
        @pytest.mark.convergence(samples=1)
        @pytest.mark.parametrize("prompt", ["p"])
        def test_shown(prompt, convergence):
            assert convergence.declaration.samples == 1
            assert convergence.declaration.capability == "far"
        """
    )
    run(tests, "-k", "not group").assert_outcomes(passed=1)


@pytest.mark.parametrize("variable", ["environment", "ini"])
def test_in_ci_only_the_command_line_can_ask_for_recording(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("CI", "true")
    ini = "convergence_record = new_episodes" if variable == "ini" else ""
    if variable == "environment":
        monkeypatch.setenv("CONVERGENCE_RECORD", "new_episodes")
    tests = project(SHOW.format(marker=""), ini=ini)
    run(tests).assert_outcomes(failed=2)
    assert not (tests.path / "cassettes").exists()
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--convergence-samples=none", "--convergence-samples: 'none' is not usable"),
        ("--convergence-record=all", "write one of none, new_episodes, rewrite"),
        ("--convergence-confidence=95", "a number between 0 and 1"),
        ("--convergence-decoding=temperature", "write name=value"),
        ("--convergence-in-flight=0", "a whole number from 1"),
        ("--convergence-max-cost=0", "a number above 0"),
        ("--convergence-requests-per-minute=0", "a number above 0"),
        ("--convergence-tokens-per-minute=0", "a number above 0"),
        ("--convergence-timeout=0", "a number above 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_usage_error(
    project: Project, option: str, expected: str
) -> None:
    result = run(project(SHOW.format(marker="")), option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("opnai/gpt-4o", "openai"),
        ("gpt-4o", "gpt-4o"),
        ("mine/a", "two models"),
        ("mine/a,mine/a", "twice"),
    ],
)
def test_a_panel_that_cannot_be_used_says_why(project: Project, models: str, expected: str) -> None:
    result = run(
        project(SHOW.format(marker="")), f"--convergence-models={models}", "-k", "not group"
    )
    assert result.ret != 0
    assert expected in result.stdout.str() + result.stderr.str()
    assert "How to fix:" in result.stdout.str() + result.stderr.str()


def test_an_empty_panel_says_how_to_fill_it(project: Project) -> None:
    tests = project(SHOW.format(marker=""), names=())
    result = run(tests)
    result.assert_outcomes(failed=2)
    assert "the panel is empty" in result.stdout.str()
    assert "--convergence-models=" in result.stdout.str()


def test_parameters_named_like_decoding_are_sent_and_templates_are_filled(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(
            metric="exact", system="You are {persona}.", template="{prompt} Answer as {persona}.")
        @pytest.mark.parametrize("temperature", [0.2, 0.9])
        @pytest.mark.parametrize(("prompt", "persona"), [("Who?", "a pirate")])
        def test_arms(prompt, persona, temperature, models):
            assert_converges(models, threshold=0.9)
        """
    )
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=4)
    cassette = (tests.path / "cassettes/test_evals/test_arms/mine%2Fa.json").read_text()
    bodies = [json.loads(i["request"]["body"]) for i in json.loads(cassette)["interactions"]]
    assert {body["decoding"]["temperature"] for body in bodies} == {0.2, 0.9}
    assert {body["decoding"]["system"] for body in bodies} == {"You are a pirate."}
    assert {body["messages"][-1]["content"] for body in bodies} == {"Who? Answer as a pirate."}
