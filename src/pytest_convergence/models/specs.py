"""Model specs: ``provider/model`` or ``provider/model@https://base/url``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from urllib.parse import urlsplit

from msgspec import Struct

from pytest_convergence.errors import SamplingError, SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.providers import PROVIDERS, Provider
from pytest_convergence.models.wire import Model

_FORM = "provider/model or provider/model@https://host/v1"
_BASE = re.compile(r"@(?=https?://)", re.IGNORECASE)
_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ModelSpec(Struct, frozen=True):
    """A spec taken apart; ``base_url`` has no slash at its end."""

    provider: str
    model: str
    base_url: str | None = None

    @property
    def name(self) -> str:
        """``provider/model``: the model's identity in recordings, results and baselines."""
        return f"{self.provider}/{self.model}"


def parse(spec: str) -> ModelSpec:
    """The parts of a spec. The provider is in lower case; the model is kept as written.

    Raises
    ------
    SettingsError
        Where the spec is not ``provider/model[@url]``, or its URL is not one that can be used:
        it must name a host, and hold no user, password, query or fragment.
    """
    name, *bases = _BASE.split(spec.strip())
    provider, slash, model = name.partition("/")
    unusable = "://" in name or any(c.isspace() or not c.isprintable() for c in name)
    if not slash or not model or unusable or not _PROVIDER.fullmatch(provider) or len(bases) > 1:
        hint = _closest(name, (f"{known}/{name}" for known in ("openai", "openrouter", "ollama")))
        raise SettingsError(
            f"model spec {_shown(spec)!r} is not {_FORM}",
            fix=[f"did you mean {hint}?"] if hint and not slash else ["write openai/gpt-4o-mini"],
        )
    base_url = _base_url(bases[0], name) if bases else None
    return ModelSpec(provider.lower(), model, base_url)


def resolve(
    spec: str,
    *,
    environ: Mapping[str, str],
    custom: Mapping[str, Model],
    decoding: Decoding | None = None,
) -> Model:
    """The model that a spec names. No key is needed for that: see :func:`require_key`.

    Parameters
    ----------
    spec
        ``provider/model[@https://base/url]``, ``sim/…``, or the name of a custom model.
    environ
        Where keys are looked up, usually ``os.environ``.
    custom
        Models registered by name; they come before all others.
    decoding
        Parameters for this model alone, put over a custom model's own.

    Raises
    ------
    SettingsError
        For a spec that cannot be read, or an unknown provider without a base URL.
    """
    spec = spec.strip()
    model = custom.get(spec)
    if model is None:
        parsed = parse(spec)
        model = custom.get(parsed.name) if parsed.base_url is None else None
        if model is None:
            model = _simulated(parsed) if parsed.provider == "sim" else _remote(parsed, environ)
        if model is None:
            raise _unknown(parsed, custom)
    if decoding is None:
        return model
    own = model.decoding
    return replace(model, decoding=decoding if own is None else own.merged(decoding))


def require_key(model: Model) -> str | None:
    """The key to send for this model, checked just before the first call; a replay needs none.

    Raises
    ------
    SamplingError
        Where the key is missing, or holds a character that no header can carry. The message
        names the variable and never the key.
    """
    if model.key is None:
        if model.key_variable is None:
            return None
        raise SamplingError(
            f"no API key for {model.name}: {model.key_variable} is not set",
            fix=[
                f"export {model.key_variable}=… and run again",
                "or run without --convergence-record: recordings are replayed without a key",
            ],
        )
    if not (model.key.isascii() and model.key.isprintable()) or " " in model.key:
        variable = model.key_variable or "its variable"
        raise SamplingError(
            f"the API key for {model.name} in {variable} cannot be sent in a header",
            details=["it holds a space, a line break or a character outside ASCII"],
            fix=[f"set {variable} to the key alone"],
        )
    return model.key


def _remote(spec: ModelSpec, environ: Mapping[str, str]) -> Model | None:
    provider = PROVIDERS.get(spec.provider)
    if provider is None:
        return None if spec.base_url is None else _unlisted(spec, spec.base_url, environ)
    key, variable = _key(provider.key_variables, environ)
    elsewhere = spec.base_url is not None
    needed = provider.key_needed and not elsewhere
    return Model(
        name=spec.name,
        provider=provider.name,
        model=spec.model,
        base_url=_with_path(spec.base_url, provider) if spec.base_url else provider.base_url,
        adapter=provider.adapter,
        key=key,
        key_variable=variable if key is not None or needed else None,
    )


def _unlisted(spec: ModelSpec, base_url: str, environ: Mapping[str, str]) -> Model:
    variable = re.sub(r"[^A-Z0-9]", "_", spec.provider.upper()) + "_API_KEY"
    provider = Provider(spec.provider, base_url, (variable,), key_needed=False)
    key, _ = _key(provider.key_variables, environ)
    return Model(
        name=spec.name,
        provider=spec.provider,
        model=spec.model,
        base_url=_with_path(base_url, provider),
        adapter=OpenAIAdapter(provider=spec.provider),
        key=key,
        key_variable=variable if key is not None else None,
    )


def _simulated(spec: ModelSpec) -> Model:
    if spec.base_url is not None:
        raise SettingsError(
            f"{spec.name} is simulated and takes no base URL", fix=[f"write {spec.name}"]
        )
    from pytest_convergence.models.simulated import simulated_model

    return simulated_model(spec.name)


def _key(variables: Iterable[str], environ: Mapping[str, str]) -> tuple[str | None, str]:
    """The first key that is set with its variable, or None with the first variable."""
    names = list(variables)
    for name in names:
        if key := environ.get(name, "").strip():
            return key, name
    return None, names[0]


def _with_path(base_url: str, provider: Provider) -> str:
    return base_url if urlsplit(base_url).path else base_url + provider.path


def _base_url(text: str, name: str) -> str:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    usable = usable and not any(c.isspace() or not c.isprintable() for c in text)
    # Not shown where it could hold a secret, and not kept: it is part of every recording.
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"the base URL of {name} cannot be used",
            details=["it must be http(s)://host[:port][/path], without user, query or fragment"],
            fix=["put keys into the provider's environment variable, not into the URL"],
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _unknown(spec: ModelSpec, custom: Mapping[str, Model]) -> SettingsError:
    hint = _closest(spec.name, custom)
    if hint is None and (provider := _closest(spec.provider, [*PROVIDERS, "sim"])):
        hint = f"{provider}/{spec.model}"
    return SettingsError(
        f"unknown provider {spec.provider!r} in the model spec {spec.name!r}",
        details=[f"known: {', '.join(sorted(PROVIDERS))}, sim"]
        + ([f"registered here: {', '.join(sorted(custom))}"] if custom else []),
        fix=([f"did you mean {hint}?"] if hint else [])
        + [f"for an OpenAI-compatible server write {spec.name}@https://host/v1"],
    )


def _closest(name: str, candidates: Iterable[str]) -> str | None:
    found = get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.5)
    return found[0] if found else None


def _shown(spec: str) -> str:
    """The spec without what follows an @, which may hold a secret."""
    return spec if len(spec) < 120 and "@" not in spec else spec.partition("@")[0][:120] + "@…"
