"""What a provider did with the request: parameters it rejected or ignored, another model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.reading import error_detail, mapping
from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import WireResponse

_WIRE_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxoutputtokens": "max_tokens",
    "topp": "top_p",
    "stop_sequences": "stop",
    "stopsequences": "stop",
    "logprobs": "top_logprobs",
    "responselogprobs": "top_logprobs",
    "response_logprobs": "top_logprobs",
    "systeminstruction": "system",
    "system_instruction": "system",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DATED = re.compile(r"(?:[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|latest|main|\d{2}-\d{2,4}))+$")
# Words of plain English too: they count where they stand as a parameter's name.
_ORDINARY = re.compile(
    r"[\"'`](stop|seed|system)[\"'`]"
    r"|\b(stop|seed|system)(?=:| parameter)"
    r"|parameter:? (stop|seed)\b",
    re.IGNORECASE,
)


def rejected_parameters(decoding: Decoding, response: WireResponse) -> tuple[str, ...]:
    """The decoding parameters that a provider's error says it does not take, as set by the user.

    Read from a 400 or 422 (or an error inside a 200, or a 500 over validation): the parameter it
    names, else those of the request that its message mentions. Parameters that were not sent are
    never named. Empty where the error is about something else.
    """
    # Some servers answer a body they cannot validate with an error 500.
    if response.status not in (200, 400, 422) and "validation error" not in response.body:
        return ()
    body = _json(response.body)
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if response.status == 200 and not mapping(body).get("error"):
        return ()
    detail = error_detail(body)
    sent = {_key(name): name for name in decoding.as_dict() if name != "extra"}
    sent |= {_key(name): f"extra.{name}" for name in _names(dict(decoding.extra))}
    pointed = _mentioned(detail.parameter, sent)
    return pointed or _mentioned(detail.message, sent)


def ignored_parameters(decoding: Decoding, responses: Sequence[Response]) -> tuple[str, ...]:
    """The decoding parameters that visibly had no effect on a unit's responses.

    ``top_logprobs`` where no log-probabilities came, ``max_tokens`` where more were generated,
    ``stop`` where the text goes on after a stop sequence, ``seed`` where equal requests with one
    seed got different texts. A parameter that is not named may have been ignored all the same.
    """
    usable = [response for response in responses if response.missing is None]
    limit, stops = decoding.max_tokens, decoding.stop or ()
    longest = max((response.usage.output_tokens or 0 for response in responses), default=0)
    ignored = {
        "top_logprobs": decoding.top_logprobs is not None
        and bool(usable)
        and not any(response.logprobs for response in usable),
        "max_tokens": limit is not None and longest > limit,
        "stop": any(_went_past(stop, r.text) for r in usable for stop in stops),
        "seed": decoding.seed is not None and len({response.text for response in usable}) > 1,
    }
    return tuple(sorted(name for name, found in ignored.items() if found))


def may_be_seen_ignored(decoding: Decoding) -> bool:
    """Whether anything is set that :func:`ignored_parameters` looks for."""
    wanted = (decoding.top_logprobs, decoding.max_tokens, decoding.seed, decoding.stop)
    return any(value is not None for value in wanted)


def _went_past(stop: str, text: str) -> bool:
    # Some servers leave the sequence at the end of the text.
    _, found, after = text.partition(stop) if stop else (text, "", "")
    return bool(found and after.strip())


def served_another(asked: str, served: str | None) -> bool:
    """Whether the served model is another than the asked one.

    A dated snapshot of the asked name, and a name with or without its vendor's prefix, are the
    same model. None (the provider does not say) is no difference.
    """
    if served is None:
        return False
    return _plain(asked) != _plain(served)


def _plain(name: str) -> str:
    last = name.lower().rstrip("/").rsplit("/", 1)[-1]
    return _DATED.sub("", last.removesuffix(":free"))


def _key(name: str) -> str:
    lower = name.lower()
    return _WIRE_NAMES.get(lower, lower)


def _mentioned(text: str, sent: dict[str, str]) -> tuple[str, ...]:
    words = _NAME.findall(text)
    if len(words) > 1:
        words = [word for word in words if word.lower() not in ("stop", "seed", "system")]
        words += [next(filter(None, found)) for found in _ORDINARY.findall(text)]
    named = {_key(word) for word in words}
    return tuple(sorted(shown for name, shown in sent.items() if name in named))


def _names(extra: dict[str, Any]) -> list[str]:
    inner = [_names(value) for value in extra.values() if isinstance(value, dict)]
    return [*extra, *(name for names in inner for name in names)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
