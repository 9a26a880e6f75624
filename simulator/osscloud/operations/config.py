"""Bucket configurations: one row a sub-resource, and the PUT, GET and DELETE that they all share.

A configuration is kept as the bytes that the client put, in `Bucket.configs` below the name of its sub-resource;
`accept` validates them when they are put, `render` writes them as OSS answers. Whatever a configuration does to other
requests asks `configured` for its parsed form. The rows are in `configurations.py`; this module knows none of them.
Values are immutable, functions are called by the thread that handles the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from xml.etree.ElementTree import Element

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call, Operation
from osscloud.operations.digest import check_body
from osscloud.store import Bucket
from osscloud.xml import canonical, parse

__all__ = [
    "Configuration",
    "Leaf",
    "Schema",
    "boolean",
    "configured",
    "document",
    "missing",
    "number",
    "one_of",
    "text",
    "unset",
    "validate",
    "xml",
]

Parsed = TypeVar("Parsed")

MAX_DEPTH = 32
"""Levels of elements in a document; none that OSS knows has half as many."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row.

    param: the sub-resource, also the key in `Bucket.configs`. name: as operations spell it ("BucketWebsite" makes
    PutBucketWebsite and oss:PutBucketWebsite). accept: gets the body of a PUT and returns the bytes to keep, which are
    the body unless the service adds to it (ids of rules); raises OssError MalformedXML, InvalidArgument, ... . unset:
    answers GET of a bucket without it. render: the kept bytes as GET answers them. deletable: DELETE exists; it is 204
    whether there was anything or not. media_type: of what GET answers. remove: what a DELETE leaves of the kept bytes,
    None for nothing; None here: always nothing.
    """

    param: str
    name: str
    accept: Callable[[Call, bytes], bytes]
    unset: Callable[[Call], Response]
    render: Callable[[bytes], bytes]
    deletable: bool = True
    media_type: str = "application/xml"
    remove: Callable[[Call, bytes], bytes | None] | None = None

    def operations(self) -> Iterator[tuple[str, Operation]]:
        """(method, operation) of PUT, GET and DELETE."""
        yield "PUT", Operation(f"Put{self.name}", f"oss:Put{self.name}", self._put)
        yield "GET", Operation(f"Get{self.name}", f"oss:Get{self.name}", self._get)
        if self.deletable:
            yield "DELETE", Operation(f"Delete{self.name}", f"oss:Delete{self.name}", self._delete)

    def _put(self, call: Call) -> Response:
        body = bytes(call.request.body)
        check_body(call, body)
        with call.store.lock:
            bucket = call.current_bucket()
            bucket.configure(self.param, self.accept(call, body))
        return Response(200)

    def _get(self, call: Call) -> Response:
        kept = call.bucket.configs.get(self.param)
        if kept is None:
            return self.unset(call)
        return Response(200, {"Content-Type": self.media_type}, self.render(kept))

    def _delete(self, call: Call) -> Response:
        with call.store.lock:
            bucket = call.current_bucket()
            kept = bucket.configs.get(self.param)
            if kept is not None:
                bucket.configure(self.param, None if self.remove is None else self.remove(call, kept))
        return Response(204)


@lru_cache(maxsize=256)
def _parsed(read: Callable[[bytes], Parsed], kept: bytes) -> Parsed:
    return read(kept)


def configured(bucket: Bucket, param: str, read: Callable[[bytes], Parsed]) -> Parsed | None:
    """A bucket's configuration as `read` makes it of the kept bytes, None when there is none. `read` is a module's
    function (not a lambda: it is part of the cache's key) and returns an immutable value.

    On a hot path ask `if bucket.configs` first."""
    kept = bucket.configs.get(param)
    return None if kept is None else _parsed(read, kept)


# What documents may hold

Leaf = Callable[[str], object]
"""Reads the text of an element; raises ValueError, and OssError when the service has an own error for it."""

Schema = Mapping[str, "Schema | Leaf"]
"""Child elements by name: "Name" exactly once, "Name?" at most once, "Name*" any number, "Name+" one or more. Order
does not matter; a child that is not listed is malformed."""


def text(value: str) -> str:
    """Any text."""
    return value


def boolean(value: str) -> bool:
    """true or false. Raises ValueError."""
    lowered = value.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return lowered == "true"


def number(low: int = 0, high: int = 2**63 - 1) -> Leaf:
    """A whole number in low..high."""

    def read(value: str) -> int:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and low <= (found := int(value)) <= high):
            raise ValueError(f"{value!r} is not a number in {low}..{high}")
        return found

    return read


def one_of(*allowed: str) -> Leaf:
    """One of a few texts, exactly."""

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return read


def validate(element: Element, schema: Schema) -> None:
    """Raises OssError MalformedXML when an element is not as the schema says. Booleans get the spelling that the
    service answers with: clients put "True" and read "true"."""
    left = {child.tag for child in element}
    for spelled, inner in schema.items():
        name = spelled.rstrip("?*+")
        found = element.findall(name)
        left.discard(name)
        most, least = (1 if spelled[-1] not in "*+" else len(found)), int(spelled[-1] not in "?*")
        if not least <= len(found) <= most:
            raise _malformed(f"{element.tag} holds {len(found)} of {name}")
        for child in found:
            if isinstance(inner, Mapping):
                validate(child, inner)
                continue
            try:
                inner(child.text or "")
            except ValueError as error:
                raise _malformed(f"{name}: {error}") from error
            if len(child):
                raise _malformed(f"{name} holds elements")
            if inner is boolean:
                child.text = (child.text or "").strip().lower()
    if left:
        raise _malformed(f"{element.tag} holds {', '.join(sorted(left))}")


def _malformed(detail: str) -> OssError:
    return OssError("MalformedXML", extras={"ErrorDetail": detail})


def _check_depth(element: Element) -> None:
    level, depth = [element], 0
    while level:
        level = [child for parent in level for child in parent]
        depth += 1
        if depth > MAX_DEPTH:
            raise _malformed("the elements are nested too deeply")


def document(root: str, schema: Schema | None, body: bytes) -> Element:
    """A body that is an XML document with this root and, unless the schema is None, this content. Raises OssError
    MalformedXML."""
    element = parse(body, root)
    _check_depth(element)
    if schema is not None:
        validate(element, schema)
    return element


def xml(
    param: str,
    name: str,
    root: str,
    schema: Schema | None,
    *,
    unset: Callable[[Call], Response],
    check: Callable[[Call, Element], None] | None = None,
    deletable: bool = True,
    remove: Callable[[Call, bytes], bytes | None] | None = None,
) -> Configuration:
    """The row of a configuration that is kept as it was put: XML with this root and content (`document`), and whatever
    `check` has against it."""

    def accept(call: Call, body: bytes) -> bytes:
        element = document(root, schema, body)
        if check is not None:
            check(call, element)
        return body

    def render(kept: bytes) -> bytes:
        return canonical(document(root, schema, kept))

    return Configuration(param, name, accept, unset, render, deletable, remove=remove)


# What GET answers for a bucket without a configuration


def missing(code: str) -> Callable[[Call], Response]:
    """An error."""

    def answer(call: Call) -> Response:
        raise OssError(code, extras={"BucketName": call.bucket.name})

    return answer


def unset(body: bytes) -> Callable[[Call], Response]:
    """200 and a document."""

    def answer(call: Call) -> Response:
        return Response(200, {}, body)

    return answer
