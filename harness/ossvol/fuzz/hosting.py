"""A bucket's website and mirror rule as the model has them: for which names they may answer, and what a mirror stores.

Values and no clock; `model` asks, `world` tells. One thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ossvol.fuzz.model import Object

__all__ = ["Hosting"]


class Hosting:
    """website, mirror: as the scenario language has them, None for none. origin: what can be fetched, by its key there;
    private: keys there that are refused instead."""

    def __init__(self, origin: Mapping[str, Object] | None = None) -> None:
        self.website: Mapping[str, Any] | None = None
        self.mirror: Mapping[str, Any] | None = None
        self.origin: dict[str, Object] = dict(origin or {})
        self.private: set[str] = set()

    @property
    def pages(self) -> bool:
        """Whether a HEAD of what is missing, or of a key that ends in a slash, may be answered with something else. An
        error page with its own status 404 changes no answer that a mount looks at."""
        told = self.website or {}
        return bool(told.get("index") or told.get("rules") or (told.get("error") and told.get("error_status") == 200))

    def place(self, key: str) -> str | None:
        """The key at the origin; None for what is not mirrored."""
        rule = self.mirror
        if rule is None or not key.startswith(rule.get("prefix", "")):
            return None
        replacement = rule.get("replace_prefix_with")
        return key if replacement is None else replacement + key[len(rule.get("prefix", "")) :]

    def fetched(self, key: str) -> Object | None:
        """What a GET of a missing key puts here."""
        place = self.place(key)
        if place is None or place in self.private or (self.mirror or {}).get("proxy_pass"):
            return None
        return self.origin.get(place)

    def names(self) -> set[str]:
        """Names of which the origin answers a HEAD: what it has, and what it refuses."""
        rule = self.mirror
        if rule is None or not rule.get("allow_head"):
            return set()
        prefix, replacement = rule.get("prefix", ""), rule.get("replace_prefix_with")
        begin = prefix if replacement is None else replacement
        found = (prefix + key[len(begin) :] for key in self.origin if key.startswith(begin))
        return {key.rstrip("/") for key in found}
