"""Lifecycle rules: what they say, what is wrong with them, and what they do to a bucket when days pass.

Rules act at midnight UTC (the vendor runs them once a day, from 08:00 in Beijing): an object is due at the first
midnight at which it is old enough. `evaluate` does one day after the other, so that moving the clock in one step or in
many gives the same bucket; days on which nothing is due cost nothing. It is deterministic and does nothing twice.
Callers hold the store's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha1
from itertools import combinations, pairwise
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from osscloud.accessmonitor import tracked_since
from osscloud.errors import OssError
from osscloud.operations.call import Call, Ids
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
from osscloud.storageclass import STORAGE_CLASSES
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket, Store, Tiering, Upload, Version, successor
from osscloud.worm import protected_until
from osscloud.xml import canonical, http_date, parse, parse_iso_date

__all__ = ["CONFIGURATION", "DAY", "evaluate", "expiration_header", "visit"]

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


# What rules say


@dataclass(frozen=True, slots=True)
class _When:
    """The age that an action waits for: in days, or everything from before a date."""

    days: int = 0
    date: int = 0

    def due(self, born: int) -> int | None:
        """The first midnight at which something born then is due, None when it never is."""
        if self.days:
            return _midnight(born + self.days * DAY)
        return self.date if born < self.date else None


@dataclass(frozen=True, slots=True)
class _Transition:
    when: _When
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
class _Rule:
    id: str
    prefix: str
    enabled: bool
    tags: frozenset[tuple[str, str]]
    larger: int
    smaller: int
    excluded: tuple[tuple[str, tuple[str, str] | None], ...]
    expiration: _When | None
    lone_markers: bool
    transitions: tuple[_Transition, ...]
    noncurrent_expiration: _When | None
    noncurrent_transitions: tuple[_Transition, ...]
    abort: _When | None
    atime_base: int

    def covers(self, version: Version) -> bool:
        """True when prefix (checked by the caller for whole ranges), tags and filters say so."""
        tags = (version.tags or {}).items()
        if not self.tags <= tags:
            return False
        if (self.larger and version.size <= self.larger) or (self.smaller and version.size >= self.smaller):
            return False
        return not any(version.key.startswith(p) and (t is None or t in tags) for p, t in self.excluded)


def _when(element: Element | None, days: str = "Days") -> _When | None:
    if element is None:
        return None
    date = element.findtext("CreatedBeforeDate") or element.findtext("Date")
    found = _When(int(element.findtext(days) or 0), _date(date) if date else 0)
    return found if found.days or found.date else None


def _flag(element: Element, name: str, default: bool = False) -> bool:
    found = element.findtext(name)
    return default if found is None else boolean(found)


def _tag(element: Element) -> tuple[str, str]:
    return element.findtext("Key") or "", element.findtext("Value") or ""


def _transition(element: Element, days: str) -> _Transition:
    return _Transition(
        _when(element, days) or _When(),
        element.findtext("StorageClass") or "",
        _flag(element, "IsAccessTime"),
        _flag(element, "ReturnToStdWhenVisit"),
        _flag(element, "AllowSmallFile", default=True),
    )


def _rule(element: Element) -> _Rule:
    expiration = element.find("Expiration")
    without = []
    for node in element.findall("Filter/Not"):
        tag = node.find("Tag")
        without.append((node.findtext("Prefix") or "", None if tag is None else _tag(tag)))
    return _Rule(
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


def _read(kept: bytes) -> tuple[_Rule, ...]:
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


def _check_rule(rule: _Rule) -> None:
    if rule.smaller and rule.smaller <= rule.larger:
        raise invalid("ObjectSizeLessThan", str(rule.smaller), "ObjectSizeLessThan must exceed ObjectSizeGreaterThan.")
    if rule.tags and (rule.lone_markers or rule.abort):
        raise OssError("InvalidArgument", "Tags can not be combined with uploads or delete markers.")
    for transitions, expiration in (
        (rule.transitions, rule.expiration),
        (rule.noncurrent_transitions, rule.noncurrent_expiration),
    ):
        _check_order(transitions, expiration)


def _check_order(transitions: tuple[_Transition, ...], expiration: _When | None) -> None:
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


def _age(when: _When) -> int:
    return when.days or when.date


def _check_overlap(one: _Rule, other: _Rule) -> None:
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


def _sizes_meet(one: _Rule, other: _Rule) -> bool:
    top = 2**63
    return one.larger < (other.smaller or top) - 1 and other.larger < (one.smaller or top) - 1


def _render(kept: bytes) -> bytes:
    return canonical(parse(kept, _ROOT))


CONFIGURATION = Configuration("lifecycle", "BucketLifecycle", _accept, missing("NoSuchLifecycle"), _render)


# What they do


class _Action(NamedTuple):
    """Something that becomes due. due: the first midnight; weight: of two that are due together the heavier is done."""

    due: int
    weight: int
    do: Callable[[int], None]


@dataclass(slots=True)
class _Plan:
    """The rules of one bucket, applied to what is in it."""

    bucket: Bucket
    ids: Ids
    rules: tuple[_Rule, ...]
    monitored: bool
    today: int

    def pending(self) -> Iterator[_Action]:
        """What is due at some time: one action an object, version, marker or upload, the first."""
        for key in self._keys():
            newest = self.bucket.newest(key)
            if newest is None:
                continue
            matching = [rule for rule in self.rules if key.startswith(rule.prefix)]
            yield from _first(self._current(newest, matching))
            newer, version = newest, newest.older
            while version is not None:
                yield from _first(self._noncurrent(version, newer.modified, matching))
                newer, version = version, version.older
        for upload in self.bucket.uploads.values():
            yield from _first(self._upload(upload))

    def _keys(self) -> list[str]:
        prefixes = sorted({rule.prefix for rule in self.rules})
        tops = [p for p in prefixes if not any(p != q and p.startswith(q) for q in prefixes)]
        return [
            key for p in tops for key in self.bucket.version_keys(p, inclusive=True, below=successor(p) if p else None)
        ]

    def _current(self, version: Version, rules: list[_Rule]) -> Iterator[_Action]:
        if version.is_marker:
            if version.older is None and any(rule.lone_markers for rule in rules):
                yield _Action(_midnight(version.modified), 9, lambda day: self._remove(version))
            return
        for rule in rules:
            if not rule.covers(version):
                continue
            due = rule.expiration.due(version.modified) if rule.expiration else None
            if due is not None:
                if self.bucket.versioning == UNVERSIONED:
                    due = max(due, self._protected(version))
                yield _Action(due, 9, lambda day: self._expire(version, day))
            yield from self._transitions(version, version.modified, rule.transitions, rule.atime_base)

    def _noncurrent(self, version: Version, since: int, rules: list[_Rule]) -> Iterator[_Action]:
        for rule in rules:
            if not (version.is_marker or rule.covers(version)):
                continue
            due = rule.noncurrent_expiration.due(since) if rule.noncurrent_expiration else None
            if due is not None:
                yield _Action(max(due, self._protected(version)), 9, lambda day: self._remove(version))
            yield from self._transitions(version, since, rule.noncurrent_transitions, rule.atime_base)

    def _transitions(
        self, version: Version, born: int, transitions: tuple[_Transition, ...], atime_base: int
    ) -> Iterator[_Action]:
        for transition in transitions:
            if not transition.moves(version):
                continue
            if transition.by_access:
                if not self.monitored:
                    continue
                seen = version.tiering.accessed if version.tiering else 0
                due = transition.when.due(max(born, seen, atime_base))
            else:
                due = transition.when.due(born)
            if due is not None:
                yield self._transition(version, due, transition.storage_class)

    def _transition(self, version: Version, due: int, storage_class: str) -> _Action:
        def move(day: int) -> None:
            version.storage_class = storage_class
            version.tiering = replace(version.tiering or Tiering(), transitioned=day, thawed=0, frozen=0, tier="")
            self.bucket.changed(version)

        return _Action(due, STORAGE_CLASSES.index(storage_class), move)

    def _upload(self, upload: Upload) -> Iterator[_Action]:
        for rule in self.rules:
            if rule.abort and upload.key.startswith(rule.prefix):
                due = rule.abort.due(upload.initiated)
                if due is not None:
                    yield _Action(due, 9, lambda day: self.bucket.remove_upload(upload))

    def _protected(self, version: Version) -> int:
        """The first midnight after the version's retention."""
        until = protected_until(self.bucket, version, self.today)
        return _midnight(until) if until else 0

    def _expire(self, version: Version, day: int) -> None:
        """The current version goes: for good, or below a delete marker."""
        if self.bucket.versioning == UNVERSIONED:
            self.bucket.remove(version.key, NULL_VERSION)
            return
        marker = Version(version.key, version_id=self.ids.version_id(self.bucket), type="DeleteMarker", modified=day)
        self.bucket.publish(marker)

    def _remove(self, version: Version) -> None:
        self.bucket.remove(version.key, version.version_id)


def _first(actions: Iterator[_Action]) -> Iterator[_Action]:
    found = min(actions, key=lambda action: (action.due, -action.weight), default=None)
    if found is not None:
        yield found


def _midnight(moment: int) -> int:
    """The first midnight that is not before a moment."""
    return -(-moment // DAY) * DAY


def evaluate(store: Store, ids: Ids, now: int) -> None:
    """Applies every rule of every bucket for each midnight since the last call up to `now`."""
    today = now // DAY * DAY
    last = store.evaluated
    store.evaluated = max(today, last)
    if not last or today <= last:
        return
    for bucket in list(store.buckets.values()):
        if "lifecycle" in bucket.configs:
            _evaluate(bucket, ids, last, today)


def _evaluate(bucket: Bucket, ids: Ids, last: int, today: int) -> None:
    rules = tuple(rule for rule in configured(bucket, "lifecycle", _read) or () if rule.enabled)
    if not rules:
        return
    plan = _Plan(bucket, ids, rules, tracked_since(bucket) is not None, today)
    day = last
    while True:
        # What was due before its rule existed is done at the next midnight.
        day += DAY
        pending = list(plan.pending())
        next_due = min((action.due for action in pending), default=today + DAY)
        day = max(day, next_due)
        if day > today:
            return
        for action in pending:
            if action.due <= day:
                action.do(day)


def expiration_header(bucket: Bucket, version: Version) -> str:
    """The text of x-oss-expiration, "" when no rule will expire this current version."""
    if version is not bucket.objects.get(version.key):
        return ""
    found: list[tuple[int, str]] = []
    for rule in configured(bucket, "lifecycle", _read) or ():
        if rule.enabled and rule.expiration and version.key.startswith(rule.prefix) and rule.covers(version):
            due = rule.expiration.due(version.modified)
            if due is not None:
                found.append((due, rule.id))
    if not found:
        return ""
    due, rule_id = min(found)
    return f'expiry-date="{http_date(due)}", rule-id="{rule_id}"'


def visit(call: Call, bucket: Bucket, version: Version) -> None:
    """Notes that an object was read, in a bucket that monitors access, the first time in 24 hours; one that lifecycle
    moved to IA comes back to Standard when its rule says so."""
    if tracked_since(bucket) is None:
        return
    with call.store.lock:
        tiering = version.tiering or Tiering()
        if tiering.accessed and call.now < tiering.accessed + DAY and not tiering.transitioned:
            return
        if call.now >= tiering.accessed + DAY:
            tiering = replace(tiering, accessed=call.now)
        version.tiering = tiering
        if version.storage_class == "IA" and version.tiering.transitioned and _returns(bucket, version):
            version.storage_class = "Standard"
            version.tiering = replace(version.tiering, transitioned=0)
        bucket.changed(version)


def _returns(bucket: Bucket, version: Version) -> bool:
    current = version is bucket.objects.get(version.key)
    for rule in configured(bucket, "lifecycle", _read) or ():
        if rule.enabled and version.key.startswith(rule.prefix) and rule.covers(version):
            transitions = rule.transitions if current else rule.noncurrent_transitions
            if any(t.returns for t in transitions):
                return True
    return False
