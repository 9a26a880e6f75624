"""Cross-origin resource sharing: the rules of a bucket, preflight requests, and the headers that let a page read an
answer.

`CONFIGURATION` is the configuration's row, `preflight` the operation OPTIONS, `admit` what the pipeline does to every
other answer. Any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from re import IGNORECASE, Pattern, compile, escape
from xml.etree.ElementTree import Element

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import (
    Configuration,
    Schema,
    boolean,
    configured,
    document,
    missing,
    number,
    one_of,
    text,
)
from osscloud.operations.metadata import invalid
from osscloud.store import Bucket
from osscloud.xml import canonical, child_text, parse

__all__ = ["CONFIGURATION", "Cors", "Rule", "admit", "preflight"]

MAX_RULES = 10
MAX_AGE = 999_999_999

_ROOT = "CORSConfiguration"
_METHODS = ("GET", "PUT", "DELETE", "POST", "HEAD")
_SCHEMA: Schema = {
    "CORSRule+": {
        "AllowedOrigin+": text,
        "AllowedMethod+": one_of(*_METHODS),
        "AllowedHeader*": text,
        "ExposeHeader*": text,
        "MaxAgeSeconds?": number(0, MAX_AGE),
    },
    "ResponseVary?": boolean,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One CORSRule, its texts as they were put."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age: str

    def allows(self, origin: str, method: str, headers: tuple[str, ...] = ()) -> bool:
        """headers: those that a preflight announces."""
        return (
            any(_pattern(allowed).fullmatch(origin) for allowed in self.origins)
            and method in self.methods
            and all(any(_pattern(allowed).fullmatch(name) for allowed in self.headers) for name in headers)
        )

    def answer(self, origin: str) -> dict[str, str]:
        """The headers of an answer to a request that the rule allows."""
        answer = {
            "Access-Control-Allow-Origin": "*" if "*" in self.origins else origin,
            "Access-Control-Allow-Methods": ", ".join(self.methods),
        }
        if self.exposed:
            answer["Access-Control-Expose-Headers"] = ", ".join(self.exposed)
        if self.max_age:
            answer["Access-Control-Max-Age"] = self.max_age
        return answer


@dataclass(frozen=True, slots=True)
class Cors:
    """vary: every answer of the bucket says Vary: Origin, also one to a request that no rule allows."""

    rules: tuple[Rule, ...]
    vary: bool


@lru_cache(maxsize=1024)
def _pattern(allowed: str) -> Pattern[str]:
    """A rule's text as a pattern: "*" stands for anything, case does not matter."""
    return compile(".*".join(escape(part) for part in allowed.split("*")), IGNORECASE)


def _accept(call: Call, body: bytes) -> bytes:
    element = document(_ROOT, _SCHEMA, body)
    rules = element.findall("CORSRule")
    if len(rules) > MAX_RULES:
        raise invalid("CORSRule", str(len(rules)), f"The number of CORS rules is over {MAX_RULES}.")
    for rule in rules:
        for name in ("AllowedOrigin", "AllowedHeader", "ExposeHeader"):
            for value in _texts(rule, name):
                if not value or value.count("*") > (name != "ExposeHeader"):
                    raise invalid(name, value, f"{name} is empty or has too many wildcards.")
    return body


def _render(kept: bytes) -> bytes:
    root = parse(kept, _ROOT)
    if root.find("ResponseVary") is None:
        vary = Element("ResponseVary")
        vary.text = "false"
        root.append(vary)
    return canonical(root)


CONFIGURATION = Configuration("cors", "BucketCors", _accept, missing("NoSuchCORSConfiguration"), _render)


def _read(kept: bytes) -> Cors:
    root = parse(kept, _ROOT)
    rules = tuple(
        Rule(
            _texts(rule, "AllowedOrigin"),
            _texts(rule, "AllowedMethod"),
            _texts(rule, "AllowedHeader"),
            _texts(rule, "ExposeHeader"),
            child_text(rule, "MaxAgeSeconds") or "",
        )
        for rule in root.findall("CORSRule")
    )
    return Cors(rules, boolean(child_text(root, "ResponseVary") or "false"))


def _texts(parent: Element, name: str) -> tuple[str, ...]:
    return tuple(child.text or "" for child in parent.findall(name))


def _match(cors: Cors, origin: str, method: str, headers: tuple[str, ...] = ()) -> Rule | None:
    return next((rule for rule in cors.rules if rule.allows(origin, method, headers)), None)


def preflight(call: Call) -> Response:
    """OPTIONS of a bucket or an object, which nobody signs. Raises OssError BadRequest, AccessForbidden."""
    origin, method = call.headers.get("origin", ""), call.headers.get("access-control-request-method", "")
    if not origin:
        raise OssError("BadRequest")
    if not method:
        raise OssError("BadRequest", "Invalid Access-Control-Request-Method: null")
    asked = call.headers.get("access-control-request-headers", "")
    headers = tuple(name.strip() for name in asked.split(",") if name.strip())
    cors = configured(call.bucket, "cors", _read)
    if cors is None:
        raise OssError("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.")
    rule = _match(cors, origin, method, headers)
    if rule is None:
        raise OssError("AccessForbidden")
    answer = rule.answer(origin)
    if asked:
        answer["Access-Control-Allow-Headers"] = ", ".join(headers)
    return Response(200, answer)


def admit(call: Call, bucket: Bucket, response: Response) -> Response:
    """The answer, of whatever kind, with what the bucket's rules grant to the page that asked; nothing when none allows
    it."""
    cors = configured(bucket, "cors", _read)
    if cors is None:
        return response
    more: dict[str, str] = {}
    origin = call.headers.get("origin", "")
    if origin and call.method != "OPTIONS":
        rule = _match(cors, origin, call.method)
        more = {} if rule is None else rule.answer(origin)
    if cors.vary:
        more["Vary"] = "Origin"
    return replace(response, headers={**response.headers, **more}) if more else response
