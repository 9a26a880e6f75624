"""Where ossfs takes its credentials from: password file, environment, a program, a metadata service.

Two dialects of the password file, chosen by the release's `Profile`. A password file is read once, at start; that a
rotated key needs a remount follows from it. Temporary keys (ram_role, credential_process) are asked for again when they
are about to expire. `load` belongs to the thread that mounts; a `Source` may be asked by any thread.
"""

from __future__ import annotations

import calendar
import logging
import os
import re
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ossfuse.options import MountOptions
from ossfuse.profile import Profile
from ossfuse.rrsa import Fetch, TokenExchange

__all__ = [
    "ANONYMOUS",
    "DEFAULT_FILE",
    "Credentials",
    "CredentialsError",
    "Source",
    "Temporary",
    "fetch_url",
    "load",
    "parse",
]

logger = logging.getLogger(__name__)

DEFAULT_FILE = "/etc/passwd-ossfs"
METADATA_URL = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
TOKEN_URL = "http://100.100.100.200/latest/api/token"
TOKEN_SECONDS = 180
TOKEN_TTL_HEADER = "X-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aliyun-ecs-metadata-token"
_PROGRAM_SECONDS = 60
_METADATA_FIELDS = 4  # id, secret, token, expiration; another number of them is refused
REFRESH_BEFORE = 20 * 60
"""Seconds of life that make ossfs ask for a new key."""
_INCOMPLETE = "if one access key is specified, both keys need to be specified."


class CredentialsError(Exception):
    """No usable credentials. The message is what ossfs prints behind "ossfs: "; the exit code is 1."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. security_token: of a temporary key, else "". An empty id signs nothing (public_bucket=1)."""

    access_key_id: str
    access_key_secret: str
    security_token: str = ""

    def current(self, now: float) -> Credentials:
        """Itself: a static key is never read again."""
        del now
        return self


ANONYMOUS = Credentials("", "")


class Source(Protocol):
    """Where a client gets its key for each request."""

    def current(self, now: float) -> Credentials | None:
        """The key at `now` (seconds since the epoch); None where it could not be renewed: the request goes out
        unsigned then."""
        ...


class Temporary:
    """A key that expires. ask: fetches the answer of the metadata service or program; raises OSError."""

    def __init__(self, ask: Callable[[], str], *, profile: Profile, from_program: bool = False) -> None:
        self._ask = ask
        self._profile = profile
        self._from_program = from_program
        self._known: Credentials | None = None
        self._expires = float("-inf")
        self._lock = threading.Lock()

    def current(self, now: float) -> Credentials | None:
        """As `Source.current`; asks when less than 20 minutes of life remain, and again at every request after a
        failure (source: CheckIAMCredentialUpdate)."""
        with self._lock:
            if self._expires >= now + REFRESH_BEFORE:
                return self._known
            try:
                answer = self._ask()
            except OSError as error:
                logger.error("Security Token refresh failed: %s", error)
                return None
            fields = _fields(answer, "\n" if self._profile.metadata_lines else ",")
            complete = {"AccessKeyId", "AccessKeySecret"} <= fields.keys()
            if not complete or (not self._from_program and len(fields) != _METADATA_FIELDS):
                logger.error("Something error occurred, could not set STS credentials.")
                return None
            token = fields.get("Token", "")
            self._known = Credentials(fields["AccessKeyId"], fields["AccessKeySecret"], token)
            expires = fields.get("Expiration")
            self._expires = float("inf") if expires is None else _expiry(expires)
            return self._known


def fetch_url(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """A `Fetch` over sockets."""
    request = urllib.request.Request(url, data=body or None, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status), bytes(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def load(options: MountOptions, profile: Profile, environment: Mapping[str, str], fetch: Fetch = fetch_url) -> Source:
    """The credentials of one mount, searched in ossfs's order: passwd_file, environment, OSS_CREDENTIAL_FILE,
    ~/.passwd-ossfs, /etc/passwd-ossfs; rrsa_endpoint=, ram_role= and credential_process= come before all of them.
    fetch: asks STS and the metadata service.

    Raises CredentialsError. Source: get_access_keys (1.80.6), S3fsCred::InitialCredentials and CheckAllParams (1.91).
    """
    if options.public_bucket:
        return ANONYMOUS
    if options.credlib or options.credlib_opts:
        raise CredentialsError(
            "the simulation loads no external credential library; give credential_process= a script that prints the key"
        )
    if options.credential_process:
        if options.passwd_file or options.ram_role or options.use_session_token:
            raise CredentialsError(_EXCLUSIVE)
        return Temporary(lambda: _output(options.credential_process, environment), profile=profile, from_program=True)
    if options.rrsa_endpoint:
        exchange = TokenExchange(options.rrsa_endpoint, environment, fetch)
        return Temporary(exchange.answer, profile=profile)
    if options.ram_role:
        return Temporary(_Metadata(options, profile, fetch).answer, profile=profile)
    if options.passwd_file:
        if not profile.passwd_keyed_entries and not _readable(options.passwd_file):
            raise CredentialsError("specified passwd_file is not readable.")
        return _read(options.passwd_file, options.bucket, profile)
    found = _from_environment(options, profile, environment)
    if found is not None:
        return found
    named = environment.get("OSS_CREDENTIAL_FILE")
    if named:
        if not _readable(named):
            raise CredentialsError(f'OSS_CREDENTIAL_FILE: "{named}" is not readable.')
        return _read(named, options.bucket, profile)
    home = environment.get("HOME")
    for path in (*((f"{home}/.passwd-ossfs",) if home is not None else ()), DEFAULT_FILE):
        if _readable(path):
            return _read(path, options.bucket, profile)
    if profile.credentials_missing_long:
        raise CredentialsError(
            "Could not determine how to establish security credentials. "
            "Please check your password file, ram_role, or environment variables."
        )
    raise CredentialsError("could not determine how to establish security credentials.")


def parse(text: str, bucket: str, profile: Profile) -> Credentials:
    """The credentials that a password file with this content holds for `bucket`. Raises CredentialsError.

    Source: check_for_oss_format and read_passwd_file (1.80.6), S3fsCred::ParsePasswdFile and ReadPasswdFile (1.91).
    """
    return _parse_keyed(text, bucket) if profile.passwd_keyed_entries else _parse_ordered(text, bucket)


_EXCLUSIVE = (
    'The "credlib" or "credlib_opts" option and other credential-related options(passwd_file, iam_role, profile, '
    "use_session_token, ecs, imdsv1only, ibm_iam_auth, ibm_iam_endpoint, etc) cannot be specified together."
)


def _readable(path: str) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _read(path: str, bucket: str, profile: Profile) -> Credentials:
    _check_permissions(path, profile)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            text = file.read()
    except OSError:
        raise CredentialsError(f"could not open passwd file : {path}") from None
    return parse(text, bucket, profile)


def _check_permissions(path: str, profile: Profile) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = f": {error.strerror}" if profile.passwd_stat_strerror else "."
        raise CredentialsError(f"unexpected error from stat({path}){reason}") from None
    if profile.passwd_keyed_entries and not _readable(path):
        raise CredentialsError(f'S3fs passwd file "{path}" is not readable.')
    if mode & stat.S_IRWXO:
        raise CredentialsError(f"credentials file {path} should not have others permissions.")
    if path != DEFAULT_FILE and mode & stat.S_IRWXG:
        raise CredentialsError(f"credentials file {path} should not have group permissions.")
    if path == DEFAULT_FILE and mode & stat.S_IWGRP:
        raise CredentialsError(f"credentials file {path} should not have group writable permissions.")
    if mode & (stat.S_IXUSR | stat.S_IXGRP):
        raise CredentialsError(f"credentials file {path} should not have executable permissions.")


def _checked_line(line: str) -> str:
    if " " in line or "\t" in line:
        raise CredentialsError("invalid line in passwd file, found whitespace character.")
    if line.startswith("["):
        raise CredentialsError('invalid line in passwd file, found a bracket "[" character.')
    return line


def _split(line: str) -> tuple[str, str, str]:
    """Bucket ("" for the default entry), key id and secret of a line: cut at its first and its last colon."""
    first, last = line.find(":"), line.rfind(":")
    if first == last:
        return "", line[:first], line[first + 1 :]
    return line[:first], line[first + 1 : last], line[last + 1 :]


def _pair(key_id: str, secret: str, message: str = _INCOMPLETE) -> Credentials:
    if not key_id or not secret:
        raise CredentialsError(message)
    return Credentials(key_id, secret)


def _ordered_lines(text: str) -> Iterator[str]:
    for raw in text.split("\n"):
        line = raw.removesuffix("\r")
        if line and not line.startswith("#"):
            yield _checked_line(line)


def _parse_ordered(text: str, bucket: str) -> Credentials:
    """1.80: lines count in their order, the bucket has to be named."""
    key_id = secret = None
    for line in _ordered_lines(text):
        if "OSSAccessKeyId=" in line:
            key_id = line.partition("=")[2]
        elif "OSSSecretKey=" in line:
            secret = line.partition("=")[2]
    if key_id is not None and secret is not None:
        return _pair(key_id, secret)
    default_seen = False
    for line in _ordered_lines(text):
        if ":" not in line:
            raise CredentialsError('invalid line in passwd file, no ":" separator found.')
        name, key_id, secret = _split(line)
        if not name and line.count(":") == 1:
            if default_seen:
                raise CredentialsError("more than one default key pair found in passwd file.")
            default_seen = True
            _pair(key_id, secret)
        if name and name == bucket:
            return _pair(key_id, secret)
    raise CredentialsError(f"your password file has no bucket '{bucket}'. Please check the bucket name.")


def _parse_keyed(text: str, bucket: str) -> Credentials:
    """1.91: entries by bucket, then the default entry."""
    lines = [_checked_line(line) for raw in text.split("\n") if (line := raw.strip()) and not line.startswith("#")]
    named: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name:
            named.setdefault(name, value)
    entries: dict[str, tuple[str, str]] = {}
    for line in lines:
        if ":" not in line:
            continue
        entry, key_id, secret = _split(line)
        if entry in entries:
            shown = entry or "default"
            raise CredentialsError(f"there are multiple entries for the same bucket({shown}) in the passwd file.")
        entries[entry] = (key_id, secret)
    named_id, named_secret = named.get("OSSAccessKeyId"), named.get("OSSSecretKey")
    if named_id is not None or named_secret is not None:
        if named_id is None or named_secret is None:
            raise CredentialsError("Accesskey or Secretkey is not specified.")
        return _pair(named_id, named_secret, "failed to set access key/secret key.")
    found = entries.get(bucket) or entries.get("")
    if found is None:
        raise CredentialsError("Not found access key/secret key in passwd file.")
    return _pair(*found, "failed to set internal data for access key/secret key from passwd file.")


def _from_environment(options: MountOptions, profile: Profile, environment: Mapping[str, str]) -> Credentials | None:
    key_id = environment.get("OSSACCESSKEYID")
    secret = environment.get("OSSSECRETACCESSKEY")
    token = None
    if profile.environment_aliases:
        key_id = environment.get("OSS_ACCESS_KEY_ID") if key_id is None else key_id
        secret = environment.get("OSS_ACCESS_KEY_SECRET") if secret is None else secret
        token = environment.get("OSSSESSIONTOKEN", environment.get("OSS_SESSION_TOKEN"))
    if key_id is None and secret is None:
        return None
    if key_id is None or secret is None:
        if profile.environment_aliases:
            raise CredentialsError(
                "both environment variables OSSACCESSKEYID and OSSSECRETACCESSKEY must be set together."
            )
        raise CredentialsError("if environment variable OSSACCESSKEYID is set then OSSSECRETACCESSKEY must be set too.")
    if token is not None:
        if not (key_id and secret and token):
            raise CredentialsError("session token is invalid.")
        return Credentials(key_id, secret, token)
    if options.use_session_token:
        raise CredentialsError("environment variable OSSSESSIONTOKEN is expected to be set.")
    return _pair(key_id, secret)


def _output(command: str, environment: Mapping[str, str]) -> str:
    """What credential_process= prints; a shell runs it (source: s3fs_run_command). Raises OSError."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            check=True,
            timeout=_PROGRAM_SECONDS,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"Could not run external credential process commandline : {command}") from error
    return done.stdout.decode("utf-8", "replace")


class _Metadata:
    """ram_role=: a URL, the name of a role, or "auto" to ask the metadata service for the name, once."""

    def __init__(self, options: MountOptions, profile: Profile, fetch: Fetch) -> None:
        self._ask = fetch
        self._role = options.ram_role
        self._with_token = profile.metadata_token and not options.disable_imdsv2

    def answer(self) -> str:
        """Raises OSError (urllib's errors are)."""
        if self._role == "auto":
            self._role = self._fetch(METADATA_URL).strip()
        return self._fetch(self._role if self._role.startswith("http") else METADATA_URL + self._role)

    def _fetch(self, url: str) -> str:
        headers = {}
        if self._with_token:
            try:
                lifetime = {TOKEN_TTL_HEADER: str(TOKEN_SECONDS)}
                headers[TOKEN_HEADER] = self._read("PUT", TOKEN_URL, lifetime)
                return self._read("GET", url, headers)
            except OSError:
                # As the original: without a token then.
                headers = {}
        return self._read("GET", url, headers)

    def _read(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        status, body = self._ask(method, url, headers, b"")
        if status != 200:
            raise OSError(f"{method} {url}: HTTP {status}")
        return body.decode("utf-8", "replace")


def _fields(answer: str, separator: str) -> dict[str, str]:
    """The fields that ossfs finds, without reading JSON as such: pieces between separators, text between quotes
    (source: ParseRAMCredentialResponse). "SecurityToken" is found as "Token"."""
    fields = {}
    names = ("AccessKeyId", "SecretAccessKey", "AccessKeySecret", "Token", "Expiration", "RoleArn")
    for piece in answer.split(separator):
        name = next((name for name in names if name in piece), "")
        _, colon, rest = piece[piece.find(name) :].partition(":")
        value = re.match(r'[^"]*"([^"]*)"', rest)
        if name and colon and value:
            fields["AccessKeySecret" if name == "SecretAccessKey" else name] = value[1]
    return fields


def _expiry(text: str) -> float:
    """Seconds since the epoch of "2026-11-23T10:00:00Z"; 0 when it is no such time."""
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
