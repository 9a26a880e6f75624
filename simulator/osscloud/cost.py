"""The cost model: how long a request would have taken on the real service, in simulated milliseconds.

Nothing waits for it; it is a figure in the access log. It is linear in what the request really did:

    base of the operation + bytes in and out + what a listing had to look at

ListObjects V1 of a versioned bucket looks at every version and every delete marker in the range of keys that its page
covers; V2 only at the entries that it returns. docs/cloud.md explains the numbers; they are plausible, not measured.
"""

from __future__ import annotations

__all__ = ["BASE_MS", "DEFAULT_BASE_MS", "FIRST_BYTE_MS", "PER_MIB_MS", "PER_SCANNED_MS", "cost_ms"]

DEFAULT_BASE_MS = 8.0
"""Any operation without a row in `BASE_MS`."""

BASE_MS = {
    "HeadObject": 4.0,
    "GetObjectMeta": 4.0,
    "GetObjectSymlink": 4.0,
    "GetObject": 6.0,
    "PutObject": 12.0,
    "AppendObject": 12.0,
    "UploadPart": 12.0,
    "CopyObject": 15.0,
    "UploadPartCopy": 15.0,
    "CompleteUpload": 20.0,
    "DeleteObject": 8.0,
    "GetBucket": 10.0,
    "ListObjectVersions": 10.0,
}
"""Milliseconds by operation name of the access log."""

FIRST_BYTE_MS = {"IA": 10.0, "Archive": 100.0, "ColdArchive": 100.0, "DeepColdArchive": 100.0}
"""Milliseconds that reading an object of a class adds; of a frozen one, once it is restored or can be read directly."""

PER_MIB_MS = 10.0
"""Milliseconds a MiB moved, in either direction: about 100 MiB/s a connection."""

PER_SCANNED_MS = 0.02
"""Milliseconds for each entry, version or delete marker that a listing looks at: a page over 1,000,000 markers takes
20 s, one over 1,000 objects 30 ms."""


def cost_ms(operation: str, *, bytes_in: int, bytes_out: int, scanned: int) -> float:
    """Simulated milliseconds of one request. operation: name of the access log; scanned: entries looked at."""
    base = BASE_MS.get(operation, DEFAULT_BASE_MS)
    return base + (bytes_in + bytes_out) / 1048576 * PER_MIB_MS + scanned * PER_SCANNED_MS
