"""How a function is called: its arguments, its thread, and what it may return."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from msgspec import Struct

from pytest_convergence.models.context import sample_index
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.response import Response

_FIELDS = set(Response.__struct_fields__)


class Call(Struct, frozen=True):
    """A function and what it accepts."""

    function: Callable[..., Any]
    takes_messages: bool
    takes_decoding: bool
    takes_sample: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Call:
        """What the function's signature says; without one it gets the prompt alone."""
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return cls(function, False, False, False)
        anything = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
        named = {item.name for item in parameters.values() if item.kind is not item.POSITIONAL_ONLY}
        decoding, sample = (anything or name in named for name in ("decoding", "sample"))
        first = next(iter(parameters), "")
        return cls(function, decoding or sample or first == "messages", decoding, sample)

    async def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call the function with what a request's body says; the answer in JSON types."""
        prompt: Any = body["messages"]
        if not self.takes_messages and len(prompt) == 1 and prompt[0]["role"] == "user":
            prompt = prompt[0]["content"]
        keywords: dict[str, Any] = {}
        if self.takes_decoding:
            values = body.get("decoding", {})
            keywords["decoding"] = Decoding.from_mapping(values, where="a callable's request")
        if self.takes_sample:
            keywords["sample"] = sample_index.get()
        return answer_as_json(await self._called(prompt, keywords))

    async def _called(self, prompt: Any, keywords: dict[str, Any]) -> Any:
        function = self.function
        own = type(function).__call__
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(own):
            return await function(prompt, **keywords)
        import anyio.to_thread  # a replay calls nothing

        # How many run at once is the sampler's affair, and one that hangs is left behind.
        value = await anyio.to_thread.run_sync(
            lambda: function(prompt, **keywords),
            abandon_on_cancel=True,
            limiter=anyio.CapacityLimiter(math.inf),
        )
        return await value if inspect.isawaitable(value) else value


def answer_as_json(answer: Any) -> dict[str, Any]:
    """What a function returned, in JSON types.

    Raises
    ------
    TypeError
        Where it is neither a text, nor a Response, nor a mapping with ``text`` and otherwise
        only fields of a Response.
    """
    if isinstance(answer, str):
        return {"text": answer}
    if isinstance(answer, Response):
        default = Response(text="")
        values = {name: getattr(answer, name) for name in Response.__struct_fields__}
        return {"text": answer.text} | {
            name: _in_json_types(value)
            for name, value in values.items()
            if value != getattr(default, name)
        }
    if not isinstance(answer, Mapping):
        raise TypeError(f"the function returned {type(answer).__name__}, not a text or a Response")
    unknown = sorted(str(name) for name in answer if name not in _FIELDS)
    if unknown or not isinstance(answer.get("text"), str):
        problem = f"has the unknown field {unknown[0]!r}" if unknown else "has no text"
        raise TypeError(f"the function returned a mapping that {problem}")
    return {name: _in_json_types(value) for name, value in answer.items()}


def _in_json_types(value: Any) -> Any:
    """Structs and dataclasses as objects; the rest as it is, to be refused where it is written."""
    if isinstance(value, Struct):
        return {name: _in_json_types(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_in_json_types(one) for one in value]
    return value
