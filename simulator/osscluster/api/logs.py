"""What containers have printed, as `kubectl logs` shows it.

Pure: the time is an argument. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["LogLine", "Logs"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """time: seconds since the epoch; text: without the line's end."""

    time: float
    text: str


class Logs:
    """now: seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: dict[tuple[str, str, str], list[LogLine]] = {}

    def add(self, namespace: str, pod: str, container: str, text: str) -> None:
        """text: one line or several."""
        now = self._now()
        lines = self._lines.setdefault((namespace, pod, container), [])
        lines.extend(LogLine(now, line) for line in text.splitlines())

    def of(self, namespace: str, pod: str, container: str) -> Sequence[LogLine]:
        """Oldest first; empty for a container that has printed nothing."""
        return tuple(self._lines.get((namespace, pod, container), ()))

    def of_pods(self, namespace: str, prefix: str) -> Sequence[LogLine]:
        """Of every Pod whose name begins so, all containers, by time."""
        found = [
            line
            for (where, pod, _), lines in self._lines.items()
            if where == namespace and pod.startswith(prefix)
            for line in lines
        ]
        return sorted(found, key=lambda line: line.time)

    def drop(self, namespace: str, pod: str) -> None:
        """A Pod is gone, and so is what it printed."""
        self._lines = {key: lines for key, lines in self._lines.items() if key[:2] != (namespace, pod)}
