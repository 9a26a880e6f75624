"""The environment variables that the node reads, all of them.

Pure look-ups; any thread.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["state_base"]


def state_base() -> Path:
    """The directory below which each run keeps its state.

    An ordinary user has $XDG_RUNTIME_DIR/ossvol when the variable names a directory. Root always has /tmp/ossvol-0:
    containers with other uids must reach the mount points inside, and /run/user/0 lets nobody through.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and runtime and os.path.isdir(runtime):
        return Path(runtime, "ossvol")
    return Path(f"/tmp/ossvol-{os.geteuid()}")
