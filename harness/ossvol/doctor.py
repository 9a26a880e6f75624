"""`ossvol doctor`: what works on this machine, and the line that provides what does not.

Looks only; changes nothing. Main thread.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "checks"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. needed: without it there are no kernel mounts (or nothing at all). remedy: "" when ok."""

    name: str
    ok: bool
    needed: bool
    detail: str
    remedy: str = ""


def checks() -> list[Check]:
    """Everything that matters, the verdict on kernel mounts last."""
    from osscluster.engine import kernel_unavailable
    from ossvol.config import own_scenarios

    version = platform.python_version()
    found = [
        Check("python", sys.version_info >= (3, 11), True, version, "install Python 3.11 or newer"),
        _library(),
        _program("fusermount", "apt-get install -y fuse", needed=os.geteuid() != 0, instead="fusermount3"),
        _program("lsof", "apt-get install -y lsof", needed=False),
        _program("kubectl", "pip install 'ossvol[kubectl]'", needed=False),
        Check(
            "root",
            os.geteuid() == 0,
            False,
            f"uid {os.geteuid()}",
            "containers of other uids need root: sudo ossvol ...",
        ),
        Check(
            "scenarios", own_scenarios().is_dir(), True, str(own_scenarios()), "pip install --force-reinstall ossvol"
        ),
        Check(
            "mime.types", Path("/etc/mime.types").is_file(), False, "/etc/mime.types", "apt-get install -y media-types"
        ),
    ]
    missing = kernel_unavailable()
    if missing is None:
        found.append(Check("kernel mounts", True, True, "work"))
    else:
        found.append(Check("kernel mounts", False, True, missing.reason, missing.remedy))
    return [Check(one.name, one.ok, one.needed, one.detail, "" if one.ok else one.remedy) for one in found]


def _library() -> Check:
    for name in ("libfuse.so.2", "libfuse3.so.4", "libfuse3.so.3"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return Check("libfuse", True, True, name)
    return Check("libfuse", False, True, "neither libfuse2 nor libfuse3", "apt-get install -y libfuse2")


def _program(name: str, remedy: str, *, needed: bool, instead: str = "") -> Check:
    path = shutil.which(name) or (shutil.which(instead) if instead else None)
    return Check(name, path is not None, needed, path or "not found", remedy)
