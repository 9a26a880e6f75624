"""Bodies that kubectl sends as protobuf: of `create namespace | secret | configmap | serviceaccount`, and of `drain`.

Typed clients of kubectl send their bodies in this form alone. A wire reader with the field numbers of these kinds, from
`k8s.io/api/core/v1/generated.proto` and apimachinery's `generated.proto` files. Pure; any thread.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from osscluster.api.objects import KubeObject

__all__ = ["CONTENT_TYPE", "ProtobufError", "decode"]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"

_READABLE = ("Namespace", "ConfigMap", "Secret", "ServiceAccount", "DeleteOptions")

_Field = tuple[str, str]

_MESSAGES: Mapping[str, Mapping[int, _Field]] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "raw")},
    "TypeMeta": {1: ("apiVersion", "string"), 2: ("kind", "string")},
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        11: ("labels", "map string"),
        12: ("annotations", "map string"),
        14: ("finalizers", "[]string"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta"), 2: ("spec", "NamespaceSpec")},
    "NamespaceSpec": {1: ("finalizers", "[]string")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map string"),
        3: ("binaryData", "map bytes"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map bytes"),
        3: ("type", "string"),
        4: ("stringData", "map string"),
        5: ("immutable", "bool"),
    },
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "[]string"),
    },
    "Preconditions": {1: ("uid", "string")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta"), 4: ("automountServiceAccountToken", "bool")},
}


class ProtobufError(ValueError):
    """The body is none of these objects; the message says why, and what to do instead."""


def decode(body: bytes) -> KubeObject:
    """The object as JSON has it. Raises ProtobufError."""
    if not body.startswith(_MAGIC):
        raise ProtobufError("the body does not begin as an object of Kubernetes in protobuf")
    try:
        envelope = _message(body[len(_MAGIC) :], "Unknown")
        identity = envelope.get("typeMeta", {})
        kind = identity.get("kind", "")
        if kind not in _READABLE:
            raise ProtobufError(
                f"a {kind} in protobuf is not read here: add --dry-run=client -o yaml | kubectl apply -f -"
            )
        return {**identity, **_message(envelope.get("raw", b""), kind)}
    except (IndexError, UnicodeDecodeError) as error:
        raise ProtobufError("the protobuf of the body is cut off or broken") from error


def _message(data: bytes, type: str) -> dict[str, Any]:
    fields = _MESSAGES[type]
    result: dict[str, Any] = {}
    for number, value in _wire(data):
        if number not in fields:
            continue
        name, form = fields[number]
        if form in ("bool", "int") and isinstance(value, int):
            result[name] = bool(value) if form == "bool" else value
            continue
        if not isinstance(value, bytes):
            raise ProtobufError(f"{name} of {type} has the wrong wire type")
        if form.startswith("map "):
            entry = dict(_wire(value))
            item = entry.get(2, b"")
            key = _bytes(entry.get(1, b"")).decode("utf-8")
            result.setdefault(name, {})[key] = _text(_bytes(item), form.removeprefix("map "))
        elif form.startswith("[]"):
            result.setdefault(name, []).append(value.decode("utf-8"))
        elif form == "raw":
            result[name] = value
        elif form in _MESSAGES:
            result[name] = _message(value, form)
        elif value:
            result[name] = value.decode("utf-8")
    return result


def _text(value: bytes, form: str) -> str:
    return base64.b64encode(value).decode("ascii") if form == "bytes" else value.decode("utf-8")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("a map has the wrong wire type")
    return value


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                number, position = _varint(data, position)
                yield tag >> 3, number
            case 2:
                length, position = _varint(data, position)
                if position + length > len(data):
                    raise IndexError(length)
                yield tag >> 3, data[position : position + length]
                position += length
            case 1 | 5 as width:
                position += 8 if width == 1 else 4
            case other:
                raise ProtobufError(f"wire type {other} is not in use")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
