"""The permissions matrix: for mount options x object origin x operation x caller, what the call answers.

`permissions.yaml` has the expected answers by release; `measure` finds them out on any engine, `check_matrix` compares.
docs/permissions.md is made from the same data. Every cell has objects of its own below a directory that everybody may
write to, so no cell depends on another. One thread, the runner's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from ossvol.parity.comparison import Difference
from ossvol.parity.replay import Bench
from ossvol.parity.steps import Step

__all__ = [
    "ACTORS",
    "FILE",
    "OPERATIONS",
    "OPTIONS",
    "ORIGINS",
    "Cell",
    "blocks",
    "cells",
    "check_matrix",
    "expected",
    "measure",
    "render",
]

FILE = Path(__file__).with_name("permissions.yaml")

ACTORS = ("root", "app", "other")

OPTIONS = (
    "",
    "allow_other",
    "allow_other,umask=022",
    "allow_other,umask=007",
    "allow_other,umask=000",
    "allow_other,mp_umask=077",
    "allow_other,uid=1000,gid=1001",
    "allow_other,uid=1000,umask=077",
)
_COMMON = "attr_timeout=3600,entry_timeout=3600"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object came from. parent, meta: metadata of the directory above and of the object itself ("-": the
    object does not exist, or has none); directory: it is one, with a file in it."""

    title: str
    parent: str
    meta: str
    directory: bool = False


_OPEN = "mode=16895,uid=0,gid=0"
ORIGINS: Mapping[str, Origin] = MappingProxyType(
    {
        "uploaded": Origin("file uploaded by another client", _OPEN, "-"),
        "own": Origin("file of root, 0644, made through a mount", _OPEN, "mode=33188,uid=0,gid=0"),
        "private": Origin("file of 1000:1001, 0600", _OPEN, "mode=33152,uid=1000,gid=1001"),
        "group": Origin("file of 0:1001, 0660", _OPEN, "mode=33200,uid=0,gid=1001"),
        "owner-less": Origin("file of 1000:1001, 0077: everybody but the owner", _OPEN, "mode=32831,uid=1000,gid=1001"),
        "in-uploaded": Origin("file 0666 in an uploaded directory", "-", "mode=33206,uid=0,gid=0"),
        "in-private": Origin(
            "file 0666 in a directory of 1000:1001, 0700", "mode=16832,uid=1000,gid=1001", "mode=33206,uid=0,gid=0"
        ),
        "in-read-only": Origin("file 0666 in a directory of root, 0755", "mode=16877,uid=0,gid=0", "mode=33206"),
        "directory": Origin("uploaded directory object", _OPEN, "-", directory=True),
        "private-directory": Origin("directory of 1000:1001, 0700", _OPEN, "mode=16832,uid=1000,gid=1001", True),
    }
)

# Name to steps; the answer of the last one counts. {p} is the object, {d} the directory above it.
OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "stat": "stat {p}",
        "read": "open h {p} r 0",
        "write": "open h {p} w 0",
        "truncate": "truncate {p} 1",
        "access-r": "access {p} 4",
        "access-w": "access {p} 2",
        "access-x": "access {p} 1",
        "chmod": "chmod {p} 600",
        "chown": "chown {p} 1000 1001",
        "utime": "utime {p} 1000000000 1000000000",
        "list": "listdir {p}",
        "create": "open h {p}/new rw+creat 644",
        "create-beside": "open h {d}/new rw+creat 644",
        "mkdir": "mkdir {d}/new 755",
        "unlink": "unlink {p}",
        "rmdir": "rmdir {p}",
        "rename": "rename {p} {d}/new",
        "symlink": "symlink x {d}/new",
    }
)
_OF_FILES = frozenset(("read", "write", "truncate", "unlink", "create-beside", "mkdir", "symlink"))
_OF_DIRECTORIES = frozenset(("list", "create", "rmdir"))


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the matrix."""

    options: str
    origin: str
    operation: str
    actor: str


def cells() -> Iterator[Cell]:
    """All of them, by options."""
    for options in OPTIONS:
        for name, origin in ORIGINS.items():
            for operation in OPERATIONS:
                if operation in (_OF_FILES if origin.directory else _OF_DIRECTORIES):
                    continue
                for actor in ACTORS:
                    yield Cell(options, name, operation, actor)


def measure(bench: Bench, options: str) -> dict[Cell, str]:
    """The answers of the cells with these mount options, on a mount of their own."""
    wanted = [cell for cell in cells() if cell.options == options]
    words = [*(options.split(",") if options else []), _COMMON]

    def prepare() -> None:
        for index, cell in enumerate(wanted):
            _prepare(bench, f"c{index}", ORIGINS[cell.origin])

    bench.mount(" ".join(["-s", *(f"-o {word}" for word in words)]), prepare=prepare)
    answers = {}
    for index, cell in enumerate(wanted):
        place = f"c{index}"
        text = OPERATIONS[cell.operation].format(p=f"{place}/object", d=place)
        shown = bench.do(Step.parse(f"{cell.actor} {text}"))
        answers[cell] = shown.fields["result"]
    return answers


def _prepare(bench: Bench, place: str, origin: Origin) -> None:
    def put(key: str, meta: str, body: bytes = b"") -> None:
        pairs = dict(pair.split("=") for pair in meta.split(",")) if meta != "-" else {}
        bench.engine.cloud.admin.put(bench.bucket, key, body, meta=pairs)

    put(f"{place}/", origin.parent)
    if origin.directory:
        put(f"{place}/object/", origin.meta)
    else:
        put(f"{place}/object", origin.meta, b"content")


@cache
def expected(version: str) -> Mapping[Cell, str]:
    """What the data says for a release; empty for one that it does not have."""
    return next((found for versions, found in blocks() if version in versions), MappingProxyType({}))


@cache
def blocks() -> tuple[tuple[tuple[str, ...], Mapping[Cell, str]], ...]:
    """The data: releases that answer alike, and their answers."""
    return tuple(
        (
            tuple(block["versions"]),
            MappingProxyType(
                {
                    Cell(options, origin, operation, actor): answer
                    for options, origins in block["options"].items()
                    for origin, operations in origins.items()
                    for operation, answers in operations.items()
                    for actor, answer in zip(ACTORS, answers.split(), strict=True)
                }
            ),
        )
        for block in yaml.load(FILE.read_text("utf-8"), yaml.CSafeLoader)
    )


def check_matrix(bench: Bench, version: str) -> tuple[int, list[Difference]]:
    """How many cells there are, and those in which the engine answers something else than the data."""
    wanted = expected(version)
    differences = []
    for options in OPTIONS:
        for cell, answer in measure(bench, options).items():
            if (said := wanted.get(cell, "nothing")) != answer:
                step = f"{cell.actor}: {cell.operation} of {cell.origin}, mounted with {cell.options or 'no options'}"
                differences.append(Difference("result", step, answer, said))
    return sum(1 for _ in cells()), differences


def render(answers: Sequence[tuple[Sequence[str], Mapping[Cell, str]]]) -> str:
    """The text of `permissions.yaml`. answers: releases and their cells; equal ones are written once."""
    alike: list[tuple[list[str], Mapping[Cell, str]]] = []
    for versions, found in answers:
        for have, known in alike:
            if known == found:
                have.extend(versions)
                break
        else:
            alike.append((list(versions), found))
    lines = [
        "# The permissions matrix: mount options, origin of the object, operation: answers for root, for 1000:1001 and",
        "# for 2000:2001 with the further group 1001. Measured on the real binaries of the releases named;",
        "# releases that answer alike share a block. What the words mean: ossvol/parity/matrix.py.",
    ]
    for versions, found in alike:
        lines.append(f"- versions: [{', '.join(repr(v) for v in versions)}]".replace("'", '"'))
        lines.append("  options:")
        for options in OPTIONS:
            lines.append(f'    "{options}":')
            for origin in ORIGINS:
                lines.append(f"      {origin}:")
                for operation in OPERATIONS:
                    row = [found.get(Cell(options, origin, operation, actor)) for actor in ACTORS]
                    if row[0] is not None:
                        lines.append(f"        {operation}: {' '.join(str(answer) for answer in row)}")
    return "\n".join(lines) + "\n"
