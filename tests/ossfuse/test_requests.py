"""Every request that the real binaries send for an operation, in order: golden transcripts, replayed in process."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
import yaml

from osscloud.message import Request
from ossfuse.filesystem import Context

TRANSCRIPTS = yaml.load((Path(__file__).parent / "data" / "transcripts.yaml").read_text("utf-8"), yaml.CSafeLoader)
ROOT = Context(0, 0)


def line(request: Request) -> str:
    """A request as the transcripts write it."""
    words = [request.method, re.sub(r"uploadId=\w+", "uploadId=ID", request.target[1:])]
    headers = request.headers
    if "range" in headers:
        words.append("range=" + headers["range"])
    if "x-oss-copy-source" in headers:
        part = headers.get("x-oss-copy-source-range")
        words.append("copy=" + headers["x-oss-copy-source"].partition("/bkt/")[2] + (f"|{part}" if part else ""))
    if request.method in ("PUT", "POST"):
        words.append(f"len={len(request.body)}")
    if "content-type" in headers:
        words.append("type=" + headers["content-type"])
    return " ".join(words)


def call(volume, name: str, arguments: list) -> str | None:
    """Does one FUSE operation; returns the errno of its failure."""
    if name == "write":
        path, fh, size, offset = arguments
        arguments = [path, fh, bytes(size), offset]
    elif name == "setxattr":
        arguments = [*arguments[:2], arguments[2].encode(), *arguments[3:]]
    try:
        getattr(volume.fs, name)(ROOT, *arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=[f"{item['case']}-{item['version']}" for item in TRANSCRIPTS])
def test_the_requests_of_an_operation_are_those_of_the_real_binary(ossfs, transcript) -> None:
    volume = ossfs(transcript["version"], transcript.get("options", ""), prefix=transcript.get("prefix", ""))
    for item in transcript["objects"]:
        body = bytes(item["size"]) if "size" in item else item.get("body", "").encode()
        volume.put(item["key"], body, content_type=item.get("content_type"), meta=item.get("meta", {}))
    for step in transcript["steps"]:
        volume.transport.log.clear()
        for name, arguments, *failure in step["calls"]:
            assert call(volume, name, arguments) == (failure[0] if failure else None), (step["step"], name, arguments)
        sent = [line(request) for request, _ in volume.transport.log]
        expected = step["requests"]
        if step.get("unordered"):
            sent, expected = sorted(sent), sorted(expected)
        assert sent == expected, step["step"]
