"""`ossvol log`: the access log of a served cloud, or of a file that `ossvol serve --access-log` wrote, filtered,
grouped and printed."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ossvol.errors import UsageError

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from osscloud.logquery import Group

__all__ = ["log"]

_RECORD_COLUMNS = (
    "time", "operation", "bucket", "object", "http_status", "error_code", "ec", "cost_ms", "client_ip", "user_agent",
    "request_id", "process",
)  # fmt: skip
_NUMBERS = ("requests", "errors", "faults", "bytes_in", "bytes_out", "scanned", "cost_ms")
_WIDE = 180  # columns of a terminal from which on there is room for all
_LEFT_OUT = {"bucket", "ec", "cost_ms", "client_ip", "user_agent", "request_id", "bytes_in", "scanned", "first"}
_RIGHT = {*_NUMBERS, "http_status"}


def log(
    filters: Mapping[str, str],
    *,
    endpoint: str = "",
    token: str = "",
    file: Path | None = None,
    group_by: str = "",
    json: bool = False,
) -> None:
    """Prints the records that fit, or what they come to. filters: by the names of `logquery.FILTERS`; how long ago
    counts from the server's time, in a file from its newest record. Raises UsageError."""
    from osscloud.logquery import GROUPINGS, group

    if group_by and group_by not in GROUPINGS:
        raise UsageError(f"--group-by cannot be {group_by!r}: {', '.join(GROUPINGS)}")
    wanted = {name: text for name, text in filters.items() if text}
    records = _records(wanted, endpoint, token, file)
    groups = group(records, group_by) if group_by else []
    if json:
        found = (
            {"group_by": group_by, "groups": [asdict(one) for one in groups]}
            if group_by
            else {"records": [asdict(record) for record in records]}
        )
        print(json_module.dumps({"version": 1, **found}))
    else:
        _print(_group_rows(groups, group_by) if group_by else _record_rows(records))
        faults = sum(record.fault for record in records)
        print(f"{len(records)} records" + (f", {faults} of them made by the fault plan" if faults else ""))


def _records(wanted: Mapping[str, str], endpoint: str, token: str, file: Path | None) -> list[LogRecord]:
    from osscloud.logquery import LogFilter, parse_record

    if (file is None) == (not endpoint):
        raise UsageError(
            "the log of what cloud? give --endpoint URL --control-token T of a running one, or --file FILE"
        )
    try:
        # Mistakes are told the same way wherever the log is; the time given is of no matter to that.
        LogFilter.parse(wanted, now=0.0)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if file is None:
        from ossvol.control_client import ControlClient

        if not token:
            raise UsageError("--endpoint needs --control-token; ossvol serve printed it")
        names = {"since": "from", "until": "to"}
        answer = ControlClient(endpoint, token).get("log", {names.get(name, name): wanted[name] for name in wanted})
        return [parse_record(json_module.dumps(record)) for record in answer["records"]]
    records = _read(file)
    fits = LogFilter.parse(wanted, now=max((record.time for record in records), default=0.0)).fits
    return [record for record in records if fits(record)]


def _read(file: Path) -> list[LogRecord]:
    from osscloud.logquery import parse_record

    records = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    records.append(parse_record(line))
                except ValueError as error:
                    raise UsageError(f"{file}:{number}: no record of an access log: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: no access log: {error}") from error
    return records


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _shown(text: str) -> str:
    """Printable whatever a client sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _record_rows(records: Sequence[LogRecord]) -> Iterator[tuple[str, ...]]:
    yield _RECORD_COLUMNS
    for record in records:
        caller = record.caller
        yield (
            _time(record.time),
            record.operation,
            record.bucket or "-",
            record.object or "-",
            f"{record.http_status or '-'}{' fault' if record.fault else ''}",
            record.error_code or "-",
            record.ec or "-",
            f"{record.cost_ms:.0f}",
            record.client_ip or "-",
            record.user_agent or "-",
            record.request_id,
            "-" if caller is None else f"{caller.operation} by {caller.command or '?'}[{caller.pid}]",
        )


def _group_rows(groups: Sequence[Group], by: str) -> Iterator[tuple[str, ...]]:
    yield by, *_NUMBERS, "first", "last"
    for one in groups:
        yield one.name, *(f"{getattr(one, name):.0f}" for name in _NUMBERS), _time(one.first), _time(one.last)


def _print(rows: Iterator[tuple[str, ...]]) -> None:
    """The first row is the head. On a terminal what fits its width, elsewhere all, a line a row."""
    head, *body = ([_shown(cell) for cell in row] for row in rows)
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        for row in (head, *body):
            cells = (
                cell.rjust(width) if name in _RIGHT else cell.ljust(width)
                for name, cell, width in zip(head, row, widths, strict=True)
            )
            print("  ".join(cells).rstrip())
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ossvol.config import colour_wanted

    console = Console(no_color=not colour_wanted())
    shown = [n for n, name in enumerate(head) if console.width >= _WIDE or name not in _LEFT_OUT]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in (head[n] for n in shown):
        table.add_column(name, justify="right" if name in _RIGHT else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(row[n]) for n in shown))
    console.print(table)
