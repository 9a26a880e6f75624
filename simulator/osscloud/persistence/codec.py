"""Plain values as JSON and back: None, bool, int, float, str, bytes, lists, tuples, dicts with any such keys, and
dataclasses of a given set.

The same value always makes the same text, and nothing but those dataclasses is ever made of a text: it may come from a
stranger's file. Pure functions; any thread.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import cast

__all__ = ["CodecError", "Kinds", "decode", "dumps", "encode", "loads", "write"]

Kinds = Mapping[str, type]
"""The dataclasses that may be read, by the name that they have in the text."""


_PLAIN = {str, int, float, bool, type(None)}


class CodecError(ValueError):
    """A text that `dumps` did not write, or that a newer release wrote."""


def encode(value: object) -> object:
    """The value in JSON's terms. An object with a member that starts with "$" stands for what JSON has not. Raises
    TypeError for a value of any other type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"$tuple": [encode(item) for item in value]}
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode()}
    if isinstance(value, dict):
        kinds = {type(item) for item in value.values()}
        if all(type(key) is str and key[:1] != "$" for key in value):
            return value if kinds <= _PLAIN else {key: encode(item) for key, item in value.items()}
        return {"$dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        known = {field.name: encode(getattr(value, field.name)) for field in fields(value)}
        return {"$": type(value).__name__, **known}
    raise TypeError(f"{type(value).__name__} is no plain value: {value!r}")


def decode(value: object, kinds: Kinds) -> object:
    """Undoes `encode`. A field that the text has not keeps its default. Raises CodecError."""
    if isinstance(value, list):
        return [decode(item, kinds) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$tuple": list(items)}:
            return tuple(decode(item, kinds) for item in items)
        case {"$bytes": str(text)}:
            try:
                return b64decode(text, validate=True)
            except ValueError as error:
                raise CodecError("bytes are not base64") from error
        case {"$dict": list(pairs)}:
            return dict(cast("tuple[object, object]", decode(pair, kinds)) for pair in pairs)
        case {"$": str(name)}:
            kind = kinds.get(name)
            if kind is None:
                raise CodecError(f"nothing here is called {name!r}")
            known = {key: decode(item, kinds) for key, item in value.items() if key != "$"}
            try:
                return kind(**known)
            except (TypeError, ValueError) as error:
                raise CodecError(f"{name} cannot have {', '.join(known)}: {error}") from error
    return {key: decode(item, kinds) for key, item in value.items()}


def dumps(value: object) -> str:
    """The value as ASCII text on one line. Raises TypeError."""
    return write(encode(value))


write = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""What `encode` made as text."""


def loads(text: str | bytes, kinds: Kinds) -> object:
    """Undoes `dumps`. Raises CodecError."""
    try:
        value = json.loads(text)
        marked = '"$' in text if isinstance(text, str) else b'"$' in text
        return decode(value, kinds) if marked else value
    except RecursionError as error:
        raise CodecError("nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, CodecError) else CodecError(str(error)) from error
