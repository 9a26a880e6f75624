"""Cross-origin resource sharing: rules, preflight requests, and what a page may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Client

PAGE = "https://shop.example"


def cors(*rules: str, more: str = "") -> bytes:
    inner = "".join(f"<CORSRule>{rule}</CORSRule>" for rule in rules)
    return f"<CORSConfiguration>{inner}{more}</CORSConfiguration>".encode()


def rule(origin: str = PAGE, method: str = "GET", more: str = "") -> str:
    return f"<AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>{more}"


def put(client: Client, document: bytes) -> Answer:
    return client.send("PUT", "", {"cors": ""}, body=document)


def preflight(client: Client, method: str = "GET", origin: str = PAGE, headers: str = "", key: str = "a") -> Answer:
    asked = {"origin": origin, "access-control-request-method": method}
    if headers:
        asked["access-control-request-headers"] = headers
    return client.send("OPTIONS", key, None, asked, anonymous=True)


def grants(answer: Answer) -> dict[str, str]:
    prefix = "Access-Control-"
    return {n.removeprefix(prefix): v for n, v in answer.response.headers.items() if n.startswith(prefix)}


FULL = rule(
    more="<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-oss-*</AllowedHeader><AllowedHeader>Range</AllowedHeader>"
    "<ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-oss-request-id</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"
)


def test_a_preflight_tells_what_the_first_fitting_rule_allows(client: Client) -> None:
    assert put(client, cors(rule(origin="https://other.example"), FULL)).status == 200
    for key in ("a", ""):
        answer = preflight(client, "PUT", headers="X-OSS-Meta-A, range", key=key)
        assert answer.status == 200
        assert grants(answer) == {
            "Allow-Origin": PAGE,
            "Allow-Methods": "GET, PUT",
            "Allow-Headers": "X-OSS-Meta-A, range",
            "Expose-Headers": "ETag, x-oss-request-id",
            "Max-Age": "60",
        }


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "DELETE"},
        {"origin": "https://else.example"},
        {"origin": "http://shop.example"},
        {"headers": "x-custom"},
        {"headers": "x-oss-a, x-custom"},
    ],
)
def test_a_preflight_that_no_rule_allows_is_forbidden(client: Client, asked: dict[str, str]) -> None:
    put(client, cors(FULL))
    answer = preflight(client, **asked)
    assert (answer.status, answer.code, grants(answer)) == (403, "AccessForbidden", {})


def test_a_preflight_without_rules_is_forbidden_and_without_its_headers_a_bad_request(client: Client) -> None:
    answer = preflight(client)
    assert (answer.status, answer.code) == (403, "AccessForbidden")
    assert answer.text("Message") == "CORSResponse: CORS is not enabled for this bucket."
    put(client, cors(FULL))
    for headers in ({}, {"origin": PAGE}, {"access-control-request-method": "GET"}):
        answer = client.send("OPTIONS", "a", None, headers, anonymous=True)
        assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("allowed", "origin", "granted"),
    [
        ("*", PAGE, "*"),
        ("https://*.example", PAGE, PAGE),
        ("https://*", "https://a.b", "https://a.b"),
        ("https://shop.*", "https://shopXexample", None),
        ("HTTPS://SHOP.example", PAGE, PAGE),
    ],
)
def test_origins_may_have_one_wildcard(client: Client, allowed: str, origin: str, granted: str | None) -> None:
    put(client, cors(rule(origin=allowed)))
    assert grants(preflight(client, origin=origin)).get("Allow-Origin") == granted


def test_an_answer_to_a_page_that_is_allowed_says_so_whatever_it_is(client: Client) -> None:
    put(client, cors(FULL))
    client.put("a", b"x")
    expected = {
        "Allow-Origin": PAGE,
        "Allow-Methods": "GET, PUT",
        "Expose-Headers": "ETag, x-oss-request-id",
        "Max-Age": "60",
    }
    assert grants(client.get("a", {"origin": PAGE})) == expected
    assert grants(client.get("missing", {"origin": PAGE})) == expected
    assert grants(client.send("GET", "a", None, {"origin": PAGE}, anonymous=True)) == expected
    assert grants(client.put("a", b"", {"origin": PAGE})) == expected


def test_an_answer_to_any_other_page_says_nothing(client: Client) -> None:
    put(client, cors(FULL))
    client.put("a", b"x")
    assert grants(client.get("a")) == {}
    assert grants(client.get("a", {"origin": "https://else.example"})) == {}
    assert grants(client.head("a", {"origin": PAGE})) == {}  # no rule allows HEAD
    assert client.get("a", {"origin": "https://else.example"}).status == 200


@pytest.mark.parametrize(("vary", "headers"), [("true", {}), ("true", {"origin": PAGE}), ("false", {"origin": PAGE})])
def test_vary_is_on_every_answer_or_on_none(client: Client, vary: str, headers: dict[str, str]) -> None:
    put(client, cors(FULL, more=f"<ResponseVary>{vary}</ResponseVary>"))
    client.put("a", b"x")
    assert client.get("a", headers).header("Vary") == ("Origin" if vary == "true" else None)


def test_the_rules_come_back_with_response_vary_spelled_out(client: Client) -> None:
    put(client, cors(FULL))
    answer = client.get("", cors="")
    assert answer.texts("CORSRule/AllowedMethod") == ["GET", "PUT"]
    assert answer.text("ResponseVary") == "false"
    client.send("DELETE", "", {"cors": ""})
    assert client.get("", cors="").code == "NoSuchCORSConfiguration"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (cors(), "MalformedXML"),
        (cors("<AllowedOrigin>*</AllowedOrigin>"), "MalformedXML"),
        (cors("<AllowedMethod>GET</AllowedMethod>"), "MalformedXML"),
        (cors(rule(method="PATCH")), "MalformedXML"),
        (cors(rule(more="<MaxAgeSeconds>-1</MaxAgeSeconds>")), "MalformedXML"),
        (cors(rule(more="<MaxAgeSeconds>1</MaxAgeSeconds>" * 2)), "MalformedXML"),
        (cors(rule(origin="https://*.*.example")), "InvalidArgument"),
        (cors(rule(origin="")), "InvalidArgument"),
        (cors(rule(more="<AllowedHeader>*-*</AllowedHeader>")), "InvalidArgument"),
        (cors(rule(more="<ExposeHeader>x-*</ExposeHeader>")), "InvalidArgument"),
        (cors(*[rule()] * 11), "InvalidArgument"),
    ],
)
def test_rules_that_make_no_sense_are_refused(client: Client, document: bytes, code: str) -> None:
    answer = put(client, document)
    assert (answer.status, answer.code) == (400, code)


def test_ten_rules_are_taken(client: Client) -> None:
    assert put(client, cors(*[rule()] * 10)).status == 200
