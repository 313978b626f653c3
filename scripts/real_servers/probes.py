"""What is asked of a server through the adapters, and what must come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import tiny_model

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.fidelity import ignored_parameters, rejected_parameters
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.response import Response
from pytest_convergence.models.secrets import kept_headers
from pytest_convergence.models.specs import require_key, resolve
from pytest_convergence.models.wire import WireResponse
from servers import Running

PROMPT = "What is the capital of France?"


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    probe: str
    good: bool
    told: str


@dataclass
class Asker:
    """Asks a server through the adapters, and keeps what went over the wire."""

    server: Running
    traffic: list[dict[str, Any]] = field(default_factory=list)

    def ask(
        self,
        spec: str,
        *,
        name: str = "",
        prompt: Prompt = PROMPT,
        path: str = "/v1",
        key: str | None = None,
        **decoding: Any,
    ) -> tuple[Response, WireResponse]:
        """One sample of ``provider/model``; kept for the tests where it has a name."""
        provider = spec.partition("/")[0]
        model = resolve(
            f"{spec}@{self.server.url}{path}",
            environ={f"{provider.upper()}_API_KEY": key or self.server.key},
            custom={},
        )
        request = model.adapter.request(
            model=model.model,
            base_url=model.base_url,
            prompt=prompt,
            decoding=Decoding.from_mapping(decoding, where="a probe"),
        )
        headers = {"content-type": "application/json"} | model.adapter.headers(require_key(model))
        answer = httpx.request(
            request.method, request.url, content=request.body, headers=headers, timeout=60
        )
        wire = WireResponse(answer.status_code, kept_headers(dict(answer.headers)), answer.text)
        if name:
            self.traffic.append(
                {
                    "name": name,
                    "spec": spec,
                    "prompt": prompt,
                    "decoding": decoding,
                    "request": {
                        "path": request.url.removeprefix(self.server.url),
                        "body": request.body,
                    },
                    "response": {
                        "status": wire.status,
                        "headers": dict(wire.headers),
                        "body": wire.body,
                    },
                }
            )
        return model.adapter.parse(wire), wire

    def choices(self, model: str) -> list[str]:
        """The texts that come back for ``n=3``, which an adapter would never send."""
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "n": 3}
        headers = {"Authorization": f"Bearer {self.server.key}"}
        url = f"{self.server.url}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers=headers, timeout=60).json()
        return [choice["message"]["content"] for choice in answer.get("choices", [])]


def _kind(response: Response) -> str:
    return "usable" if response.missing is None else response.missing.kind


def _reason(response: Response) -> str:
    return response.missing.reason if response.missing is not None else ""


def answer(asker: Asker, spec: str) -> Iterator[Finding]:
    """A plain answer with its usage, date and served model."""
    response, _ = asker.ask(spec, name="answer", max_tokens=30, seed=1)
    usage = response.usage
    yield Finding("text", _kind(response) == "usable", repr(response.text))
    yield Finding("finish", response.finish == "stop", response.finish)
    counted = bool(usage.input_tokens and usage.output_tokens)
    yield Finding("usage", counted, f"{usage.input_tokens} in, {usage.output_tokens} out")
    told = f"{response.served_model}, {response.system_fingerprint}, {response.date}"
    yield Finding("served model, fingerprint, date", response.date is not None, told)


def chances(asker: Asker, spec: str, **extra: Any) -> Iterator[Finding]:
    """The distribution of the answers' first word, against the model's own.

    Everything a server would sharpen it with by default is turned off.
    """
    known = tiny_model.transitions()[tiny_model.BEGIN]
    plain: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 30, "extra": extra}
    firsts = [asker.ask(spec, **plain)[0].text.split()[0] for _ in range(60)]
    shares = {word: firsts.count(word) / len(firsts) for word in known}
    # Four standard errors of a share.
    good = all(abs(shares[w] - p) < 4 * math.sqrt(p * (1 - p) / 60) for w, p in known.items())
    told = ", ".join(f"{word} {shares[word]:.2f} for {p:.2f}" for word, p in sorted(known.items()))
    yield Finding("60 samples follow the model", good, told)


def logprobs(asker: Asker, spec: str, offered: bool) -> Iterator[Finding]:
    """Log-probabilities, known exactly; or that they were ignored, and said so."""
    response, _ = asker.ask(spec, name="logprobs", top_logprobs=2, max_tokens=30, seed=1)
    ignored = ignored_parameters(Decoding(top_logprobs=2), [response])
    if not offered:
        yield Finding("logprobs ignored, and reported", ignored == ("top_logprobs",), str(ignored))
        return
    first = response.logprobs[0]
    known = tiny_model.transitions()[tiny_model.BEGIN][first.token.strip()]
    good = math.isclose(first.logprob, math.log(known), abs_tol=1e-3)
    told = f"{first.token.strip()}: {first.logprob:.4f}, true {math.log(known):.4f}"
    yield Finding("logprobs are the model's", good and not ignored, told)


def seeds(asker: Asker, spec: str, honoured: bool) -> Iterator[Finding]:
    """Whether one seed gives one text and several give several."""
    same = [asker.ask(spec, seed=7, max_tokens=30)[0] for _ in range(6)]
    other = {asker.ask(spec, seed=seed, max_tokens=30)[0].text for seed in range(12)}
    seen = not ignored_parameters(Decoding(seed=7), same)
    told = f"{len({r.text for r in same})} text of 6 with one seed, {len(other)} of 12 with twelve"
    yield Finding("seed " + ("honoured" if honoured else "ignored"), seen == honoured, told)


def limits(asker: Asker, spec: str) -> Iterator[Finding]:
    """Truncation, a stop sequence, and the two together with the system prompt."""
    cut, _ = asker.ask(spec, name="cut", max_tokens=1, seed=1)
    good = (cut.finish, _kind(cut)) == ("length", "truncated")
    yield Finding("max_tokens=1 is truncated", good, f"{cut.text!r}: {_reason(cut)}")
    stops = ("is", "help", "that")
    stopped, _ = asker.ask(spec, name="stop", stop=stops, system="Be brief.", max_tokens=30)
    good = _kind(stopped) == "usable" and not ignored_parameters(Decoding(stop=stops), [stopped])
    yield Finding("stop sequence", good, repr(stopped.text) + _reason(stopped))


def wrong_key(asker: Asker, spec: str, statuses: tuple[int, ...] = (401,)) -> Iterator[Finding]:
    """A key the server does not know, which must not be quoted back."""
    secret = "sk-wrong-0123456789abcdef"
    response, wire = asker.ask(spec, name="wrong key", key=secret)
    good = wire.status in statuses and _kind(response) == "error"
    good = good and secret not in _reason(response)
    yield Finding(f"wrong key: HTTP {wire.status}", good, _reason(response))


def rejected(asker: Asker, spec: str, named: bool) -> Iterator[Finding]:
    """A parameter of the wrong kind, which the server's words name or do not."""
    extra = {"temperature": "hot"}
    response, wire = asker.ask(spec, name="rejected", extra=extra)
    found = rejected_parameters(Decoding(extra=tuple(extra.items())), wire)
    good = _kind(response) == "error" and bool(found) == named
    told = f"{found}: {_reason(response)}"
    yield Finding(f"temperature='hot': HTTP {wire.status}", good, told)


def hostile(asker: Asker, spec: str) -> Iterator[Finding]:
    """A prompt with control characters arrives; one with half a character is not sent."""
    response, wire = asker.ask(spec, prompt="a\x1b[2J\x00\u202e\U0001f600", max_tokens=5)
    good = _kind(response) in ("usable", "truncated")
    yield Finding(f"hostile prompt: HTTP {wire.status}", good, _reason(response) or response.text)
    try:
        asker.ask(spec, prompt="a\ud800")
    except SettingsError as problem:
        yield Finding("a lone surrogate is not sent", True, problem.headline)
    else:
        yield Finding("a lone surrogate is not sent", False, "it was")


def several(asker: Asker, model: str) -> Iterator[Finding]:
    """What ``n=3`` gives: why every sample is a request of its own."""
    texts = asker.choices(model)
    faked = len(texts) < 3 or len(set(texts)) == 1
    yield Finding("n=3 is no three samples", faked, f"{len(texts)} choices: {texts}")


def errors(
    asker: Asker, spec: str, expected: Mapping[str, tuple[int, str]], path: str = "/v1"
) -> Iterator[Finding]:
    """Models that answer with an error: status and kind as they must be."""
    provider = spec.partition("/")[0]
    for model, (status, kind) in expected.items():
        response, wire = asker.ask(f"{provider}/{model}", name=f"{provider} {model}", path=path)
        good = (wire.status, _kind(response)) == (status, kind)
        yield Finding(f"{provider} format, {model}: HTTP {wire.status}", good, _reason(response))


def other_form(asker: Asker, spec: str, path: str) -> Iterator[Finding]:
    """A plain answer in another format."""
    response, _ = asker.ask(spec, name=f"{spec.partition('/')[0]} answer", path=path, max_tokens=9)
    told = f"{response.text!r}, {response.finish}, {response.usage.output_tokens} out"
    good = _kind(response) == "usable" and bool(response.usage.output_tokens)
    yield Finding(f"{spec.partition('/')[0]} format", good, told)


def unsupported(asker: Asker, spec: str) -> Iterator[Finding]:
    """A parameter that the provider behind a router does not take."""
    decoding = Decoding(seed=1)
    response, wire = asker.ask(spec, name="unsupported", seed=1)
    named = rejected_parameters(decoding, wire)
    yield Finding("unsupported seed is named", named == ("seed",), f"{named}: {_reason(response)}")


def cost(asker: Asker, spec: str) -> Iterator[Finding]:
    """The router's price of a call."""
    response, _ = asker.ask(spec, name="cost")
    yield Finding("cost", bool(response.usage.cost), f"${response.usage.cost}")


def of_llama(asker: Asker) -> Iterator[Finding]:
    """Everything llama-cpp-python is asked."""
    spec = "llamacpp/tiny"
    yield from answer(asker, spec)
    yield from chances(asker, spec, top_k=0, min_p=0)
    yield from logprobs(asker, spec, offered=True)
    yield from seeds(asker, spec, honoured=True)
    yield from limits(asker, spec)
    yield from wrong_key(asker, spec)
    yield from rejected(asker, spec, named=True)
    yield from hostile(asker, spec)
    yield from several(asker, "tiny")


def of_transformers(asker: Asker) -> Iterator[Finding]:
    """Everything transformers serve is asked."""
    spec = "transformers/tiny"
    yield from answer(asker, spec)
    yield from chances(asker, spec)
    yield from logprobs(asker, spec, offered=False)
    yield from seeds(asker, spec, honoured=True)
    yield from limits(asker, spec)
    yield from rejected(asker, spec, named=False)
    yield from hostile(asker, spec)
    yield from several(asker, "tiny")


def of_litellm(asker: Asker) -> Iterator[Finding]:
    """Everything the litellm proxy is asked, in all three formats."""
    failing = {"limited": (429, "error"), "broken": (500, "error")}
    yield from answer(asker, "litellm/fine")
    yield from cost(asker, "litellm/fine")
    yield from errors(asker, "litellm/fine", failing | {"window": (400, "error")})
    yield from errors(asker, "litellm/fine", {"nobody": (400, "error")})
    yield from unsupported(asker, "litellm/claude")
    yield from other_form(asker, "anthropic/claude", "/v1")
    yield from errors(asker, "anthropic/claude", failing)
    yield from other_form(asker, "gemini/gemini", "/v1beta")
    # Without a database it cannot look a key up.
    yield from wrong_key(asker, "litellm/fine", statuses=(400, 401))
    yield from hostile(asker, "litellm/fine")
    yield from several(asker, "fine")


PROBES: dict[str, Callable[[Asker], Iterator[Finding]]] = {
    "llama-cpp-python": of_llama,
    "transformers": of_transformers,
    "litellm": of_litellm,
}
