"""`ossvol check`: the console's check of the PersistentVolumes in a file, against a served cloud."""

from __future__ import annotations

import base64
import binascii
import http.client
import json as json_module
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from osscloud.message import Request, Response
from osscluster import consolecheck
from osscluster.api.manifests import Manifest
from osscluster.network import endpoint_of
from osscluster.nodespec import NodeSpec
from ossvol.errors import UsageError
from ossvol.manifest_files import load_manifests

__all__ = ["check"]

_SECONDS = 30.0


def check(
    files: Sequence[Path], *, endpoint: str = "", region: str = "", internet: bool = True, json: bool = False
) -> bool:
    """Prints what the check of every PersistentVolume in the files logs and what it means; whether all passed.

    endpoint: of an `ossvol serve`, which stands for every endpoint of the vendor's; region, internet: of the cluster.
    Raises UsageError (file, volume, endpoint), ScenarioErrors (mistakes in a manifest)."""
    manifests = load_manifests(files)
    for warning in manifests.warnings:
        print(warning, file=sys.stderr)
    volumes = [one for one in manifests.objects if one.object["kind"] == "PersistentVolume"]
    if not volumes:
        raise UsageError(f"{', '.join(map(str, files))}: no PersistentVolume there")
    node = NodeSpec("node-1", region=region or "cn-hangzhou", internet=internet)
    secrets = _secrets(manifests.objects)
    results = [(one.object["metadata"]["name"], _check(one, secrets, endpoint, node)) for one in volumes]
    if json:
        print(json_module.dumps({"version": 1, "checks": [_entry(name, outcome) for name, outcome in results]}))
    else:
        print("\n\n".join(_text(name, outcome) for name, outcome in results))
    return all(outcome.passed for _, outcome in results)


def _check(
    volume: Manifest, secrets: Mapping[tuple[str, str], Mapping[str, str]], endpoint: str, node: NodeSpec
) -> consolecheck.Outcome:
    try:
        named = consolecheck.secret_of(volume.object)
        if named is not None and named not in secrets:
            raise consolecheck.NotCheckable(f"Secret {'/'.join(named)} is in none of the files")
        access = consolecheck.read_volume(volume.object, secrets[named] if named else None)
    except consolecheck.NotCheckable as error:
        raise UsageError(f"{volume.place}: {error}") from error

    def send(request: Request) -> Response:
        if not endpoint and endpoint_of(access.endpoint) is not None:
            raise UsageError(
                f"{volume.place}: {access.endpoint} is reached, but nothing here stands for it: name a cloud with "
                "--endpoint http://HOST:PORT, as ossvol serve prints it"
            )
        return _sent(endpoint or access.endpoint, request)

    return consolecheck.check(access, send, node=node, now=time.time())


def _sent(endpoint: str, request: Request) -> Response:
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{endpoint!r} is no endpoint: write http://HOST:PORT as ossvol serve printed it")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        connection.request(request.method, request.target, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, dict(answer.getheaders()), answer.read())
    except http.client.HTTPException as error:
        raise OSError(f"no OSS answers at {endpoint}: {error!r}") from error
    finally:
        connection.close()


def _secrets(objects: Sequence[Manifest]) -> dict[tuple[str, str], Mapping[str, str]]:
    found = {}
    for one in objects:
        if one.object["kind"] == "Secret":
            metadata = one.object["metadata"]
            found[metadata.get("namespace", "default"), metadata["name"]] = _decoded(one)
    return found


def _decoded(secret: Manifest) -> Mapping[str, str]:
    try:
        data = {
            name: base64.b64decode(value).decode("utf-8", "surrogateescape")
            for name, value in (secret.object.get("data") or {}).items()
        }
    except binascii.Error as error:
        raise UsageError(f"{secret.place}: {error}") from error
    return {**data, **(secret.object.get("stringData") or {})}


def _entry(name: str, outcome: consolecheck.Outcome) -> dict[str, Any]:
    finding = outcome.finding
    return {
        "volume": name,
        "passed": outcome.passed,
        "log": list(outcome.lines),
        "finding": None if finding is None else {"id": finding.id, "cause": finding.cause, "remedy": finding.remedy},
    }


def _text(name: str, outcome: consolecheck.Outcome) -> str:
    finding = outcome.finding
    said = [f"{name}: passed"] if finding is None else [f"{name}: {finding.cause}", f"fix: {finding.remedy}"]
    return "\n".join([*outcome.lines, "", *said])
