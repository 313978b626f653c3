"""What a model answered, or why it did not.

Structs rather than dataclasses: a study holds them by the hundred thousand, and they are made in a
twentieth of the time. ``msgspec.structs.replace`` changes a field.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Finish: TypeAlias = Literal["stop", "length", "refusal", "content_filter", "tool", "unknown"]
MissingKind: TypeAlias = Literal["error", "empty", "truncated", "refused", "unlabelled", "budget"]


class Missing(Struct, frozen=True, gc=False):
    """Why a response cannot be used: counted and named, never agreement nor disagreement.

    ``refused`` is a provider's refusal or content-filter stop: missing to text kernels only, a
    response to the refusal labeller. ``unlabelled`` is a labeller's word. ``budget`` was not
    sampled because the money ran out.
    """

    kind: MissingKind
    reason: str


class Usage(Struct, frozen=True, gc=False):
    """Tokens (and money in US dollars where the provider reports it) of one response."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None


class TokenLogprob(Struct, frozen=True, gc=False):
    """One generated token, its natural-log probability, and the alternatives offered."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Response(Struct, frozen=True, gc=False):
    """One sample of one model's answer to one prompt.

    ``text`` may be empty and may hold anything. ``missing`` is None where the text can be used
    by every kernel. A provider's refusal has ``finish="refusal"`` (its words in ``text``) or
    ``"content_filter"`` and ``missing.kind == "refused"``.
    """

    text: str
    finish: Finish = "stop"
    missing: Missing | None = None
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] = ()
    served_model: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    date: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the provider itself declined to answer."""
        return self.missing is not None and self.missing.kind == "refused"
