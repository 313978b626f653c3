"""Which tests may ask models for what collection cannot know."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_convergence.collect import cases_of

_FIXTURES = ("models", "convergence_models", "convergence")
_PACKAGE = __name__.partition(".")[0]
# What a panel is asked for without sampling anything but the declared prompts.
_HARMLESS = ("names", "samples", "results", "declaration")


def samples_as_it_runs(item: pytest.Item) -> bool:
    """Whether a test samples prompts of its own in its body, as far as that shows."""
    function = getattr(item, "function", None)
    if function is None:
        return False
    try:
        return not cases_of(item) or "sample(" in inspect.getsource(function)
    except (OSError, TypeError):
        return True


def may_sample(item: pytest.Item) -> bool:
    """Whether a test might sample prompts of its own, be it in a helper or a fixture.

    It might, unless all that it does with the panel is to hand it to assertions of this package
    and to read its names, its samples and its results.
    """
    function = getattr(item, "function", None)
    if function is None:
        return False
    if samples_as_it_runs(item) or _fixtures_hold_panel(item):
        return True
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    named = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return any(
        node.id in _FIXTURES and not _harmless(node, parents, function.__globals__)
        for node in named
    )


def _harmless(node: ast.Name, parents: dict[ast.AST, ast.AST], names: dict[str, Any]) -> bool:
    parent = parents[node]
    if isinstance(parent, ast.Attribute):
        return parent.attr in _HARMLESS
    if isinstance(parent, ast.keyword):
        parent = parents[parent]
    return isinstance(parent, ast.Call) and _is_ours(parent.func, names)


def _is_ours(function: ast.expr, names: dict[str, Any]) -> bool:
    """Whether what is called is of this package, by its name or through the module."""
    path = list(_path(function))
    value = names.get(path[0]) if path else None
    for name in path[1:]:
        value = getattr(value, name, None)
    module = getattr(value, "__module__", None) or ""
    return callable(value) and module.partition(".")[0] == _PACKAGE


def _path(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.Attribute):
        yield from _path(function.value)
        yield function.attr
    elif isinstance(function, ast.Name):
        yield function.id


def _fixtures_hold_panel(item: pytest.Item) -> bool:
    """Whether a fixture of the user's is handed the panel."""
    information: Any = getattr(item, "_fixtureinfo", None)
    definitions = getattr(information, "name2fixturedefs", {}).values()
    return any(
        set(_FIXTURES).intersection(definition.argnames)
        for found in definitions
        for definition in found
        if getattr(definition.func, "__module__", "").partition(".")[0] != _PACKAGE
    )
