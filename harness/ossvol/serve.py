"""`ossvol serve`: the cloud alone, until a signal ends it.

`serve` is the whole command but for its command line (`cli`). It blocks SIGINT and SIGTERM in the thread that calls it,
which must be the process's only one: what the cloud starts inherits the mask, and the signals are waited for.
"""

from __future__ import annotations

import json as json_module
import os
import random
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ossvol.errors import UsageError
from ossvol.keeping import kept, load_file
from ossvol.switches import switched

if TYPE_CHECKING:
    from osscloud.accesslog import AccessLog
    from osscloud.accounts import AccessKey
    from osscloud.service import OssService

__all__ = ["SIGNALS", "announced_key", "serve"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What ends a server."""
_FLUSH_SECONDS = 0.2
_LOG_LIMIT = 100_000  # records kept for /-/log, about 50 MiB; a server may run for weeks


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    buckets: Sequence[str] = (),
    access_key_id: str = "",
    access_key_secret: str = "",
    access_log: str | None = None,
    data: Path | None = None,
    synced: bool = False,
    snapshot: Path | None = None,
    real_latency: bool = False,
    switches: Sequence[str] = (),
    json: bool = False,
    stdout: TextIO | None = None,
) -> int:
    """Serves a cloud until SIGINT or SIGTERM; returns 0.

    data: directory that keeps it: what was acknowledged outlives the process, however that ends; synced: and the
    machine. snapshot: file with the state to start from, for which a data directory must be new. Without either the
    cloud is new and empty. real_latency: answers wait for their simulated cost. switches: "NAME=VALUE" (`switches`).

    port: 0 takes a free one. buckets: names of buckets to create where they are not there. access_key_id,
    access_key_secret: generated when empty and the state has no key of an account that is active. access_log: file that
    gets one JSON object a request, appended. json: the first line on stdout is {"endpoint", "region", "access_key_id",
    "access_key_secret", "control_token", "pid"} and nothing follows; otherwise the same for people, with commands to
    try.

    Raises UsageError: bad bucket name, port in use, remote address without allow_remote, log file that cannot be
    opened, id or secret given without the other, data directory or snapshot that cannot be used."""
    from osscloud.addressing import valid_bucket_name
    from osscloud.clock import AdjustableClock
    from osscloud.control import Control
    from osscloud.http_server import HttpServer, ListenError
    from osscloud.origin_http import HttpOrigin
    from osscloud.service import OssService, ServiceConfig

    output = stdout or sys.stdout
    if bool(access_key_id) != bool(access_key_secret):
        raise UsageError("--access-key-id and --access-key-secret go together: give both or neither")
    for name in buckets:
        if not valid_bucket_name(name):
            raise UsageError(f"{name!r} is no bucket name: 3 to 63 of a-z, 0-9 and -, no - at either end")
    if synced and data is None:
        raise UsageError("--sync is about --data DIR: name the directory as well")
    clock = AdjustableClock()
    config = switched(ServiceConfig(log_limit=_LOG_LIMIT), switches)
    origin = HttpOrigin()
    service = OssService(clock=clock, rng=random.Random(secrets.randbits(128)), config=config, origin=origin)
    token = secrets.token_urlsafe(24)
    control = Control(service, clock=clock, token=token)
    with signals_waited_for(), ExitStack() as stack:
        if data is not None:
            stack.enter_context(kept(service, data, synced=synced))
        if snapshot is not None:
            if data is not None and (service.store.buckets or service.accounts.keys):
                raise UsageError(
                    f"{data} holds a state already, which --snapshot would replace: leave it out, or name a new "
                    "directory; ossvol snapshot load replaces"
                )
            load_file(service, snapshot)
        key = announced_key(service, access_key_id, access_key_secret)
        known = service.admin.buckets()
        for name in dict.fromkeys(buckets):
            if name not in known:
                service.admin.create_bucket(name)
        service.store.settle()
        log = _open_log(access_log, stack)
        writer = _LogWriter(service.access_log, log)
        stack.callback(writer.flush)
        try:
            server = stack.enter_context(
                HttpServer(
                    service, host=host, port=port, allow_remote=allow_remote, control=control, real_latency=real_latency
                )
            )
        except ListenError as error:
            raise UsageError(str(error)) from error
        # Before the server stops: it would wait for what waits for an origin.
        stack.callback(origin.close)
        if json:
            facts = {
                "endpoint": server.endpoint,
                "region": service.config.region,
                "access_key_id": key.id,
                "access_key_secret": key.secret,
                "control_token": token,
                "pid": os.getpid(),
            }
            print(json_module.dumps(facts), file=output, flush=True)
        else:
            print(
                _for_people(server.endpoint, service.config.region, key, token, service.admin.buckets()),
                file=output,
                flush=True,
            )
        while signal.sigtimedwait(SIGNALS, _FLUSH_SECONDS if log else 3600.0) is None:
            writer.flush()
    return 0


def announced_key(service: OssService, id: str, secret: str) -> AccessKey:
    """The key to announce: the one given, or the first that the state has, or a new one."""
    if id:
        known = service.accounts.find(id)
        if known is not None and known.secret != secret:
            raise UsageError(f"access key {id} has another secret there: give that, or another id")
        try:
            return known or service.accounts.create_key(id=id, secret=secret)
        except ValueError as error:
            raise UsageError(f"--access-key-id: {error}") from error
    usable = (key for key in service.accounts.keys.values() if key.status == "Active" and not key.user)
    return next(usable, None) or service.accounts.create_key()


@contextmanager
def signals_waited_for() -> Iterator[None]:
    """Blocks SIGNALS in the thread that calls; whoever is inside waits for them with sigtimedwait."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        # A second Ctrl-C during the clean-up asks for what is being done already.
        while signal.sigtimedwait(SIGNALS, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _open_log(path: str | None, stack: ExitStack) -> TextIO | None:
    if path is None:
        return None
    try:
        return stack.enter_context(open(path, "a", encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write the access log {path}: {error.strerror}") from error


class _LogWriter:
    """Copies new records of an access log to a file."""

    def __init__(self, log: AccessLog, file: TextIO | None) -> None:
        self._log = log
        self._file = file
        self._mark = log.mark()

    def flush(self) -> None:
        from osscloud.control import record_json

        if self._file is None:
            return
        records = self._log.since(self._mark)
        self._mark += len(records)
        self._file.writelines(record_json(record) + "\n" for record in records)
        self._file.flush()


def _for_people(endpoint: str, region: str, key: AccessKey, token: str, buckets: Sequence[str]) -> str:
    bucket = buckets[0] if buckets else "demo"
    create = "" if buckets else f"\n  ossutil mb oss://{bucket} -e {endpoint} -i {key.id} -k {key.secret}"
    return f"""\
ossvol: a cloud is served at {endpoint} (Ctrl-C ends it)

  endpoint           {endpoint}
  region             {region}
  access key id      {key.id}
  access key secret  {key.secret}
  control token      {token}
  buckets            {", ".join(buckets) or "none yet"}

With ossutil:{create}
  ossutil ls oss://{bucket} -e {endpoint} -i {key.id} -k {key.secret}

Mounted:
  echo {bucket}:{key.id}:{key.secret} > passwd && chmod 600 passwd && mkdir -p mnt
  ossfs-sim {bucket} mnt -ourl={endpoint} -o use_path_request_style -o passwd_file=passwd

With Python:
  import boto3, botocore.config
  s3 = boto3.client("s3", endpoint_url="{endpoint}", region_name="{region}",
      aws_access_key_id="{key.id}", aws_secret_access_key="{key.secret}",
      config=botocore.config.Config(request_checksum_calculation="when_required", s3={{"addressing_style": "path"}}))

STS, at the same endpoint (plain HTTP), and users and roles for it:
  for SDKs endpoint="{endpoint.removeprefix("http://")}", protocol="http"
  curl -H "Authorization: Bearer {token}" {endpoint}/-/ram -d '{{"users": [{{"name": "app", "keys": 1,
    "policies": ["AliyunOSSReadOnlyAccess"]}}]}}'

The access log:
  curl -H "Authorization: Bearer {token}" {endpoint}/-/log"""
