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
    FilePath,
    FileStep,
    FrozenModel,
    Handle,
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
from ossvol.scenario.values import BucketPolicy, Mode, Operation, RamPolicy

__all__ = [
    "STEP_MODELS",
    "Alternative",
    "ApplyStep",
    "BucketSpec",
    "CheckStep",
    "ClusterGiven",
    "ClusterStep",
    "ContainerSpec",
    "Control",
    "CreateKeyStep",
    "CredentialsSpec",
    "CsiStep",
    "DeleteResourceStep",
    "EntryExpect",
    "EventExpect",
    "Expect",
    "FileStep",
    "Given",
    "HolderExpect",
    "InstallStep",
    "Manifests",
    "MirrorSpec",
    "NodeGiven",
    "ObjectExpect",
    "ObjectSpec",
    "OriginSpec",
    "PodExpect",
    "RamStep",
    "RecordExpect",
    "ResourceExpect",
    "RestartStep",
    "RoutingRuleSpec",
    "RunStep",
    "ScaleStep",
    "Scenario",
    "Step",
    "StepModel",
    "UpdatedbStep",
    "VolumeGiven",
    "WaitStep",
    "WebsiteSpec",
]

Via = Literal["kernel", "direct"]
Client = Literal["console", "ossutil", "sdk", "ossfs"]


# --- websites and mirrors ---------------------------------------------------------------------------------------------

_BUCKET_NAME = r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"
_LOOPBACK_URL = r"^https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?/([^?#]*/)?$"


class RoutingRuleSpec(FrozenModel):
    """A RoutingRule that leads elsewhere. The condition: prefix, suffix, error_code (what the request would be answered
    otherwise). status: HttpRedirectCode."""

    prefix: str | None = None
    suffix: str | None = None
    error_code: int | None = Field(None, ge=400, le=599)
    redirect: Literal["External", "AliCDN", "Internal"] = "External"
    status: Literal[301, 302, 307] = 301
    protocol: Literal["http", "https"] | None = None
    host: str | None = None
    replace_key_with: str | None = None
    replace_prefix_with: str | None = None
    pass_query: bool = False


class WebsiteSpec(FrozenModel):
    """Static website hosting. index: Suffix of the index document; error: Key of the error document."""

    index: str | None = None
    support_sub_dir: bool = False
    type: Literal[0, 1, 2] = 0
    error: str | None = None
    error_status: Literal[200, 404] = 404
    rules: list[RoutingRuleSpec] = []


class MirrorSpec(FrozenModel):
    """A rule that fetches what is missing (404) from an origin. prefix: only keys that start so; replace_prefix_with:
    what they start with at the origin. url: of the origin, when it is not the one under given."""

    prefix: str = ""
    replace_prefix_with: str | None = None
    url: str | None = Field(None, pattern=_LOOPBACK_URL)
    follow_redirect: bool = True
    pass_query: bool = False
    allow_head: bool = False
    proxy_pass: bool = False


# --- steps ----------------------------------------------------------------------------------------------------------


class StatStep(FileStep):
    verb = "stat"
    stat: FilePath


class LstatStep(FileStep):
    verb = "lstat"
    lstat: FilePath


class StatfsStep(FileStep):
    """Expect size: the total size in bytes that df shows."""

    verb = "statfs"
    statfs: FilePath


class LsStep(FileStep):
    """long: as ls -l does it, the listing and then lstat of each name."""

    verb = "ls"
    ls: FilePath
    long: bool = False


class ReadStep(FileStep):
    """A path is opened, read to its end and closed; a handle is read where it stands. offset: pread from there."""

    verb = "read"
    read: FilePath
    size: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)


class WriteStep(FileStep):
    """A path is created or truncated, written and closed, as the shell's > does; with offset it is neither truncated
    nor created. size: that many bytes of a fixed pattern instead of body."""

    verb = "write"
    write: FilePath
    body: str | None = None
    size: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)
    mode: Mode | None = None


class OpenStep(FileStep):
    """flags: r, w, a, x as fopen(3) has them, with + for reading and writing. handle: the name for "@name" later."""

    verb = "open"
    open: FilePath
    handle: Handle
    flags: Literal["r", "r+", "w", "w+", "a", "a+", "x", "x+"] = "r"
    mode: Mode | None = None


class AppendStep(FileStep):
    verb = "append"
    append: FilePath
    body: str


class TruncateStep(FileStep):
    verb = "truncate"
    truncate: FilePath
    size: int = Field(ge=0)


class FsyncStep(FileStep):
    verb = "fsync"
    fsync: FilePath


class CloseStep(FileStep):
    verb = "close"
    close: FilePath


class LinkStep(FileStep):
    verb = "link"
    link: FilePath
    to: str


class SymlinkStep(FileStep):
    verb = "symlink"
    symlink: FilePath
    target: str


class ReadlinkStep(FileStep):
    verb = "readlink"
    readlink: FilePath


class RenameStep(FileStep):
    verb = "rename"
    rename: FilePath
    to: str


class UnlinkStep(FileStep):
    verb = "unlink"
    unlink: FilePath


class MkdirStep(FileStep):
    verb = "mkdir"
    mkdir: FilePath
    mode: Mode | None = None


class RmdirStep(FileStep):
    verb = "rmdir"
    rmdir: FilePath


class ChmodStep(FileStep):
    verb = "chmod"
    chmod: FilePath
    mode: Mode


class ChownStep(FileStep):
    """uid or gid left out: unchanged."""

    verb = "chown"
    chown: FilePath
    uid: int = -1
    gid: int = -1


class UtimeStep(FileStep):
    """Seconds since 1970."""

    verb = "utime"
    utime: FilePath
    mtime: float
    atime: float | None = None


class SetxattrStep(FileStep):
    verb = "setxattr"
    setxattr: FilePath
    name: str
    value: str


class GetxattrStep(FileStep):
    verb = "getxattr"
    getxattr: FilePath
    name: str


class RemovexattrStep(FileStep):
    verb = "removexattr"
    removexattr: FilePath
    name: str


class ScanStep(FileStep):
    """Walks the whole mount below the path, as updatedb or a virus scanner does: every directory is read and every name
    is looked up. command: the name of the process."""

    verb = "scan"
    scan: FilePath
    command: str = Field("updatedb", pattern=r"^[A-Za-z0-9_.-]{1,15}$")


class MountChange(FrozenModel):
    """What differs from the volume under given; a key left out stays."""

    path: str | None = None
    options: str | None = None
    version: str | None = Field(None, description="ossfs release.")
    fixed: bool | None = Field(None, description="true: the simulated release without its defects.")
    mime_types: str | None = None


class MountStep(StepModel):
    verb = "mount"
    mount: MountChange | None


class RemountStep(StepModel):
    """Unmounts and mounts again: a new ossfs process with the options and the access key of now."""

    verb = "remount"
    remount: MountChange | None


class UnmountStep(StepModel):
    verb = "unmount"
    unmount: None


class KillStep(StepModel):
    """SIGKILL to the ossfs process."""

    verb = "kill"
    kill: None


class ServerStep(StepModel):
    """What another client does to the bucket."""


class PutStep(ServerStep):
    verb = "put"
    put: str = Field(description="Key of the object.")
    body: str | None = None
    size: int | None = Field(None, ge=0)
    via: Client = "sdk"
    content_type: str | None = None
    meta: dict[str, str] = {}
    storage_class: StorageClass = "Standard"


class HeadStep(ServerStep):
    """HeadObject by an SDK; errno ENOENT: 404, EPERM: 403."""

    verb = "head"
    head: str


class ListStep(ServerStep):
    """Every page of ListObjectsV2 by an SDK. Expect entries: the keys."""

    verb = "list"
    list: str = Field(description='Prefix; "" lists the bucket.')


class DeleteStep(ServerStep):
    verb = "delete"
    delete: str


class RestoreStep(ServerStep):
    """RestoreObject by an SDK: a frozen object can be read for a day, once it has thawed."""

    verb = "restore"
    restore: str


class LogQuery(FrozenModel):
    """Which records of the access log; user_agent: how it begins; object: its key."""

    operation: Operation | None = None
    object: str | None = None
    user_agent: str | None = None
    client_ip: str | None = None
    http_status: int | None = None
    error_code: str | None = None


class LogStep(ServerStep):
    """A query of the access log, everything since the start. Expect records."""

    verb = "log"
    log: LogQuery


class RotateKeyStep(ServerStep):
    """Creates a new access key, disables the one in use and writes the new one to the password file (the Secret)."""

    verb = "rotate_key"
    rotate_key: None


class DisableKeyStep(ServerStep):
    """Disables the access key in use."""

    verb = "disable_key"
    disable_key: None


class VersioningStep(ServerStep):
    verb = "versioning"
    versioning: Literal["Enabled", "Suspended"]


class WebsiteStep(ServerStep):
    """Sets the bucket's static website hosting; without a value it is turned off. A mirror stays."""

    verb = "website"
    website: WebsiteSpec | None


class MirrorStep(ServerStep):
    """Sets the bucket's mirror rule; without a value it is removed. A website stays."""

    verb = "mirror"
    mirror: MirrorSpec | None


class OriginPutStep(ServerStep):
    """Writes an object at the S3 origin under given; the value is the key there."""

    verb = "origin_put"
    origin_put: str = Field(min_length=1)
    body: str | None = None
    size: int | None = Field(None, ge=0)
    content_type: str | None = None
    acl: Literal["public-read", "private"] = "public-read"


class OriginDeleteStep(ServerStep):
    verb = "origin_delete"
    origin_delete: str = Field(min_length=1)


class AdvanceStep(StepModel):
    """Moves the time of the cloud and of every mount ahead, in seconds."""

    verb = "advance"
    advance: float = Field(ge=0)


class FaultSpec(FrozenModel):
    """The first `count` calls of `operation` on keys like `key` (* and ?) go wrong. answer: with status and code;
    throttle: 503 with the code that OSS has for it; latency: `seconds` slower; stall: `seconds` of silence before the
    answer; truncate: the body ends early; crc: the answer's CRC-64 is wrong; reset: the connection breaks; refuse:
    nothing listens, with `seconds` for that long and at once when the operation is total and the key *; blackhole:
    likewise, but nothing answers."""

    operation: Operation
    key: str = "*"
    count: int = Field(1, ge=1)
    action: Literal["answer", "throttle", "latency", "stall", "truncate", "crc", "reset", "refuse", "blackhole"] = (
        "answer"
    )
    status: int = Field(503, ge=100, le=599)
    code: str = "ServiceUnavailable"
    seconds: float = Field(0.0, ge=0)


class FaultStep(ServerStep):
    verb = "fault"
    fault: FaultSpec


_MODELS: tuple[type[StepModel], ...] = (
    StatStep, LstatStep, StatfsStep, LsStep, ReadStep, WriteStep, OpenStep, AppendStep, TruncateStep, FsyncStep,
    CloseStep, LinkStep, SymlinkStep, ReadlinkStep, RenameStep, UnlinkStep, MkdirStep, RmdirStep, ChmodStep, ChownStep,
    UtimeStep, SetxattrStep, GetxattrStep, RemovexattrStep, MountStep, RemountStep, UnmountStep, KillStep, PutStep,
    HeadStep, ListStep, DeleteStep, RotateKeyStep, DisableKeyStep, VersioningStep, AdvanceStep, FaultStep, ScanStep,
    WebsiteStep, MirrorStep, OriginPutStep, OriginDeleteStep, ApplyStep, DeleteResourceStep, ScaleStep, WaitStep,
    RestoreStep, LogStep, RestartStep, RunStep, CsiStep, InstallStep, CreateKeyStep, RamStep, CheckStep, UpdatedbStep,
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
    name: str = Field("demo", pattern=_BUCKET_NAME)
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
    """A bucket of an S3 server: moto, which is started for the run, or a LocalStack that runs already."""

    bucket: str = Field("origin", pattern=_BUCKET_NAME)
    objects: list[OriginObjectSpec] = []
    server: Literal["moto", "localstack"] = "moto"


class OriginSpec(FrozenModel):
    """Where mirror rules fetch from: an S3 server, or whatever listens at a loopback URL."""

    s3: S3OriginSpec | None = None
    url: str | None = Field(None, pattern=_LOOPBACK_URL)


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
    without its defects, whatever --fixed says. mime_types: content of /etc/mime.types. capacity: what the PV says;
    nothing reads it."""

    path: str = Field("/", pattern=r"^/")
    options: str = ""
    version: str | None = None
    fixed: bool | None = None
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
