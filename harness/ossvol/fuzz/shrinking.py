"""A failure made small: its calls are asked again of a new `World` without some of them, then with simpler arguments.

The model judges each attempt, so whatever is left breaks the same property for a reason of its own. Hypothesis shrinks
the choices that led to the calls, and one choice fewer moves the meaning of those behind it: for an example of a few
dozen calls that takes it minutes, and stops half-way. One thread, the runner's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from ossvol.fuzz.calls import Call
from ossvol.fuzz.judging import Beginning, MountPlan
from ossvol.fuzz.violation import Violation, violation
from ossvol.fuzz.world import World

if TYPE_CHECKING:
    from ossfuse.profile import Fixed
    from ossvol.fuzz.laboratory import Laboratory

__all__ = ["Example", "fewer", "replay", "shrunk"]

Item = TypeVar("Item")

_PLAIN = "-o allow_other"
_SIMPLER: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "mount": ("one",),
        "user": ("root",),
        "body": ("", "x"),
        "offset": (0,),
        "append": (False,),
        "content_type": ("application/octet-stream",),
        "meta": ({},),
        "storage_class": ("Standard",),
        "options": (_PLAIN,),
        "seconds": (1000.0,),
        "mode": (0o644,),
    }
)
"""Parameter to what is simpler than any other argument, the simplest first."""


@dataclass(frozen=True, slots=True)
class Example:
    """What a world was made of and asked for. made_by: its class. ends: whether it is finished after that."""

    plans: Mapping[str, MountPlan]
    beginning: Beginning
    calls: Sequence[Call]
    version: str
    fixed: Fixed
    compare: bool = True
    made_by: type[World] = World
    ends: bool = True

    @classmethod
    def of(cls, world: World) -> Example:
        return cls(
            world.plans,
            world.beginning,
            world.asked.made,
            world.version,
            world.fixed,
            world.compare,
            type(world),
        )


def replay(laboratory: Laboratory, example: Example) -> tuple[World, Violation | None]:
    """The example once more, to its end or its first violation."""
    world = example.made_by(
        laboratory,
        example.plans,
        version=example.version,
        fixed=example.fixed,
        compare=example.compare,
        beginning=example.beginning,
    )
    broken: Violation | None = None
    try:
        _ask(world, example.calls)
        if example.ends:
            world.finish()
    except Violation as found:
        broken = found
    left = laboratory.end()
    if left and broken is None:
        broken = violation("nothing-leaks", ", ".join(left))
    if broken is not None:
        world.lead_to(broken)
    return world, broken


def _ask(world: World, calls: Sequence[Call]) -> None:
    """Handles have the names that this world gives them; a call on one that was never opened here is left out."""
    handles: dict[str, str] = {}
    for call in calls:
        arguments = call.arguments
        if call.name in World.ON_HANDLES:
            handle = handles.get(arguments[0], "")
            if handle not in world.handles:
                continue
            arguments = (handle, *arguments[1:])
        answer = getattr(world, call.name)(*arguments, **call.named)
        if call.name == "open" and answer and call.answer:
            handles[call.answer] = answer


def shrunk(
    laboratory: Laboratory,
    example: Example,
    broken: Violation,
    *,
    spent: Callable[[int], None],
    accepts: Callable[[Example], bool] = lambda example: True,
) -> Violation | None:
    """What the smallest example found shows that breaks the same property; None when the example itself does not break
    it again. spent: told of the steps of each attempt; accepts: whether one that breaks it is wanted."""
    best: Violation | None = None

    def breaks(attempt: Example) -> bool:
        nonlocal best
        world, found = replay(laboratory, attempt)
        spent(world.steps)
        if found is None or found.property != broken.property or not accepts(attempt):
            return False
        best = found
        return True

    if not breaks(example):
        return None
    example = _fewer_calls(example, breaks)
    example = _simpler_surroundings(example, breaks)
    example = _fewer_calls(_simpler_arguments(example, breaks), breaks)
    _simpler_arguments(example, breaks)  # once more: what they depended on may be gone
    return best


def _fewer_calls(example: Example, breaks: Callable[[Example], bool]) -> Example:
    calls = fewer(example.calls, lambda calls: breaks(replace(example, calls=calls)))
    return replace(example, calls=calls)


def fewer(items: Sequence[Item], breaks: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """Pieces are left out from the end, ever smaller ones; then one by one, until none can be spared."""
    size = max(1, len(items) // 2)
    while size:
        before, end = len(items), len(items)
        while end > 0:
            start = max(0, end - size)
            attempt = [*items[:start], *items[end:]]
            if breaks(attempt):
                items = attempt
            end = start
        if size > 1 or len(items) == before:
            size //= 2
    return items


def _simpler_surroundings(example: Example, breaks: Callable[[Example], bool]) -> Example:
    def beginning(**other: Any) -> Example:
        return replace(example, beginning=replace(example.beginning, **other))

    if example.beginning.versioning and breaks(attempt := beginning(versioning="")):
        example = attempt
    if example.beginning.origin is not None and breaks(attempt := beginning(origin=None)):
        example = attempt
    if isinstance(example.fixed, tuple) and example.fixed:
        attempt = replace(example, fixed=())
        example = attempt if breaks(attempt) else example
    for key in reversed(tuple(example.beginning.objects)):
        attempt = beginning(objects={one: found for one, found in example.beginning.objects.items() if one != key})
        example = attempt if breaks(attempt) else example
    for name, plan in example.plans.items():
        attempt = replace(example, plans={**example.plans, name: replace(plan, options=_PLAIN)})
        if plan.options != _PLAIN and breaks(attempt):
            example = attempt
    return example


def _simpler_arguments(example: Example, breaks: Callable[[Example], bool]) -> Example:
    for index in range(len(example.calls)):
        signature = inspect.signature(getattr(World, example.calls[index].name))
        for parameter in signature.parameters:
            for simple in _SIMPLER.get(parameter, ()):
                call = example.calls[index]
                bound = signature.bind(None, *call.arguments, **call.named)
                if bound.arguments.get(parameter, simple) == simple:
                    break
                bound.arguments[parameter] = simple
                other = replace(call, arguments=bound.args[1:], named=bound.kwargs)
                attempt = replace(example, calls=[*example.calls[:index], other, *example.calls[index + 1 :]])
                if breaks(attempt):
                    example = attempt
                    break
    return example
