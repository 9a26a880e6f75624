"""Questions to the access log: which records fit, and what they come to by operation, user agent, process or file
operation. What the vendor's FAQ does in SLS with `operation : HeadObject | select ... group by`.

Pure functions over records; any thread. Names of fields are those of OSS's real-time log where it has the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal, get_args

from osscloud.accesslog import LogRecord
from osscloud.message import Caller

__all__ = ["FILTERS", "GROUPINGS", "Group", "LogFilter", "group", "parse_record", "record_json"]

Grouping = Literal["process", "file-operation", "user-agent", "operation"]
GROUPINGS: tuple[str, ...] = get_args(Grouping)

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def record_json(record: LogRecord) -> str:
    """One record as a JSON object on one line."""
    return json.dumps(asdict(record), separators=(",", ":"))


def parse_record(text: str) -> LogRecord:
    """Undoes `record_json`. Raises ValueError."""
    known = json.loads(text)
    if not isinstance(known, dict):
        raise ValueError("not an object")
    caller = known.get("caller")
    wanted = fields(LogRecord)
    # What has a default came later: older files are read as well.
    if missing := {field.name for field in wanted if field.default is MISSING} - known.keys():
        raise ValueError(f"no {', '.join(sorted(missing))}")
    values = {field.name: known[field.name] for field in wanted if field.name in known}
    for field in wanted:
        value = values.get(field.name, field.default)
        if field.type in _TYPES and not isinstance(value, _TYPES[str(field.type)]):
            raise ValueError(f"{field.name} cannot be {value!r}")
    if caller is not None:
        try:
            values["caller"] = Caller(**caller)
        except TypeError as error:
            raise ValueError(f"caller: {error}") from error
    return LogRecord(**values)


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "int | None": (int, type(None)),
}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which records are meant; "" and None mean any.

    operation, bucket, error_code, client_ip, request_id: exactly. object: fnmatch pattern of the key. status: ranges of
    http_status, both ends included. user_agent: how it starts. since, until: seconds since the epoch, since included.
    """

    operation: str = ""
    bucket: str = ""
    object: str = ""
    status: tuple[tuple[int, int], ...] = ()
    error_code: str = ""
    user_agent: str = ""
    client_ip: str = ""
    request_id: str = ""
    since: float | None = None
    until: float | None = None

    @classmethod
    def parse(cls, texts: Mapping[str, str], *, now: float) -> LogFilter:
        """From texts by the name of the field, as a command line or query has them.

        status: "404", "4xx", "400-403", several with commas. since, until: "2024-09-03T08:00:00Z" (UTC without a zone),
        seconds since the epoch, or how long before `now`: "90s", "10m", "2h", "1d". Raises ValueError, which says what
        would be right."""
        if unknown := texts.keys() - set(FILTERS):
            raise ValueError(f"there is no filter {', '.join(sorted(unknown))}; there are {', '.join(FILTERS)}")
        plain = {name: text for name, text in texts.items() if name not in ("status", "since", "until")}
        since = _moment("since", texts["since"], now) if texts.get("since") else None
        until = _moment("until", texts["until"], now) if texts.get("until") else None
        if since is not None and until is not None and since >= until:
            raise ValueError(f"since {texts['since']} is not before until {texts['until']}: no record can fit")
        return cls(status=_statuses(texts.get("status", "")), since=since, until=until, **plain)

    def fits(self, record: LogRecord) -> bool:
        """Whether a record is meant."""
        return (
            (not self.operation or record.operation == self.operation)
            and (not self.bucket or record.bucket == self.bucket)
            and (not self.object or fnmatchcase(record.object, self.object))
            and (not self.status or any(low <= record.http_status <= high for low, high in self.status))
            and (not self.error_code or record.error_code == self.error_code)
            and record.user_agent.startswith(self.user_agent)
            and (not self.client_ip or record.client_ip == self.client_ip)
            and (not self.request_id or record.request_id == self.request_id)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time < self.until)
        )


FILTERS: tuple[str, ...] = tuple(field.name for field in fields(LogFilter))


def _moment(name: str, text: str, now: float) -> float:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{name} cannot be {text!r}: write a time (2024-09-03T08:00:00Z), seconds since the epoch, or how long "
                "ago (90s, 10m, 2h, 1d)"
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"{name} cannot be {text!r}")
    return seconds


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    found = []
    for part in filter(None, text.split(",")):
        if re.fullmatch(r"\d{1,3}", part):
            found.append((int(part), int(part)))
        elif re.fullmatch(r"[1-5]xx", part):
            found.append((int(part[0]) * 100, int(part[0]) * 100 + 99))
        elif re.fullmatch(r"\d{3}-\d{3}", part) and part[:3] <= part[4:]:
            found.append((int(part[:3]), int(part[4:])))
        else:
            raise ValueError(f"status cannot be {part!r}: write 404, 4xx or 400-403, several with commas")
    return tuple(found)


@dataclass(slots=True)
class Group:
    """What the records of one group come to. requests, errors and all sums leave out what the fault plan made; faults
    counts that. errors: status 400 and above. first, last: times of any of its records."""

    name: str
    requests: int = 0
    errors: int = 0
    faults: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    scanned: int = 0
    cost_ms: float = 0.0
    first: float = math.inf
    last: float = -math.inf

    def add(self, record: LogRecord) -> None:
        self.first, self.last = min(self.first, record.time), max(self.last, record.time)
        if record.fault:
            self.faults += 1
            return
        self.requests += 1
        self.errors += record.http_status >= 400
        self.bytes_in += record.bytes_in
        self.bytes_out += record.bytes_out
        self.scanned += record.scanned
        self.cost_ms += record.cost_ms


def _process(record: LogRecord) -> str:
    caller = record.caller
    if caller is None:
        return "-"
    return f"{caller.command or '?'}[{caller.pid}] uid {caller.uid} on {caller.mount}"


def _file_operation(record: LogRecord) -> str:
    return "-" if record.caller is None else record.caller.operation


_NAMES: Mapping[str, Callable[[LogRecord], str]] = {
    "process": _process,
    "file-operation": _file_operation,
    "user-agent": lambda record: record.user_agent or "-",
    "operation": lambda record: record.operation,
}


def group(records: Iterable[LogRecord], by: str) -> list[Group]:
    """Groups by one of GROUPINGS, those with most requests first. process: who called into a mount; file-operation:
    what with ("getattr"); both "-" for requests that came through none. Raises ValueError for another grouping."""
    name_of = _NAMES.get(by)
    if name_of is None:
        raise ValueError(f"records cannot be grouped by {by!r}: {', '.join(GROUPINGS)}")
    groups: dict[str, Group] = {}
    for record in records:
        name = name_of(record)
        found = groups.get(name)
        if found is None:
            found = groups[name] = Group(name)
        found.add(record)
    return sorted(groups.values(), key=lambda one: (-one.requests, -one.faults, one.name))
