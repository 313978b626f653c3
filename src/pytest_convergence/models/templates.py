"""The requests of many prompts, made of one."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.wire import Model, WireRequest

_MARK = "\x00 the prompt \x00"


class RequestTemplate(NamedTuple):
    """What one model is sent, but for the prompt."""

    method: str
    url: str
    before: str
    after: str

    @classmethod
    def of(cls, model: Model, decoding: Decoding) -> RequestTemplate | None:
        """The template of an adapter that keeps prompts verbatim; None for any other.

        Raises
        ------
        SettingsError
            As the adapter does, for what its format cannot express.
        """
        # Of the class itself: what was made of another adapter may well differ in this.
        if not vars(type(model.adapter)).get("verbatim", False):
            return None
        request = model.adapter.request(
            model=model.model, base_url=model.base_url, prompt=_MARK, decoding=decoding
        )
        parts = request.body.split(encode_basestring_ascii(_MARK))
        return cls(request.method, request.url, *parts) if len(parts) == 2 else None

    def filled(self, text: str) -> WireRequest:
        """The request with a prompt in it, given as :func:`encoded` writes it."""
        return WireRequest(self.method, self.url, f"{self.before}{text}{self.after}")


def encoded(prompt: object) -> str | None:
    """A prompt as it stands in canonical JSON; None where an adapter has to look at it.

    That is a conversation, or a text with surrogates, of which half a character may be one.
    """
    if not isinstance(prompt, str):
        return None
    text = encode_basestring_ascii(prompt)
    return None if "\\ud" in text else text
