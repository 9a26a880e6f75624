"""How a run draws its choices: every value as likely as any other, each example independent of the ones before.

A backend of Hypothesis (its documentation, "Alternative backends"). Its own one begins with small examples and then
repeats parts of earlier ones in place of others of the same kind, which makes a run of a state machine do the same few
rules again and again; it also likes constants that it finds in the modules that happen to be loaded. Shrinking, the
database and replays are Hypothesis's. No state of its own; the runner's thread.
"""

from __future__ import annotations

from random import Random
from typing import Any, cast

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

__all__ = ["BACKEND"]

BACKEND = "ossvol"
"""Its name for `hypothesis.settings(backend=...)`."""


class _EvenProvider(HypothesisProvider):
    """What has no bounds, or weights, is drawn as Hypothesis does it."""

    def draw_boolean(self, p: float = 0.5) -> bool:
        return cast("Random", self._random).random() < p

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: Any = None,
        shrink_towards: int = 0,
    ) -> int:
        if min_value is None or max_value is None or weights is not None:
            return super().draw_integer(min_value, max_value, weights=weights, shrink_towards=shrink_towards)
        return min_value + int(cast("Random", self._random).random() * (max_value - min_value + 1))


AVAILABLE_PROVIDERS[BACKEND] = _EvenProvider
