"""Embeddings by a server that speaks OpenAI's ``/v1/embeddings``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.secrets import redact
from pytest_convergence.represent.engines.texts import readable

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

_BATCH = 32
_ATTEMPTS = 6
_TIMEOUT = 120.0
_LONGEST_WAIT = 60.0
# Servers refuse texts beyond their limit of tokens, and only they can count those.
_LONGEST_TEXT = 32_000
_SHORTEST_CUT = 500


@dataclass(frozen=True)
class EndpointEmbedder:
    """A model behind an OpenAI-compatible endpoint. The key is never shown and never written.

    Parameters
    ----------
    name
        Under which its vectors are kept.
    model, base_url
        What is asked for, and where: ``https://api.openai.com/v1``.
    key
        Sent as a bearer token where given.
    wait
        Seconds before an attempt, given its number from 1; a ``Retry-After`` header goes before.
    """

    name: str
    model: str
    base_url: str
    key: str | None = field(default=None, repr=False)
    wait: Callable[[int], float] = field(default=lambda attempt: 0.5 * 2.0**attempt, repr=False)

    @cached_property
    def revision(self) -> str:
        """The model that the server says it is; it pins the weights no further than the server."""
        return self._ask(["revision"])[1]

    @property
    def engine(self) -> str:
        """The wire format; what computes behind it, a server does not say."""
        return "openai /embeddings"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), d).

        Raises
        ------
        RepresentationError
            Where the server gives no usable answer after retries, or changes its model.
        """
        cut = [readable(text)[:_LONGEST_TEXT] for text in texts]
        rows: list[Any] = []
        for start in range(0, len(cut), _BATCH):
            rows += self._batch(cut[start : start + _BATCH])
        try:
            vectors = np.array(rows, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise self._failed("its vectors differ in length, or are no numbers") from error
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)

    def close(self) -> None:
        """Close the connection; it is opened anew when it is needed."""
        if "_client" in self.__dict__:
            self.__dict__.pop("_client").close()

    def _batch(self, texts: Sequence[str]) -> list[Any]:
        try:
            rows, model = self._ask(texts)
        except _TooLong:
            if len(texts) > 1:
                return [row for text in texts for row in self._batch([text])]
            return self._batch([texts[0][: len(texts[0]) // 2]])
        if model != self.revision:
            raise self._failed(f"it answered as {model}, and before as {self.revision}")
        return rows

    def _ask(self, texts: Sequence[str]) -> tuple[list[Any], str]:
        response = self._response({"model": self.model, "input": list(texts)})
        if response.status_code in (400, 413, 422) and max(map(len, texts)) >= _SHORTEST_CUT:
            raise _TooLong
        if response.status_code != 200:
            raise self._failed(f"HTTP {response.status_code}: {response.text[:500]}")
        try:
            answer = response.json()
            data = sorted(answer["data"], key=lambda item: int(item["index"]))
            rows = [item["embedding"] for item in data]
            model = str(answer.get("model") or self.model)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failed(f"no embeddings in its answer: {response.text[:500]}") from error
        if [item["index"] for item in data] != list(range(len(texts))):
            raise self._failed(f"{len(rows)} vectors came for {len(texts)} texts")
        return rows, model

    def _response(self, body: dict[str, Any]) -> httpx.Response:
        """The last response, after retries of what may pass: no connection, 408, 429, 5xx."""
        import httpx
        from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result
        from tenacity.stop import stop_after_attempt

        def passing(response: httpx.Response) -> bool:
            return response.status_code in (408, 409, 429) or response.status_code >= 500

        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._pause,
            retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(passing),
        )
        url = f"{self.base_url}/embeddings"
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            return retrying(self._client.post, url, json=body, headers=headers)
        except RetryError as error:
            last = error.last_attempt
            if last.exception() is not None:
                raise self._failed(
                    f"{type(last.exception()).__name__}: {last.exception()}"
                ) from None
            response: httpx.Response = last.result()
            return response
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from None

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(timeout=_TIMEOUT)

    def _pause(self, state: RetryCallState) -> float:
        from pytest_convergence.sampling.headers import pause_asked

        asked = 0.0
        if state.outcome is not None and not state.outcome.failed:
            asked = pause_asked(state.outcome.result().headers)
        return min(asked or self.wait(state.attempt_number), _LONGEST_WAIT)

    def _failed(self, problem: str) -> RepresentationError:
        return RepresentationError(
            f"no embeddings from {self.name} at {self.base_url}",
            details=[redact(problem, self.key)],
            fix=["check the address, the model's name and the key, and run again"],
        )


class _TooLong(Exception):
    """The server refused a request that may hold a text beyond its limit."""
