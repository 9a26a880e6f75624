"""The table of Kubernetes releases: every difference that a Pod with an OSS volume can meet is a field, a release is a
row. Sources: kubernetes/kubernetes, the files named at each field; mount-utils as vendored by that release.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace

__all__ = ["DEFAULT_VERSION", "KubernetesProfile", "find", "versions"]

DEFAULT_VERSION = "1.30"
_TIMED_OUT = "unattached volumes=[], failed to process volumes=[]: context deadline exceeded"


@dataclass(frozen=True, slots=True)
class KubernetesProfile:
    """One minor release of Kubernetes."""

    name: str
    staging_by_handle: bool = True
    """Staging path .../csi/DRIVER/sha256(volumeHandle)/globalmount; before 1.24 .../csi/pv/PV/globalmount
    (pkg/volume/csi/csi_attacher.go, makeDeviceMountPath)."""

    timeout_event: bool = False
    """Pods whose volumes are not there after 2 m 3 s get an event "Unable to attach or mount volumes"; since 1.27 it
    is logged only (pkg/kubelet/kubelet.go, SyncPod)."""

    timeout_text: str = _TIMED_OUT
    """What it says, with the names of all volumes where they are named; other words at its end until 1.26
    (pkg/kubelet/volumemanager/volume_manager.go, WaitForAttachAndMount)."""

    created_text: str = "Created container {}"
    """The event of a container that is there (pkg/kubelet/kuberuntime); since 1.32 with a colon."""

    walk_children_first: bool = True
    """The fsGroup walk reaches a directory after what is in it, the root last; until 1.19 parents came first
    (pkg/volume/volume_linux.go, walkDeep)."""

    root_mismatch: bool = True
    """fsGroupChangePolicy OnRootMismatch is known; since 1.20 (pkg/volume/volume_linux.go, skipPermissionChange)."""

    progress_event: bool = False
    """A walk of more than 30 s gets the event VolumePermissionChangeInProgress; since 1.33."""

    corrupted: frozenset[int] = frozenset({errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES, errno.EHOSTDOWN})
    """What stat(2) answers for a mount that is unmounted without another look (mount-utils, IsCorruptedMnt)."""

    missing_but_accessible_is_stale: bool = True
    """A path that stat(2) does not find and access(2) does counts as ESTALE; since 1.24 (mount-utils, PathExists)."""


_1_18 = KubernetesProfile(
    name="1.18",
    staging_by_handle=False,
    timeout_event=True,
    timeout_text="unattached volumes=[{}]: timed out waiting for the condition",
    walk_children_first=False,
    root_mismatch=False,
    corrupted=frozenset({errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES}),
    missing_but_accessible_is_stale=False,
)
_1_20 = replace(_1_18, name="1.20", walk_children_first=True, root_mismatch=True)
_1_22 = replace(_1_20, name="1.22", corrupted=_1_20.corrupted | {errno.EHOSTDOWN})
_1_24 = replace(_1_22, name="1.24", staging_by_handle=True, missing_but_accessible_is_stale=True)
_1_26 = replace(
    _1_24,
    name="1.26",
    timeout_text="unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition",
)
_1_28 = replace(_1_26, name="1.28", timeout_event=False, timeout_text=_TIMED_OUT)
_1_30 = replace(_1_28, name="1.30", corrupted=_1_28.corrupted | {errno.EWOULDBLOCK})
_1_32 = replace(_1_30, name="1.32", corrupted=_1_30.corrupted | {errno.ENODEV}, created_text="Created container: {}")
_1_33 = replace(_1_32, name="1.33", progress_event=True)

_TABLE = {row.name: row for row in (_1_18, _1_20, _1_22, _1_24, _1_26, _1_28, _1_30, _1_32, _1_33)}


def versions() -> tuple[str, ...]:
    """Releases that have a row, oldest first. A release between two rows is as the older of them."""
    return tuple(_TABLE)


def find(version: str) -> KubernetesProfile:
    """The row of a release ("1.30", "v1.30.4"), or of the newest one before it. Raises ValueError for older ones."""
    try:
        major, minor = (int(part) for part in version.removeprefix("v").split(".")[:2])
    except ValueError:
        raise ValueError(f"{version!r} is no Kubernetes release; write 1.30") from None
    older = [row for name, row in _TABLE.items() if (1, int(name.split(".")[1])) <= (major, minor)]
    if not older:
        raise ValueError(f"Kubernetes {version} is not modelled; the oldest is {next(iter(_TABLE))}")
    return replace(older[-1], name=f"{major}.{minor}")
