"""Reading a directory: the listing, page by page, and the inodes that readdirplus makes of its entries.

Source: 2.0.7, dir.cpp, fs.cpp (construct_inodes_if_needed), oss_adapter.cpp (oss_list_dir).
"""

from __future__ import annotations

import calendar
import stat
import time

from osscloud.clock import Clock
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.inode import Node
from ossfuse.ossfs2.names import Names, Remote, is_name
from ossfuse.ossfs2.options import MountOptions

__all__ = ["Directory"]

Entries = list[tuple[str, int]]


class Directory:
    """Lists the directories of one mount. Any thread."""

    def __init__(self, names: Names, *, client: Ossfs2Client, options: MountOptions, clock: Clock) -> None:
        self._names = names
        self._client = client
        self._options = options
        self._clock = clock

    def list(self, node: Node, path: str) -> Entries:
        """Names and types, those of unsaved files first."""
        with self._names.tree.lock:
            dirty = sorted(
                name for name, child in node.children.items() if not child.stale and child.writer is not None
            )
        listed: Entries = []
        prefix = self._client.directory_key(path)
        position = ""
        while True:
            page, position = self._client.list_page(
                prefix, max_keys=self._options.list_keys, delimiter=True, position=position
            )
            now = self._clock.now()
            for one in page.objects:
                name = one.key[len(prefix) :]
                if not is_name(name):
                    continue
                link = self._options.enable_symlink and one.type == "Symlink"
                kind = stat.S_IFLNK if link else stat.S_IFREG
                if self._options.readdirplus:
                    size = self._names.link_size(f"{path.rstrip('/')}/{name}", one.size) if link else one.size
                    self._names.found(node, name, Remote(kind, size, _list_time(one.last_modified), one.etag), now)
                listed.append((name, kind))
            for key in page.prefixes:
                name = key[len(prefix) :].removesuffix("/")
                if not is_name(name):
                    continue
                if self._options.readdirplus:
                    self._names.found(node, name, Remote(stat.S_IFDIR), now)
                listed.append((name, stat.S_IFDIR))
            if not position:
                break
        for name in dirty:
            child = node.children[name]
            child.told = child.told or 0.0
            self._names.tell(child)
        first = [(name, stat.S_IFREG) for name in dirty]
        return first + [entry for entry in listed if entry[0] not in dirty]


def _list_time(text: str) -> float:
    """Seconds since the epoch of "2023-10-12T02:03:53.000Z"; 0 when it is no such time."""
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
