"""The switches of the cloud as `ossvol serve --switch NAME=VALUE` spells them: the fields of `ServiceConfig` by name.

Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ossvol.errors import UsageError

if TYPE_CHECKING:
    from osscloud.service import ServiceConfig

__all__ = ["switched"]

# Where a server listens is said otherwise, and how much it remembers is its own business.
_NOT_SWITCHES = frozenset({"endpoint", "log_limit"})


def switched(config: ServiceConfig, assignments: Sequence[str]) -> ServiceConfig:
    """The configuration with these fields changed. assignments: "max_buckets=500"; several values with commas
    ("regions=cn-hangzhou,cn-beijing"), pairs with a colon ("vpcs=10.0.0.0/8:vpc-a"). Raises UsageError."""
    hints = get_type_hints(type(config))
    names = [field.name for field in fields(config) if field.name not in _NOT_SWITCHES]
    changes: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"--switch {assignment}: write NAME=VALUE")
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise UsageError(f"--switch {assignment}: there is no switch {name!r}; {hint}")
        changes[name] = _value(assignment, hints[name], value, getattr(config, name))
    return replace(config, **changes)  # type: ignore[arg-type]


def _value(assignment: str, hint: Any, value: str, default: object) -> object:
    if isinstance(default, tuple):
        parts = [part for part in value.split(",") if part]
        return tuple(parts) if hint == tuple[str, ...] else tuple(_pair(assignment, part) for part in parts)
    try:
        found: object = TypeAdapter(hint).validate_strings(value)
    except ValidationError as error:
        raise UsageError(f"--switch {assignment}: {error.errors()[0]['msg']}") from error
    if isinstance(found, int) and not isinstance(found, bool) and found < 0:
        raise UsageError(f"--switch {assignment}: a number below 0 makes no sense")
    return found


def _pair(assignment: str, part: str) -> tuple[str, str]:
    first, colon, second = part.rpartition(":")
    if not (colon and first and second):
        raise UsageError(f"--switch {assignment}: write NETWORK:VPC, several with commas")
    return first, second
