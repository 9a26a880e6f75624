"""Conditions of policy statements: the operators and how a condition's values meet those of a request.

Pure functions over immutable values; any thread. Source: "Conditional operators" and "Policy elements" of the vendor's
RAM documentation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

__all__ = ["NO_CONTEXT", "Condition", "Context", "MappingContext", "PolicyError", "parse_conditions", "wildcard"]


class PolicyError(ValueError):
    """A policy document that RAM and OSS would not take; the text says which element and why."""


class Context(Protocol):
    """What a request offers to conditions."""

    def value(self, key: str) -> str | None:
        """The value of a condition key, None when the request has none. key: as `normalised` spells it."""
        ...


@dataclass(frozen=True, slots=True)
class MappingContext:
    """A context of known values. known: by normalised key."""

    known: Mapping[str, str]

    def value(self, key: str) -> str | None:
        return self.known.get(key)


NO_CONTEXT = MappingContext({})


@lru_cache(maxsize=4096)
def wildcard(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """`*` matches any run of characters (with "/"), `?` exactly one; nothing else is special."""
    first, *others = ("".join("." if c == "?" else re.escape(c) for c in part) for part in pattern.split("*"))
    if not others:
        return re.compile(first, re.DOTALL | flags)
    *middle, last = others
    # The leftmost place is as good as any for all but the last part. Atomic groups keep it: a policy must not be able
    # to make the expression try every combination of places.
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}", re.DOTALL | flags)


def normalised(key: str) -> str:
    """A condition key without regard to case; what is behind a slash (the name of a tag) keeps it."""
    name, slash, rest = key.partition("/")
    return name.lower() + slash + rest


def _text(value: str) -> str:
    return value


def _folded(value: str) -> str:
    return value.casefold()


def _moment(value: str) -> float:
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return lowered == "true"


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=1024)
def _network(value: str) -> _Network:
    return ipaddress.ip_network(value, strict=False)


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(value)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


@dataclass(frozen=True, slots=True)
class _Operator:
    """wanted, given: read a value of the policy and of the request; both raise ValueError. test(given, wanted).
    negative: true when no value passes the test, and for a request without the key."""

    wanted: Callable[[str], object]
    given: Callable[[str], object]
    test: Callable[[object, object], bool]
    negative: bool = False


def _operators() -> dict[str, _Operator]:
    def equal(given: object, wanted: object) -> bool:
        return given == wanted

    def less(given: object, wanted: object) -> bool:
        return given < wanted  # type: ignore[operator,no-any-return]

    def less_or_equal(given: object, wanted: object) -> bool:
        return given <= wanted  # type: ignore[operator,no-any-return]

    def greater(given: object, wanted: object) -> bool:
        return given > wanted  # type: ignore[operator,no-any-return]

    def greater_or_equal(given: object, wanted: object) -> bool:
        return given >= wanted  # type: ignore[operator,no-any-return]

    def like(given: object, wanted: object) -> bool:
        return wildcard(str(wanted)).fullmatch(str(given)) is not None

    def within(given: object, wanted: object) -> bool:
        return given in wanted  # type: ignore[operator]

    found = {
        "StringEquals": _Operator(_text, _text, equal),
        "StringNotEquals": _Operator(_text, _text, equal, negative=True),
        "StringEqualsIgnoreCase": _Operator(_folded, _folded, equal),
        "StringNotEqualsIgnoreCase": _Operator(_folded, _folded, equal, negative=True),
        "StringLike": _Operator(_text, _text, like),
        "StringNotLike": _Operator(_text, _text, like, negative=True),
        "Bool": _Operator(_boolean, _boolean, equal),
        "IpAddress": _Operator(_network, _address, within),
        "NotIpAddress": _Operator(_network, _address, within, negative=True),
    }
    for family, read in (("Numeric", float), ("Date", _moment)):
        found |= {
            f"{family}Equals": _Operator(read, read, equal),
            f"{family}NotEquals": _Operator(read, read, equal, negative=True),
            f"{family}LessThan": _Operator(read, read, less),
            f"{family}LessThanEquals": _Operator(read, read, less_or_equal),
            f"{family}GreaterThan": _Operator(read, read, greater),
            f"{family}GreaterThanEquals": _Operator(read, read, greater_or_equal),
        }
    return found


_OPERATORS: Mapping[str, _Operator] = _operators()


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key; holds when any of the values does (for a negative operator: when none does).

    A request without the key meets negative operators and no other. That is how the vendor's own examples of
    StringNotEquals and NotIpAddress read; the documentation does not say it."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """True when the request that the context describes meets the condition."""
        operator = _OPERATORS[self.operator]
        found = context.value(normalised(self.key))
        if found is None:
            return operator.negative
        try:
            given = operator.given(found)
        except ValueError:
            return operator.negative
        passed = any(operator.test(given, operator.wanted(value)) for value in self.values)
        return passed is not operator.negative


def parse_conditions(block: object) -> tuple[Condition, ...]:
    """From the JSON form {"Operator": {"key": value or values}}; all of them have to hold. Raises PolicyError."""
    if not isinstance(block, Mapping):
        raise PolicyError(f"Condition must be an object, not {block!r}")
    conditions: list[Condition] = []
    for operator, keys in block.items():
        if operator not in _OPERATORS:
            raise PolicyError(f"unknown condition operator {operator!r}; known: {', '.join(_OPERATORS)}")
        if not isinstance(keys, Mapping) or not keys:
            raise PolicyError(f"{operator} must be an object of condition keys")
        for key, values in keys.items():
            conditions.append(_condition(operator, str(key), values))
    return tuple(conditions)


def _condition(operator: str, key: str, values: object) -> Condition:
    service, colon, name = key.partition(":")
    if not service or not colon or not name:
        raise PolicyError(f"a condition key is spelled SERVICE:NAME, not {key!r}")
    listed: Sequence[object] = values if isinstance(values, list | tuple) else (values,)
    if not listed or not all(isinstance(value, str | bool | int | float) for value in listed):
        raise PolicyError(f"{operator} {key} needs a value or a list of values")
    texts = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in listed)
    if operator == "Bool" and len(texts) > 1:
        raise PolicyError(f"{operator} {key} takes one value")
    for text in texts:
        try:
            _OPERATORS[operator].wanted(text)
        except ValueError as error:
            raise PolicyError(f"{operator} {key}: {error}") from error
    return Condition(operator, key, texts)
