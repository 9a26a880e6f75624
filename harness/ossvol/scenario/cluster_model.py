"""The scenario language's words for a cluster: what is given, and the steps that a user of one takes.

Values are frozen; any thread may read them. Every description ends up in the JSON Schema that editors show.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ossvol.scenario.base import FrozenModel, StepModel

__all__ = [
    "ApplyStep",
    "CheckStep",
    "ClusterGiven",
    "ClusterStep",
    "CreateKeyStep",
    "CsiStep",
    "DeleteResourceStep",
    "InstallStep",
    "Manifests",
    "NodeGiven",
    "RamStep",
    "RestartStep",
    "RunStep",
    "ScaleStep",
    "UpdatedbStep",
    "WaitStep",
]

_RESOURCE = r"^[A-Za-z]+/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"

Manifests = Annotated[
    str | list[dict[str, Any]],
    Field(
        description="Kubernetes objects: a list of them, or one text with YAML documents (or a file beside the "
        "scenario, when it is one line that ends in .yaml)."
    ),
]


class NodeGiven(FrozenModel):
    """A node. region: its own; internet: whether public endpoints can be reached; mime_types: content of
    /etc/mime.types; mlocate: updatedb runs there; os: as csi-plugin's installer names it; ossfs: what is installed on
    the node itself."""

    name: str = Field("node-1", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    region: str = "cn-hangzhou"
    internet: bool = True
    metadata: bool = True
    mime_types: str | None = None
    mlocate: bool = False
    os: str = "alinux3"
    ossfs: Literal["installed", "missing", "library-missing"] = "installed"


class ClusterGiven(FrozenModel):
    """csi, kubernetes: versions. containers: who runs them. rrsa: RAM knows the cluster's service accounts, as the
    console's switch has it."""

    csi: str = "1.30.4"
    kubernetes: str = "1.30"
    nodes: Annotated[list[NodeGiven], Field(min_length=1)] = [NodeGiven()]
    containers: Literal["process", "docker"] = "process"
    rrsa: bool = False


class ClusterStep(StepModel):
    """What needs a cluster."""


class ApplyStep(ClusterStep):
    """kubectl apply. Expect refused: what the API server says."""

    verb = "apply"
    apply: Manifests


class DeleteResourceStep(ClusterStep):
    """kubectl delete KIND/NAME, without waiting for its end. labels: -l instead of a name (the value is the kind);
    force: --force --grace-period=0."""

    verb = "delete_resource"
    delete_resource: str
    namespace: str = "default"
    labels: str | None = None
    force: bool = False


class ScaleStep(ClusterStep):
    verb = "scale"
    scale: str = Field(pattern=_RESOURCE)
    replicas: int = Field(ge=0)
    namespace: str = "default"


class WaitStep(ClusterStep):
    """Moves time until what is expected holds, at most so many seconds."""

    verb = "wait"
    wait: float = Field(gt=0)


class RestartStep(ClusterStep):
    """A container of a Pod ("pod/container") dies and is started again, as after a failed liveness probe."""

    verb = "restart"
    restart: str = Field(pattern=r"^[^/]+/[^/]+$")
    namespace: str = "default"


class RunStep(ClusterStep):
    """A command that an administrator types on a node. {uid} is the uid of the Pod `pod`. Expect stdout, returncode."""

    verb = "run"
    run: str = Field(min_length=1)
    node: str | None = None
    pod: str | None = None


class CsiStep(ClusterStep):
    """The CSI driver is upgraded (or set back); what runs keeps running."""

    verb = "csi"
    csi: str


class InstallStep(ClusterStep):
    """An administrator installs what is missing on a node: the package of ossfs from /etc/csi-tool, or the library."""

    verb = "install"
    install: Literal["ossfs", "library"]
    node: str | None = None


class CreateKeyStep(ClusterStep):
    """A new access key of the same user, beside the one in use; no Secret is changed."""

    verb = "create_key"
    create_key: str = Field(description="AccessKey ID.", min_length=1)
    secret: str = Field(min_length=1)


class RamStep(ClusterStep):
    """Sets up users, roles, policies and OIDC providers, as under given."""

    verb = "ram"
    ram: dict[str, Any]


class CheckStep(ClusterStep):
    """The console's check of a PersistentVolume. Expect stdout (its log), returncode."""

    verb = "check"
    check: str
    node: str | None = None


class UpdatedbStep(ClusterStep):
    """updatedb runs on a node, as its /etc/updatedb.conf says; the value is the node, "" for the first. Expect stdout:
    how many names it saw, which directories it skipped."""

    verb = "updatedb"
    updatedb: str
