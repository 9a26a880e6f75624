"""One node's kubelet: hears of Pods that are scheduled here and keeps a `PodWorker` for each, until it is gone.

A Pod that is removed from the API by force keeps its worker: kubelet goes on unmounting, nobody sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from osscluster.api.objects import Api, WatchEvent
from osscluster.csi.rpc import CsiNode
from osscluster.host import NodeHost
from osscluster.kubelet.podworker import PodWorker
from osscluster.kubelet.profile import KubernetesProfile
from osscluster.kubelet.volumes import VolumeManager
from osscluster.nodespec import NodeSpec
from osscluster.program import Programs
from osscluster.timeline import Steps, Timeline, Wait

_HOUSEKEEPING_SECONDS = 2.0

__all__ = ["Kubelet"]


class Kubelet:
    """driver, programs: functions, because both change when the CSI driver is upgraded. cost: simulated seconds that
    the cloud's requests have taken so far. address: of the node; plugin: the container whose running registers the
    CSI driver here, "" for a driver that always is."""

    def __init__(
        self,
        node: NodeSpec,
        *,
        api: Api,
        host: NodeHost,
        driver: Callable[[], CsiNode],
        programs: Callable[[], Programs],
        timeline: Timeline,
        profile: KubernetesProfile,
        cost: Callable[[], float],
        attach_required: Callable[[], bool],
        container_driver: Literal["process", "docker"] = "process",
        address: str = "",
        plugin: str = "",
    ) -> None:
        self.node = node
        self.api = api
        self.host = host
        self.programs = programs
        self.timeline = timeline
        self.profile = profile
        self.container_driver = container_driver
        self.address = address
        self._plugin = plugin
        self.lines: list[tuple[float, str]] = []
        self.volumes = VolumeManager(
            node=node.name,
            api=api,
            host=host,
            driver=driver,
            timeline=timeline,
            profile=profile,
            cost=cost,
            log=self.log,
            attach_required=attach_required,
            registered=self._registered,
        )
        self._workers: dict[str, PodWorker] = {}
        self._end_watch = api.watch(self._heard)

    def log(self, text: str) -> None:
        """A line of kubelet's log (journalctl -u kubelet)."""
        self.lines.append((self.timeline.now(), text))

    def api_time(self) -> str:
        """Now, as the API writes it."""
        return datetime.fromtimestamp(int(self.timeline.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """The youngest one of a Pod of that name."""
        found = [w for w in self._workers.values() if (w.reference.namespace, w.reference.name) == (namespace, name)]
        return found[-1] if found else None

    def workers(self) -> list[PodWorker]:
        """All that are not gone, also those whose Pod was removed by force."""
        return list(self._workers.values())

    def uses(self, handle: str) -> bool:
        """Whether a volume is mounted here or about to be."""
        return handle in self.volumes.in_use()

    def pod_gone(self, worker: PodWorker) -> None:
        """Told by the worker when nothing of the Pod is left."""
        worker.ended = True
        del self._workers[worker.uid]
        current = self.api.find("Pod", worker.reference.name, worker.reference.namespace)
        if current is not None and current["metadata"]["uid"] == worker.uid:
            self.api.remove("Pod", worker.reference.name, worker.reference.namespace)

    def restart(self) -> None:
        """The kubelet process ends and another one starts: containers and mounts stay. It sets up the volumes of its
        Pods once more; a Pod that was removed from the API by force meanwhile is an orphan, said every two seconds
        (its housekeeping) for as long as its volumes are there, and they go on being unmounted."""
        for worker in self.workers():
            current = self.api.find("Pod", worker.reference.name, worker.reference.namespace)
            if current is None or current["metadata"]["uid"] != worker.uid:
                self.timeline.spawn(f"orphan {worker.uid}", self._orphan(worker))
            elif not worker.deleted:
                worker.mount_again()

    def _orphan(self, worker: PodWorker) -> Steps[None]:
        while self.volumes.paths(worker.uid):
            self.log(
                f'orphaned pod "{worker.uid}" found, but volume paths are still present on disk : There were a total '
                "of 1 errors similar to this. Turn up verbosity to see them."
            )
            yield Wait(lambda: worker.ended, _HOUSEKEEPING_SECONDS)

    def _registered(self) -> bool:
        return not self._plugin or any(worker.runs(self._plugin) for worker in self.workers())

    def close(self) -> None:
        """Hears of nothing any more."""
        self._end_watch()

    def _heard(self, event: WatchEvent) -> None:
        pod = event.object
        if pod["kind"] != "Pod" or pod["spec"].get("nodeName") != self.node.name:
            return
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        gone = event.type == "DELETED" or "deletionTimestamp" in pod["metadata"]
        if worker is not None:
            worker.deleted = worker.deleted or gone
        elif not gone:
            worker = self._workers[uid] = PodWorker(self, pod)
            self.timeline.spawn(f"pod {pod['metadata']['name']}", worker.run())
