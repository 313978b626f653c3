"""What stands beside a similarity: agreement, confounds, judges, groups of models; and on paper."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import Page
from tests.conftest import PANEL

EVALS = """
import pytest
from pytest_convergence import assert_rate, convergent_groups, labels

WHO = labels.judge(
    {
        "strict": lambda prompt: "yes" if "yes 1" in prompt else "no",
        "lenient": lambda prompt: "yes",
        "plain": lambda prompt: "yes",
    },
    "Is it an answer?",
)
PROMPTS = {f"q{i}": f"q{i}" for i in range(6)}


@pytest.mark.convergence(label=WHO, metric="char-ngrams", threshold=-1)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_judged(prompt, models):
    assert_rate(models, at_least=0.01, value="yes")


@pytest.mark.convergence(metric="exact", prompts=PROMPTS)
def test_who_goes_together(models):
    convergent_groups(models, cutoff=0.9)
"""


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with three judges and a question for groups of models."""
    folder = tmp_path_factory.mktemp("judged")
    answers = {f"q{i}": {"a": [f"yes {i}"], "b": [f"yes {i}"], "c": ["no"]} for i in range(6)}
    (folder / "conftest.py").write_text(PANEL.format(answers=answers, names=["a", "b", "c"]))
    (folder / "test_evals.py").write_text(EVALS)
    (folder / "pytest.ini").write_text(
        "[pytest]\nconvergence_models = mine/a,mine/b,mine/c\nconvergence_samples = 2\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("--convergence-record=new_episodes", "--convergence-json=run.json"),
        ],
        cwd=folder,
        env={**os.environ, "CI": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((folder / "run.json").read_text()))


def opened_group(page: Page, number: int) -> str:
    """What is told of a group when it is opened."""
    page.run(f"document.querySelector('[aria-controls=group-{number}]').click()")
    return str(page.run(f"return document.querySelector('#group-{number}').innerText"))


def test_a_group_tells_agreement_and_what_length_and_format_explain(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    page = Page.of(browser, simulated_run, tmp_path)
    told = "\n".join(opened_group(page, n) for n in range(len(simulated_run["groups"])))
    group = next(one for one in simulated_run["groups"] if one["agreement"])
    kappa = group["agreement"]["conger"]["corrected"]
    assert f"corrected for chance: Conger\u2019s \u03ba {kappa:.2f}, Fleiss\u2019 \u03ba" in told
    assert "agreement when both are wrong" in told
    assert "length explains" in told
    summary = page.find("#groups details summary")
    assert summary.text == "Mistakes by pair of models"
    summary.click()
    page.until(lambda: page.texts("#groups details tbody tr"))
    pairs = len(group["agreement"]["overlap"])
    assert len(page.texts("#groups details[open] tbody tr")) == pairs
    assert page.console() == []


def test_judges_are_told_with_their_agreement_and_every_vote(
    browser: Any, judged_run: dict[str, Any], tmp_path: Path
) -> None:
    page = Page.of(browser, judged_run, tmp_path)
    number = next(
        n for n, text in enumerate(page.texts("#groups .row th")) if "test_judged" in text
    )
    told = opened_group(page, number)
    for part in ("What each judge says", "strict", "Agreement of judges", "strict / lenient"):
        assert part in told, part
    page.run(
        "location.hash = '#case=' + encodeURIComponent(arguments[0])", judged_run["cases"][0]["id"]
    )
    footer = page.opened_case().find_element("css selector", ".answer footer").text
    assert "votes: " in footer
    assert "strict no" in footer
    assert "lenient yes" in footer


def test_groups_of_models_are_told_with_their_stability(
    browser: Any, judged_run: dict[str, Any], tmp_path: Path
) -> None:
    page = Page.of(browser, judged_run, tmp_path)
    found = next(check for check in judged_run["checks"] if check["quantity"] == "groups")["found"]
    rows = page.texts("#checks .opened tbody tr")
    assert rows[0].startswith("mine/a, mine/b1.00")
    assert len(rows) == len(found["groups"]) == 2
    assert "(stable)" in rows[0]
    assert page.run("return document.documentElement.scrollWidth") <= 1280


def test_a_rate_tells_each_model_when_it_is_opened(
    browser: Any, judged_run: dict[str, Any], tmp_path: Path
) -> None:
    page = Page.of(browser, judged_run, tmp_path)
    opener = next(
        one for one in page.all("#checks .opener") if one.get_attribute("aria-expanded") == "false"
    )
    opener.click()
    body = page.find(f"#{opener.get_attribute('aria-controls')}")
    assert "Rate of each model" in body.text
    assert "mine/c" in body.text
    assert page.console() == []


@pytest.fixture
def many_failing(simulated_run: dict[str, Any]) -> dict[str, Any]:
    """A run where more cases fail than one screen lists."""
    run = copy.deepcopy(simulated_run)
    cases = [case for case in run["cases"] if "verdict" in case]
    assert len(cases) > 60
    for case in cases:
        case.update(threshold=1.5, direction="converges", verdict="diverged", passed=False)
    return run


def test_every_failing_case_has_its_line_on_paper(
    browser: Any, many_failing: dict[str, Any], tmp_path: Path
) -> None:
    page = Page.of(browser, many_failing, tmp_path)
    failing = sum(not case.get("passed", True) for case in many_failing["cases"])
    assert len(page.all("#cases .row")) == 50
    page.browser.execute_cdp_cmd("Page.printToPDF", {})
    assert len(page.all("#cases .row")) == failing


def test_the_failing_cases_beyond_the_first_three_open_together(
    browser: Any, many_failing: dict[str, Any], tmp_path: Path
) -> None:
    run = copy.deepcopy(many_failing)
    for case in [case for case in run["cases"] if "verdict" in case][8:]:
        case.update(verdict="converged", passed=True)
    page = Page.of(browser, run, tmp_path)
    button = next(one for one in page.all("#cases .controls button"))
    assert button.text == "Open the other 5 failing cases"
    button.click()
    opened = "#cases .opened:not([hidden]) .answers:not([aria-busy])"
    page.until(lambda: len(page.all(opened)) == 8)


def test_few_failing_cases_need_no_button(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    assert Page.of(browser, simulated_run, tmp_path).all("#cases .controls button") == []
