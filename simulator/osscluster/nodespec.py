"""What a node of the cluster is like, before anything runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["NodeSpec", "OssfsInstallation"]


class OssfsInstallation(Enum):
    """State of ossfs on the node itself, which counts where the CSI driver runs it there (1.24 to 1.26.5, 1.26.7 and
    later of that line)."""

    INSTALLED = "installed"
    MISSING = "missing"
    LIBRARY_MISSING = "library-missing"


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """name: of the Node object; region: RegionId of the instance; internet: whether public endpoints can be reached;
    metadata: whether 100.100.100.200 answers; mime_types: content of /etc/mime.types, None where there is none;
    mlocate: whether updatedb runs here (/etc/cron.daily/mlocate); ossfs, library: what is on the node, and which
    library the loader misses; os: ID of /etc/os-release ("alinux3", "centos", "ubuntu")."""

    name: str
    region: str = "cn-hangzhou"
    internet: bool = True
    metadata: bool = True
    mime_types: str | None = None
    mlocate: bool = False
    ossfs: OssfsInstallation = OssfsInstallation.INSTALLED
    library: str = "libcrypto.so.10"
    os: str = "alinux3"
