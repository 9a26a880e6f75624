"""`ossvol repro`: a user's own manifests in, what he would see out.

The manifests are applied to a cluster of the version asked for, over buckets that hold what a description says. Then
every container with an OSS volume lists, reads and writes there; whatever it can't do is shown with its errno and the
requests behind it. What is not modelled is said, never guessed. The runner's thread.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osscluster.api.objects import ApiError
from osscluster.csi.naming import DRIVER
from osscluster.volume import Syscalls, errno_name
from ossvol.claims import access_keys, bucket_names
from ossvol.errors import UsageError
from ossvol.observation import request_line

if TYPE_CHECKING:
    from osscluster.api.objects import KubeObject
    from ossvol.environment import Environment

__all__ = ["Access", "ContainerReport", "Report", "reproduce"]

_ENTRIES_SHOWN = 20
_FILES_READ = 3
_REQUESTS_SHOWN = 5
_LOG_LINES = 10
_PROBE = ".ossvol-repro"


@dataclass(frozen=True, slots=True)
class Access:
    """What came of one attempt. errno: "" where it worked; requests: the last ones behind a failure."""

    what: str
    path: str
    errno: str = ""
    detail: str = ""
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """A container and what it can do below one mount path. uid, gid: of its process."""

    pod: str
    container: str
    uid: int
    gid: int
    path: str
    entries: tuple[str, ...]
    attempts: tuple[Access, ...]


@dataclass(slots=True)
class Report:
    """The outcome. refused: what the API server said, "" where it took everything; pods: name to what `kubectl get
    pod` shows; events: one line each; mounts: lines of the nodes' mount tables; logs: of FUSE Pods."""

    csi: str
    kubernetes: str
    ossfs: str
    warnings: list[str] = field(default_factory=list)
    refused: str = ""
    pods: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    containers: list[ContainerReport] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Every Pod runs, and its containers can do everything."""
        fine = all(not attempt.errno for report in self.containers for attempt in report.attempts)
        return not self.refused and fine and all(shown == "Running" for shown in self.pods.values())

    def as_json(self) -> str:
        """One object, version 1."""
        return json.dumps({"version": 1, "well": self.well, **asdict(self)}, ensure_ascii=False)

    def as_text(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"CSI {self.csi} (ossfs {self.ossfs}), Kubernetes {self.kubernetes}"
        yield from (f"warning: {warning}" for warning in self.warnings)
        if self.refused:
            yield f"The API server refuses the manifests: {self.refused}"
            return
        sections: Sequence[tuple[str, Sequence[str]]] = (
            ("Pods", [f"{name:40} {shown}" for name, shown in self.pods.items()]),
            ("Events", self.events),
            ("Mounts", self.mounts),
            *((f"Log of {name}", text.splitlines()[-_LOG_LINES:]) for name, text in self.logs.items()),
        )
        for title, lines in sections:
            if lines:
                yield ""
                yield title
                yield from (f"  {line}" for line in lines)
        for report in self.containers:
            yield ""
            yield f"{report.pod}/{report.container} (uid {report.uid}, gid {report.gid}) at {report.path}"
            for attempt in report.attempts:
                answer = attempt.errno or attempt.detail or "yes"
                yield f"  {attempt.what:6} {attempt.path:40} {answer}"
                yield from (f"         {line}" for line in attempt.requests)


def reproduce(
    files: Sequence[Path],
    *,
    given: Path | None,
    via: Literal["kernel", "direct"],
    csi: str = "",
    kubernetes: str = "",
    ossfs: str = "",
    snapshot: Path | None = None,
    seconds: float = 300.0,
) -> Report:
    """Runs the manifests. given: a file with what a scenario has under `given`, or with the list of objects alone;
    snapshot: a file of `ossvol snapshot save`, what the buckets hold; seconds: of virtual time to wait for the Pods.
    Raises UsageError, ScenarioErrors for files that are wrong, EnvironmentMissing."""
    from osscluster.engine import make_engine
    from osscluster.kubelet import profile as kubernetes_releases
    from ossvol.environment import Environment
    from ossvol.manifest_files import load_manifests

    manifests = load_manifests(files)
    objects = [manifest.object for manifest in manifests.objects]
    warnings = [str(warning) for warning in manifests.warnings]
    buckets = bucket_names(objects)
    if not buckets:
        raise UsageError(
            f"{', '.join(map(str, files))}: no PersistentVolume or StorageClass of {DRIVER} names a bucket"
        )
    if kubernetes:
        try:
            kubernetes_releases.find(kubernetes)
        except ValueError as error:
            raise UsageError(f"--kubernetes: {error}") from error
    description = _given(given, buckets, objects, csi=csi, kubernetes=kubernetes)
    with (
        closing(make_engine(via, ossfs=ossfs or None)) as engine,
        closing(Environment(engine, description, "", directory=Path(), snapshot=snapshot)) as env,
    ):
        for name in set(buckets) - set(env.cloud.admin.buckets()):
            env.cloud.admin.create_bucket(name)
        return _observe(env, objects, warnings, seconds)


def _given(
    file: Path | None, buckets: Sequence[str], objects: Sequence[KubeObject], *, csi: str, kubernetes: str
) -> Any:
    from ossvol.scenario.loader import load_given
    from ossvol.scenario.model import Given

    given = load_given(file) if file is not None else Given()
    update: dict[str, Any] = {}
    if "bucket" not in given.model_fields_set or "name" not in given.bucket.model_fields_set:
        update["bucket"] = given.bucket.model_copy(update={"name": buckets[0]})
    elif given.bucket.name not in buckets:
        raise UsageError(f"{file}: bucket {given.bucket.name!r} is none of the manifests' ({', '.join(buckets)})")
    cluster = {name: value for name, value in (("csi", csi), ("kubernetes", kubernetes)) if value}
    if given.cluster is None or cluster:
        from ossvol.scenario.model import ClusterGiven

        update["cluster"] = (given.cluster or ClusterGiven()).model_copy(update=cluster)
    if given.credentials.id is None and (found := next(access_keys(objects), None)):
        update["credentials"] = given.credentials.model_copy(update={"id": found[0], "access_key_secret": found[1]})
    return given.model_copy(update=update)


def _observe(env: Environment, objects: Sequence[KubeObject], warnings: list[str], seconds: float) -> Report:
    cluster = env.in_cluster.cluster
    report = Report(cluster.driver.profile.name, cluster.profile.name, cluster.driver.profile.ossfs, warnings)
    try:
        cluster.apply(objects)
    except ApiError as refusal:
        report.refused = str(refusal)
        return report
    cluster.wait(lambda: bool(pods := _pods(env)) and all(_shown(pod) == "Running" for pod in pods), seconds)
    for pod in _pods(env):
        report.pods[_name(pod)] = _shown(pod)
        report.containers += _containers(env, pod)
    report.events += _warnings(cluster.events())
    for node in cluster.nodes.values():
        report.mounts += [f"{node.spec.name}: {line}" for line in node.host.mounts() if "ossfs" in line.fstype]
    for pod in cluster.api.list("Pod"):
        if pod["metadata"]["name"].startswith("csi-fuse-") and (text := env.in_cluster.log(_name(pod))):
            report.logs[_name(pod)] = text
    return report


def _warnings(events: Sequence[KubeObject]) -> Iterator[str]:
    """One line a reason of an object, with its last message: most come again and again."""
    last: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event["type"] == "Warning":
            named = event["involvedObject"]
            what = (f"{named['kind'].lower()}/{named['name']}", event["reason"])
            counts[what] += event.get("count", 1)
            last[what] = event["message"].removeprefix("(combined from similar events): ")
    for (about, reason), message in last.items():
        times = f" (x{counts[about, reason]})" if counts[about, reason] > 1 else ""
        yield f"{about}: {reason}{times}: {message}"


def _pods(env: Environment) -> list[KubeObject]:
    """Those that the manifests have brought."""
    own = ("kube-system", "ack-csi-fuse")
    return [pod for pod in env.in_cluster.cluster.api.list("Pod") if pod["metadata"]["namespace"] not in own]


def _name(pod: KubeObject) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _shown(pod: KubeObject) -> str:
    from ossvol.cluster_observation import pod_summary

    return pod_summary(pod)


def _containers(env: Environment, pod: KubeObject) -> Iterator[ContainerReport]:
    claimed = {volume["name"] for volume in pod["spec"].get("volumes") or () if volume.get("persistentVolumeClaim")}
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in claimed:
                continue
            metadata = pod["metadata"]
            try:
                process = env.in_cluster.cluster.container(metadata["name"], container["name"], metadata["namespace"])
            except KeyError:
                continue  # it does not run; the Pod's line says why
            yield _look(env, pod, container["name"], mount["mountPath"], process)


def _look(env: Environment, pod: KubeObject, container: str, path: str, process: Syscalls) -> ContainerReport:
    entries: list[str] = []
    attempts: list[Access] = []

    def attempt(what: str, where: str, do: Any) -> None:
        log = env.cloud.access_log
        mark = log.mark()
        try:
            detail = do() or ""
        except OSError as error:
            requests = tuple(request_line(record) for record in log.since(mark)[-_REQUESTS_SHOWN:])
            attempts.append(Access(what, where, errno_name(error.errno or 0), error.strerror or "", requests))
        else:
            attempts.append(Access(what, where, detail=detail))

    def listing() -> str:
        entries.extend(sorted(entry.name for entry in process.listdir(path)))
        return f"{len(entries)} entries"

    attempt("list", path, listing)
    for name in entries[:_FILES_READ]:
        attempt("read", f"{path}/{name}", lambda name=name: _read(process, f"{path}/{name}"))
    attempt("write", f"{path}/{_PROBE}", lambda: _write(process, f"{path}/{_PROBE}"))
    return ContainerReport(
        _name(pod), container, process.uid, process.gid, path, tuple(entries[:_ENTRIES_SHOWN]), tuple(attempts)
    )


def _read(process: Syscalls, path: str) -> str:
    import os
    import stat

    seen = process.stat(path)
    if stat.S_ISDIR(seen.mode):
        return f"directory, {len(process.listdir(path))} entries, mode {stat.S_IMODE(seen.mode):04o}"
    fd = process.open(path, os.O_RDONLY)
    try:
        process.read(fd, 4096)
    finally:
        process.close(fd)
    return f"{seen.size} bytes, mode {stat.S_IMODE(seen.mode):04o}, {seen.uid}:{seen.gid}"


def _write(process: Syscalls, path: str) -> str:
    import os

    fd = process.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        process.write(fd, b"ossvol\n")
    finally:
        process.close(fd)
    process.unlink(path)
    return ""
