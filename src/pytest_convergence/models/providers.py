"""The providers known by name: where they are, which key they take, which format they speak."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.wire import Adapter

Form: TypeAlias = Literal["openai", "anthropic", "gemini"]


class Provider(Struct, frozen=True):
    """One provider.

    Parameters
    ----------
    base_url
        Where it is unless the spec says otherwise; never read from the environment, so that a
        recording is found on every machine.
    key_variables
        The environment variables that may hold its key; the first that is set counts.
    key_needed
        Whether its default address answers without a key.
    path
        Put behind a base URL that has no path.
    """

    name: str
    base_url: str
    key_variables: tuple[str, ...]
    key_needed: bool = True
    form: Form = "openai"
    max_tokens_name: str = "max_tokens"
    path: str = "/v1"

    @property
    def adapter(self) -> Adapter:
        """The adapter of its wire format."""
        if self.form == "anthropic":
            from pytest_convergence.models.anthropic import AnthropicAdapter

            return AnthropicAdapter(provider=self.name)
        if self.form == "gemini":
            from pytest_convergence.models.gemini import GeminiAdapter

            return GeminiAdapter(provider=self.name)
        return OpenAIAdapter(provider=self.name, max_tokens_name=self.max_tokens_name)


def _local(name: str, port: int) -> Provider:
    variable = f"{name.upper()}_API_KEY"
    return Provider(name, f"http://127.0.0.1:{port}/v1", (variable,), key_needed=False)


_KNOWN = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        max_tokens_name="max_completion_tokens",
    ),
    Provider("anthropic", "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",), form="anthropic"),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        form="gemini",
        path="/v1beta",
    ),
    Provider("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), path="/api/v1"),
    Provider("cerebras", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",)),
    Provider("deepseek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",)),
    Provider("fireworks", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",)),
    Provider("groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    Provider(
        "huggingface", "https://router.huggingface.co/v1", ("HF_TOKEN", "HUGGINGFACE_API_KEY")
    ),
    Provider("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
    Provider("nvidia", "https://integrate.api.nvidia.com/v1", ("NVIDIA_API_KEY",)),
    Provider("together", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
    Provider("xai", "https://api.x.ai/v1", ("XAI_API_KEY",)),
    _local("litellm", 4000),
    _local("llamacpp", 8080),
    _local("lmstudio", 1234),
    _local("ollama", 11434),
    _local("sglang", 30000),
    _local("vllm", 8000),
)

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in _KNOWN}
