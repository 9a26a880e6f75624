"""What `ossvol fuzz --against` may say, as a plan. Called from the main thread before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

from osscluster.engine import kernel_unavailable
from ossfuse import profile
from ossvol.errors import UsageError
from ossvol.fuzz.plan import MOTO, Plan, Via
from ossvol.runner import version_of_binary

__all__ = ["DEFAULT_VERSION", "known_release", "plan_against"]

DEFAULT_VERSION = "1.91.10"
_OTHER: dict[str, Via] = {"direct": "kernel", "kernel": "direct"}


def plan_against(against: str, *, via: Via | None, ossfs: str, version: str) -> Plan:
    """against: an engine, the path of a real binary, or `MOTO`; via: of what is held against it, None for the best;
    version: "" for that of the binary. Raises UsageError, EnvironmentMissing."""
    if against == MOTO:
        if via or ossfs or version:
            raise UsageError("--against moto compares S3 requests: no mount, and no ossfs, has a part in it")
        return Plan(against=MOTO, fixed=False)
    if ossfs:
        raise UsageError(f"--against and --ossfs: a real binary is compared by --against {ossfs} alone")
    if against not in _OTHER:
        if not (os.path.isfile(against) and os.access(against, os.X_OK)):
            raise UsageError(f"--against {against}: no executable file; there are direct, kernel, moto and binaries")
        version = version or version_of_binary(against, "--against")
    elif via == against:
        raise UsageError(f"--against {against} --via {via}: one engine twice; the other one is {_OTHER[against]}")
    version = known_release(version or DEFAULT_VERSION)
    subject = via or _OTHER.get(against, "kernel")
    if (against != "direct" or subject == "kernel") and (missing := kernel_unavailable()):
        raise missing
    place = against if against in _OTHER else str(Path(against).resolve())
    return Plan(subject, "", version, fixed=False, against=place)


def known_release(version: str, option: str = "--ossfs-version") -> str:
    """The version itself. option: that names it. Raises UsageError where there is no such row."""
    if version not in profile.PROFILES:
        raise UsageError(f"no row for ossfs {version}; {option} names one of {', '.join(profile.PROFILES)}")
    return version
