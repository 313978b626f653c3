"""What a model needs to know about the call it answers, and the wire never carries."""

from __future__ import annotations

from contextvars import ContextVar

sample_index: ContextVar[int] = ContextVar("sample_index", default=0)
"""Which of the n samples of a unit is being drawn, from 0. The sampler sets it."""
