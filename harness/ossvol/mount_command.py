"""`ossvol mount`: a volume and its cloud in one process, until it is unmounted or a signal ends it.

The mount hands its requests to the cloud without a socket, which makes small work several times faster than over HTTP.
The cloud listens all the same, for other clients. Called in the main thread of a process of its own.
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
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

from ossvol.errors import UsageError
from ossvol.keeping import kept
from ossvol.serve import SIGNALS, announced_key

if TYPE_CHECKING:
    from osscloud.accounts import AccessKey
    from ossfuse.profile import Fixed

__all__ = ["mount"]

_LOG_LIMIT = 100_000


def mount(
    target: str,
    mountpoint: Path,
    *,
    options: Sequence[str] = (),
    version: str = "",
    fixed: Fixed = False,
    data: Path | None = None,
    port: int = 0,
    json: bool = False,
    stdout: TextIO | None = None,
) -> int:
    """Mounts `target` (BUCKET or BUCKET:/PATH) of a cloud of its own; returns ossfs's exit code, 0 after an unmount.

    The bucket is created where it is not there. options: values of ossfs's -o. version: a release of ossfs 1.x, ""
    for the default; fixed: without its defects, or some. data: directory that keeps the cloud; without it the cloud is
    new and goes with the process. port: of the cloud, 0 takes a free one. Once it is mounted a line on stdout says
    where the cloud is, with json {"endpoint", "access_key_id", "access_key_secret", "bucket", "mountpoint", "pid"}.

    Raises UsageError: bad bucket name, unknown version or defect, data directory that cannot be used, port in use."""
    from osscloud.addressing import valid_bucket_name
    from osscloud.clock import AdjustableClock
    from osscloud.http_server import HttpServer, ListenError
    from osscloud.service import OssService, ServiceConfig
    from osscluster.direct import InProcessTransport
    from ossfuse import config
    from ossfuse.mount import Mount
    from ossfuse.profile import DEFAULT_VERSION, UnknownDefect, UnknownVersion, find

    bucket = target.partition(":")[0]
    if not valid_bucket_name(bucket):
        raise UsageError(f"{bucket!r} is no bucket name: 3 to 63 of a-z, 0-9 and -, no - at either end")
    try:
        profile = find(version or DEFAULT_VERSION, fixed=fixed)
    except (UnknownVersion, UnknownDefect) as error:
        raise UsageError(str(error)) from error
    output = stdout or sys.stdout
    clock = AdjustableClock()
    service = OssService(
        clock=clock, rng=random.Random(secrets.randbits(128)), config=ServiceConfig(log_limit=_LOG_LIMIT)
    )
    with ExitStack() as stack:
        if data is not None:
            stack.enter_context(kept(service, data))
        key = announced_key(service, "", "")
        if bucket not in service.admin.buckets():
            service.admin.create_bucket(bucket)
        with _signals_left_to_this_thread():
            try:
                server = stack.enter_context(HttpServer(service, port=port))
            except ListenError as error:
                raise UsageError(str(error)) from error
        passwd = Path(stack.enter_context(TemporaryDirectory(prefix="ossvol-mount-")), "passwd")
        passwd.touch(mode=0o600)
        passwd.write_text(f"{bucket}:{key.id}:{key.secret}\n")
        words = [target, str(mountpoint), f"-ourl={server.endpoint}"]
        for option in ("use_path_request_style", f"passwd_file={passwd}", *options):
            words += ["-o", option]
        mounted = Mount(
            # Nothing blocks: one thread serves best.
            [*words, "-f", "-s"],
            profile=profile,
            environment=config.environment(),
            program="ossvol mount",
            clock=clock,
            stdout=output,
            transport=InProcessTransport(service, server.endpoint, clock),
        )
        code = mounted.prepare()
        if code is not None:
            return code
        return mounted.serve(
            on_checked=lambda: print(
                _announcement(server.endpoint, key, bucket, mountpoint, json=json), file=output, flush=True
            )
        )


@contextmanager
def _signals_left_to_this_thread() -> Iterator[None]:
    """Threads that start meanwhile take no signal: the one that reads /dev/fuse has to wake up for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _announcement(endpoint: str, key: AccessKey, bucket: str, mountpoint: Path, *, json: bool) -> str:
    if not json:
        return (
            f"{bucket} is mounted at {mountpoint}; umount or Ctrl-C ends it and its cloud\n"
            f"  endpoint {endpoint}, access key id {key.id}, secret {key.secret}"
        )
    return json_module.dumps(
        {
            "endpoint": endpoint,
            "access_key_id": key.id,
            "access_key_secret": key.secret,
            "bucket": bucket,
            "mountpoint": str(mountpoint),
            "pid": os.getpid(),
        }
    )
