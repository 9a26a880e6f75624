"""The RoutingRules of a website configuration: which rule a request meets, and where it leads.

Conditions and redirects are immutable values; everything here is a pure function of them and of one request. What a
mirror rule fetches is `mirror`'s business, when rules are looked at `website`'s. Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote
from xml.etree.ElementTree import Element

from osscloud.errors import OssError
from osscloud.mirrorrule import MIRROR_SCHEMA, Mirror, read_mirror
from osscloud.operations.config import Leaf, Schema, boolean, number, one_of, text
from osscloud.operations.metadata import invalid
from osscloud.xml import child_text

__all__ = [
    "CDN_HEADER",
    "RULE_SCHEMA",
    "Condition",
    "External",
    "HeaderCondition",
    "Internal",
    "Redirect",
    "Replacement",
    "Rule",
    "check_rules",
    "first_match",
    "location",
    "read_rules",
]

MAX_RULES = 20
MAX_HEADERS = 10

CDN_HEADER = "x-oss-redirect-type"
"""Marks a redirect of type AliCDN for the CDN before the bucket. The documents say that there is such a header and not
what it is called; the name is this service's own."""

_REDIRECT_CODES = ("301", "302", "305", "307")


@dataclass(frozen=True, slots=True)
class HeaderCondition:
    """One IncludeHeader: the request has the header, and its value is, starts or ends so; None does not ask."""

    name: str
    equals: str | None
    starts: str | None
    ends: str | None

    def holds(self, headers: Mapping[str, str]) -> bool:
        value = headers.get(self.name.lower())
        if value is None:
            return False
        return (
            (self.equals is None or value == self.equals)
            and (self.starts is None or value.startswith(self.starts))
            and (self.ends is None or value.endswith(self.ends))
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """status: what the request would be answered without the rule; None: whatever that is."""

    prefix: str = ""
    suffix: str = ""
    status: int | None = None
    headers: tuple[HeaderCondition, ...] = ()

    def holds(self, key: str, status: int, headers: Mapping[str, str]) -> bool:
        """Whether all of it holds. headers: of the request, lower-case names."""
        return (
            key.startswith(self.prefix)
            and key.endswith(self.suffix)
            and self.status in (None, status)
            and all(header.holds(headers) for header in self.headers)
        )


@dataclass(frozen=True, slots=True)
class Replacement:
    """What becomes of a key. whole: ReplaceKeyWith, with ${key} for the key. prefix: what the condition's prefix is
    replaced with; None leaves the key alone."""

    whole: str = ""
    prefix: str | None = None

    def of(self, key: str, matched: str) -> str:
        """matched: the prefix of the condition."""
        if self.whole:
            return self.whole.replace("${key}", key)
        return key if self.prefix is None else self.prefix + key[len(matched) :]


@dataclass(frozen=True, slots=True)
class External:
    """The client is sent to another URL. kind: AliCDN differs by one header. protocol, host: "" is the request's."""

    kind: Literal["External", "AliCDN"]
    code: int
    protocol: str
    host: str
    replacement: Replacement
    pass_query: bool


@dataclass(frozen=True, slots=True)
class Internal:
    """The service reads another key of the bucket."""

    replacement: Replacement


Redirect = External | Internal | Mirror


@dataclass(frozen=True, slots=True)
class Rule:
    number: int
    condition: Condition
    redirect: Redirect


def first_match(rules: Sequence[Rule], key: str, status: int, headers: Mapping[str, str], *, head: bool) -> Rule | None:
    """The rule that a request meets: the first one whose condition holds, whatever it leads to then.

    A mirror rule is for GetObject; for HEAD (head) only where it says MirrorAllowHeadObject."""
    for rule in rules:
        if rule.condition.holds(key, status, headers):
            if head and isinstance(rule.redirect, Mirror) and not rule.redirect.allow_head:
                continue
            return rule
    return None


def location(rule: Rule, redirect: External, *, key: str, query: str, scheme: str, host: str, bucket: str) -> str:
    """The URL that an External or AliCDN rule sends the client to. query: of the request, still encoded. scheme, host:
    of the request. bucket: its name when the path has to name it on the request's own host, else ""."""
    target = redirect.replacement.of(key, rule.condition.prefix)
    path = quote(target, safe="/-_.~!$&'()*+,;=:@", errors="surrogateescape")
    if not redirect.host and bucket:
        path = f"{bucket}/{path}"
    asked = f"?{query}" if redirect.pass_query and query else ""
    return f"{redirect.protocol or scheme}://{redirect.host or host}/{path}{asked}"


# Reading a configuration


def _word(*allowed: str) -> Leaf:
    """One of a few words, in any case."""
    return lambda value: one_of(*(word.lower() for word in allowed))(value.strip().lower())


RULE_SCHEMA: Schema = {
    "RuleNumber?": number(1, 2**31 - 1),
    "Condition?": {
        "KeyPrefixEquals?": text,
        "KeySuffixEquals?": text,
        "HttpErrorCodeReturnedEquals?": number(),
        "IncludeHeader*": {"Key": text, "Equals?": text, "StartsWith?": text, "EndsWith?": text},
    },
    "Redirect": {
        "RedirectType": one_of("External", "AliCDN", "Internal", "Mirror"),
        "Protocol?": _word("http", "https"),
        "HostName?": text,
        "HttpRedirectCode?": one_of(*_REDIRECT_CODES),
        "ReplaceKeyWith?": text,
        "ReplaceKeyPrefixWith?": text,
        "EnableReplacePrefix?": boolean,
        "PassQueryString?": boolean,
        **MIRROR_SCHEMA,
    },
    "LuaConfig?": {"Script?": text},
}


def check_rules(rules: Element, *, numbered: bool) -> None:
    """What a schema cannot say of RoutingRules. numbered: each has its RuleNumber, which is OSS's own; the documents of
    the S3 face have none. Raises OssError InvalidArgument, MalformedXML."""
    found = rules.findall("RoutingRule")
    if len(found) > MAX_RULES:
        raise invalid("RoutingRule", str(len(found)), f"The number of routing rules is over {MAX_RULES}.")
    numbers = [child_text(rule, "RuleNumber") for rule in found]
    if any((number is not None) != numbered for number in numbers):
        raise OssError("MalformedXML", ec="" if numbered else "0019-00000010", extras={"ErrorDetail": "RuleNumber"})
    if numbered and len({int(number or 0) for number in numbers}) != len(numbers):
        raise invalid("RuleNumber", ",".join(number or "" for number in numbers), "A rule number is used twice.")
    for rule in read_rules(rules):
        _check(rule)


def _check(rule: Rule) -> None:
    condition, redirect = rule.condition, rule.redirect
    status = "" if condition.status is None else str(condition.status)
    if len(condition.headers) > MAX_HEADERS:
        raise invalid("IncludeHeader", str(len(condition.headers)), f"At most {MAX_HEADERS} headers are compared.")
    if isinstance(redirect, Mirror):
        if condition.status != 404:
            raise invalid("HttpErrorCodeReturnedEquals", status, "A mirror rule needs the error code 404.")
        redirect.check()
        return
    if condition.status is not None and not 400 <= condition.status <= 599:
        raise invalid("HttpErrorCodeReturnedEquals", status, "An error code is between 400 and 599.")
    if redirect.replacement.whole and redirect.replacement.prefix is not None:
        raise invalid("ReplaceKeyWith", redirect.replacement.whole, "A rule replaces the key or its prefix, not both.")


def read_rules(rules: Element | None) -> tuple[Rule, ...]:
    """The rules of a valid RoutingRules element in the order in which they are tried: by number."""
    found = [] if rules is None else rules.findall("RoutingRule")
    read = [_rule(rule, position) for position, rule in enumerate(found, 1)]
    return tuple(sorted(read, key=lambda rule: rule.number))


def _rule(element: Element, position: int) -> Rule:
    redirect = element.find("Redirect")
    if redirect is None:
        raise OssError("MalformedXML", extras={"ErrorDetail": "RoutingRule holds 0 of Redirect"})
    return Rule(
        int(child_text(element, "RuleNumber") or position), _condition(element.find("Condition")), _redirect(redirect)
    )


def _condition(element: Element | None) -> Condition:
    if element is None:
        return Condition()
    status = child_text(element, "HttpErrorCodeReturnedEquals")
    return Condition(
        child_text(element, "KeyPrefixEquals") or "",
        child_text(element, "KeySuffixEquals") or "",
        int(status) if status else None,
        tuple(
            HeaderCondition(
                child_text(header, "Key") or "",
                child_text(header, "Equals"),
                child_text(header, "StartsWith"),
                child_text(header, "EndsWith"),
            )
            for header in element.findall("IncludeHeader")
        ),
    )


def _replacement(element: Element) -> Replacement:
    prefix = child_text(element, "ReplaceKeyPrefixWith")
    replaced = prefix or None
    if boolean(child_text(element, "EnableReplacePrefix") or "false"):
        # Without a new prefix the old one is cut off.
        replaced = prefix or ""
    return Replacement(child_text(element, "ReplaceKeyWith") or "", replaced)


def _redirect(element: Element) -> Redirect:
    kind = child_text(element, "RedirectType")
    replacement = _replacement(element)
    if kind == "Mirror":
        return read_mirror(element)
    if kind == "Internal":
        return Internal(replacement)
    return External(
        "AliCDN" if kind == "AliCDN" else "External",
        int(child_text(element, "HttpRedirectCode") or "301"),
        (child_text(element, "Protocol") or "").lower(),
        child_text(element, "HostName") or "",
        replacement,
        boolean(child_text(element, "PassQueryString") or "false"),
    )
