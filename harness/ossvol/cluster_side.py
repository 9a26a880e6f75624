"""A scenario's cluster: what its steps do there, and what can be looked at afterwards.

`Environment` has one where the scenario gives manifests or a cluster. Used from the runner's thread only.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from osscluster.cluster import Cluster, Node
from osscluster.errors import EnvironmentMissing
from osscluster.nodespec import NodeSpec, OssfsInstallation
from osscluster.volume import Syscalls
from ossvol.errors import StepImpossible

if TYPE_CHECKING:
    from osscluster.api.objects import KubeObject
    from osscluster.direct import DirectEngine
    from osscluster.kernel import KernelEngine
    from ossfuse.profile import Fixed
    from ossvol.scenario.model import ClusterGiven, Manifests

__all__ = ["ClusterSide"]


class ClusterSide:
    """directory: of the scenario's file, for manifests that are files. csi: "" for the one that is given;
    fixed: ossfs without its defects."""

    def __init__(
        self,
        engine: KernelEngine | DirectEngine,
        given: ClusterGiven,
        *,
        directory: Path,
        csi: str = "",
        fixed: Fixed = False,
    ) -> None:
        nodes = [
            NodeSpec(
                name=node.name,
                region=node.region,
                internet=node.internet,
                metadata=node.metadata,
                mime_types=node.mime_types,
                mlocate=node.mlocate,
                os=node.os,
                ossfs=OssfsInstallation(node.ossfs),
            )
            for node in given.nodes
        ]
        self.cluster = Cluster(
            engine,
            csi=csi or given.csi,
            kubernetes_version=given.kubernetes,
            nodes=nodes,
            container_driver=given.containers,
            fixed=fixed,
        )
        if given.rrsa:
            self._enable_rrsa()
        self._directory = directory
        self._processes: dict[tuple[str, str], Any] = {}

    def _enable_rrsa(self) -> None:
        from osscloud.oidc import MissingDependency

        try:
            self.cluster.enable_rrsa()
        except MissingDependency as missing:
            self.close()
            reason, _, remedy = str(missing).partition(": ")
            raise EnvironmentMissing(reason, remedy) from missing

    def close(self) -> None:
        """Ends the cluster; safe to call twice."""
        self.cluster.close()

    # --- what steps do ---

    def objects(self, manifests: Manifests) -> list[KubeObject]:
        """Raises ApiError (with what the API server says) or StepImpossible for a file that can't be read."""
        from osscluster.api.manifests import read
        from osscluster.api.objects import ApiError

        if isinstance(manifests, list):
            return [dict(thing) for thing in manifests]
        text, name = manifests, "manifests"
        if "\n" not in manifests.strip() and manifests.strip().endswith((".yaml", ".yml")):
            path = self._directory / manifests.strip()
            name = str(path)
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                raise StepImpossible(f"{path}: {error.strerror}") from error
        found = read(text, name)
        if found.errors:
            raise ApiError("BadRequest", 400, "; ".join(problem.message for problem in found.errors))
        return [manifest.object for manifest in found.objects]

    def kind(self, word: str) -> str:
        """The kind that kubectl means by a word ("pod", "pods", "po", "Pod"). Raises StepImpossible."""
        from osscluster.api.kinds import KINDS

        for kind in KINDS.values():
            if word.lower() in {kind.name.lower(), kind.plural, *kind.short}:
                return kind.name
        raise StepImpossible(f'the server doesn\'t have a resource type "{word}"')

    def syscalls(self, who: str, pod: str | None) -> Syscalls:
        """The process that a step means: a Pod's container ("app", "app/side"), or root on a node ("node",
        "node:NAME"). pod: paths are then below the volume of that Pod, as the node sees it."""
        if who == "node" or who.startswith("node:"):
            node = self._node_of(who, pod)
            process = self._processes.get((node.spec.name, "node"))
            if process is None or not process.alive():
                process = self._processes[node.spec.name, "node"] = node.host.start_process("bash")
            self.cluster.timeline.synchronise()
            return cast(Syscalls, _Below(process, self.volume_path(pod)) if pod else process)
        name, _, container = who.partition("/")
        namespace, name = _split(name)
        try:
            process = self.cluster.container(name, container, namespace)
        except KeyError as error:
            raise StepImpossible(str(error.args[0])) from error
        return cast(Syscalls, process)

    def volume_path(self, pod: str) -> str:
        """Node path of the first OSS volume of a Pod."""
        node, worker = self._worker(pod)
        paths = node.kubelet.volumes.paths(worker.uid)
        if not paths:
            raise StepImpossible(f"Pod {pod} has no OSS volume that is mounted")
        return paths[0]

    def kill_ossfs(self, pod: str) -> None:
        """SIGKILL to the ossfs process that serves the first OSS volume of a Pod."""
        node, _ = self._worker(pod)
        source = self.volume_path(pod)
        process = node.host.ossfs_at(source)
        if process is not None and process.alive():
            process.kill()
            self.cluster.timeline.settle()
            return
        raise StepImpossible(f"no ossfs process serves {source}")

    def run(self, command: str, node: str | None, pod: str | None) -> tuple[int, str]:
        """Exit code and output of a command on a node; {uid} is that of a Pod."""
        if pod is not None:
            where, worker = self._worker(pod)
            command = command.replace("{uid}", worker.uid)
        else:
            where = self._named(node)
        self.cluster.timeline.synchronise()
        done = where.host.run(command)
        self.cluster.timeline.settle()
        return done.returncode, done.stdout + done.stderr

    def updatedb(self, node: str) -> str:
        """updatedb runs on a node; what came of it."""
        from osscluster import updatedb

        self.cluster.timeline.synchronise()
        done = updatedb.scan(self._named(node).host)
        return "\n".join(
            [
                f"{done.entries} names",
                *(f"skipped {directory}" for directory in done.skipped),
                *(f"refused {directory}" for directory in done.refused),
            ]
        )

    def check(self, volume: str, node: str | None) -> tuple[int, str]:
        """The console's check of a PersistentVolume; its exit code and log. Raises ApiError where there is none,
        StepImpossible where it is none to check."""
        import base64

        from osscluster import consolecheck

        api, cloud = self.cluster.api, self.cluster.engine.cloud
        found = api.get("PersistentVolume", volume)
        try:
            named = consolecheck.secret_of(found)
            data = api.get("Secret", named[1], named[0]).get("data", {}) if named else {}
            secret = {name: base64.b64decode(value).decode() for name, value in data.items()}
            access = consolecheck.read_volume(found, secret)
        except consolecheck.NotCheckable as error:
            raise StepImpossible(f"PersistentVolume {volume}: {error}") from error
        self.cluster.timeline.synchronise()
        outcome = consolecheck.check(access, cloud.service.handle, node=self._named(node).spec, now=cloud.clock.now())
        return (0 if outcome.passed else 1), "\n".join(outcome.lines)

    def install(self, what: str, node: str | None) -> None:
        """What an administrator does with ossfs on a node."""
        installation = self.cluster.driver.installation(self._named(node).spec.name)
        if what == "ossfs":
            installation.install()
        else:
            installation.add_library()

    # --- what can be seen ---

    def pod(self, name: str) -> KubeObject | None:
        """By name or "namespace/name"; the first one of a workload of that name."""
        namespace, called = _split(name)
        return self.cluster.pod(called, namespace)

    def log(self, name: str) -> str:
        """kubelet's ("kubelet", all nodes), or that of the Pods whose name begins so ("namespace/pod")."""
        if name == "kubelet":
            return "\n".join(text for node in self.cluster.nodes.values() for _, text in node.kubelet.lines)
        namespace, called = _split(name)
        return "\n".join(line.text for line in self.cluster.api.logs.of_pods(namespace, called))

    def _named(self, name: str | None) -> Node:
        if name:
            return self.cluster.nodes[name]
        return next(iter(self.cluster.nodes.values()))

    def _node_of(self, who: str, pod: str | None) -> Node:
        return self._worker(pod)[0] if pod else self._named(who.partition(":")[2])

    def _worker(self, pod: str) -> tuple[Node, Any]:
        namespace, called = _split(pod)
        found = self.cluster.pod(called, namespace)
        name = found["metadata"]["name"] if found is not None else called
        for node in self.cluster.nodes.values():
            worker = node.kubelet.worker(namespace, name)
            if worker is not None:
                return node, worker
        raise StepImpossible(f"Pod {pod} is on no node")


def _split(name: str) -> tuple[str, str]:
    namespace, slash, called = name.rpartition("/")
    return (namespace, called) if slash else ("default", called)


class _Below:
    """System calls with paths below a directory. Descriptors pass through."""

    _TWO_PATHS = frozenset({"rename", "link"})

    def __init__(self, process: Syscalls, directory: str) -> None:
        self._process = process
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._process, name)
        if not callable(found):
            return found
        return lambda *arguments, **named: found(*self._placed(name, arguments), **named)

    def _placed(self, name: str, arguments: Sequence[Any]) -> Sequence[Any]:
        places = {0, 1} if name in self._TWO_PATHS else {1} if name == "symlink" else {0}
        return [
            posixpath.join(self._directory, value) if index in places and isinstance(value, str) else value
            for index, value in enumerate(arguments)
        ]
