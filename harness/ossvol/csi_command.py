"""`ossvol csi`: the OSS CSI driver at a socket, with a node and a cloud of its own, until a signal ends it.

Paths of the calls are the node's own: with the kernel engine its root is a directory of this machine, which the first
lines name. Time is the machine's.
"""

from __future__ import annotations

import json as json_module
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from osscloud.addressing import valid_bucket_name
from osscluster.cluster import DEFAULT_CSI, Cluster
from osscluster.csi.grpcserver import CsiServer
from osscluster.csi.wallclock import Clockwork
from osscluster.engine import KernelEngine, make_engine
from osscluster.kernelhost import KernelHost
from osscluster.nodespec import NodeSpec
from ossvol.errors import UsageError
from ossvol.serve import SIGNALS, signals_waited_for

__all__ = ["serve_driver"]

_LONGEST_PATH = 107  # sun_path, without its final 0
_MINUTE = 60.0


def serve_driver(
    endpoint: str,
    *,
    version: str = "",
    via: Literal["kernel", "direct"] = "direct",
    node: str = "node-1",
    buckets: Sequence[str] = (),
    strict: bool = False,
    json: bool = False,
) -> None:
    """Serves until SIGINT or SIGTERM. endpoint: "unix:///PATH"; an old socket there is replaced, one that is listened
    on is not. json: one line with "endpoint", "cloud" (None where only this process reaches it), "access_key_id",
    "access_key_secret", "node_root" (likewise) and "pid".

    Raises UsageError (endpoint, bucket name), EnvironmentMissing (engine, grpcio)."""
    path = _socket_path(endpoint)
    for name in buckets:
        if not valid_bucket_name(name):
            raise UsageError(f"{name!r} is no bucket name: 3 to 63 of a-z, 0-9 and -, no - at either end")
    with ExitStack() as stack:
        engine = make_engine(via)
        stack.callback(engine.close)
        for name in dict.fromkeys(buckets):
            engine.cloud.admin.create_bucket(name)
        cluster = Cluster(
            engine,
            csi=version or DEFAULT_CSI,
            nodes=[NodeSpec(node)],
            # The clocks of real processes follow the machine's by themselves.
            move=_stand_still if isinstance(engine, KernelEngine) else engine.advance,
        )
        stack.callback(cluster.close)
        stack.enter_context(signals_waited_for())
        clockwork = Clockwork(cluster.timeline)
        stack.callback(clockwork.close)
        served = cluster.nodes[node]
        try:
            server = CsiServer(
                f"unix:{path}",
                profile=cluster.driver.profile,
                controller=cluster.driver.controller,
                node=cluster.driver.node(served.spec, served.host),
                node_id=node,
                clockwork=clockwork,
                strict=strict,
            )
        except OSError as error:
            raise UsageError(f"--endpoint: {error}") from error
        stack.callback(path.unlink, missing_ok=True)
        stack.callback(server.close)
        host = served.host
        facts: dict[str, Any] = {
            "endpoint": f"unix://{path}",
            "cloud": engine.cloud.endpoint if isinstance(engine, KernelEngine) else None,
            "access_key_id": engine.cloud.key.id,
            "access_key_secret": engine.cloud.key.secret,
            "node_root": host.machine_path("/") if isinstance(host, KernelHost) else None,
            "pid": os.getpid(),
        }
        print(json_module.dumps(facts) if json else _for_people(cluster.driver.profile.name, facts), flush=True)
        while signal.sigtimedwait(SIGNALS, _MINUTE) is None:
            pass


def _stand_still(seconds: float) -> None:
    del seconds


def _socket_path(endpoint: str) -> Path:
    scheme, _, rest = endpoint.partition(":")
    path = Path("/" + rest.lstrip("/"))
    if scheme != "unix" or not rest.startswith("/") or path == Path("/"):
        raise UsageError(f"--endpoint: {endpoint!r} is no CSI endpoint here: write unix:///PATH")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise UsageError(f"--endpoint: a socket's path has at most {_LONGEST_PATH} bytes")
    if not path.parent.is_dir():
        raise UsageError(f"--endpoint: there is no directory {path.parent}")
    if path.exists() and not path.is_socket():
        raise UsageError(f"--endpoint: {path} exists and is no socket")
    if path.exists():
        with socket.socket(socket.AF_UNIX) as known:
            try:
                known.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise UsageError(f"--endpoint: somebody listens on {path} already")
    return path


def _for_people(version: str, facts: dict[str, Any]) -> str:
    return f"""\
ossvol: the OSS CSI driver v{version} listens on {facts["endpoint"]} (Ctrl-C ends it)

  endpoint           {facts["endpoint"]}
  cloud              {facts["cloud"] or "in this process: only volumes reach it"}
  access key id      {facts["access_key_id"]}
  access key secret  {facts["access_key_secret"]}
  node's root        {facts["node_root"] or "a model: paths exist in this process only"}

With csc:
  export CSI_ENDPOINT={facts["endpoint"]} X_CSI_SPEC_REQ_VALIDATION=false
  csc identity plugin-info"""
