"""Claims and volumes: which PersistentVolume a claim gets, and what the external-provisioner makes for a StorageClass.

Source: pkg/controller/volume/persistentvolume; external-provisioner's arguments as ACK gives them (PV names begin with
"oss-", fsType "ossfs"). Capacity only decides whether a volume is large enough: nothing ever enforces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.csi.rpc import CreateVolumeRequest, CsiController, CsiError, VolumeCapability
from osscluster.timeline import Steps, Timeline

__all__ = ["Binder", "quantity"]

_DRIVER = "ossplugin.csi.alibabacloud.com"
_UNITS: Mapping[str, Decimal] = {
    **{f"{prefix}i": Decimal(1 << 10 * (power + 1)) for power, prefix in enumerate("KMGTP")},
    **{prefix: Decimal(10 ** (3 * (power + 1))) for power, prefix in enumerate("kMGTP")},
    "m": Decimal("0.001"),
}
_RETRY_SECONDS = 15.0


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity ("5Gi") as a number."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return Decimal(text.removesuffix(unit)) * factor
    return Decimal(text)


class Binder:
    """controller: of the CSI driver, a function because it changes when the driver is upgraded."""

    def __init__(self, api: Api, timeline: Timeline, controller: Callable[[], CsiController]) -> None:
        self._api = api
        self._timeline = timeline
        self._controller = controller
        self._provisioning: set[str] = set()
        self._claims = WorkQueue(api, timeline, ("PersistentVolumeClaim",), self._bind)
        self._volumes = WorkQueue(api, timeline, ("PersistentVolume", "StorageClass"), self._volume_changed)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._claims.close()
        self._volumes.close()

    def _volume_changed(self, name: ObjectReference) -> None:
        for claim in self._api.list("PersistentVolumeClaim"):
            if claim.get("status", {}).get("phase") != "Bound":
                self._claims.add(reference(claim))
        if name.kind == "PersistentVolume":
            self._release(name)

    def _release(self, name: ObjectReference) -> None:
        pv = self._api.find("PersistentVolume", name.name)
        if pv is None:
            return
        claimed = pv["spec"].get("claimRef")
        claim = self._api.find("PersistentVolumeClaim", claimed["name"], claimed["namespace"]) if claimed else None
        phase = pv.get("status", {}).get("phase")
        if claimed is None and phase != "Available":
            self._phase(pv, "Available")
        elif claimed and phase == "Bound" and (claim is None or claim["metadata"]["uid"] != claimed.get("uid")):
            self._phase(pv, "Released")
            if pv["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
                self._timeline.spawn(f"delete {name.name}", self._delete(pv))

    def _delete(self, pv: KubeObject) -> Steps[None]:
        name = pv["metadata"]["name"]
        try:
            yield from self._controller().delete_volume(pv["spec"]["csi"]["volumeHandle"])
        except CsiError as error:
            about = ObjectReference("PersistentVolume", "", name)
            self._api.event(about, "Warning", "VolumeFailedDelete", str(error), component=_DRIVER)
            return
        self._api.delete("PersistentVolume", name)

    def _phase(self, thing: KubeObject, phase: str, **more: Any) -> None:
        thing.setdefault("status", {}).update(phase=phase, **more)
        self._api.update_status(thing)

    def _bind(self, name: ObjectReference) -> None:
        claim = self._api.find("PersistentVolumeClaim", name.name, name.namespace)
        if claim is None:
            for pv in self._api.list("PersistentVolume"):
                claimed = pv["spec"].get("claimRef") or {}
                if (claimed.get("namespace"), claimed.get("name")) == (name.namespace, name.name):
                    self._release(reference(pv))
            return
        if claim.get("status", {}).get("phase") == "Bound":
            return
        chosen = self._choose(claim)
        if chosen is not None:
            self._join(claim, chosen)
            return
        if claim.get("status", {}).get("phase") != "Pending":
            self._phase(claim, "Pending")
        self._provision(claim)

    def _choose(self, claim: KubeObject) -> KubeObject | None:
        spec, wanted = claim["spec"], _requested(claim)
        named = spec.get("volumeName")
        fitting = []
        for pv in self._api.list("PersistentVolume"):
            claimed = pv["spec"].get("claimRef")
            mine = claimed is not None and (claimed["namespace"], claimed["name"]) == (
                claim["metadata"]["namespace"],
                claim["metadata"]["name"],
            )
            if (claimed is not None and not mine) or "deletionTimestamp" in pv["metadata"]:
                continue
            if named and pv["metadata"]["name"] != named:
                continue
            if mine or _fits(claim, pv, wanted):
                fitting.append(pv)
        return min(fitting, key=lambda pv: (_capacity(pv), pv["metadata"]["name"]), default=None)

    def _join(self, claim: KubeObject, pv: KubeObject) -> None:
        metadata = claim["metadata"]
        pv["spec"]["claimRef"] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        self._phase(self._api.update(pv), "Bound")
        claim["spec"]["volumeName"] = pv["metadata"]["name"]
        self._phase(
            self._api.update(claim),
            "Bound",
            accessModes=pv["spec"].get("accessModes"),
            capacity={"storage": pv["spec"]["capacity"]["storage"]},
        )

    # --- external-provisioner ---

    def _provision(self, claim: KubeObject) -> None:
        about, uid = reference(claim), claim["metadata"]["uid"]
        called = claim["spec"].get("storageClassName")
        storage = self._api.find("StorageClass", called) if called else None
        if storage is None or storage.get("provisioner") != _DRIVER:
            text = "no persistent volumes available for this claim and no storage class is set"
            if called:
                text = f'storageclass.storage.k8s.io "{called}" not found' if storage is None else ""
            if text:
                reason = "ProvisioningFailed" if called else "FailedBinding"
                self._api.event(
                    about, "Normal" if not called else "Warning", reason, text, component="persistentvolume-controller"
                )
            return
        if uid not in self._provisioning:
            self._provisioning.add(uid)
            self._timeline.spawn(f"provision {about.name}", self._create(claim, storage))
        return

    def _create(self, claim: KubeObject, storage: KubeObject) -> Steps[None]:
        about, uid = reference(claim), claim["metadata"]["uid"]
        name, size = f"oss-{uid}", claim["spec"]["resources"]["requests"]["storage"]
        parameters = dict(storage.get("parameters") or {})
        own = {key: value for key, value in parameters.items() if not key.startswith("csi.storage.k8s.io/")}
        fs_type = parameters.get("csi.storage.k8s.io/fstype", "ossfs")
        flags = tuple(storage.get("mountOptions") or ())
        capability = VolumeCapability(fs_type=fs_type, mount_flags=flags)
        request = CreateVolumeRequest(name, (capability,), int(quantity(size)), own)
        try:
            volume = yield from self._controller().create_volume(request)
        except CsiError as error:
            text = f'failed to provision volume with StorageClass "{storage["metadata"]["name"]}": {error}'
            self._api.event(about, "Warning", "ProvisioningFailed", text, component=_DRIVER)
            self._provisioning.discard(uid)
            self._claims.add(about, _RETRY_SECONDS)
            return
        csi: dict[str, Any] = {
            "driver": _DRIVER,
            "volumeHandle": volume.volume_id,
            "fsType": fs_type,
            "volumeAttributes": dict(volume.context),
        }
        secret = parameters.get("csi.storage.k8s.io/node-publish-secret-name")
        if secret:
            namespace = parameters.get("csi.storage.k8s.io/node-publish-secret-namespace", about.namespace)
            csi["nodePublishSecretRef"] = {"name": secret, "namespace": namespace}
        self._api.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": _DRIVER}},
                "spec": {
                    "accessModes": claim["spec"].get("accessModes") or ["ReadWriteMany"],
                    "capacity": {"storage": size},
                    "claimRef": {
                        "kind": "PersistentVolumeClaim",
                        "namespace": about.namespace,
                        "name": about.name,
                        "uid": uid,
                        "apiVersion": "v1",
                    },
                    "csi": csi,
                    "mountOptions": list(flags),
                    "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy", "Delete"),
                    "storageClassName": storage["metadata"]["name"],
                    "volumeMode": "Filesystem",
                },
            }
        )
        text = f"Successfully provisioned volume {name}"
        self._api.event(about, "Normal", "ProvisioningSucceeded", text, component=_DRIVER)
        self._provisioning.discard(uid)


def _requested(claim: KubeObject) -> Decimal:
    return quantity(str(claim["spec"].get("resources", {}).get("requests", {}).get("storage", "0")))


def _capacity(pv: KubeObject) -> Decimal:
    return quantity(str(pv["spec"].get("capacity", {}).get("storage", "0")))


def _fits(claim: KubeObject, pv: KubeObject, wanted: Decimal) -> bool:
    asked = claim["spec"]
    if (asked.get("storageClassName") or "") != (pv["spec"].get("storageClassName") or ""):
        return False
    if not set(asked.get("accessModes") or ()) <= set(pv["spec"].get("accessModes") or ()):
        return False
    labels = pv["metadata"].get("labels") or {}
    selector = (asked.get("selector") or {}).get("matchLabels") or {}
    return _capacity(pv) >= wanted and all(labels.get(key) == value for key, value in selector.items())
