"""Where ossfs2 gets its access key: the environment, its options, or a program. There is no password file.

`load` reads what it was given; a program is run when a key is wanted. Source: 2.0.7, get_oss_credentials (main.cpp),
process_creds.cpp, creds_provider.cpp.
"""

from __future__ import annotations

import calendar
import json
import logging
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping

from ossfuse.ossfs2.options import MountOptions
from ossfuse.passwd import Credentials, Source

__all__ = ["CredentialsMissing", "Program", "load"]

logger = logging.getLogger("ossfuse")

REFRESH_BEFORE = 20 * 60
RETRY_AFTER = 15.0
_PROGRAM_SECONDS = 10
_EMPTY = "empty credential, please set ak/sk, ram_role or credential_process"


class CredentialsMissing(Exception):
    """No access key. Set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, --oss_access_key_id and --oss_access_key_secret,
    or --credential_process."""


class Program:
    """The key that --credential_process prints as JSON. Renewed 20 minutes before it expires; after a failure the old
    one goes on being used and the program is run again 15 seconds later. run: answers what the program printed."""

    def __init__(self, run: Callable[[], str]) -> None:
        self._run = run
        self._known: Credentials | None = None
        self._again = float("-inf")
        self._lock = threading.Lock()

    def current(self, now: float) -> Credentials | None:
        """The key at `now`; None when there has never been one."""
        with self._lock:
            if now >= self._again:
                self._renew(now)
            return self._known

    def _renew(self, now: float) -> None:
        try:
            answer = json.loads(self._run())
            self._known = Credentials(
                str(answer["AccessKeyId"]), str(answer["AccessKeySecret"]), str(answer.get("SecurityToken") or "")
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("failed to parse credential from cmd: %s", error)
            self._again = now + RETRY_AFTER
            return
        expires = answer.get("Expiration")
        self._again = float("inf") if not expires else max(_expiry(str(expires)) - REFRESH_BEFORE, now + RETRY_AFTER)


def load(options: MountOptions, environment: Mapping[str, str]) -> Source:
    """The credentials of one mount. Options count when both are given; else both come from the environment. Raises
    CredentialsMissing."""
    if options.credential_process:
        return Program(lambda: _output(options.credential_process, environment))
    if {"oss_access_key_id", "oss_access_key_secret"} <= options.given:
        key_id, secret = options.access_key_id, options.access_key_secret
    else:
        key_id = environment.get("OSS_ACCESS_KEY_ID", "")
        secret = environment.get("OSS_ACCESS_KEY_SECRET", "")
    if not key_id or not secret:
        raise CredentialsMissing(_EMPTY)
    return Credentials(key_id, secret)


def _output(command: str, environment: Mapping[str, str]) -> str:
    """What the program prints; no shell is involved. Raises OSError."""
    try:
        done = subprocess.run(
            shlex.split(command),
            capture_output=True,
            env=dict(environment),
            check=True,
            timeout=_PROGRAM_SECONDS,
        )
    except subprocess.SubprocessError as error:
        raise OSError(str(error)) from error
    return done.stdout.decode("utf-8", "replace")


def _expiry(text: str) -> float:
    """Seconds since the epoch of "2026-11-23T10:00:00Z"; 0 when it is no such time."""
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
