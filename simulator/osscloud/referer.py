"""Hotlink protection: which pages may embed a bucket's objects.

Looks at anonymous requests and at signed URLs only; a request with an Authorization header passes (vendor
documentation, "Hotlink protection"). Any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import Configuration, Schema, boolean, configured, document, text, unset
from osscloud.store import Bucket
from osscloud.xml import Document, parse

__all__ = ["CONFIGURATION", "check_referer"]

_ROOT = "RefererConfiguration"
_SCHEMA: Schema = {
    "AllowEmptyReferer": boolean,
    "AllowTruncateQueryString?": boolean,
    "TruncatePath?": boolean,
    "RefererList": {"Referer*": text},
    "RefererBlacklist?": {"Referer*": text},
}


@dataclass(frozen=True, slots=True)
class _Rules:
    allow_empty: bool
    truncate_query: bool
    truncate_path: bool
    white: tuple[str, ...]
    black: tuple[str, ...]

    def admit(self, referer: str) -> bool:
        if not self.white and not self.black:
            return True
        if not referer:
            # With an empty list the emptiness of the header is not looked at; else everything would be refused.
            return self.allow_empty or not self.white
        if self.truncate_path:
            scheme, mark, rest = referer.rpartition("://")
            referer = scheme + mark + rest.partition("/")[0].partition("?")[0]
        elif self.truncate_query:
            referer = referer.partition("?")[0]
        if any(_matches(pattern, referer) for pattern in self.black):
            return False
        return not self.white or any(_matches(pattern, referer) for pattern in self.white)


def _matches(pattern: str, referer: str) -> bool:
    """A listed text stands for every address that begins with it, with or without the scheme; * and ? are wildcards."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return bool(expression.match(referer) or expression.match(referer.rpartition("://")[2]))


def _listed(root: Element, name: str) -> tuple[str, ...]:
    return tuple((e.text or "").strip() for e in root.findall(f"{name}/Referer") if (e.text or "").strip())


def _flag(root: Element, name: str, default: bool) -> bool:
    found = root.findtext(name)
    return default if found is None else boolean(found)


def _read(kept: bytes) -> _Rules:
    root = parse(kept, _ROOT)
    return _Rules(
        allow_empty=_flag(root, "AllowEmptyReferer", default=True),
        truncate_query=_flag(root, "AllowTruncateQueryString", default=True),
        truncate_path=_flag(root, "TruncatePath", default=False),
        white=_listed(root, "RefererList"),
        black=_listed(root, "RefererBlacklist"),
    )


def _accept(call: Call, body: bytes) -> bytes:
    document(_ROOT, _SCHEMA, body)
    return body


def _write(rules: _Rules) -> bytes:
    written = Document(_ROOT)
    written.leaves(
        {
            "AllowEmptyReferer": str(rules.allow_empty).lower(),
            "AllowTruncateQueryString": str(rules.truncate_query).lower(),
            "TruncatePath": str(rules.truncate_path).lower(),
        }
    )
    for name, listed in (("RefererList", rules.white), ("RefererBlacklist", rules.black)):
        if listed:
            written.open(name)
            for referer in listed:
                written.leaf("Referer", referer)
            written.close()
        elif name == "RefererList":
            written.leaf(name, "")
    return written.bytes()


def _render(kept: bytes) -> bytes:
    return _write(_read(kept))


_UNSET = _Rules(allow_empty=True, truncate_query=True, truncate_path=False, white=(), black=())

CONFIGURATION = Configuration("referer", "BucketReferer", _accept, unset(_write(_UNSET)), _render, deletable=False)


def check_referer(call: Call, bucket: Bucket) -> None:
    """Raises OssError AccessDenied for a request to an object from a page that may not make it."""
    if not call.key or "authorization" in call.headers:
        return
    rules = configured(bucket, "referer", _read)
    if rules is not None and not rules.admit(call.headers.get("referer", "")):
        raise OssError(
            "AccessDenied",
            "You are denied by bucket referer policy.",
            ec="0003-00000503",
            extras={"BucketName": bucket.name},
        )
