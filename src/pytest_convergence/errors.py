"""Errors that say what, where, why, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_convergence.text import printable

_LIMIT = 4000


class ConvergenceError(Exception):
    """Something the user can mend. The first line of the message stands alone.

    Parameters
    ----------
    headline
        What happened and where, in one line.
    details
        Why: further lines. Text from outside is escaped and the whole is capped.
    fix
        What to do, one line an option.
    """

    def __init__(
        self, headline: str, *, details: Sequence[str] = (), fix: Sequence[str] = ()
    ) -> None:
        self.headline = printable(headline, limit=300)
        self.details = tuple(printable(line, limit=1000, multiline=True) for line in details)
        self.fix = tuple(printable(line, limit=2000) for line in fix)
        super().__init__(self.headline, self.details, self.fix)

    def __str__(self) -> str:
        lines = [self.headline]
        if self.details:
            lines += ["", *(f"  {part}" for line in self.details for part in line.splitlines())]
        if self.fix:
            lines += ["", "How to fix:", *(f"  {line}" for line in self.fix)]
        text = "\n".join(lines)
        return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"


class SettingsError(ConvergenceError):
    """An option, a marker or a model spec that cannot be used."""


class CassetteError(ConvergenceError):
    """A recording that is missing, has changed, or cannot be read or written."""


class ResponsesError(ConvergenceError):
    """A file of recorded responses that cannot be used."""


class RepresentationError(ConvergenceError):
    """Responses that cannot be turned into features, or an embedder that is not there."""


class SamplingError(ConvergenceError):
    """Sampling that cannot go on: no key, no disk, a provider that answers nothing usable."""


class BaselineError(ConvergenceError):
    """A baseline that cannot be read, written or compared."""


def percentage(value: object) -> str:
    """What somebody who wrote a percentage may have meant, to be put behind a fix; else nothing."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"; did you mean {value / 100:g}?" if number and 1 < value <= 100 else ""  # type: ignore[operator]
