"""The check that ossfs makes before (or just after) it mounts: which request, which answers pass, which words follow.

Called once, by the thread that mounts.
"""

from __future__ import annotations

import errno
import socket

from ossfuse.client import ObjectClient, element_text
from ossfuse.errors import MountCheckFailed, RequestFailed
from ossfuse.options import MountOptions
from ossfuse.profile import CheckRequest, CheckWording, Profile

__all__ = ["check_mount", "unreachable_text"]


def check_mount(client: ObjectClient, options: MountOptions, profile: Profile) -> None:
    """Asks for the bucket, or for what is mounted of it (source: s3fs_check_service, S3fsCurl::CheckBucket). Raises
    MountCheckFailed. Where the answer names another endpoint, the client uses that one from here on."""
    if options.public_bucket and profile.check_public_bucket_skipped:
        return
    if not client.has_credentials():
        raise MountCheckFailed("Failed to initialize RAM credential.")
    failed = _ask(client, options, profile)
    if failed is None:
        return
    status = failed.status or 0
    if profile.check_follows_endpoint and 300 <= status < 500 and (host := element_text(failed.body, "Endpoint")):
        client.host = f"{client.host.partition('://')[0]}://{host}"
        failed = _ask(client, options, profile)
    elif profile.check_repeats_refusal and status in (400, 403):
        failed = _ask(client, options, profile)
    if failed is None or failed.status == 301:
        return
    if (
        profile.check_request is CheckRequest.BUCKET_THEN_PREFIX
        and options.prefix
        and 300 <= (failed.status or 0) < 500
    ):
        failed = _prefix_object(client)
        if failed is None:
            return
    if failed.status == 404 and profile.check_prefix_missing_tolerated:
        code = element_text(failed.body, "Code")
        if code and code != "NoSuchBucket":
            return
    raise MountCheckFailed(_WORDING[profile.check_wording](failed, client.host, options.bucket))


def unreachable_text(profile: Profile, host: str, bucket: str, *, timed_out: bool) -> str:
    """What the check says where nobody answers at `host` (a url); timed_out: else its name does not resolve."""
    cause = TimeoutError() if timed_out else socket.gaierror()
    return _WORDING[profile.check_wording](RequestFailed(errno.EIO, "/", cause=cause), host, bucket)


def _ask(client: ObjectClient, options: MountOptions, profile: Profile) -> RequestFailed | None:
    params: list[tuple[str, str]] = []
    match profile.check_request:
        case CheckRequest.PREFIX_OBJECT:
            if profile.check_max_keys:
                params.append(("max-keys", str(profile.check_max_keys)))
            return _outcome(client, True, params)
        case CheckRequest.BUCKET | CheckRequest.BUCKET_THEN_PREFIX:
            if options.listobjectsv2:
                params.append(("list-type", "2"))
            return _outcome(client, False, params)
        case CheckRequest.LIST_PREFIX:
            if options.listobjectsv2:
                params.append(("list-type", "2"))
            params.append(("max-keys", str(profile.check_max_keys)))
            if options.prefix:
                params.append(("prefix", client.list_prefix("/")))
            return _outcome(client, False, params)


def _prefix_object(client: ObjectClient) -> RequestFailed | None:
    return _outcome(client, True, [])


def _outcome(client: ObjectClient, prefix_object: bool, params: list[tuple[str, str]]) -> RequestFailed | None:
    try:
        client.check(prefix_object=prefix_object, params=params)
    except RequestFailed as failed:
        return failed
    return None


def _xml_body(failed: RequestFailed, host: str, bucket: str) -> str:
    body = failed.body.decode("utf-8", "replace")
    match failed.status:
        case 400:
            return f"bad request\n\n{body}"
        case 403:
            return f"invalid credentials\n\n{body}"
        case 404:
            return f"bucket '{bucket}' does not exist\n\n{body}"
    if isinstance(failed.cause, TimeoutError):
        return f"connection timeout: {host}"
    if isinstance(failed.cause, socket.gaierror):
        return f"could not resolve host '{host}'. If you use IP, please try to add option '-o use_path_reqeust_style'"
    return f"unable to connect url '{host}'"


def _log_result(failed: RequestFailed, host: str, bucket: str) -> str:
    del bucket
    words = {400: "Bad Request", 403: "invalid credentials", 404: "bucket or key not found"}
    what = words.get(failed.status or 0, "unable to connect")
    return f"{what}(host={host}) - result of checking service."


def _failed_to_check(failed: RequestFailed, host: str, bucket: str) -> str:
    del bucket
    told = element_text(failed.body, "Message")
    if failed.status == 404:
        if element_text(failed.body, "Code") != "NoSuchBucket":
            return ""
        return f"Failed to check bucket : Bucket not found(host={host}, message={told})"
    words = {400: "Bad Request", 403: "Invalid Credentials"}
    what = words.get(failed.status or 0, "Unable to connect")
    return f"Failed to check bucket and directory for mount point : {what}(host={host}, message={told})"


_WORDING = {
    CheckWording.XML_BODY: _xml_body,
    CheckWording.LOG_RESULT: _log_result,
    CheckWording.LOG_FAILED: _failed_to_check,
    CheckWording.STDERR_FAILED: _failed_to_check,
}
