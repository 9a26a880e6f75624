"""The 48 causes of the vendor's FAQ: id, section, title.

Not the scenarios that show them (`scenarios/faq`). Read once, immutable, any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

__all__ = ["Cause", "causes"]


@dataclass(frozen=True, slots=True)
class Cause:
    """id: "permission/mount-root"; section: the FAQ's own heading, in Chinese; title: the cause in English; control:
    whether a change is known that looks like a cure and is none."""

    id: str
    section: str
    title: str
    control: bool = True


@cache
def causes() -> Mapping[str, Cause]:
    """Every cause by id, in the FAQ's order."""
    import yaml

    text = resources.files("ossvol").joinpath("causes.yaml").read_text(encoding="utf-8")
    found = [Cause(**entry) for entry in yaml.load(text, Loader=yaml.CSafeLoader)]
    return MappingProxyType({cause.id: cause for cause in found})
