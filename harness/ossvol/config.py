"""The environment variables that the harness reads, all of them, and where the project's own scenarios are.

Pure look-ups; any thread.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["colour_wanted", "in_ci", "own_scenarios"]


def in_ci() -> bool:
    """Whether a CI system runs this: no progress bar there. CI is set by all of them."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def colour_wanted() -> bool:
    """False when NO_COLOR is set to anything (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def own_scenarios() -> Path:
    """The directory of the scenarios that ship with ossvol: inside the installed package, or in the source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "scenarios"
    found = installed if installed.is_dir() else package.parents[1] / "scenarios"
    # Messages name these files: a short path is what people copy.
    return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found
