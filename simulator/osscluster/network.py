"""Which endpoints a node reaches: the region's internal ones, public ones with Internet access, and no others.

Pure; any thread. Source: the FAQ, "connection timed out": the internal endpoint of another region, and a public
endpoint without Internet access, do not answer. A url that is no endpoint of the vendor's (a cloud on this machine) is
left alone.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from osscluster.nodespec import NodeSpec

__all__ = ["Endpoint", "Reach", "endpoint_of", "reach"]


class Reach(enum.Enum):
    """What becomes of a connection."""

    ANSWERED = "answered"
    TIMED_OUT = "connection timed out"
    UNKNOWN_HOST = "no such host"
    CUSTOM = "custom"  # not the vendor's: whoever listens there answers


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the vendor's. region: "" for one of all regions; bucket: before the endpoint, "" for none."""

    region: str
    internal: bool
    bucket: str = ""


_REGION = r"(?P<region>[a-z]{2}-[a-z0-9]+(?:-[a-z0-9]+)*?)"
_FORMS = (
    re.compile(rf"(?:(?P<bucket>[^.]+)\.)?(?:oss|vpc100-oss|s3\.oss)-{_REGION}(?P<internal>-internal)?\.aliyuncs\.com"),
    re.compile(rf"(?:(?P<bucket>[^.]+)\.)?{_REGION}(?P<internal>-internal)?\.oss-data-acc\.aliyuncs\.com"),
    re.compile(rf"(?:(?P<bucket>[^.]+)\.)?oss-cache-{_REGION}(?:-[a-z])?\.aliyuncs\.com"),
    re.compile(rf"sts(?P<internal>-vpc)?\.{_REGION}\.aliyuncs\.com"),
    re.compile(r"(?:(?P<bucket>[^.]+)\.)?oss-accelerate(?:-overseas)?\.aliyuncs\.com|sts\.aliyuncs\.com"),
)
_CACHE = "oss-cache-"


def endpoint_of(url: str) -> Endpoint | None:
    """What a url names, with or without scheme and port; None where it is none of the vendor's endpoints."""
    host = _host(url)
    for form in _FORMS:
        match = form.fullmatch(host)
        if match is not None:
            found = match.groupdict()
            internal = bool(found.get("internal")) or _CACHE in host or host.startswith(("vpc100-",))
            return Endpoint(found.get("region") or "", internal, found.get("bucket") or "")
    return None


def reach(url: str, node: NodeSpec) -> Reach:
    """Whether somebody answers at `url` when the node asks."""
    endpoint = endpoint_of(url)
    if endpoint is None:
        return Reach.UNKNOWN_HOST if _host(url).endswith("aliyuncs.com") else Reach.CUSTOM
    if endpoint.internal:
        return Reach.ANSWERED if endpoint.region == node.region else Reach.TIMED_OUT
    return Reach.ANSWERED if node.internet else Reach.TIMED_OUT


def _host(url: str) -> str:
    rest = url.split("://", 1)[-1]
    return rest.partition("/")[0].rpartition("@")[2].partition(":")[0].rstrip(".").lower()
