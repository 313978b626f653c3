"""What shape a text has: JSON, code, a table, a list, sections or prose."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

BULLET = re.compile(r"^\s*(?:[-*+•◦▪‣·–—]|[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?)\s+\S")  # noqa: RUF001
NUMBERED = re.compile(r"^\s*(?:\(?(?:\d{1,3}|[a-z])[.)]\s+\S|\d{1,3}\s*$)")
FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.M)
_ROW = re.compile(r"^\s*\|?.*\|.*$")
_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?\s*$|^\s*\|\s*:?-+:?\s*\|\s*$")
_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_MARKUP = re.compile(r"<(!doctype|[a-z][\w-]*)\b[^>]*>.*</?[a-z][\w-]*>\s*$", re.I | re.DOTALL)
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+\S.*|\*\*[^*\n]{1,80}\*\*:?)\s*$")
_CODE_LINE = re.compile(
    r"^(?:\s*(?:def|class|for|while|if|elif|else|try|with|return|import|from|function|const|let"
    r"|var|public|private|#include|int|void|print|SELECT|package|fn|func|end)\b.*[\w:;)({}\]\"']"
    r"|\s*[})\];]+\s*|\s*[\w.\[\]]+\s*(?:[-+*/]?=|\().*[)\];\w\"']|\s*(?://|#!).*)$"
)
_SHARE = 0.5
_BRIEF = 160


def detect(text: str) -> str:
    """The finest class of a text."""
    text = text.strip()
    blocks = _fenced(text)
    if _json_of(text, blocks) is not None:
        return "json"
    if _TABLE.match(text):
        return "table"
    if _MARKUP.match(text):
        return "markup"
    around_blocks = FENCED.sub("", text) if blocks else text
    lines = [line for line in around_blocks.splitlines() if line.strip()]
    total = sum(len(line.strip()) for line in text.splitlines()) or 1
    fenced = sum(len(block.strip()) for block in blocks)
    around = sum(len(line.strip()) for line in lines)
    if fenced and (fenced >= _SHARE * total or (len(lines) <= 2 and around <= _BRIEF)):
        return "code"
    if table_rows(text) is not None:
        return "table"
    return _of_lines(lines, total)


def _of_lines(lines: Sequence[str], total: int) -> str:
    numbered = [line for line in lines if NUMBERED.match(line)]
    bullets = [line for line in lines if BULLET.match(line)]
    listed = sum(len(line.strip()) for line in (*numbered, *bullets))
    count = len(numbered) + len(bullets)
    if count >= 2 and (listed >= _SHARE * total or 2 * count >= len(lines)):
        return "numbered" if len(numbered) > len(bullets) else "bullets"
    if _sections(lines) >= 2:
        return "sections"
    code = [line for line in lines if _CODE_LINE.match(line)]
    return "code" if len(code) >= 2 and len(code) == len(lines) else "prose"


def _sections(lines: Sequence[str]) -> int:
    """Headings that have text under them."""
    return sum(
        bool(_HEADING.match(one)) and not _HEADING.match(two) for one, two in pairwise(lines)
    )


def _fenced(text: str) -> list[str]:
    """What is between fences; few texts have any, and looking for them line by line takes long."""
    if "```" not in text and "~~~" not in text:
        return []
    return [block[2] for block in FENCED.finditer(text)]


def json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The JSON object or array that a text, or its one fenced block, is; else None."""
    return _json_of(text, _fenced(text))


def _json_of(text: str, blocks: Sequence[str]) -> dict[str, Any] | list[Any] | None:
    if len(blocks) > 1:
        return None
    candidate = (blocks[0] if blocks else text).strip()
    if not candidate.startswith(("{", "[")):
        return None
    try:
        value = json.loads(candidate)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def table_rows(text: str) -> int | None:
    """Rows under the head of the first Markdown table; None without one."""
    lines = text.splitlines()
    for index, line in enumerate(lines[1:], 1):
        if _RULE.match(line) and "|" in lines[index - 1]:
            rows = 0
            while index + 1 + rows < len(lines) and _ROW.match(lines[index + 1 + rows]):
                rows += 1
            return rows
    return None
