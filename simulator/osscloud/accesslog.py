"""The access log: one record a request, with what it cost and who caused it.

Field names follow the real-time log of OSS (SLS topic oss_access_log) where it has the field. Any thread may append
and read; records do not change.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

from osscloud.message import Caller

__all__ = ["AccessLog", "LogRecord"]


@dataclass(slots=True)
class LogRecord:
    """One request.

    time: seconds since the epoch. operation: as OSS's log names it ("GetObject", "HeadObject", "PutObject",
    "CopyObject", "GetBucket" for both list versions, ...), "-" when the request was refused before it was known.
    object: decoded key. error_code, ec: "" on success. bytes_in, bytes_out: of the bodies. scanned: entries, versions
    and markers that a listing looked at; returned: entries it gave. cost_ms: simulated (`cost`). fault: the answer was
    made by the fault plan. caller: the file operation behind it, when it came through a mount. host, referer: headers.
    requester_id: account of who signed. object_size: of the object that was read, or is there now; of the part that a
    request for a part wrote. delta_data_size: by how much a writing request changed the size of what the key held, None
    (OSS: "-") for any other and for deletions; a GET that a mirror rule made write has one.
    """

    time: float
    request_id: str
    operation: str
    bucket: str
    object: str
    http_method: str
    request_uri: str
    http_status: int
    error_code: str
    ec: str
    bytes_in: int
    bytes_out: int
    user_agent: str
    client_ip: str
    access_key_id: str
    scanned: int
    returned: int
    cost_ms: float
    fault: bool
    caller: Caller | None
    host: str = ""
    referer: str = ""
    requester_id: str = ""
    object_size: int | None = None
    delta_data_size: int | None = None


class _Records(Sequence[LogRecord]):
    """The kept records, oldest first: a read-only view that grows with the log."""

    def __init__(self, records: deque[LogRecord]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> LogRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[LogRecord]: ...
    def __getitem__(self, index: int | slice) -> LogRecord | list[LogRecord]:
        return list(self._records)[index] if isinstance(index, slice) else self._records[index]

    def __iter__(self) -> Iterator[LogRecord]:
        return iter(list(self._records))


class AccessLog:
    """limit: how many records are kept, the newest; None keeps all."""

    def __init__(self, limit: int | None = None) -> None:
        self._lock = threading.Lock()
        self._kept: deque[LogRecord] = deque(maxlen=limit)
        self._total = 0
        self.records: Sequence[LogRecord] = _Records(self._kept)

    def append(self, record: LogRecord) -> None:
        with self._lock:
            self._kept.append(record)
            self._total += 1

    def mark(self) -> int:
        """A position to give to `since`: the number of requests so far."""
        return self._total

    def since(self, mark: int) -> list[LogRecord]:
        """The records that came after `mark`, as far as they are kept."""
        with self._lock:
            newest = self._total - mark
            if newest <= 0:
                return []
            return list(islice(reversed(self._kept), newest))[::-1]
