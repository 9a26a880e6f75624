"""The errno table: for every answer that a request can get x every call that sends it, what the call answers.

`errno.yaml` has the expected answers by release; `measure` finds them out on any engine, `check_outcomes` compares.
docs/errno.md is made from the same data. A cell has objects of its own, and its fault strikes the requests of one
operation on one key, so no cell depends on another. One attempt a request (`retries=1`): more of them are only time.

`measure` belongs to the runner's thread; `check_outcomes` measures each answer of the service in a process of its own,
because a real ossfs really waits after a failure.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from osscloud.faults import Action, Fault
from osscluster.engine import make_engine
from ossfuse import profile
from ossvol.parity.comparison import Difference
from ossvol.parity.replay import Bench, Worker
from ossvol.parity.steps import Step

__all__ = [
    "CALLS",
    "FILE",
    "MEASURED",
    "OUTCOMES",
    "Block",
    "Call",
    "Cell",
    "Outcome",
    "blocks",
    "cells",
    "check_outcomes",
    "expected",
    "measure",
    "measure_all",
    "render",
]

FILE = Path(__file__).with_name("errno.yaml")

MEASURED = ("1.80.6", "1.91.1", "1.91.10")
"""Releases whose answers are those of the real binary. The others are the simulation's own, by their rows of the table
of releases."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ends. action, status, code: of the fault (`osscloud.faults.Fault`); action None: well. waits: ossfs
    waits for seconds after it."""

    title: str
    action: Action | None = "answer"
    status: int = 503
    code: str = ""
    waits: bool = False


def _answers(*texts: str, waits: bool = False) -> dict[str, Outcome]:
    """ "403 AccessDenied": an error document with that status and code."""
    found = {}
    for text in texts:
        status, code = text.split(" ")
        found[text] = Outcome(f"status {status}, code {code}", "answer", int(status), code, waits)
    return found


OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        "200": Outcome("as it should be", None),
        "200 InternalError": Outcome("status 200 with an error document", "answer", 200, "InternalError"),
        "301": Outcome("status 301 without Location", "answer", 301, "PermanentRedirect"),
        "307": Outcome("status 307 without Location", "answer", 307, "TemporaryRedirect"),
        **_answers(
            "400 InvalidArgument",
            "400 EntityTooLarge",
            "400 KeyTooLongError",
            "403 AccessDenied",
            "403 InvalidAccessKeyId",
            "403 SignatureDoesNotMatch",
            "403 RequestTimeTooSkewed",
            "403 UserDisable",
            "403 InvalidObjectState",
            "404 NoSuchKey",
            "404 NoSuchBucket",
            "405 MethodNotAllowed",
            "409 FileAlreadyExists",
            "411 MissingContentLength",
            "412 PreconditionFailed",
            "416 InvalidRange",
            "424 MirrorFailed",
            "429 TooManyRequests",
        ),
        **_answers("500 InternalError", waits=True),
        **_answers("501 NotImplemented", "502 BadGateway", waits=True),
        **_answers("503 ServiceUnavailable", "503 DownloadTrafficRateLimitExceeded", "504 GatewayTimeout", waits=True),
        "refused": Outcome("nothing listens", "refuse", waits=True),
        "reset": Outcome("the connection breaks before an answer", "reset", waits=True),
        "timeout": Outcome("no answer within readwrite_timeout", "blackhole", waits=True),
        "truncated": Outcome("the connection ends in the middle of the body", "truncate", waits=True),
        "wrong crc": Outcome("x-oss-hash-crc64ecma does not fit the body", "crc"),
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One row. request: the operation (access log's name) that the fault strikes; steps: what root does, the fault
    being there from step `faulty` on; {p} is the row's own name. target: key of the request behind that name, None for
    requests without a key. objects: what is there before, suffix of the name to (size, metadata). options: of the
    mount, where the release has them.
    """

    title: str
    request: str
    steps: str
    objects: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    target: str | None = ""
    faulty: int = 0
    options: str = ""


_FILE = "mode=33188,uid=0,gid=0,mtime=1500000000"
_DIRECTORY = "mode=493,uid=0,gid=0,mtime=1500000000"
_LINK = "mode=41471,uid=0,gid=0,mtime=1500000000"
_A_FILE = {"": (5000, _FILE)}
_A_SMALL_FILE = {"": (5, _FILE)}
_A_LARGE_FILE = {"": (11_000_000, _FILE)}
_A_DIRECTORY = {"/": (0, _DIRECTORY)}
_A_TREE = {"/": (0, _DIRECTORY), "/f": (5, _FILE)}

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "stat": Call("stat of a file", "HeadObject", "stat {p}", _A_FILE),
        "stat-directory": Call("stat of a directory, HEAD of `N/`", "HeadObject", "stat {p}", _A_DIRECTORY, "/"),
        "stat-missing": Call("stat of a name that is not there, HEAD of `N`", "HeadObject", "stat {p}"),
        "stat-list": Call("stat of a name that is not there, its LIST", "GetBucket", "stat {p}", target=None),
        "access": Call("access of a file", "HeadObject", "access {p} 4", _A_FILE),
        "open": Call("open of a known file", "HeadObject", "stat {p}; open h {p} r 0", _A_FILE, faulty=1),
        "read": Call("read", "GetObject", "open h {p} r 0; read h 5000 0", _A_FILE),
        "read-small": Call("read of 5 bytes", "GetObject", "open h {p} r 0; read h 5 0", _A_SMALL_FILE),
        "read-parallel": Call(
            "read of 11 MB", "GetObject", "open h {p} r 0; read h 11000000 0", _A_LARGE_FILE, options="multipart_size=5"
        ),
        "list": Call("readdir, its LIST", "GetBucket", "listdir {p}", _A_TREE, None),
        "list-head": Call("readdir, HEAD of an entry", "HeadObject", "listdir {p}", _A_TREE, "/f"),
        "opendir": Call("opendir", "HeadObject", "listdir {p}", _A_TREE, "/"),
        "create-head": Call("create, HEAD of the name", "HeadObject", "open h {p} rw+creat 644; close h"),
        "create": Call("create, write, close", "PutObject", "open h {p} rw+creat 644; write h 5 0; close h"),
        "create-empty": Call("create, close", "PutObject", "open h {p} rw+creat 644; close h"),
        "overwrite": Call(
            "open, write inside, close: GET of the rest",
            "GetObject",
            "open h {p} rw 0; write h 5 100; close h",
            _A_FILE,
        ),
        "fsync": Call("open, write, fsync", "PutObject", "open h {p} rw 0; write h 5000 0; fsync h", _A_FILE),
        "o-trunc": Call("open with O_TRUNC", "PutObject", "open h {p} w+trunc 0; close h", _A_FILE),
        "truncate": Call("truncate of a path", "PutObject", "truncate {p} 3", _A_FILE),
        "truncate-get": Call("truncate of a path, its GET", "GetObject", "truncate {p} 3", _A_FILE),
        "ftruncate": Call("open, ftruncate, close", "PutObject", "open h {p} rw 0; ftruncate h 0; close h", _A_FILE),
        "initiate": Call(
            "write 11 MB, close: InitiateMultipartUpload",
            "InitiateMultipartUpload",
            "open h {p} rw+creat 644; write h 11000000 0; close h",
            options="multipart_size=5",
        ),
        "part": Call(
            "write 11 MB, close: UploadPart",
            "UploadPart",
            "open h {p} rw+creat 644; write h 11000000 0; close h",
            options="multipart_size=5",
        ),
        "part-copy": Call(
            "append to 11 MB, close: UploadPartCopy",
            "UploadPartCopy",
            "open h {p} rw 0; write h 6000000 11000000; close h",
            _A_LARGE_FILE,
            options="multipart_size=5",
        ),
        "complete": Call(
            "write 11 MB, close: CompleteMultipartUpload",
            "CompleteMultipartUpload",
            "open h {p} rw+creat 644; write h 11000000 0; close h",
            options="multipart_size=5",
        ),
        "mkdir": Call("mkdir", "PutObject", "mkdir {p} 755", target="/"),
        "mkdir-head": Call("mkdir, HEAD of `N`", "HeadObject", "mkdir {p} 755"),
        "rmdir-list": Call("rmdir, its LIST", "GetBucket", "rmdir {p}", _A_DIRECTORY, None),
        "rmdir": Call("rmdir", "DeleteObject", "rmdir {p}", _A_DIRECTORY, "/"),
        "unlink": Call("unlink", "DeleteObject", "unlink {p}", _A_FILE),
        "rename-list": Call("rename of a file, LIST of the target", "GetBucket", "rename {p} {p}.new", _A_FILE, None),
        "rename": Call("rename of a file, its copy", "CopyObject", "rename {p} {p}.new", _A_FILE, ".new"),
        "rename-delete": Call("rename of a file, its DELETE", "DeleteObject", "rename {p} {p}.new", _A_FILE),
        "rename-directory-list": Call(
            "rename of a directory, its LIST", "GetBucket", "stat {p}; rename {p} {p}.new", _A_TREE, None, faulty=1
        ),
        "rename-directory-head": Call(
            "rename of a directory, HEAD of a file in it", "HeadObject", "rename {p} {p}.new", _A_TREE, "/f"
        ),
        "rename-directory-put": Call(
            "rename of a directory, PUT of the new one", "PutObject", "rename {p} {p}.new", _A_TREE, ".new/"
        ),
        "rename-directory-copy": Call(
            "rename of a directory, copy of a file in it", "CopyObject", "rename {p} {p}.new", _A_TREE, ".new/f"
        ),
        "rename-directory-delete": Call(
            "rename of a directory, DELETE of a file in it", "DeleteObject", "rename {p} {p}.new", _A_TREE, "/f"
        ),
        "chmod": Call("chmod of a file", "CopyObject", "chmod {p} 600", _A_FILE),
        "chown": Call("chown of a file", "CopyObject", "chown {p} 1000 1001", _A_FILE),
        "utime": Call("utimensat of a file", "CopyObject", "utime {p} 1000000000 1000000000", _A_FILE),
        "chmod-directory": Call("chmod of a directory, its copy", "CopyObject", "chmod {p} 700", _A_DIRECTORY, "/"),
        "chmod-directory-put": Call("chmod of a directory, its PUT", "PutObject", "chmod {p} 700", _A_DIRECTORY, "/"),
        "chmod-directory-delete": Call(
            "chmod of a directory, DELETE of `N`", "DeleteObject", "chmod {p} 700", _A_DIRECTORY
        ),
        "symlink": Call("symlink", "PutObject", "symlink target {p}"),
        "readlink": Call("readlink", "GetObject", "readlink {p}", {"": (6, _LINK)}),
        "link": Call("link, HEAD of the new name", "HeadObject", "link {p} {p}.new", _A_FILE, ".new"),
        "mknod": Call("mknod of a FIFO", "PutObject", "mknod {p} 010644"),
        "setxattr": Call("setxattr", "CopyObject", "setxattr {p} user.a v 0", _A_FILE, options="use_xattr"),
        "getxattr": Call("getxattr", "HeadObject", "getxattr {p} user.a", _A_FILE, options="use_xattr"),
        "removexattr": Call(
            "removexattr",
            "CopyObject",
            "setxattr {p} user.a v 0; setxattr {p} user.b v 0; removexattr {p} user.a",
            _A_FILE,
            faulty=2,
            options="use_xattr",
        ),
    }
)

_OPTIONS = "-s -o allow_other -o retries=1 -o connect_timeout=2 -o readwrite_timeout=2"
_TIMEOUTS = "-o attr_timeout=3600,entry_timeout=3600"
_WELL = "200"
_STRIKES = 10_000
_MEASURING = 10  # processes; nearly all of their time is waiting


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the table."""

    call: str
    outcome: str


def cells() -> Iterator[Cell]:
    """All of them, by call."""
    for call in CALLS:
        for outcome in OUTCOMES:
            if _is_cell(call, outcome):
                yield Cell(call, outcome)


def _is_cell(call: str, outcome: str) -> bool:
    # Around transfers in parts 1.80 waits for 120 s, whatever readwrite_timeout says (source: RowFlush, Load).
    return not (outcome == "timeout" and "multipart" in CALLS[call].options)


def measure(bench: Bench, outcomes: Sequence[str], calls: Sequence[str] = tuple(CALLS)) -> dict[Cell, str]:
    """What every call answers when its request ends in each outcome: "ok"; an errno, behind the step that it came from
    where that is not the last one; "other": success, but not with what an undisturbed call returns."""
    well = _fields(bench, _WELL, calls)
    found: dict[Cell, str] = {}
    for outcome in outcomes:
        asked = [call for call in calls if _is_cell(call, outcome)]
        seen = well if outcome == _WELL else _fields(bench, outcome, asked)
        found |= {Cell(call, outcome): _said(fields, well[call]) for call, fields in seen.items()}
    return found


def _said(fields: Mapping[str, str], well: Mapping[str, str]) -> str:
    if fields["result"] != "ok":
        return fields["result"]
    return "ok" if fields == well else "other"


def _fields(bench: Bench, outcome: str, calls: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    known = profile.find(bench.version).options
    for options in dict.fromkeys(CALLS[name].options for name in calls):
        wanted = {name: CALLS[name] for name in calls if CALLS[name].options == options}
        given = f"-o {options}" if options and options.partition("=")[0] in known else ""

        def prepare(wanted: Mapping[str, Call] = wanted) -> None:
            for name, call in wanted.items():
                for suffix, (size, meta) in call.objects.items():
                    bench.put(f"{name}{suffix}", size, meta)

        for name, call in wanted.items():
            if not found.keys() & wanted.keys() or not bench.usable():
                bench.mount(f"{_OPTIONS} {given} {_TIMEOUTS}", prepare=prepare)
            found[name] = _do(bench, name, call, OUTCOMES[outcome])
    return {name: found[name] for name in calls}


def _do(bench: Bench, name: str, call: Call, outcome: Outcome) -> dict[str, str]:
    faults = bench.engine.cloud.service.faults
    steps = [Step.parse(f"root {text.format(p=name)}") for text in call.steps.split("; ")]
    worker = Worker(bench, "")
    fields: dict[str, str] = {}
    try:
        for index, step in enumerate(steps):
            if index == call.faulty and outcome.action is not None:
                key = "" if call.target is None else name + call.target
                fault = Fault(call.request, key, _STRIKES, outcome.status, outcome.code, outcome.action)
                faults.add(fault)
            fields = {key: text for key, text in worker.do(step).fields.items() if key not in _UNSTEADY}
            if fields["result"] != "ok":
                if step is not steps[-1]:
                    fields["result"] = f"{step.verb} {fields['result']}"
                break
    finally:
        faults.clear()
        worker.close_all()
    return fields


_UNSTEADY = frozenset(("mtime", "atime", "ctime"))


@dataclass(frozen=True, slots=True)
class Block:
    """Releases that answer alike, and their answers. measured: those of them that are real binaries' answers."""

    versions: tuple[str, ...]
    answers: Mapping[Cell, str]

    @property
    def measured(self) -> tuple[str, ...]:
        return tuple(version for version in self.versions if version in MEASURED)


@cache
def blocks() -> tuple[Block, ...]:
    """The data."""
    data = yaml.load(FILE.read_text("utf-8"), yaml.CSafeLoader)
    return tuple(
        Block(
            tuple(block["versions"]),
            MappingProxyType(
                {
                    Cell(call, outcome): answer
                    for call, answers in block["calls"].items()
                    for answer, outcomes in answers.items()
                    for outcome in outcomes
                }
            ),
        )
        for block in data
    )


def expected(version: str) -> Mapping[Cell, str]:
    """What the data says for a release; empty for one that it does not have."""
    return next((block.answers for block in blocks() if version in block.versions), MappingProxyType({}))


def check_outcomes(
    ossfs: str | None, version: str, outcomes: Sequence[str] = tuple(OUTCOMES)
) -> tuple[int, list[Difference]]:
    """How many cells there are for these outcomes, and those in which kernel mounts of a binary (None: of the
    simulation) answer something else than the data."""
    wanted = expected(version)
    differences = []
    answers = measure_all(ossfs, version, outcomes)
    for cell, answer in answers.items():
        if (said := wanted.get(cell, "nothing")) != answer:
            step = f"{cell.call}: {CALLS[cell.call].request} ends in {cell.outcome}"
            differences.append(Difference("result", step, answer, said))
    return len(answers), differences


def measure_all(ossfs: str | None, version: str, outcomes: Sequence[str] = tuple(OUTCOMES)) -> dict[Cell, str]:
    """`measure` of several outcomes on kernel mounts, several at a time."""
    # Those that take longest begin first.
    jobs = [(ossfs, version, outcome) for outcome in sorted(outcomes, key=lambda name: not OUTCOMES[name].waits)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(_MEASURING, len(jobs)), mp_context=context) as pool:
        return {cell: answer for found in pool.map(_measured, jobs) for cell, answer in found.items()}


def _measured(job: tuple[str | None, str, str]) -> dict[Cell, str]:
    ossfs, version, outcome = job
    bench = Bench(make_engine("kernel", ossfs=ossfs), version)
    try:
        return measure(bench, [outcome])
    finally:
        bench.close()


def render(answers: Sequence[tuple[str, Mapping[Cell, str]]]) -> str:
    """The text of `errno.yaml`. answers: release and its cells; equal ones are written once."""
    alike: list[tuple[list[str], Mapping[Cell, str]]] = []
    for version, found in answers:
        for have, known in alike:
            if known == found:
                have.append(version)
                break
        else:
            alike.append(([version], found))
    lines = [
        "# What every call answers when its request ends in each outcome: by call, answer to outcomes. Measured on the",
        f"# real binaries of {', '.join(MEASURED)}; other releases are the simulation's own. What the words mean:",
        "# ossvol/parity/outcomes.py.",
    ]
    for versions, found in alike:
        named = ", ".join(f'"{version}"' for version in versions)
        lines += [f"- versions: [{named}]", "  calls:"]
        for call in CALLS:
            lines.append(f"    {call}:")
            by_answer: dict[str, list[str]] = {}
            for outcome in filter(lambda outcome: _is_cell(call, outcome), OUTCOMES):
                by_answer.setdefault(found[Cell(call, outcome)], []).append(outcome)
            for answer, outcomes in by_answer.items():
                texts = ", ".join(f'"{outcome}"' for outcome in outcomes)
                lines.append(f"      {answer}: [{texts}]")
    return "\n".join(lines) + "\n"
