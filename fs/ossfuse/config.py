"""What comes from outside the command line: environment variables and the machine's files. Read nowhere else.

Pure look-ups; any thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ossfuse.products import Product
from ossfuse.profile import DEFAULT_VERSION

__all__ = ["VERSION_VARIABLE", "environment", "version"]

VERSION_VARIABLE = "OSSFS_SIM_VERSION"
"""Picks the release that ossfs-sim behaves as, like --ossfs-version."""


def environment() -> Mapping[str, str]:
    """The variables of this process."""
    return os.environ


def version(variables: Mapping[str, str], only: Product | None = None) -> str:
    """The release to behave as when the command line does not say. only: what the variable says about another product
    is not meant for this command."""
    said = variables.get(VERSION_VARIABLE) or DEFAULT_VERSION
    return said if only is None or said in only.versions else only.default
