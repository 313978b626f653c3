"""Any text as a model can read it."""

from __future__ import annotations

# More than any embedder reads; a longer text costs time in the tokenizer and changes nothing.
READ_CHARACTERS = 200_000


def readable(text: str) -> str:
    """The text cut to what an embedder can use, lone surrogates replaced by U+FFFD."""
    cut = text[:READ_CHARACTERS]
    if cut.isascii():
        return cut
    return cut.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
