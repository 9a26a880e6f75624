"""The command line of either ossfs, and the file with its keys, for a `VolumeSpec`: the same for the simulated ossfs,
the real binary and the direct engine.

Called from the runner's thread.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from osscluster.cloud import Cloud
from osscluster.volume import VolumeSpec
from ossfuse.ossfs2.options import from_mount_options
from ossfuse.products import Product

__all__ = ["command_line", "write_keys"]


def command_line(spec: VolumeSpec, product: Product, mountpoint: str, *, endpoint: str, keys: Path | None) -> list[str]:
    """The arguments of the program: what the engine needs, -f, then the spec's options. Where those name an endpoint or
    keys of their own, they replace the engine's. keys: of `write_keys`, None
    for a mount that is told of no such file."""
    return _FORMS[product.name].arguments(spec, mountpoint, endpoint, keys)


def write_keys(directory: Path, spec: VolumeSpec, product: Product, cloud: Cloud) -> Path:
    """The file that the program reads its access key from, mode 0600: the spec's, or the cloud's default key for the
    spec's bucket. ossfs: the password file; ossfs2: a configuration file."""
    form = _FORMS[product.name]
    path = directory / form.file
    text = form.keys(spec.passwd or cloud.passwd_line(spec.bucket))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
    return path


@dataclass(frozen=True, slots=True)
class _Form:
    """file: name of the file with the keys; keys: its text, made of lines of a password file."""

    file: str
    keys: Callable[[str], str]
    arguments: Callable[[VolumeSpec, str, str, Path | None], list[str]]


def _ossfs(spec: VolumeSpec, mountpoint: str, endpoint: str, passwd_file: Path | None) -> list[str]:
    given = shlex.split(spec.options)
    target = spec.bucket if spec.path in ("", "/") else f"{spec.bucket}:{spec.path}"
    arguments = [target, mountpoint]
    if not any("url=" in option for option in given):
        arguments.append(f"-ourl={endpoint}")
    arguments += ["-o", "use_path_request_style"]
    if passwd_file is not None and not any("passwd_file=" in option for option in given):
        arguments += ["-o", f"passwd_file={passwd_file}"]
    return [*arguments, "-f", *given]


def _ossfs2(spec: VolumeSpec, mountpoint: str, endpoint: str, config_file: Path | None) -> list[str]:
    given = from_mount_options(shlex.split(spec.options))
    arguments = ["mount", mountpoint, f"--oss_bucket={spec.bucket}"]
    if spec.path not in ("", "/"):
        arguments.append(f"--oss_bucket_prefix={spec.path.strip('/')}/")
    if not any("oss_endpoint=" in option for option in given):
        # The bucket is part of the host's name always, and an address has no names below it.
        arguments += [f"--oss_endpoint={endpoint.replace('//127.0.0.1', '//localhost')}"]
    if config_file is not None and not {"-c", "--conf"} & {option.partition("=")[0] for option in given}:
        arguments += ["-c", str(config_file)]
    if not any("log_dir=" in option for option in given):
        arguments.append("--log_dir=/dev/stdout")
    return [*arguments, "-f", *given]


def _as_config(passwd: str) -> str:
    """The first line of a password file as lines of a configuration file; a temporary key has no place in one."""
    fields = passwd.strip().splitlines()[0].split(":")
    key_id, secret = fields[-2:] if len(fields) < 4 else fields[1:3]
    return f"--oss_access_key_id={key_id}\n--oss_access_key_secret={secret}"


_FORMS: Mapping[str, _Form] = {
    "ossfs": _Form("passwd", str, _ossfs),
    "ossfs2": _Form("ossfs2.conf", _as_config, _ossfs2),
}
