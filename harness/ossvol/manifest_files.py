"""Users' files of manifests, for the commands that take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from osscluster.api.manifests import ManifestErrors, Manifests, load
from ossvol.errors import ScenarioErrors, UsageError

__all__ = ["load_manifests"]


def load_manifests(files: Sequence[Path]) -> Manifests:
    """All the files together. Raises UsageError for a file that cannot be read, ScenarioErrors for mistakes in one."""
    try:
        return load(files)
    except ManifestErrors as errors:
        raise ScenarioErrors(errors.problems) from errors
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the manifests: {error}") from error
