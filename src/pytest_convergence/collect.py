"""Collected tests become cases and groups. Nothing is sampled here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from pytest_convergence.declaration import Case, Declaration, Group, declare
from pytest_convergence.detect import MARKER, is_eval
from pytest_convergence.errors import ConvergenceError, SettingsError

if TYPE_CHECKING:
    from pytest_convergence.settings import Settings

_ParameterSet = type(pytest.param(None))

# What a group is judged by, and compared with its baseline.
_OF_A_GROUP = (
    *("metric", "label", "threshold", "direction", "confidence", "max_missing"),
    *("at_least", "at_most", "value", "smallest_effect", "margin"),
)

cases_key = pytest.StashKey[tuple[Case, ...]]()


def marks_of(item: pytest.Item) -> list[Mapping[str, Any]]:
    """The keyword arguments of the item's convergence markers, the closest first.

    Raises
    ------
    SettingsError
        For a marker with positional arguments.
    """
    callspec = getattr(item, "callspec", None)
    closest = [mark for mark in callspec.marks if mark.name == MARKER] if callspec else []
    others = [mark for mark in item.iter_markers(MARKER) if mark not in closest]
    marks = []
    for mark in (*closest, *others):
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
    groups = list(_groups(evals[0], members))
    # A test judges the cases that its group does, with their families: whichever runs first.
    collapsed = {case.id: case for group in groups for case in group.cases}
    for item in evals:
        item.stash[cases_key] = tuple(collapsed[case.id] for case in item.stash[cases_key])
    return groups


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
        _check_one_mind(identity, cases)
        yield Group(identity, capability, arm, _collapse(cases), cases[0].declaration)


def _check_one_mind(identity: str, cases: Sequence[Case]) -> None:
    """A group is judged by one declaration."""
    first = cases[0].declaration
    for case in cases:
        for name in _OF_A_GROUP:
            if getattr(case.declaration, name) != getattr(first, name):
                raise SettingsError(
                    f"{identity}: its prompts are declared with different {name}s",
                    details=[
                        f"{cases[0].nodeid}: {getattr(first, name)!r}",
                        f"{case.nodeid}: {getattr(case.declaration, name)!r}",
                    ],
                    fix=[f"declare {name} at the function, or give them capabilities of their own"],
                )


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
    if prompts is None and "prompt" not in parameters:
        return (), ""
    where = test_names(item)
    if prompts is not None:
        arm = callspec.id if callspec else ""
        cases = [
            _case(
                item, where, declaration, str(name), prompt, {}, parameters, f"{item.nodeid}#{name}"
            )
            for name, prompt in prompts.items()
        ]
        return tuple(cases), arm
    _check_direct(item)
    together, prompt_id, arm = split_parameters(item)
    data = {name: value for name, value in parameters.items() if name in together}
    prompt = data.pop("prompt")
    arms = {name: value for name, value in parameters.items() if name not in together}
    return (_case(item, where, declaration, prompt_id, prompt, data, arms, item.nodeid),), arm


def _case(
    item: pytest.Function,
    where: tuple[str, str],
    declaration: Declaration,
    prompt_id: str,
    prompt: Any,
    data: Mapping[str, Any],
    arms: Mapping[str, Any],
    identity: str,
) -> Case:
    _check_prompt(item, prompt)
    return Case(
        id=identity,
        nodeid=item.nodeid,
        test_file=where[0],
        test_name=where[1],
        prompt_id=prompt_id,
        prompt=prompt,
        family=_family(item, prompt_id, data),
        data=dict(data),
        arms=dict(arms),
        declaration=declaration,
    )


def test_names(item: pytest.Item) -> tuple[str, str]:
    """The module's path from the rootdir and ``Class.function``: what names a test's recordings.

    Raises
    ------
    SettingsError
        For a test outside the rootdir, which has no such path.
    """
    test_file = item.nodeid.split("::", 1)[0]
    if not PurePosixPath(test_file).name or ".." in PurePosixPath(test_file).parts:
        raise SettingsError(
            f"{item.path} lies outside the rootdir {item.config.rootpath}",
            details=["recordings are named by the test's path from the rootdir"],
            fix=["give --rootdir a folder that holds the tests"],
        )
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return test_file, ".".join([*classes, getattr(item, "originalname", item.name)])


def _check_prompt(item: pytest.Item, prompt: Any) -> None:
    messages = isinstance(prompt, list | tuple) and all(isinstance(m, Mapping) for m in prompt)
    if not (isinstance(prompt, str) or (messages and prompt)):
        raise SettingsError(
            f"{item.nodeid}: a prompt is {type(prompt).__name__}, not a text: {prompt!r}",
            fix=['give a string, or a list of {"role": …, "content": …}'],
        )


def _check_direct(item: pytest.Function) -> None:
    """A prompt that a fixture makes is not known at collection, so it must not look declared."""
    information: Any = getattr(item, "_fixtureinfo", None)
    fixtures = information.name2fixturedefs.get("prompt", ()) if information else ()
    if any(definition.func.__module__ != "_pytest.python" for definition in fixtures):
        raise SettingsError(
            f"{item.nodeid}: `prompt` is made by a fixture, so its text is not known at collection",
            details=["the parameter would be sent, not what the test sees"],
            fix=[
                "parametrize `prompt` directly; the marker's template= can put text around it",
                "or name the fixture otherwise and call models.sample(…) in the test",
            ],
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
    if mark is None:
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
    names = mark.args[0] if mark.args else mark.kwargs["argnames"]
    values = mark.args[1] if len(mark.args) > 1 else mark.kwargs["argvalues"]
    ordered = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    ids = mark.kwargs.get("ids")
    explicit = list(ids) if ids is not None and not callable(ids) else []
    for position, value in enumerate(values):
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
