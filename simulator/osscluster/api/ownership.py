"""Who applied which fields: server-side apply, without managedFields.

Of each object the configurations that managers applied are kept; a field of one manager that another one applies with a
different value is a dispute. What was written in other ways has no owner here. Pure; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from osscluster.api.kinds import Kind
from osscluster.api.objects import ApiError, KubeObject

__all__ = ["FieldOwners"]

Key = tuple[str, str, str]


class FieldOwners:
    """Keys are (kind, namespace, name)."""

    def __init__(self) -> None:
        self._applied: dict[Key, dict[str, KubeObject]] = {}

    def applied(self, key: Key, manager: str) -> KubeObject | None:
        """What that manager applied last."""
        return self._applied.get(key, {}).get(manager)

    def record(self, key: Key, manager: str, configuration: KubeObject) -> None:
        self._applied.setdefault(key, {})[manager] = configuration

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self._applied.pop(key, None)

    def dispute(self, key: Key, manager: str, new: KubeObject, kind: Kind) -> ApiError | None:
        """What speaks against that manager applying `new`. Lists count as one value."""
        disputed = [
            (other, path)
            for other, configuration in sorted(self._applied.get(key, {}).items())
            if other != manager
            for path, value in _leaves(new)
            if _at(configuration, path) not in (None, value)
        ]
        if not disputed:
            return None
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{other}" using {kind.api_version}',
                "field": "." + ".".join(path),
            }
            for other, path in disputed
        ]
        texts = [f"{cause['message']}: {cause['field']}" for cause in causes]
        if len(texts) == 1:
            message = f"Apply failed with 1 conflict: {texts[0]}"
        else:
            message = f"Apply failed with {len(texts)} conflicts:\n" + "\n".join(f"- {text}" for text in texts)
        return ApiError("Conflict", 409, message, causes=causes, kind=kind.plural, group=kind.group, name=key[2])


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if path or key not in ("apiVersion", "kind", "metadata"):
                yield from _leaves(item, (*path, key))
    elif path:
        yield path, value


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
