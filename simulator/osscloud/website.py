"""Static website hosting: what a bucket with a website configuration answers to GET and HEAD of an object.

`CONFIGURATION` is the configuration's row, `serve` the one entry point of the pipeline: it wraps what the request would
be answered without a website. The same host serves API and website, and nothing exempts a signed request for an object:
that is how hosting breaks a mount. Called by the thread that handles the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import quote
from xml.etree.ElementTree import Element

from osscloud.addressing import Address, split_target
from osscloud.errors import OssError
from osscloud.message import Deferred, Response
from osscloud.mirror import Origin, fetch
from osscloud.mirrorrule import Mirror
from osscloud.operations.call import Call, Operation
from osscloud.operations.config import boolean, configured, missing, one_of, text, xml
from osscloud.operations.metadata import invalid
from osscloud.operations.object import get_object
from osscloud.routing import (
    CDN_HEADER,
    RULE_SCHEMA,
    External,
    Internal,
    Rule,
    check_rules,
    first_match,
    location,
    read_rules,
)
from osscloud.store import UNVERSIONED
from osscloud.xml import child_text, parse

__all__ = ["CONFIGURATION", "ErrorDocument", "IndexDocument", "Website", "refuse_versioning", "routes", "serve"]

_ROOT = "WebsiteConfiguration"

_LISTING_PARAMETERS = frozenset(
    {
        "prefix",
        "marker",
        "delimiter",
        "max-keys",
        "encoding-type",
        "list-type",
        "continuation-token",
        "start-after",
        "fetch-owner",
    }
)


@dataclass(frozen=True, slots=True)
class IndexDocument:
    """suffix: name of the index page. sub_directories: each "directory" has its own (SupportSubDir). type: what a
    missing key without trailing slash becomes then: 0 a redirect to the directory, 1 nothing, 2 its page."""

    suffix: str
    sub_directories: bool = False
    type: int = 0

    def page_of(self, key: str) -> str:
        """The key of the index page for a key that is empty or ends in "/"."""
        return key + self.suffix if self.sub_directories else self.suffix


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    key: str
    status: int = 404


@dataclass(frozen=True, slots=True)
class Website:
    index: IndexDocument | None
    error: ErrorDocument | None
    rules: tuple[Rule, ...]


# The configuration


def _check(call: Call, element: Element) -> None:
    index, error, rules = element.find("IndexDocument"), element.find("ErrorDocument"), element.find("RoutingRules")
    if index is None and error is None and rules is None:
        raise OssError("MalformedXML", extras={"ErrorDetail": "the configuration is empty"})
    if index is not None:
        suffix = child_text(index, "Suffix") or ""
        if not suffix or "/" in suffix:
            raise invalid("Suffix", suffix, "The suffix of the index document is empty or holds a slash.")
    if error is not None and not child_text(error, "Key"):
        raise invalid("Key", "", "The key of the error document is empty.")
    if rules is not None:
        check_rules(rules, numbered=not call.identity.scheme.startswith("AWS"))
        mirrors = any(isinstance(rule.redirect, Mirror) for rule in read_rules(rules))
        if mirrors and call.bucket.versioning != UNVERSIONED and not call.config.versioned_mirror:
            raise _not_both()


def _not_both() -> OssError:
    message = "Mirror-based back-to-origin rules and versioning cannot be configured at the same time."
    return OssError("OperationNotSupported", message)


CONFIGURATION = xml(
    "website",
    "BucketWebsite",
    _ROOT,
    {
        "IndexDocument?": {"Suffix": text, "SupportSubDir?": boolean, "Type?": one_of("0", "1", "2")},
        "ErrorDocument?": {"Key": text, "HttpStatus?": one_of("200", "404")},
        "RoutingRules?": {"RoutingRule*": RULE_SCHEMA},
    },
    unset=missing("NoSuchWebsiteConfiguration"),
    check=_check,
)


def _read(kept: bytes) -> Website:
    root = parse(kept, _ROOT)
    index, error = root.find("IndexDocument"), root.find("ErrorDocument")
    return Website(
        None
        if index is None
        else IndexDocument(
            child_text(index, "Suffix") or "",
            boolean(child_text(index, "SupportSubDir") or "false"),
            int(child_text(index, "Type") or "0"),
        ),
        None
        if error is None
        else ErrorDocument(child_text(error, "Key") or "", int(child_text(error, "HttpStatus") or "404")),
        read_rules(root.find("RoutingRules")),
    )


def refuse_versioning(call: Call) -> None:
    """To be called before versioning is switched on. Raises OssError OperationNotSupported where a rule of the bucket
    is a mirror's."""
    website = configured(call.bucket, "website", _read)
    if website is None or call.config.versioned_mirror:
        return
    if any(isinstance(rule.redirect, Mirror) for rule in website.rules):
        raise _not_both()


# Serving


def routes(call: Call, operation: Operation) -> bool:
    """Whether a website of the bucket may have a say: GET and HEAD of an object, and of the bucket by somebody who does
    not sign and asks for no listing. Sub-resources have operations of their own, and a version is asked for by id."""
    if operation.name == "GetObject":
        return "versionId" not in call.params
    if operation.name == "HeadObject":
        return call.config.website_head and "versionId" not in call.params
    if operation.name == "GetBucket" or (operation.name == "HeadBucket" and call.config.website_head):
        return call.identity.anonymous and _LISTING_PARAMETERS.isdisjoint(call.params)
    return False


def serve(call: Call, address: Address, plain: Callable[[], Response], origin: Origin) -> Response | Deferred:
    """The answer of the bucket's website. plain: what the request is answered without one. origin: where mirror rules
    fetch from; what that takes is deferred. Raises OssError."""
    website = configured(call.bucket, "website", _read)
    if website is None:
        return plain()
    return _Visit(call, address, website, origin).serve(plain)


class _Visit:
    """One request for one website."""

    def __init__(self, call: Call, address: Address, website: Website, origin: Origin) -> None:
        self._call = call
        self._address = address
        self._website = website
        self._origin = origin

    def serve(self, plain: Callable[[], Response]) -> Response | Deferred:
        outcome = self._outcome(plain)
        status = outcome.status
        rule = first_match(
            self._website.rules, self._call.key, status, self._call.headers, head=self._call.method == "HEAD"
        )
        if rule is None:
            return self._finish(outcome)
        redirect = rule.redirect
        if isinstance(redirect, Mirror):
            return Deferred(lambda: self._finish(self._mirrored(rule, redirect)))
        if isinstance(redirect, External):
            return self._external(rule, redirect)
        return self._finish(self._internal(rule, redirect))

    # What comes of the request before any rule

    def _outcome(self, plain: Callable[[], Response]) -> Response | OssError:
        key, index = self._call.key, self._website.index
        if index is None or (key and not key.endswith("/")):
            return _attempt(plain)
        if key and self._call.config.index_page == "missing":
            outcome = _attempt(plain)
            if not _is_missing(outcome):
                return outcome
        outcome = self._read(index.page_of(key))
        # Whoever asked for "dir/" is told that "dir/" is not there.
        return _no_such_key(key) if key and _is_missing(outcome) else outcome

    def _read(self, key: str, *, whole: bool = False) -> Response | OssError:
        """An object of the bucket in the name of the client. whole: whatever the request says of ranges, conditions and
        headers to override."""

        def read() -> Response:
            with _instead(self._call, key, whole=whole):
                self._call.authorise("oss:GetObject", self._call.bucket, key, "read")
                return get_object(self._call)

        return _attempt(read)

    # What a rule makes of it

    def _mirrored(self, rule: Rule, mirror: Mirror) -> Response | OssError:
        query = split_target(self._call.request.target)[1]
        matched = rule.condition.prefix
        return _attempt(lambda: fetch(self._call, mirror, matched=matched, query=query, origin=self._origin))

    def _external(self, rule: Rule, redirect: External) -> Response:
        call = self._call
        target = location(
            rule,
            redirect,
            key=call.key,
            query=split_target(call.request.target)[1],
            scheme="https" if call.request.secure else "http",
            host=call.headers.get("host", ""),
            bucket=call.bucket_name if self._address.path_style else "",
        )
        headers = {"Location": target}
        if redirect.kind == "AliCDN":
            headers[CDN_HEADER] = redirect.kind
        return Response(redirect.code, headers)

    def _internal(self, rule: Rule, redirect: Internal) -> Response | OssError:
        return self._read(redirect.replacement.of(self._call.key, rule.condition.prefix))

    # What the website makes of what is still missing

    def _finish(self, outcome: Response | OssError) -> Response:
        if isinstance(outcome, Response):
            return self._page(outcome)
        if not _is_missing(outcome):
            raise outcome
        index = self._website.index
        key = self._call.key
        if index is not None and index.sub_directories and key and not key.endswith("/") and index.type != 1:
            page = self._read(index.page_of(key + "/"))
            if isinstance(page, Response):
                return self._page(page) if index.type == 2 else self._to_directory()
        return self._error_page(outcome)

    def _to_directory(self) -> Response:
        call = self._call
        bucket = f"{call.bucket_name}/" if self._address.path_style else ""
        return Response(302, {"Location": f"/{bucket}{quote(call.key, errors='surrogateescape')}/"})

    def _error_page(self, missing: OssError) -> Response:
        document = self._website.error
        if document is None:
            raise missing
        page = self._read(document.key, whole=True)
        if isinstance(page, OssError):
            raise missing if _is_missing(page) else page
        if document.status == 404:
            self._call.concealed = missing
            return self._page(replace(page, status=404, headers={**page.headers, **missing.headers}))
        return self._page(page)

    def _page(self, page: Response) -> Response:
        """An HTML page that is asked for at the bucket's default domain is a download."""
        if not self._call.config.force_download or not page.header("Content-Type").startswith("text/html"):
            return page
        own_host = self._call.headers.get("host", "").startswith(f"{self._call.bucket_name}.")
        if not self._address.path_style and not own_host:
            return page
        marks = {"Content-Disposition": "attachment", "x-oss-force-download": "true"}
        return replace(page, headers={**page.headers, **marks})


def _attempt(step: Callable[[], Response]) -> Response | OssError:
    try:
        return step()
    except OssError as error:
        return error


def _is_missing(outcome: Response | OssError) -> bool:
    return isinstance(outcome, OssError) and outcome.code == "NoSuchKey"


def _no_such_key(key: str) -> OssError:
    return OssError("NoSuchKey", extras={"Key": key})


@contextmanager
def _instead(call: Call, key: str, *, whole: bool) -> Iterator[None]:
    """The call with another key, for as long as that is read."""
    asked = call.key, call.headers, call.params
    call.key = key
    if whole:
        call.headers = _without_range(call.headers)
        call.params = {}
    try:
        yield
    finally:
        call.key, call.headers, call.params = asked


def _without_range(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in headers.items() if name != "range" and not name.startswith("if-")}
