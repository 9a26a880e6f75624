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
        _docker(),
        _privileges(),
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
    elif _in_user_namespace():
        found.append(Check("kernel mounts", True, True, "work, in a user namespace"))
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


def _docker() -> Check:
    from osscluster.dockerdriver import engine_missing

    missing = engine_missing()
    if missing is not None:
        return Check("docker", False, False, missing.reason, missing.remedy)
    return Check("docker", True, False, "an engine answers")


def _in_user_namespace() -> bool:
    if os.geteuid() == 0 or sys.platform != "linux":
        return False
    from osscluster import usernamespace

    return usernamespace.possible().missing is None


def _privileges() -> Check:
    if os.geteuid() == 0 or sys.platform != "linux":
        return Check("root", os.geteuid() == 0, False, f"uid {os.geteuid()}", "sudo ossvol ...")
    from osscluster import usernamespace

    found = usernamespace.possible()
    if found.missing is not None:
        detail = f"uid {os.geteuid()}, and no user namespace to be root in: {found.missing.reason}"
        return Check("root", False, False, detail, f"{found.missing.remedy}; or sudo ossvol ...")
    if found.remedy:
        detail = f"uid {os.geteuid()}; `ossvol run` uses a user namespace, where containers have no other uids"
        return Check("root", False, False, detail, found.remedy)
    detail = f"uid {os.geteuid()}; `ossvol run` uses a user namespace with {found.ids} ids (newuidmap)"
    return Check("root", True, False, detail)


def _program(name: str, remedy: str, *, needed: bool, instead: str = "") -> Check:
    path = shutil.which(name) or (shutil.which(instead) if instead else None)
    return Check(name, path is not None, needed, path or "not found", remedy)
