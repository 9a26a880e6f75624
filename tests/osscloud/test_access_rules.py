"""Who may read beyond permissions: hotlink protection and requester pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Client


def put_referers(
    client: Client, white: tuple[str, ...] = (), black: tuple[str, ...] = (), *, empty: bool = True, extra: str = ""
) -> None:
    def listed(name: str, texts: tuple[str, ...]) -> str:
        return f"<{name}>" + "".join(f"<Referer>{text}</Referer>" for text in texts) + f"</{name}>"

    body = f"<AllowEmptyReferer>{str(empty).lower()}</AllowEmptyReferer>{extra}{listed('RefererList', white)}"
    body += listed("RefererBlacklist", black)
    document = f"<RefererConfiguration>{body}</RefererConfiguration>".encode()
    answer = client.send("PUT", "", {"referer": ""}, body=document)
    assert answer.status == 200, answer.body


def visit(client: Client, referer: str | None) -> Answer:
    headers = {} if referer is None else {"referer": referer}
    return client.send("GET", "k", headers=headers, anonymous=True)


@pytest.fixture
def public(client: Client) -> Client:
    client.put("k", b"x", {"x-oss-object-acl": "public-read"})
    return client


@pytest.mark.parametrize(
    ("white", "referer", "status"),
    [
        (("http://www.example.com",), "http://www.example.com", 200),
        (("http://www.example.com",), "http://www.example.com/page", 200),
        (("www.example.com",), "https://www.example.com/page", 200),
        (("http://www.example.com",), "https://www.example.com", 403),
        (("http://*.example.com",), "http://help.example.com/x", 200),
        (("http://*.example.com",), "http://example.com", 403),
        (("http://www.example.co?",), "http://www.example.cox", 200),
        (("http://www.example.com",), "http://evil.com/?http://www.example.com", 403),
        (("HTTP://WWW.EXAMPLE.COM",), "http://www.example.com", 200),
        ((), "http://anywhere", 200),
    ],
)
def test_the_list_says_which_pages_may_embed(public: Client, white: tuple[str, ...], referer: str, status: int) -> None:
    put_referers(public, white, empty=False)
    assert visit(public, referer).status == status


def test_the_refusal_says_why(public: Client) -> None:
    put_referers(public, ("http://a.com",))
    answer = visit(public, "http://b.com")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.text("Message") == "You are denied by bucket referer policy."


def test_no_referer_is_allowed_or_not(public: Client) -> None:
    put_referers(public, ("http://a.com",), empty=True)
    assert visit(public, None).status == 200
    put_referers(public, ("http://a.com",), empty=False)
    assert visit(public, None).status == visit(public, "").status == 403
    put_referers(public, (), empty=False)
    assert visit(public, None).status == 200


def test_the_black_list_beats_the_white_one(public: Client) -> None:
    put_referers(public, ("http://*.example.com",), ("http://bad.example.com",))
    assert visit(public, "http://good.example.com").status == 200
    assert visit(public, "http://bad.example.com/x").status == 403
    put_referers(public, (), ("http://bad.example.com",), empty=False)
    assert visit(public, None).status == visit(public, "http://anywhere").status == 200


def test_a_path_is_cut_off_where_the_rules_say_so(public: Client) -> None:
    put_referers(public, ("http://a.com/private",))
    assert visit(public, "http://a.com/private/x").status == 200
    put_referers(public, ("http://a.com/private",), extra="<TruncatePath>true</TruncatePath>")
    assert visit(public, "http://a.com/private/x").status == 403


def test_a_request_with_an_authorization_header_is_not_looked_at(public: Client) -> None:
    put_referers(public, ("http://a.com",), empty=False)
    assert public.get("k", {"referer": "http://b.com"}).status == 200


# Requester pays


@pytest.fixture
def paid(public: Client) -> Client:
    public.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    body = b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
    assert public.send("PUT", "", {"requestPayment": ""}, body=body).status == 200
    return public


def test_another_account_says_that_it_pays(paid: Client, client_of: Callable[..., Client]) -> None:
    stranger = client_of(account="42")
    answer = stranger.get("k")
    assert (answer.status, answer.code, answer.text("EC")) == (403, "AccessDenied", "0003-00000703")
    assert stranger.get("k", {"x-oss-request-payer": "owner"}).status == 403
    assert stranger.get("k", {"x-oss-request-payer": "requester"}).status == 200
    assert stranger.get("k", **{"x-oss-request-payer": "requester"}).status == 200


def test_the_owner_need_not_say_anything(paid: Client) -> None:
    assert paid.get("k").status == 200


def test_nobody_reads_anonymously_at_the_owners_cost(paid: Client) -> None:
    assert paid.send("GET", "k", anonymous=True).text("EC") == "0003-00000701"


def test_the_owner_pays_again(paid: Client, client_of: Callable[..., Client]) -> None:
    body = b"<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
    paid.send("PUT", "", {"requestPayment": ""}, body=body)
    assert client_of(account="42").get("k").status == 200


@pytest.mark.parametrize("payer", ["", "Me"])
def test_a_bad_payer_is_malformed(client: Client, payer: str) -> None:
    body = f"<RequestPaymentConfiguration><Payer>{payer}</Payer></RequestPaymentConfiguration>".encode()
    assert client.send("PUT", "", {"requestPayment": ""}, body=body).code == "MalformedXML"
