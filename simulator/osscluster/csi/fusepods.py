"""FUSE Pods through the API: created and waited for, deleted and waited for.

Jobs (`timeline.Steps`); called from the thread that drives the timeline. Source: launchFusePod and cleanupFusePods of
pkg/mounter/fuse_containerized_mounter.go, Create and Delete of fuse_pod_manager.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osscluster.api.objects import Api, ApiError, KubeObject
from osscluster.csi.podspec import MOUNT_PATH_ANNOTATION
from osscluster.timeline import Steps, Wait

__all__ = ["PodFailure", "delete", "launch", "ready"]

_SECONDS = 30.0
_TIMED_OUT = "timed out waiting for the condition"


class PodFailure(Exception):
    """No FUSE Pod that is ready, or one that does not go. str() is the driver's text."""


def ready(pod: KubeObject) -> bool:
    """Its condition Ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def launch(api: Api, pod: KubeObject, *, selector: Mapping[str, str], atomic: bool = False) -> Steps[KubeObject]:
    """A ready Pod like `pod`: one that is there already, or a new one, within 30 s. selector: the labels that it is
    found by. atomic: a Pod that does not get ready is deleted. Raises PodFailure, ApiError."""
    namespace: str = pod["metadata"]["namespace"]
    target = pod["metadata"]["annotations"][MOUNT_PATH_ANNOTATION]
    starting: list[KubeObject] = []
    for found in _select(api, namespace, selector, pod["spec"]["nodeName"]):
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp") or metadata.get("annotations", {}).get(MOUNT_PATH_ANNOTATION) != target:
            continue
        phase = found.get("status", {}).get("phase", "")
        if phase in ("Succeeded", "Failed"):
            continue
        if phase == "Running" and ready(found):
            return found
        starting.append(found)
    chosen = starting[0] if starting else api.create(pod)
    name, uid = chosen["metadata"]["name"], chosen["metadata"]["uid"]

    def current() -> KubeObject | None:
        found = api.find("Pod", name, namespace)
        return found if found is not None and found["metadata"]["uid"] == uid else None

    def decided() -> bool:
        found = current()
        if found is None:
            return True
        phase = found.get("status", {}).get("phase", "")
        return phase in ("Succeeded", "Failed") or (phase == "Running" and ready(found))

    held = yield Wait(decided, _SECONDS)
    launched = current()
    if held and launched is not None and launched.get("status", {}).get("phase") == "Running":
        return launched
    if atomic and launched is not None:
        api.delete("Pod", name, namespace)
    if not held:
        raise PodFailure(_TIMED_OUT)
    raise PodFailure(f"fuse pod {name} was deleted" if launched is None else f"fuse pod {name} exited")


def delete(
    api: Api, namespace: str, selector: Mapping[str, str], node: str, *, target: str = "", wait: bool = True
) -> Steps[None]:
    """Deletes the Pods of a volume on a node, of one mount path where `target` is given; waits up to 30 s until they
    are gone. Raises PodFailure, ApiError."""

    def left() -> Sequence[KubeObject]:
        return [
            pod
            for pod in _select(api, namespace, selector, node)
            if not target or pod["metadata"].get("annotations", {}).get(MOUNT_PATH_ANNOTATION) == target
        ]

    for pod in left():
        try:
            api.delete("Pod", pod["metadata"]["name"], namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
    if wait and left() and not (yield Wait(lambda: not left(), _SECONDS)):
        raise PodFailure(_TIMED_OUT)


def _select(api: Api, namespace: str, selector: Mapping[str, str], node: str) -> Sequence[KubeObject]:
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    return api.list("Pod", namespace, labels=labels, fields=f"spec.nodeName={node}")
