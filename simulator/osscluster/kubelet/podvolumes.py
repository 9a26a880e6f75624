"""What a container gets besides its OSS volumes: other kinds of volumes, and environment variables.

Only what Pods around OSS volumes use: emptyDir, hostPath, configMap, secret. Anything else is said, never guessed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from osscluster.api.objects import Api, KubeObject
from osscluster.host import NodeHost
from osscluster.kubelet.trouble import ContainerTrouble

__all__ = ["environment_of", "other_volume_path"]


def other_volume_path(api: Api, host: NodeHost, pod: KubeObject, volume: Mapping[str, Any]) -> str:
    """Node path of a volume that is no claim's, made on the spot. Raises ContainerTrouble, OSError."""
    metadata, name = pod["metadata"], volume["name"]
    directory = f"/var/lib/kubelet/pods/{metadata['uid']}/volumes"
    if host_path := volume.get("hostPath"):
        path = str(host_path["path"])
        if host_path.get("type") == "DirectoryOrCreate":
            host.makedirs(path, 0o755)
        host.root.stat(path)
        return path
    if "emptyDir" in volume:
        path = f"{directory}/kubernetes.io~empty-dir/{name}"
        host.makedirs(path, 0o777)
        return path
    for key, kind, plugin in (("configMap", "ConfigMap", "configmap"), ("secret", "Secret", "secret")):
        if source := volume.get(key):
            called = source.get("name") or source.get("secretName")
            found = api.find(kind, called, metadata["namespace"])
            if found is None and not source.get("optional"):
                raise ContainerTrouble("ContainerCreating", f'{kind.lower()}s "{called}" not found')
            path = f"{directory}/kubernetes.io~{plugin}/{name}"
            host.makedirs(path, 0o755)
            for entry, value in ((found or {}).get("data") or {}).items():
                text = base64.b64decode(value).decode("utf-8", "replace") if kind == "Secret" else value
                host.write_file(f"{path}/{entry}", text)
            return path
    kinds = ", ".join(key for key in volume if key != "name")
    raise ContainerTrouble("CreateContainerConfigError", f"volume {name!r} of kind {kinds or 'none'} is not modelled")


def environment_of(api: Api, pod: KubeObject, container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container. Raises ContainerTrouble where a reference leads nowhere."""
    metadata = pod["metadata"]
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName") or "default",
    }
    found: dict[str, str] = {}
    for variable in container.get("env") or ():
        name, source = variable["name"], variable.get("valueFrom")
        if source is None:
            found[name] = str(variable.get("value") or "")
        elif field := source.get("fieldRef"):
            path = field["fieldPath"]
            for kind in ("labels", "annotations"):
                if path.startswith(f"metadata.{kind}['") and path.endswith("']"):
                    found[name] = str((metadata.get(kind) or {}).get(path[len(kind) + 11 : -2], ""))
            if name not in found:
                found[name] = str(fields.get(path, ""))
        else:
            found[name] = _from_object(api, metadata["namespace"], source)
    return found


def _from_object(api: Api, namespace: str, source: Mapping[str, Any]) -> str:
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if reference := source.get(key):
            held = api.find(kind, reference["name"], namespace)
            value = ((held or {}).get("data") or {}).get(reference["key"])
            if value is not None:
                return base64.b64decode(value).decode("utf-8", "replace") if kind == "Secret" else str(value)
            if reference.get("optional"):
                return ""
            what = f"key {reference['key']} in {kind}" if held else f'{kind.lower()} "{reference["name"]}"'
            raise ContainerTrouble("CreateContainerConfigError", f"{what} not found")
    raise ContainerTrouble("CreateContainerConfigError", f"valueFrom {', '.join(source)} is not modelled")
