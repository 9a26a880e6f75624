"""ossfs's command line and password file for a `VolumeSpec`: the same for the simulated ossfs, the real binary and the
direct engine.

Called from the runner's thread.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from osscluster.cloud import Cloud
from osscluster.volume import VolumeSpec

__all__ = ["command_line", "write_passwd"]


def command_line(spec: VolumeSpec, mountpoint: str, *, endpoint: str, passwd_file: Path) -> list[str]:
    """The arguments of ossfs: what the engine needs, -f, then the spec's options. An url= or passwd_file= among those
    replaces the engine's."""
    given = shlex.split(spec.options)
    target = spec.bucket if spec.path in ("", "/") else f"{spec.bucket}:{spec.path}"
    arguments = [target, mountpoint]
    if not any("url=" in option for option in given):
        arguments.append(f"-ourl={endpoint}")
    arguments += ["-o", "use_path_request_style"]
    if not any("passwd_file=" in option for option in given):
        arguments += ["-o", f"passwd_file={passwd_file}"]
    return [*arguments, "-f", *given]


def write_passwd(directory: Path, spec: VolumeSpec, cloud: Cloud) -> Path:
    """The password file, mode 0600: the spec's lines, or the cloud's default key for the spec's bucket."""
    path = directory / "passwd"
    text = spec.passwd or cloud.passwd_line(spec.bucket)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
    return path
