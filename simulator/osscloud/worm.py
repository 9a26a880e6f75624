"""Retention (WORM): for so many days after its last change an object can neither be overwritten nor deleted.

The policy is kept like a configuration, but has a life of its own: InProgress for a day, in which it can be dropped,
then gone unless it was locked; Locked for ever, and only ever longer. Any thread; changes under the store's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import configured, document, number
from osscloud.operations.digest import check_body
from osscloud.store import ENABLED, SUSPENDED, UNVERSIONED, Bucket, Version
from osscloud.xml import Document, iso_date, parse, parse_iso_date

__all__ = [
    "abort_worm",
    "check_deletion",
    "check_overwriting",
    "check_versioning",
    "complete_or_extend_worm",
    "get_worm",
    "initiate_worm",
    "protected_until",
]

_ROOT = "WormConfiguration"
_DAY = 86_400
_MAX_DAYS = 70 * 365


@dataclass(frozen=True, slots=True)
class _Policy:
    id: str
    locked: bool
    days: int
    created: int

    def in_force(self, now: int) -> bool:
        return self.locked or now < self.created + _DAY

    def document(self, now: int) -> bytes:
        written = Document(_ROOT)
        state = "Locked" if self.locked else "InProgress" if self.in_force(now) else "Expired"
        written.leaves({"WormId": self.id, "State": state, "RetentionPeriodInDays": self.days})
        written.leaf("CreationDate", iso_date(self.created))
        if not self.locked:
            written.leaf("ExpirationDate", iso_date(self.created + _DAY))
        return written.bytes()


def _read(kept: bytes) -> _Policy:
    root = parse(kept, _ROOT)
    return _Policy(
        root.findtext("WormId") or "",
        root.findtext("State") == "Locked",
        int(root.findtext("RetentionPeriodInDays") or 0),
        parse_iso_date(root.findtext("CreationDate") or "") or 0,
    )


def _policy(bucket: Bucket, now: int) -> _Policy | None:
    """The policy in force: one that was not locked in time is none."""
    policy = configured(bucket, "worm", _read)
    return policy if policy is not None and policy.in_force(now) else None


def _days(call: Call, root: str) -> int:
    body = bytes(call.request.body)
    check_body(call, body)
    element = document(root, {"RetentionPeriodInDays": number(1, _MAX_DAYS)}, body)
    return int(element.findtext("RetentionPeriodInDays") or 0)


def initiate_worm(call: Call) -> Response:
    """POST /?worm. Raises OssError WORMConfigurationAlreadyExists; InvalidRequest where versioning forbids it."""
    days = _days(call, "InitiateWormConfiguration")
    with call.store.lock:
        bucket = call.current_bucket()
        if _policy(bucket, call.now) is not None:
            raise OssError("WORMConfigurationAlreadyExists", extras={"BucketName": bucket.name})
        if bucket.versioning == SUSPENDED or (bucket.versioning == ENABLED and not call.config.worm_with_versioning):
            raise OssError(
                "InvalidRequest", "WORM is not supported by the versioning of the bucket.", ec="0027-00000003"
            )
        policy = _Policy(call.ids.upload_id(), False, days, call.now)
        bucket.configure("worm", policy.document(call.now))
    return Response(200, {"x-oss-worm-id": policy.id})


def _named(call: Call, bucket: Bucket) -> _Policy:
    policy = _policy(bucket, call.now)
    if policy is None or policy.id != call.params.get("wormId", ""):
        raise OssError("NoSuchWORMConfiguration", extras={"BucketName": bucket.name})
    return policy


def complete_or_extend_worm(call: Call) -> Response:
    """POST /?wormId=ID locks, with &wormExtend lengthens a locked policy. Raises OssError NoSuchWORMConfiguration,
    InvalidWORMConfiguration (locked already, not locked yet, not longer)."""
    extends = "wormExtend" in call.params
    days = _days(call, "ExtendWormConfiguration") if extends else 0
    with call.store.lock:
        bucket = call.current_bucket()
        policy = _named(call, bucket)
        if extends:
            if not policy.locked or days <= policy.days:
                raise OssError("InvalidWORMConfiguration")
            policy = _Policy(policy.id, True, days, policy.created)
        elif policy.locked:
            raise OssError("InvalidWORMConfiguration", "The WORM configuration is locked.")
        else:
            policy = _Policy(policy.id, True, policy.days, policy.created)
        bucket.configure("worm", policy.document(call.now))
    return Response(200)


def get_worm(call: Call) -> Response:
    """GET /?worm. Raises OssError NoSuchWORMConfiguration."""
    policy = _policy(call.bucket, call.now)
    if policy is None:
        raise OssError("NoSuchWORMConfiguration", extras={"BucketName": call.bucket.name})
    return Response(200, {}, policy.document(call.now))


def abort_worm(call: Call) -> Response:
    """DELETE /?worm. Raises OssError WORMConfigurationLocked."""
    with call.store.lock:
        bucket = call.current_bucket()
        policy = _policy(bucket, call.now)
        if policy is not None and policy.locked:
            raise OssError("WORMConfigurationLocked", extras={"BucketName": bucket.name})
        bucket.configure("worm", None)
    return Response(204)


def check_versioning(call: Call, bucket: Bucket, status: str) -> None:
    """Raises OssError InvalidRequest when a retention policy forbids this versioning status."""
    if _policy(bucket, call.now) is None:
        return
    if status == SUSPENDED or not call.config.worm_with_versioning:
        raise OssError("InvalidRequest", "A bucket with a retention policy keeps its versioning.", ec="0027-00000003")


def protected_until(bucket: Bucket, version: Version, now: int) -> int:
    """When the version's retention ends; 0 when there is none."""
    policy = _policy(bucket, now)
    return 0 if policy is None or version.is_marker else version.modified + policy.days * _DAY


def check_overwriting(bucket: Bucket, key: str, now: int) -> None:
    """Raises OssError FileImmutable when a write would replace a protected object. In a versioned bucket it does not:
    the object stays as a version."""
    if bucket.versioning == UNVERSIONED:
        check_deletion(bucket, bucket.objects.get(key), now)


def check_deletion(bucket: Bucket, version: Version | None, now: int) -> None:
    """Raises OssError FileImmutable when the version is protected."""
    if version is not None and now < protected_until(bucket, version, now):
        raise OssError("FileImmutable", extras={"ObjectName": version.key})
