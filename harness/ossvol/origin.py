"""What a scenario's mirror rules fetch from: moto's S3 server in a process of its own, a LocalStack that runs already,
or another bucket of the same cloud.

The servers are no part of the cloud: somebody else's, reached over HTTP. Used from the runner's thread only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import select
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote, urlsplit

from osscluster.errors import ClusterError, EnvironmentMissing
from osscluster.leftovers import Run
from osscluster.spawner import Process, Spawner

if TYPE_CHECKING:
    from osscluster.cloud import Cloud
    from ossvol.other_client import OtherClient

__all__ = ["CloudBucket", "MotoServer", "S3Bucket", "localstack_endpoint", "open_bucket"]

_START_SECONDS = 60.0
_CALL_SECONDS = 20.0

# Neither server checks signatures, but both want to see one before they let somebody write.
_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=ossvol/20240903/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class MotoServer:
    """moto's S3 server. `shared` gives the one of this process's run: it is started at the first call and ends with the
    run, however that ends."""

    _shared: ClassVar[dict[Path, MotoServer]] = {}

    def __init__(self, run: Run) -> None:
        self.run = run
        self._process, self.port = _start(run)

    @classmethod
    def shared(cls, run: Run | None = None) -> MotoServer:
        """Raises EnvironmentMissing when moto is not installed, ClusterError when it does not start."""
        run = run or Run.current()
        known = cls._shared.get(run.directory)
        if known is None or known.run is not run or known._process.poll() is not None:
            known = cls._shared[run.directory] = cls(run)
        return known

    @property
    def endpoint(self) -> str:
        """ "http://127.0.0.1:PORT"."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def reset(self) -> None:
        """Forgets every bucket."""
        _call(self.endpoint, "POST", "/moto-api/reset")


def _start(run: Run) -> tuple[Process, int]:
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("werkzeug") is None:
        raise EnvironmentMissing("moto's S3 server is not installed", "pip install 'ossvol[mirror]'")
    log = run.new_directory("origin") / "log"
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as answers, log.open("w+b") as errors:
        with open(writing, "wb", buffering=0):
            process = Spawner.shared(run).execute(
                sys.executable,
                ["-P", "-m", "ossvol.s3_server"],
                environment={},
                stdout=writing,
                stderr=errors.fileno(),
            )
        poller = select.poll()
        poller.register(answers, select.POLLIN)
        line = answers.readline() if poller.poll(_START_SECONDS * 1000) else b""
    if not line.strip().isdigit():
        process.end()
        raise ClusterError(f"moto's S3 server did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
    return process, int(line)


def localstack_endpoint() -> str:
    """Where a LocalStack's S3 listens, as localstack-client is configured (LOCALSTACK_HOST, AWS_ENDPOINT_URL, ...).

    Raises EnvironmentMissing: localstack-client is not installed, nothing listens, or it is no LocalStack."""
    if importlib.util.find_spec("localstack_client") is None:
        raise EnvironmentMissing("localstack-client is not installed", "pip install 'ossvol[localstack]'")
    from localstack_client import config

    endpoint = str(config.get_service_endpoint("s3")).rstrip("/")
    try:
        status, body = _exchange(endpoint, "GET", "/_localstack/health")
        known = "s3" in json.loads(body)["services"] if status == 200 else False
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise EnvironmentMissing(f"no LocalStack with S3 answers at {endpoint}", "localstack start -d")
    return endpoint


class S3Bucket:
    """One bucket of an S3 server, to be mirrored from. name: as it is called there."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._endpoint = endpoint
        self.name = name
        self._keys: set[str] = set()
        self._closed = False
        _call(endpoint, "PUT", f"/{name}")

    @property
    def url(self) -> str:
        """For MirrorURL: the bucket, with a slash at its end."""
        return f"{self._endpoint}/{self.name}/"

    def put(
        self, key: str, body: bytes, *, content_type: str, acl: Literal["public-read", "private"] = "public-read"
    ) -> None:
        """Writes an object. An origin is asked without a signature, so a private one is refused (403)."""
        headers = {"Content-Type": content_type, "x-amz-acl": acl}
        _call(self._endpoint, "PUT", f"/{self.name}/{quote(key)}", body, headers)
        self._keys.add(key)

    def delete(self, key: str) -> None:
        """Removes an object; none is no error."""
        _call(self._endpoint, "DELETE", f"/{self.name}/{quote(key)}")
        self._keys.discard(key)

    def close(self) -> None:
        """Removes the bucket with what was put there; safe to call twice."""
        if not self._closed:
            self._closed = True
            for key in sorted(self._keys):
                self.delete(key)
            _call(self._endpoint, "DELETE", f"/{self.name}")


class CloudBucket:
    """A public-read bucket of the cloud that mirrors from it. client: who writes there."""

    def __init__(self, cloud: Cloud, name: str, client: OtherClient) -> None:
        self._cloud = cloud
        self._client = client
        self._closed = False
        self.name = name
        cloud.admin.create_bucket(name, acl="public-read")

    @property
    def url(self) -> str:
        """For MirrorURL: the bucket, with a slash at its end."""
        return f"{self._cloud.endpoint}/{self.name}/"

    def put(
        self, key: str, body: bytes, *, content_type: str, acl: Literal["public-read", "private"] = "public-read"
    ) -> None:
        """Writes an object; a private one is refused (403) to who does not sign."""
        self._client.put(self.name, key, body, content_type=content_type, acl=acl)

    def delete(self, key: str) -> None:
        """Removes an object; none is no error."""
        self._client.delete(self.name, key)

    def close(self) -> None:
        """Removes the bucket with what is in it; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._cloud.admin.delete_bucket(self.name, force=True)


def open_bucket(server: Literal["moto", "localstack"], name: str) -> S3Bucket:
    """A new bucket: on a moto that knows nothing else, or beside whatever a LocalStack has, under a name that nobody
    else uses. Raises EnvironmentMissing, ClusterError."""
    if server == "moto":
        moto = MotoServer.shared()
        moto.reset()
        return S3Bucket(moto.endpoint, name)
    return S3Bucket(localstack_endpoint(), f"ossvol-{name}-{secrets.token_hex(4)}"[:63])


def _call(endpoint: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Raises ClusterError unless the server does it."""
    try:
        status, answer = _exchange(endpoint, method, path, body, {**_SIGNED, **(headers or {})})
    except (OSError, HTTPException) as error:
        raise ClusterError(f"the origin {endpoint} does not answer {method} {path}: {error}") from error
    if status >= 300 and not (method == "DELETE" and status == 404):
        raise ClusterError(f"the origin {endpoint} answers {method} {path} with {status}: {answer[:300]!r}")


def _exchange(
    endpoint: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(endpoint)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_CALL_SECONDS)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
