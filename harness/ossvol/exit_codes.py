"""Exit codes of `ossvol`; they are stable."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    OK = 0
    FAILURES = 1  # a scenario failed
    USAGE = 2  # the command line or a file is wrong
    INTERNAL = 3  # a defect of ossvol
    ENVIRONMENT = 4  # this machine lacks something
    NOTHING_RAN = 5  # everything was skipped
    INTERRUPTED = 130  # Ctrl-C; after SIGTERM 143
