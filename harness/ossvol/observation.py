"""What a step showed, and how it compares with what its file expects.

Pure: an observation is made by `actions`, read here. Any thread.
"""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osscluster.volume import Stat
from ossvol.cluster_observation import compare_cluster
from ossvol.mismatch import Mismatch, differs
from ossvol.scenario.model import EntryExpect, Expect, ObjectExpect, RecordExpect
from ossvol.scenario.values import Quantity, errno_code

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from osscluster.volume import Holder
    from ossvol.cluster_side import ClusterSide

__all__ = ["Mismatch", "ObjectSeen", "Observation", "compare", "request_line"]

_SHOWN = 200  # characters of a body or list in a message
_TYPES = {
    stat_module.S_IFREG: "file",
    stat_module.S_IFDIR: "directory",
    stat_module.S_IFLNK: "symlink",
    stat_module.S_IFIFO: "fifo",
    stat_module.S_IFSOCK: "socket",
    stat_module.S_IFBLK: "block",
    stat_module.S_IFCHR: "character",
}


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """An object as the server has it, or `absent`."""

    absent: bool
    size: int = 0
    content_type: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""
    versions: int = 0
    read: Callable[[], bytes] = bytes


@dataclass(slots=True)
class Observation:
    """What one step showed. errno: name, "" for success. Fields that the verb does not show stay None. entries: name to
    its stat, or to its readdir type where nobody asked for more. object: looks one key up on the server. container: pid
    of a holder to the name of the container. refused: what the API server said; stdout: what a command printed; found:
    what a query of the log has found; seconds: of virtual time; cluster: where there is one."""

    errno: str = ""
    stat: Stat | None = None
    size: int | None = None
    body: bytes | None = None
    target: str | None = None
    entries: Mapping[str, Stat | str] | None = None
    message: str = ""
    returncode: int = 0
    records: Sequence[LogRecord] = ()
    object: Callable[[str], ObjectSeen] = lambda key: ObjectSeen(absent=True)
    holders: Callable[[], Sequence[Holder]] = tuple
    container: Callable[[int], str] = str
    refused: str = ""
    stdout: str | None = None
    found: Sequence[LogRecord] = ()
    seconds: float = 0.0
    cluster: ClusterSide | None = None


def compare(expect: Expect, seen: Observation) -> list[Mismatch]:
    """Every expectation that `seen` does not meet; a step without `errno` has to succeed."""
    found = _refused(expect, seen) or _errno(expect, seen)
    if found:
        return found  # nothing else can be judged
    found += _attributes(expect, seen)
    if expect.body is not None:
        found += differs("body", repr(expect.body), _text(seen.body), seen.body == expect.body.encode())
    if expect.sha256 is not None and seen.body is not None:
        digest = hashlib.sha256(seen.body).hexdigest()
        found += differs("sha256", expect.sha256, digest, digest == expect.sha256.lower())
    if expect.target is not None:
        found += differs("target", expect.target, str(seen.target), expect.target == seen.target)
    found += _entries(expect, seen)
    for key, wanted in (expect.object or {}).items():
        found += _object(key, wanted, seen.object(key))
    found += _requests(expect, seen)
    found += _holders(expect, seen)
    if expect.returncode is not None:
        fits = expect.returncode.holds(seen.returncode)
        found += differs("returncode", str(expect.returncode), str(seen.returncode), fits)
    if expect.stdout is not None:
        found += _stdout(expect.stdout, seen.stdout or "")
    if expect.records is not None:
        found += _records(expect.records, seen.found)
    if expect.seconds is not None:
        found += differs("seconds", str(expect.seconds), f"{seen.seconds:g}", expect.seconds.holds(seen.seconds))
    if seen.cluster is not None:
        found += compare_cluster(expect, seen.cluster)
    if expect.message is not None:
        found += differs("message", f"...{expect.message}...", seen.message.strip(), expect.message in seen.message)
    return found


def _refused(expect: Expect, seen: Observation) -> list[Mismatch]:
    if (expect.refused is None and not seen.refused) or (expect.refused is not None and expect.refused in seen.refused):
        return []
    wanted = "success" if expect.refused is None else f"refused: ...{expect.refused}..."
    return [Mismatch(wanted, f"refused: {seen.refused}" if seen.refused else "success")]


def _stdout(wanted: str | list[str], seen: str) -> list[Mismatch]:
    if not wanted:
        return differs("stdout", "nothing", _text(seen.encode()), not seen.strip())
    found: list[Mismatch] = []
    for part in [wanted] if isinstance(wanted, str) else wanted:
        found += differs("stdout", f"...{part}...", seen.strip(), part in seen)
    return found


def _records(wanted: list[RecordExpect], found: Sequence[LogRecord]) -> list[Mismatch]:
    left = iter(found)
    for one in wanted:
        if not any(_fits(one, record) for record in left):
            shown = ", ".join(f"{k} {v}" for k, v in one.model_dump(exclude_none=True).items())
            lines = "; ".join(request_line(record) for record in found) or "nothing"
            return [Mismatch(f"records: {shown}", f"records: {lines}")]
    return []


def _fits(wanted: RecordExpect, record: LogRecord) -> bool:
    exact = wanted.model_dump(exclude_none=True, exclude={"user_agent"})
    same = all(getattr(record, name) == value for name, value in exact.items())
    return same and record.user_agent.startswith(wanted.user_agent or "")


def request_line(record: LogRecord) -> str:
    """One request of the access log for people."""
    line = f"{record.operation} {record.object or '?' + record.request_uri.partition('?')[2]} -> {record.http_status}"
    if record.error_code:
        line += f" {record.error_code}"
    if record.scanned:
        line += f", scanned {record.scanned}"
    if record.fault:
        line += ", injected fault"
    caller = record.caller
    if caller is not None:
        line += f"  ({caller.operation} by {caller.command or 'pid'}[{caller.pid}], uid {caller.uid})"
    return line


def _text(body: bytes | None) -> str:
    if body is None:
        return "none"
    shown = repr(body[:_SHOWN])[1:]
    return shown if len(body) <= _SHOWN else f"{shown}... ({len(body)} bytes)"


def _errno(expect: Expect, seen: Observation) -> list[Mismatch]:
    if expect.message is not None or (expect.returncode is not None and expect.errno is None):
        # A mount that must fail says so with its message or exit code; errno has no part in it.
        if seen.errno:
            return [Mismatch("a mount command's answer", _errno_text(seen.errno))]
        if not seen.message and not seen.returncode and expect.message is not None:
            return [Mismatch(f"the mount fails with ...{expect.message}...", "it is mounted")]
        return []
    names = (expect.errno,) if isinstance(expect.errno, str) else expect.errno or ()
    wanted = " or ".join(map(_errno_text, names)) or "success"
    if seen.returncode or seen.message:
        return [Mismatch(wanted, f"the mount fails, exit code {seen.returncode}: {seen.message}")]
    got = errno_code(seen.errno) if seen.errno else 0
    if got in {errno_code(name) for name in names} if names else not got:
        return []
    return [Mismatch(wanted, _errno_text(seen.errno))]


def _errno_text(name: str) -> str:
    return f"{name} ({os.strerror(errno_code(name))})" if name else "success"


def _type(mode: int) -> str:
    return _TYPES.get(stat_module.S_IFMT(mode), oct(stat_module.S_IFMT(mode)))


def _attributes(expect: Expect | EntryExpect, seen: Observation) -> list[Mismatch]:
    found: list[Mismatch] = []
    have = seen.stat
    if have is not None:
        if expect.mode is not None:
            mode = stat_module.S_IMODE(have.mode)
            found += differs("mode", f"{expect.mode:04o}", f"{mode:04o}", mode == expect.mode)
        for name in ("uid", "gid"):
            wanted: int | None = getattr(expect, name)
            if wanted is not None:
                found += differs(name, str(wanted), str(getattr(have, name)), wanted == getattr(have, name))
        if expect.type is not None:
            found += differs("type", expect.type, _type(have.mode), expect.type == _type(have.mode))
    if expect.size is not None:
        size = seen.size if seen.size is not None else have.size if have is not None else None
        found += differs("size", str(expect.size), str(size), size is not None and expect.size.holds(size))
    return found


def _entries(expect: Expect, seen: Observation) -> list[Mismatch]:
    wanted = expect.entries
    if wanted is None:
        return []
    have = seen.entries or {}
    if isinstance(wanted, Quantity):
        return differs("entries", str(wanted), str(len(have)), wanted.holds(len(have)))
    if isinstance(wanted, list):
        return differs("entries", _names(wanted), _names(have), sorted(wanted) == sorted(have))
    found: list[Mismatch] = []
    for name, entry in wanted.items():
        if entry.absent or name not in have:
            if entry.absent == (name in have):
                wants, is_there = ("absent", "present") if entry.absent else ("present", "absent")
                found.append(Mismatch(f"entry {name} {wants}", f"entry {name} {is_there} in {_names(have)}"))
            continue
        shown = have[name]
        if isinstance(shown, str):
            if entry.type is not None:
                found += differs(f"{name}: type", entry.type, shown or "not told", entry.type == shown)
        else:
            for mismatch in _attributes(entry, Observation(stat=shown)):
                found.append(Mismatch(f"{name}: {mismatch.expected}", f"{name}: {mismatch.seen}"))
    return found


def _names(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = ", ".join(sorted(names))
    return f"[{shown}]" if len(shown) <= _SHOWN else f"[{shown[:_SHOWN]}...] ({len(names)})"


def _object(key: str, wanted: ObjectExpect, seen: ObjectSeen) -> list[Mismatch]:
    what = f"object {key}"
    if wanted.absent or seen.absent:
        found = differs(
            what,
            "absent" if wanted.absent else "present",
            "absent" if seen.absent else f"present, size {seen.size}",
            wanted.absent == seen.absent,
        )
        if wanted.versions is not None:
            fits = wanted.versions.holds(seen.versions)
            found += differs(f"{what}: versions", str(wanted.versions), str(seen.versions), fits)
        return found
    found = []
    if wanted.size is not None:
        found += differs(f"{what}: size", str(wanted.size), str(seen.size), wanted.size.holds(seen.size))
    for name in ("content_type", "storage_class"):
        value: str | None = getattr(wanted, name)
        if value is not None:
            found += differs(f"{what}: {name}", value, getattr(seen, name), value == getattr(seen, name))
    for name, value in (wanted.meta or {}).items():
        have = seen.meta.get(name)
        found += differs(f"{what}: meta {name}", str(value), str(have), value == have)
    if wanted.body is not None:
        body = seen.read()
        found += differs(f"{what}: body", repr(wanted.body), _text(body), body == wanted.body.encode())
    if wanted.versions is not None:
        fits = wanted.versions.holds(seen.versions)
        found += differs(f"{what}: versions", str(wanted.versions), str(seen.versions), fits)
    return found


def _requests(expect: Expect, seen: Observation) -> list[Mismatch]:
    found: list[Mismatch] = []
    for operation, wanted in (expect.requests or {}).items():
        count = sum(operation in ("total", record.operation) for record in seen.records)
        found += differs(f"requests {operation}", str(wanted), str(count), wanted.holds(count))
    if expect.scanned is not None:
        scanned = sum(record.scanned for record in seen.records)
        found += differs("scanned", str(expect.scanned), str(scanned), expect.scanned.holds(scanned))
    if expect.cost_ms is not None:
        cost = sum(record.cost_ms for record in seen.records)
        found += differs("cost_ms", str(expect.cost_ms), f"{cost:.1f}", expect.cost_ms.holds(cost))
    return found


def _holders(expect: Expect, seen: Observation) -> list[Mismatch]:
    if expect.holders is None:
        return []
    have = list(seen.holders())
    shown = [f"{holder.path} by {seen.container(holder.pid)} (uid {holder.uid})" for holder in have]
    if not expect.holders:
        return differs("holders", "none", ", ".join(shown), not have)
    found: list[Mismatch] = []
    for wanted in expect.holders:
        fits = any(
            holder.path == wanted.path
            and (wanted.container is None or seen.container(holder.pid) == wanted.container)
            and (wanted.uid is None or holder.uid == wanted.uid)
            for holder in have
        )
        text = f"{wanted.path} by {wanted.container or 'anybody'}"
        found += differs("holder", text, ", ".join(shown) or "none", fits)
    return found
