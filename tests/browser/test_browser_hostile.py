"""Models may say anything: nothing of it may run, load, restyle or leave its box."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import Page

ATTACKS = (
    "</script><script>window.hacked = 'script'</script>",
    "<img src=x onerror=\"window.hacked = 'img'\">",
    "<svg onload=\"window.hacked = 'svg'\"><a xlink:href='javascript:window.hacked=1'>x</a></svg>",
    "<style>* { display: none !important; background: red }</style>",
    "<link rel=stylesheet href=https://example.org/a.css>",
    "<iframe srcdoc=\"<script>parent.hacked='frame'</script>\"></iframe>",
    "<object data='data:text/html,<script>top.hacked=1</script>'></object>",
    "<meta http-equiv=refresh content='0;url=https://example.org'>",
    "<base href=https://example.org/>",
    "<form action=https://example.org><button autofocus>go</button></form>",
    "javascript:window.hacked='url'",
    '" onmouseover="window.hacked=\'attribute\'" x="',
    "' autofocus onfocus='window.hacked=1' '",
    "<!-- <script> <![CDATA[ ]]> --!> <plaintext><textarea><noscript><title>",
    "<template><script>window.hacked=1</script></template><math><mi//xlink:href='data:x,1'>",
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1} <%= 1 %>",
    "@@policy@@ @@script@@ @@cases@@",
    "__proto__",
    "constructor",
    "\u202eright to left\u202c \u2066isolate \u2028line\u2029paragraph \ufeff",
    "Z" + "\u0300\u0301\u0302\u0303\u0304\u0305" * 40 + "algo",
    "\x1b[31mred\x1b[0m \x07 \x00 nul \r\n",
    "lone \ud800 surrogate \udfff",
    "very" * 5_000,
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
)

WATCH = """
window.hacked = undefined;
window.violations = [];
const noted = (event) => window.violations.push(event.violatedDirective);
document.addEventListener('securitypolicyviolation', noted);
"""


def poisoned(run: dict[str, Any]) -> dict[str, Any]:
    """A run in which everything that someone else wrote is an attack."""
    run = copy.deepcopy(run)
    bad = iter(ATTACKS * 10_000)
    renamed = {model["name"]: f"{next(bad)} {number}" for number, model in enumerate(run["models"])}
    for model in run["models"]:
        model["name"] = renamed[model["name"]]
        model["served"] = {next(bad): 3}
        model["missing"] = {next(bad): 1}
    for group in run["groups"]:
        group.update(
            capability=next(bad), arm=next(bad), metric=next(bad), reason=next(bad), passed=False,
            models=[renamed[name] for name in group["models"]],
            present=[renamed[name] for name in group["present"]],
            copies=[next(bad)], accuracy={next(bad): 0.5},
            missing=[{"model": next(bad), "kind": next(bad), "reason": next(bad)}],
        )  # fmt: skip
    names = {}
    for number, case in enumerate(run["cases"]):
        names[case["id"]] = case["id"] = f"{next(bad)} {number}"
        names[case["nodeid"]] = case["id"]
        case.update(prompt=next(bad), prompt_id=f"{next(bad)} {number}", reason=next(bad))
        case["responses"] = {
            renamed[model]: [
                {"text": next(bad), "finish": next(bad), "label": next(bad), "why": next(bad)}
                for _ in said
            ]
            for model, said in case["responses"].items()
        }
        if "present" in case:
            case["present"] = [renamed[name] for name in case["present"]]
    for group in run["groups"]:
        group["cases"] = [names[name] for name in group["cases"]]
    run["command"] = list(ATTACKS)
    run["problems"] = list(ATTACKS)
    run["extra"] = {attack: attack for attack in ATTACKS}
    return run


@pytest.fixture
def page(browser: Any, simulated_run: dict[str, Any], tmp_path: Path) -> Page:
    watch = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    opened = Page.of(browser, poisoned(simulated_run), tmp_path)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watch)
    return opened


def test_no_attack_runs_loads_or_adds_an_element(page: Page) -> None:
    for opener in page.all("#cases .opener[aria-expanded=false]")[:25]:
        page.run("arguments[0].click()", opener)
    page.until(lambda: len(page.all("#cases .answers:not([aria-busy])")) >= 25)
    for summary in page.all("summary"):
        page.run("arguments[0].click()", summary)
    assert page.run("return window.hacked") is None
    assert page.run("return window.violations") == []
    assert page.console() == []
    assert page.requests() == []
    strange = "img, iframe, object, embed, form, base, link, template, textarea, plaintext, math"
    assert page.texts(strange) == []
    assert len(page.all("meta")) == 4
    assert page.run("return document.querySelectorAll('[onerror],[onload],[onfocus]').length") == 0
    assert all(
        str(link).startswith("#")
        for link in page.run(
            "return [...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))"
        )
    )


def test_an_attack_is_shown_to_the_letter(page: Page) -> None:
    open_one(page)
    shown = set(page.texts("#cases .answer .said"))
    assert any(text in ATTACKS for text in shown)
    assert not any("\\u" in text for text in shown)


def open_one(page: Page) -> None:
    page.run("document.querySelector('#cases .opener[aria-expanded=false]').click()")
    page.until(lambda: page.all("#cases .answers:not([aria-busy])"))


def test_no_answer_leaves_its_box(page: Page) -> None:
    open_one(page)
    outside = page.run(
        """return [...document.querySelectorAll('.answer')].filter((box) => {
          const style = getComputedStyle(box);
          return !style.contain.includes('paint') || box.scrollWidth > box.clientWidth + 1;
        }).length"""
    )
    assert outside == 0
    assert page.run("return document.documentElement.scrollWidth") <= 1280


def test_the_policy_stops_what_would_run_if_markup_ever_got_in(page: Page) -> None:
    """The second wall, tried on its own: the page's policy, not its text nodes."""
    refused = page.run(
        """try { document.body.innerHTML = '<img src=x onerror="window.hacked=1">'; return 'set'; }
        catch (problem) { return problem.name; }"""
    )
    assert refused == "TypeError"
    page.run(
        """const script = document.createElement('script');
        try { script.textContent = 'window.hacked = 2'; } catch (problem) {}
        document.body.append(script);
        const image = new Image(); image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
        document.body.append(image);"""
    )
    page.until(lambda: "img-src" in str(page.run("return window.violations")))
    assert page.run("return window.hacked") is None
