"""Collected tests become cases and groups. Nothing is sampled here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_convergence.declaration import Case, Declaration, Group, declare
from pytest_convergence.detect import MARKER, is_eval
from pytest_convergence.errors import ConvergenceError, SettingsError

if TYPE_CHECKING:
    from pytest_convergence.settings import Settings

_ParameterSet = type(pytest.param(None))

cases_key = pytest.StashKey[tuple[Case, ...]]()


def marks_of(item: pytest.Item) -> list[Mapping[str, Any]]:
    """The keyword arguments of the item's convergence markers, the closest first.

    Raises
    ------
    SettingsError
        For a marker with positional arguments.
    """
    marks = []
    for mark in item.iter_markers(MARKER):
        if mark.args:
            raise SettingsError(
                f"{item.nodeid}: the convergence marker takes keywords only, not {mark.args!r}",
                fix=['write @pytest.mark.convergence(capability="…", threshold=0.7)'],
            )
        marks.append(mark.kwargs)
    return marks


def attach_cases(items: Sequence[pytest.Function], settings: Settings) -> list[Group]:
    """Give every eval function of one test its cases, and return the groups they make.

    Parameters
    ----------
    items
        What pytest collected from one function: one item, or one for each parametrization.

    Raises
    ------
    SettingsError
        For a marker that cannot be used, or prompts without usable ids.
    """
    evals = [item for item in items if is_eval(item)]
    if not evals:
        return []
    check_prompt_ids(evals[0])
    members: dict[tuple[str, str], list[Case]] = {}
    for item in evals:
        declaration = declare(marks_of(item), settings, where=item.nodeid)
        cases, arm = _cases(item, declaration)
        item.stash[cases_key] = cases
        if declaration.capability:
            item.extra_keyword_matches.add(declaration.capability)
        if cases:
            members.setdefault((declaration.capability, arm), []).extend(cases)
    return list(_groups(evals[0], members))


def _groups(
    function: pytest.Function, members: Mapping[tuple[str, str], list[Case]]
) -> Iterator[Group]:
    base = f"{function.parent.nodeid if function.parent else ''}::{function.originalname}"
    for (capability, arm), cases in members.items():
        parts = [part for part in (capability, arm) if part] if len(members) > 1 else []
        identity = f"{base}[{'-'.join(['group', *parts])}]"
        if any(case.nodeid == identity for case in cases):
            raise SettingsError(
                f"{identity}: a prompt's id makes the node id of the group itself",
                fix=["give that prompt another id than 'group'"],
            )
        yield Group(identity, capability, arm, _collapse(cases), cases[0].declaration)


def _collapse(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Duplicate prompts share a family, so that they count once in every interval."""
    first: dict[str, str] = {}
    collapsed = []
    for case in cases:
        family = case.family
        if family == case.prompt_id:
            family = first.setdefault(_asked(case), family)
        collapsed.append(case if family == case.family else replace(case, family=family))
    return tuple(collapsed)


def _asked(case: Case) -> str:
    """What tells one question from another: the prompt, and the parameters that are put into it."""
    texts = (case.declaration.template, case.declaration.decoding.get("system"))
    filled = any(text is not None and "{" in text for text in texts)
    return repr((case.prompt, case.parameters if filled else ()))


def _cases(item: pytest.Function, declaration: Declaration) -> tuple[tuple[Case, ...], str]:
    """The cases of one item and the id of its arm."""
    callspec = getattr(item, "callspec", None)
    parameters: dict[str, Any] = dict(callspec.params) if callspec else {}
    prompts = next((mark["prompts"] for mark in marks_of(item) if mark.get("prompts")), None)
    if prompts is not None and "prompt" in parameters:
        raise SettingsError(
            f"{item.nodeid}: declares prompts twice, by parametrize and by the marker",
            fix=["keep one of the two"],
        )
    if prompts is not None:
        arm = callspec.id if callspec else ""
        cases = [
            _case(item, declaration, str(name), prompt, {}, parameters, f"{item.nodeid}#{name}")
            for name, prompt in prompts.items()
        ]
        return tuple(cases), arm
    if "prompt" not in parameters:
        return (), ""
    together, prompt_id, arm = split_parameters(item)
    data = {name: value for name, value in parameters.items() if name in together}
    prompt = data.pop("prompt")
    arms = {name: value for name, value in parameters.items() if name not in together}
    return (_case(item, declaration, prompt_id, prompt, data, arms, item.nodeid),), arm


def _case(
    item: pytest.Function,
    declaration: Declaration,
    prompt_id: str,
    prompt: Any,
    data: Mapping[str, Any],
    arms: Mapping[str, Any],
    identity: str,
) -> Case:
    names = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return Case(
        id=identity,
        nodeid=item.nodeid,
        test_file=item.nodeid.split("::", 1)[0],
        test_name=".".join([*names, item.originalname]),
        prompt_id=prompt_id,
        prompt=prompt,
        family=_family(item, prompt_id, data),
        data=dict(data),
        arms=dict(arms),
        declaration=declaration,
    )


def _family(item: pytest.Function, prompt_id: str, data: Mapping[str, Any]) -> str:
    """The marker's family: a parameter's name, a callable over the data, or a name as it is."""
    family = next((mark["family"] for mark in marks_of(item) if mark.get("family")), None)
    if family is None:
        return prompt_id
    if callable(family):
        return str(family(prompt_id, data))
    return str(data.get(family, family))


def split_parameters(item: pytest.Function) -> tuple[set[str], str, str]:
    """Arguments parametrized together with ``prompt``, the prompt's id, and the arm's id.

    Each ``parametrize`` contributes one part to the item's id; the part of the call that holds
    ``prompt`` is the prompt's id, the others joined with ``-`` are the arm.
    """
    callspec = item.callspec
    together = {"prompt"}
    for mark in item.iter_markers("parametrize"):
        names = argument_names(mark)
        if "prompt" in names:
            together = names
    calls: list[set[str]] = []
    grouped = [argument_names(mark) for mark in item.iter_markers("parametrize")]
    for name in callspec.params:
        if calls and name in calls[-1]:
            continue
        calls.append(next((names for names in grouped if name in names), {name}))
    parts = list(callspec._idlist)
    if len(parts) != len(calls):
        # A hidden id or a hook that parametrizes several names at once: the whole id is the
        # prompt's, which is unique if not short.
        return together, callspec.id, ""
    position = next(index for index, names in enumerate(calls) if "prompt" in names)
    others = [part for index, part in enumerate(parts) if index != position]
    return together, parts[position], "-".join(others)


def argument_names(mark: pytest.Mark) -> set[str]:
    """The argument names of one ``parametrize`` mark."""
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
    if isinstance(names, str):
        names = names.split(",")
    return {name.strip() for name in names}


def check_prompt_ids(item: pytest.Function) -> None:
    """Prompts need ids that name recordings and baselines for years.

    Raises
    ------
    SettingsError
        For two prompts with one id, or a prompt over 100 characters (or a message list) without
        an explicit id: pytest names those by position.
    """
    mark = next(
        (mark for mark in item.iter_markers("parametrize") if "prompt" in argument_names(mark)),
        None,
    )
    if mark is None or len(mark.args) < 2:
        return
    where = f"{item.parent.nodeid if item.parent else ''}::{item.originalname}"
    pairs = list(_prompts_with_ids(mark))
    for position, (prompt, identity) in enumerate(pairs):
        long = not isinstance(prompt, str) or len(prompt) > 100
        if long and identity is None and not callable(mark.kwargs.get("ids")):
            raise SettingsError(
                f"{where}: prompt {position} has no id and is too long to be its own",
                details=[f"it begins: {str(prompt)[:80]!r}", "pytest would name it by position"],
                fix=['write pytest.param("…", id="a-short-name")', "or give parametrize ids=[…]"],
            )
    counts = Counter(identity for _, identity in pairs if identity is not None)
    twice = [identity for identity, count in counts.items() if count > 1]
    if twice:
        raise SettingsError(
            f"{where}: two prompts have the id {twice[0]!r}",
            details=["pytest would number them, and a reordering would swap their recordings"],
            fix=["give each prompt an id of its own"],
        )


def _prompts_with_ids(mark: pytest.Mark) -> Iterator[tuple[Any, str | None]]:
    """Each prompt of a ``parametrize`` mark with the id its author gave it, if any."""
    names = mark.args[0]
    ordered = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    ids = mark.kwargs.get("ids")
    explicit = list(ids) if ids is not None and not callable(ids) else []
    for position, value in enumerate(mark.args[1]):
        identity = explicit[position] if position < len(explicit) else None
        arguments = value
        if isinstance(value, _ParameterSet):
            identity = value.id if isinstance(value.id, str) else identity
            arguments = value.values
        elif len(ordered) == 1:
            arguments = (value,)
        yield arguments[ordered.index("prompt")], identity


def cases_of(item: pytest.Item) -> tuple[Case, ...]:
    """The declared cases of a collected test; none for one that makes its prompts up."""
    none: tuple[Case, ...] = ()
    return item.stash.get(cases_key, none)


def as_collect_error(error: ConvergenceError) -> pytest.Collector.CollectError:
    """The error as pytest reports it at collection: its message without a traceback."""
    return pytest.Collector.CollectError(str(error))
