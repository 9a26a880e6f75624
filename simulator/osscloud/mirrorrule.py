"""What a mirror rule says: a Redirect of type Mirror as an immutable value, what is wrong with it, and what it makes of
a request's key, query and headers.

Nothing is fetched here: that is `mirror`. Pure functions, any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element

from osscloud.mirrorauth import AUTH_SCHEMA, S3Auth, read_auth
from osscloud.operations.config import Schema, boolean, number, text
from osscloud.operations.metadata import check_tags, invalid
from osscloud.xml import child_text

__all__ = ["MIRROR_SCHEMA", "Mirror", "read_mirror"]

MAX_PASSED = 10

# Vendor documentation, PutBucketWebsite, MirrorHeaders; the rest belongs to one connection and not to the request.
_NEVER_PASSED = frozenset({"content-length", "authorization", "authorization2", "range", "date"})
_NEVER_PASSED_PREFIXES = ("oss-", "x-oss-", "x-drs-", "x-amz-")
_OF_THE_CONNECTION = frozenset(
    {"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-connection"}
)
_OF_THE_SIGNATURE = frozenset({"OSSAccessKeyId", "Signature", "Expires", "security-token", "AWSAccessKeyId"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """The Redirect of a rule of type Mirror. Field by field an element of the documents, and its default.

    prefix: what replaces the prefix of the condition in the origin's URL (EnableReplacePrefix); None: nothing does.
    urls: MirrorURL, then MirrorURLSlave and the alternates by number. probe: asked first; when it fails, the first URL
    is passed over. transparent: statuses that the client gets as they are (TransparentMirrorResponseCodes). role: in
    whose name origins are asked; "" in nobody's. sni: TLS asks for the host that the request names.
    """

    urls: tuple[str, ...]
    prefix: str | None = None
    probe: str = ""
    switch_all_errors: bool = False
    pass_query: bool = False
    original_slashes: bool = False
    follow: bool = True
    check_md5: bool = False
    allow_head: bool = False
    proxy_pass: bool = False
    user_last_modified: bool = False
    save_meta: bool = False
    transparent: tuple[int, ...] = ()
    pass_all: bool = False
    passed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    returned: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    auth: S3Auth | None = None
    using_role: bool = False
    role: str = ""
    sni: bool = False

    def check(self) -> None:
        """What a schema cannot say. Raises OssError InvalidArgument, InvalidTag, TooManyTags."""
        if not self.urls or not self.urls[0]:
            raise invalid("MirrorURL", "", "A mirror rule needs MirrorURL.")
        for url in self.urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or not url.endswith("/"):
                raise invalid("MirrorURL", url, "MirrorURL starts with http:// or https:// and ends with /.")
        for name, values in (("Pass", self.passed), ("Remove", self.removed), ("Set", self.set)):
            if len(values) > MAX_PASSED:
                raise invalid(name, str(len(values)), f"At most {MAX_PASSED} headers can be named.")
        check_tags(dict(self.tags))
        if self.auth is not None:
            self.auth.check()
        if self.using_role and (not self.role or self.auth is not None):
            raise invalid("MirrorRole", self.role, "MirrorUsingRole needs MirrorRole, and no MirrorAuth beside it.")

    def url(self, base: str, key: str, matched: str, query: str) -> str:
        """Where an object is at the origin with this base URL. matched: the prefix of the condition. query: of the
        request, still encoded."""
        target = key if self.prefix is None else self.prefix + key[len(matched) :]
        if not self.original_slashes:
            while "//" in target:
                target = target.replace("//", "/")
            target = target.removeprefix("/")
        url = base + quote(target, safe="/-_.~", errors="surrogateescape")
        passed = "&".join(item for item in query.split("&") if item and not _signs(item)) if self.pass_query else ""
        return f"{url}?{passed}" if passed else url

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What an origin is told of a request's headers (lower-case names)."""
        removed = {name.lower() for name in self.removed}
        wanted = headers.keys() if self.pass_all else {name.lower() for name in self.passed}
        told = {
            name: value
            for name, value in headers.items()
            if name in wanted and name not in removed and not _is_private(name)
        }
        for name, value in self.set:
            if not _is_private(name.lower()) or name.lower() == "host":
                told.pop(name.lower(), None)
                told[name] = value
        return told


def _signs(item: str) -> bool:
    name = item.partition("=")[0]
    return name in _OF_THE_SIGNATURE or name.startswith(("x-oss-", "X-Amz-"))


def _is_private(name: str) -> bool:
    return name in _NEVER_PASSED or name in _OF_THE_CONNECTION or name.startswith(_NEVER_PASSED_PREFIXES)


def _statuses(value: str) -> tuple[int, ...]:
    """TransparentMirrorResponseCodes: "400,404"."""
    return tuple(int(part) for part in value.split(",") if part.strip())


_PAIR: Schema = {"Key": text, "Value": text}

MIRROR_SCHEMA: Schema = {
    "MirrorURL?": text,
    "MirrorURLSlave?": text,
    "MirrorURLProbe?": text,
    "MirrorPassQueryString?": boolean,
    "MirrorFollowRedirect?": boolean,
    "MirrorCheckMd5?": boolean,
    "MirrorPassOriginalSlashes?": boolean,
    "MirrorAllowHeadObject?": boolean,
    "MirrorProxyPass?": boolean,
    "MirrorUserLastModified?": boolean,
    "MirrorSaveOssMeta?": boolean,
    "MirrorSwitchAllErrors?": boolean,
    "TransparentMirrorResponseCodes?": _statuses,
    "MirrorHeaders?": {"PassAll?": boolean, "Pass*": text, "Remove*": text, "Set*": _PAIR},
    "MirrorReturnHeaders?": {"ReturnHeader*": _PAIR},
    "MirrorTaggings?": {"Taggings*": _PAIR},
    "MirrorMultiAlternates?": {
        "MirrorMultiAlternate*": {
            "MirrorMultiAlternateNumber": number(),
            "MirrorMultiAlternateURL": text,
            "MirrorMultiAlternateVpcId?": text,
            "MirrorMultiAlternateDstRegion?": text,
        }
    },
    "MirrorAuth?": AUTH_SCHEMA,
    "MirrorRole?": text,
    "MirrorSNI?": boolean,
    "MirrorUsingRole?": boolean,
    # Kept and given back; there are no tunnels, images or videos here for them to act on.
    "MirrorAllowGetImageInfo?": boolean,
    "MirrorAllowVideoSnapshot?": boolean,
    "MirrorAsyncStatus?": number(),
    "MirrorDstRegion?": text,
    "MirrorDstSlaveVpcId?": text,
    "MirrorDstVpcId?": text,
    "MirrorIsExpressTunnel?": boolean,
    "MirrorTunnelId?": text,
}


def read_mirror(redirect: Element) -> Mirror:
    """The Redirect element of a mirror rule; valid as its schema says."""

    def flag(name: str, default: str = "false") -> bool:
        return boolean(child_text(redirect, name) or default)

    headers = redirect.find("MirrorHeaders")
    own_query = child_text(redirect, "MirrorPassQueryString")
    return Mirror(
        urls=tuple(_urls(redirect)),
        prefix=(child_text(redirect, "ReplaceKeyPrefixWith") or "") if flag("EnableReplacePrefix") else None,
        probe=child_text(redirect, "MirrorURLProbe") or "",
        switch_all_errors=flag("MirrorSwitchAllErrors"),
        pass_query=flag("PassQueryString") if own_query is None else boolean(own_query),
        original_slashes=flag("MirrorPassOriginalSlashes"),
        follow=flag("MirrorFollowRedirect", "true"),
        check_md5=flag("MirrorCheckMd5"),
        allow_head=flag("MirrorAllowHeadObject"),
        proxy_pass=flag("MirrorProxyPass"),
        user_last_modified=flag("MirrorUserLastModified"),
        save_meta=flag("MirrorSaveOssMeta"),
        transparent=_statuses(child_text(redirect, "TransparentMirrorResponseCodes") or ""),
        pass_all=headers is not None and boolean(child_text(headers, "PassAll") or "false"),
        passed=() if headers is None else tuple(entry.text or "" for entry in headers.findall("Pass")),
        removed=() if headers is None else tuple(entry.text or "" for entry in headers.findall("Remove")),
        set=_pairs(headers, "Set"),
        returned=_pairs(redirect.find("MirrorReturnHeaders"), "ReturnHeader"),
        tags=_pairs(redirect.find("MirrorTaggings"), "Taggings"),
        auth=read_auth(redirect),
        using_role=flag("MirrorUsingRole"),
        role=child_text(redirect, "MirrorRole") or "",
        sni=flag("MirrorSNI"),
    )


def _urls(redirect: Element) -> Iterator[str]:
    yield child_text(redirect, "MirrorURL") or ""
    if slave := child_text(redirect, "MirrorURLSlave"):
        yield slave
    alternates = redirect.findall("MirrorMultiAlternates/MirrorMultiAlternate")
    for one in sorted(alternates, key=lambda one: int(child_text(one, "MirrorMultiAlternateNumber") or 0)):
        yield child_text(one, "MirrorMultiAlternateURL") or ""


def _pairs(parent: Element | None, name: str) -> tuple[tuple[str, str], ...]:
    found = [] if parent is None else parent.findall(name)
    return tuple((child_text(pair, "Key") or "", child_text(pair, "Value") or "") for pair in found)
