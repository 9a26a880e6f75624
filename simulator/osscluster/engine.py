"""Which engine to use: `make_engine`, and why the kernel engine is impossible on a machine.

Called from the runner's thread.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from typing import Literal

from osscluster import mounttable
from osscluster.direct import DirectEngine
from osscluster.errors import EnvironmentMissing
from osscluster.kernel import KernelEngine

__all__ = ["DirectEngine", "EnvironmentMissing", "KernelEngine", "kernel_unavailable", "make_engine"]

_LIBRARIES = ("libfuse.so.2", "libfuse3.so.4", "libfuse3.so.3")
_MS_NOSUID_NODEV = 2 | 4


def make_engine(
    via: Literal["kernel", "direct"], *, ossfs: str | None = None, state_dir: str | None = None
) -> KernelEngine | DirectEngine:
    """An engine over a new, empty cloud. ossfs: path of a real ossfs binary (kernel only); state_dir: where runs keep
    their state, by default `config.state_base()`.

    Raises EnvironmentMissing when the machine can't do it, ValueError for a combination that makes no sense.
    """
    if via == "direct":
        if ossfs is not None:
            raise ValueError("a real ossfs binary needs the kernel engine")
        return DirectEngine(state_dir=state_dir)
    if via != "kernel":
        raise ValueError(f"no engine is called {via!r}; there are kernel and direct")
    missing = kernel_unavailable()
    if missing is not None:
        raise missing
    if ossfs is not None and not os.access(ossfs, os.X_OK):
        raise EnvironmentMissing(f"{ossfs} is not an executable file", "build ossfs, or leave --ossfs out")
    return KernelEngine(ossfs=ossfs, state_dir=state_dir)


def kernel_unavailable() -> EnvironmentMissing | None:
    """Why no FUSE file system can be mounted here, with the line that fixes it; None when it can."""
    if sys.platform != "linux":
        return EnvironmentMissing(f"FUSE mounts need Linux, this is {sys.platform}", "use --via direct")
    missing = _library_missing()
    if missing is not None:
        return missing
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return EnvironmentMissing("/dev/fuse does not exist", "modprobe fuse (in a container: --device /dev/fuse)")
    except OSError as error:
        return EnvironmentMissing(
            f"/dev/fuse can't be opened: {error.strerror}", "sudo chmod 666 /dev/fuse (in a container: --privileged)"
        )
    try:
        if os.geteuid() != 0:
            if shutil.which("fusermount") is None and shutil.which("fusermount3") is None:
                return EnvironmentMissing("not root, and there is no fusermount", "sudo apt-get install -y fuse")
            return None
        return _mount_refused(device)
    finally:
        os.close(device)


def _library_missing() -> EnvironmentMissing | None:
    for name in _LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return None
    return EnvironmentMissing("neither libfuse.so.2 nor libfuse3 is installed", "sudo apt-get install -y libfuse2 fuse")


def _mount_refused(device: int) -> EnvironmentMissing | None:
    # Root in a container may lack CAP_SYS_ADMIN, or a security module refuses: only an attempt tells.
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="ossvol-try-") as directory:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        place = os.fsencode(directory)
        if libc.mount(b"ossvol-try", place, b"fuse", ctypes.c_ulong(_MS_NOSUID_NODEV), options):
            reason = os.strerror(ctypes.get_errno())
            return EnvironmentMissing(
                f"root may not mount here: {reason}", "docker run --device /dev/fuse --cap-add SYS_ADMIN ..."
            )
        mounttable.unmount(directory, lazy=True)
    return None
