"""The console's check of a PersistentVolume: `ossutil stat` of its path from inside the cluster, and what became of it.

The console is closed source: what is modelled is its log as the FAQ prints it, and ossutil v1, which sends GET ?acl
first and HEAD second. It is stricter than a mount: the object of the directory has to exist. Pure but for `send`;
whoever calls owns that. Sources: the FAQ's section on the console's check; ossutil 1.7 lib/stat.go.
"""

from __future__ import annotations

import base64
import email.utils
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from defusedxml import ElementTree

from osscloud.message import Request, Response
from osscluster.csi.naming import DRIVER
from osscluster.network import Reach, reach
from osscluster.nodespec import NodeSpec

__all__ = ["Access", "Finding", "NotCheckable", "Outcome", "check", "read_volume", "secret_of"]

_USER_AGENT = "aliyun-sdk-go/2.2.6 (Linux/5.10/x86_64;go1.20)/ossutil-v1.7.19"
_KEY_ID = ("akId", "AccessKeyId")
_KEY_SECRET = ("akSecret", "AccessKeySecret")


class NotCheckable(ValueError):
    """The volume is none that the console checks: the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Access:
    """What ossutil is called with. endpoint: without scheme where the PV has none; path: "/" at both ends."""

    endpoint: str
    bucket: str
    path: str
    key_id: str
    key_secret: str


@dataclass(frozen=True, slots=True)
class Finding:
    """id: that of docs/ledger.md, without "console-check/"; what is wrong and what helps, in words."""

    id: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """lines: the log of the check's Pod; finding: None when the check passed."""

    lines: tuple[str, ...]
    finding: Finding | None = None

    @property
    def passed(self) -> bool:
        return self.finding is None


_TIMEOUT = Finding(
    "timeout",
    "the endpoint does not answer from this cluster: an internal endpoint of another region, or a public one without "
    "Internet access; the console shows the check as in progress",
    "create the PV again with the endpoint that the cluster reaches: the internal one in the bucket's region, the "
    "public one (and Internet access) otherwise",
)
_OTHER = Finding(
    "other", 'the console shows "unknown error"', "look StatusCode and ErrorCode up among the error codes of OSS"
)
_FINDINGS: Mapping[tuple[int, str], Finding] = {
    (403, "AccessDenied"): Finding(
        "access-denied", "the access key has no right to read", "grant its RAM user read access to the bucket"
    ),
    (403, "InvalidAccessKeyId"): Finding(
        "no-such-key-id",
        "the access key id is mistyped, deleted or disabled",
        "write the right id to the Secret, then create the PV again",
    ),
    (403, "SignatureDoesNotMatch"): Finding(
        "signature", "the access key secret is mistyped", "write the right secret to the Secret"
    ),
    (404, "NoSuchBucket"): Finding(
        "no-such-bucket", "the bucket does not exist", "create the bucket, or create the PV again with the right name"
    ),
    (404, "NoSuchKey"): Finding(
        "no-such-key",
        "the object of the directory does not exist; objects below it are not enough",
        "create the directory in the bucket, or create the PV again with one that exists",
    ),
}


def secret_of(volume: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the Secret that a PersistentVolume names; None where its keys are elsewhere. Raises
    NotCheckable for another kind of volume."""
    reference = _source(volume).get("nodePublishSecretRef") or {}
    if not reference.get("name"):
        return None
    return str(reference.get("namespace", "default")), str(reference["name"])


def read_volume(volume: Mapping[str, Any], secret: Mapping[str, str] | None) -> Access:
    """volume: a PersistentVolume; secret: the decoded data of its Secret. Raises NotCheckable."""
    attributes: Mapping[str, str] = _source(volume).get("volumeAttributes") or {}
    for name in ("url", "bucket"):
        if not attributes.get(name):
            raise NotCheckable(f"spec.csi.volumeAttributes has no {name}")
    keys = {**attributes, **(secret or {})}
    key_id = next((keys[name] for name in _KEY_ID if keys.get(name)), "")
    key_secret = next((keys[name] for name in _KEY_SECRET if keys.get(name)), "")
    if not key_id or not key_secret:
        raise NotCheckable("there is no akId and akSecret, neither in the Secret nor in volumeAttributes")
    inside = attributes.get("path", "").strip("/")
    return Access(attributes["url"], attributes["bucket"], f"/{inside}/" if inside else "/", key_id, key_secret)


def check(access: Access, send: Callable[[Request], Response], *, node: NodeSpec, now: float) -> Outcome:
    """node: where the check's Pod runs; send: a request to whatever the endpoint stands for, which raises OSError where
    nothing answers; now: seconds since the epoch, for the signature."""
    lines = ["check ossutil", f"endpoint: {access.endpoint}", f"bucket: {access.bucket}", f"path: {access.path}"]
    reached = reach(access.endpoint, node)
    if reached is Reach.TIMED_OUT:
        return Outcome((*lines, "Error: connection timed out"), _TIMEOUT)
    if reached is Reach.UNKNOWN_HOST:
        return Outcome((*lines, f"Error: lookup {access.endpoint}: no such host"), _OTHER)
    key = access.path.lstrip("/")
    try:
        for method, parameter in (("GET", "acl"), ("HEAD", "")) if key else (("GET", "bucketInfo"),):
            response = send(_signed(access, method, key, parameter, now))
            if response.status >= 300:
                line, finding = _refusal(access, key, response)
                return Outcome((*lines, line), finding)
    except TimeoutError:
        return Outcome((*lines, "Error: connection timed out"), _TIMEOUT)
    except OSError as error:
        return Outcome((*lines, f"Error: {error.strerror or error}"), _OTHER)
    return Outcome(tuple(lines))


def _refusal(access: Access, key: str, response: Response) -> tuple[str, Finding]:
    body = response.read()
    said = {element.tag: element.text or "" for element in ElementTree.fromstring(body)} if body else {}
    code = said.get("Code", "") or response.header("x-oss-err")
    parts = [
        f"StatusCode={response.status}",
        f"ErrorCode={code}",
        f'ErrorMessage="{said.get("Message", "")}"',
        f"RequestId={said.get('RequestId') or response.header('x-oss-request-id')}",
        f"Ec={said.get('EC') or response.header('x-oss-ec')}",
        f"Bucket={access.bucket}",
        f"Object={key}",
    ]
    return "Error: oss: service returned error: " + ", ".join(parts), _FINDINGS.get((response.status, code), _OTHER)


def _signed(access: Access, method: str, key: str, parameter: str, now: float) -> Request:
    date = email.utils.formatdate(now, usegmt=True)
    query = f"?{parameter}" if parameter else ""
    text = f"{method}\n\n\n{date}\n/{access.bucket}/{key}{query}".encode()
    signature = base64.b64encode(hmac.digest(access.key_secret.encode(), text, "sha1")).decode()
    headers = {
        "host": "localhost",
        "date": date,
        "user-agent": _USER_AGENT,
        "authorization": f"OSS {access.key_id}:{signature}",
        "content-length": "0",
    }
    return Request(method, f"/{access.bucket}/{quote(key)}{query}", headers)


def _source(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    source = (volume.get("spec") or {}).get("csi") or {}
    if source.get("driver") != DRIVER:
        raise NotCheckable(f"spec.csi.driver is not {DRIVER}: this is no OSS volume")
    return dict(source)
