"""What can go wrong on the way to a running container, in the words that a user sees."""

from __future__ import annotations

__all__ = ["ContainerTrouble", "VolumeTrouble"]


class VolumeTrouble(Exception):
    """A volume can't be mounted. str() is the FailedMount event's message."""


class ContainerTrouble(Exception):
    """A container can't be started. reason: of its waiting state ("CreateContainerConfigError"); str() is the message,
    which the event shows behind "Error: "; detail: what only kubelet's log says."""

    def __init__(self, reason: str, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail
