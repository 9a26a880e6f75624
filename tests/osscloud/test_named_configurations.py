"""Configurations of which a bucket has several: styles, inventories, replication rules, domains; and bucket tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client


def inventory(name: str, **changes: str) -> bytes:
    leaves = {"Id": name, "IsEnabled": "True", "IncludedObjectVersions": "Current", **changes}
    inner = "".join(f"<{leaf}>{text}</{leaf}>" for leaf, text in leaves.items())
    target = "<Format>CSV</Format><AccountId>1</AccountId><RoleArn>r</RoleArn><Bucket>acs:oss:::b</Bucket>"
    inner += f"<Destination><OSSBucketDestination>{target}</OSSBucketDestination></Destination>"
    inner += "<Schedule><Frequency>Daily</Frequency></Schedule>"
    return f"<InventoryConfiguration>{inner}</InventoryConfiguration>".encode()


def put_inventory(client: Client, name: str, body: bytes | None = None) -> Answer:
    return client.send("PUT", "", {"inventory": "", "inventoryId": name}, body=body or inventory(name))


def test_inventories_are_listed_a_hundred_at_a_time(client: Client) -> None:
    assert client.send("GET", "", {"inventory": ""}).code == "NoSuchInventory"
    for number in range(120):
        assert put_inventory(client, f"i{number:03}").status == 200
    first = client.send("GET", "", {"inventory": ""})
    token = first.text("NextContinuationToken")
    assert (len(first.texts("InventoryConfiguration/Id")), first.text("IsTruncated"), token) == (100, "true", "i099")
    rest = client.send("GET", "", {"inventory": "", "continuation-token": token})
    assert (len(rest.texts("InventoryConfiguration/Id")), rest.text("IsTruncated")) == (20, "false")
    assert set(rest.texts("InventoryConfiguration/IsEnabled")) == {"true"}


def test_bad_inventories_are_refused(client: Client) -> None:
    assert put_inventory(client, "a", inventory("b")).code == "InvalidArgument"
    assert put_inventory(client, "a", inventory("a", IncludedObjectVersions="Some")).code == "MalformedXML"
    assert client.send("DELETE", "", {"inventory": "", "inventoryId": "a"}).status == 204


def test_a_style_keeps_its_first_date(client: Client, clock: VirtualClock) -> None:
    style = {"style": "", "styleName": "s"}
    for content in ("image/resize,w_1", "image/resize,w_2"):
        assert client.send("PUT", "", style, body=f"<Style><Content>{content}</Content></Style>".encode()).status == 200
        clock.advance(60)
    answer = client.send("GET", "", style)
    assert answer.text("Content") == "image/resize,w_2"
    assert (answer.text("CreateTime"), answer.text("LastModifyTime")) == (
        "2024-09-03T00:00:00.000Z",
        "2024-09-03T00:01:00.000Z",
    )
    assert client.send("PUT", "", {"style": "", "styleName": ""}, body=b"<Style/>").code == "InvalidArgument"


def replication(inner: str = "") -> bytes:
    destination = "<Destination><Bucket>b</Bucket><Location>oss-cn-beijing</Location></Destination>"
    return f"<ReplicationConfiguration><Rule>{destination}{inner}</Rule></ReplicationConfiguration>".encode()


def test_replication_rules_are_added_one_by_one(client: Client) -> None:
    add = {"replication": "", "comp": "add"}
    assert client.send("POST", "", add, body=replication("<ID>one</ID>")).header("x-oss-replication-rule-id") == "one"
    assert client.send("POST", "", add, body=replication("<ID>one</ID>")).code == "InvalidArgument"
    second = client.send("POST", "", add, body=replication()).header("x-oss-replication-rule-id") or ""
    answer = client.send("GET", "", {"replication": ""})
    assert set(answer.texts("Rule/ID")) == {"one", second}
    rtc = f"<ReplicationRule><RTC><Status>enabled</Status></RTC><ID>{second}</ID></ReplicationRule>".encode()
    assert client.send("PUT", "", {"rtc": ""}, body=rtc).status == 200
    assert client.send("GET", "", {"replication": ""}).texts("Rule/RTC/Status") == ["enabled"]
    remove = {"replication": "", "comp": "delete"}
    body = b"<ReplicationRules><ID>one</ID></ReplicationRules>"
    assert client.send("POST", "", remove, body=body).status == 200
    assert client.send("POST", "", remove, body=body).code == "NoSuchReplicationRule"
    assert client.send("GET", "", {"replicationProgress": "", "rule-id": "one"}).code == "NoSuchReplicationRule"


def cname(domain: str) -> bytes:
    return f"<BucketCnameConfiguration><Cname><Domain>{domain}</Domain></Cname></BucketCnameConfiguration>".encode()


def test_a_domain_belongs_to_one_bucket_and_goes_with_it(client: Client, oss: OssService) -> None:
    add = {"cname": "", "comp": "add"}
    oss.admin.create_bucket("other")
    assert client.send("POST", "", add, body=cname("WWW.Example.com")).status == 200
    assert client.send("POST", "", add, body=cname("www.example.com")).status == 200
    taken = client.send("POST", "", add, body=cname("www.example.com"), bucket="other")
    assert (taken.status, taken.code) == (409, "CnameAlreadyExists")
    assert oss.cnames == {"www.example.com": "demo"}
    client.send("DELETE", "")
    assert oss.cnames == {}
    assert client.send("POST", "", add, body=cname("www.example.com"), bucket="other").status == 200


@pytest.mark.parametrize("domain", ["", "localhost", "a b.com", "a..com"])
def test_bad_domains_are_refused(client: Client, domain: str) -> None:
    assert client.send("POST", "", {"cname": "", "comp": "add"}, body=cname(domain)).code == "InvalidArgument"


def tags(**pairs: str) -> bytes:
    inner = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs.items())
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (tags(**{f"k{n}": "v" for n in range(21)}), "TooManyTags"),
        (tags(a="1").replace(b"</TagSet>", b"<Tag><Key>a</Key><Value>2</Value></Tag></TagSet>"), "RepeatedTags"),
        (tags(**{"k" * 65: "v"}), "InvalidTaggingKey"),
        (tags(**{"aliyun-x": "v"}), "InvalidTaggingKey"),
        (tags(a="v" * 129), "InvalidTag"),
        (b"<Tagging><Tag/></Tagging>", "MalformedXML"),
    ],
)
def test_bad_bucket_tags_are_refused(client: Client, body: bytes, code: str) -> None:
    answer = client.send("PUT", "", {"tagging": ""}, body=body)
    assert (answer.status, answer.code) == (400, code)


def test_a_bucket_is_created_in_a_resource_group(client: Client) -> None:
    client.send("PUT", "", None, {"x-oss-resource-group-id": "rg-mine"}, bucket="grouped")
    answer = client.send("GET", "", {"resourceGroup": ""}, bucket="grouped")
    assert answer.text("ResourceGroupId") == "rg-mine"
    assert client.send("GET", "", {"resourceGroup": ""}).text("ResourceGroupId") == "rg-default"
