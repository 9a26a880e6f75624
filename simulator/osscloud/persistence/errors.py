"""What can be wrong with a data directory or a snapshot file."""

from __future__ import annotations

__all__ = ["DirectoryInUse", "StateError"]


class StateError(Exception):
    """A data directory or snapshot cannot be used; nothing was changed. The text names the file, says what is wrong
    with it and what to do."""


class DirectoryInUse(StateError):
    """Another process serves from the directory. pid: its id, 0 when it did not say."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid
