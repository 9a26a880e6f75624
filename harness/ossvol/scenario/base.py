"""What every step of the scenario language has: the verb's frame and the expectations.

Values are frozen; any thread may read them. Every description ends up in the JSON Schema that editors show.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ossvol.scenario.values import Errno, Mode, Operation, QuantityField

__all__ = [
    "EntryExpect",
    "EventExpect",
    "Expect",
    "FilePath",
    "FileStep",
    "FileType",
    "FrozenModel",
    "Handle",
    "HolderExpect",
    "ObjectExpect",
    "PodExpect",
    "RecordExpect",
    "ResourceExpect",
    "StepModel",
    "StorageClass",
]

FileType = Literal["file", "directory", "symlink", "fifo", "socket", "block", "character"]
StorageClass = Literal["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"]
FilePath = Annotated[str, Field(description='Path below the mount point ("" is the mount point), or "@handle".')]
Handle = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]


class FrozenModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


# --- expectations ---------------------------------------------------------------------------------------------------


class EntryExpect(FrozenModel):
    """One name of a listing. absent: it must not be there."""

    absent: bool = False
    mode: Mode | None = None
    uid: int | None = None
    gid: int | None = None
    size: QuantityField | None = None
    type: FileType | None = None


class ObjectExpect(FrozenModel):
    """One object as the server has it. meta: the named metadata, without "x-oss-meta-"; null: must not be set.
    versions: how many versions and delete markers the key has."""

    absent: bool = False
    size: QuantityField | None = None
    content_type: str | None = None
    meta: dict[str, str | None] | None = None
    body: str | None = None
    versions: QuantityField | None = None
    storage_class: StorageClass | None = None


class HolderExpect(FrozenModel):
    """Somebody who has a file open, as lsof shows it. as: the container."""

    path: str
    container: str | None = Field(None, alias="as")
    uid: int | None = None


def _entries_form(value: object) -> str:
    return "form:names" if isinstance(value, list) else "form:mapping" if isinstance(value, dict) else "form:count"


Entries = Annotated[
    Annotated[list[str], Tag("form:names")]
    | Annotated[dict[str, EntryExpect], Tag("form:mapping")]
    | Annotated[QuantityField, Tag("form:count")],
    Discriminator(_entries_form),
]


class EventExpect(FrozenModel):
    """An Event that is there after the step. about: name of its object (of a Pod also of the workload that made it);
    message: part of it; count: how often it came."""

    about: str | None = None
    reason: str
    message: str | None = None
    count: QuantityField | None = None
    absent: bool = False


class PodExpect(FrozenModel):
    """A Pod, or the first one of a workload of that name. waiting: reason of a container that is not started, as
    `kubectl get pod` shows it; terminating: deleted, and not gone yet; absent: there is none; restarts: of all its
    containers."""

    absent: bool = False
    phase: Literal["Pending", "Running", "Succeeded", "Failed"] | None = None
    ready: bool | None = None
    waiting: str | None = None
    terminating: bool | None = None
    restarts: QuantityField | None = None


class ResourceExpect(FrozenModel):
    """How many objects there are. labels: a selector as kubectl's -l."""

    kind: str
    namespace: str = ""
    labels: str = ""
    count: QuantityField


class RecordExpect(FrozenModel):
    """A record of the access log that a query has found."""

    operation: Operation
    object: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    client_ip: str | None = None
    user_agent: str | None = Field(None, description="How it begins.")
    bytes_out: int | None = None
    object_size: int | None = None
    delta_data_size: int | None = None


class Expect(FrozenModel):
    """What a step must show. Without errno it must succeed."""

    errno: Errno | None = None
    mode: Mode | None = None
    uid: int | None = None
    gid: int | None = None
    size: QuantityField | None = None
    type: FileType | None = None
    body: str | None = None
    sha256: str | None = None
    entries: Entries | None = Field(
        None, description="All names (a list), some of them (a mapping), or how many (a number or range)."
    )
    target: str | None = None
    object: dict[str, ObjectExpect] | None = Field(None, description="Objects on the server after the step, by key.")
    requests: dict[Operation, QuantityField] | None = Field(
        None, description="Requests that this step caused, by operation of the access log; total for all."
    )
    scanned: QuantityField | None = Field(None, description="Entries, versions and markers that listings looked at.")
    cost_ms: QuantityField | None = Field(None, description="Simulated time that the server took for the requests.")
    holders: list[HolderExpect] | None = Field(None, description="Who has which file open after the step.")
    message: str | None = Field(None, description="Part of what a failed mount printed.")
    returncode: QuantityField | None = None
    refused: str | None = Field(None, description="Part of what the API server says when it refuses.")
    pods: dict[str, PodExpect] | None = Field(None, description='Pods after the step, by name or "namespace/name".')
    events: list[EventExpect] | None = None
    resources: list[ResourceExpect] | None = None
    logs: dict[str, str] | None = Field(
        None, description='Part of a log after the step: "kubelet", or "namespace/pod" (the beginning of its name).'
    )
    stdout: str | list[str] | None = Field(None, description="Parts of what a command printed; [] for nothing.")
    records: list[RecordExpect] | None = Field(None, description="Among what a query of the log found, in this order.")
    seconds: QuantityField | None = Field(None, description="Virtual time that the step took.")


class StepModel(FrozenModel):
    verb: ClassVar[str] = ""
    volume: str | None = Field(None, alias="in", description="Name of the volume, where there are several.")
    expect: Expect = Expect()
    note: str | None = None


class FileStep(StepModel):
    container: str = Field("root", alias="as", description="The container that does it.")
