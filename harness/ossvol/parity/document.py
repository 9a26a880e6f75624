"""docs/parity.md, permissions.md and errno.md, made from the data: python -m ossvol.parity.document writes them.

Pure functions but for `main`; any thread.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ossvol.parity import differences, matrix, outcomes

__all__ = ["errno_page", "main", "parity_page", "permissions_page"]

_PARITY = """\
# The simulation against the real binaries

`ossvol parity --ossfs /path/to/ossfs` runs the same calls on a real ossfs and on the simulation of its release, each on
a kernel mount over a cloud of its own, and compares what every call returned (value, errno, every field of stat), what
the bucket holds afterwards (keys, sizes, ETags, types, metadata) and every request (method, key, parameters, headers,
body, order). It has four parts:

- **sequences**: random steps of three users on few names: create, write, read, truncate, rename, metadata, directories,
  links, extended attributes, with files held open over other steps and opened twice, sparse files and files of several
  parts, changes by another client of the bucket, remounts, and time that lets cache entries expire, under one or two of
  {options} sets of mount options, in the root of a bucket or a directory of it;
- **permissions**: the matrix of [permissions.md](permissions.md), {cells} cells;
- **errno**: the table of [errno.md](errno.md), {errnos} cells;
- **scenarios**: every scenario whose range of versions allows the release.

Requests that ossfs sends side by side (the HEADs of a listing, the parts of an upload, the ranges of a read) are
compared without their order. Mounts of sequences are single-threaded (`-s`), keep names in the kernel either never or
for the whole sequence, and ask once (`retries=1`), so that nothing depends on the machine's speed.

A difference that nobody explained makes the command fail with the smallest sequence that shows it and a line that
reproduces it. What is explained stands below; an entry that nothing needs any more is reported as stale, and fails with
`--strict`. This page is made from `ossvol/parity/differences.yaml` by `python -m ossvol.parity.document`.

## Known differences
"""

_PERMISSIONS = """\
# Who may do what

Mount options, origin of an object and operation, by caller: root, uid 1000 gid 1001, and uid 2000 gid 2001 with the
further group 1001. Measured on the real binaries of the releases named, and asserted of the simulation on kernel mounts
and in process. `ossvol parity` measures it anew. The data is `ossvol/parity/permissions.yaml`; this page is made
from it by `python -m ossvol.parity.document`.

A cell has one sign for each caller: `+` success, `A` EACCES "Permission denied", `P` EPERM "Operation not permitted",
`n` access(2) says no. Every object stands in a directory that everybody may write to, unless its origin says otherwise.
"""

_ERRNO = """\
# From the answer of OSS to the errno of a call

For every call, the request in brackets ends in the outcome at the head of the column, all others well, with one attempt
a request (`retries=1`; more attempts are more time, not another errno). Measured on the real binaries of {measured};
the other releases are what their rows of the table of releases make of it. Tests execute every cell on the simulation,
`ossvol parity --only errno` on a real binary. The data is `ossvol/parity/errno.yaml`; this page is made from it by
`python -m ossvol.parity.document`.

`+` is success. "other" is success with something else than the undisturbed call returns: an empty listing, an object
without its metadata, data that are not the object's. "refused" is access(2) saying no. "open EIO" names the step that
fails where that is not the last one of the row. "died" is the end of the ossfs process.

An outcome with a code is an error document with that status; 301 and 307 come without a Location. "refused" at the head
is a connection refused, "reset" one that breaks before the answer, "timeout" no answer within `readwrite_timeout` (an
empty cell: not tried with files of several parts, where 1.80 waits two minutes whatever the option says), "truncated"
an answer whose body breaks off, "wrong crc" a wrong `x-oss-hash-crc64ecma`, which no 1.x release looks at.
"""

_SIGNS = {"ok": "+", "EACCES": "A", "EPERM": "P", "refused": "n"}


def parity_page() -> str:
    """docs/parity.md."""
    from ossvol.parity.generator import OPTION_SETS

    cells = sum(1 for _ in matrix.cells())
    errnos = sum(1 for _ in outcomes.cells())
    lines = [_PARITY.format(options=len(set(OPTION_SETS)), cells=f"{cells:,}", errnos=f"{errnos:,}")]
    known = differences.load()
    if known:
        lines += ["| id | releases | difference | reason | source |", "|---|---|---|---|---|"]
        lines += [
            f"| `{one.id}` | {one.versions.text} | {one.title} | {one.reason} | {one.source} |".replace("\n", " ")
            for one in known
        ]
    else:
        lines.append("None.")
    lines += ["", "## The last full runs", ""]
    lines += [
        "| release | date | commits | sequences | steps | requests | permission cells | errno cells | scenarios "
        "| unexplained | explained |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = (
        *("release", "date", "commits", "sequences", "steps", "requests", "cells", "errnos", "scenarios"),
        *("unexplained", "explained"),
    )
    for run in differences.runs():
        shown = [f"{run[name]:,}" if isinstance(run[name], int) else str(run[name]) for name in names]
        lines.append("| " + " | ".join(shown) + " |")
    lines += [f"\n{run['release']}: {run['note']}" for run in differences.runs() if "note" in run]
    return "\n".join(lines) + "\n"


def permissions_page() -> str:
    """docs/permissions.md."""
    lines = [_PERMISSIONS]
    for versions, found in matrix.blocks():
        for options in matrix.OPTIONS:
            title = f"`-o {options}`" if options else "no options (only the user who mounted gets in)"
            lines += [f"## {', '.join(versions)}: {title}", ""]
            lines += _table(found, options, directories=False)
            lines += _table(found, options, directories=True)
    return "\n".join(lines).rstrip("\n") + "\n"


def errno_page() -> str:
    """docs/errno.md."""
    lines = [_ERRNO.format(measured=", ".join(outcomes.MEASURED))]
    for block in outcomes.blocks():
        title = ", ".join(block.versions)
        measured = f"measured with {', '.join(block.measured)}" if block.measured else "by the simulation"
        lines += [f"## {title}", "", f"The answers of {title}, {measured}.", ""]
        columns = _columns(block.answers)
        lines.append("| call | " + " | ".join(", ".join(names) for names in columns) + " |")
        lines.append("|---" * (len(columns) + 1) + "|")
        for name, call in outcomes.CALLS.items():
            answers = [block.answers.get(outcomes.Cell(name, names[0]), "") for names in columns]
            shown = ["+" if answer == "ok" else answer for answer in answers]
            lines.append(f"| {call.title} (`{call.request}`) | " + " | ".join(shown) + " |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _columns(answers: Mapping[outcomes.Cell, str]) -> list[list[str]]:
    """Outcomes that every call answers alike stand in one column; the undisturbed request is not shown."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for outcome in list(outcomes.OUTCOMES)[1:]:
        column = tuple(answers.get(outcomes.Cell(call, outcome), "") for call in outcomes.CALLS)
        alike.setdefault(column, []).append(outcome)
    return list(alike.values())


def _table(found: Mapping[matrix.Cell, str], options: str, *, directories: bool) -> list[str]:
    origins = [name for name, origin in matrix.ORIGINS.items() if origin.directory is directories]
    operations = [
        name for name in matrix.OPERATIONS if matrix.Cell(options, origins[0], name, matrix.ACTORS[0]) in found
    ]
    lines = ["| object | " + " | ".join(operations) + " |", "|---" * (len(operations) + 1) + "|"]
    for origin in origins:
        cells = []
        for operation in operations:
            answers = [found[matrix.Cell(options, origin, operation, actor)] for actor in matrix.ACTORS]
            cells.append(" ".join(_SIGNS.get(answer, answer) for answer in answers))
        lines.append(f"| {matrix.ORIGINS[origin].title} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> int:
    """Writes the pages below docs/ of the working directory."""
    directory = Path("docs")
    if not directory.is_dir():
        print("run this where docs/ is", file=sys.stderr)
        return 2
    (directory / "parity.md").write_text(parity_page(), "utf-8")
    (directory / "errno.md").write_text(errno_page(), "utf-8")
    (directory / "permissions.md").write_text(permissions_page(), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
