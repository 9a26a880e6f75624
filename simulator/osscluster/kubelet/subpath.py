"""subPath and subPathExpr: the directory below the volume that a container gets, made if need be, and its bind mount.

Source: pkg/kubelet/kubelet_pods.go (makeMounts), pkg/volume/util/subpath/subpath_linux.go. kubelet is root on the node,
so what refuses it is OSS, not a mode.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from osscluster.host import NodeHost
from osscluster.kubelet.trouble import ContainerTrouble

__all__ = ["SubPath", "expand"]

_UMASK = 0o022  # systemd's, and so kubelet's
_MOST_LINKS = 255

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
        if self.relative.startswith("/"):
            raise _refused(f"error SubPath `{self.relative}` must not be an absolute path")
        if ".." in self.relative.split("/"):
            raise _refused(f"unable to provision SubPath `{self.relative}`: must not contain '..'")
        source = f"{self.volume_path}/{self.relative}"
        try:
            real = self._resolved(source)
        except FileNotFoundError:
            real = self._make()
        except OSError as error:
            raise self._unprepared(_said(error)) from error
        if not self._inside(real):
            raise self._unprepared(f"{real} not within {self.volume_path}")
        try:
            self._bind(real)
        except OSError as error:
            raise self._unprepared(_said(error)) from error
        return self.target

    def _inside(self, path: str) -> bool:
        return path == self.volume_path or path.startswith(f"{self.volume_path}/")

    def _exists(self, path: str) -> bool:
        try:
            self.host.root.stat(path)
        except FileNotFoundError:
            return False
        return True

    def _resolved(self, path: str) -> str:
        """The path without symbolic links below the volume (EvalSymlinks): a bind must not leave it."""
        done, todo, links = self.volume_path, path[len(self.volume_path) :].strip("/").split("/"), 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = f"{done.rstrip('/')}/{part}"
            if not stat.S_ISLNK(self.host.root.lstat(here).mode):
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            leads = self.host.root.readlink(here)
            if leads.startswith("/"):
                done = "/"
            todo = leads.strip("/").split("/") + todo
        return done

    def _make(self) -> str:
        root, done = self.host.root, self.volume_path
        try:
            # The mode of the volume's root (SafeMakeDir); against kubelet's umask it is set for the last one alone.
            mode = stat.S_IMODE(root.stat(self.volume_path).mode)
            for part in self.relative.strip("/").split("/"):
                try:
                    done = self._resolved(f"{done}/{part}")
                except FileNotFoundError:
                    done = f"{done}/{part}"
                    root.mkdir(done, mode & ~_UMASK)
                if not self._inside(done):
                    raise self._not_made(f"path {done} is outside of allowed base {self.volume_path}")
            root.chmod(done, mode)
        except OSError as error:
            said = _said(error)
            raise self._not_made(f"cannot create directory {self.volume_path}/{self.relative}: {said}") from error
        return done

    def _bind(self, source: str) -> None:
        root = self.host.root
        wanted = root.lstat(source)
        directory = stat.S_ISDIR(wanted.mode)
        mounted = any(line.target == self.target for line in self.host.mounts())
        if mounted and self._exists(self.target):
            # A container that starts again: what is bound there already stays when it is the same.
            there = root.lstat(self.target)
            if (there.ino, there.mode) == (wanted.ino, wanted.mode) and self._same_ossfs():
                return
            self.host.umount(self.target)
            mounted = False
        self.host.makedirs(posixpath.dirname(self.target))
        if not mounted and not self._exists(self.target):
            if directory:
                root.mkdir(self.target, 0o750)
            else:
                self.host.write_file(self.target, "", 0o640)
        self.host.bind(source, self.target)

    def _same_ossfs(self) -> bool:
        return self.host.ossfs_at(self.target) is self.host.ossfs_at(self.volume_path)

    def _not_made(self, why: str) -> ContainerTrouble:
        return ContainerTrouble(
            "CreateContainerConfigError",
            f'failed to create subPath directory for volumeMount "{self.mount}" of container "{self.container}"',
            detail=why,
        )

    def _unprepared(self, why: str) -> ContainerTrouble:
        return ContainerTrouble(
            "CreateContainerConfigError",
            f'failed to prepare subPath for volumeMount "{self.mount}" of container "{self.container}"',
            detail=f"{self.volume_path}/{self.relative}: {why}",
        )


def _refused(text: str) -> ContainerTrouble:
    return ContainerTrouble("CreateContainerConfigError", text)


def _said(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
