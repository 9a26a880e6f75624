"""`ossvol holders`: who has which file of a mount open.

Reads /proc only and makes no call on the mount, so that a dead or stuck one can be asked about. Any thread.
"""

from __future__ import annotations

import dataclasses
import json as json_module
import os
from pathlib import Path

from ossvol.errors import UsageError

__all__ = ["holders"]


def holders(mount: Path, *, json: bool) -> str:
    """The text to print. Raises UsageError when nothing is mounted at `mount`, and where this is no Linux."""
    from osscluster.holders import holders_below
    from osscluster.mounttable import is_mounted

    if not Path("/proc/self/mountinfo").exists():
        raise UsageError("there is no /proc here, so nobody says who has files open")
    # The parent only: a look at the mount point itself can hang, or fail, when its ossfs is stuck or gone.
    absolute = Path(os.path.abspath(mount))
    place = str(absolute.parent.resolve() / absolute.name) if absolute.name else "/"
    if not is_mounted(place):
        raise UsageError(f"{mount}: nothing is mounted there; mount points are listed by: findmnt -t fuse.ossfs")
    found = holders_below(place)
    if json:
        entries = [dataclasses.asdict(one) for one in found]
        return json_module.dumps({"version": 1, "mount": place, "holders": entries}, ensure_ascii=False) + "\n"
    if not found:
        return (
            f"nobody has a file of {place} open"
            + ("" if os.geteuid() == 0 else " (of this user; root sees all)")
            + "\n"
        )
    rows = [("PID", "UID", "COMMAND", "PATH")]
    rows += [(str(one.pid), str(one.uid), one.command, one.path or ".") for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:{widths[2]}}  {row[3]}\n" for row in rows)
