"""The environment variables that the node reads, all of them.

Pure look-ups; any thread.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["docker_host", "state_base"]


def state_base() -> Path:
    """The directory below which each run keeps its state.

    An ordinary user has $XDG_RUNTIME_DIR/ossvol when the variable names a directory. Root always has /tmp/ossvol-UID:
    containers with other uids must reach the mount points inside, and /run/user/0 lets nobody through. UID is the one
    outside of a user namespace, where every user is root.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and runtime and os.path.isdir(runtime):
        return Path(runtime, "ossvol")
    return Path(f"/tmp/ossvol-{_outer_uid(os.geteuid())}")


def docker_host() -> str:
    """The Docker engine's url: $DOCKER_HOST, or its own socket."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _outer_uid(uid: int) -> int:
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inside, outside, count = (int(field) for field in line.split())
        if inside <= uid < inside + count:
            return outside + uid - inside
    return uid
