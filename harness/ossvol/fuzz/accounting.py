"""log-explains-bytes: what a bucket must hold by its access log alone, beside the model and without it.

`Account` books every record of the bucket and then has to agree with the bucket: the same keys and sizes, and in the
end the same versions. A change that no request explains is a violation, and so is a request that was answered with
success and does not show. Each record is also held to itself: a PUT is as large as its body, a change of size is the
difference to what was there, nobody reads another size than there is. `delivered` is for the other direction, what a
read returns.

What the laboratory does beside the service (the verbs put, delete, versioning) is no request, and is told to the
account. Not followed, because nobody here sends it: DeleteObjects (OSS logs its keys apart), deletions of a version,
links of OSS, lifecycle. One thread, the runner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ossvol.fuzz.violation import violation

if TYPE_CHECKING:
    from osscloud.accesslog import AccessLog, LogRecord
    from osscloud.admin import VersionView

__all__ = ["Account", "delivered", "query"]

_WRITES = frozenset(("PutObject", "PostObject", "CopyObject", "AppendObject", "CompleteUpload"))
_PARTS = frozenset(("UploadPart", "UploadPartCopy"))
_READS = frozenset(("GetObject", "HeadObject", "GetObjectMeta"))
_UNFOLLOWED = frozenset(("DeleteObjects", "PutObjectSymlink"))
_COPYING = frozenset(("rename", "chmod", "chown", "utime"))


def delivered(records: Iterable[LogRecord], key: str) -> int:
    """Bytes of an object that GETs have brought."""
    return sum(one.bytes_out for one in records if one.operation == "GetObject" and one.object == key and _well(one))


def _well(record: LogRecord) -> bool:
    return 200 <= record.http_status < 300


class _Unexplained(Exception):
    """A record that cannot be right. fields: of the access log, what it should say."""

    def __init__(self, text: str, **fields: object) -> None:
        super().__init__(text)
        self.fields = fields


class Account:
    """bucket: empty when the account is opened; log: of its cloud, from now on."""

    def __init__(self, bucket: str, log: AccessLog) -> None:
        self.sizes: dict[str, int] = {}
        self._bucket = bucket
        self._log = log
        self._mark = log.mark()
        self._state = ""
        self._hosted = False
        self._versions: dict[str, list[tuple[bool, int | None]]] = {}
        self._parts: dict[tuple[str, str], dict[str, int]] = {}

    # --- what happens beside the service ---

    def put(self, key: str, size: int) -> None:
        """The laboratory has put an object there."""
        self._book()
        self._write(key, size)

    def delete(self, key: str) -> None:
        """As DELETE does."""
        self._book()
        self._delete(key)

    def versioning(self, state: str) -> None:
        """state: Enabled or Suspended, for what comes now."""
        self._book()
        self._state = state

    # --- what the log says ---

    def agrees(self, sizes: Mapping[str, int]) -> bool:
        """Books what has come and compares. sizes: of the bucket, by key. Where they differ a request may have come
        since they were taken, so take them again and `require` it. Raises Violation."""
        self._book()
        return self.sizes == sizes

    def require(self, sizes: Mapping[str, int], verb: str) -> None:
        """sizes: as in `agrees`, taken after it was called; verb: of the step. Raises Violation."""
        self._book()
        for key in sorted(self.sizes.keys() | sizes.keys()):
            booked, there = self.sizes.get(key), sizes.get(key)
            if booked == there:
                continue
            text = f"the log makes {key} {_told(booked)}, the bucket has {_told(there)}"
            if there is None:
                record: dict[str, Any] = {"operation": "DeleteObject", "object": key}
            else:
                record = {"operation": self._writer(verb, key), "object": key, "object_size": there}
            raise violation("log-explains-bytes", text, query(record))

    def _writer(self, verb: str, key: str) -> str:
        """What a step of this verb writes a key with."""
        copies = verb in _COPYING and (not key.endswith("/") if verb == "rename" else key in self.sizes)
        return "CopyObject" if copies else "PutObject"

    def require_versions(self, found: Iterable[VersionView]) -> None:
        """found: every version of the bucket, newest first. Raises Violation."""
        self._book()
        there: dict[str, list[tuple[bool, int | None]]] = {}
        for one in found:
            entry = (one.version_id == "null", None if one.delete_marker else one.size)
            there.setdefault(one.key, []).append(entry)
        for key in sorted(self._versions.keys() | there.keys()):
            booked, seen = self._versions.get(key, []), there.get(key, [])
            if booked != seen:
                text = f"the log makes the versions of {key} {_listed(booked)}, the bucket has {_listed(seen)}"
                expect = {"object": {key: {"versions": len(booked)}}}
                raise violation("log-explains-bytes", text, {"list": key, "expect": expect})

    def _book(self) -> None:
        records = self._log.since(self._mark)
        self._mark += len(records)
        for record in records:
            if record.bucket != self._bucket or not 200 <= record.http_status < 300:
                continue
            try:
                self._enter(record)
            except _Unexplained as wrong:
                told = {"operation": record.operation, "object": record.object, **wrong.fields}
                text = f"{record.operation} {record.object}: {wrong}"
                step = query(told) if wrong.fields else None
                raise violation("log-explains-bytes", text, step) from wrong

    def _enter(self, record: LogRecord) -> None:
        operation, key = record.operation, record.object
        if operation in _READS and record.delta_data_size is None:
            self._read(record)
        elif operation in _WRITES or (operation == "GetObject" and self._hosted):
            self._written(record)
        elif record.delta_data_size is not None and operation not in _PARTS:
            raise _Unexplained("no request of its kind writes")
        elif operation in ("DeleteObject", "AbortMultipartUpload"):
            if "versionId=" in record.request_uri:
                raise _Unexplained("the deletion of a version")
            if operation == "DeleteObject":
                self._delete(key)
            else:
                self._parts.pop((key, _parameter(record, "uploadId")), None)
        elif operation in _PARTS:
            parts = self._parts.setdefault((key, _parameter(record, "uploadId")), {})
            size = record.bytes_in if operation == "UploadPart" else record.object_size or 0
            self._hold(record, object_size=size, delta_data_size=size - parts.get(_parameter(record, "partNumber"), 0))
            parts[_parameter(record, "partNumber")] = size
        elif operation in ("PutBucketWebsite", "DeleteBucketWebsite"):
            self._hosted = operation == "PutBucketWebsite"
        elif operation in _UNFOLLOWED:
            raise _Unexplained("nobody here sends it")

    @staticmethod
    def _hold(record: LogRecord, **right: int) -> None:
        """The fields that can have one value only."""
        for name, value in right.items():
            if getattr(record, name) != value:
                raise _Unexplained(f"{name} is {getattr(record, name)}, not {value}", **right)

    def _read(self, record: LogRecord) -> None:
        """A website may answer with the page of another key."""
        if self._hosted or "versionId=" in record.request_uri:
            return
        size = self.sizes.get(record.object)
        if size is None:
            raise _Unexplained("there is nothing to read", http_status=404)
        self._hold(record, object_size=size)
        if record.bytes_out > size:
            raise _Unexplained(f"{record.bytes_out} bytes of {size}", object_size=size)

    def _written(self, record: LogRecord) -> None:
        key, size = record.object, record.object_size
        if size is None:
            raise _Unexplained("a request that writes says no size")
        before = self.sizes.get(key, 0)
        if record.operation == "PutObject":
            size = record.bytes_in
        elif record.operation == "AppendObject":
            size = before + record.bytes_in
        elif record.operation == "CompleteUpload":
            parts = self._parts.pop((key, _parameter(record, "uploadId")), {})
            size = min(size, sum(parts.values()))
        elif record.operation == "GetObject" and size < record.bytes_out:
            raise _Unexplained(f"{record.bytes_out} bytes of {size}")
        self._hold(record, object_size=size, delta_data_size=size - before)
        self._write(key, size)

    # --- what versioning makes of it ---

    def _write(self, key: str, size: int) -> None:
        self.sizes[key] = size
        self._push(key, size)

    def _delete(self, key: str) -> None:
        self.sizes.pop(key, None)
        if self._state:
            self._push(key, None)
        else:
            self._versions.pop(key, None)

    def _push(self, key: str, size: int | None) -> None:
        """A new version goes on top; one without an id takes the place of the one without an id."""
        null = self._state != "Enabled"
        kept: Sequence[tuple[bool, int | None]] = self._versions.get(key, ())
        self._versions[key] = [(null, size), *(one for one in kept if not (null and one[0]))]


def _parameter(record: LogRecord, name: str) -> str:
    return parse_qs(record.request_uri.partition("?")[2]).get(name, [""])[0]


def query(record: Mapping[str, Any]) -> dict[str, Any]:
    """A step that asks the log for what it should say."""
    return {"log": {"object": record["object"]}, "expect": {"records": [dict(record)]}}


def _told(size: int | None) -> str:
    return "absent" if size is None else f"{size} bytes"


def _listed(versions: Sequence[tuple[bool, int | None]]) -> str:
    return str([("marker" if size is None else size, "null" if null else "id") for null, size in versions])
