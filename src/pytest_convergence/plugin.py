"""Hooks, options and fixtures; no logic."""
