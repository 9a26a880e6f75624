"""The fields of every kind and their types, as the published OpenAPI document of Kubernetes 1.37 has them.

`schema.json` is the table: {Go type: {field: type}}, a type being "string", "bool", "int32", "int64", "float64",
"Quantity", "IntOrString", "Time", "MicroTime", "bytes", another Go type of the table, "[]T" or "map[string]T"; what has
any other name is taken as it comes. Says what an object has that its kind does not, and what a decoder of Go would
refuse. Pure; any thread.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from osscluster.api.quantity import Quantity, QuantityError

__all__ = ["Finding", "dotted", "element", "field_types", "findings", "normalised", "pruned"]

Path = tuple[str | int, ...]

_STRINGS = ("string", "Time", "MicroTime", "bytes")
_GO_NAMES = {"Time": "v1.Time", "MicroTime": "v1.MicroTime", "bytes": "[]uint8", "Quantity": "resource.Quantity"}
_GO_PRIMITIVES = ("string", "bool", "int32", "int64", "float64")
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/")
_WORDS = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Finding:
    """path: where; unknown: whether the kind has no such field, otherwise `message` is the decoder's error; type: Go
    type of what holds it."""

    path: Path
    unknown: bool
    message: str
    type: str

    @property
    def hint(self) -> str:
        """The known field that an unknown one is nearest to; "" for none."""
        lowered = {name.lower(): name for name in field_types(self.type) or ()}
        close = get_close_matches(str(self.path[-1]).lower(), lowered, n=1, cutoff=0.75) if self.unknown else []
        return lowered[close[0]] if close else ""


def dotted(path: Path) -> str:
    """ "spec.containers[0].image"."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("osscluster.api").joinpath("schema.json").read_text(encoding="ascii")
    table: dict[str, dict[str, str]] = json.loads(text)
    return table


def field_types(type: str) -> Mapping[str, str] | None:
    """The fields of a Go type and their types; None for what has no fields."""
    return _table().get(type)


def element(type: str) -> str:
    """T of "[]T" and "map[string]T"."""
    return type.removeprefix("[]").removeprefix("map[string]")


def findings(object: Any, type: str) -> Iterator[Finding]:
    """What is wrong with an object of a kind, in the order of its text."""
    return _look(object, type, (), type, ())


def _look(value: Any, type: str, path: Path, struct: str, fields: tuple[str, ...]) -> Iterator[Finding]:
    """fields: as Go counts them, without indices and map keys."""
    if value is None:
        return
    if not _fits(value, type):
        shown = _WORDS[value.__class__]
        if shown == "number" and type in ("int32", "int64"):
            shown = f"number {value}"
        go = f"Go struct field {struct}.{'.'.join(fields)}" if fields else "Go value"
        yield Finding(path, False, f"json: cannot unmarshal {shown} into {go} of type {_go(type)}", struct)
    elif (refusal := _unreadable(value, type)) is not None:
        yield Finding(path, False, refusal, struct)
    elif type.startswith("map[string]"):
        for key, item in value.items():
            yield from _look(item, element(type), (*path, key), struct, fields)
    elif type.startswith("[]"):
        for index, item in enumerate(value):
            yield from _look(item, element(type), (*path, index), struct, fields)
    elif (known := field_types(type)) is not None:
        for key, item in value.items():
            if key in known:
                yield from _look(item, known[key], (*path, key), type, (*fields, key))
            else:
                yield Finding((*path, key), True, f'unknown field "{dotted((*path, key))}"', type)


def _fits(value: Any, type: str) -> bool:
    if type.startswith("[]"):
        return isinstance(value, list)
    if type.startswith("map[string]") or field_types(type) is not None:
        return isinstance(value, dict)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if type in _STRINGS:
        return isinstance(value, str)
    if type == "bool":
        return isinstance(value, bool)
    if type in ("int32", "int64"):
        return number and (isinstance(value, int) or value.is_integer())
    if type == "float64":
        return number
    if type in ("Quantity", "IntOrString"):
        return number or isinstance(value, str)
    return True


def _unreadable(value: Any, type: str) -> str | None:
    """What a type that reads its own text says of it."""
    if type == "Quantity":
        try:
            Quantity.parse(str(value))
        except QuantityError as error:
            return str(error)
    elif type == "bytes":
        return _not_base64(value)
    return None


def _not_base64(text: str) -> str | None:
    """Go's decoder names the first byte that it cannot take; line ends may stand anywhere."""
    taken = 0
    for index, character in enumerate(text):
        if character in "\r\n":
            continue
        padding = character == "=" and taken % 4 >= 2 and set(text[index:]) <= {"=", "\r", "\n"}
        if character not in _BASE64 and not padding:
            return f"illegal base64 data at input byte {index}"
        taken += 1
    return f"illegal base64 data at input byte {len(text) - taken % 4}" if taken % 4 else None


def _go(type: str) -> str:
    if type.startswith("[]"):
        return "[]" + _go(element(type))
    if type.startswith("map[string]"):
        return "map[string]" + _go(element(type))
    return type if type in _GO_PRIMITIVES else _GO_NAMES.get(type, f"v1.{type}")


def normalised(object: Any, type: str) -> Any:
    """A copy as Go's decoder makes it: fields with null are left out, null in a list or in a map of text is the zero
    value, whole floats are integers, a number given as a quantity is text. Unknown fields stay."""
    if isinstance(object, list):
        inner = element(type)
        return [_zero(inner) if item is None else normalised(item, inner) for item in object]
    if isinstance(object, dict):
        known = field_types(type)
        result = {}
        for key, item in object.items():
            if known is None:
                of = element(type)
                if item is None and of != "string":
                    continue
                result[key] = "" if item is None else normalised(item, of)
            elif item is not None:
                result[key] = normalised(item, known.get(key, ""))
        return result
    if isinstance(object, float) and object.is_integer() and type in ("int32", "int64"):
        return int(object)
    if type == "Quantity" and not isinstance(object, str):
        return str(object)
    return object


def _zero(type: str) -> Any:
    if type.startswith("map[string]") or field_types(type) is not None:
        return {}
    if type.startswith("[]"):
        return []
    return {"bool": False, "int32": 0, "int64": 0, "float64": 0.0, "Quantity": "0", "IntOrString": 0}.get(type, "")


def pruned(object: Any, type: str) -> Any:
    """A copy without the fields that the kind does not have, as the API server stores it."""
    if isinstance(object, list):
        return [pruned(item, element(type)) for item in object]
    if isinstance(object, dict):
        known = field_types(type)
        if known is None:
            return {key: pruned(item, element(type)) for key, item in object.items()}
        return {key: pruned(item, known[key]) for key, item in object.items() if key in known}
    return object
