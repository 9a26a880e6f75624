"""The scalar types of the scenario language: modes, quantities, errno names, versions.

Each is a pydantic annotation that rejects with the stable code of its mistake, and describes itself in the JSON Schema.
"""

from __future__ import annotations

import errno
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "ERRNO_NAMES",
    "BucketPolicy",
    "Errno",
    "FixedField",
    "Mode",
    "Operation",
    "Quantity",
    "QuantityField",
    "RamPolicy",
    "errno_code",
]

_MODE = re.compile(r"0?[0-7]{3,4}")
_QUANTITY = re.compile(r"(?P<sign>>=|<=|>|<|==|)\s*(?P<number>\d+(?:\.\d+)?)")
_QUANTITY_SCHEMA = r"(>=|<=|>|<|==)?\s*\d+(\.\d+)?|\d+(\.\d+)?\s*\.\.\s*\d+(\.\d+)?"
_BETWEEN = re.compile(r"(?P<low>\d+(?:\.\d+)?)\s*\.\.\s*(?P<high>\d+(?:\.\d+)?)")

# EOPNOTSUPP and ENOTSUP are one number on Linux; ossfs's source says ENOTSUP.
ERRNO_NAMES = frozenset(errno.errorcode.values()) | {"ENOTSUP"}


def errno_code(name: str) -> int:
    """The number of an errno name."""
    return int(getattr(errno, name))


def _mode(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        raise PydanticCustomError("E103", "mode must be a quoted string of octal digits")
    if not _MODE.fullmatch(value):
        raise PydanticCustomError("E103", 'mode must be three or four octal digits such as "0640"')
    return int(value, 8)


Mode = Annotated[
    int,
    PlainValidator(_mode),
    PlainSerializer(lambda mode: f"{mode:04o}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^0?[0-7]{3,4}$", "description": 'Octal digits, quoted: "0640".'}),
]


def _policy_document(value: dict[str, Any], kind: Literal["identity", "bucket"]) -> dict[str, Any]:
    from osscloud.ram.policy import Policy, PolicyError

    try:
        Policy.parse(value, kind)
    except PolicyError as error:
        raise PydanticCustomError("E114", "{reason}", {"reason": str(error)}) from error
    return value


def _ram_policy(value: object) -> object:
    from osscloud.ram.system import SYSTEM_POLICIES

    if isinstance(value, dict):
        return _policy_document(value, "identity")
    if not isinstance(value, str):
        raise PydanticCustomError("E102", "policy is the name of a system policy, or a mapping: a policy document")
    if value not in SYSTEM_POLICIES:
        raise PydanticCustomError("E114", "unknown system policy", {"name": value, "choices": list(SYSTEM_POLICIES)})
    return value


def _bucket_policy(value: object) -> object:
    if not isinstance(value, dict):
        raise PydanticCustomError("E102", "the policy of a bucket is a mapping: a policy document with Principal")
    return _policy_document(value, "bucket")


_STATEMENTS = {"type": "object", "properties": {"Version": {"const": "1"}, "Statement": {}}, "required": ["Statement"]}

RamPolicy = Annotated[
    str | dict[str, Any],
    PlainValidator(_ram_policy),
    WithJsonSchema(
        {
            "description": "A RAM policy: the name of a system policy, or a document {Version, Statement}.",
            "anyOf": [{"type": "string", "pattern": "^A[A-Za-z]+Access$"}, _STATEMENTS],
        }
    ),
]

BucketPolicy = Annotated[
    dict[str, Any],
    PlainValidator(_bucket_policy),
    WithJsonSchema({"description": "A bucket policy: a document {Version, Statement} with Principal.", **_STATEMENTS}),
]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number to expect: exactly, or between two inclusive bounds. text: as the file says it."""

    text: str
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return self.text


def _quantity(value: object) -> Quantity:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Quantity(f"{value:g}" if isinstance(value, float) else str(value), value, value)
    if isinstance(value, str):
        if between := _BETWEEN.fullmatch(value.strip()):
            low, high = float(between["low"]), float(between["high"])
            if low > high:
                raise PydanticCustomError("E115", "the range {text} is empty", {"text": value})
            return Quantity(value, low, high)
        if one := _QUANTITY.fullmatch(value.strip()):
            number = float(one["number"])
            match one["sign"]:
                case ">=":
                    return Quantity(value, number, math.inf)
                case ">":
                    return Quantity(value, math.nextafter(number, math.inf), math.inf)
                case "<=":
                    return Quantity(value, 0, number)
                case "<":
                    return Quantity(value, 0, math.nextafter(number, -math.inf))
                case _:
                    return Quantity(value, number, number)
    raise PydanticCustomError("E115", 'a number, or a range such as ">=3", "<=1" or "2..5", is wanted')


QuantityField = Annotated[
    Quantity,
    PlainValidator(_quantity),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": rf"^\s*({_QUANTITY_SCHEMA})\s*$"},
            ],
            "description": 'A number or a range: 3, ">=3", "<=1", "2..5".',
        }
    ),
]


def _errno(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_errno_name(name) for name in value)
    return _errno_name(value)


def _errno_name(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("E102", "errno must be a name such as EACCES")
    if value not in ERRNO_NAMES:
        raise PydanticCustomError("E114", 'unknown errno "{name}"', {"name": value, "choices": sorted(ERRNO_NAMES)})
    return value


_ERRNO_SCHEMA = {"type": "string", "enum": sorted(ERRNO_NAMES), "description": "errno"}
Errno = Annotated[
    str | tuple[str, ...],
    PlainValidator(_errno),
    WithJsonSchema({"anyOf": [_ERRNO_SCHEMA, {"type": "array", "items": _ERRNO_SCHEMA, "description": "any of them"}]}),
]
"""An errno, or several where the kernel decides which."""


def _fixed(value: object) -> bool | tuple[str, ...]:
    from ossfuse.profile import DEFECTS

    if isinstance(value, bool):
        return value
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("E102", "fixed is true or false, or a list of names of defects")
    choices = [defect.name for defect in DEFECTS]
    for name in value:
        if name not in choices:
            raise PydanticCustomError("E114", "unknown defect", {"name": name, "choices": choices})
    return tuple(value)


FixedField = Annotated[
    bool | tuple[str, ...],
    PlainValidator(_fixed),
    WithJsonSchema(
        {
            "anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}],
            "description": "true: the simulated release without its defects; a list of names: without these.",
        }
    ),
]


def _operation(value: Any) -> Any:
    from ossvol.scenario.vocabulary import OPERATIONS

    if isinstance(value, str) and value not in OPERATIONS:
        raise PydanticCustomError("E114", 'unknown operation "{name}"', {"name": value, "choices": sorted(OPERATIONS)})
    return value


# The names that OSS's own access log uses for its operations, and "total".
Operation = Annotated[str, BeforeValidator(_operation)]
