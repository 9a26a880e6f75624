"""Starting ossfs for a volume: the options of the driver's command line become an ossfs process on the node's host, as
the node's network lets it reach the cloud.

What the public releases of ossfs do not have and the shipped builds do (use_metrics, metrics_top: monitoring) is left
out. Called from the thread that drives the timeline.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from osscluster.csi.options import METADATA_ROLE_URL
from osscluster.host import NodeHost, OssfsProcess, OssfsSpec
from osscluster.network import Reach, reach
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Steps, Timeline, Wait
from osscluster.volume import MountFailed
from ossfuse import profile as ossfs_profile
from ossfuse.mountcheck import unreachable_text

__all__ = ["Command", "Launcher", "image_mime_types", "nearest_row"]

_MONITORING = frozenset(("use_metrics", "metrics_top"))
_RRSA = "rrsa_endpoint"


@dataclass(frozen=True, slots=True)
class Command:
    """One start of ossfs. source: "bucket:/path"; options: one each ("url=...", "allow_other", "-s"); passwd: content
    of the password file, None for none; version: of the simulated ossfs; mime_types: what it finds in its
    mime.types."""

    source: str
    mountpoint: str
    options: Sequence[str]
    version: str
    passwd: str | None = None
    mime_types: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The last url= of the options, "" for none."""
        found = [option.removeprefix("url=") for option in self.options if option.startswith("url=")]
        return found[-1] if found else ""


def image_mime_types() -> str:
    """A mime.types with the common types, as the FUSE image carries one."""
    suffixes: dict[str, list[str]] = {}
    for suffix, media_type in mimetypes.MimeTypes(filenames=()).types_map[True].items():
        suffixes.setdefault(media_type, []).append(suffix.removeprefix("."))
    return "".join(f"{name} {' '.join(found)}\n" for name, found in sorted(suffixes.items()))


def nearest_row(version: str, fallback: str) -> str:
    """The simulated release for a build ("1.91.11.ack.1", "v1.88.4-d9f3917-aliyun"): the newest of its line that is not
    newer; `fallback` for a build of no known line."""
    text = version.removeprefix("v").partition("-")[0].partition(".ack")[0]
    try:
        asked = tuple(int(part) for part in text.split("."))
    except ValueError:
        return fallback
    known = {tuple(int(part) for part in row.split(".")): row for row in ossfs_profile.PROFILES}
    older = [row for row in known if row[:2] == asked[:2] and row <= asked]
    return known[max(older)] if older else fallback


@dataclass(frozen=True, slots=True)
class Launcher:
    """endpoint: url of the cloud, for what the vendor's names stand for; fixed: ossfs without its defects."""

    timeline: Timeline
    endpoint: str
    fixed: ossfs_profile.Fixed = False

    def start(self, spec: NodeSpec, host: NodeHost, command: Command) -> Steps[OssfsProcess]:
        """Raises MountFailed with what ossfs printed and its exit code. Takes as long as ossfs needs to give up where
        nobody answers at the url."""
        row = ossfs_profile.find(command.version)
        url = command.url or row.default_url
        answer = reach(url, spec)
        if answer in (Reach.TIMED_OUT, Reach.UNKNOWN_HOST):
            timed_out = answer is Reach.TIMED_OUT
            yield Wait(seconds=row.connect_timeout * row.retries if timed_out else 0.0)
            bucket = command.source.partition(":")[0]
            raise MountFailed(f"ossfs: {unreachable_text(row, url, bucket, timed_out=timed_out)}", 1)
        bucket, _, path = command.source.partition(":")
        self.timeline.synchronise()
        return host.start_ossfs(
            OssfsSpec(
                bucket=bucket,
                path=path or "/",
                mountpoint=command.mountpoint,
                options=self._words(command.options, spec, row.options),
                endpoint=url if answer is Reach.CUSTOM else "",
                passwd=command.passwd,
                version=f"{row.name}.ack" if _asks_rrsa(command.options) else row.name,
                mime_types=command.mime_types,
                environment=command.environment,
                fixed=self.fixed,
            )
        )

    def _words(self, options: Sequence[str], spec: NodeSpec, known: Set[str]) -> list[str]:
        words: list[str] = []
        for option in options:
            if option.startswith("-"):
                words.append(option)
                continue
            name, _, value = option.partition("=")
            if name in ("url", "passwd_file", "mime") or name in _MONITORING:
                continue
            if name == _RRSA:
                words += ["-o", f"{_RRSA}={self.endpoint if reach(value, spec) is Reach.ANSWERED else value}"]
            elif name == "ram_role" and (value.startswith(METADATA_ROLE_URL) or "://" not in value):
                path = urlsplit(METADATA_ROLE_URL).path
                words += ["-o", f"ram_role={self.endpoint}{path}{value.removeprefix(METADATA_ROLE_URL)}"]
                if "disable_imdsv2" in known:
                    # The cloud's metadata service gives out no tokens.
                    words += ["-o", "disable_imdsv2"]
            else:
                words += ["-o", option]
        return words


def _asks_rrsa(options: Sequence[str]) -> bool:
    return any(option.startswith(f"{_RRSA}=") for option in options)
