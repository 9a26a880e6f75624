"""updatedb of mlocate: a daily scan of everything below a node's root, volumes included unless /etc/updatedb.conf says
no.

PRUNEFS names file systems that it skips, PRUNEPATHS directories. PRUNE_BIND_MOUNTS and PRUNENAMES are read and left
alone: the mounts of a volume are all at its root, which mlocate does not take for binds. Source: updatedb.conf(5); the
driver's entrypoint.sh for what it adds to the file. `walk` is called from the runner's thread; the rest is pure.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from osscluster.host import MountLine, NodeHost
from osscluster.volume import Syscalls

__all__ = ["CONFIGURATION", "DEFAULT_CONFIGURATION", "Pruning", "Scan", "configured_for_volumes", "parse", "scan"]

CONFIGURATION = "/etc/updatedb.conf"
DEFAULT_CONFIGURATION = (
    'PRUNE_BIND_MOUNTS = "yes"\n'
    'PRUNEFS = "9p afs anon_inodefs auto autofs bdev binfmt_misc cgroup cifs coda configfs cpuset debugfs devpts '
    "ecryptfs exofs fuse fuse.sshfs fusectl gfs gfs2 hugetlbfs inotifyfs iso9660 jffs2 lustre mqueue ncpfs nfs nfs4 "
    'nfsd pipefs proc ramfs rootfs rpc_pipefs securityfs selinuxfs sfs sockfs sysfs tmpfs ubifs udf usbfs"\n'
    'PRUNENAMES = ".git .hg .svn"\n'
    'PRUNEPATHS = "/afs /media /mnt /net /sfs /tmp /udev /var/cache/ccache /var/spool/cups /var/spool/squid /var/tmp"\n'
)
"""As mlocate's package brings it: without fuse.ossfs."""

_SETTING = re.compile(r'^\s*([A-Z_]+)\s*=\s*"([^"]*)"', re.MULTILINE)
_KUBELET = "/var/lib/kubelet"


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is left out. filesystems: types as in the mount table; paths: directories."""

    filesystems: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scan:
    """What one run found. entries: names seen; skipped: directories that were pruned; refused: those that it could not
    read, with the errno's text."""

    entries: int
    skipped: Sequence[str]
    refused: Sequence[str]


def parse(text: str) -> Pruning:
    """Of the content of /etc/updatedb.conf."""
    found = {name: value.split() for name, value in _SETTING.findall(text)}
    # mlocate compares the types in upper case.
    filesystems = frozenset(name.upper() for name in found.get("PRUNEFS", ()))
    return Pruning(filesystems, frozenset(path.rstrip("/") or "/" for path in found.get("PRUNEPATHS", ())))


def configured_for_volumes(text: str) -> str:
    """The file as csi-plugin leaves it: fuse.ossfs in PRUNEFS and kubelet's directory in PRUNEPATHS, each unless it is
    there. A file without these settings, or without quotes behind them, stays as it is."""
    text = re.sub(r"PRUNE_BIND_MOUNTS.*$", 'PRUNE_BIND_MOUNTS = "yes"', text, flags=re.MULTILINE)
    for name, present, added in (
        ("PRUNEFS", "fuse.ossfs", "fuse.ossfs"),
        ("PRUNEPATHS", _KUBELET, f"{_KUBELET} /var/lib/container/kubelet"),
    ):
        if not any(line.startswith(name) and present in line for line in text.splitlines()):
            text = re.sub(rf'({name}\s*=\s*")', rf"\g<1>{added} ", text)
    return text


def scan(host: NodeHost, *, top: str = "/") -> Scan:
    """One run of updatedb on a node: root's process of that name lists every directory below `top` that is not pruned,
    and looks at every subdirectory and at every entry whose kind the listing does not tell."""
    pruning = parse(host.read_file(CONFIGURATION) or "")
    process = host.start_process("updatedb")
    try:
        return _walk(process, top, pruning, host.mounts())
    finally:
        process.end()


def _walk(process: Syscalls, top: str, pruning: Pruning, mounts: Sequence[MountLine]) -> Scan:
    types = {line.target: line.fstype.upper() for line in mounts}
    entries = 0
    skipped: list[str] = []
    refused: list[str] = []
    pending = [top]
    while pending:
        directory = pending.pop()
        if directory in pruning.paths or types.get(directory, "") in pruning.filesystems:
            skipped.append(directory)
            continue
        try:
            found = list(_entries(process, directory, refused))
        except OSError as error:
            refused.append(f"{directory}: {error.strerror}")
            continue
        entries += len(found)
        pending += [path for path, is_directory in reversed(found) if is_directory]
    return Scan(entries, tuple(skipped), tuple(refused))


def _entries(process: Syscalls, directory: str, refused: list[str]) -> Iterator[tuple[str, bool]]:
    for entry in process.listdir(directory):
        if entry.name in (".", ".."):
            continue
        path = f"{directory.rstrip('/')}/{entry.name}"
        if entry.kind not in ("", "directory"):
            yield path, False
            continue
        try:
            yield path, stat.S_ISDIR(process.lstat(path).mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append(f"{path}: {error.strerror}")
