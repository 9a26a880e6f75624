"""The OSS CSI driver of one release: its controller, its node plugins, and what runs in its Pods.

`make_driver` is how everybody gets one. Called from the thread that drives the timeline.
"""

from __future__ import annotations

import base64
import contextlib
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from osscloud.oidc import RRSA_AUDIENCE, Issuer
from osscluster import updatedb
from osscluster.api.objects import Api, ApiError, KubeObject
from osscluster.cloud import Cloud
from osscluster.csi import profile as releases
from osscluster.csi.context import Context, NodeState
from osscluster.csi.controller import Controller
from osscluster.csi.installation import Installation
from osscluster.csi.launcher import Command, Launcher, image_mime_types
from osscluster.csi.mountserver import MountRequest, MountServer
from osscluster.csi.noderun import NodeRunPlugin
from osscluster.csi.podnode import PodNodePlugin
from osscluster.csi.profile import Architecture, CsiProfile
from osscluster.csi.programs import FuseOssfs, Plugin
from osscluster.csi.proxynode import ProxyNodePlugin
from osscluster.csi.rpc import CsiNode
from osscluster.csi.rrsa import ServiceAccountToken
from osscluster.host import NodeHost
from osscluster.nodespec import NodeSpec
from osscluster.program import Programs, RunningProgram
from osscluster.timeline import Timeline
from ossfuse.profile import Fixed

__all__ = ["CLUSTER_ID", "Driver", "make_driver"]

CLUSTER_ID = "c0ssv01c1u57e4"
_PLUGINS: Mapping[Architecture, Callable[[Context, NodeState], CsiNode]] = {
    Architecture.NODE_RUN: NodeRunPlugin,
    Architecture.POD_BY_NODE: PodNodePlugin,
    Architecture.POD_BY_CONTROLLER: ProxyNodePlugin,
}


class Driver:
    """One release in one cluster. profile: what it is; controller: `CsiController`; programs: for kubelet."""

    def __init__(self, context: Context, cloud: Cloud, issuer: Callable[[], Issuer]) -> None:
        self.profile: CsiProfile = context.profile
        self._context = context
        self._cloud = cloud
        self._issuer = issuer
        self._plugins: dict[str, CsiNode] = {}
        self._tokens: list[ServiceAccountToken] = []
        self._directory: Path | None = None
        context.config = context.read_config()
        self.controller = Controller(context)
        self.programs = Programs(
            {
                "csi-ossfs": self._start_fuse_pod,
                "csi-plugin": self._start_plugin,
                "csi-provisioner": self._start_provisioner,
            }
        )

    def node(self, spec: NodeSpec, host: NodeHost) -> CsiNode:
        """The node service of a node, the same at every call. The first call is the start of csi-plugin there."""
        known = self._plugins.get(spec.name)
        if known is not None and self._context.nodes[spec.name].host is host:
            return known
        state = NodeState(spec, host, self._context.config)
        self._context.nodes[spec.name] = state
        self._plugins[spec.name] = plugin = _PLUGINS[self.profile.architecture](self._context, state)
        self._set_up(state)
        self._plugin_started(state)
        return plugin

    def restart(self, node: str) -> None:
        """csi-plugin of a node is started again: it reads its ConfigMap, installs ossfs where that belongs on the node,
        and looks after /etc/updatedb.conf. Mounts go on."""
        self._plugin_started(self._context.nodes[node])

    def restart_controller(self) -> None:
        """csi-provisioner is started again: it reads its ConfigMap."""
        self._context.config = self._context.read_config()

    def installation(self, node: str) -> Installation:
        """ossfs on the node itself, for the releases that run it there: what an administrator does with it."""
        state = self._context.nodes[node]
        return Installation(state.spec, state.host, self.profile)

    @property
    def issuer(self) -> Issuer:
        """Of the cluster's service account tokens. Raises osscloud.oidc.MissingDependency."""
        return self._issuer()

    def enable_rrsa(self) -> str:
        """Registers the cluster's issuer with RAM, as the console's switch for RRSA does; its ARN. Once is enough."""
        ram = self._cloud.service.accounts.ram
        name = f"ack-rrsa-{self._context.cluster}"
        arn = f"acs:ram::{self._context.account}:oidc-provider/{name}"
        if ram.provider_by_arn(arn) is None:
            issuer = self.issuer
            ram.create_oidc_provider(
                name,
                issuer=issuer.url,
                client_ids=(RRSA_AUDIENCE,),
                jwks=issuer.jwks(),
                account=self._context.account,
            )
        return arn

    def close(self) -> None:
        """Removes the driver's files; what it has started is its nodes' business. Safe to call twice."""
        for token in self._tokens:
            token.close()
        self._tokens.clear()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    # --- csi-plugin ---

    def _set_up(self, state: NodeState) -> None:
        state.host.makedirs("/etc", 0o755)
        if state.spec.mlocate and state.host.read_file(updatedb.CONFIGURATION) is None:
            state.host.write_file("/etc/cron.daily/mlocate", "#!/bin/sh\nexec updatedb\n", 0o755)
            state.host.write_file(updatedb.CONFIGURATION, updatedb.DEFAULT_CONFIGURATION)

    def _plugin_started(self, state: NodeState) -> None:
        state.config = self._context.read_config()
        if self.profile.architecture is Architecture.NODE_RUN:
            self.installation(state.spec.name).plugin_started()
        if self.profile.updatedb_configured and state.spec.mlocate:
            text = state.host.read_file(updatedb.CONFIGURATION)
            if text is not None:
                state.host.write_file(updatedb.CONFIGURATION, updatedb.configured_for_volumes(text))

    def _start_plugin(self, host: NodeHost, pod: KubeObject, container: Mapping[str, object]) -> RunningProgram:
        del container
        state = self._state(host)
        if state is not None:
            self._first_or_again(state, pod)
        return Plugin()

    def _first_or_again(self, state: NodeState, pod: KubeObject) -> None:
        """The Pod that the cluster was made with stands for the start that `node` was."""
        pods, uid = self._context.plugin_pods, pod["metadata"]["uid"]
        if pods.setdefault(state.spec.name, uid) != uid:
            pods[state.spec.name] = uid
            self._plugin_started(state)

    def _start_provisioner(self, host: NodeHost, pod: KubeObject, container: Mapping[str, object]) -> RunningProgram:
        del host, pod, container
        self.restart_controller()
        return Plugin()

    def _state(self, host: NodeHost) -> NodeState | None:
        return next((state for state in self._context.nodes.values() if state.host is host), None)

    # --- FUSE Pods ---

    def _start_fuse_pod(self, host: NodeHost, pod: KubeObject, container: Mapping[str, object]) -> RunningProgram:
        state = self._state(host)
        if state is None:
            raise LookupError(f"node {host.name} has no driver")
        metadata = pod["metadata"]
        name = str(container["name"])

        def say(text: str) -> None:
            # The Pod may be gone before its last words.
            with contextlib.suppress(ApiError):
                self._context.api.log(metadata["namespace"], metadata["name"], name, text)

        environment, token = self._environment(pod, container)
        arguments = [str(one) for one in _list(container.get("args"))]
        ended = token.close if token is not None else lambda: None
        context = self._context
        if arguments[:1] == ["-o"]:
            return FuseOssfs(
                spec=state.spec,
                host=host,
                timeline=context.timeline,
                launcher=context.launcher,
                command=self._command_of(state, pod, arguments, environment),
                delay=self.profile.termination_delay,
                say=say,
                ended=ended,
            )
        socket = next(one.partition("socket=")[2] for one in arguments if "socket=" in one)

        def command(request: MountRequest) -> Command:
            return Command(
                source=request.source,
                mountpoint=request.target,
                options=request.options,
                version=context.ossfs_version(context.config),
                passwd=request.passwd + "\n" if request.passwd else None,
                mime_types=self._mime_types(state, request.options),
                environment=environment,
            )

        return MountServer(
            profile=self.profile,
            spec=state.spec,
            host=host,
            timeline=context.timeline,
            launcher=context.launcher,
            socket=socket,
            command=command,
            say=say,
            ended=ended,
        )

    def _command_of(
        self, state: NodeState, pod: KubeObject, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> Command:
        _, joined, source, target, *_ = arguments
        # A dead mount there is what the container runtime meets when it mounts the hostPath.
        state.host.root.stat(target)
        options = joined.split(",")
        return Command(
            source=source,
            mountpoint=target,
            options=options,
            version=self._context.ossfs_version(state.config),
            passwd=self._passwd_of(pod),
            mime_types=self._mime_types(state, options),
            environment=environment,
        )

    def _passwd_of(self, pod: KubeObject) -> str | None:
        for mounted in pod["spec"].get("volumes") or ():
            source = mounted.get("secret")
            if source:
                secret = self._context.api.find("Secret", source["secretName"], pod["metadata"]["namespace"])
                value = ((secret or {}).get("data") or {}).get(source["items"][0]["key"])
                return None if value is None else base64.b64decode(value).decode("utf-8", "replace") + "\n"
        return None

    def _mime_types(self, state: NodeState, options: Sequence[str]) -> str:
        host_types = state.host.read_file("/etc/mime.types")
        if host_types is not None:
            return host_types if self.profile.host_mime_visible else ""
        wanted = self.profile.mime_option.startswith("mime=") and self.profile.mime_option in options
        return image_mime_types() if wanted and self.profile.mime_file_visible else ""

    def _environment(
        self, pod: KubeObject, container: Mapping[str, object]
    ) -> tuple[dict[str, str], ServiceAccountToken | None]:
        environment = {one["name"]: str(one.get("value", "")) for one in _list(container.get("env"))}
        if "ALIBABA_CLOUD_OIDC_TOKEN_FILE" not in environment:
            return environment, None
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="ossvol-csi-"))
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        token = ServiceAccountToken(
            self._context.timeline,
            self.issuer,
            f"system:serviceaccount:{namespace}:{account}",
            self._directory / pod["metadata"]["uid"],
        )
        self._tokens.append(token)
        environment["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] = str(token.path)
        return environment, token


def make_driver(
    version: str,
    *,
    api: Api,
    timeline: Timeline,
    cloud: Cloud,
    rng: random.Random | None = None,
    cluster_id: str = CLUSTER_ID,
    ossfs_version: str = "",
    feature_gates: Mapping[str, bool] | None = None,
    environment_key: tuple[str, str] = ("", ""),
    fixed: Fixed = False,
    issuer: Issuer | None = None,
) -> Driver:
    """A driver of that release.

    cloud: what the vendor's endpoints lead to, and whose account the cluster belongs to; cluster_id: as in the name of
    the RRSA provider; ossfs_version: simulated ossfs in the place of the shipped one; feature_gates:
    UpdatedOssfsVersion; environment_key: ACCESS_KEY_ID and ACCESS_KEY_SECRET of csi-plugin; fixed: ossfs without its
    defects; issuer: of the cluster's tokens, one of its own by default. Raises UnknownCsiVersion."""
    del rng
    profile = releases.find(version)
    gates = feature_gates or {}
    ram = cloud.service.accounts.ram
    context = Context(
        profile=profile,
        api=api,
        timeline=timeline,
        launcher=Launcher(timeline, cloud.endpoint, fixed),
        account=cloud.key.account,
        cluster=cluster_id,
        role=lambda: str(ram.directory.instance_roles.get("role", "")).rpartition("/")[2],
        key=environment_key,
        ossfs=ossfs_version,
        updated=gates.get("UpdatedOssfsVersion", bool(profile.ossfs_gate)),
    )
    made: list[Issuer] = [issuer] if issuer is not None else []

    def issuer_of_cluster() -> Issuer:
        if not made:
            made.append(Issuer(f"https://oidc.ossvol.example/{cluster_id}", clock=cloud.clock))
        return made[0]

    return Driver(context, cloud, issuer_of_cluster)


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
