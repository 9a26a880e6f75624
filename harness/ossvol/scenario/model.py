"""The models of the scenario language: what a file may say, and nothing else.

Only shape and types; whether names fit together (handles, containers, versions) is checked in `lint`. Values are
frozen; any thread may read them. Every description ends up in the JSON Schema that editors show.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from ossvol.scenario.base import (
    EntryExpect,
    EventExpect,
    Expect,
    FileStep,
    FrozenModel,
    HolderExpect,
    ObjectExpect,
    PodExpect,
    RecordExpect,
    ResourceExpect,
    StepModel,
    StorageClass,
)
from ossvol.scenario.cluster_model import (
    ApplyStep,
    CheckStep,
    ClusterGiven,
    ClusterStep,
    CreateKeyStep,
    CsiStep,
    DeleteResourceStep,
    InstallStep,
    Manifests,
    NodeGiven,
    RamStep,
    RestartStep,
    RunStep,
    ScaleStep,
    UpdatedbStep,
    WaitStep,
)
from ossvol.scenario.hosting_model import BUCKET_NAME, LOOPBACK_URL, MirrorSpec, RoutingRuleSpec, WebsiteSpec
from ossvol.scenario.step_model import (
    AdvanceStep,
    AppendStep,
    ChmodStep,
    ChownStep,
    Client,
    CloseStep,
    DeleteStep,
    DisableKeyStep,
    FaultSpec,
    FaultStep,
    FsyncStep,
    GetStep,
    GetxattrStep,
    HeadStep,
    KillStep,
    LinkStep,
    ListStep,
    LogQuery,
    LogStep,
    LsStep,
    LstatStep,
    MirrorStep,
    MkdirStep,
    MountChange,
    MountStep,
    OpenStep,
    OriginDeleteStep,
    OriginPutStep,
    PutStep,
    ReadlinkStep,
    ReadStep,
    RemountStep,
    RemovexattrStep,
    RenameStep,
    RestoreStep,
    RmdirStep,
    RotateKeyStep,
    ScanStep,
    ServerStep,
    SetxattrStep,
    StatfsStep,
    StatStep,
    SymlinkStep,
    TruncateStep,
    UnlinkStep,
    UnmountStep,
    UtimeStep,
    VersioningStep,
    WebsiteStep,
    WriteStep,
)
from ossvol.scenario.values import BucketPolicy, FixedField, Mode, RamPolicy

__all__ = [
    "STEP_MODELS",
    "AdvanceStep",
    "Alternative",
    "AppendStep",
    "ApplyStep",
    "BucketSpec",
    "CheckStep",
    "ChmodStep",
    "ChownStep",
    "CloseStep",
    "ClusterGiven",
    "ClusterStep",
    "ContainerSpec",
    "Control",
    "CreateKeyStep",
    "CredentialsSpec",
    "CsiStep",
    "DeleteResourceStep",
    "DeleteStep",
    "DisableKeyStep",
    "EntryExpect",
    "EventExpect",
    "Expect",
    "FaultSpec",
    "FaultStep",
    "FileStep",
    "FsyncStep",
    "GetStep",
    "GetxattrStep",
    "Given",
    "HeadStep",
    "HolderExpect",
    "InstallStep",
    "KillStep",
    "LinkStep",
    "ListStep",
    "LogQuery",
    "LogStep",
    "LsStep",
    "LstatStep",
    "Manifests",
    "MirrorSpec",
    "MirrorStep",
    "MkdirStep",
    "MountChange",
    "MountStep",
    "NodeGiven",
    "ObjectExpect",
    "ObjectSpec",
    "OpenStep",
    "OriginDeleteStep",
    "OriginPutStep",
    "OriginSpec",
    "PodExpect",
    "PutStep",
    "RamStep",
    "ReadStep",
    "ReadlinkStep",
    "RecordExpect",
    "RemountStep",
    "RemovexattrStep",
    "RenameStep",
    "ResourceExpect",
    "RestartStep",
    "RestoreStep",
    "RmdirStep",
    "RotateKeyStep",
    "RoutingRuleSpec",
    "RunStep",
    "ScaleStep",
    "ScanStep",
    "Scenario",
    "ServerStep",
    "SetxattrStep",
    "StatStep",
    "StatfsStep",
    "Step",
    "StepModel",
    "SymlinkStep",
    "TruncateStep",
    "UnlinkStep",
    "UnmountStep",
    "UpdatedbStep",
    "UtimeStep",
    "VersioningStep",
    "VolumeGiven",
    "WaitStep",
    "WebsiteSpec",
    "WebsiteStep",
    "WriteStep",
]

Via = Literal["kernel", "direct"]


# --- steps ----------------------------------------------------------------------------------------------------------

_MODELS: tuple[type[StepModel], ...] = (
    StatStep, LstatStep, StatfsStep, LsStep, ReadStep, WriteStep, OpenStep, AppendStep, TruncateStep, FsyncStep,
    CloseStep, LinkStep, SymlinkStep, ReadlinkStep, RenameStep, UnlinkStep, MkdirStep, RmdirStep, ChmodStep, ChownStep,
    UtimeStep, SetxattrStep, GetxattrStep, RemovexattrStep, MountStep, RemountStep, UnmountStep, KillStep, PutStep,
    HeadStep, GetStep, ListStep, DeleteStep, RotateKeyStep, DisableKeyStep, VersioningStep, AdvanceStep, FaultStep,
    ScanStep, WebsiteStep, MirrorStep, OriginPutStep, OriginDeleteStep, ApplyStep, DeleteResourceStep, ScaleStep,
    WaitStep, RestoreStep, LogStep, RestartStep, RunStep, CsiStep, InstallStep, CreateKeyStep, RamStep, CheckStep,
    UpdatedbStep,
)  # fmt: skip
STEP_MODELS: dict[str, type[StepModel]] = {model.verb: model for model in _MODELS}


def _verb_tag(value: Any) -> str | None:
    if isinstance(value, StepModel):
        return f"verb:{value.verb}"
    if isinstance(value, dict):
        for key in value:
            if key in STEP_MODELS:
                return f"verb:{key}"
    return None


# A union cannot be computed for the type checker; a test holds it against STEP_MODELS.
Step = Annotated[
    Annotated[StatStep, Tag("verb:stat")]
    | Annotated[LstatStep, Tag("verb:lstat")]
    | Annotated[StatfsStep, Tag("verb:statfs")]
    | Annotated[LsStep, Tag("verb:ls")]
    | Annotated[ReadStep, Tag("verb:read")]
    | Annotated[WriteStep, Tag("verb:write")]
    | Annotated[OpenStep, Tag("verb:open")]
    | Annotated[AppendStep, Tag("verb:append")]
    | Annotated[TruncateStep, Tag("verb:truncate")]
    | Annotated[FsyncStep, Tag("verb:fsync")]
    | Annotated[CloseStep, Tag("verb:close")]
    | Annotated[LinkStep, Tag("verb:link")]
    | Annotated[SymlinkStep, Tag("verb:symlink")]
    | Annotated[ReadlinkStep, Tag("verb:readlink")]
    | Annotated[RenameStep, Tag("verb:rename")]
    | Annotated[UnlinkStep, Tag("verb:unlink")]
    | Annotated[MkdirStep, Tag("verb:mkdir")]
    | Annotated[RmdirStep, Tag("verb:rmdir")]
    | Annotated[ChmodStep, Tag("verb:chmod")]
    | Annotated[ChownStep, Tag("verb:chown")]
    | Annotated[UtimeStep, Tag("verb:utime")]
    | Annotated[SetxattrStep, Tag("verb:setxattr")]
    | Annotated[GetxattrStep, Tag("verb:getxattr")]
    | Annotated[RemovexattrStep, Tag("verb:removexattr")]
    | Annotated[MountStep, Tag("verb:mount")]
    | Annotated[RemountStep, Tag("verb:remount")]
    | Annotated[UnmountStep, Tag("verb:unmount")]
    | Annotated[KillStep, Tag("verb:kill")]
    | Annotated[PutStep, Tag("verb:put")]
    | Annotated[HeadStep, Tag("verb:head")]
    | Annotated[GetStep, Tag("verb:get")]
    | Annotated[ListStep, Tag("verb:list")]
    | Annotated[DeleteStep, Tag("verb:delete")]
    | Annotated[RotateKeyStep, Tag("verb:rotate_key")]
    | Annotated[DisableKeyStep, Tag("verb:disable_key")]
    | Annotated[VersioningStep, Tag("verb:versioning")]
    | Annotated[AdvanceStep, Tag("verb:advance")]
    | Annotated[FaultStep, Tag("verb:fault")]
    | Annotated[ScanStep, Tag("verb:scan")]
    | Annotated[WebsiteStep, Tag("verb:website")]
    | Annotated[MirrorStep, Tag("verb:mirror")]
    | Annotated[OriginPutStep, Tag("verb:origin_put")]
    | Annotated[OriginDeleteStep, Tag("verb:origin_delete")]
    | Annotated[ApplyStep, Tag("verb:apply")]
    | Annotated[DeleteResourceStep, Tag("verb:delete_resource")]
    | Annotated[ScaleStep, Tag("verb:scale")]
    | Annotated[WaitStep, Tag("verb:wait")]
    | Annotated[RestoreStep, Tag("verb:restore")]
    | Annotated[LogStep, Tag("verb:log")]
    | Annotated[RestartStep, Tag("verb:restart")]
    | Annotated[RunStep, Tag("verb:run")]
    | Annotated[CsiStep, Tag("verb:csi")]
    | Annotated[InstallStep, Tag("verb:install")]
    | Annotated[CreateKeyStep, Tag("verb:create_key")]
    | Annotated[RamStep, Tag("verb:ram")]
    | Annotated[CheckStep, Tag("verb:check")]
    | Annotated[UpdatedbStep, Tag("verb:updatedb")],
    Discriminator(_verb_tag),
]
Steps = Annotated[list[Step], Field(min_length=1)]


# --- what is given --------------------------------------------------------------------------------------------------


class BucketSpec(FrozenModel):
    name: str = Field("demo", pattern=BUCKET_NAME)
    versioning: Literal["Enabled", "Suspended"] | None = None
    website: WebsiteSpec | None = None
    mirror: MirrorSpec | None = None
    policy: BucketPolicy | None = None


class ObjectSpec(FrozenModel):
    """An object that is there from the start. via: who made it; mode, uid and gid are metadata that only ossfs writes.
    count: that many objects, {n} in the key is the number from 0. deleted: put, then deleted again."""

    key: str = Field(min_length=1)
    body: str | None = None
    size: int | None = Field(None, ge=0)
    via: Client = "sdk"
    content_type: str | None = None
    meta: dict[str, str] = {}
    mode: Mode | None = None
    uid: int | None = None
    gid: int | None = None
    storage_class: StorageClass = "Standard"
    count: int | None = Field(None, ge=1)
    deleted: bool = False


class OriginObjectSpec(FrozenModel):
    """An object of the origin. acl: an origin is asked without a signature, so a private object is refused."""

    key: str = Field(min_length=1)
    body: str | None = None
    size: int | None = Field(None, ge=0)
    content_type: str | None = None
    acl: Literal["public-read", "private"] = "public-read"


class S3OriginSpec(FrozenModel):
    """A bucket of an S3 server: moto, which is started for the run, or a LocalStack that runs already. cloud: another
    bucket of the scenario's own cloud."""

    bucket: str = Field("origin", pattern=BUCKET_NAME)
    objects: list[OriginObjectSpec] = []
    server: Literal["moto", "localstack", "cloud"] = "moto"


class OriginSpec(FrozenModel):
    """Where mirror rules fetch from: an S3 server, or whatever listens at a loopback URL."""

    s3: S3OriginSpec | None = None
    url: str | None = Field(None, pattern=LOOPBACK_URL)


class CredentialsSpec(FrozenModel):
    """The access key of the volume. secret: wrong: the password file misspells it. status: of the key on the server;
    Unknown: there is no such key. allow: what the key may do, deny: what it may not ("oss:PutObject", "oss:Get*");
    without allow it may do everything that is not denied. policy: RAM policy of the user that the key belongs to,
    instead of allow and deny."""

    id: str | None = Field(None, min_length=1, description="AccessKey ID that the key has, for manifests to name it.")
    access_key_secret: str | None = Field(None, min_length=1)
    secret: Literal["right", "wrong"] = "right"
    status: Literal["Active", "Disabled", "Unknown"] = "Active"
    allow: list[str] | None = None
    deny: list[str] = []
    policy: RamPolicy | None = None

    @model_validator(mode="after")
    def _one_way_to_limit(self) -> CredentialsSpec:
        if self.policy is not None and (self.allow is not None or self.deny):
            raise PydanticCustomError("E116", 'either "policy", or "allow" and "deny"')
        return self


class VolumeGiven(FrozenModel):
    """path: directory of the bucket. options: as on ossfs's command line; {cache} stands for a directory of the run's
    own. version: ossfs release, where one volume differs from the others. fixed: whether the simulated release is
    without its defects, or without which, whatever --fixed says. mime_types: content of /etc/mime.types. capacity: what
    the PV says; nothing reads it."""

    path: str = Field("/", pattern=r"^/")
    options: str = ""
    version: str | None = None
    fixed: FixedField | None = None
    mime_types: str | None = None
    capacity: str | None = Field(None, pattern=r"^\d+(Ki|Mi|Gi|Ti)?$")


class ContainerSpec(FrozenModel):
    """The identity of a container's process. groups: supplementary group ids."""

    uid: int = Field(0, ge=0)
    gid: int = Field(0, ge=0)
    groups: list[int] = []
    umask: Mode = 0o022


class Given(FrozenModel):
    bucket: BucketSpec = BucketSpec()
    origin: OriginSpec | None = None
    objects: list[ObjectSpec] = []
    credentials: CredentialsSpec = CredentialsSpec()
    volume: VolumeGiven | None = None
    volumes: dict[str, VolumeGiven] | None = None
    containers: dict[str, ContainerSpec] = {}
    cluster: ClusterGiven | None = None
    manifests: Manifests | None = None
    ram: dict[str, Any] | None = Field(None, description="Users, roles, policies and OIDC providers (docs/cloud.md).")


# --- the whole ------------------------------------------------------------------------------------------------------


class Title(FrozenModel):
    """zh: for scenarios of the FAQ."""

    en: str
    zh: str | None = None


class Versions(FrozenModel):
    """csi: the releases that the scenario is about, the first one by default (their order is not that of numbers)."""

    ossfs: str | None = Field(None, description='A release ("1.88") or a range (">=1.91.1,<1.91.5").')
    csi: Annotated[list[str], Field(min_length=1)] | None = None


class Alternative(FrozenModel):
    """One way out: do it, then `resolved` must hold."""

    title: str | None = None
    do: Steps
    resolved: Steps


class Control(FrozenModel):
    """A change that must not help: after `do`, the symptom in `then` must still be there."""

    title: str | None = None
    do: Steps
    then: Steps


class Evidence(FrozenModel):
    """Where the fact comes from. source: document or release and function; measured: what was run and seen."""

    source: str | None = None
    measured: str | None = None


class Scenario(FrozenModel):
    model_config = ConfigDict(title="ossvol scenario")

    scenario: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*$", description="The id.")
    title: Title
    faq: str | None = Field(None, description="Section of the FAQ.")
    cause: str | None = Field(None, description="Id of the FAQ's cause; the scenario's id when left out.")
    versions: Versions | None = None
    via: Annotated[list[Via], Field(min_length=1)] | None = Field(None, description="Only these ways to run it.")
    via_reason: str | None = Field(None, description="Why not the other way.")
    given: Given = Given()
    when: Steps
    remedy: Steps | None = None
    resolved: Steps | None = None
    remedies: Annotated[list[Alternative], Field(min_length=1)] | None = None
    control: list[Control] = []
    evidence: list[Evidence] = []
    note: str | None = None

    @property
    def alternatives(self) -> list[Alternative]:
        """Every remedy, in the file's order."""
        if self.remedy is not None and self.resolved is not None:
            return [Alternative.model_construct(title=None, do=self.remedy, resolved=self.resolved)]
        return self.remedies or []

    @property
    def cause_id(self) -> str:
        """The FAQ's cause, "" for a scenario outside the FAQ."""
        return self.cause or (self.scenario if self.faq else "")
