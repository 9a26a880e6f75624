"""Documents that clients put into buckets: XML, policies. What is taken is given back as it was, anything else is
refused as OSS does."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import damaged, damaged_bytes, mostly, texts
from tests.fuzz.parsers.test_signatures import DATE, ID, SECRET, Asked, address_of

from osscloud.clock import VirtualClock
from osscloud.errors import OssError
from osscloud.message import Request, Response
from osscloud.ram.condition import MappingContext
from osscloud.ram.policy import Policy, PolicyError, parse_text
from osscloud.service import OssService
from osscloud.signing import v1
from osscloud.xml import Document, canonical, parse, parse_http_date, parse_iso_date

# XML

tags = st.sampled_from(["Rule", "ID", "Prefix", "Status", "Key", "Days", "文"])
# XML has neither these characters nor a difference between line ends.
contents = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\x7f\ufffe\uffff", max_codepoint=0x10FEFF), max_size=8
)
trees = st.recursive(
    st.tuples(tags, contents), lambda inner: st.tuples(tags, st.lists(inner, min_size=1, max_size=4)), max_leaves=8
)


def written(tree: tuple[str, object]) -> bytes:
    document = Document(tree[0])
    if isinstance(tree[1], str):
        return Document.single(tree[0], tree[1])
    _write(document, tree[1])
    return document.bytes()


def _write(document: Document, inner: object) -> None:
    assert isinstance(inner, list)
    for tag, content in inner:
        if isinstance(content, str):
            document.leaf(tag, content)
        else:
            document.open(tag)
            _write(document, content)
            document.close()


def read(element: Element) -> tuple[str, object]:
    if len(element):
        return element.tag, [read(child) for child in element]
    return element.tag, element.text or ""


@budget(65)
@given(tree=trees)
def test_a_document_that_is_written_is_read_as_it_was(tree: tuple[str, object]) -> None:
    assert read(parse(written(tree), "")) == tree


@budget(100)
@given(body=damaged_bytes(trees.map(written)))
def test_any_bytes_are_a_document_or_malformed_xml(body: bytes) -> None:
    try:
        with within():
            element = parse(body, "")
            again = canonical(element)
            # Text beside elements means nothing to OSS.
            assert canonical(parse(again, element.tag)) == again
    except OssError as error:
        assert error.code == "MalformedXML"


@budget(65)
@given(
    text=damaged(
        st.sampled_from(
            [
                DATE,
                "Tue, 03 Sep 2024 00:00:00 +0800",
                "3 Sep 24 0:0",
                "2024-09-03T00:00:00.000Z",
                "2024-09-03",
                "20240903",
            ]
        )
    )
)
def test_any_text_is_a_date_or_none(text: str) -> None:
    with within():
        assert parse_http_date(text) is None or isinstance(parse_http_date(text), int)
        assert parse_iso_date(text) is None or isinstance(parse_iso_date(text), int)


# Configurations of buckets

CONFIGURATIONS: Mapping[str, tuple[str, ...]] = {
    "acl": (),
    "website": (
        "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix><SupportSubDir>true</SupportSubDir><Type>0</Type>"
        "</IndexDocument><ErrorDocument><Key>e.html</Key><HttpStatus>404</HttpStatus></ErrorDocument><RoutingRules>"
        "<RoutingRule><RuleNumber>1</RuleNumber><Condition><KeyPrefixEquals>a/</KeyPrefixEquals>"
        "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>"
        "<RedirectType>Mirror</RedirectType><PassQueryString>true</PassQueryString><MirrorURL>http://o.example/</MirrorURL>"
        "<MirrorHeaders><PassAll>true</PassAll><Pass>a</Pass><Remove>b</Remove><Set><Key>k</Key><Value>v</Value></Set>"
        "</MirrorHeaders></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>",
        "<WebsiteConfiguration><RoutingRules><RoutingRule><RuleNumber>2</RuleNumber><Condition>"
        "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><RedirectType>External"
        "</RedirectType><Protocol>http</Protocol><HostName>h.example</HostName><ReplaceKeyPrefixWith>p/</ReplaceKeyPrefixWith>"
        "<HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>",
    ),
    "cors": (
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*"
        "</AllowedHeader><ExposeHeader>x-oss-a</ExposeHeader><MaxAgeSeconds>9</MaxAgeSeconds></CORSRule>"
        "<ResponseVary>false</ResponseVary></CORSConfiguration>",
    ),
    "lifecycle": (
        "<LifecycleConfiguration><Rule><ID>a</ID><Prefix>l/</Prefix><Status>Enabled</Status><Transition><Days>30</Days>"
        "<StorageClass>IA</StorageClass></Transition><Expiration><Days>60</Days></Expiration><AbortMultipartUpload>"
        "<Days>3</Days></AbortMultipartUpload></Rule></LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><ID>b</ID><Prefix/><Status>Disabled</Status><Tag><Key>a</Key><Value>b</Value></Tag>"
        "<Expiration><CreatedBeforeDate>2024-01-01T00:00:00.000Z</CreatedBeforeDate></Expiration>"
        "<NoncurrentVersionExpiration><NoncurrentDays>10</NoncurrentDays></NoncurrentVersionExpiration></Rule>"
        "</LifecycleConfiguration>",
    ),
    "logging": (
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>demo</TargetBucket><TargetPrefix>l-</TargetPrefix>"
        "</LoggingEnabled></BucketLoggingStatus>",
    ),
    "referer": (
        "<RefererConfiguration><AllowEmptyReferer>true</AllowEmptyReferer><TruncatePath>true</TruncatePath><RefererList>"
        "<Referer>http://*.a.example</Referer></RefererList><RefererBlacklist><Referer>http://b.example</Referer>"
        "</RefererBlacklist></RefererConfiguration>",
    ),
    "encryption": (
        "<ServerSideEncryptionRule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>KMS</SSEAlgorithm><KMSMasterKeyID>k"
        "</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></ServerSideEncryptionRule>",
    ),
    "requestPayment": ("<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",),
    "tagging": ("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",),
    "bucketArchiveDirectRead": (
        "<ArchiveDirectReadConfiguration><Enabled>true</Enabled></ArchiveDirectReadConfiguration>",
    ),
    "accessmonitor": ("<AccessMonitorConfiguration><Status>Enabled</Status></AccessMonitorConfiguration>",),
    "transferAcceleration": (
        "<TransferAccelerationConfiguration><Enabled>true</Enabled></TransferAccelerationConfiguration>",
    ),
    "resourceGroup": (
        "<BucketResourceGroupConfiguration><ResourceGroupId>rg-a</ResourceGroupId></BucketResourceGroupConfiguration>",
    ),
    "httpsConfig": (
        "<HttpsConfiguration><TLS><Enable>true</Enable><TLSVersion>TLSv1.2</TLSVersion></TLS></HttpsConfiguration>",
    ),
    "publicAccessBlock": (
        "<PublicAccessBlockConfiguration><BlockPublicAccess>true</BlockPublicAccess></PublicAccessBlockConfiguration>",
    ),
    "qosInfo": ("<QoSConfiguration><TotalUploadBandwidth>10</TotalUploadBandwidth></QoSConfiguration>",),
    "qos": ("<BucketUserQos><StorageCapacity>10</StorageCapacity></BucketUserQos>",),
    "userDefinedLogFieldsConfig": (
        "<UserDefinedLogFieldsConfiguration><HeaderSet><header>a</header></HeaderSet></UserDefinedLogFieldsConfiguration>",
    ),
    "policy&comp=callback": (
        "<BucketCallbackPolicy><PolicyItem><PolicyName>p</PolicyName><Callback>e30=</Callback></PolicyItem>"
        "</BucketCallbackPolicy>",
    ),
    "policy": (
        '{"Version":"1","Statement":[{"Effect":"Deny","Action":["oss:GetObject"],"Principal":["1"],"Resource":'
        '["acs:oss:*:*:demo/*"],"Condition":{"IpAddress":{"acs:SourceIp":["10.0.0.0/8"]}}}]}',
    ),
}
documents = st.sampled_from([(name, body) for name, bodies in CONFIGURATIONS.items() for body in bodies])


def make_service() -> OssService:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    key = service.accounts.create_key(id=ID, secret=SECRET)
    service.admin.create_bucket("demo", owner=key.account)
    return service


def ask(service: OssService, method: str, query: str, body: bytes = b"") -> Response:
    names = (item.partition("=") for item in query.split("&"))
    request = Asked(method, "demo", "", {name: value for name, _, value in names}, {}, body).request({"date": DATE})
    signature = v1.sign(SECRET, v1.string_to_sign(request, address_of(request), DATE))
    return service.handle(
        Request(method, request.target, {**request.headers, "authorization": f"OSS {ID}:{signature}"}, body)
    )


@budget(130)
@given(case=documents, data=st.data())
def test_a_configuration_that_is_taken_is_given_back_and_taken_again(
    case: tuple[str, str], data: st.DataObject
) -> None:
    name, text = case
    body = data.draw(damaged(st.just(text), edits=3)).encode()
    service = make_service()
    before = ask(service, "GET", name)
    with within():
        answer = ask(service, "PUT", name, body)
    assert answer.status == 200 or 400 <= answer.status < 500 or answer.status == 501, (answer.status, answer.read())
    after = ask(service, "GET", name)
    if answer.status != 200:
        assert (after.status, answer_of(after)) == (before.status, answer_of(before))
        return
    assert after.status < 500
    given_back = after.read()
    if after.status == 200:
        assert ask(service, "PUT", name, given_back).status == 200
        assert ask(service, "GET", name).read() == given_back
    # What it does to other requests is no mistake either.
    for method, query in (("GET", "acl"), ("GET", "bucketInfo"), ("DELETE", name)):
        status = ask(service, method, query).status
        assert status < 500 or status == 501
    with within():
        service.clock.advance(86400 * 400)  # type: ignore[attr-defined]
        service.tick()


def answer_of(response: Response) -> bytes:
    """Without what differs from one request to the next."""
    return response.read().partition(b"<RequestId>")[0]


@pytest.mark.parametrize("case", [(name, body) for name, bodies in CONFIGURATIONS.items() for body in bodies])
def test_the_documents_that_are_damaged_here_are_valid(case: tuple[str, str]) -> None:
    service = make_service()
    assert ask(service, "PUT", case[0], case[1].encode()).status == 200


# Policies

actions = mostly(st.sampled_from(["oss:GetObject", "oss:*", "*", "oss:Get?bject*", "ram:*"]), texts)
resources = mostly(
    st.sampled_from(["*", "acs:oss:*:*:demo", "acs:oss:*:*:demo/*", "acs:oss:oss-cn-*:1:a?c/*b*c*"]), texts
)
CONDITIONS = {
    "StringEquals": "a", "StringNotLike": "a*b?", "NumericLessThan": "1e3",
    "DateGreaterThan": "2024-09-03T00:00:00+08:00",
    "Bool": "true", "IpAddress": "10.0.0.0/8", "NotIpAddress": "::1/64",
}  # fmt: skip
KEYS = ["acs:SourceIp", "acs:CurrentTime", "acs:SecureTransport", "oss:Prefix", "oss:Delimiter", "oss:x-oss-acl"]
blocks = st.sampled_from(sorted(CONDITIONS)).flatmap(
    lambda operator: st.fixed_dictionaries(
        {
            operator: st.dictionaries(
                mostly(st.sampled_from(KEYS), texts),
                mostly(
                    st.just(CONDITIONS[operator]), texts | st.lists(texts, max_size=2) | st.booleans() | st.floats()
                ),
                max_size=2,
            )
        }
    )
)


def one_or_more(strings: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    return strings | st.lists(strings, min_size=1, max_size=3)


statements = st.fixed_dictionaries(
    {
        "Effect": mostly(st.sampled_from(["Allow", "Deny"]), texts),
        "Action": one_or_more(actions),
        "Resource": one_or_more(resources),
    },
    optional={"Condition": blocks, "Sid": texts},
)
principals = mostly(st.sampled_from([["*"], "1234", ["arn:sts::1:assumed-role/a/*"], []]), st.lists(texts, max_size=2))
trust = mostly(
    st.fixed_dictionaries({"RAM": one_or_more(st.sampled_from(["acs:ram::1:root", "*"]))}),
    st.dictionaries(texts, one_or_more(texts), max_size=2),
)


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    kind = draw(st.sampled_from(["identity", "bucket", "trust"]))
    entries = draw(st.lists(statements, min_size=1, max_size=3))
    for entry in entries:
        if kind == "bucket":
            entry["Principal"] = draw(principals)
        elif kind == "trust":
            del entry["Resource"]
            entry["Principal"] = draw(trust)
    return kind, {"Version": "1", "Statement": entries if len(entries) > 1 or draw(st.booleans()) else entries[0]}


CONTEXT = MappingContext({key.lower(): "10.0.0.1" for key in KEYS})


@budget(100)
@given(policy=policies(), data=st.data())
def test_any_text_is_a_policy_that_decides_or_is_refused(
    policy: tuple[str, dict[str, object]], data: st.DataObject
) -> None:
    kind, document = policy
    text = data.draw(damaged(st.just(json.dumps(document)), edits=2))
    try:
        with within():
            taken: Policy = parse_text(text, kind)  # type: ignore[arg-type]
    except PolicyError as error:
        assert str(error)
        return
    with within():
        taken.decide("oss:GetObject", "acs:oss:*:*:demo/a/b/c" + "a" * 100, CONTEXT)
    if kind != "trust":
        assert parse_text(taken.text(), kind) == taken  # type: ignore[arg-type]


@budget(20)
@given(pattern=st.lists(st.sampled_from(["*", "?", "a", "b", "ab"]), max_size=30).map("".join))
def test_a_wildcard_costs_no_more_than_it_should(pattern: str) -> None:
    policy = Policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": f"acs:oss:*:*:{pattern}"}})
    with within():
        policy.decide("oss:GetObject", "acs:oss:*:*:" + "ab" * 500 + "c")
