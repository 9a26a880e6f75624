"""The utility mode of ossfs: lists or aborts the unfinished multipart uploads of a bucket instead of mounting it.

One call of `run` does it all, in the calling thread.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ossfuse.attributes import parse_iso_date
from ossfuse.client import ObjectClient
from ossfuse.errors import RequestFailed
from ossfuse.options import MountOptions
from ossfuse.profile import Profile

__all__ = ["run"]

_RULE = "---------------------------------------------------------------"
_YES, _NO = ("y", "yes"), ("n", "no")


@dataclass(frozen=True, slots=True)
class _Upload:
    path: str
    upload: str
    begun: str


def run(
    client: ObjectClient,
    options: MountOptions,
    profile: Profile,
    *,
    now: Callable[[], float],
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """The exit code (source: s3fs_utility_mode of 1.80, s3fs_utility_processing of 1.91). stdin: 1.80 asks whether to
    abort what it has listed; its end counts as no, where the original asks for ever."""
    asks = profile.utility_asks
    stdout.write("Utility Mode\n" if asks else "\n*** ossfs run as utility mode.\n\n")
    try:
        uploads = _parse(client.list_uploads())
    except RequestFailed:
        stdout.flush()
        more = "" if asks else "\nThere is no incomplete multipart uploaded object in bucket.\n"
        stderr.write(f"ossfs: Could not get list multipart upload.{more}\n")
        return 1
    if uploads is None:
        return 1
    if asks or options.utility == "list":
        _show(uploads, stdout)
    if asks:
        aborted = uploads if uploads and _confirmed(stdin, stdout) else []
    elif options.utility == "abort":
        aborted = [one for one in uploads if _old_enough(one, options.utility_age, now())]
    else:
        aborted = []
    outcomes = [_abort(client, one, stdout, stderr) for one in aborted]
    stdout.flush()
    return 0 if all(outcomes) else 1


def _parse(body: bytes) -> list[_Upload] | None:
    """None when the answer is not what it should be."""
    try:
        root: ET.Element = fromstring(body)
    except (ET.ParseError, DefusedXmlException, ValueError):
        return None
    uploads = []
    for element in root:
        if _local(element) != "Upload":
            continue
        fields = {_local(child): child.text or "" for child in element}
        if not {"Key", "UploadId", "Initiated"} <= fields.keys():
            continue
        key = fields["Key"]
        uploads.append(_Upload(key if key.startswith("/") else f"/{key}", fields["UploadId"], fields["Initiated"]))
    return uploads


def _local(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _show(uploads: list[_Upload], stdout: TextIO) -> None:
    stdout.write("\nLists the parts that have been uploaded for a specific multipart upload.\n\n")
    if not uploads:
        stdout.write("There is no list.\n")
        return
    stdout.write(f"{_RULE}\n")
    for one in uploads:
        stdout.write(f" Path     : {one.path}\n UploadId : {one.upload}\n Date     : {one.begun}\n\n")
    stdout.write(f"{_RULE}\n")


def _confirmed(stdin: TextIO, stdout: TextIO) -> bool:
    while True:
        stdout.write("Would you remove all objects? [Y/N]\n")
        stdout.flush()
        line = stdin.readline()
        if line.strip("\n").lower() in _YES:
            return True
        if not line or line.strip("\n").lower() in _NO:
            return False
        stdout.write("*** please put Y(yes) or N(no).\n")


def _old_enough(one: _Upload, age: int, now: float) -> bool:
    if not age:
        return True
    begun = parse_iso_date(one.begun)
    return bool(begun) and int(now) > begun + age


def _abort(client: ObjectClient, one: _Upload, stdout: TextIO, stderr: TextIO) -> bool:
    try:
        client.abort(one.path, one.upload)
    except RequestFailed:
        stdout.flush()
        stderr.write(f"ossfs: Failed to remove {one.path} multipart uploading object.\n")
        return False
    stdout.write(f"Succeed to remove {one.path} multipart uploading object.\n")
    return True
