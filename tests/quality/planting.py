"""How a bug is planted: a method or function of the simulation is replaced for a while, and put back.

Sources are never touched. Patches are process-wide, so they reach what runs in this process only: the direct engine.
One thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from osscloud.operations import listing

__all__ = ["BUGS", "Bug", "Patch", "planted", "replacing", "short_pages"]

Patch = Callable[[], AbstractContextManager[object]]

PAGE = 2


@dataclass(frozen=True, slots=True)
class Bug:
    """name: kebab-case. breaks: in words. properties: of `ossvol.fuzz.properties`, any of which should see it. patches:
    entered together. paged: visible only where a listing has several pages, so the cloud gives short ones. rare: why
    most seeds miss it or more than eight steps are left of it, "" where neither is so."""

    name: str
    breaks: str
    properties: tuple[str, ...]
    patches: tuple[Patch, ...]
    paged: bool = False
    rare: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The simulation has the bug inside."""
        with ExitStack() as stack:
            stack.enter_context(self.surroundings())
            for patch in self.patches:
                stack.enter_context(patch())
            yield

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """What a run without the bug needs to be comparable."""
        with ExitStack() as stack:
            if self.paged:
                stack.enter_context(short_pages())
            yield


BUGS: dict[str, Bug] = {}


def replacing(target: object, name: str, make: Callable[[Any], Any]) -> Patch:
    """make: from what is there to what stands in for it."""

    @contextmanager
    def patch() -> Iterator[None]:
        with mock.patch.object(target, name, make(getattr(target, name))):
            yield

    return patch


@contextmanager
def short_pages() -> Iterator[None]:
    """The cloud gives `PAGE` entries a page, as it may: what is asked for is a maximum."""
    common = listing._common

    def shorter(call: Any) -> tuple[str, str, int]:
        prefix, delimiter, limit = common(call)
        return prefix, delimiter, min(limit, PAGE)

    with mock.patch.object(listing, "_common", shorter):
        yield


def planted(
    breaks: str, *properties: str, on: tuple[object, str], paged: bool = False, rare: str = ""
) -> Callable[[Callable[..., Any]], Bug]:
    """Registers a function (original, *arguments) as the replacement of `on`, under its own name."""

    def register(function: Callable[..., Any]) -> Bug:
        def make(original: Any) -> Any:
            def replacement(*arguments: Any, **named: Any) -> Any:
                return function(original, *arguments, **named)

            return replacement

        name = function.__name__.replace("_", "-")
        assert name not in BUGS, name
        bug = BUGS[name] = Bug(name, breaks, properties, (replacing(*on, make),), paged, rare)
        return bug

    return register
