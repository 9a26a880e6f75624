"""The one place of the cloud that writes and reads XML, and the two date spellings that go with it.

OSS's answers carry no xmlns. Documents are written by a small typed writer (a listing page of 1,000 entries as
ElementTree nodes costs ten times as much) and read with defusedxml. A `Document` belongs to one thread; everything
else here is a pure function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from osscloud.errors import OssError

__all__ = [
    "Document",
    "Row",
    "canonical",
    "child_text",
    "children",
    "error_document",
    "escape",
    "http_date",
    "iso_date",
    "parse",
    "parse_http_date",
    "parse_iso_date",
]

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPECIAL = re.compile("[&<>\x00-\x08\x0b-\x1f]").search
_REPLACEMENTS = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"} | {
    # OSS writes control characters as references too; XML 1.0 parsers then refuse the document, as clients that do not
    # ask for encoding-type=url find out on the real service.
    code: f"&#{code};"
    for code in range(32)
    if chr(code) not in "\t\n"
}


def escape(text: str) -> str:
    """Text as element content."""
    return text.translate(_REPLACEMENTS) if _SPECIAL(text) else text


class Row:
    """A flat element that repeats many times in one document.

    columns: names of its children in order; a slash opens one level ("Owner/ID"). Only the first column is escaped: the
    others take what never needs it (numbers, dates, ids, constants, text that went through `escape`).
    """

    __slots__ = ("_format",)

    def __init__(self, element: str, *columns: str) -> None:
        pieces = [f"<{element}>"]
        parent = ""
        for column in columns:
            above, _, name = column.rpartition("/")
            if above != parent:
                pieces.append((f"</{parent}>" if parent else "") + (f"<{above}>" if above else ""))
                parent = above
            pieces.append(f"<{name}>%s</{name}>")
        pieces.append((f"</{parent}>" if parent else "") + f"</{element}>")
        self._format = "".join(pieces)

    def text(self, first: str | int, *others: str | int) -> str:
        """The element with these values, one a column."""
        return self._format % (escape(first) if isinstance(first, str) else first, *others)


class Document:
    """A document under construction: `open`/`close` nest, `leaf` writes text, `bytes` ends it."""

    __slots__ = ("_open", "_parts", "url_encoded")

    def __init__(self, root: str, *, url_encoded: bool = False) -> None:
        """url_encoded: `key` percent-encodes, as a client asked for with encoding-type=url."""
        self._parts = [_DECLARATION, f"<{root}>"]
        self._open = [root]
        self.url_encoded = url_encoded

    def leaf(self, name: str, value: str | int) -> None:
        """<name>value</name>; an empty text stays as an empty element."""
        self._parts.append(f"<{name}>{escape(value) if isinstance(value, str) else value}</{name}>")

    def leaves(self, values: Mapping[str, str | int]) -> None:
        """One `leaf` an item."""
        for name, value in values.items():
            self.leaf(name, value)

    def key(self, name: str, value: str) -> None:
        """A leaf that holds an object name or part of one."""
        self.leaf(name, self.encode(value))

    def encode(self, value: str) -> str:
        """An object name as this document spells it (not yet escaped)."""
        return quote(value, safe="", errors="surrogateescape") if self.url_encoded else value

    def rows(self, rows: Sequence[str]) -> None:
        """Elements written by `Row.text`."""
        self._parts.extend(rows)

    def open(self, name: str) -> None:
        self._parts.append(f"<{name}>")
        self._open.append(name)

    def close(self) -> None:
        self._parts.append(f"</{self._open.pop()}>")

    @staticmethod
    def single(name: str, text: str) -> bytes:
        """A document that is one element with text."""
        return f"{_DECLARATION}<{name}>{escape(text)}</{name}>".encode()

    def bytes(self) -> bytes:
        """Closes what is open; the document as UTF-8."""
        while self._open:
            self.close()
        return "".join(self._parts).encode("utf-8", "surrogateescape")


def parse(body: bytes | bytearray | memoryview, root: str) -> Element:
    """The root element of a request body; namespaces are dropped. root "" takes any. Raises OssError MalformedXML when
    the body is not XML, uses a DTD or entities, or has another root element."""
    text, references = _CONTROL_REFERENCE.subn(_stand_in, bytes(body))
    try:
        element: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        # LookupError: an encoding that nobody knows.
        raise OssError("MalformedXML", extras={"ErrorDetail": str(error)}) from error
    for node in element.iter():
        if "}" in node.tag:
            node.tag = node.tag.rpartition("}")[2]
        if references and node.text:
            node.text = node.text.translate(_STOOD_IN_FOR)
    if root and element.tag != root:
        raise OssError("MalformedXML", extras={"ErrorDetail": f"unexpected element {element.tag}"})
    return element


# XML 1.0 knows no references to control characters, but clients name keys by them and the service reads them. While a
# parser looks, characters that mean nothing stand in.
_CONTROL_REFERENCE = re.compile(rb"&#(?:x0*([0-9A-Fa-f]{1,2})|0*([0-9]{1,2}));")
_STAND_INS = 0x10FF00
_STOOD_IN_FOR = {_STAND_INS + code: chr(code) for code in range(1, 32)}


def _stand_in(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    if not 1 <= code < 32 or code in (9, 10, 13):
        return match[0]
    return b"&#x%X;" % (_STAND_INS + code)


def canonical(element: Element) -> bytes:
    """A parsed document as OSS gives it back: declaration, no namespace, no white space between elements."""
    document = Document(element.tag)
    if len(element):
        _copy(document, element)
    elif element.text:
        return Document.single(element.tag, element.text)
    return document.bytes()


def _copy(document: Document, parent: Element) -> None:
    for child in parent:
        if len(child):
            document.open(child.tag)
            _copy(document, child)
            document.close()
        else:
            document.leaf(child.tag, child.text or "")


def children(element: Element, name: str) -> list[Element]:
    """The direct children of that name."""
    return element.findall(name)


def child_text(element: Element, name: str) -> str | None:
    """The text of a direct child ("" when it is empty), None when there is no such child."""
    child = element.find(name)
    return None if child is None else (child.text or "")


@lru_cache(maxsize=4096)
def iso_date(seconds: int) -> str:
    """Seconds since the epoch as OSS's XML spells them: always zero milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    """Seconds since the epoch as a header spells them (RFC 1123)."""
    return formatdate(seconds, usegmt=True)


def parse_http_date(text: str) -> int | None:
    """A header's date as seconds since the epoch; None when it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def parse_iso_date(text: str) -> int | None:
    """An ISO 8601 moment ("2024-09-03T00:00:00.000Z"; UTC when it names no zone) as seconds since the epoch; None when
    it is not one."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def error_document(error: OssError, *, request_id: str, host: str) -> bytes:
    """OSS's error body: Code, Message, RequestId, HostId, the extras of the error, EC, RecommendDoc."""
    document = Document("Error")
    document.leaves({"Code": error.code, "Message": error.message, "RequestId": request_id, "HostId": host})
    for name, value in error.extras.items():
        if isinstance(value, str):
            document.leaf(name, value)
        else:
            document.open(name)
            document.leaves(value)
            document.close()
    if error.ec:
        document.leaf("EC", error.ec)
        document.leaf("RecommendDoc", f"https://api.aliyun.com/troubleshoot?q={error.ec}")
    return document.bytes()
