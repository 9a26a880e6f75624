"""What runs in a container of a Pod, where it is more than an application: ossfs and the mount server of FUSE Pods,
csi-plugin, the console's check.

kubelet asks `Programs` for each container by its image; an image that is no program of ours is an application: an
idle process that makes the system calls a scenario asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from osscluster.api.objects import KubeObject
from osscluster.host import NodeHost

__all__ = ["Programs", "RunningProgram", "StartProgram"]


class RunningProgram(Protocol):
    """A started program, looked at by kubelet whenever something has happened."""

    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def ready(self) -> bool:
        """What its startup and readiness probes find."""
        ...

    def terminate(self) -> None:
        """SIGTERM: it may take its time to end, on the timeline."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


StartProgram = Callable[[NodeHost, KubeObject, Mapping[str, object]], RunningProgram]
"""(node, Pod, the container of its spec) -> what runs. Raises OSError as the container runtime would meet it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """by_image: from the last part of an image's name without its tag ("csi-ossfs") to what it does."""

    by_image: Mapping[str, StartProgram]

    def find(self, image: str) -> StartProgram | None:
        """None for an application's image."""
        return self.by_image.get(image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0])
