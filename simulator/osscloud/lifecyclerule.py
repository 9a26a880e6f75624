"""Lifecycle rules: what they say, and what is wrong with them. `CONFIGURATION` is the row that keeps them, `read_rules`
makes values of what is kept; what they do to a bucket is `lifecycle`'s business.

Immutable values and pure functions; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from itertools import combinations, pairwise
from xml.etree.ElementTree import Element, SubElement, tostring

from osscloud.accessmonitor import tracked_since
from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import (
    Configuration,
    Schema,
    boolean,
    document,
    missing,
    number,
    one_of,
    text,
)
from osscloud.operations.metadata import invalid
from osscloud.storageclass import STORAGE_CLASSES
from osscloud.store import Version
from osscloud.xml import canonical, parse, parse_iso_date

__all__ = ["CONFIGURATION", "DAY", "Rule", "Transition", "When", "midnight", "read_rules"]

DAY = 86_400
_ROOT = "LifecycleConfiguration"
_MAX_RULES = 1000
_SMALL = 65_536


def _date(value: str) -> int:
    moment = parse_iso_date(value)
    if moment is None or moment % DAY:
        raise ValueError(f"{value!r} is not midnight UTC of a day")
    return moment


_days = number(1, 36_500)
_class = one_of(*STORAGE_CLASSES)
_BY_ACCESS: Schema = {"IsAccessTime?": boolean, "ReturnToStdWhenVisit?": boolean, "AllowSmallFile?": boolean}
_TAG: Schema = {"Key": text, "Value?": text}
_SCHEMA: Schema = {
    "Rule+": {
        "ID?": text,
        "Prefix?": text,
        "Status": one_of("Enabled", "Disabled"),
        "Tag*": _TAG,
        "Filter?": {
            "ObjectSizeGreaterThan?": number(1),
            "ObjectSizeLessThan?": number(1),
            "Not*": {"Prefix?": text, "Tag?": _TAG},
        },
        "Expiration?": {
            "Days?": _days,
            "CreatedBeforeDate?": _date,
            "Date?": _date,
            "ExpiredObjectDeleteMarker?": boolean,
        },
        "Transition*": {"Days?": _days, "CreatedBeforeDate?": _date, "StorageClass": _class, **_BY_ACCESS},
        "NoncurrentVersionExpiration?": {"NoncurrentDays": _days},
        "NoncurrentVersionTransition*": {"NoncurrentDays": _days, "StorageClass": _class, **_BY_ACCESS},
        "AbortMultipartUpload?": {"Days?": _days, "CreatedBeforeDate?": _date},
        "AtimeBase?": number(),
    }
}


def midnight(moment: int) -> int:
    """The first midnight that is not before a moment."""
    return -(-moment // DAY) * DAY


# What rules say


@dataclass(frozen=True, slots=True)
class When:
    """The age that an action waits for: in days, or everything from before a date."""

    days: int = 0
    date: int = 0

    def due(self, born: int) -> int | None:
        """The first midnight at which something born then is due, None when it never is."""
        if self.days:
            return midnight(born + self.days * DAY)
        return self.date if born < self.date else None


@dataclass(frozen=True, slots=True)
class Transition:
    when: When
    storage_class: str
    by_access: bool = False
    returns: bool = False
    small_files: bool = True

    def moves(self, version: Version) -> bool:
        """Only to a colder class; a symlink has none."""
        if version.is_marker or version.type == "Symlink":
            return False
        if self.by_access and not self.small_files and version.size < _SMALL:
            return False
        return STORAGE_CLASSES.index(version.storage_class) < STORAGE_CLASSES.index(self.storage_class)


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    prefix: str
    enabled: bool
    tags: frozenset[tuple[str, str]]
    larger: int
    smaller: int
    excluded: tuple[tuple[str, tuple[str, str] | None], ...]
    expiration: When | None
    lone_markers: bool
    transitions: tuple[Transition, ...]
    noncurrent_expiration: When | None
    noncurrent_transitions: tuple[Transition, ...]
    abort: When | None
    atime_base: int

    def covers(self, version: Version) -> bool:
        """True when prefix (checked by the caller for whole ranges), tags and filters say so."""
        tags = (version.tags or {}).items()
        if not self.tags <= tags:
            return False
        if (self.larger and version.size <= self.larger) or (self.smaller and version.size >= self.smaller):
            return False
        return not any(version.key.startswith(p) and (t is None or t in tags) for p, t in self.excluded)


def _when(element: Element | None, days: str = "Days") -> When | None:
    if element is None:
        return None
    date = element.findtext("CreatedBeforeDate") or element.findtext("Date")
    found = When(int(element.findtext(days) or 0), _date(date) if date else 0)
    return found if found.days or found.date else None


def _flag(element: Element, name: str, default: bool = False) -> bool:
    found = element.findtext(name)
    return default if found is None else boolean(found)


def _tag(element: Element) -> tuple[str, str]:
    return element.findtext("Key") or "", element.findtext("Value") or ""


def _transition(element: Element, days: str) -> Transition:
    return Transition(
        _when(element, days) or When(),
        element.findtext("StorageClass") or "",
        _flag(element, "IsAccessTime"),
        _flag(element, "ReturnToStdWhenVisit"),
        _flag(element, "AllowSmallFile", default=True),
    )


def _rule(element: Element) -> Rule:
    expiration = element.find("Expiration")
    without = []
    for node in element.findall("Filter/Not"):
        tag = node.find("Tag")
        without.append((node.findtext("Prefix") or "", None if tag is None else _tag(tag)))
    return Rule(
        id=element.findtext("ID") or "",
        prefix=element.findtext("Prefix") or "",
        enabled=element.findtext("Status") == "Enabled",
        tags=frozenset(map(_tag, element.findall("Tag"))),
        larger=int(element.findtext("Filter/ObjectSizeGreaterThan") or 0),
        smaller=int(element.findtext("Filter/ObjectSizeLessThan") or 0),
        excluded=tuple(without),
        expiration=_when(expiration),
        lone_markers=expiration is not None and _flag(expiration, "ExpiredObjectDeleteMarker"),
        transitions=tuple(_transition(e, "Days") for e in element.findall("Transition")),
        noncurrent_expiration=_when(element.find("NoncurrentVersionExpiration"), "NoncurrentDays"),
        noncurrent_transitions=tuple(
            _transition(e, "NoncurrentDays") for e in element.findall("NoncurrentVersionTransition")
        ),
        abort=_when(element.find("AbortMultipartUpload")),
        atime_base=int(element.findtext("AtimeBase") or 0),
    )


def read_rules(kept: bytes) -> tuple[Rule, ...]:
    return tuple(map(_rule, parse(kept, _ROOT).findall("Rule")))


# What is wrong with them


def _accept(call: Call, body: bytes) -> bytes:
    root = document(_ROOT, _SCHEMA, body)
    elements = root.findall("Rule")
    if len(elements) > _MAX_RULES:
        raise OssError("MalformedXML", extras={"ErrorDetail": f"more than {_MAX_RULES} rules"})
    for number_, element in enumerate(elements):
        _check_dates(element)
        if not element.findtext("ID"):
            _name(element, number_)
        _base_accesses(call, element)
    rules = [_rule(element) for element in elements]
    ids = [rule.id for rule in rules]
    if len(set(ids)) != len(ids) or any(len(id_.encode()) > 255 for id_ in ids):
        raise OssError("InvalidArgument", "Rule IDs must be unique and have at most 255 bytes.")
    for rule in rules:
        _check_rule(rule)
    if call.headers.get("x-oss-allow-same-action-overlap", "").lower() != "true":
        for one, other in combinations(rules, 2):
            _check_overlap(one, other)
    kept: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return kept


def _name(element: Element, position: int) -> None:
    """The service invents an id for a rule that has none."""
    found = element.find("ID")
    if found is None:
        found = SubElement(element, "ID")
        element.remove(found)
        element.insert(0, found)
    seed = tostring(element) + str(position).encode()
    digest = sha1(seed, usedforsecurity=False).hexdigest()
    found.text = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def _base_accesses(call: Call, rule: Element) -> None:
    """A rule by accesses says since when they are known: what was not read since counts as read then."""
    by_access = [t for t in rule if _flag(t, "IsAccessTime")]
    if not by_access:
        return
    if any(t.find("CreatedBeforeDate") is not None for t in by_access):
        raise OssError("MalformedXML", ec="0014-00000047", extras={"ErrorDetail": "CreatedBeforeDate and IsAccessTime"})
    since = tracked_since(call.bucket)
    if since is None:
        raise OssError(
            "InvalidArgument", "Access monitor must be enabled for rules by access time.", ec="0014-00000016"
        )
    if rule.find("AtimeBase") is None:
        SubElement(rule, "AtimeBase").text = str(since)


def _check_dates(rule: Element) -> None:
    """Each action has exactly one age, and a rule counts in days or by dates, not both."""
    kinds: set[str] = set()
    actions = [*rule.findall("Expiration"), *rule.findall("Transition"), *rule.findall("AbortMultipartUpload")]
    for action in actions:
        ages = [e.tag for e in action if e.tag in ("Days", "CreatedBeforeDate", "Date", "ExpiredObjectDeleteMarker")]
        if len(ages) != 1:
            raise OssError("MalformedXML", extras={"ErrorDetail": f"{action.tag} needs exactly one of its ages"})
        if action.tag != "AbortMultipartUpload" and ages[0] != "ExpiredObjectDeleteMarker":
            kinds.add("Days" if ages[0] == "Days" else "Date")
    if len(kinds) > 1:
        raise OssError("InvalidRequest", "Days and CreatedBeforeDate can not be mixed.", ec="0014-00000080")
    noncurrent = rule.find("NoncurrentVersionExpiration"), rule.find("NoncurrentVersionTransition")
    if not actions and noncurrent == (None, None):
        raise OssError("MalformedXML", extras={"ErrorDetail": "a rule without an action"})


def _check_rule(rule: Rule) -> None:
    if rule.smaller and rule.smaller <= rule.larger:
        raise invalid("ObjectSizeLessThan", str(rule.smaller), "ObjectSizeLessThan must exceed ObjectSizeGreaterThan.")
    if rule.tags and (rule.lone_markers or rule.abort):
        raise OssError("InvalidArgument", "Tags can not be combined with uploads or delete markers.")
    for transitions, expiration in (
        (rule.transitions, rule.expiration),
        (rule.noncurrent_transitions, rule.noncurrent_expiration),
    ):
        _check_order(transitions, expiration)


def _check_order(transitions: tuple[Transition, ...], expiration: When | None) -> None:
    """Colder classes come later, the end comes last."""
    ordered = sorted(transitions, key=lambda t: STORAGE_CLASSES.index(t.storage_class))
    for t in ordered:
        if t.storage_class == "Standard":
            raise invalid("StorageClass", t.storage_class)
        if t.returns and (not t.by_access or t.storage_class != "IA"):
            raise invalid("ReturnToStdWhenVisit", "true")
    for earlier, later in pairwise(ordered):
        if earlier.storage_class == later.storage_class:
            raise OssError("InvalidArgument", "Two transitions to the same class.", ec="0014-00000079")
        if _age(earlier.when) >= _age(later.when):
            raise OssError("InvalidArgument", "A colder class must come later.", ec="0014-00000082")
    if expiration is not None and any(_age(t.when) >= _age(expiration) for t in ordered):
        raise OssError("InvalidArgument", "Expiration must come after every transition.", ec="0014-00000082")


def _age(when: When) -> int:
    return when.days or when.date


def _check_overlap(one: Rule, other: Rule) -> None:
    """Vendor documentation, errors 0014-00000079 to 0014-00000085: rules for overlapping prefixes (and the same tags)
    must not do the same."""
    if not (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)) or one.tags != other.tags:
        return
    if one.prefix == other.prefix and one.excluded == other.excluded and _sizes_meet(one, other):
        raise OssError("InvalidRequest", "Found same prefix in different rules", ec="0014-00000085")
    if not _sizes_meet(one, other):
        return
    ages = [t.when for rule in (one, other) for t in rule.transitions]
    ages += [rule.expiration for rule in (one, other) if rule.expiration]
    if ages and len({bool(age.days) for age in ages}) > 1:
        raise OssError("InvalidRequest", "Days and CreatedBeforeDate can not be mixed.", ec="0014-00000080")
    if {t.storage_class for t in one.transitions} & {t.storage_class for t in other.transitions}:
        raise OssError("InvalidArgument", "Overlapping prefixes for the same transition.", ec="0014-00000079")
    if (
        (one.expiration and other.expiration)
        or (one.noncurrent_expiration and other.noncurrent_expiration)
        or (one.abort and other.abort)
    ):
        raise OssError("InvalidArgument", "Overlapping prefixes for the same action.", ec="0014-00000084")
    _check_order((*one.transitions, *other.transitions), one.expiration or other.expiration)


def _sizes_meet(one: Rule, other: Rule) -> bool:
    top = 2**63
    return one.larger < (other.smaller or top) - 1 and other.larger < (one.smaller or top) - 1


def _render(kept: bytes) -> bytes:
    return canonical(parse(kept, _ROOT))


CONFIGURATION = Configuration("lifecycle", "BucketLifecycle", _accept, missing("NoSuchLifecycle"), _render)
