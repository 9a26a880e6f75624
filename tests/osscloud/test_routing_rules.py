"""Routing rules that lead elsewhere: conditions, replacements, the order of rules, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Client


def rule(redirect: str, condition: str = "", number: int = 1) -> str:
    return (
        f"<RoutingRule><RuleNumber>{number}</RuleNumber><Condition>{condition}</Condition>"
        f"<Redirect>{redirect}</Redirect></RoutingRule>"
    )


def prefix(text: str) -> str:
    return f"<KeyPrefixEquals>{text}</KeyPrefixEquals>"


MISSING = "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>"
TO_SHOP = "<RedirectType>External</RedirectType><Protocol>https</Protocol><HostName>shop.example</HostName>"


@pytest.fixture
def route(client: Client) -> Callable[..., Answer]:
    """Sets the rules, which must be taken, and nothing else."""

    def put(*rules: str, more: str = "") -> Answer:
        body = f"<WebsiteConfiguration>{more}<RoutingRules>{''.join(rules)}</RoutingRules></WebsiteConfiguration>"
        answer = client.send("PUT", "", {"website": ""}, body=body.encode())
        assert answer.status == 200, answer.body
        return answer

    return put


def leads(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.header("Location")


def test_a_missing_key_leads_to_another_host(client: Client, route: Callable[..., Answer]) -> None:
    route(rule(TO_SHOP, MISSING))
    assert leads(client.get("a b/ü")) == (301, "https://shop.example/a%20b/%C3%BC")
    assert leads(client.head("a")) == (301, "https://shop.example/a")
    client.put("a")
    assert client.get("a").status == 200


def test_a_condition_without_an_error_code_holds_for_what_is_there_too(
    client: Client, route: Callable[..., Answer]
) -> None:
    client.put("old/a")
    client.put("new/a")
    route(rule(TO_SHOP, prefix("old/")))
    assert client.get("old/a").status == 301
    assert client.get("new/a").status == 200
    assert client.send("GET", "old/a", anonymous=True).status == 301


def test_every_part_of_a_condition_has_to_hold(client: Client, route: Callable[..., Answer]) -> None:
    header = "<IncludeHeader><Key>X-Client</Key><StartsWith>web</StartsWith><EndsWith>1</EndsWith></IncludeHeader>"
    suffix = "<KeySuffixEquals>.jpg</KeySuffixEquals>"
    route(rule(TO_SHOP, prefix("img/") + suffix + MISSING + header))
    good = {"x-client": "web-1"}
    assert client.get("img/a.jpg", good).status == 301
    assert client.get("other/a.jpg", good).status == 404
    assert client.get("img/a.png", good).status == 404
    assert client.get("img/a.jpg", {"x-client": "web-2"}).status == 404
    assert client.get("img/a.jpg", {"x-client": "app-1"}).status == 404
    assert client.get("img/a.jpg").status == 404


def test_another_error_than_404_can_be_the_condition(client: Client, route: Callable[..., Answer]) -> None:
    client.put("frozen", b"", {"x-oss-storage-class": "Archive"})
    route(rule(TO_SHOP, "<HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals>"))
    assert client.get("frozen").status == 301
    assert client.send("GET", "any", anonymous=True).status == 301
    assert client.get("any").status == 404


@pytest.mark.parametrize(
    ("redirect", "target"),
    [
        ("<ReplaceKeyWith>to/${key}.html</ReplaceKeyWith>", "https://shop.example/to/old/a.html"),
        ("<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>", "https://shop.example/new/a"),
        (
            "<EnableReplacePrefix>true</EnableReplacePrefix><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>",
            "https://shop.example/new/a",
        ),
        ("<EnableReplacePrefix>true</EnableReplacePrefix>", "https://shop.example/a"),
        ("<PassQueryString>true</PassQueryString>", "https://shop.example/old/a?x=1&y"),
    ],
)
def test_the_key_and_the_query_of_the_target(
    client: Client, route: Callable[..., Answer], redirect: str, target: str
) -> None:
    route(rule(TO_SHOP + redirect, prefix("old/")))
    assert leads(client.get("old/a", x="1", y="")) == (301, target)


def test_the_status_of_the_redirect_and_the_mark_for_the_cdn(client: Client, route: Callable[..., Answer]) -> None:
    route(
        rule(TO_SHOP.replace("External", "AliCDN") + "<HttpRedirectCode>302</HttpRedirectCode>", prefix("cdn/"), 1),
        rule(TO_SHOP + "<HttpRedirectCode>307</HttpRedirectCode>", prefix("web/"), 2),
    )
    answer = client.get("cdn/a")
    assert (answer.status, answer.header("x-oss-redirect-type")) == (302, "AliCDN")
    answer = client.get("web/a")
    assert (answer.status, answer.has("x-oss-redirect-type")) == (307, False)


def test_without_a_host_the_target_is_on_the_same_one(client: Client, route: Callable[..., Answer]) -> None:
    route(rule("<RedirectType>External</RedirectType><ReplaceKeyWith>else</ReplaceKeyWith>", prefix("old/")))
    assert leads(client.get("old/a")) == (301, "http://127.0.0.1/demo/else")


def test_an_internal_rule_reads_another_key(client: Client, route: Callable[..., Answer]) -> None:
    client.put("v2/a", b"second", {"content-type": "text/plain"})
    internal = "<RedirectType>Internal</RedirectType><ReplaceKeyPrefixWith>v2/</ReplaceKeyPrefixWith>"
    error = "<ErrorDocument><Key>error.html</Key></ErrorDocument>"
    client.put("error.html", b"sorry")
    route(rule(internal, prefix("v1/") + MISSING), more=error)
    answer = client.get("v1/a")
    assert (answer.status, answer.body, answer.header("Content-Type")) == (200, b"second", "text/plain")
    answer = client.get("v1/b")
    assert (answer.status, answer.body) == (404, b"sorry")
    assert client.send("GET", "v1/a", anonymous=True).status == 403


def test_rules_are_tried_by_number_and_the_first_that_holds_is_the_one(
    client: Client, route: Callable[..., Answer]
) -> None:
    internal = "<RedirectType>Internal</RedirectType><ReplaceKeyWith>nowhere</ReplaceKeyWith>"
    route(rule(TO_SHOP, prefix("a"), 9), rule(internal, prefix("ab"), 3))
    assert client.get("ab").code == "NoSuchKey"
    assert client.get("ac").status == 301


def test_rules_come_before_pages_of_directories_and_before_the_error_page(
    client: Client, route: Callable[..., Answer]
) -> None:
    client.put("old/index.html", b"page")
    more = (
        "<IndexDocument><Suffix>index.html</Suffix><SupportSubDir>true</SupportSubDir><Type>2</Type></IndexDocument>"
        "<ErrorDocument><Key>old/index.html</Key></ErrorDocument>"
    )
    route(rule(TO_SHOP, MISSING + prefix("old")), more=more)
    assert client.get("old").status == 301
    assert client.get("old/").status == 200
    assert client.get("else").status == 404


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([rule(TO_SHOP, number=1)] * 2, "InvalidArgument"),
        ([rule(TO_SHOP, number=n) for n in range(1, 22)], "InvalidArgument"),
        ([rule(TO_SHOP).replace("<RuleNumber>1</RuleNumber>", "")], "MalformedXML"),
        ([rule(TO_SHOP, number=0)], "MalformedXML"),
        ([rule("<RedirectType>Elsewhere</RedirectType>")], "MalformedXML"),
        ([rule("<HostName>shop.example</HostName>")], "MalformedXML"),
        ([rule(TO_SHOP + "<HttpRedirectCode>200</HttpRedirectCode>")], "MalformedXML"),
        ([rule(TO_SHOP, MISSING.replace("404", "200"))], "InvalidArgument"),
        (
            [rule(TO_SHOP + "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>")],
            "InvalidArgument",
        ),
        ([rule(TO_SHOP, "<IncludeHeader><Key>a</Key></IncludeHeader>" * 11)], "InvalidArgument"),
        ([rule("<RedirectType>Mirror</RedirectType>", MISSING)], "InvalidArgument"),
        ([rule("<RedirectType>Mirror</RedirectType><MirrorURL>http://a.example/</MirrorURL>")], "InvalidArgument"),
        (
            [rule("<RedirectType>Mirror</RedirectType><MirrorURL>http://a.example</MirrorURL>", MISSING)],
            "InvalidArgument",
        ),
        (
            [rule("<RedirectType>Mirror</RedirectType><MirrorURL>ftp://a.example/</MirrorURL>", MISSING)],
            "InvalidArgument",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(client: Client, rules: list[str], code: str) -> None:
    body = f"<WebsiteConfiguration><RoutingRules>{''.join(rules)}</RoutingRules></WebsiteConfiguration>"
    answer = client.send("PUT", "", {"website": ""}, body=body.encode())
    assert (answer.status, answer.code) == (400, code)
