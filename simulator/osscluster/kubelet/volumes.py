"""kubelet's volume manager: the volumes of the Pods of one node, mounted in kubelet's order and unmounted in reverse.

For a volume of the CSI driver: wait for the attachment, NodeStage, NodePublish, fsGroup walk; at the end subPath binds,
NodeUnpublish, removal of the directory, NodeUnstage. Sources: pkg/volume/csi/csi_mounter.go, csi_attacher.go,
pkg/volume/util/operationexecutor/operation_generator.go. What a failure says is a `VolumeTrouble` (it becomes an event)
or, while unmounting, a line of kubelet's log: unmounting has no events.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.csi.naming import DRIVER
from osscluster.csi.rpc import (
    AccessMode,
    Code,
    CsiError,
    CsiNode,
    NodePublishVolumeRequest,
    NodeStageVolumeRequest,
    VolumeCapability,
)
from osscluster.host import NodeHost
from osscluster.kubelet.fsgroup import FsGroupRequest, FsGroupWalk, applies
from osscluster.kubelet.profile import KubernetesProfile
from osscluster.kubelet.trouble import VolumeTrouble
from osscluster.mountutils import MountUtils, UnmountFailed
from osscluster.timeline import Steps, Timeline, Wait

__all__ = ["DRIVER", "KUBELET", "ClaimedVolume", "VolumeManager", "claimed_volumes", "pod_directory"]

KUBELET = "/var/lib/kubelet"
_ATTACH_SECONDS = 600.0
_SLOW_WALK_SECONDS, _PROGRESS_SECONDS = 30.0, 60.0
_NOT_FINAL = {
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.UNAVAILABLE,
    Code.RESOURCE_EXHAUSTED,
    Code.ABORTED,
}
_MODES = {
    "ReadWriteOnce": AccessMode.SINGLE_NODE_WRITER,
    "ReadOnlyMany": AccessMode.MULTI_NODE_READER_ONLY,
    "ReadWriteMany": AccessMode.MULTI_NODE_MULTI_WRITER,
    "ReadWriteOncePod": AccessMode.SINGLE_NODE_WRITER,
}


def pod_directory(uid: str) -> str:
    """Where kubelet keeps a Pod."""
    return f"{KUBELET}/pods/{uid}"


@dataclass(frozen=True, slots=True)
class ClaimedVolume:
    """A volume of a Pod that a claim gives it. name: in the Pod; read_only: persistentVolumeClaim.readOnly."""

    name: str
    claim: str
    read_only: bool


def claimed_volumes(pod: KubeObject) -> Iterator[ClaimedVolume]:
    """Those of its volumes that come from claims."""
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield ClaimedVolume(volume["name"], claim["claimName"], bool(claim.get("readOnly")))


@dataclass(slots=True)
class _Mounted:
    """A volume at a Pod. pv: as it was when it was mounted; target: node path; published: whether NodeUnpublish is
    owed; reconstructed: found on the disk by a kubelet that has just started."""

    pv: KubeObject
    target: str
    published: bool = True
    reconstructed: bool = False


@dataclass(slots=True)
class _Staged:
    path: str
    users: set[str] = field(default_factory=set)


@dataclass(slots=True)
class VolumeManager:
    """One node's. cost: simulated seconds that the cloud's requests have taken so far; log: kubelet's log; registered:
    whether the driver is known to this kubelet (its csi-plugin runs)."""

    node: str
    api: Api
    host: NodeHost
    driver: Callable[[], CsiNode]
    timeline: Timeline
    profile: KubernetesProfile
    cost: Callable[[], float]
    log: Callable[[str], None]
    attach_required: Callable[[], bool]
    registered: Callable[[], bool] = lambda: True
    _mounted: dict[tuple[str, str], _Mounted] = field(default_factory=dict)
    _staged: dict[str, _Staged] = field(default_factory=dict)
    _leaving: dict[tuple[str, str], KubeObject] = field(default_factory=dict)

    def path(self, uid: str, name: str) -> str:
        """Node path of a mounted volume of a Pod."""
        return self._mounted[uid, name].target

    def paths(self, uid: str) -> list[str]:
        """Node paths of every mounted volume of a Pod, in the order in which they came."""
        return [mounted.target for (pod, _), mounted in self._mounted.items() if pod == uid]

    def volume_name(self, uid: str, name: str) -> str:
        """The PV's name: what kubelet calls a CSI volume below its directories."""
        return str(self._mounted[uid, name].pv["metadata"]["name"])

    def in_use(self) -> set[str]:
        """Volume handles that this node has mounted or staged (Node.status.volumesInUse)."""
        handles = {str(mounted.pv["spec"]["csi"]["volumeHandle"]) for mounted in self._mounted.values()}
        return handles | {handle for handle, staged in self._staged.items() if staged.users}

    @property
    def utils(self) -> MountUtils:
        """mount-utils of this release."""
        return MountUtils(self.host, self.profile.corrupted, self.profile.missing_but_accessible_is_stale)

    # --- mounting ---

    def mount(
        self, pod: KubeObject, volume: ClaimedVolume, abandoned: Callable[[], bool] = lambda: False
    ) -> Steps[None]:
        """One attempt. abandoned: whether the Pod is being deleted, so that what has not begun need not be waited for.
        Raises VolumeTrouble."""
        uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
        pv = yield from self._volume(namespace, volume, abandoned)
        if pv is None:
            return
        name, csi = pv["metadata"]["name"], pv["spec"]["csi"]
        context = yield from self._attached(name, csi["driver"], abandoned)
        if abandoned():
            return
        if csi["driver"] != DRIVER or not self.registered():
            raise VolumeTrouble(
                f'MountVolume.MountDevice failed for volume "{name}" : kubernetes.io/csi: attacher.MountDevice failed '
                f"to create newCsiDriverClient: driver name {csi['driver']} not found in the list of registered CSI "
                "drivers"
            )
        target = f"{pod_directory(uid)}/volumes/kubernetes.io~csi/{name}/mount"
        capability = _capability(pv)
        staging = ""
        if "STAGE_UNSTAGE_VOLUME" in self.driver().capabilities():
            staging = yield from self._stage(pv, capability, context)
        self._staged.setdefault(csi["volumeHandle"], _Staged(staging)).users.add(uid)
        # Whatever becomes of the rest: it is staged now, and attached.
        self._leaving[uid, volume.name] = pv
        if self._is_there(name, target):
            return
        request = NodePublishVolumeRequest(
            volume_id=csi["volumeHandle"],
            target_path=target,
            staging_target_path=staging,
            capability=capability,
            readonly=volume.read_only,
            publish_context=context,
            volume_context=_volume_context(pod, csi),
            secrets=self._secrets(name, csi),
        )
        self._write_data(target, csi["volumeHandle"])
        mounted = self._mounted.setdefault((uid, volume.name), _Mounted(pv, target))
        try:
            yield from self.driver().node_publish_volume(request)
        except CsiError as error:
            if error.code not in _NOT_FINAL and not mounted.reconstructed:
                del self._mounted[uid, volume.name]
                self._take_back(target)
            raise VolumeTrouble(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        self._leaving.pop((uid, volume.name), None)
        yield from self._walk(pod, pv, volume, target)

    def forget(self, uid: str) -> None:
        """A kubelet that has just started knows the volumes of a Pod by their directories alone."""
        for (pod, _), mounted in self._mounted.items():
            if pod == uid:
                mounted.reconstructed = True

    def _is_there(self, pv: str, target: str) -> bool:
        """SetUpAt's first look: what is mounted already (after an answer that was not final, or a restart of kubelet)
        is left alone, what is dead is the driver's business."""
        try:
            self.host.root.stat(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if self.utils.is_corrupted(error):
                return False
            raise VolumeTrouble(f'MountVolume.SetUp failed for volume "{pv}" : {_said(error)}') from error
        return self.utils.is_mounted(target)

    def _write_data(self, target: str, handle: str) -> None:
        """vol_data.json beside a target, by which a restarted kubelet would know the volume."""
        directory = os.path.dirname(target)
        self.host.makedirs(directory)
        self.host.write_file(f"{directory}/vol_data.json", json.dumps({"driverName": DRIVER, "volumeHandle": handle}))

    def _take_back(self, target: str) -> None:
        try:
            self._remove_directory(target)
        except OSError as error:
            self.log(
                f"kubernetes.io/csi: mounter.SetUpAt failed to remove mount dir after error [{target}]: {_said(error)}"
            )

    def _volume(self, namespace: str, volume: ClaimedVolume, abandoned: Callable[[], bool]) -> Steps[KubeObject | None]:
        def bound() -> bool:
            claim = self.api.find("PersistentVolumeClaim", volume.claim, namespace)
            return claim is not None and claim.get("status", {}).get("phase") == "Bound"

        yield Wait(lambda: abandoned() or bound())
        if abandoned():
            return None
        claim = self.api.get("PersistentVolumeClaim", volume.claim, namespace)
        return self.api.get("PersistentVolume", claim["spec"]["volumeName"])

    def _attached(self, pv: str, driver: str, abandoned: Callable[[], bool]) -> Steps[Mapping[str, str]]:
        if not self._attaches(driver):
            return {}

        def attachment() -> KubeObject | None:
            for found in self.api.list("VolumeAttachment"):
                spec = found["spec"]
                if spec["nodeName"] == self.node and spec["source"].get("persistentVolumeName") == pv:
                    return found if found.get("status", {}).get("attached") else None
            return None

        yield Wait(lambda: abandoned() or attachment() is not None, _ATTACH_SECONDS)
        found = attachment()
        if found is None and abandoned():
            return {}
        if found is None:
            raise VolumeTrouble(
                f'MountVolume.WaitForAttach failed for volume "{pv}" : watch error or timeout waiting for volume '
                "attachment"
            )
        return dict(found["status"].get("attachmentMetadata") or {})

    def _attaches(self, driver: str) -> bool:
        if driver == DRIVER:
            return self.attach_required()
        known = self.api.find("CSIDriver", driver)
        return known is None or bool(known["spec"].get("attachRequired", True))

    def _stage(self, pv: KubeObject, capability: VolumeCapability, context: Mapping[str, str]) -> Steps[str]:
        name, csi = pv["metadata"]["name"], pv["spec"]["csi"]
        handle = csi["volumeHandle"]
        if self.profile.staging_by_handle:
            place = f"{DRIVER}/{hashlib.sha256(handle.encode()).hexdigest()}"
        else:
            place = f"pv/{name}"
        directory = f"{KUBELET}/plugins/kubernetes.io/csi/{place}"
        staging = f"{directory}/globalmount"
        self._write_data(staging, handle)
        try:
            if not self.utils.exists(staging):
                self.host.makedirs(staging)
        except OSError as error:
            if not self.utils.is_corrupted(error):
                raise VolumeTrouble(f'MountVolume.MountDevice failed for volume "{name}" : {error.strerror}') from error
        request = NodeStageVolumeRequest(
            volume_id=handle,
            staging_target_path=staging,
            capability=capability,
            publish_context=context,
            volume_context=dict(csi.get("volumeAttributes") or {}),
        )
        try:
            yield from self.driver().node_stage_volume(request)
        except CsiError as error:
            raise VolumeTrouble(f'MountVolume.MountDevice failed for volume "{name}" : {error}') from error
        return staging

    def _secrets(self, pv: str, csi: Mapping[str, Any]) -> dict[str, str]:
        reference = csi.get("nodePublishSecretRef")
        if not reference:
            return {}
        namespace, name = reference["namespace"], reference["name"]
        secret = self.api.find("Secret", name, namespace)
        if secret is None:
            raise VolumeTrouble(
                f'MountVolume.SetUp failed for volume "{pv}" : fetching NodePublishSecretRef {namespace}/{name} '
                f"failed: kubernetes.io/csi: failed to find the secret {name} in the namespace {namespace} with error: "
                f'secrets "{name}" not found'
            )
        data = secret.get("data") or {}
        return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}

    def _walk(self, pod: KubeObject, pv: KubeObject, volume: ClaimedVolume, target: str) -> Steps[None]:
        context = pod["spec"].get("securityContext") or {}
        driver = self.api.find("CSIDriver", DRIVER) or {}
        request = FsGroupRequest(
            fs_group=context.get("fsGroup"),
            read_only=volume.read_only,
            fs_type=pv["spec"]["csi"].get("fsType") or "",
            access_modes=pv["spec"].get("accessModes") or (),
            policy=driver.get("spec", {}).get("fsGroupPolicy", "ReadWriteOnceWithFSType"),
        )
        if not applies(request) or request.fs_group is None:
            return
        self.timeline.synchronise()
        before = self.cost()
        walk = FsGroupWalk(self.host.root, self.profile, request.fs_group)
        try:
            walk.run(target, context.get("fsGroupChangePolicy") or "Always")
        except OSError as error:
            handle = pv["spec"]["csi"]["volumeHandle"]
            raise VolumeTrouble(
                f'MountVolume.SetUp failed for volume "{pv["metadata"]["name"]}" : applyFSGroup failed for vol '
                f"{handle}: {error.filename or target}: {(error.strerror or '').lower()}"
            ) from error
        seconds = self.cost() - before
        self.log(f"SetVolumeOwnership of {target}: {walk.entries} entries, {walk.refused} refused, {seconds:.3f} s")
        yield from self._walk_time(pod, target, seconds, walk.entries)

    def _walk_time(self, pod: KubeObject, target: str, seconds: float, entries: int) -> Steps[None]:
        """The Pod waits as long as the walk's requests took; what it has done by then is taken to be in proportion."""
        about = target.split("/pods/", 1)[1]
        if self.profile.progress_event and seconds > _SLOW_WALK_SECONDS:
            yield Wait(seconds=_SLOW_WALK_SECONDS)
            self._tell_progress(
                pod,
                f"Setting volume ownership for {about} is taking longer than expected, consider using OnRootMismatch - "
                "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"
                "#configure-volume-permission-and-ownership-change-policy-for-pods",
            )
            passed = _SLOW_WALK_SECONDS
            while passed + _PROGRESS_SECONDS < seconds:
                yield Wait(seconds=_PROGRESS_SECONDS)
                passed += _PROGRESS_SECONDS
                done = int(entries * passed / seconds)
                self._tell_progress(pod, f"Setting volume ownership for {about}, processed {done} files.")
            seconds -= passed
        yield Wait(seconds=seconds)

    def _tell_progress(self, pod: KubeObject, text: str) -> None:
        about = ObjectReference("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.api.event(about, "Warning", "VolumePermissionChangeInProgress", text, component="kubelet", host=self.node)

    # --- unmounting ---

    def unmount(self, pod: KubeObject, name: str) -> Steps[bool]:
        """One attempt to take a volume from a Pod; False (and why, in the log) when it has to be tried again."""
        uid = pod["metadata"]["uid"]
        mounted = self._mounted.get((uid, name))
        if mounted is not None:
            pv = mounted.pv["metadata"]["name"]
            handle = mounted.pv["spec"]["csi"]["volumeHandle"]
            about = f'volume "{name}" (UniqueName: "kubernetes.io/csi/{DRIVER}^{handle}") pod "{uid}" (UID: "{uid}")'
            self.timeline.synchronise()
            try:
                self._clean_subpaths(uid, pv)
            except (UnmountFailed, OSError) as error:
                self.log(f"error cleaning subPath mounts for {about} : {_said(error)}")
                return False
            try:
                if mounted.published:
                    yield from self.driver().node_unpublish_volume(
                        mounted.pv["spec"]["csi"]["volumeHandle"], mounted.target
                    )
                self._remove_directory(mounted.target)
            except CsiError as error:
                self.log(
                    f"UnmountVolume.TearDown failed for {about} : kubernetes.io/csi: Unmounter.TearDownAt "
                    f"failed: {error}"
                )
                return False
            except OSError as error:
                self.log(f"UnmountVolume.TearDown failed for {about} : {_said(error)}")
                return False
            del self._mounted[uid, name]
            self._leaving[uid, name] = mounted.pv
        leaving = self._leaving.get((uid, name))
        if leaving is not None:
            if not (yield from self._unstage(uid, leaving)):
                return False
            del self._leaving[uid, name]
        return True

    def _unstage(self, uid: str, pv: KubeObject) -> Steps[bool]:
        handle = pv["spec"]["csi"]["volumeHandle"]
        staged = self._staged[handle]
        if staged.users > {uid}:
            staged.users.discard(uid)
            return True
        if staged.path:
            about = f'volume "{pv["metadata"]["name"]}" (UniqueName: "kubernetes.io/csi/{DRIVER}^{handle}")'
            others = self._mounted_elsewhere(staged.path)
            try:
                if others:
                    self.log(
                        f'GetDeviceMountRefs check failed for {about} on node "{self.node}" : the device mount path '
                        f'"{staged.path}" is still mounted by other references [{" ".join(others)}]'
                    )
                    return False
                yield from self.driver().node_unstage_volume(handle, staged.path)
                self._remove_directory(staged.path)
            except (CsiError, OSError) as error:
                self.log(
                    f'UnmountDevice failed for {about} on node "{self.node}" : kubernetes.io/csi: '
                    f"attacher.UnmountDevice failed: {_said(error)}"
                )
                return False
        del self._staged[handle]
        return True

    def _mounted_elsewhere(self, path: str) -> list[str]:
        process = self.host.ossfs_at(path)
        if process is None:
            return []
        lines = self.host.mounts()
        return [line.target for line in lines if line.target != path and self.host.ossfs_at(line.target) is process]

    def _clean_subpaths(self, uid: str, pv: str) -> None:
        directory = f"{pod_directory(uid)}/volume-subpaths/{pv}"
        utils = self.utils
        for container in self._names(directory):
            for index in self._names(f"{directory}/{container}"):
                place = f"{directory}/{container}/{index}"
                try:
                    utils.cleanup(place, note=self.log)
                except (UnmountFailed, OSError) as error:
                    where = f"error processing {directory}/{container}: error cleaning subpath mount {place}"
                    raise UnmountFailed(f"{where}: {_said(error)}") from error
            self._remove(f"{directory}/{container}")
        self._remove(directory)

    def _names(self, directory: str) -> list[str]:
        try:
            return [entry.name for entry in self.host.root.listdir(directory)]
        except FileNotFoundError:
            return []

    def _remove(self, directory: str) -> None:
        try:
            self.host.root.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OSError(error.errno, f"error deleting {directory}: remove {directory}: {_said(error)}") from error

    def _remove_directory(self, target: str) -> None:
        """removeMountDir: the target, vol_data.json and the directory above."""
        root, parent = self.host.root, os.path.dirname(target)
        try:
            root.rmdir(target)
        except FileNotFoundError:
            pass  # the driver has removed it
        except OSError as error:
            raise OSError(
                error.errno, f"kubernetes.io/csi: failed to remove dir [{target}]: remove {target}: {_said(error)}"
            ) from error
        for remove, path in ((root.unlink, f"{parent}/vol_data.json"), (root.rmdir, parent)):
            try:
                remove(path)
            except FileNotFoundError:
                continue


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.strerror == os.strerror(error.errno):
        return "device or resource busy" if error.errno == errno.EBUSY else error.strerror.lower()
    return error.strerror or "" if isinstance(error, OSError) else str(error)


def _capability(pv: KubeObject) -> VolumeCapability:
    spec = pv["spec"]
    modes = spec.get("accessModes") or ("ReadWriteMany",)
    return VolumeCapability(
        access_mode=_MODES.get(modes[0], AccessMode.UNKNOWN),
        fs_type=spec["csi"].get("fsType") or "",
        mount_flags=tuple(spec.get("mountOptions") or ()),
        block=spec.get("volumeMode") == "Block",
    )


def _volume_context(pod: KubeObject, csi: Mapping[str, Any]) -> dict[str, str]:
    metadata = pod["metadata"]
    return {
        **(csi.get("volumeAttributes") or {}),
        "csi.storage.k8s.io/pod.name": metadata["name"],
        "csi.storage.k8s.io/pod.namespace": metadata["namespace"],
        "csi.storage.k8s.io/pod.uid": metadata["uid"],
        "csi.storage.k8s.io/serviceAccount.name": pod["spec"].get("serviceAccountName") or "default",
        "csi.storage.k8s.io/ephemeral": "false",
    }
