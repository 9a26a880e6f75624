"""What a fuzz run finds: a named property that does not hold, with the step that shows it, and what explains it.

Values and exceptions, no behaviour. Each property has an exception of its own, because Hypothesis tells failures apart
by their type. Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ossvol.fuzz.properties import PROPERTIES

if TYPE_CHECKING:
    from ossvol.fuzz.world import World

__all__ = ["Encounter", "Violation", "violation"]


class Violation(AssertionError):
    """property: its name in `PROPERTIES`. step: a step of the scenario language whose expectation says what is right;
    None where no step can show it. given, steps: the scenario that led here, once the example has ended, and
    world: where. once: the same steps did not show it again."""

    property = ""

    def __init__(self, text: str, step: Mapping[str, Any] | None) -> None:
        super().__init__(f"{self.property}: {text}")
        self.text = text
        self.step = step
        self.given: Mapping[str, Any] = {}
        self.steps: Sequence[Mapping[str, Any]] = ()
        self.world: World | None = None
        self.once = False


@dataclass(frozen=True, slots=True)
class Encounter:
    """Listed defects that explain a violation: without them it does not come, without some of them it does. given,
    steps: as of a failure."""

    defects: tuple[str, ...]
    property: str
    text: str
    given: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]


@cache
def _kind(name: str) -> type[Violation]:
    if name not in PROPERTIES:
        raise LookupError(name)
    return type(f"Violation[{name}]", (Violation,), {"property": name, "__module__": __name__})


def violation(name: str, text: str, step: Mapping[str, Any] | None = None) -> Violation:
    """A violation of the property called `name`."""
    return _kind(name)(text, step)
