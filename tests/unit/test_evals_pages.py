"""The pages of the suites: one for each module, with tables that the behaviour files bear out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.eval_cases import EVALS, cases_of, panel

PAGES = sorted((EVALS.parent / "docs" / "suites").glob("*.md"))
TABLE = re.compile(r"<!-- truth: (\w+)(?:\[([\w.-]+)\])? -->\n\n.*\n.*\n((?:\|.*\n)+)")
TABLES = [
    pytest.param(
        found[1], found[2] or "", found[3].splitlines(), id=f"{page.stem}-{found[1]}-{found[2]}"
    )
    for page in PAGES
    for found in TABLE.finditer(page.read_text())
]


@pytest.mark.parametrize(("test", "arm", "rows"), TABLES)
def test_a_table_says_what_the_behaviour_files_make_true(
    test: str, arm: str, rows: list[str]
) -> None:
    cases = cases_of(test, arm)
    assert rows
    for row in rows:
        names, *numbers = (cell.strip() for cell in row.strip("|").split("|"))
        found = panel().label_population(
            names.split(", "), [case.sent for case in cases], [case.label() for case in cases]
        )
        truth = (found.similarity, found.floor, found.ceiling, found.score)
        assert [float(number) for number in numbers] == pytest.approx(truth, abs=0.006), row


def test_every_module_has_a_page_that_names_it() -> None:
    said = "\n".join(page.read_text() for page in PAGES)
    modules = [path.name for path in EVALS.glob("test_*.py")]
    assert [name for name in modules if f"`evals/{name}`" not in said] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem != "README"], ids=lambda p: p.stem)
def test_a_page_says_the_claim_how_to_read_a_failure_and_how_to_record(page: Path) -> None:
    text = page.read_text()
    for heading in ("## The claim", "## How to read a failure", "## Record it on your own models"):
        assert heading in text
    assert re.search(r"\*\*(Agreement|Divergence) is not ", text)
