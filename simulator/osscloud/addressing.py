"""From the Host header and the raw request target to bucket, key and parameters.

Pure functions; any thread. Nothing here knows whether a bucket exists. The path is percent-decoded exactly once and
never normalised: "//", ".", ".." and "+" are parts of a key like any other.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from osscloud.errors import OssError
from osscloud.message import Request

__all__ = ["Address", "Naming", "parse_query", "resolve", "split_target", "valid_bucket_name"]

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# "oss-accelerate" is an endpoint of every region.
_ENDPOINT = re.compile(r"(?:^|\.)oss-([a-z]{2}-[a-z0-9-]+?)(?:-internal)?\.")


class Naming(Protocol):
    """The part of `ServiceConfig` that decides how hosts are read."""

    @property
    def domains(self) -> tuple[str, ...]: ...
    @property
    def region(self) -> str: ...


class Address(NamedTuple):
    """What a request speaks about.

    bucket: "" for the service itself. key: "" for the bucket; UTF-8 with surrogateescape for bytes that are not.
    params: decoded query parameters, the first of a repeated name; a parameter without a value is "".
    path_style: the bucket came from the path ("/bucket/key"), not from the host.
    elsewhere: the region that the host names when it is another one than the cloud's, else "".
    custom: the host is a domain of the bucket's own.
    """

    bucket: str
    key: str
    params: dict[str, str]
    path_style: bool
    elsewhere: str = ""
    custom: bool = False


@functools.lru_cache(maxsize=1024)
def valid_bucket_name(name: str) -> bool:
    """3 to 63 characters of [a-z0-9-], first and last alphanumeric (OSS documentation, bucket naming)."""
    return _BUCKET_NAME.fullmatch(name) is not None


def split_target(target: str) -> tuple[str, str]:
    """The still encoded path and query of a request target; an absolute-form target ("http://host/path") loses scheme
    and authority."""
    if not target.startswith("/") and "://" in target:
        rest = target.split("://", 1)[1]
        cut = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
        target = rest[cut:]
    path, _, query = target.partition("?")
    return path or "/", query


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def parse_query(query: str) -> dict[str, str]:
    """Decoded parameters in order of appearance. "+" is a blank here (oss2 sends blanks in parameters so), unlike in
    the path; of a repeated name the first value counts."""
    params: dict[str, str] = {}
    for item in query.split("&"):
        if item:
            name, _, value = item.partition("=")
            params.setdefault(_decode(name.replace("+", " ")), _decode(value.replace("+", " ")))
    return params


def _host_name(host: str) -> str:
    """A Host header without its port, lower case; IPv6 without brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


@functools.lru_cache(maxsize=1024)
def _read_host(header: str, domains: tuple[str, ...], region: str) -> tuple[str, bool, str]:
    """The bucket in a Host header ("" when the host is an endpoint), whether the path may name the bucket, and the
    region that the host names when it is another one."""
    host = _host_name(header)
    bucket, path_style = _bucket_of_host(host, domains, region)
    named = _ENDPOINT.search(host)
    known = any(host.endswith("." + domain) for domain in domains)
    return bucket, path_style, named[1] if known and named and named[1] != region else ""


def _bucket_of_host(host: str, domains: tuple[str, ...], region: str) -> tuple[str, bool]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return "", True
    for domain in domains:
        if host == domain:
            return "", True
        if not host.endswith("." + domain):
            continue
        labels = host[: -len(domain) - 1].split(".")
        # A domain of several labels is a parent of endpoints (oss-cn-hangzhou.aliyuncs.com); a single label such as
        # "localhost" is an endpoint itself.
        endpoints = (f"oss-{region}", f"oss-{region}-internal")
        if len(labels) == 1:
            is_endpoint = "." in domain or labels[0] in endpoints
            return ("", domain == "localhost") if is_endpoint else (labels[0], False)
        # "s3" is too short for a bucket: s3.oss-REGION is the S3-compatible endpoint.
        return ("", False) if labels[0] == "s3" else (labels[0], False)
    # A host name that nothing is known of (a service name inside a cluster) is taken for the endpoint.
    return "", True


def resolve(request: Request, config: Naming, cnames: Mapping[str, str]) -> Address:
    """The address of a request. cnames: custom domain (lower case, no port) to bucket.

    IP hosts, "localhost" and unknown hosts are addressed in path style, BUCKET.ENDPOINT in virtual-host style; a public
    endpoint addressed in path style is refused as the real service does.

    Raises OssError SecondLevelDomainForbidden, InvalidBucketName, and InvalidURI for a path that does not begin with
    "/" (but "*", which asks about the service)."""
    path, query = split_target(request.target)
    if not path.startswith("/") and path != "*":
        raise OssError("InvalidURI")
    params = parse_query(query) if query else {}
    host = request.headers.get("host", "")
    if cnames:
        bound = cnames.get(_host_name(host))
        if bound is not None:
            return Address(bound, _decode(path[1:]), params, path_style=False, custom=True)
    bucket, path_style, elsewhere = _read_host(host, config.domains, config.region)
    if bucket:
        key = _decode(path[1:])
    elif path_style:
        raw_bucket, _, raw_key = path[1:].partition("/")
        bucket, key = _decode(raw_bucket), _decode(raw_key)
    elif path in ("/", "*"):
        key = ""
    else:
        raise OssError("SecondLevelDomainForbidden")
    if (bucket or key) and not valid_bucket_name(bucket):
        raise OssError("InvalidBucketName", extras={"BucketName": bucket})
    return Address(bucket, key, params, path_style and bool(bucket), elsewhere)
