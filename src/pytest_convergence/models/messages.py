"""Prompts: one text, or a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pytest_convergence.errors import SettingsError

Message: TypeAlias = Mapping[str, str]
Prompt: TypeAlias = str | Sequence[Message]

_ROLES = ("system", "user", "assistant")


def as_messages(prompt: Prompt) -> tuple[dict[str, str], ...]:
    """The prompt as a tuple of ``{"role", "content"}``; a plain text is one user message.

    Raises
    ------
    SettingsError
        Where a message lacks a role or a content, or its role is not system, user or assistant.
    """
    if isinstance(prompt, str):
        return ({"role": "user", "content": prompt},)
    messages = []
    for position, message in enumerate(prompt):
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES or not isinstance(content, str):
            raise SettingsError(
                f"message {position} of a prompt is not usable: {dict(message)!r}",
                details=[f"role must be one of {', '.join(_ROLES)}; content must be a string"],
                fix=['write {"role": "user", "content": "…"}'],
            )
        messages.append({"role": role, "content": content})
    if not messages:
        raise SettingsError("a prompt has no messages", fix=["give it at least one message"])
    return tuple(messages)


def prompt_text(prompt: Prompt) -> str:
    """The prompt as one text for people to read and for files to be joined by."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{message['role']}: {message['content']}" for message in as_messages(prompt))
