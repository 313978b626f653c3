"""Which formats answers come in: shares over a declared set of classes, and what did not parse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_convergence.metrics.entropy import Correction, entropy, normalized_entropy


@dataclass(frozen=True, slots=True)
class FormatShares:
    """How often each declared class occurred, out of all responses.

    Attributes
    ----------
    classes, counts
        The declared classes in their order, and how many responses had each.
    unparsed
        Responses of no class. They have a share of their own and no part in the entropy.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    unparsed: int

    @property
    def total(self) -> int:
        """All responses, unparsed ones included."""
        return sum(self.counts) + self.unparsed

    @property
    def shares(self) -> dict[str, float]:
        """Share of each class and of ``"unparsed"`` among all responses; they sum to 1."""
        named = dict(zip(self.classes, self.counts, strict=True)) | {"unparsed": self.unparsed}
        return {name: count / self.total for name, count in named.items()}

    def entropy(self, *, correction: Correction = None) -> float:
        """Entropy in bits of the classes among the responses that parsed."""
        return entropy(self.counts, correction=correction)

    def normalized_entropy(self, *, correction: Correction = "miller-madow") -> float:
        """That entropy over an even spread across the declared classes, in [0, 1]."""
        return normalized_entropy(self.counts, correction=correction)


def format_shares(formats: Sequence[str | None], *, classes: Sequence[str]) -> FormatShares:
    """Shares of formats over a declared set.

    Parameters
    ----------
    formats
        One for each response; None where none could be told.
    classes
        Every format that could occur. Collapse onto one format can only be told from the ones
        that were not used, so they are declared rather than read off the data.

    Raises
    ------
    ValueError
        For a format that was not declared, or no responses at all.
    """
    if "unparsed" in classes or len(set(classes)) != len(classes):
        raise ValueError(f"classes {tuple(classes)!r} repeat themselves or hold 'unparsed'")
    counted = Counter(formats)
    undeclared = sorted(str(name) for name in counted if name is not None and name not in classes)
    if undeclared:
        raise ValueError(f"formats {undeclared} were not declared among {tuple(classes)!r}")
    if not formats:
        raise ValueError("there are no responses")
    return FormatShares(tuple(classes), tuple(counted[name] for name in classes), counted[None])
