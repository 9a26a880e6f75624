"""One Pod on its node: volumes, then containers, then, when it is deleted, both in reverse.

A job on the timeline. What it finds goes into the Pod's status and events, as kubelet words them
(pkg/kubelet/kubelet.go SyncPod, SyncTerminatingPod; pkg/kubelet/kuberuntime).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osscluster.api.objects import KubeObject, ObjectReference
from osscluster.host import Container, ContainerMount, ContainerSpec, NodeHost
from osscluster.kubelet.podvolumes import environment_of, other_volume_path
from osscluster.kubelet.subpath import SubPath, expand
from osscluster.kubelet.trouble import ContainerTrouble, VolumeTrouble
from osscluster.kubelet.volumes import ClaimedVolume, claimed_volumes, pod_directory
from osscluster.program import RunningProgram
from osscluster.timeline import Job, Steps, Wait

if TYPE_CHECKING:
    from osscluster.kubelet.kubelet import Kubelet

__all__ = ["PodWorker"]

_FIRST_RETRY, _LAST_RETRY = 0.5, 122.0
_SYNC_SECONDS = 14.0  # how often a container that can't be configured is tried again: "x8 over 97s"
_MOUNT_SECONDS = 123.0
_RESTART_FIRST, _RESTART_LAST = 10.0, 300.0


@dataclass(slots=True)
class _Running:
    """A container: an application's process, or a program. restarts: how often it has been started again."""

    application: Container | None = None
    program: RunningProgram | None = None
    restarts: int = 0
    exit_code: int | None = None

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        if self.program is not None:
            return self.program.exit_code()
        return None if self.application is not None and self.application.alive() else 137

    def ready(self) -> bool:
        return self.program.ready() if self.program is not None else True


class PodWorker:
    """uid, reference: of the Pod. `deleted` is told by kubelet; everything else the worker finds out itself."""

    def __init__(self, kubelet: Kubelet, pod: KubeObject) -> None:
        self.kubelet = kubelet
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.reference = ObjectReference("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.deleted = False
        self.ended = False
        self._running: dict[str, _Running] = {}
        self._restart: set[str] = set()
        self._shown: object = None

    def container(self, name: str = "") -> Container:
        """The process of an application's container, the only one for "". Raises KeyError for one that does not run."""
        running = self._running[name] if name else next(iter(self._running.values()))
        if running.application is None:
            raise KeyError(name or self.reference.name)
        return running.application

    def runs(self, name: str) -> bool:
        """Whether a container of that name runs."""
        running = self._running.get(name)
        return running is not None and running.ended() is None

    def restart(self, name: str) -> None:
        """The container dies and is started again, as after a failed liveness probe."""
        self._restart.add(name)

    def run(self) -> Steps[None]:
        """From the Pod's arrival on the node to its end."""
        self._status("Pending", waiting="ContainerCreating")
        if (yield from self._mount_all()):
            yield from self._run_containers()
        if not self.deleted:
            # Every container has ended for good: the volumes go, the Pod stays to be looked at.
            yield from self._unmount_all()
            yield Wait(lambda: self.deleted)
        yield from self._end_containers()
        yield from self._unmount_all()
        self.kubelet.pod_gone(self)

    def mount_again(self) -> None:
        """kubelet has started anew: each volume is set up once more, while the containers run on."""
        self.kubelet.volumes.forget(self.uid)
        for volume in claimed_volumes(self.pod):
            self.kubelet.timeline.spawn(f"mount {volume.name} again", self._mount(volume))

    # --- volumes ---

    def _mount_all(self) -> Steps[bool]:
        """False when the Pod was deleted before everything was there."""
        volumes = list(claimed_volumes(self.pod))
        jobs = {v.name: self.kubelet.timeline.spawn(f"mount {v.name}", self._mount(v)) for v in volumes}

        def all_done() -> bool:
            return self.deleted or all(job.done for job in jobs.values())

        while not (yield Wait(all_done, _MOUNT_SECONDS)):
            self._mount_timeout(jobs)
            yield Wait(lambda: self.deleted, _SYNC_SECONDS)
        # A mount under way is finished before anything is taken away again.
        yield Wait(lambda: all(job.done for job in jobs.values()))
        return not self.deleted

    def _mount(self, volume: ClaimedVolume) -> Steps[None]:
        delay = _FIRST_RETRY
        while not self.deleted:
            try:
                yield from self.kubelet.volumes.mount(self.pod, volume, lambda: self.deleted)
            except VolumeTrouble as trouble:
                self._event("Warning", "FailedMount", str(trouble))
            else:
                return
            yield Wait(lambda: self.deleted, delay)
            delay = min(delay * 2, _LAST_RETRY)

    def _mount_timeout(self, jobs: Mapping[str, Job[None]]) -> None:
        missing = " ".join(name for name, job in jobs.items() if not job.done)
        everything = " ".join(volume["name"] for volume in self.pod["spec"].get("volumes") or ())
        text = f"unmounted volumes=[{missing}], " + self.kubelet.profile.timeout_text.format(everything)
        if self.kubelet.profile.timeout_event:
            self._event("Warning", "FailedMount", f"Unable to attach or mount volumes: {text}")
        else:
            pod = f'pod="{self.reference.namespace}/{self.reference.name}" podUID="{self.uid}"'
            self.kubelet.log(f'"Error syncing pod, skipping" err="{text}" {pod}')

    def _unmount_all(self) -> Steps[None]:
        for volume in claimed_volumes(self.pod):
            delay = _FIRST_RETRY
            while not (yield from self.kubelet.volumes.unmount(self.pod, volume.name)):
                # A node's administrator may clear the way at any time; kubelet notices at its next try.
                yield Wait(seconds=delay)
                delay = min(delay * 2, _LAST_RETRY)

    # --- containers ---

    def _run_containers(self) -> Steps[None]:
        containers = self.pod["spec"]["containers"]
        jobs = [self.kubelet.timeline.spawn(f"container {c['name']}", self._keep(c)) for c in containers]
        yield Wait(lambda: all(job.done for job in jobs))

    def _keep(self, container: KubeObject) -> Steps[None]:
        """One container: started, watched, started again as the restart policy says; ends with the Pod."""
        name = container["name"]
        restarts, delay = 0, 0.0
        while not self.deleted:
            try:
                running = self._start(container, restarts)
            except ContainerTrouble as trouble:
                self._event("Warning", "Failed", f"Error: {trouble}")
                if trouble.detail:
                    self.kubelet.log(f"{self.reference.namespace}/{self.reference.name}: {trouble.detail}")
                self._status("Pending", waiting=trouble.reason, message=str(trouble))
                yield Wait(lambda: self.deleted, _SYNC_SECONDS)
                continue
            running.restarts = restarts
            self._running[name] = running
            self._event("Normal", "Created", self.kubelet.profile.created_text.format(name))
            self._event("Normal", "Started", f"Started container {name}")
            self._status("Running")
            ended = yield from self._watch(name, running)
            if self.deleted or ended is None:
                return
            if not self._starts_again(ended):
                self._status("Running")
                return
            restarts += 1
            self._status("Running", waiting="CrashLoopBackOff" if delay else "")
            yield Wait(lambda: self.deleted, 0.0 if name in self._restart else delay)
            self._restart.discard(name)
            delay = min(max(delay * 2, _RESTART_FIRST), _RESTART_LAST)

    def _watch(self, name: str, running: _Running) -> Steps[int | None]:
        """Until it ends or the Pod is deleted; its exit code."""
        while True:
            was = running.ready()

            def something(was: bool = was) -> bool:
                asked = self.deleted or name in self._restart
                return asked or running.ended() is not None or running.ready() is not was

            yield Wait(something)
            if self.deleted:
                return None
            if name in self._restart and running.ended() is None:
                text = f"Container {name} failed liveness probe, will be restarted"
                self._event("Normal", "Killing", text)
                _end(running)
                running.exit_code = 137
                return 137
            running.exit_code = running.ended()
            if running.exit_code is not None:
                return running.exit_code
            self._status("Running")

    def _starts_again(self, code: int) -> bool:
        policy = self.pod["spec"].get("restartPolicy") or "Always"
        return policy == "Always" or (policy == "OnFailure" and code != 0)

    def _start(self, container: KubeObject, attempt: int) -> _Running:
        kubelet = self.kubelet
        kubelet.timeline.synchronise()
        program = kubelet.programs().find(container.get("image") or "")
        try:
            if program is not None:
                for volume in self.pod["spec"].get("volumes") or ():
                    _look_at_host_path(kubelet.host, volume.get("hostPath") or {})
                return _Running(program=program(kubelet.host, self.pod, container))
            spec = self._container_spec(container)
            return _Running(application=kubelet.host.start_container(spec, driver=kubelet.container_driver))
        except OSError as error:
            called = hashlib.sha256(f"{self.uid} {container['name']} {attempt}".encode()).hexdigest()
            raise _runtime_trouble(container, called, error) from error

    def _container_spec(self, container: KubeObject) -> ContainerSpec:
        pod_context = self.pod["spec"].get("securityContext") or {}
        context = {**pod_context, **(container.get("securityContext") or {})}
        groups = list(pod_context.get("supplementalGroups") or ())
        if "fsGroup" in pod_context:
            groups.append(pod_context["fsGroup"])
        environment = environment_of(self.kubelet.api, self.pod, container)
        return ContainerSpec(
            name=container["name"],
            uid=context.get("runAsUser") or 0,
            gid=context.get("runAsGroup") or 0,
            groups=tuple(groups),
            mounts=tuple(self._mounts(container, environment)),
            environment=environment,
            working_dir=container.get("workingDir") or "/",
        )

    def _mounts(self, container: KubeObject, environment: Mapping[str, str]) -> Iterator[ContainerMount]:
        volumes = {volume["name"]: volume for volume in self.pod["spec"].get("volumes") or ()}
        for index, mount in enumerate(container.get("volumeMounts") or ()):
            name, read_only = mount["name"], bool(mount.get("readOnly"))
            if claim := volumes[name].get("persistentVolumeClaim"):
                read_only = read_only or bool(claim.get("readOnly"))
                source = self.kubelet.volumes.path(self.uid, name)
                inner = self.kubelet.volumes.volume_name(self.uid, name)
            else:
                source = other_volume_path(self.kubelet.api, self.kubelet.host, self.pod, volumes[name])
                inner = name
            relative = mount.get("subPath") or expand(mount.get("subPathExpr") or "", environment)
            if relative:
                target = f"{pod_directory(self.uid)}/volume-subpaths/{inner}/{container['name']}/{index}"
                source = SubPath(self.kubelet.host, source, relative, target, name, container["name"]).prepare()
            yield ContainerMount(source, mount["mountPath"], read_only)

    def _end_containers(self) -> Steps[None]:
        self._status(None)
        for name, running in self._running.items():
            self._event("Normal", "Killing", f"Stopping container {name}")
            if running.application is not None:
                running.application.end()
            elif running.program is not None and running.program.exit_code() is None:
                running.program.terminate()
        grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        programs = [running.program for running in self._running.values() if running.program is not None]
        held = yield Wait(lambda: all(program.exit_code() is not None for program in programs), float(grace))
        if not held:
            for program in programs:
                program.kill()

    # --- what a user sees ---

    def _event(self, type: str, reason: str, message: str) -> None:
        kind: Any = type
        self.kubelet.api.event(self.reference, kind, reason, message, component="kubelet", host=self.kubelet.node.name)

    def _status(self, phase: str | None, *, waiting: str = "", message: str = "") -> None:
        """Writes the Pod's status where it differs from the last one. phase: None leaves it."""
        current = self.kubelet.api.find("Pod", self.reference.name, self.reference.namespace)
        if current is None or current["metadata"]["uid"] != self.uid:
            return
        status = current.setdefault("status", {})
        if phase is not None:
            status["phase"] = self._phase(phase)
        statuses = [self._container_status(c, waiting, message) for c in self.pod["spec"]["containers"]]
        ready = bool(statuses) and all(entry["ready"] for entry in statuses)
        status["containerStatuses"] = statuses
        status["hostIP"] = self.kubelet.address
        status.setdefault("startTime", self.kubelet.api_time())
        status["conditions"] = [
            {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": str(ready)},
            {"type": "ContainersReady", "status": str(ready)},
            {"type": "PodScheduled", "status": "True"},
        ]
        if status != self._shown:
            self._shown = self.kubelet.api.update_status(current)["status"]

    def _phase(self, phase: str) -> str:
        """Running once every container has been started; Succeeded or Failed when all have ended for good."""
        running = [self._running.get(container["name"]) for container in self.pod["spec"]["containers"]]
        if phase != "Running" or any(one is None for one in running):
            return "Pending"
        codes = [one.exit_code if one.exit_code is not None else one.ended() for one in running if one is not None]
        if any(code is None or self._starts_again(code) for code in codes):
            return "Running"
        return "Failed" if any(codes) else "Succeeded"

    def _container_status(self, container: KubeObject, waiting: str, message: str) -> dict[str, object]:
        running = self._running.get(container["name"])
        code = running.ended() if running is not None else None
        state: dict[str, object]
        if running is not None and code is None and running.exit_code is None:
            state = {"running": {"startedAt": self.kubelet.api_time()}}
        elif running is not None and not waiting:
            ended = running.exit_code if running.exit_code is not None else code
            state = {"terminated": {"exitCode": ended, "reason": "Completed" if ended == 0 else "Error"}}
        else:
            state = {"waiting": {"reason": waiting or "ContainerCreating", **({"message": message} if message else {})}}
        runs = "running" in state and running is not None
        return {
            "name": container["name"],
            "image": container.get("image") or "",
            "ready": runs and running is not None and running.ready() and not self.deleted,
            "started": runs,
            "restartCount": running.restarts if running is not None else 0,
            "state": state,
        }


def _end(running: _Running) -> None:
    if running.application is not None:
        running.application.end()
    elif running.program is not None:
        running.program.kill()


def _look_at_host_path(host: NodeHost, volume: Mapping[str, str]) -> None:
    """Makes the directory where the type says so; raises OSError for one that is not there or does not answer."""
    path = volume.get("path")
    if not path:
        return
    try:
        host.root.stat(path)
    except FileNotFoundError:
        if volume.get("type") != "DirectoryOrCreate":
            raise
        host.makedirs(path, 0o755)


def _runtime_trouble(container: KubeObject, called: str, error: OSError) -> ContainerTrouble:
    """What containerd says of what the system call said. called: the container's id."""
    path, said = error.filename or "", os.strerror(error.errno or 0).lower()
    working_dir = container.get("workingDir")
    if error.errno == errno.EACCES and working_dir and path == working_dir:
        return ContainerTrouble(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
            f'failed: unable to start container process: chdir to cwd ("{path}") set in config.json failed: {said}: '
            "unknown",
        )
    return ContainerTrouble(
        "CreateContainerError",
        f'failed to generate container "{called}" spec: failed to generate spec: failed to stat "{path}": '
        f"stat {path}: {said}",
    )
