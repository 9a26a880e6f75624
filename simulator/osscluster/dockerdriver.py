"""Containers of a Docker engine on this machine: the engine makes one, a process of the run enters its mount namespace
and makes the system calls there, with the ids and the capabilities that the engine gave it.

Nothing has to be in the image, which by default is made on the spot from a static busybox. Needs root, the package
`docker`, and an engine whose containers this process can see in /proc. Containers and images carry the label
`ossvol.run`, by which `remove_all` finds them. Used from the runner's thread; `remove_all` also by the spawner.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import shutil
import socket
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscluster import config
from osscluster.errors import EnvironmentMissing

if TYPE_CHECKING:
    from osscluster.host import ContainerSpec
    from osscluster.jail import JailMount

__all__ = ["DockerDriver", "busybox_missing", "engine_missing", "remove_all"]

_LABEL = "ossvol.run"
_REPOSITORY = "ossvol-busybox"
_APPLETS = ("sh", "sleep", "ls", "cat", "stat", "mount", "id", "env")
_INSTALL = "sudo apt-get install -y docker.io busybox-static"
_START = f"start it (sudo systemctl start docker), or {_INSTALL}, or use the process driver"
_ERRNO_WORDS = {
    "transport endpoint is not connected": errno.ENOTCONN,
    "permission denied": errno.EACCES,
    "not a directory": errno.ENOTDIR,
    "no such file or directory": errno.ENOENT,
    "read-only file system": errno.EROFS,
    "file exists": errno.EEXIST,
    "operation not permitted": errno.EPERM,
    "input/output error": errno.EIO,
}
# What failed stands between the last of these and ": unknown".
_OCI = re.compile(r".*(?:container process: |container init(?: caused)?: |runtime create failed: )", re.DOTALL)


class DockerDriver:
    """owner: name of the run; url: of the engine. Raises EnvironmentMissing where there is no engine to use."""

    def __init__(self, owner: str) -> None:
        missing = engine_missing()
        if missing is not None:
            raise missing
        self._owner = owner
        self.url = config.docker_host()
        self._client = _client()
        self._errors = importlib.import_module("docker.errors")
        self._image = ""

    def start(self, spec: ContainerSpec, mounts: Sequence[JailMount]) -> tuple[str, int]:
        """The id of a container that idles, and the pid of its process. Raises OSError with what the runtime said."""
        api = self._client.api
        busybox = _busybox()
        binds = [f"{item.source}:{item.target}:{'ro' if item.read_only else 'rw'}" for item in mounts]
        binds += [f"{busybox}:/.ossvol/busybox:ro"]
        try:
            made = api.create_container(
                spec.image or self._busybox_image(busybox),
                entrypoint=["/.ossvol/busybox", "sleep", "2147483647"],
                user=f"{spec.uid}:{spec.gid}",
                environment=dict(spec.environment),
                working_dir=spec.working_dir,
                labels={_LABEL: self._owner},
                host_config=api.create_host_config(
                    binds=binds, group_add=[str(group) for group in spec.groups], network_mode="none"
                ),
            )
        except self._errors.APIError as error:
            raise _as_os_error(error.explanation or str(error)) from error
        try:
            api.start(made["Id"])
            return made["Id"], int(api.inspect_container(made["Id"])["State"]["Pid"])
        except self._errors.APIError as error:
            self.remove(made["Id"])
            raise _as_os_error(error.explanation or str(error)) from error

    def remove(self, container: str) -> None:
        """Kills and removes a container; no error when it has gone."""
        try:
            self._client.api.remove_container(container, force=True)
        except self._errors.NotFound:
            return

    def close(self) -> None:
        """Removes what this driver has made; from an engine that has gone, nothing."""
        self._client.close()
        remove_all(self.url, self._owner)

    def _busybox_image(self, busybox: str) -> str:
        if not self._image:
            tag = self._owner.removeprefix("run-")
            self._client.api.import_image_from_data(
                _tree(busybox), repository=_REPOSITORY, tag=tag, changes=[f"LABEL {_LABEL}={self._owner}"]
            )
            self._image = f"{_REPOSITORY}:{tag}"
        return self._image


def engine_missing() -> EnvironmentMissing | None:
    """Why there are no Docker containers here, with the line that helps; None when there can be."""
    try:
        docker = importlib.import_module("docker")
    except ModuleNotFoundError:
        return EnvironmentMissing("the Python package docker is not installed", "pip install 'ossvol[docker]'")
    if os.geteuid() != 0:
        return EnvironmentMissing("only root can enter the containers of a Docker engine", "run as root")
    url = config.docker_host()
    try:
        _knock(url)
        _client().close()  # asks for the engine's version
    except (OSError, docker.errors.DockerException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        return EnvironmentMissing(f"no Docker engine answers at {url}: {reason}", _START)
    return busybox_missing()


def busybox_missing() -> EnvironmentMissing | None:
    """Why no container can idle; None when a static busybox is there."""
    path = shutil.which("busybox")
    if path is None or b"/ld-" in Path(path).read_bytes()[:4096]:
        return EnvironmentMissing("there is no static busybox", "sudo apt-get install -y busybox-static")
    return None


def remove_all(url: str, owner: str) -> None:
    """Removes every container and image of a run from the engine at `url`; an engine that has gone has none."""
    try:
        docker = importlib.import_module("docker")
    except ModuleNotFoundError:
        return
    try:
        _knock(url)
        client = docker.DockerClient(base_url=url, timeout=20)
    except (OSError, docker.errors.DockerException):
        return
    try:
        _remove_labelled(client, owner)
    finally:
        client.close()


def _remove_labelled(client: Any, owner: str) -> None:
    label = {"label": f"{_LABEL}={owner}"}
    errors = importlib.import_module("docker.errors")
    for found in client.api.containers(all=True, filters=label):
        try:
            client.api.remove_container(found["Id"], force=True)
        except errors.NotFound:
            continue
    for found in client.api.images(filters=label):
        # An image whose name another one has taken is called <none>:<none>, which is no name to remove it by.
        names = [tag for tag in found["RepoTags"] or () if not tag.startswith("<none>")]
        for name in names or [found["Id"]]:
            try:
                client.api.remove_image(name)
            except errors.NotFound:
                continue


def _knock(url: str) -> None:
    """Raises OSError where nobody listens. The package would leave sockets open then."""
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(url.removeprefix("unix://"))


def _client() -> Any:
    return importlib.import_module("docker").DockerClient(base_url=config.docker_host(), timeout=60)


def _busybox() -> str:
    path = shutil.which("busybox")
    if path is None:
        raise EnvironmentMissing("there is no static busybox", "sudo apt-get install -y busybox-static")
    return os.path.realpath(path)


def _tree(busybox: str) -> bytes:
    """The root file system of the image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("usr", 0o755), ("var", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox", filter=_owned_by_root)
        for name in _APPLETS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for name, text in (("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n"), ("etc/group", b"root:x:0:\n")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry


def _as_os_error(text: str) -> OSError:
    """What the engine says of a container that does not start, with the errno that its words name."""
    said = _OCI.sub("", text.strip()).partition(": unknown")[0]
    code = next((code for words, code in _ERRNO_WORDS.items() if said.endswith(words)), errno.EIO)
    return OSError(code, said)
