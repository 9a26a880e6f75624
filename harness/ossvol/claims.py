"""What manifests take for granted outside of the cluster: buckets and access keys. Pure; any thread."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osscluster.csi.naming import DRIVER

if TYPE_CHECKING:
    from osscluster.api.objects import KubeObject

__all__ = ["access_keys", "bucket_names"]


def bucket_names(objects: Sequence[KubeObject]) -> list[str]:
    """Buckets that volumes and storage classes of the OSS driver name, each once."""
    return list(dict.fromkeys(str(found["bucket"]) for found in _attributes(objects) if found.get("bucket")))


def access_keys(objects: Sequence[KubeObject]) -> Iterator[tuple[str, str]]:
    """(id, secret) of every Secret, and of every volume, that holds one; each id once."""
    seen = set()
    for texts in (*map(_texts, objects), *_attributes(objects)):
        key_id, secret = (str(texts.get(name, "")).strip() for name in ("akId", "akSecret"))
        if key_id and secret and key_id not in seen:
            seen.add(key_id)
            yield key_id, secret


def _texts(thing: KubeObject) -> Mapping[str, Any]:
    if thing["kind"] != "Secret":
        return {}
    data = thing.get("data") or {}
    plain = {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
    return plain | (thing.get("stringData") or {})


def _attributes(objects: Sequence[KubeObject]) -> Iterator[Mapping[str, Any]]:
    for thing in objects:
        csi = (thing.get("spec") or {}).get("csi") or {}
        if thing["kind"] == "PersistentVolume" and csi.get("driver") == DRIVER:
            yield csi.get("volumeAttributes") or {}
        elif thing["kind"] == "StorageClass" and thing.get("provisioner") == DRIVER:
            yield thing.get("parameters") or {}
