"""The steps of a scenario: what containers do with files, what becomes of mounts, what other clients do.

Values are frozen; any thread may read them. Every description ends up in the JSON Schema that editors show.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossvol.scenario.base import FilePath, FileStep, FrozenModel, Handle, StepModel, StorageClass
from ossvol.scenario.hosting_model import MirrorSpec, WebsiteSpec
from ossvol.scenario.values import FixedField, Mode, Operation

__all__ = [
    "AdvanceStep",
    "AppendStep",
    "ChmodStep",
    "ChownStep",
    "Client",
    "CloseStep",
    "DeleteStep",
    "DisableKeyStep",
    "FaultSpec",
    "FaultStep",
    "FsyncStep",
    "GetStep",
    "GetxattrStep",
    "HeadStep",
    "KillStep",
    "LinkStep",
    "ListStep",
    "LogQuery",
    "LogStep",
    "LsStep",
    "LstatStep",
    "MirrorStep",
    "MkdirStep",
    "MountChange",
    "MountStep",
    "OpenStep",
    "OriginDeleteStep",
    "OriginPutStep",
    "PutStep",
    "ReadStep",
    "ReadlinkStep",
    "RemountStep",
    "RemovexattrStep",
    "RenameStep",
    "RestoreStep",
    "RmdirStep",
    "RotateKeyStep",
    "ScanStep",
    "ServerStep",
    "SetxattrStep",
    "StatStep",
    "StatfsStep",
    "SymlinkStep",
    "TruncateStep",
    "UnlinkStep",
    "UnmountStep",
    "UtimeStep",
    "VersioningStep",
    "WebsiteStep",
    "WriteStep",
]

Client = Literal["console", "ossutil", "sdk", "ossfs"]


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
    fixed: FixedField | None = None
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


class GetStep(ServerStep):
    """GetObject by an SDK, of the whole object; errno as for head, EIO: anything else."""

    verb = "get"
    get: str


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
