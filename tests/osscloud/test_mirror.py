"""Mirror back-to-origin, with an origin that answers what a test says: what is asked, what is kept, what goes wrong."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.message import Deferred, Request
from osscloud.mirror import LOOP_HEADER, MAX_HOPS, OriginError, OriginRequest, OriginResponse
from osscloud.service import OssService, ServiceConfig

if TYPE_CHECKING:
    from conftest import Answer, Client

URL = "http://origin.example/"


class Site:
    """An origin by URL: a response, or an error; anything else is 404. requests: as they came."""

    def __init__(self) -> None:
        self.pages: dict[str, OriginResponse | OriginError] = {}
        self.requests: list[OriginRequest] = []

    def fetch(self, request: OriginRequest) -> OriginResponse:
        self.requests.append(request)
        page = self.pages.get(request.url, OriginResponse(404, {}))
        if isinstance(page, OriginError):
            raise page
        return replace(page, body=b"") if request.method == "HEAD" else page

    def page(self, path: str, body: bytes = b"hello", status: int = 200, **headers: str) -> None:
        """A page below URL; "content_type" becomes content-type."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[URL + path] = OriginResponse(status, {"content-length": str(len(body)), **told}, body)

    @property
    def asked(self) -> list[str]:
        return [request.url.removeprefix(URL) for request in self.requests]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def oss(clock: VirtualClock, site: Site) -> OssService:
    return OssService(clock=clock, rng=random.Random(7), config=ServiceConfig(), origin=site)


def mirror(more: str = "", condition: str = "", url: str = URL) -> bytes:
    return (
        "<WebsiteConfiguration><RoutingRules><RoutingRule><RuleNumber>1</RuleNumber><Condition>"
        f"<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>{condition}</Condition><Redirect>"
        f"<RedirectType>Mirror</RedirectType><MirrorURL>{url}</MirrorURL>{more}</Redirect></RoutingRule>"
        "</RoutingRules></WebsiteConfiguration>"
    ).encode()


@pytest.fixture
def rule(client: Client) -> Callable[..., None]:
    """Gives "demo" the mirror rule."""

    def put(more: str = "", condition: str = "", url: str = URL) -> None:
        answer = client.send("PUT", "", {"website": ""}, body=mirror(more, condition, url))
        assert answer.status == 200, answer.body

    return put


def seen(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


def on(name: str, value: str = "true") -> str:
    return f"<{name}>{value}</{name}>"


# The first GET and what it leaves


def test_a_missing_object_is_fetched_once_and_kept(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    kept = {
        "content_type": "text/css",
        "content_encoding": "identity",
        "content_disposition": "inline",
        "cache_control": "max-age=3",
        "expires": "Thu, 01 Jan 2026 00:00:00 GMT",
        "content_language": "de",
        "access_control_allow_origin": "*",
    }
    site.page("dir/a%20b.css", **kept, x_oss_meta_owner="shop", etag='"x"', set_cookie="a=b")
    rule()
    first = client.get("dir/a b.css")
    assert seen(first) == (200, b"hello")
    assert not first.has("x-oss-tag")
    for name, value in kept.items():
        assert first.header(name.replace("_", "-")) == value
    second = client.get("dir/a b.css")
    assert seen(second) == (200, b"hello")
    assert second.header("x-oss-tag") == "MIRROR"
    assert site.asked == ["dir/a%20b.css"]
    view = oss.admin.object("demo", "dir/a b.css")
    assert view is not None
    assert (view.type, view.meta, view.content_type) == ("Normal", {}, "text/css")
    assert set(view.headers) == {*(n.replace("_", "-").title() for n in kept), "x-oss-tag"}
    assert view.etag == f'"{md5(b"hello").hexdigest().upper()}"'


def test_it_is_never_refreshed_and_loses_its_tag_when_overwritten_or_copied(
    client: Client, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a")
    rule()
    client.get("a")
    site.page("a", b"changed")
    assert client.get("a").body == b"hello"
    client.copy("/demo/a", "b")
    assert not client.head("b").has("x-oss-tag")
    client.put("a", b"mine")
    assert not client.head("a").has("x-oss-tag")


def test_before_the_first_get_it_is_neither_listed_nor_described(
    client: Client, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a")
    rule()
    assert client.head("a").status == 404
    assert client.send("HEAD", "a", {"objectMeta": ""}).status == 404
    assert client.get("a", acl="").code == "NoSuchKey"
    assert client.copy("/demo/a", "b").code == "NoSuchKey"
    assert client.get("", prefix="").texts("Contents/Key") == []
    assert site.requests == []
    client.get("a")
    assert client.get("", prefix="").texts("Contents/Key") == ["a"]
    assert client.head("a").header("x-oss-tag") == "MIRROR"


def test_signed_or_not_makes_no_difference_but_permission_does(
    client: Client, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a")
    rule()
    assert client.send("GET", "a", anonymous=True).code == "AccessDenied"
    assert site.requests == []
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    assert seen(client.send("GET", "a", anonymous=True)) == (200, b"hello")


def test_the_directory_that_a_mount_asks_for_is_fetched_like_anything_else(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("data/", b"<ul></ul>", content_type="text/html")
    rule()
    assert client.send("GET", "data/", {"max-keys": "2"}).status == 200
    view = oss.admin.object("demo", "data/")
    assert view is not None
    assert (view.size, view.content_type) == (9, "text/html")


def test_somebody_elses_write_in_the_meantime_stays(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    class Meantime(Site):
        def fetch(self, request: OriginRequest) -> OriginResponse:
            oss.admin.put("demo", "a", b"written meanwhile")
            return super().fetch(request)

    slow = Meantime()
    slow.page("a")
    oss._origin = slow
    rule()
    assert client.get("a").body == b"hello"
    assert client.get("a").body == b"written meanwhile"


def test_a_bucket_that_was_deleted_in_the_meantime_is_gone(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    class Meantime(Site):
        def fetch(self, request: OriginRequest) -> OriginResponse:
            oss.admin.delete_bucket("demo", force=True)
            return super().fetch(request)

    gone = Meantime()
    gone.page("a")
    oss._origin = gone
    rule()
    assert client.get("a").code == "NoSuchBucket"


# What the origin is asked


def test_the_prefix_is_replaced_where_the_rule_says_so(client: Client, site: Site, rule: Callable[..., None]) -> None:
    condition = on("KeyPrefixEquals", "mine/")
    rule(on("EnableReplacePrefix") + on("ReplaceKeyPrefixWith", "theirs/"), condition)
    client.get("mine/a")
    client.get("other/a")
    rule(on("ReplaceKeyPrefixWith", "theirs/"), condition)
    client.get("mine/b")
    rule(on("EnableReplacePrefix"), condition)
    client.get("mine/c")
    assert site.asked == ["theirs/a", "mine/b", "c"]


def test_slashes_are_passed_as_they_are_only_on_request(client: Client, site: Site, rule: Callable[..., None]) -> None:
    rule()
    client.get("a//b")
    rule(on("MirrorPassOriginalSlashes"))
    client.get("a//b")
    assert site.asked == ["a/b", "a//b"]


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ("", "a"),
        (on("PassQueryString"), "a?v=1&w=%2F"),
        (on("PassQueryString") + on("MirrorPassQueryString", "false"), "a"),
        (on("MirrorPassQueryString"), "a?v=1&w=%2F"),
    ],
)
def test_the_query_is_passed_without_what_signs(
    client: Client, site: Site, rule: Callable[..., None], more: str, asked: str
) -> None:
    rule(more)
    client.send("GET", "a", {"v": "1", "w": "/", "x-oss-traffic-limit": "1"})
    assert site.asked == [asked]


def told(site: Site) -> dict[str, str]:
    (request,) = site.requests
    return {name.lower(): value for name, value in request.headers.items() if name != LOOP_HEADER}


SENT = {
    "x-a": "1",
    "x-b": "2",
    "date": "now",
    "range": "bytes=0-1",
    "oss-x": "3",
    "x-drs-x": "4",
    "content-length": "0",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("", {}),
        (on("PassAll"), {"x-a": "1", "x-b": "2"}),
        (on("PassAll") + on("Remove", "X-A"), {"x-b": "2"}),
        (on("Pass", "X-A") + on("Pass", "Date") + on("Pass", "Authorization"), {"x-a": "1"}),
        (on("Pass", "x-b") + on("Set", on("Key", "X-B") + on("Value", "9")), {"x-b": "9"}),
        (on("Set", on("Key", "Host") + on("Value", "other.example")), {"host": "other.example"}),
        (on("Set", on("Key", "Range") + on("Value", "bytes=0-0")), {}),
    ],
)
def test_headers_are_passed_removed_and_set_as_the_rule_says(
    client: Client, site: Site, rule: Callable[..., None], headers: str, expected: dict[str, str]
) -> None:
    rule(on("MirrorHeaders", headers))
    client.get("a", SENT)
    assert told(site) == expected


def test_the_origin_has_ten_seconds(client: Client, site: Site, rule: Callable[..., None]) -> None:
    rule()
    client.get("a")
    assert site.requests[0].timeout == 10.0


# Redirects


def test_redirects_are_followed_ten_times(client: Client, site: Site, rule: Callable[..., None]) -> None:
    for hop in range(MAX_HOPS):
        site.page(f"{hop}", b"", 302, location=f"/{hop + 1}")
    site.page(f"{MAX_HOPS}", b"arrived")
    rule()
    assert seen(client.get("0")) == (200, b"arrived")
    assert site.asked == [str(hop) for hop in range(MAX_HOPS + 1)]
    site.page(f"{MAX_HOPS}", b"", 302, location="/0")
    assert client.get("0", {}).body == b"arrived"
    client.delete("0")
    assert client.get("0").code == "MirrorFailed"


def test_redirects_are_handed_on_where_the_rule_says_so(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", b"", 302, location="http://else.example/a")
    rule(on("MirrorFollowRedirect", "false"))
    answer = client.get("a")
    assert (answer.status, answer.header("Location")) == (302, "http://else.example/a")
    assert oss.admin.object("demo", "a") is None


def test_a_redirect_to_something_that_is_not_http_fails(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.page("a", b"", 302, location="file:///etc/passwd")
    rule()
    assert client.get("a").code == "MirrorFailed"
    assert site.asked == ["a"]


# What goes wrong


@pytest.mark.parametrize("status", [400, 403, 500, 503, 204])
def test_an_origin_that_answers_anything_else_makes_mirror_failed(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None], status: int
) -> None:
    site.page("a", b"no", status)
    rule()
    answer = client.get("a")
    assert (answer.status, answer.code, answer.text("EC")) == (424, "MirrorFailed", "0041-00000101")
    assert answer.text("Message") == "Mirroring failed, please check your mirror configuration."
    assert oss.access_log.records[-1].error_code == "MirrorFailed"
    assert oss.admin.object("demo", "a") is None


def test_an_origin_that_has_it_neither_makes_no_such_key(client: Client, site: Site, rule: Callable[..., None]) -> None:
    rule()
    answer = client.get("a")
    assert (answer.status, answer.code, answer.text("Key")) == (404, "NoSuchKey", "a")
    assert site.asked == ["a"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("unreachable", "Mirroring failed, please check your mirror configuration."),
        ("timeout", "Mirroring failed, please check your mirror configuration."),
        ("unreadable", "Mirroring failed, reading the body failed."),
    ],
)
def test_an_origin_that_cannot_be_read_makes_mirror_failed(
    client: Client, site: Site, rule: Callable[..., None], reason: str, message: str
) -> None:
    site.pages[URL + "a"] = OriginError(reason, "why")  # type: ignore[arg-type]
    rule()
    answer = client.get("a")
    assert (answer.status, answer.text("EC"), answer.text("Message")) == (424, "0041-00000104", message)
    assert "why" in answer.text("Detail")


def test_a_body_of_another_length_is_not_kept(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", b"short", content_length="9")
    rule()
    answer = client.get("a")
    assert (answer.status, answer.text("Message")) == (424, "Mirroring failed, the number of bytes does not match.")
    assert oss.admin.object("demo", "a") is None


def test_headers_that_are_too_large_are_not_kept(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.page("a", cache_control="x" * 9000)
    rule()
    assert client.get("a").text("Message") == "Mirroring failed, meta is too large."


def test_a_service_without_an_origin_reaches_none(client: Client, clock: VirtualClock) -> None:
    oss = OssService(clock=clock, rng=random.Random(1))
    oss.admin.create_bucket("demo")
    alone = type(client)(oss, oss.accounts.create_key(), clock, "demo")
    alone.send("PUT", "", {"website": ""}, body=mirror())
    assert alone.get("a").code == "MirrorFailed"


def test_a_wrong_md5_is_handed_on_and_not_kept(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", content_md5=b64encode(md5(b"other").digest()).decode())
    site.page("b", content_md5=b64encode(md5(b"hello").digest()).decode())
    rule(on("MirrorCheckMd5"))
    assert seen(client.get("a")) == (200, b"hello")
    assert seen(client.get("b")) == (200, b"hello")
    assert oss.admin.keys("demo") == ["b"]
    rule()
    client.get("a")
    assert oss.admin.keys("demo") == ["a", "b"]


# Options of the rule


def test_head_reaches_the_origin_only_where_the_rule_says_so_and_keeps_nothing(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", content_type="text/css")
    rule(on("MirrorAllowHeadObject"))
    answer = client.head("a")
    assert (answer.status, answer.header("Content-Length"), answer.header("Content-Type")) == (200, "5", "text/css")
    assert answer.body == b""
    assert [request.method for request in site.requests] == ["HEAD"]
    assert oss.admin.object("demo", "a") is None
    assert client.head("b").status == 404


def test_proxy_pass_keeps_nothing(client: Client, oss: OssService, site: Site, rule: Callable[..., None]) -> None:
    site.page("a")
    rule(on("MirrorProxyPass"))
    assert seen(client.get("a")) == (200, b"hello")
    assert seen(client.get("a")) == (200, b"hello")
    assert site.asked == ["a", "a"]
    assert oss.admin.keys("demo") == []


def test_transparent_codes_reach_the_client(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", b"go away", 403, content_type="text/plain")
    site.page("b", b"gone", 404)
    rule(on("TransparentMirrorResponseCodes", "403, 404"))
    answer = client.get("a")
    assert (*seen(answer), answer.header("Content-Type")) == (403, b"go away", "text/plain")
    assert seen(client.get("b")) == (404, b"gone")
    assert oss.admin.keys("demo") == []


def test_the_origins_date_tags_metadata_and_headers_to_return(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", last_modified="Thu, 01 Feb 2024 00:00:00 GMT", x_oss_meta_owner="shop")
    pair = on("Key", "k") + on("Value", "v")
    rule(
        on("MirrorUserLastModified")
        + on("MirrorSaveOssMeta")
        + on("MirrorTaggings", on("Taggings", pair))
        + on("MirrorReturnHeaders", on("ReturnHeader", on("Key", "X-From") + on("Value", "origin")))
    )
    assert client.get("a").header("X-From") == "origin"
    view = oss.admin.object("demo", "a")
    assert view is not None
    assert (view.last_modified, view.tags, view.meta) == (1706745600, {"k": "v"}, {"owner": "shop"})
    assert not client.get("a").has("X-From")


def test_the_second_url_is_asked_when_the_first_fails(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.pages[URL + "a"] = OriginError("unreachable", "down")
    site.page("b", b"broken", 500)
    site.page("c", b"no", 403)
    for key in "abc":
        site.pages["http://second.example/" + key] = OriginResponse(200, {}, b"second")
    slave = on("MirrorURLSlave", "http://second.example/")
    rule(slave)
    assert client.get("a").body == b"second"
    assert client.get("b").body == b"second"
    assert client.get("c").code == "MirrorFailed"
    rule(slave + on("MirrorSwitchAllErrors"))
    assert client.get("c").body == b"second"
    site.pages["http://second.example/gone"] = OriginResponse(200, {}, b"second")
    assert client.get("gone").code == "NoSuchKey"  # a 404 is no failure of the first


def auth(kind: str = "S3V4", region: str = "us-east-1", key: str = "AK", secret: str = "SK") -> str:
    return on(
        "MirrorAuth",
        on("AuthType", kind) + on("Region", region) + on("AccessKeyId", key) + on("AccessKeySecret", secret),
    )


def test_a_signature_is_for_the_rules_own_servers(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.page("a", b"", 302, location="http://elsewhere.example/a")
    site.pages["http://elsewhere.example/a"] = OriginResponse(200, {}, b"there")
    rule(auth())
    assert client.get("a").body == b"there"
    first, second = site.requests
    scope = "20240903/us-east-1/s3/aws4_request"
    assert first.headers["Authorization"].startswith(
        f"AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders=host;x-amz"
    )
    assert "Authorization" not in second.headers


@pytest.mark.parametrize(
    "more",
    [
        auth(kind="OSSV4"),
        auth(region=""),
        auth(key=""),
        auth(secret=""),
        on("MirrorUsingRole"),
        on("MirrorUsingRole") + on("MirrorRole", "r") + auth(),
    ],
)
def test_an_identity_that_can_not_be_had_is_refused_at_once(client: Client, more: str) -> None:
    answer = client.send("PUT", "", {"website": ""}, body=mirror(more))
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_failing_probe_passes_the_first_url_over(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.page("a", b"first")
    site.pages["http://second.example/a"] = OriginResponse(200, {}, b"second")
    probe = on("MirrorURLProbe", URL + "alive")
    rule(on("MirrorURLSlave", "http://second.example/") + probe + on("MirrorProxyPass"))
    assert client.get("a").body == b"second"
    site.page("alive")
    assert client.get("a").body == b"first"


# Ranges


def test_a_range_fetches_everything_by_default(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a", b"0123456789")
    rule()
    answer = client.get("a", {"range": "bytes=2-4"})
    assert (*seen(answer), answer.header("Content-Range")) == (206, b"234", "bytes 2-4/10")
    assert "Range" not in site.requests[0].headers
    view = oss.admin.object("demo", "a")
    assert view is not None
    assert view.size == 10


def test_a_range_is_relayed_where_the_switch_says_so(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    oss.config = replace(oss.config, mirror_range="relay")
    site.page("a", b"234", 206, content_range="bytes 2-4/10")
    rule()
    answer = client.get("a", {"range": "bytes=2-4"})
    assert (*seen(answer), answer.header("Content-Range")) == (206, b"234", "bytes 2-4/10")
    assert site.requests[0].headers["Range"] == "bytes=2-4"
    assert oss.admin.keys("demo") == []


@pytest.mark.parametrize("content_range", ["", "bytes 2-5/10", "bytes 2-4/*", "bytes 8-10/10", "pages 2-4/10"])
def test_a_part_that_makes_no_sense_is_refused(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None], content_range: str
) -> None:
    oss.config = replace(oss.config, mirror_range="relay")
    site.page("a", b"234", 206, content_range=content_range)
    rule()
    answer = client.get("a", {"range": "bytes=2-4"})
    assert (answer.status, answer.text("EC")) == (424, "0041-00000103")


def test_a_part_that_nobody_asked_for_is_refused(client: Client, site: Site, rule: Callable[..., None]) -> None:
    site.page("a", b"234", 206, content_range="bytes 2-4/10")
    rule()
    assert client.get("a").text("EC") == "0041-00000103"


# With websites, versions, loops and transports


def test_rules_come_before_the_error_page_and_the_origins_404_ends_there(
    client: Client, site: Site, rule: Callable[..., None]
) -> None:
    client.put("error.html", b"sorry")
    site.page("a")
    error = b"<WebsiteConfiguration><ErrorDocument><Key>error.html</Key></ErrorDocument>"
    client.send("PUT", "", {"website": ""}, body=mirror().replace(b"<WebsiteConfiguration>", error))
    assert seen(client.get("a")) == (200, b"hello")
    assert seen(client.get("b")) == (404, b"sorry")


def test_versioning_and_mirrors_exclude_each_other_unless_switched(client: Client, oss: OssService) -> None:
    enable = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client.send("PUT", "", {"website": ""}, body=mirror()).status == 200
    assert client.send("PUT", "", {"versioning": ""}, body=enable).code == "OperationNotSupported"
    client.send("DELETE", "", {"website": ""})
    assert client.send("PUT", "", {"versioning": ""}, body=enable).status == 200
    assert client.send("PUT", "", {"website": ""}, body=mirror()).code == "OperationNotSupported"
    oss.config = replace(oss.config, versioned_mirror=True)
    assert client.send("PUT", "", {"website": ""}, body=mirror()).status == 200
    assert client.send("PUT", "", {"versioning": ""}, body=enable).status == 200


def test_a_delete_marker_counts_as_missing(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    oss.config = replace(oss.config, versioned_mirror=True)
    client.versioning("Enabled")
    rule()
    site.page("a")
    client.put("a", b"old")
    client.delete("a")
    assert seen(client.get("a")) == (200, b"hello")
    assert [view.delete_marker for view in oss.admin.versions("demo")] == [False, True, False]


def test_a_bucket_that_mirrors_itself_is_found_out(client: Client, clock: VirtualClock) -> None:
    class Itself:
        """Asks the service itself, as an origin on its own endpoint does."""

        def fetch(self, request: OriginRequest) -> OriginResponse:
            target = "/" + request.url.split("/", 3)[3]
            headers = {"host": "127.0.0.1", **{name.lower(): value for name, value in request.headers.items()}}
            answer = oss.handle(Request(request.method, target, headers))
            told = {name.lower(): value for name, value in answer.headers.items()}
            return OriginResponse(answer.status, told, answer.read())

    oss = OssService(clock=clock, rng=random.Random(1), origin=Itself())
    clients = {}
    for name, target in (("one", "two"), ("two", "one"), ("three", "four"), ("four", "")):
        oss.admin.create_bucket(name, acl="public-read")
        clients[name] = type(client)(oss, oss.accounts.create_key(), clock, name)
        if target:
            clients[name].send("PUT", "", {"website": ""}, body=mirror(url=f"http://127.0.0.1/{target}/"))
    answer = clients["one"].get("a")
    assert (answer.status, answer.code) == (424, "MirrorFailed")
    inner = [record for record in oss.access_log.records if record.operation == "GetObject"]
    assert [(record.bucket, record.error_code) for record in inner] == [
        ("one", "MirrorFailed"),
        ("two", "MirrorFailed"),
        ("one", "MirrorFailed"),
    ]
    clients["four"].put("a", b"deep")
    assert clients["three"].get("a").body == b"deep"


def test_a_transport_that_must_not_wait_gets_the_rest_of_the_work(
    client: Client, oss: OssService, site: Site, rule: Callable[..., None]
) -> None:
    site.page("a")
    rule()
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    request = Request("GET", "/demo/a", {"host": "127.0.0.1"})
    waiting = oss.begin(request)
    assert isinstance(waiting, Deferred)
    assert site.requests == []
    assert oss.access_log.records[-1].operation != "GetObject"
    assert waiting.resume().read() == b"hello"
    assert oss.access_log.records[-1].http_status == 200
    assert not isinstance(oss.begin(request), Deferred)
