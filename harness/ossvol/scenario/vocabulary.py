"""The words of the scenario language that are not model fields: operations, expectations by verb, versions.

Pure data and pure functions; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["CLUSTER_EXPECTATIONS", "OPERATIONS", "VersionRange", "expectations", "known_versions"]

# As OSS's access log names them, and "total" for all of them together.
OPERATIONS = frozenset(
    {
        "total",
        "AbortMultipartUpload",
        "AppendObject",
        "CompleteUpload",
        "CopyObject",
        "DeleteBucket",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "GetBucket",
        "GetBucketAcl",
        "GetBucketInfo",
        "GetBucketLocation",
        "GetBucketStat",
        "GetBucketVersioning",
        "GetObject",
        "GetObjectAcl",
        "GetObjectMeta",
        "GetObjectSymlink",
        "GetObjectTagging",
        "GetService",
        "HeadBucket",
        "HeadObject",
        "InitiateMultipartUpload",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListParts",
        "PutBucket",
        "PutBucketAcl",
        "PutBucketVersioning",
        "PutObject",
        "PutObjectAcl",
        "PutObjectSymlink",
        "PutObjectTagging",
        "RestoreObject",
        "UploadPart",
        "UploadPartCopy",
    }
)

# What every step may expect: its errno, and what it did to the server and to the processes around it.
_ANY = frozenset({"errno", "object", "requests", "scanned", "cost_ms", "holders"})
# In a cluster every step may expect what a user sees there.
CLUSTER_EXPECTATIONS = frozenset({"pods", "events", "resources", "logs", "seconds"})
_STAT = frozenset({"mode", "uid", "gid", "size", "type"})
_MOUNT = frozenset({"message", "returncode"})

# Verb to the expectations that it can meet, beyond those of every step.
_SPECIFIC: Mapping[str, frozenset[str]] = {
    "stat": _STAT,
    "lstat": _STAT,
    "statfs": frozenset({"size"}),
    "ls": frozenset({"entries"}),
    "scan": frozenset({"entries"}),
    "list": frozenset({"entries"}),
    "get": frozenset({"body", "sha256", "size"}),
    "read": frozenset({"body", "sha256", "size"}),
    "readlink": frozenset({"target"}),
    "getxattr": frozenset({"body"}),
    "mount": _MOUNT,
    "remount": _MOUNT,
    "apply": frozenset({"refused"}),
    "delete_resource": frozenset({"refused"}),
    "scale": frozenset({"refused"}),
    "csi": frozenset({"refused"}),
    "run": frozenset({"stdout", "returncode"}),
    "log": frozenset({"records"}),
    "updatedb": frozenset({"stdout"}),
    "check": frozenset({"stdout", "returncode"}),
}


def expectations(verb: str) -> frozenset[str]:
    """The expectations that a step of this verb can meet."""
    return _ANY | CLUSTER_EXPECTATIONS | _SPECIFIC.get(verb, frozenset())


def known_versions() -> list[str]:
    """The releases of ossfs 1.x and 2.x that the simulation has, oldest first."""
    from ossfuse import products

    return sorted(products.known_versions(), key=_key)


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


_BOUND = re.compile(r"\s*(>=|<=|>|<|==|!=|)\s*(\d+(?:\.\d+)*)\s*")


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A set of releases: "1.88" exactly, or bounds that all hold (">=1.91.1,<1.91.5"). The first number names the
    product: ">=1.91.1" is about ossfs 1.x and does not hold for 2.0.7, which is another program."""

    text: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def parse(cls, text: str) -> VersionRange:
        """Raises ValueError when `text` is neither a version nor a list of bounds."""
        bounds = []
        for part in text.split(","):
            found = _BOUND.fullmatch(part)
            if not found:
                raise ValueError(f'"{text}" is neither a version nor a range such as ">=1.91.1,<1.91.5"')
            bounds.append((found[1] or "==", _key(found[2])))
        return cls(text, tuple(bounds))

    @property
    def exact(self) -> str:
        """The one version that is named without a comparison, "" for a range."""
        if len(self.bounds) == 1 and self.bounds[0][0] == "==":
            return ".".join(str(part) for part in self.bounds[0][1])
        return ""

    def holds(self, version: str) -> bool:
        have = _key(version)
        return all(have[0] == bound[0] and _compare(have, sign, bound) for sign, bound in self.bounds)

    def choose(self, versions: Iterable[str], *, preferred: str) -> str | None:
        """`preferred` when it is in the range, else the newest of `versions` that is; None when there is none."""
        if self.holds(preferred):
            return preferred
        fitting = [version for version in versions if self.holds(version)]
        return max(fitting, key=_key) if fitting else None


def _compare(have: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    match sign:
        case ">=":
            return have >= bound
        case "<=":
            return have <= bound
        case ">":
            return have > bound
        case "<":
            return have < bound
        case "!=":
            return have != bound
        case _:
            return have == bound
