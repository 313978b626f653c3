from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from pytest_convergence.errors import SamplingError, SettingsError
from pytest_convergence.models.anthropic import AnthropicAdapter
from pytest_convergence.models.callables import callable_model
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.gemini import GeminiAdapter
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.providers import PROVIDERS
from pytest_convergence.models.specs import ModelSpec, parse, require_key, resolve
from pytest_convergence.models.wire import Model


def model(spec: str, **environ: str) -> Model:
    return resolve(spec, environ=environ, custom={})


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("openai/gpt-4o", ModelSpec("openai", "gpt-4o")),
        ("OpenAI/gpt-4o", ModelSpec("openai", "gpt-4o")),
        (" openrouter/meta/llama-3.1:free ", ModelSpec("openrouter", "meta/llama-3.1:free")),
        ("ollama/llama3:8b-q4", ModelSpec("ollama", "llama3:8b-q4")),
        ("together/x@20250101", ModelSpec("together", "x@20250101")),
        (
            "vllm/org/m@v2@http://10.0.0.3:8000/v1/",
            ModelSpec("vllm", "org/m@v2", "http://10.0.0.3:8000/v1"),
        ),
        ("my.lab/m@HTTPS://Host.Example", ModelSpec("my.lab", "m", "https://Host.Example")),
    ],
)
def test_a_spec_is_taken_apart(spec: str, parts: ModelSpec) -> None:
    assert parse(spec) == parts


@pytest.mark.parametrize(
    "spec",
    ["", "gpt-4o", "/gpt", "openai/", "open ai/gpt", "openai/a b", "openai/a\x1b[2J", "-x/y",
     "openai/m@http://a@http://b", "openai/m@ftp://host", "openai/m\u202e"],
)  # fmt: skip
def test_a_spec_of_another_form_is_an_error_that_shows_the_form(spec: str) -> None:
    with pytest.raises(SettingsError, match="is not provider/model") as raised:
        parse(spec)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter22@host/v1", "https://host/v1?key=hunter22", "https://host/#hunter22",
     "http://", "http://host:99999999/v1", "http://[::1/v1"],
)  # fmt: skip
def test_a_base_url_that_cannot_be_kept_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"the base URL of openai/m cannot be used") as raised:
        parse(f"openai/m@{url}")
    assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "url", "adapter"),
    [
        ("openai/m", "https://api.openai.com/v1",
         OpenAIAdapter("openai", "max_completion_tokens")),
        ("openrouter/a/m", "https://openrouter.ai/api/v1", OpenAIAdapter("openrouter")),
        ("anthropic/m", "https://api.anthropic.com/v1", AnthropicAdapter()),
        ("gemini/m", "https://generativelanguage.googleapis.com/v1beta", GeminiAdapter()),
        ("ollama/m", "http://127.0.0.1:11434/v1", OpenAIAdapter("ollama")),
        ("vllm/m@http://gpu:9000", "http://gpu:9000/v1", OpenAIAdapter("vllm")),
        ("gemini/m@https://proxy", "https://proxy/v1beta", GeminiAdapter()),
        ("lab/m@https://host/api", "https://host/api", OpenAIAdapter("lab")),
    ],
)  # fmt: skip
def test_a_spec_becomes_a_model(spec: str, url: str, adapter: object) -> None:
    found = model(spec)
    assert (found.base_url, found.adapter) == (url, adapter)
    assert found.name == spec.partition("@")[0]
    assert found.transport is None


def test_the_environment_never_changes_where_a_model_is() -> None:
    urls = {"OPENAI_BASE_URL": "http://elsewhere/v1", "OLLAMA_HOST": "elsewhere"}
    assert model("openai/m", **urls).base_url == "https://api.openai.com/v1"
    assert model("ollama/m", **urls).base_url == "http://127.0.0.1:11434/v1"


def test_the_closest_provider_is_suggested() -> None:
    with pytest.raises(SettingsError, match="unknown provider 'antropic'") as raised:
        model("antropic/claude")
    assert "did you mean anthropic/claude?" in str(raised.value)
    assert "antropic/claude@https://host/v1" in str(raised.value)


def test_a_bare_model_name_gets_a_whole_spec_suggested() -> None:
    with pytest.raises(SettingsError) as raised:
        model("gpt-4o")
    assert "did you mean openai/gpt-4o?" in str(raised.value)


def test_keys_come_from_the_usual_variables_and_are_stripped() -> None:
    assert model("openai/m", OPENAI_API_KEY=" sk-1\n").key == "sk-1"
    assert model("gemini/m", GOOGLE_API_KEY="g2").key == "g2"
    assert model("gemini/m", GEMINI_API_KEY="g1", GOOGLE_API_KEY="g2").key == "g1"
    assert model("my-lab/m@http://h", MY_LAB_API_KEY="k").key == "k"


def test_a_missing_key_is_an_error_only_when_it_is_asked_for() -> None:
    found = model("anthropic/m", ANTHROPIC_API_KEY="  ")
    assert found.key is None
    with pytest.raises(SamplingError, match="ANTHROPIC_API_KEY is not set"):
        require_key(found)


@pytest.mark.parametrize(
    "spec", ["ollama/m", "vllm/m", "lab/m@http://h", "openai/m@http://127.0.0.1:8000/v1"]
)
def test_a_server_of_one_s_own_needs_no_key_and_gets_one_that_is_set(spec: str) -> None:
    assert require_key(model(spec)) is None
    variable = spec.partition("/")[0].upper() + "_API_KEY"
    assert require_key(model(spec, **{variable: "k1"})) == "k1"


@pytest.mark.parametrize("key", ["sk-hunter22 more", "sk-hunter22\r\nX: y", "sk-hunter22é"])
def test_a_key_that_no_header_carries_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(SamplingError, match="OPENAI_API_KEY cannot be sent") as raised:
        require_key(model("openai/m", OPENAI_API_KEY=key))
    assert "hunter22" not in str(raised.value)


def test_a_key_is_not_in_a_model_s_representation() -> None:
    assert "sk-hunter22" not in repr(model("openai/m", OPENAI_API_KEY="sk-hunter22"))


def test_custom_models_come_first_and_are_suggested() -> None:
    mine = callable_model("team/agent", str.upper, version="1")
    custom: Mapping[str, Model] = {"team/agent": mine}
    assert resolve("team/agent", environ={}, custom=custom) is mine
    with pytest.raises(SettingsError) as raised:
        resolve("team/agnt", environ={}, custom=custom)
    assert "did you mean team/agent?" in str(raised.value)


def test_decoding_of_one_model_goes_over_the_custom_one_s_own() -> None:
    found = resolve(
        "openai/m", environ={}, custom={}, decoding=Decoding(temperature=0.5, max_tokens=9)
    )
    assert found.decoding == Decoding(temperature=0.5, max_tokens=9)
    again = resolve(
        "openai/m", environ={}, custom={"openai/m": found}, decoding=Decoding(temperature=1.0)
    )
    assert again.decoding == Decoding(temperature=1.0, max_tokens=9)


def test_a_simulated_model_is_found_and_takes_no_address() -> None:
    with pytest.raises(SettingsError, match="takes no base URL"):
        model("sim/fair@http://host")


def test_every_provider_has_an_https_or_loopback_address_and_a_key_variable() -> None:
    for provider in PROVIDERS.values():
        assert provider.base_url.startswith(("https://", "http://127.0.0.1:"))
        assert provider.key_needed == provider.base_url.startswith("https://")
        assert all(variable.isupper() for variable in provider.key_variables)


def test_resolving_a_spec_loads_neither_httpx_nor_asyncio() -> None:
    code = (
        "import sys; from pytest_convergence.models.specs import resolve;"
        "resolve('openai/m', environ={}, custom={});"
        "print([m for m in ('httpx', 'asyncio', 'vcr', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
