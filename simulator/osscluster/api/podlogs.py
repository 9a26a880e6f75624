"""`kubectl logs`: what of a container's output is asked for, and what is said where there is none yet.

Source: `pkg/registry/core/pod/strategy.go` (LogLocation) and kubelet's `validateContainerLogStatus`. Pure: the time is
an argument; the lock of the API is held around every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from osscluster.api import refusals
from osscluster.api.logs import LogLine
from osscluster.api.objects import KubeObject
from osscluster.api.store import MemoryApi

__all__ = ["LogStream", "log_text", "number"]


@dataclass(slots=True)
class LogStream:
    """Lines of one container. follow: whether more are awaited; `ended` says when none will come."""

    follow: bool
    ended: Callable[[], bool]
    _next: Callable[[], bytes]

    def next(self) -> bytes:
        """What has been printed since the last call."""
        return self._next()


def log_text(api: MemoryApi, pod: KubeObject, query: Mapping[str, str], now: float) -> LogStream:
    """query: container, follow, previous, tailLines, sinceSeconds, sinceTime, timestamps, limitBytes. Raises ApiError
    BadRequest."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    container = _container(pod, query.get("container", ""))
    if query.get("previous", "") == "true":
        text = f'previous terminated container "{container}" in pod "{name}" not found'
        raise refusals.bad_request(text)
    lines = api.logs.of(namespace, name, container)
    waiting = _waiting(pod, container)
    if waiting and not lines:
        raise refusals.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {waiting}')
    chosen = _chosen(lines, query, now)
    stamped = query.get("timestamps", "") == "true"
    limit = number("limitBytes", query["limitBytes"]) if query.get("limitBytes") else None
    state: list[Any] = [len(lines), chosen]
    uid = pod["metadata"]["uid"]

    def following() -> bytes:
        fresh = state[1]
        state[1] = []
        current = api.logs.of(namespace, name, container)
        if not fresh and len(current) > state[0]:
            fresh = current[state[0] :]
            state[0] = len(current)
        text = "".join(f"{_stamp(line.time)} {line.text}\n" if stamped else f"{line.text}\n" for line in fresh)
        return text.encode("utf-8")[:limit]

    def ended() -> bool:
        found = api.find("Pod", name, namespace)
        if found is None or found["metadata"]["uid"] != uid:
            return True
        return found["status"].get("phase") in ("Succeeded", "Failed")

    return LogStream(query.get("follow", "") == "true", ended, following)


def _container(pod: KubeObject, asked: str) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [each["name"] for each in spec["containers"]]
    initial = [each["name"] for each in spec.get("initContainers") or ()]
    if not asked:
        if len(containers) + len(initial) == 1:
            return str(containers[0])
        choices = f"choose one of: [{' '.join(containers)}]"
        if initial:
            choices += f" or one of the init containers: [{' '.join(initial)}]"
        raise refusals.bad_request(f"a container name must be specified for pod {name}, {choices}")
    if asked not in (*containers, *initial):
        raise refusals.bad_request(f"container {asked} is not valid for pod {name}")
    return asked


def _waiting(pod: KubeObject, container: str) -> str:
    """Why it has not started; "" when it has."""
    status = pod.get("status") or {}
    for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if each.get("name") == container:
            return str(((each.get("state") or {}).get("waiting") or {}).get("reason", ""))
    return ""


def _chosen(lines: Sequence[LogLine], query: Mapping[str, str], now: float) -> Sequence[LogLine]:
    since = None
    if query.get("sinceSeconds"):
        since = now - number("sinceSeconds", query["sinceSeconds"])
    elif query.get("sinceTime"):
        try:
            since = datetime.fromisoformat(query["sinceTime"]).timestamp()
        except (ValueError, OverflowError) as error:
            raise refusals.bad_request(f"sinceTime is no time: {query['sinceTime']!r}") from error
    chosen = [line for line in lines if since is None or line.time >= since]
    if query.get("tailLines"):
        tail = number("tailLines", query["tailLines"])
        return chosen[max(0, len(chosen) - tail) :]
    return chosen


def number(name: str, given: Any) -> int:
    """A parameter that is a whole number, not negative. Raises ApiError BadRequest."""
    try:
        value = int(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise refusals.bad_request(f"{name} is no whole number: {given!r}") from error
    if value < 0:
        raise refusals.bad_request(f"{name} must not be negative: {value}")
    return value


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
