"""The requests that reach a cloud, as lines that two runs can be compared by.

A line is "METHOD key?parameters header=value ... -> status". Left out is what no two runs share (signature, date, host)
and the user agent, which is the release's own constant; times of this run become "now", upload ids and the names of
hidden files are masked. Requests that ossfs sends side by side have no order of their own: runs of them are sorted.

`Recorder` is called from the server's threads; everything else from the runner's.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable
from urllib.parse import unquote

from osscloud.admin import ObjectView
from osscloud.clock import Clock, WallClock
from osscloud.message import Request, Response
from osscloud.service import OssService

__all__ = ["Recorder", "Times", "describe", "in_order", "masked"]

_IGNORED = frozenset(
    (
        "authorization",
        "date",
        "host",
        "user-agent",
        "accept",
        "content-length",
        "connection",
        "transfer-encoding",
        "x-oss-date",
        "x-oss-content-sha256",
        "x-oss-security-token",
    )
)
_TIMES = re.compile(r"x-oss-meta-(?:mtime|atime|ctime)$")
_HIDDEN = re.compile(r"\.fuse_hidden[0-9a-f]+")
_UPLOAD = re.compile(r"uploadId=[^&]+")
_SLACK = 2.0
_AHEAD = 86_400.0


class Times:
    """What counts as "now": everything since `start` (seconds since the epoch), with two seconds of slack, and up to a
    day ahead: the clock of a simulated mount may have been moved. clock: whose time it is; None: the machine's."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or WallClock()
        self.start = self._clock.now()

    def text(self, value: float | str) -> str:
        """ "now" (followed by "+" where it has a fraction), or the number itself."""
        try:
            seconds = float(value)
        except ValueError:
            return str(value)
        if self.start - _SLACK <= seconds <= self._clock.now() + _AHEAD:
            return "now" if seconds == int(seconds) else "now+"
        return f"{seconds:.6f}".rstrip("0").rstrip(".")


def describe(view: ObjectView, times: Times) -> str:
    """An object on one line: size, ETag, type, content type, ACL, storage class, metadata."""
    meta = " ".join(
        f"{name}={times.text(value) if name in ('mtime', 'atime', 'ctime') else value}"
        for name, value in sorted(view.meta.items())
    )
    return f"{view.size} {view.etag} {view.type} {view.content_type} {view.acl} {view.storage_class} {meta}"


class Recorder:
    """Keeps every request to a service from now on; `take` gives the lines since the last call."""

    def __init__(self, service: OssService, times: Times | None = None) -> None:
        self.times = times or Times()
        self._lines: list[str] = []
        self._lock = threading.Lock()
        service.observers.append(self._observe)

    def take(self) -> list[str]:
        """In the order in which the requests were answered."""
        with self._lock:
            taken, self._lines = self._lines, []
        return taken

    def _observe(self, request: Request, response: Response) -> None:
        line = self._line(request, response)
        with self._lock:
            self._lines.append(line)

    def _line(self, request: Request, response: Response) -> str:
        target = _UPLOAD.sub("uploadId=*", unquote(request.target))
        _, _, place = target[1:].partition("/")
        words = [request.method, place if target[1:].count("/") else "?" + target.partition("?")[2]]
        for name, value in sorted(request.headers.items()):
            if name in _IGNORED:
                continue
            shown = self.times.text(value) if _TIMES.match(name) else unquote(value)
            words.append(f"{name}={shown}")
        if len(request.body):
            digest = hashlib.md5(bytes(request.body), usedforsecurity=False).hexdigest()[:8]
            words.append(f"body={len(request.body)}:{digest}")
        return masked(" ".join(words)) + f" -> {response.status}"


def masked(text: str) -> str:
    """Without the numbers in the names that libfuse gives to what was unlinked while it was open."""
    return _HIDDEN.sub(".fuse_hidden*", text)


def in_order(lines: Iterable[str]) -> list[str]:
    """The lines with each run of side-by-side requests sorted: the HEADs behind a full listing, the parts of an upload,
    the ranges of a read."""
    result: list[str] = []
    run: list[str] = []
    group = ""
    listed = False
    for line in lines:
        kind = _group(line, listed=listed)
        if kind != group or not kind:
            result += sorted(run)
            run, group = [], kind
        run.append(line)
        listed = listed or "max-keys=1000" in line
    return result + sorted(run)


def _group(line: str, *, listed: bool) -> str:
    if line.startswith("HEAD "):
        return "head" if listed else ""
    if "partNumber=" in line:
        return "part"
    if line.startswith("GET ") and " range=" in line:
        return "range " + line.split(" ")[1]
    return ""
