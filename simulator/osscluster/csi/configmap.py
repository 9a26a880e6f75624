"""ConfigMap kube-system/csi-plugin: what `fuse-ossfs` sets for FUSE Pods, read once when the plugin starts.

Pure; any thread. Source: extractFuseContainerConfig of pkg/mounter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from osscluster.csi.profile import CsiProfile

__all__ = ["FuseConfig", "parse"]

_RESOURCES = ("cpu-request", "cpu-limit", "memory-request", "memory-limit")
_OSSFS_LEVELS = {"fatal": "crit", "error": "err"}


@dataclass(frozen=True, slots=True)
class FuseConfig:
    """debug_level: as ossfs spells it, "" where none is set; mime_support: the value as written; resources: as in a
    Pod ({"requests": {"memory": "50Mi"}}); refused_level: a dbglevel that fails every mount; ignored: lines that the
    driver warns about."""

    image: str = ""
    image_tag: str = ""
    debug_level: str = ""
    refused_level: str = ""
    mime_support: str = ""
    metrics_mode: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def wants_mime_types(self) -> bool:
        """Quotes are part of the value: `mime-support="true"` is not true."""
        return self.mime_support.lower() == "true"


def parse(text: str, profile: CsiProfile) -> FuseConfig:
    """text: `data.fuse-ossfs`, one key=value a line."""
    values: dict[str, str] = {}
    metadata: dict[str, Mapping[str, str]] = {}
    resources: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    ignored: list[str] = []
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            continue
        key, _, value = line.partition("=")
        if not key:
            ignored.append(line)
        elif key in _RESOURCES:
            resource, _, kind = key.partition("-")
            resources[f"{kind}s"][resource] = value
        elif key in ("labels", "annotations"):
            found = _strings(value)
            if found is None:
                ignored.append(line)
            else:
                metadata[key] = found
        elif (key == "dbglevel" and value not in profile.debug_level_names and not profile.debug_level_refused) or (
            key == "image" and profile.image_tag_configurable
        ):
            ignored.append(line)
        else:
            values[key] = value
    level = values.get("dbglevel", "")
    known = level in profile.debug_level_names
    resources["requests"].setdefault("memory", "50Mi")
    return FuseConfig(
        image=values.get("image", ""),
        image_tag=values.get("image-tag", "") if profile.image_tag_configurable else "",
        debug_level=_OSSFS_LEVELS.get(level, level) if known else "",
        refused_level="" if known else level,
        mime_support=values.get("mime-support", ""),
        metrics_mode=values.get("metrics-mode", ""),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        resources={kind: amounts for kind, amounts in resources.items() if amounts},
        ignored=tuple(ignored),
    )


def _strings(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
        return found
    return None
