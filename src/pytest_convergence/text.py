"""Hostile text made safe to print: what a model says never moves a cursor or breaks a file."""

from __future__ import annotations

import unicodedata

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, *, limit: int | None = None, multiline: bool = False) -> str:
    """Text with every control, format, bidi and surrogate character written out as an escape.

    Parameters
    ----------
    text
        Any string, lone surrogates included.
    limit
        Cut to this many characters, with an ellipsis as the last.
    multiline
        Keep line feeds; otherwise they become ``\\x0a`` like the rest. Tabs become a space.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if (multiline and character == "\n") or unicodedata.category(character) not in _UNSAFE
        else " "
        if character == "\t"
        else _visible(character)
        for character in text
    )
