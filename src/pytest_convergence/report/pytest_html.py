"""The panel of a case for pytest-html: what every model said, as markup that holds only text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from pytest_convergence.report.tables import figure, unsettled
from pytest_convergence.text import printable

if TYPE_CHECKING:
    import pytest

_LIMIT = 4000
_BOX = "white-space:pre-wrap;overflow-wrap:anywhere;overflow:hidden;unicode-bidi:isolate"


def add_panels(
    config: pytest.Config, report: pytest.TestReport, entries: Iterable[Mapping[str, Any]]
) -> None:
    """Give a test's report a panel for each case it judged, where pytest-html writes its page."""
    plugin = config.pluginmanager.get_plugin("html")
    if plugin is None or not config.getoption("htmlpath", None):
        return
    panels = [
        plugin.extras.html(case_panel(entry["result"], case))
        for entry in entries
        if entry["kind"] == "case"
        for case in entry["cases"]
    ]
    # An attribute that only pytest-html knows.
    vars(report)["extras"] = [*getattr(report, "extras", ()), *panels]


def case_panel(result: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """One case as markup: prompt, verdict, and each model's answers, equal ones once.

    Every text is escaped, and what cannot be seen is written out: pytest-html puts this into its
    page as it is.
    """
    simulated = set(result["simulated"])
    rows = [
        f"<tr><th scope='row' style='text-align:left;vertical-align:top'>{_text(model)}"
        f"{' (simulated)' if model in simulated else ''}</th><td>{_answers(said)}</td></tr>"
        for model, said in case["responses"].items()
    ]
    return (
        f"<div class='convergence'><p><b>{_text(_verdict(result))}</b></p>"
        f"<div style='{_BOX}'>{_text(case['prompt'])}</div>"
        f"<table><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _verdict(result: Mapping[str, Any]) -> str:
    verdict = result["verdict"] or "reported"
    doubt = " (unsettled)" if unsettled(result) else ""
    against = "" if result["threshold"] is None else f", threshold {figure(result['threshold'])}"
    return f"{verdict}{doubt}: {result['quantity']} {figure(result['value'])}{against}"


def _answers(said: Iterable[Mapping[str, Any]]) -> str:
    counts = Counter(_answer(response) for response in said)
    return "".join(
        f"<div style='{_BOX}'>{f'<b>&times; {count}</b> ' if count > 1 else ''}{answer}</div>"
        for answer, count in counts.most_common()
    )


def _answer(response: Mapping[str, Any]) -> str:
    """An answer's markup: its label, what is missing, its text."""
    parts = []
    if response.get("label") is not None:
        parts.append(f"<b>[{_text(response['label'])}]</b> ")
    if "missing" in response:
        missing = response["missing"]
        parts.append(f"<i>missing: {_text(missing['kind'])}, {_text(missing['reason'])}</i> ")
    return "".join(parts) + _text(response["text"])


def _text(text: Any) -> str:
    return escape(printable(str(text), limit=_LIMIT, multiline=True))
