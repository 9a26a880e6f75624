"""The kinds that the API knows: their names, groups and what hangs on them.

A kind is a row. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["KINDS", "Kind", "by_plural", "kind_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """name: as in `kind:`; plural: as in URLs; group: "" for the core group; short: what kubectl takes instead;
    status: whether status has an endpoint of its own (and is ignored everywhere else); scale: whether `kubectl scale`
    works; generation: whether metadata.generation counts changes of spec."""

    name: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = True
    scale: bool = False
    generation: bool = False

    @property
    def api_version(self) -> str:
        """ "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As error messages name it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified(self) -> str:
        """As Invalid messages name it: "Pod", "Deployment.apps"."""
        return f"{self.name}.{self.group}" if self.group else self.name


_ALL = ("all",)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ConfigMap", "configmaps", short=("cm",), status=False),
        Kind("Event", "events", short=("ev",), status=False),
        Kind("Namespace", "namespaces", namespaced=False, short=("ns",)),
        Kind("Node", "nodes", namespaced=False, short=("no",)),
        Kind("PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",)),
        Kind("PersistentVolume", "persistentvolumes", namespaced=False, short=("pv",)),
        Kind("Pod", "pods", short=("po",), categories=_ALL),
        Kind("Secret", "secrets", status=False),
        Kind("ServiceAccount", "serviceaccounts", short=("sa",), status=False),
        Kind("DaemonSet", "daemonsets", "apps", short=("ds",), categories=_ALL, generation=True),
        Kind("Deployment", "deployments", "apps", short=("deploy",), categories=_ALL, scale=True, generation=True),
        Kind("ReplicaSet", "replicasets", "apps", short=("rs",), categories=_ALL, scale=True, generation=True),
        Kind("StatefulSet", "statefulsets", "apps", short=("sts",), categories=_ALL, scale=True, generation=True),
        Kind("CSIDriver", "csidrivers", "storage.k8s.io", namespaced=False, status=False),
        Kind("StorageClass", "storageclasses", "storage.k8s.io", namespaced=False, short=("sc",), status=False),
        Kind("VolumeAttachment", "volumeattachments", "storage.k8s.io", namespaced=False),
    )
}


def kind_of(api_version: str, name: str) -> Kind | None:
    """The kind that `apiVersion` and `kind` of a manifest name; None for what this API does not have."""
    kind = KINDS.get(name)
    return kind if kind is not None and kind.api_version == api_version else None


def by_plural(group: str, version: str, plural: str) -> Kind | None:
    """The kind behind a URL."""
    for kind in KINDS.values():
        if (kind.group, kind.version, kind.plural) == (group, version, plural):
            return kind
    return None
