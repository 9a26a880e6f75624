"""One expectation that was not met, as values. Pure; any thread."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mismatch", "differs"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One expectation that was not met."""

    expected: str
    seen: str


def differs(what: str, wanted: str, seen: str, fits: bool) -> list[Mismatch]:
    """Nothing where it fits, else the one mismatch about `what`."""
    return [] if fits else [Mismatch(f"{what} {wanted}", f"{what} {seen}")]
