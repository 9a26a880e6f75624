"""Claims and volumes: which PersistentVolume a claim gets, and what the external-provisioner makes for a StorageClass.

Source: pkg/controller/volume/persistentvolume; external-provisioner's arguments as ACK gives them (PV names begin with
"oss-", fsType "ossfs"). Capacity only decides whether a volume is large enough: nothing ever enforces it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from osscluster.api import selectors
from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.api.quantity import Quantity
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.csi.naming import DRIVER
from osscluster.csi.rpc import CreateVolumeRequest, CsiController, CsiError, VolumeCapability
from osscluster.timeline import Steps, Timeline

__all__ = ["SELECTED_NODE", "Binder", "waits_for_pod"]

_RETRY_SECONDS = 15.0
SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""The annotation by which the scheduler says that a claim's first Pod has a node."""

_CONTROLLER = "persistentvolume-controller"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


def waits_for_pod(api: Api, claim: KubeObject) -> bool:
    """Whether a claim is bound only when the scheduler has chosen a node for a Pod with it (volumeBindingMode)."""
    storage = api.find("StorageClass", claim["spec"].get("storageClassName") or "")
    later = storage is not None and storage.get("volumeBindingMode") == "WaitForFirstConsumer"
    return later and SELECTED_NODE not in (claim["metadata"].get("annotations") or {})


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
            if claim.get("status", {}).get("phase") != "Bound" or claim["spec"].get("volumeName") == name.name:
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
                self._reclaim(pv)

    def _reclaim(self, pv: KubeObject) -> None:
        name = pv["metadata"]["name"]
        if (pv["metadata"].get("annotations") or {}).get(_PROVISIONED_BY) == DRIVER:
            self._timeline.spawn(f"delete {name}", self._delete(pv))
            return
        # Written by hand: nobody is there who could delete what it stands for.
        text = f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
        self._api.event(reference(pv), "Warning", "VolumeFailedDelete", text, component=_CONTROLLER)
        self._phase(self._api.get("PersistentVolume", name), "Failed", message=text)

    def _delete(self, pv: KubeObject) -> Steps[None]:
        name = pv["metadata"]["name"]
        try:
            yield from self._controller().delete_volume(pv["spec"]["csi"]["volumeHandle"])
        except CsiError as error:
            about = ObjectReference("PersistentVolume", "", name)
            self._api.event(about, "Warning", "VolumeFailedDelete", str(error), component=DRIVER)
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
            if self._api.find("PersistentVolume", claim["spec"].get("volumeName") or "") is None:
                text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                self._api.event(name, "Warning", "ClaimLost", text, component=_CONTROLLER)
                self._phase(claim, "Lost")
            return
        if claim.get("status", {}).get("phase") == "Lost":
            return
        if waits_for_pod(self._api, claim):
            if claim.get("status", {}).get("phase") != "Pending":
                self._phase(claim, "Pending")
            text = "waiting for first consumer to be created before binding"
            self._api.event(name, "Normal", "WaitForFirstConsumer", text, component=_CONTROLLER)
            self._claims.add(name, _RETRY_SECONDS)
            return
        chosen = self._choose(claim)
        if chosen is not None:
            self._join(claim, chosen)
            return
        if claim.get("status", {}).get("phase") != "Pending":
            self._phase(claim, "Pending")
        self._provision(claim)

    def _choose(self, claim: KubeObject) -> KubeObject | None:
        """The smallest that fits; the one that is named or that names the claim before any other."""
        named = claim["spec"].get("volumeName")
        fitting = []
        for pv in self._api.list("PersistentVolume"):
            if "deletionTimestamp" in pv["metadata"] or named not in (None, "", pv["metadata"]["name"]):
                continue
            promised = _promised(pv, claim)
            if promised is False:
                continue
            refusal = _refusal(claim, pv, reserved=bool(promised))
            if not refusal and (promised or named or _selected(claim, pv)):
                fitting.append((not promised, _capacity(pv), pv["metadata"]["name"], pv))
            elif refusal and named:
                text = f'Cannot bind to requested volume "{named}": {refusal}'
                self._api.event(reference(claim), "Warning", "VolumeMismatch", text, component=_CONTROLLER)
        return min(fitting, key=lambda found: found[:3])[3] if fitting else None

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
        # The controller looks at every claim that is not bound again and again, and says each time what it lacks.
        self._claims.add(about, _RETRY_SECONDS)
        called = claim["spec"].get("storageClassName")
        storage = self._api.find("StorageClass", called) if called else None
        if claim["spec"].get("volumeName"):
            return
        if not called:
            text = "no persistent volumes available for this claim and no storage class is set"
            self._api.event(about, "Normal", "FailedBinding", text, component=_CONTROLLER)
        elif storage is None:
            text = f'storageclass.storage.k8s.io "{called}" not found'
            self._api.event(about, "Warning", "ProvisioningFailed", text, component=_CONTROLLER)
        elif storage.get("provisioner") == DRIVER and uid not in self._provisioning:
            self._provisioning.add(uid)
            text = f'External provisioner is provisioning volume for claim "{about.namespace}/{about.name}"'
            self._api.event(about, "Normal", "Provisioning", text, component=DRIVER)
            self._timeline.spawn(f"provision {about.name}", self._create(claim, storage))

    def _create(self, claim: KubeObject, storage: KubeObject) -> Steps[None]:
        about, uid = reference(claim), claim["metadata"]["uid"]
        name, size = f"oss-{uid}", claim["spec"]["resources"]["requests"]["storage"]
        parameters = dict(storage.get("parameters") or {})
        own = {key: value for key, value in parameters.items() if not key.startswith("csi.storage.k8s.io/")}
        fs_type = parameters.get("csi.storage.k8s.io/fstype", "ossfs")
        flags = tuple(storage.get("mountOptions") or ())
        capability = VolumeCapability(fs_type=fs_type, mount_flags=flags)
        request = CreateVolumeRequest(name, (capability,), int(Quantity.parse(size).value), own)
        try:
            volume = yield from self._controller().create_volume(request)
        except CsiError as error:
            text = f'failed to provision volume with StorageClass "{storage["metadata"]["name"]}": {error}'
            self._api.event(about, "Warning", "ProvisioningFailed", text, component=DRIVER)
            self._provisioning.discard(uid)
            self._claims.add(about, _RETRY_SECONDS)
            return
        csi: dict[str, Any] = {
            "driver": DRIVER,
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
                "metadata": {"name": name, "annotations": {_PROVISIONED_BY: DRIVER}},
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
        self._api.event(about, "Normal", "ProvisioningSucceeded", text, component=DRIVER)
        self._provisioning.discard(uid)


def _requested(claim: KubeObject) -> Decimal:
    return Quantity.parse(str(claim["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))).value


def _capacity(pv: KubeObject) -> Decimal:
    return Quantity.parse(str(pv["spec"].get("capacity", {}).get("storage", "0"))).value


def _promised(pv: KubeObject, claim: KubeObject) -> bool | None:
    """Whether a volume's claimRef names the claim; None where it names none. One that has been another claim's of the
    same name (its uid differs) stays that one's."""
    claimed = pv["spec"].get("claimRef")
    if claimed is None:
        return None
    metadata = claim["metadata"]
    same = (claimed.get("namespace"), claimed.get("name")) == (metadata["namespace"], metadata["name"])
    return same and claimed.get("uid") in (None, "", metadata["uid"])


def _refusal(claim: KubeObject, pv: KubeObject, *, reserved: bool) -> str:
    """Why a volume can't be the claim's, "" when it can (checkVolumeSatisfyClaim). reserved: its claimRef names the
    claim, so that only size and mode matter."""
    asked, offered = claim["spec"], pv["spec"]
    if _capacity(pv) < _requested(claim):
        return "requested PV is too small"
    if (asked.get("volumeMode") or "Filesystem") != (offered.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if reserved:
        return ""
    if (asked.get("storageClassName") or "") != (offered.get("storageClassName") or ""):
        return "storageClassName does not match"
    if not set(asked.get("accessModes") or ()) <= set(offered.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def _selected(claim: KubeObject, pv: KubeObject) -> bool:
    selector = claim["spec"].get("selector")
    return not selector or selectors.matches_selector(selector, pv["metadata"].get("labels") or {})
