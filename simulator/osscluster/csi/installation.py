"""ossfs on the node itself, for the releases of the driver that run it there: what csi-plugin installs, and what a
start of ossfs meets.

The state is on the node's disk (/etc/csi-tool), so it outlives csi-plugin. Source: build/lib/amd64-entrypoint.sh of the
driver; the FAQ's causes 3 and 4 of failed mounts. Called from the thread that drives the timeline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from osscluster.csi.profile import CsiProfile
from osscluster.host import NodeHost
from osscluster.nodespec import NodeSpec, OssfsInstallation

__all__ = ["Installation"]

_DIRECTORY = "/etc/csi-tool"
_STATE = f"{_DIRECTORY}/.installed"
_OF_CENTOS_8 = ("alinux3", "lifsea", "anolis", "anolis8")
_OF_CENTOS_7 = ("centos", "alinux", "alinux2", "aliyun")
_FOREIGN = "another system"


@dataclass(frozen=True, slots=True)
class Installation:
    """spec: what the node is like; profile: of the driver that installs."""

    spec: NodeSpec
    host: NodeHost
    profile: CsiProfile

    @property
    def package(self) -> str:
        """Path of the package on the node."""
        return f"{_DIRECTORY}/ossfs_{self.profile.ossfs}_{self._built_for}_x86_64.rpm"

    def plugin_started(self) -> None:
        """What a start of csi-plugin does: the first one on a node leaves it as NodeSpec says, a later one installs
        what is missing, does not run or is of another version. From 1.26.2 the first one retries until it is
        installed."""
        state = self._state()
        if state is not None:
            if state.get("version") != self.profile.ossfs or not self._runs(state):
                self.install()
            return
        if self.spec.ossfs is OssfsInstallation.MISSING and not self.profile.installer_retries:
            self._copy_package()
            self._write({"version": "", "built_for": ""})
        elif self.spec.ossfs is OssfsInstallation.LIBRARY_MISSING:
            self._copy_package()
            self._write({"version": self.profile.ossfs, "built_for": _FOREIGN})
        else:
            self.install()

    def install(self) -> None:
        """`rpm -i` of the package."""
        self._copy_package()
        fits = self.spec.os in (*_OF_CENTOS_7, *_OF_CENTOS_8)
        self._write({"version": self.profile.ossfs, "built_for": self._built_for if fits else _FOREIGN})

    def add_library(self) -> None:
        """What `apt-get install libssl1.0.0` does for the library that the loader misses."""
        self._write({**(self._state() or {}), "library": self.spec.library})

    def failure(self) -> tuple[str, int] | None:
        """What starting ossfs prints, and the exit status, where it does not start."""
        state = self._state() or {}
        if not state.get("version"):
            return "Failed to find executable /usr/local/bin/ossfs: No such file or directory\n", 1
        if not self._runs(state):
            library = self.spec.library
            return (
                f"/usr/local/bin/ossfs: error while loading shared libraries: {library}: cannot open shared object "
                "file: No such file or directory\n",
                127,
            )
        return None

    @property
    def _built_for(self) -> str:
        return "centos8" if self.spec.os in _OF_CENTOS_8 else "centos7.0"

    def _runs(self, state: dict[str, str]) -> bool:
        built_for = state.get("built_for", "")
        return built_for == self._built_for or (built_for == _FOREIGN and state.get("library") == self.spec.library)

    def _copy_package(self) -> None:
        self.host.write_file(self.package, f"ossfs {self.profile.ossfs}\n")

    def _state(self) -> dict[str, str] | None:
        text = self.host.read_file(_STATE)
        return None if text is None else dict(json.loads(text))

    def _write(self, state: dict[str, str]) -> None:
        self.host.write_file(_STATE, json.dumps(state))
