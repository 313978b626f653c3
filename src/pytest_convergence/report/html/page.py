"""One HTML file out of a run: the page, its style and script, and the run, compressed.

What models said reaches the page only as compressed base64, whose alphabet can neither close an
element nor begin one, and is shown only through text nodes. The page's content-security policy
names its scripts and styles by hash and allows nothing else: no network, no frame, no form, no
script made from text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.report.html.view import case_texts, overview
from pytest_convergence.report.tables import shown_verdict
from pytest_convergence.text import printable

# Joined in this order into one script.
_SCRIPTS = (
    "page.js",
    "figures.js",
    "charts.js",
    "verdict.js",
    "beside.js",
    "groups.js",
    "panel.js",
    "models.js",
    "answers.js",
    "case.js",
    "cases.js",
    "trend.js",
    "start.js",
)
_NAME = "report.html"


def build_page(run: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()) -> str:
    """The report of a run as one HTML document, ASCII but for the licences of its libraries.

    Parameters
    ----------
    run
        As `runs.build_run` makes it or `runs.read_run` reads it.
    history
        Kept runs, oldest first, for the trend: see `history.read_history`.
    """
    style, script = _asset("style.css"), _script()
    vendor, about = _asset("vendor/vendor.min.js"), json.loads(_asset("vendor/vendor.json"))
    view = overview(run, history)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(vendor)} {_hash(script)}",
            f"style-src {_hash(style)} '{about['style']}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    parts = {
        "policy": policy,
        "style": style,
        "title": escape(_ascii(view["title"])),
        "sentence": escape(_ascii(view["sentence"])),
        "plain": _plain_table(view["groups"]),
        "overview": _packed(view),
        "vendor": vendor,
        "script": script,
        "cases": "\n".join(
            f'<script type="text/plain" id="case-{number}">{_packed(case_texts(case))}</script>'
            for number, case in enumerate(run["cases"])
        ),
    }
    page = _asset(_NAME)
    # One pass over the template: nothing that is put in is looked at again.
    pieces = page.split("@@")
    pieces[1::2] = [parts[name] for name in pieces[1::2]]
    return "".join(pieces)


def write_page(
    run: Mapping[str, Any], path: Path, history: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the report of a run, atomically.

    Raises
    ------
    ConvergenceError
        Where the file cannot be written.
    """
    from pytest_convergence.files import write_atomically

    try:
        write_atomically(path, build_page(run, history).encode())
    except OSError as error:
        raise ConvergenceError(
            f"the report {path} cannot be written: {error.strerror}",
            fix=["give a path in a folder you may write to"],
        ) from None


@cache
def _asset(name: str) -> str:
    folder = files("pytest_convergence.report.html")
    for part in name.split("/") if "/" in name else ("assets", name):
        folder = folder.joinpath(part)
    return folder.read_text(encoding="utf-8")


@cache
def _script() -> str:
    parts = "\n".join(_asset(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _packed(value: Any) -> str:
    """JSON, compressed, as base64; the same bytes for the same value."""
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode()


def _ascii(text: str) -> str:
    return printable(text, limit=500)


def _plain_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts for a viewer that runs no scripts, as some show CI artefacts."""
    rows = [
        f"<tr><th scope='row'>{escape(_ascii(group['name']))}</th>"
        f"<td>{escape(_ascii(shown_verdict(group)))}</td>"
        f"<td>{'-' if group['value'] is None else format(group['value'], '.2f')}</td></tr>"
        for group in groups
    ]
    return "".join(rows)
