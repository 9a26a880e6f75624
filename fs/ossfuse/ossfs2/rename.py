"""Renaming a directory: every object below is copied, then all are deleted.

Not atomic and without roll-back, as the original. The caller holds the locks of both parents. Source: 2.0.7, rename_dir
and do_rename_task (fs.cpp).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ossfuse.errors import RequestFailed, failure
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.options import MountOptions

__all__ = ["rename_directory"]


def rename_directory(client: Ossfs2Client, options: MountOptions, old: str, new: str) -> None:
    """Copies every object below, then deletes them in batches; stops where a request fails, and leaves what is done as
    it is. Raises EMFILE for more than rename_dir_limit of them, before anything is copied."""
    prefix = client.directory_key(old)
    names: list[str] = []
    itself, position = False, ""
    while True:
        page, position = client.list_page(prefix, max_keys=options.list_keys, delimiter=False, position=position)
        for listed in page.objects:
            if listed.key == prefix:
                itself = True
            else:
                names.append(listed.key[len(prefix) :])
            if len(names) > options.rename_dir_limit:
                raise failure(errno.EMFILE, old)
        if not position:
            break
    if itself:
        client.copy(f"{old}/", f"{new}/")
    _copy(client, options.rename_dir_concurrency, names, old, new)
    client.delete_many([prefix + name for name in names])
    if itself:
        client.delete(f"{old}/")


def _copy(client: Ossfs2Client, width: int, names: Sequence[str], old: str, new: str) -> None:
    """What is under way when a copy fails goes on to its end; nothing new is begun then. width: copies at a time."""
    for start in range(0, len(names), width):
        failed = None
        for name in names[start : start + width]:
            try:
                client.copy(f"{old}/{name}", f"{new}/{name}")
            except RequestFailed as error:
                failed = failed or error
        if failed is not None:
            raise failed
