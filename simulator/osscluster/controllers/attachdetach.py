"""Attaching: the attach-detach controller makes VolumeAttachments for Pods that need one and removes them when no node
uses the volume any more; the external-attacher has the driver carry them out.

Only where the CSI driver has PUBLISH_UNPUBLISH_VOLUME. Sources: pkg/controller/volume/attachdetach, pkg/volume/csi
(getAttachmentName), kubernetes-csi/external-attacher.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Literal

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.csi.naming import DRIVER
from osscluster.csi.rpc import AccessMode, ControllerPublishVolumeRequest, CsiController, CsiError, VolumeCapability
from osscluster.timeline import Steps, Timeline, Wait

__all__ = ["AttachDetach", "attachment_name"]

_FINALIZER = "external-attacher/ossplugin-csi-alibabacloud-com"
_FIRST_RETRY, _LAST_RETRY = 0.5, 122.0
_LOOK_SECONDS = 1.0
_SYNC_SECONDS = 60.0  # attach-detach-reconcile-sync-period
_ATTACH_SECONDS = 120.0
_MODES = {"ReadWriteOnce": AccessMode.SINGLE_NODE_WRITER, "ReadOnlyMany": AccessMode.MULTI_NODE_READER_ONLY}


def attachment_name(handle: str, node: str, driver: str = DRIVER) -> str:
    """Name of the VolumeAttachment of a volume on a node."""
    return "csi-" + hashlib.sha256(f"{handle}{driver}{node}".encode()).hexdigest()


class AttachDetach:
    """required: whether volumes have to be attached; in_use: (node, volume handle) -> whether kubelet there still has
    the volume."""

    def __init__(
        self,
        api: Api,
        timeline: Timeline,
        controller: Callable[[], CsiController],
        required: Callable[[], bool],
        in_use: Callable[[str, str], bool],
    ) -> None:
        self._api = api
        self._timeline = timeline
        self._controller = controller
        self._required = required
        self._in_use = in_use
        self._busy: set[str] = set()
        self._began = timeline.now()
        # What the controller takes to be attached: an attachment that somebody else deletes is missed at the next sync.
        self._believed: set[str] = set()
        self._pods = WorkQueue(api, timeline, ("Pod", "PersistentVolumeClaim"), self._look)
        self._attachments = WorkQueue(api, timeline, ("VolumeAttachment",), self._attachment_changed)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._pods.close()
        self._attachments.close()

    def _wanted(self) -> Iterator[tuple[str, KubeObject, ObjectReference]]:
        """(node, PV, Pod) of every CSI volume that a Pod with a node needs."""
        for pod in self._api.list("Pod"):
            node = pod["spec"].get("nodeName")
            if not node or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                continue
            for volume in pod["spec"].get("volumes") or ():
                if claimed := volume.get("persistentVolumeClaim"):
                    namespace = pod["metadata"]["namespace"]
                    claim = self._api.find("PersistentVolumeClaim", claimed["claimName"], namespace)
                    pv = self._api.find("PersistentVolume", (claim or {}).get("spec", {}).get("volumeName") or "")
                    if pv is not None and "csi" in pv["spec"]:
                        yield node, pv, reference(pod)

    def _look(self, name: ObjectReference) -> None:
        """Makes what is missing; takes away what nobody needs."""
        needed = set()
        for node, pv, _ in self._wanted():
            csi = pv["spec"]["csi"]
            called = attachment_name(csi["volumeHandle"], node, csi["driver"])
            needed.add(called)
            if (
                self._attaches(csi["driver"])
                and called not in self._believed
                and self._api.find("VolumeAttachment", called) is None
            ):
                self._create(called, node, pv["metadata"]["name"], csi["driver"])
        self._believed &= needed
        self._detach(needed)

    def _attaches(self, driver: str) -> bool:
        if driver == DRIVER:
            return self._required()
        known = self._api.find("CSIDriver", driver)
        return known is None or bool(known["spec"].get("attachRequired", True))

    def _create(self, called: str, node: str, pv: str, driver: str) -> None:
        self._api.create(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "VolumeAttachment",
                "metadata": {"name": called, "finalizers": [_FINALIZER] if driver == DRIVER else []},
                "spec": {"attacher": driver, "nodeName": node, "source": {"persistentVolumeName": pv}},
                "status": {"attached": False},
            }
        )

    def _detach(self, needed: set[str]) -> None:
        for attachment in self._api.list("VolumeAttachment"):
            name, spec = attachment["metadata"]["name"], attachment["spec"]
            pv = self._api.find("PersistentVolume", spec["source"].get("persistentVolumeName") or "")
            if name in needed or "deletionTimestamp" in attachment["metadata"]:
                continue
            if pv is not None and self._in_use(spec["nodeName"], pv["spec"]["csi"]["volumeHandle"]):
                # kubelet has not finished; its Pod is gone from the API (force), so nothing will tell.
                self._pods.add(ObjectReference("VolumeAttachment", "", name), _LOOK_SECONDS)
                continue
            self._believed.discard(name)
            self._api.delete("VolumeAttachment", name)

    # --- external-attacher ---

    def _attachment_changed(self, name: ObjectReference) -> None:
        attachment = self._api.find("VolumeAttachment", name.name)
        if attachment is None:
            if name.name in self._believed:
                passed = (self._timeline.now() - self._began) % _SYNC_SECONDS
                self._timeline.call_later(_SYNC_SECONDS - passed, lambda: self._missed(name))
            else:
                self._pods.add(name)
            return
        if attachment["spec"]["attacher"] != DRIVER:
            if name.name not in self._busy:
                self._busy.add(name.name)
                self._timeline.spawn(f"attachment {name.name}", self._wait_in_vain(attachment))
            return
        if name.name in self._busy:
            return
        deleting = "deletionTimestamp" in attachment["metadata"]
        if deleting or not attachment.get("status", {}).get("attached"):
            self._busy.add(name.name)
            steps = self._unpublish(attachment) if deleting else self._publish(attachment)
            self._timeline.spawn(f"attachment {name.name}", steps)

    def _missed(self, name: ObjectReference) -> None:
        """The controller compares what it takes to be attached with what is."""
        if self._api.find("VolumeAttachment", name.name) is None:
            self._believed.discard(name.name)
            self._pods.add(name)

    def _wait_in_vain(self, attachment: KubeObject) -> Steps[None]:
        """No external-attacher answers for a driver that the cluster does not have."""
        name, spec = attachment["metadata"]["name"], attachment["spec"]
        pv_name, delay = spec["source"]["persistentVolumeName"], _FIRST_RETRY

        def gone() -> bool:
            return self._api.find("VolumeAttachment", name) is None

        while not (yield Wait(gone, _ATTACH_SECONDS)):
            pv = self._api.find("PersistentVolume", pv_name)
            handle = pv["spec"]["csi"]["volumeHandle"] if pv is not None else ""
            text = f"timed out waiting for external-attacher of {spec['attacher']} CSI driver to attach volume {handle}"
            self._failed(attachment, text)
            yield Wait(gone, delay)
            delay = min(delay * 2, _LAST_RETRY)
        self._busy.discard(name)

    def _failed(self, attachment: KubeObject, why: str) -> None:
        pv_name = attachment["spec"]["source"]["persistentVolumeName"]
        self._tell(
            attachment, "Warning", "FailedAttachVolume", f'AttachVolume.Attach failed for volume "{pv_name}" : {why}'
        )

    def _publish(self, attachment: KubeObject) -> Steps[None]:
        name, spec = attachment["metadata"]["name"], attachment["spec"]
        pv_name, delay = spec["source"]["persistentVolumeName"], _FIRST_RETRY
        while True:
            current, pv = self._api.find("VolumeAttachment", name), self._api.find("PersistentVolume", pv_name)
            if current is None or pv is None or "deletionTimestamp" in current["metadata"]:
                break
            try:
                context = yield from self._controller().controller_publish_volume(_request(pv, spec["nodeName"]))
            except CsiError as error:
                current = self._api.get("VolumeAttachment", name)
                current["status"] = {"attached": False, "attachError": {"message": str(error)}}
                self._api.update_status(current)
                self._failed(attachment, str(error))
                yield Wait(seconds=delay)
                delay = min(delay * 2, _LAST_RETRY)
                continue
            found = self._api.find("VolumeAttachment", name)
            if found is not None:
                found["status"] = {"attached": True, "attachmentMetadata": dict(context)}
                self._api.update_status(found)
                self._believed.add(name)
                self._tell(
                    attachment,
                    "Normal",
                    "SuccessfulAttachVolume",
                    f'AttachVolume.Attach succeeded for volume "{pv_name}" ',
                )
            break
        self._busy.discard(name)
        self._attachments.add(reference(attachment))

    def _unpublish(self, attachment: KubeObject) -> Steps[None]:
        name, spec = attachment["metadata"]["name"], attachment["spec"]
        pv = self._api.find("PersistentVolume", spec["source"]["persistentVolumeName"])
        delay = _FIRST_RETRY
        while pv is not None:
            try:
                yield from self._controller().controller_unpublish_volume(
                    pv["spec"]["csi"]["volumeHandle"], spec["nodeName"]
                )
                break
            except CsiError:
                yield Wait(seconds=delay)
                delay = min(delay * 2, _LAST_RETRY)
        self._api.remove("VolumeAttachment", name)
        self._busy.discard(name)

    def _tell(self, attachment: KubeObject, type: Literal["Normal", "Warning"], reason: str, text: str) -> None:
        """An event at each Pod of that node that waits for the volume."""
        spec, told = attachment["spec"], set()
        for node, pv, pod in self._wanted():
            here = node == spec["nodeName"] and pv["metadata"]["name"] == spec["source"]["persistentVolumeName"]
            if here and pod not in told:
                told.add(pod)
                self._api.event(pod, type, reason, text, component="attachdetach-controller")


def _request(pv: KubeObject, node: str) -> ControllerPublishVolumeRequest:
    csi = pv["spec"]["csi"]
    mode = (pv["spec"].get("accessModes") or ["ReadWriteMany"])[0]
    return ControllerPublishVolumeRequest(
        volume_id=csi["volumeHandle"],
        node_id=node,
        capability=VolumeCapability(
            access_mode=_MODES.get(mode, AccessMode.MULTI_NODE_MULTI_WRITER),
            fs_type=csi.get("fsType") or "",
            mount_flags=tuple(pv["spec"].get("mountOptions") or ()),
        ),
        readonly=bool(csi.get("readOnly")),
        volume_context=dict(csi.get("volumeAttributes") or {}),
    )
