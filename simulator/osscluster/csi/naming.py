"""The names that the driver gives: paths, labels, sockets, sessions.

Pure; any thread. Source: pkg/oss/utils.go, pkg/mounter/helper.go and ossfs.go of the driver; SafeEncodeString of
k8s.io/apimachinery/pkg/util/rand.
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "ATTACH_DIRECTORY",
    "DRIVER",
    "attach_path",
    "credential_key",
    "global_mount_paths",
    "mount_path_hash",
    "passwd_line",
    "session_name",
    "sha256",
    "socket_path",
    "volume_label",
]

DRIVER = "ossplugin.csi.alibabacloud.com"
ATTACH_DIRECTORY = "/run/fuse.ossfs"

_KUBELET_CSI = "/var/lib/kubelet/plugins/kubernetes.io/csi"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_MAX_SESSION_NAME = 64


def sha256(text: str) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def global_mount_paths(volume_id: str) -> tuple[str, str]:
    """kubelet's directory for a shared mount, by its old name and by its new one; the old one counts where it
    exists."""
    return (
        f"{_KUBELET_CSI}/pv/{volume_id}/globalmount",
        f"{_KUBELET_CSI}/{DRIVER}/{sha256(volume_id)}/globalmount",
    )


def attach_path(volume_id: str) -> str:
    """Where a FUSE Pod of the controller mounts."""
    return f"{ATTACH_DIRECTORY}/{sha256(volume_id)}/globalmount"


def socket_path(volume_id: str) -> str:
    """Where its mount server listens."""
    return f"{ATTACH_DIRECTORY}/{sha256(volume_id)}/mounter.sock"


def mount_path_hash(path: str) -> str:
    """FNV-1a in 32 bits of a mount path, its decimal digits in letters that form no words."""
    value = 0x811C9DC5
    for byte in path.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(value))


def volume_label(volume_id: str, *, hashed: bool) -> str:
    """The value of the label csi.alibabacloud.com/volume-id. hashed: whether ids that are no label value are."""
    if not hashed or _LABEL_VALUE.fullmatch(volume_id):
        return volume_id
    return f"h1.{hashlib.sha1(volume_id.encode(), usedforsecurity=False).hexdigest()}"


def session_name(volume_id: str, target: str, *, cut: bool) -> str:
    """ROLE_SESSION_NAME. cut: to the 64 characters that STS takes."""
    name = f"ossfs.{volume_id}.{mount_path_hash(target)}"
    return name[:_MAX_SESSION_NAME] if cut else name


def credential_key(node: str, volume_id: str) -> str:
    """The key of Secret kube-system/csi-ossfs-credentials."""
    return f"{node}.{volume_id}"


def passwd_line(bucket: str, key_id: str, key_secret: str) -> str:
    """A line of ossfs's password file."""
    return f"{bucket}:{key_id}:{key_secret}"
