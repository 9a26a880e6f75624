"""CSI's messages on the wire: protobuf classes of package csi.v1, built from the table of `messages` when first wanted.

Needs protobuf (extra `csi`). Any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from osscluster.csi.messages import SERVICES, TABLE
from osscluster.errors import EnvironmentMissing

__all__ = ["PACKAGE", "file_descriptor", "message", "methods"]

PACKAGE = "csi.v1"
_SCALARS = ("string", "bool", "int32", "int64")
_IMPORTS = ("google/protobuf/wrappers.proto", "google/protobuf/timestamp.proto")


def methods() -> Iterator[tuple[str, str]]:
    """(service, method) of each call; its messages are METHODRequest and METHODResponse."""
    for service, names in SERVICES.items():
        for name in names.split():
            yield service, name


def message(name: str) -> Any:
    """The protobuf class of a message ("NodePublishVolumeRequest", "VolumeCapability.AccessMode"). Raises
    EnvironmentMissing without protobuf, KeyError for an unknown name."""
    return _classes()[f"{PACKAGE}.{name}"]


def file_descriptor() -> Any:
    """The table as a FileDescriptorProto. Raises EnvironmentMissing."""
    protobuf = _protobuf()
    file = protobuf.FileDescriptorProto(
        name="ossvol/csi.proto", package=PACKAGE, syntax="proto3", dependency=list(_IMPORTS)
    )
    made: dict[str, Any] = {}
    for name, entries in TABLE.items():
        outer, _, last = name.rpartition(".")
        if _is_enum(entries):
            enum = made[outer].enum_type.add(name=last)
            for entry in entries:
                word, _, number = entry.partition(" = ")
                enum.value.add(name=word, number=int(number))
            continue
        made[name] = made[outer].nested_type.add(name=last) if outer else file.message_type.add(name=last)
        for entry in entries:
            _add_field(protobuf, made[name], f"{PACKAGE}.{name}", entry)
    return file


def _is_enum(entries: tuple[str, ...]) -> bool:
    return bool(entries) and " = " in entries[0]


def _add_field(protobuf: Any, into: Any, full_name: str, entry: str) -> None:
    kinds = protobuf.FieldDescriptorProto
    name, number, spelled = entry.split(" ", 2)
    spelled, _, choice = spelled.partition("|")
    repeated = spelled.startswith("[]") or spelled == "{}"
    label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
    field = into.field.add(name=name, number=int(number), label=label)
    spelled = spelled.removeprefix("[]")
    if spelled == "{}":
        title = "".join(part.title() for part in name.split("_")) + "Entry"
        pair = into.nested_type.add(name=title)
        pair.options.map_entry = True
        for index, part in enumerate(("key", "value"), start=1):
            pair.field.add(name=part, number=index, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
        field.type, field.type_name = kinds.TYPE_MESSAGE, f".{full_name}.{title}"
    elif spelled in _SCALARS:
        field.type = getattr(kinds, f"TYPE_{spelled.upper()}")
    elif spelled.startswith("enum "):
        field.type, field.type_name = kinds.TYPE_ENUM, f".{PACKAGE}.{spelled.removeprefix('enum ')}"
    else:
        field.type = kinds.TYPE_MESSAGE
        field.type_name = spelled if spelled.startswith(".") else f".{PACKAGE}.{spelled}"
    if choice:
        if not into.oneof_decl:
            into.oneof_decl.add(name=choice)
        field.oneof_index = 0


@cache
def _classes() -> Mapping[str, Any]:
    _protobuf()
    from google.protobuf import (  # noqa: PLC0415 - an extra
        descriptor_pool,
        message_factory,
        timestamp_pb2,
        wrappers_pb2,
    )

    pool = descriptor_pool.DescriptorPool()
    for imported in (wrappers_pb2, timestamp_pb2):
        pool.AddSerializedFile(imported.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file_descriptor().SerializeToString())
    names = [f"{PACKAGE}.{name}" for name, entries in TABLE.items() if not _is_enum(entries)]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}


def _protobuf() -> Any:
    try:
        from google.protobuf import descriptor_pb2  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EnvironmentMissing("the CSI socket needs protobuf", "pip install 'ossvol[csi]'") from error
    return descriptor_pb2
