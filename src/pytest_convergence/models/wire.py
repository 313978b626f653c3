"""The wire: what is sent and what comes back, without a key in either."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import httpx

    from pytest_convergence.models.decoding import Decoding
    from pytest_convergence.models.messages import Prompt
    from pytest_convergence.models.response import Response


class WireRequest(NamedTuple):
    """One request as it is kept: no key, no header that carries one.

    Two requests are the same question exactly when they are equal. ``body`` is canonical JSON
    (see :func:`canonical_json`); it is sent as it stands. A tuple, because a replay looks up every
    answer by its request: hashed and compared in a tenth of a dataclass's time.
    """

    method: str
    url: str
    body: str


class WireResponse(NamedTuple):
    """One answer as it is kept: status, allow-listed headers in lower case, decoded body."""

    status: int
    headers: Mapping[str, str]
    body: str


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and ASCII only, so that equal values are equal strings."""
    return _CANONICAL.encode(value)


class Adapter(Protocol):
    """One wire format. Stateless and pure: it builds requests and reads answers, nothing else.

    An adapter that has ``verbatim = True`` says that a prompt which is one text stands in the body
    as one JSON string and that nothing else in the request depends on it: the requests of a
    thousand prompts are then made of one.
    """

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        """The request for one sample; raises SettingsError for what the format cannot express."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers added when sending; the only place a key is put."""
        ...

    def parse(self, response: WireResponse) -> Response:
        """The answer read. Never raises: what cannot be read is missing with its reason."""
        ...


@dataclass(frozen=True)
class Model:
    """One member of a panel.

    ``name`` (``provider/model`` as the user wrote it, without a base URL) is its identity in
    cassettes, results and baselines. ``key`` is the API key, never shown and never written.
    ``transport`` makes what answers in place of the network, for simulated models and callables;
    only who samples asks for it.
    """

    name: str
    provider: str
    model: str
    base_url: str
    adapter: Adapter
    key: str | None = field(default=None, repr=False, compare=False)
    key_variable: str | None = None
    decoding: Decoding | None = None
    transport: Callable[[], httpx.AsyncBaseTransport] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def simulated(self) -> bool:
        """Whether its answers are made up by a simulation; said wherever they show."""
        return self.provider == "sim"
