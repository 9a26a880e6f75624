"""The errors of ossfs: what a system call gets (OSError), and what the mount command prints (MountCheckFailed)."""

from __future__ import annotations

import os

__all__ = ["MountCheckFailed", "RequestFailed", "failure"]


def failure(code: int, path: str = "") -> OSError:
    """The OSError that a system call on `path` ends with. Python picks the subclass (PermissionError, ...)."""
    return OSError(code, os.strerror(code), path) if path else OSError(code, os.strerror(code))


class RequestFailed(OSError):
    """A request to the cloud did not succeed, after all attempts.

    errno: what the system call returns. status: HTTP status of the last answer, None when none came. body: of that
    answer. cause: why no answer came. The access log of the cloud shows the request and the reason."""

    def __init__(
        self, errno: int, path: str, *, status: int | None = None, body: bytes = b"", cause: OSError | None = None
    ) -> None:
        super().__init__(errno, os.strerror(errno), path)
        self.status = status
        self.body = body
        self.cause = cause


class MountCheckFailed(Exception):
    """The mount-time check failed. message: what ossfs prints or logs, without the program's name, "" when it says
    nothing; exit_code: of the command, where the check runs before the mount. Correct what the message names."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
