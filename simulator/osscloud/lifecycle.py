"""What lifecycle rules do to a bucket when days pass.

Rules act at midnight UTC (the vendor runs them once a day, from 08:00 in Beijing): an object is due at the first
midnight at which it is old enough. `evaluate` does one day after the other, so that moving the clock in one step or in
many gives the same bucket; days on which nothing is due cost nothing. It is deterministic and does nothing twice.
Callers hold the store's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from osscloud.accessmonitor import tracked_since
from osscloud.lifecyclerule import DAY, Rule, Transition, midnight, read_rules
from osscloud.operations.call import Call, Ids
from osscloud.operations.config import configured
from osscloud.storageclass import STORAGE_CLASSES
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket, Store, Tiering, Upload, Version, successor
from osscloud.worm import protected_until
from osscloud.xml import http_date

__all__ = ["DAY", "evaluate", "expiration_header", "visit"]


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
    rules: tuple[Rule, ...]
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

    def _current(self, version: Version, rules: list[Rule]) -> Iterator[_Action]:
        if version.is_marker:
            if version.older is None and any(rule.lone_markers for rule in rules):
                yield _Action(midnight(version.modified), 9, lambda day: self._remove(version))
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

    def _noncurrent(self, version: Version, since: int, rules: list[Rule]) -> Iterator[_Action]:
        for rule in rules:
            if not (version.is_marker or rule.covers(version)):
                continue
            due = rule.noncurrent_expiration.due(since) if rule.noncurrent_expiration else None
            if due is not None:
                yield _Action(max(due, self._protected(version)), 9, lambda day: self._remove(version))
            yield from self._transitions(version, since, rule.noncurrent_transitions, rule.atime_base)

    def _transitions(
        self, version: Version, born: int, transitions: tuple[Transition, ...], atime_base: int
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
        return midnight(until) if until else 0

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
    rules = tuple(rule for rule in configured(bucket, "lifecycle", read_rules) or () if rule.enabled)
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
    for rule in configured(bucket, "lifecycle", read_rules) or ():
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
    for rule in configured(bucket, "lifecycle", read_rules) or ():
        if rule.enabled and version.key.startswith(rule.prefix) and rule.covers(version):
            transitions = rule.transitions if current else rule.noncurrent_transitions
            if any(t.returns for t in transitions):
                return True
    return False
