"""What a fuzz run is to do, and what it counts. Values; one thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ossvol.fuzz.violation import Encounter
    from ossvol.fuzz.world import World

__all__ = ["MOTO", "PROFILES", "Plan", "Tally"]

Via = Literal["direct", "kernel"]

PROFILES: dict[str, tuple[int, int]] = {"quick": (60, 40), "ci": (600, 50), "nightly": (6000, 80)}
"""Examples, and steps of one."""


MOTO = "moto"
"""What our S3 face is compared with."""


@dataclass(frozen=True, slots=True)
class Plan:
    """via: the engine. ossfs: path of a real binary. version, other_version: of the two mounts; fixed: without defects.
    compare: the whole after each step, not only at the end. explain: the release has its defects, and what one of them
    explains is counted and is no failure. against: what another run of the same steps is compared with, an engine,
    the path of a real binary or `MOTO`, "" for nothing."""

    via: Via = "direct"
    ossfs: str = ""
    version: str = "1.91.10"
    other_version: str = ""
    fixed: bool = True
    compare: bool = True
    against: str = ""
    explain: bool = False


@dataclass(slots=True)
class Tally:
    """steps: calls made; judged: those that the model could tell the answer of, or that two sides could be compared by;
    aimed, live: at an object, at one that existed; verbs, cells: how often each verb, and each (verb, user, answer),
    came; explained: id of a listed difference to how often; met, first: how often each set of listed defects explained
    what broke, and when it did so first; unlisted: something broke that none explains. told: called after each
    example."""

    examples: int = 0
    steps: int = 0
    judged: int = 0
    aimed: int = 0
    live: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    met: Counter[tuple[str, ...]] = field(default_factory=Counter)
    first: dict[tuple[str, ...], Encounter] = field(default_factory=dict)
    unlisted: bool = False
    told: Callable[[Tally], None] | None = None

    def add(self, world: World) -> None:
        """An example is over."""
        self.examples += 1
        self.steps += world.steps
        self.judged += world.judged
        self.verbs += world.calls
        self.cells += world.cells
        self.explained += world.explained
        for one in world.met:
            self.met[one.defects] += 1
            self.first.setdefault(one.defects, one)
        self.unlisted = self.unlisted or world.unlisted
        if self.told is not None:
            self.told(self)

    def merge(self, other: Tally) -> None:
        """What another run has counted."""
        self.examples += other.examples
        self.steps += other.steps
        self.judged += other.judged
        self.aimed += other.aimed
        self.live += other.live
        self.verbs += other.verbs
        self.cells += other.cells
        self.explained += other.explained
        self.met += other.met
        self.first = {**other.first, **self.first}
        self.unlisted = self.unlisted or other.unlisted

    @property
    def live_share(self) -> float:
        """Of 1."""
        return self.live / self.aimed if self.aimed else 1.0
