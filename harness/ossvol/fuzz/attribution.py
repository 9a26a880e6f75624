"""Which listed defect of a release explains a violation: the calls are asked again with single defects left out.

`WatchedWorld` is a world whose release has its defects. What breaks in it is asked again of worlds in the direct
engine. What does not break without some defect is explained by it and counted, and the rest of the example does
nothing. What breaks without all of them too, or is not shown by the simulation at all, is unlisted: a failure.

One thread, the runner's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ossfuse.profile import DEFECTS, find
from ossvol.fuzz.calls import Call
from ossvol.fuzz.judging import EMPTY, Beginning, MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.shrinking import Example, replay, shrunk
from ossvol.fuzz.violation import Encounter, Violation
from ossvol.fuzz.world import World

__all__ = ["Attribution", "WatchedWorld"]

_ANSWERS: Mapping[str, object] = MappingProxyType({"open": "", "rename": False})


class Attribution:
    """Of one example. like: where it was found; found: what it breaks."""

    def __init__(self, like: Laboratory, example: Example, found: Violation) -> None:
        self._like = like
        self._property = found.property
        self._shown_by_a_call = found.property != "application-invariant"
        if found.step is not None and not self._shown_by_a_call:
            hold = Call("hold", (dict(found.step),), {})
            example = replace(example, calls=[*example.calls, hold])
            self._shown_by_a_call = True
        self._example = replace(example, made_by=World)
        self.why = ""

    def defects(self, *, thorough: bool = True) -> tuple[str, ...]:
        """The smallest set found without which nothing breaks, none for what is unlisted; `why` says why it is.
        thorough: otherwise all the defects of the release are told."""
        if not self._shown_by_a_call:
            self.why = "no step shows it, so no defect can be tried"
            return ()
        with Laboratory("direct", like=self._like) as laboratory:

            def broken(*names: str) -> Violation | None:
                return self._broken(laboratory, self._example, names)

            shown = broken()
            if not self._same(shown):
                self.why = f"the simulation with its defects: {shown or 'no property breaks'}"
                return ()
            every = self._listed()
            if (left := broken(*every)) is not None:
                self.why = f"without any listed defect: {left}"
                return ()
            if not thorough:
                return every
            alone = next((name for name in every if self._gone(laboratory, name)), "")
            if alone:
                return (alone,)
            needed = every
            for name in every:
                fewer = tuple(one for one in needed if one != name)
                if broken(*fewer) is None:
                    needed = fewer
            return needed

    def shortest(self, found: Violation, defects: tuple[str, ...]) -> Violation:
        """What the defects break after as few calls as it takes, with the steps that lead to it."""
        with Laboratory("direct", like=self._like) as laboratory:
            small = shrunk(
                laboratory,
                self._example,
                found,
                spent=lambda steps: None,
                accepts=lambda attempt: not self._same(self._broken(laboratory, attempt, defects)),
            )
        return small or found

    def _same(self, shown: Violation | None) -> bool:
        return shown is not None and shown.property == self._property

    def _gone(self, laboratory: Laboratory, name: str) -> bool:
        """Whether the calls do not break the property any more; another one may break at the last of them."""
        example = self._without((name,))
        world, left = replay(laboratory, example)
        if left is None or self._same(left):
            return left is None
        last, reached = example.calls[-1], world.asked.made[-1:]
        return bool(reached) and (reached[0].name, reached[0].arguments) == (last.name, last.arguments)

    def _without(self, names: tuple[str, ...], example: Example | None = None) -> Example:
        example = example or self._example
        fixed = example.fixed if isinstance(example.fixed, tuple) else ()
        return replace(example, fixed=(*fixed, *names))

    def _listed(self) -> tuple[str, ...]:
        """Defects of the releases that are mounted."""
        example = self._example
        fixed = example.fixed
        rows = [find(plan.version or example.version, fixed=fixed) for plan in example.plans.values()]
        return tuple(one.name for one in DEFECTS if any(one.in_release(row) for row in rows))

    def _broken(self, laboratory: Laboratory, example: Example, names: tuple[str, ...]) -> Violation | None:
        return replay(laboratory, self._without(names, example))[1]


class WatchedWorld(World):
    """A world in which a violation that a listed defect explains is counted and ends the example: `met` has it. Every
    other one is raised.

    fixed: defects that are left out from the beginning. thorough: whether the others are to be named; known: sets of
    them that have been met, of which no short sequence is wanted any more."""

    def __init__(
        self,
        laboratory: Laboratory,
        plans: Mapping[str, MountPlan],
        *,
        version: str,
        fixed: tuple[str, ...] = (),
        compare: bool = True,
        beginning: Beginning = EMPTY,
        thorough: bool = True,
        known: Container[tuple[str, ...]] = (),
    ) -> None:
        self.over = self._ends = False
        self._thorough, self._known = thorough, known
        super().__init__(
            laboratory,
            plans,
            version=version,
            fixed=fixed,
            compare=compare,
            beginning=beginning,
        )

    def watched(self, method: Callable[..., Any], arguments: Any, named: Any) -> Any:
        """A method of `World`, called from outside or by another."""
        answer = _ANSWERS.get(method.__name__)
        if self.over:
            return answer
        outermost = not self.asked.inside
        self._ends = self._ends or method.__name__ == "finish"
        try:
            return method(self, *arguments, **named)
        except Violation as found:
            if not outermost:
                raise
            self.blame(found)
            return answer

    def blame(self, found: Violation) -> None:
        """Raises it where no listed defect explains it."""
        if self.over:
            return
        # What breaks later, for a reason of its own, is no matter here.
        example = replace(Example.of(self), ends=self._ends)
        attribution = Attribution(self.laboratory, example, found)
        defects = attribution.defects(thorough=self._thorough)
        if not defects:
            self.unlisted = True
            raise type(found)(f"{found.text} [{attribution.why}]", found.step) from found
        self.over = True
        self.handles.clear()
        if not self._thorough:
            return
        self.lead_to(found)
        if defects not in self._known:
            found = attribution.shortest(found, defects)
        self.met.append(Encounter(defects, found.property, found.text, found.given, tuple(found.steps)))


def _watch(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: WatchedWorld, *arguments: Any, **named: Any) -> Any:
        return self.watched(original, arguments, named)

    return call


for _name, _method in inspect.getmembers(World, inspect.isfunction):
    # What is recorded is what can be asked again; `finish` is what comes in the end anyway.
    if hasattr(_method, "__wrapped__") or _name == "finish":
        setattr(WatchedWorld, _name, _watch(_method))
