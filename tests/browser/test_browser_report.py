from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pytest_convergence.history import kept_run
from pytest_convergence.report.html import write_page
from tests.browser.pages import Page
from tests.browser.screenshot import picture


@pytest.fixture
def page(browser: Any, simulated_run: dict[str, Any], tmp_path: Path) -> Page:
    return Page.of(browser, simulated_run, tmp_path)


def failing(run: dict[str, Any]) -> dict[str, Any]:
    """The run with the threshold of its first group and of three cases out of reach."""
    run = copy.deepcopy(run)
    judged = [case for case in run["cases"] if case.get("direction") == "converges"]
    for entry in (run["groups"][0], *judged[:3]):
        entry.update(threshold=1.5, verdict="diverged", passed=False)
    return run


def test_it_opens_from_disk_without_a_request_or_a_word_on_the_console(page: Page) -> None:
    assert " are as asserted" in page.find("h1").text
    assert page.console() == []
    assert page.requests() == []


def test_every_section_is_there_and_linked(page: Page) -> None:
    headings = page.texts("main > section > h2")
    assert headings == [
        f"{name}simulated models" for name in ("Capabilities", "Panel", "Models", "Cases")
    ]
    for link in page.all("nav a"):
        target = str(link.get_attribute("hash"))
        assert page.all(target), target


def test_simulated_models_are_called_so_wherever_they_show(page: Page) -> None:
    assert "simulated" in page.find("h1").text
    assert "simulated models" in page.find("#verdict").text
    rows = page.texts("#models tbody tr")
    assert rows
    assert all("simulated" in row for row in rows)
    page.find("#cases .opener").click()
    columns = [one.text for one in page.opened_case().find_elements("css selector", "h4")]
    assert columns
    assert all("simulated" in column for column in columns)


def test_cases_can_be_sorted_both_ways(page: Page) -> None:
    def values() -> list[float]:
        shown = page.texts("#cases .row .number:nth-of-type(2) b")
        return [
            float("-inf" if text == "\u2013" else text.replace("\u2212", "-")) for text in shown
        ]

    head = page.find("#cases th.wide, #cases th[aria-sort]:nth-child(3)")
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = values()
    assert len(rising) > 10
    assert rising == sorted(rising)
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    assert values() != rising


def test_cases_can_be_searched_and_filtered(page: Page, simulated_run: dict[str, Any]) -> None:
    wanted = simulated_run["cases"][0]["prompt_id"]
    search = page.find("#cases input[type=search]")
    search.send_keys(wanted)
    names = page.texts("#cases .row .opener")
    assert wanted in names
    assert len(names) < len(simulated_run["cases"])
    search.clear()
    search.send_keys("no such prompt anywhere")
    page.until(lambda: page.texts("#cases .row") == [])
    assert page.find("#cases [role=status]").text.startswith("0 cases")


def test_a_verdict_can_be_chosen(page: Page, simulated_run: dict[str, Any]) -> None:
    page.choose("Verdict", "diverged")
    diverged = [case for case in simulated_run["cases"] if case.get("verdict") == "diverged"]
    assert diverged
    assert page.find("#cases [role=status]").text.startswith(f"{len(diverged)} case")
    assert all("diverged" in text for text in page.texts("#cases .row .badge"))


def test_a_case_opens_and_two_responses_can_be_read(
    page: Page, simulated_run: dict[str, Any]
) -> None:
    page.find("#cases .opener").click()
    panel = page.opened_case()
    identity = panel.find_elements("css selector", "code")[-1].text
    case = next(case for case in simulated_run["cases"] if case["id"] == identity)
    shown = [one.text for one in panel.find_elements("css selector", ".answer .said:not(.short)")]
    for model, responses in list(case["responses"].items())[:2]:
        assert model in panel.text
        assert any(" ".join(responses[0]["text"].split()) in " ".join(one.split()) for one in shown)


def test_equal_responses_are_folded_with_their_count(
    page: Page, simulated_run: dict[str, Any]
) -> None:
    page.find("#cases .opener").click()
    panel = page.opened_case()
    identity = panel.find_elements("css selector", "code")[-1].text
    case = next(case for case in simulated_run["cases"] if case["id"] == identity)
    distinct = sum(len({one["text"] for one in said}) for said in case["responses"].values())
    assert len(panel.find_elements("css selector", ".answer")) == distinct


def test_differences_from_another_answer_are_marked(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    run = copy.deepcopy(simulated_run)
    case = run["cases"][0]
    first, second = list(case["responses"])[:2]
    for model, text in ((first, "the capital is Canberra"), (second, "the capital is Sydney")):
        case["responses"][model] = [{"text": text, "finish": "stop"}]
    page = Page.of(browser, run, tmp_path)
    page.run("location.hash = arguments[0]", f"#case={quote(case['id'])}")
    panel = page.opened_case()
    page.choose("Mark differences from", f"{first} #1: the capital is Canberra")
    assert "Sydney" in [one.text for one in panel.find_elements("css selector", "ins")]
    assert not [one for one in panel.find_elements("css selector", "del") if one.is_displayed()]
    panel.find_element("css selector", "input[type=checkbox]").click()
    shown = [one.text for one in panel.find_elements("css selector", "del") if one.is_displayed()]
    assert "Canberra" in shown


def test_a_case_with_vectors_has_a_map_of_its_responses(
    page: Page, simulated_run: dict[str, Any]
) -> None:
    case = next(case for case in simulated_run["cases"] if case.get("places"))
    page.run("location.hash = arguments[0]", f"#case={quote(case['id'])}")
    panel = page.opened_case()
    spots = {tuple(place[:2]) for places in case["places"].values() for place in places if place}
    figures = [
        figure
        for figure in panel.find_elements("css selector", "figure")
        if "Map of the responses" in figure.text
    ]
    assert len(figures[0].find_elements("css selector", "g[aria-label=dot] circle")) == len(spots)
    assert page.console() == []


def test_a_link_opens_its_case(browser: Any, simulated_run: dict[str, Any], tmp_path: Path) -> None:
    page = Page.of(browser, simulated_run, tmp_path)
    last = simulated_run["cases"][-1]["id"]
    page.run("location.hash = arguments[0]", f"#case={quote(last)}")
    panel = page.opened_case()
    assert panel.find_elements("css selector", "code")[-1].text == last


def test_what_fails_comes_first_and_open(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    run = failing(simulated_run)
    page = Page.of(browser, run, tmp_path)
    assert "1 of " in page.find("h1").text
    assert page.find("#groups .opener").get_attribute("aria-expanded") == "true"
    page.until(lambda: len(page.all("#cases .opened:not([hidden]) .answers:not([aria-busy])")) == 3)
    states = [one.get_attribute("class") for one in page.all("#cases .row .badge")]
    assert [state == "badge failed" for state in states] == [True] * 3 + [False] * (len(states) - 3)


def test_the_theme_can_be_switched(page: Page) -> None:
    def background() -> Any:
        return page.run("return getComputedStyle(document.body).backgroundColor")

    switch = page.find("#theme button")
    seen = {}
    for _ in range(3):
        switch.click()
        seen[switch.text] = background()
    assert seen["Theme: light"] == "rgb(255, 255, 255)"
    assert seen["Theme: dark"] != seen["Theme: light"]
    assert page.console() == []


def test_the_panel_shows_another_group_and_another_measure(page: Page) -> None:
    before = page.run("return document.querySelector('#panel .heat svg').outerHTML")
    page.choose("Show", "similarity (raw)")
    after = page.until(
        lambda: page.run("return document.querySelector('#panel .heat svg')?.outerHTML")
    )
    assert after != before
    options = page.texts("#panel select:first-of-type option")
    assert len(options) > 1


def test_the_mark_decides_what_a_convergent_group_is(page: Page) -> None:
    def told(mark: float) -> str:
        page.run(
            "const s = document.querySelector('#panel input[type=range]'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input', {bubbles: true}))",
            mark,
        )
        return str(page.find("#panel .plain").text)

    assert "Convergent group 1" in told(0.0)
    assert "Convergent group" not in told(1.0) or "score" in told(1.0)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_pictures_of_the_page_can_be_kept(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path, theme: str, width: int
) -> None:
    """In the folder that CONVERGENCE_SCREENSHOTS names, for whoever reviews a change."""
    page = Page.of(browser, failing(simulated_run), tmp_path, width=width)
    page.run("document.documentElement.dataset.theme = arguments[0]", theme)
    page.until(lambda: len(page.all("#cases .opened:not([hidden]) .answers:not([aria-busy])")) == 3)
    path = Path(os.environ.get("CONVERGENCE_SCREENSHOTS", tmp_path)) / f"report-{theme}-{width}.png"
    picture(page, path, 12_000)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == width
    assert len(data) > 50_000


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path, width: int
) -> None:
    page = Page.of(browser, failing(simulated_run), tmp_path, width=width)
    page.until(lambda: len(page.all("#cases .opened:not([hidden]) .answers:not([aria-busy])")) == 3)
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_kept_runs_show_where_a_group_has_been_going(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    now = kept_run(simulated_run)
    before = copy.deepcopy(now)
    before["created"] = "2025-01-02T03:04:05+00:00"
    before["groups"][0]["value"] = 0.12
    path = tmp_path / "report.html"
    write_page(simulated_run, path, [before, now])
    page = Page(browser, path)
    assert len(page.all("#trend figure svg")) == len(now["groups"])
    assert "2025-01-02 03:04:05 UTC" in page.texts("#trend tbody th")
    assert any(text.startswith("0.12 ") for text in page.texts("#trend tbody td"))
    assert page.console() == []


def _gated_rate() -> dict[str, Any]:
    """A rate of a group's marker, which the baseline knows."""
    return {
        "id": "t.py::test_x[group]#rate",
        "nodeid": "t.py::test_x[group]",
        "capability": "honesty",
        "arm": "",
        "quantity": "rate",
        "value": 0.75,
        "interval": {"low": 0.6, "high": 0.9, "level": 0.95, "method": "exact"},
        "threshold": 0.3,
        "direction": "at_least",
        "verdict": "met",
        "settled": True,
        "passed": True,
        "reason": "",
        "metric": "label:yes-no@1",
        "models": ["sim/alpha"],
        "samples": 5,
        "missing": [],
        "cases": [],
        "gate": {
            "status": "improved",
            "failed": False,
            "quantity": "rate",
            "counted": "yes",
            "before": 0.5,
            "after": 0.75,
            "difference": 0.25,
            "low": 0.1,
            "high": 0.4,
            "pvalue": 0.999,
        },
    }


def test_what_changed_against_the_baseline_is_told(
    browser: Any, simulated_run: dict[str, Any], tmp_path: Path
) -> None:
    run = copy.deepcopy(simulated_run)
    moved = {"name": "sim/alpha", "before": 0.8, "after": 0.4, "redrawn": True, "changed": True}
    old_and_new = {"prompt_id": "x", "model": "sim/alpha", "before": ["old one"], "after": ["new"]}
    run["groups"][0]["gate"] = {
        "status": "regressed",
        "failed": True,
        "before": 0.8,
        "after": 0.4,
        "low": -0.5,
        "difference": -0.4,
        "high": -0.3,
        "pvalue": 0.0012,
        "reason": "it fell",
        "models": [moved],
        "examples": [old_and_new],
        "moved": [],
    }
    run["groups"][0]["passed"] = False
    run["gate"] = {"vanished": ["test_gone[group]"]}
    run["checks"] = [_gated_rate()]
    page = Page.of(browser, run, tmp_path)
    told = page.find("#verdict").text
    assert "Against the baseline: 3 of 3 groups changed" in told
    assert "honesty: rate of yes improved 0.50 0.75" in told
    assert "regressed" in page.texts(".badge.failed")[0]
    assert page.console() == []
    for part in ("regressed", "\u22120.40 [\u22120.50, \u22120.30]", "test_gone[group]", "old one"):
        assert part in told, part
    assert "its answers changed" in told
    assert page.find("#verdict").get_attribute("class") == "failed"


def test_all_that_acts_can_be_reached_by_keyboard_and_has_a_name(page: Page) -> None:
    unnamed = page.run(
        """const acting = [...document.querySelectorAll('button, select, input, a, summary')];
        return acting.filter((one) => {
          const label = one.closest('label')?.textContent ?? '';
          return one.tabIndex < 0 || !(one.textContent.trim() || label.trim() || one.ariaLabel);
        }).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    opener = page.find("#cases .opener")
    opener.send_keys("\ue007")  # Enter
    page.opened_case()
    assert opener.get_attribute("aria-expanded") == "true"


def test_every_chart_has_its_numbers_in_words(page: Page) -> None:
    labels = page.run(
        "return [...document.querySelectorAll('.chart[role=img]')].map((c) => c.ariaLabel ?? '')"
    )
    assert labels
    assert all(len(label) > 10 for label in labels)
    assert page.run("return [...document.querySelectorAll('table')].every((t) => t.caption)")


def test_it_prints_every_section_in_light_colours(page: Page) -> None:
    page.run("document.documentElement.dataset.theme = 'dark'")
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.run("return getComputedStyle(document.body).colorScheme") != "dark"
        assert not page.find(".top").is_displayed()
        printed = page.browser.execute_cdp_cmd("Page.printToPDF", {})
        assert len(printed["data"]) > 20_000
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
