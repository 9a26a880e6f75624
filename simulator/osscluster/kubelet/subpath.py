"""subPath and subPathExpr: the directory below the volume that a container gets, made if need be, and its bind mount.

Source: pkg/kubelet/kubelet_pods.go (makeMounts), pkg/volume/util/subpath/subpath_linux.go. kubelet is root on the node,
so what refuses it is OSS, not a mode.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from osscluster.host import NodeHost
from osscluster.kubelet.trouble import ContainerTrouble

__all__ = ["SubPath", "expand"]

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(expression: str, environment: Mapping[str, str]) -> str:
    """subPathExpr's $(NAME); $$ is a dollar. Raises ContainerTrouble for a name that the container does not have."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if match[1] not in environment:
            raise ContainerTrouble("CreateContainerConfigError", f"missing value for {match[1]!r}".replace("'", '"'))
        return environment[match[1]]

    return _REFERENCE.sub(value, expression)


@dataclass(frozen=True, slots=True)
class SubPath:
    """One volumeMount with a subPath. volume_path: where the volume is mounted on the node; target: where the bind
    goes (.../volume-subpaths/PV/CONTAINER/INDEX); mount, container: names for the messages."""

    host: NodeHost
    volume_path: str
    relative: str
    target: str
    mount: str
    container: str

    def prepare(self) -> str:
        """Makes the directory where it is missing, binds it, gives the node path to hand to the runtime. Raises
        ContainerTrouble with kubelet's words; kubelet's log gets `ContainerTrouble.detail`."""
        source = f"{self.volume_path}/{self.relative}"
        try:
            missing = not self._exists(source)
        except OSError as error:
            raise self._unprepared(error) from error
        if missing:
            self._make()
        try:
            directory = stat.S_ISDIR(self.host.root.stat(source).mode)
            self._place(directory=directory)
            self.host.bind(source, self.target)
        except OSError as error:
            raise self._unprepared(error) from error
        return self.target

    def _exists(self, path: str) -> bool:
        try:
            self.host.root.stat(path)
        except FileNotFoundError:
            return False
        return True

    def _make(self) -> None:
        root = self.host.root
        try:
            # The mode of the volume's root, for each directory that is missing (SafeMakeDir).
            mode = stat.S_IMODE(root.stat(self.volume_path).mode)
            path = self.volume_path
            for part in self.relative.strip("/").split("/"):
                path = f"{path}/{part}"
                if not self._exists(path):
                    root.mkdir(path, mode)
                    root.chmod(path, mode)
        except OSError as error:
            raise ContainerTrouble(
                "CreateContainerConfigError",
                f'failed to create subPath directory for volumeMount "{self.mount}" of container "{self.container}"',
                detail=f"cannot create directory {self.volume_path}/{self.relative}: {error.strerror}",
            ) from error

    def _place(self, *, directory: bool) -> None:
        root = self.host.root
        if any(line.target == self.target for line in self.host.mounts()):
            # A restarted container: whatever is there goes first.
            self.host.umount(self.target)
        elif directory:
            self.host.makedirs(self.target)
        if not directory and not self._exists(self.target):
            self.host.write_file(self.target, "", 0o640)
        elif directory and not self._exists(self.target):
            root.mkdir(self.target, 0o750)

    def _unprepared(self, error: OSError) -> ContainerTrouble:
        return ContainerTrouble(
            "CreateContainerConfigError",
            f'failed to prepare subPath for volumeMount "{self.mount}" of container "{self.container}"',
            detail=f"{self.volume_path}/{self.relative}: {error.strerror}",
        )
