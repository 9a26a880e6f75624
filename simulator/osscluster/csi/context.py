"""What the parts of one driver share: its release, the API, the timeline, the cloud, and what it knows of each node.

Called from the thread that drives the timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from osscluster.api.objects import Api, ApiError
from osscluster.csi import configmap
from osscluster.csi.configmap import FuseConfig
from osscluster.csi.launcher import Launcher, nearest_row
from osscluster.csi.options import Options, Surroundings
from osscluster.csi.podspec import Rrsa
from osscluster.csi.profile import CsiProfile
from osscluster.csi.rpc import Code, CsiError
from osscluster.errors import NotModelled
from osscluster.host import NodeHost
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Timeline

__all__ = ["DEFAULT_ACCOUNT", "Context", "NodeState"]

DEFAULT_ACCOUNT = "csi-fuse-ossfs"
"""The ServiceAccount of FUSE Pods where a volume names none."""
_UNKNOWN = "unknown metadata key"


@dataclass(slots=True)
class NodeState:
    """One node. config: as csi-plugin read it when it started."""

    spec: NodeSpec
    host: NodeHost
    config: FuseConfig


@dataclass(slots=True)
class Context:
    """account, cluster: ids of the cloud's account and of the cluster; role: RAM role of the nodes, "" for none; key:
    of the driver's environment; ossfs: simulated release that replaces the shipped one, "" for none; updated: the gate
    UpdatedOssfsVersion; plugin_pods: uid of the csi-plugin Pod of each node."""

    profile: CsiProfile
    api: Api
    timeline: Timeline
    launcher: Launcher
    account: str
    cluster: str
    role: Callable[[], str] = lambda: ""
    key: tuple[str, str] = ("", "")
    ossfs: str = ""
    updated: bool = False
    config: FuseConfig = field(default_factory=FuseConfig)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    plugin_pods: dict[str, str] = field(default_factory=dict)

    def read_config(self) -> FuseConfig:
        """ConfigMap kube-system/csi-plugin as it is now."""
        found = self.api.find("ConfigMap", "csi-plugin", "kube-system")
        text = ((found or {}).get("data") or {}).get("fuse-ossfs", "")
        return configmap.parse(text, self.profile)

    def surroundings(self, node: NodeState | None = None) -> Surroundings:
        """What the driver knows on a node; without one, in the controller, which runs on the first."""
        state = node or next(iter(self.nodes.values()), None)
        spec = state.spec if state is not None else NodeSpec("controller")
        return Surroundings(
            region=spec.region if spec.metadata else "",
            role=self.role() if spec.metadata else "",
            account=self.account if spec.metadata else "",
            cluster=self.cluster,
            key=self.key,
            host_mime_types=state is not None and state.host.read_file("/etc/mime.types") is not None,
            updated_ossfs=self.updated,
        )

    def ossfs_version(self, config: FuseConfig) -> str:
        """The simulated release that a FUSE Pod or the node runs."""
        if self.ossfs:
            return self.ossfs
        profile = self.profile
        if config.image_tag:
            return nearest_row(config.image_tag, profile.ossfs_row)
        if profile.ossfs_gate is not None and not self.updated:
            return nearest_row(profile.ossfs_without_gate, "1.88")
        return profile.ossfs_row

    def rrsa(self, options: Options, surroundings: Surroundings) -> Rrsa | None:
        """Whom a FUSE Pod of this volume acts for; None where it does not use RRSA. Raises CsiError."""
        profile = self.profile
        if options.auth_type != "rrsa" or not profile.rrsa:
            return None
        service_account = options.service_account or DEFAULT_ACCOUNT
        if options.role_arn and options.oidc_provider_arn:
            return Rrsa(options.role_arn, options.oidc_provider_arn, service_account)
        for what, value in (("accountId", surroundings.account), ("clusterId", surroundings.cluster)):
            if not value:
                text = profile.texts.rrsa_lookup.format(error=f"Get {what} error: {_UNKNOWN}")
                raise CsiError(profile.rrsa_lookup_code, text)
        prefix = f"acs:ram::{surroundings.account}"
        return Rrsa(
            role_arn=f"{prefix}:role/{options.role_name}",
            provider_arn=f"{prefix}:oidc-provider/ack-rrsa-{surroundings.cluster}",
            service_account=service_account,
        )

    def resolve_cnfs(self, options: Options) -> Options:
        """With bucket and url of the CNFS object where the volume names one. Raises CsiError."""
        if self.profile.bucket_needs_storage_class_name:
            if options.bucket:
                return options
            if not options.cnfs:
                raise CsiError(Code.UNKNOWN, "name is required")
            missing = f"Cnfs {options.cnfs} is not ready, endpoint is empty."
        else:
            if not options.cnfs:
                return options
            missing = f"missing endpoint in status of CNFS {options.cnfs}"
        try:
            found = self.api.find("ContainerNetworkFileSystem", options.cnfs)
        except ApiError as error:
            raise NotModelled(f"containerNetworkFileSystem: {error}; give bucket and url") from error
        if found is None:
            resource = "containernetworkfilesystems.storage.alibabacloud.com"
            raise CsiError(Code.UNKNOWN, f'{resource} "{options.cnfs}" not found')
        attributes: Mapping[str, object] = (found.get("status") or {}).get("fsAttributes") or {}
        endpoint = attributes.get("endPoint")
        if not isinstance(endpoint, Mapping):
            raise CsiError(Code.UNKNOWN, missing)
        bucket, url = str(attributes.get("bucketName", "")), str(endpoint.get("internal", ""))
        return replace(options, bucket=bucket, url=url)
