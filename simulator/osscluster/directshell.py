"""The commands that an administrator types on a node of the direct engine: `mount | grep WORD ...`, `umount [-f|-l]
PATH`, `lsof PATH`. Answered by the model with the text of util-linux 2.38 and lsof 4.95.

Anything else raises EnvironmentMissing: a model that guessed would be worse. Called from the runner's thread.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import shlex
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from osscluster.errors import EnvironmentMissing
from osscluster.host import CommandResult
from osscluster.namespace import plain
from ossfuse.mounted import Context

if TYPE_CHECKING:
    from osscluster.directhost import DirectHost, OpenPlace

__all__ = ["run"]

_ROOT = Context(uid=0, gid=0)
_UMOUNT_FAILED = 32


def run(host: DirectHost, command: str) -> CommandResult:
    """Raises EnvironmentMissing for what is not one of the three."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    words = list(lexer)
    match words:
        case ["mount"]:
            return _mount(host, [])
        case ["mount", "|", *rest]:
            return _mount(host, rest)
        case ["umount", *options, path] if path.startswith("/") and set(options) <= {"-f", "-l"}:
            return _umount(host, path, options)
        case ["lsof", path] if path.startswith("/"):
            return _lsof(host, path)
    raise EnvironmentMissing(
        f"the direct engine's node knows mount | grep WORD, umount [-f|-l] PATH and lsof PATH; this is {command!r}",
        "use --via kernel",
    )


def _mount(host: DirectHost, filters: list[str]) -> CommandResult:
    lines = [str(line) for line in host.mounts()]
    while filters:
        match filters:
            case ["grep", pattern, *rest] if not pattern.startswith("-") and rest[:1] in ([], ["|"]):
                lines = [line for line in lines if re.search(pattern, line)]
                filters = rest[1:]
            case ["grep", "-v", pattern, *rest] if rest[:1] in ([], ["|"]):
                lines = [line for line in lines if not re.search(pattern, line)]
                filters = rest[1:]
            case _:
                raise EnvironmentMissing(
                    f"the direct engine's node filters with grep WORD only; this is {shlex.join(filters)!r}",
                    "use --via kernel",
                )
        if not filters:
            return CommandResult(0 if lines else 1, "".join(line + "\n" for line in lines), "")
    return CommandResult(0, "".join(line + "\n" for line in lines), "")


def _umount(host: DirectHost, path: str, options: Sequence[str]) -> CommandResult:
    flags: Literal["", "force", "lazy"] = "lazy" if "-l" in options else "force" if "-f" in options else ""
    try:
        host.umount(path, flags=flags)
    except OSError as error:
        known = {
            errno.EINVAL: "not mounted.",
            errno.EBUSY: "target is busy.",
            errno.ENOENT: "no mount point specified.",
        }
        reason = known.get(error.errno or 0, os.strerror(error.errno or errno.EIO) + ".")
        return CommandResult(_UMOUNT_FAILED, "", f"umount: {path}: {reason}\n")
    return CommandResult(0, "", "")


def _lsof(host: DirectHost, path: str) -> CommandResult:
    try:
        mount, node = host.namespace.find(_ROOT, path)
        mount.vfs.fresh(_ROOT, node)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        return CommandResult(1, "", f"lsof: status error on {path}: {reason}\n")
    # A mount point stands for its whole file system, anything else for itself.
    whole = mount.parent is not None and mount.target == plain(path)
    found = [
        item
        for item in host.open_places()
        if item.mount.vfs.same_file_system(mount.vfs) and (whole or item.node is node)
    ]
    if not found:
        return CommandResult(1, "", "")
    found.sort(key=lambda item: (item.process.pid, item.number))
    return CommandResult(0, _table([_row(host, item) for item in found]), "")


def _row(host: DirectHost, item: OpenPlace) -> tuple[str, ...]:
    process, node = item.process, item.node
    if item.file is None:
        descriptor = "cwd  "
    else:
        letter = "r" if not item.file.writable else "u" if item.file.readable else "w"
        descriptor = f"{item.number}{letter} "
    kind = {stat.S_IFDIR: "DIR", stat.S_IFREG: "REG", stat.S_IFLNK: "LNK"}.get(node.kind, "unknown")
    size = str(node.attributes.size)
    return (
        process.name[:9],
        str(process.pid),
        _user(process.uid),
        descriptor,
        kind,
        f"0,{host.device(item.mount)}",
        size,
        str(node.number),
        item.shown_path,
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    header = ("COMMAND", "PID", "USER", "FD  ", "TYPE", "DEVICE", "SIZE/OFF", "NODE", "NAME")
    least = (7, 5, 4, 6, 4, 6, 8, 4, 0)
    lines = []
    widths = [max(low, *(len(row[n]) for row in [header, *rows])) for n, low in enumerate(least)]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0]), *(row[n].rjust(widths[n]) for n in range(1, 8)), row[8]]
        lines.append(" ".join(cells) + "\n")
    return "".join(lines)
