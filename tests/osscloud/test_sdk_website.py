"""Websites, mirrors and CORS as the vendor's SDKs set and read them over HTTP; mirrors fetch from moto's S3 server."""

from __future__ import annotations

import gc
import random
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.origin_http import HttpOrigin
from osscloud.service import OssService
from ossvol.origin import S3Bucket, open_bucket

with warnings.catch_warnings():
    # Escape sequences and pkg_resources in the SDKs' own source.
    warnings.simplefilter("ignore")
    import alibabacloud_oss_v2 as v2
    import boto3
    import botocore.config
    import oss2
    import oss2.models

# The SDKs leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

KEY_ID, SECRET = "LTAI5tSite", "a-secret"


@pytest.fixture(scope="module", autouse=True)
def _collect_connections() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    origin = HttpOrigin()
    service = OssService(clock=WallClock(), rng=random.Random(1), origin=origin)
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("demo")
    with HttpServer(service) as running:
        yield running
        origin.close()


@pytest.fixture
def older(server: HttpServer) -> Iterator[Any]:
    session = oss2.Session()
    yield oss2.Bucket(oss2.Auth(KEY_ID, SECRET), server.endpoint, "demo", session=session)
    session.session.close()


@pytest.fixture
def newer(server: HttpServer) -> Any:
    config = v2.config.load_default()
    config.credentials_provider = v2.credentials.StaticCredentialsProvider(KEY_ID, SECRET)
    config.region = "cn-hangzhou"
    config.endpoint = server.endpoint
    config.retry_max_attempts = 1
    return v2.Client(config)


@pytest.fixture
def site() -> Iterator[S3Bucket]:
    """A bucket at moto, somebody else's server."""
    bucket = open_bucket("moto", "site")
    yield bucket
    bucket.close()


def test_oss2_sets_reads_and_deletes_a_website(older: Any) -> None:
    older.put_object("index.html", b"<p>welcome</p>")
    condition = oss2.models.Condition(key_prefix_equals="old/", http_err_code_return_equals=404)
    redirect = oss2.models.Redirect(
        redirect_type=oss2.models.REDIRECT_TYPE_EXTERNAL, host_name="www.example.com", pass_query_string=True
    )
    rule = oss2.models.RoutingRule(1, condition, redirect)
    older.put_bucket_website(oss2.models.BucketWebsite("index.html", "error.html", [rule]))
    found = older.get_bucket_website()
    assert (found.index_file, found.error_file) == ("index.html", "error.html")
    assert (found.rules[0].rule_num, found.rules[0].redirect.host_name) == (1, "www.example.com")
    assert older.get_object("sub/").read() == b"<p>welcome</p>"
    older.delete_bucket_website()
    with pytest.raises(oss2.exceptions.NoSuchWebsite):
        older.get_bucket_website()


def test_oss2_mirrors_from_a_real_s3_server(older: Any, site: S3Bucket) -> None:
    site.put("theirs/a b", b"from s3", content_type="text/css")
    site.put("theirs/closed", b"", content_type="text/css", acl="private")
    headers = oss2.models.RedirectMirrorHeaders(
        pass_all=True,
        pass_list=["a"],
        remove_list=["b"],
        set_list=[oss2.models.MirrorHeadersSet("x-from", "oss")],
    )
    redirect = oss2.models.Redirect(
        redirect_type=oss2.models.REDIRECT_TYPE_MIRROR,
        mirror_url=site.url + "theirs/",
        mirror_check_md5=True,
        mirror_follow_redirect=True,
        mirror_headers=headers,
    )
    condition = oss2.models.Condition(key_prefix_equals="", http_err_code_return_equals=404)
    older.put_bucket_website(
        oss2.models.BucketWebsite("index.html", "error.html", [oss2.models.RoutingRule(1, condition, redirect)])
    )
    found = older.get_bucket_website().rules[0].redirect
    assert (found.mirror_url, found.mirror_headers.pass_all) == (site.url + "theirs/", True)
    assert [entry.key for entry in oss2.ObjectIterator(older)] == []
    assert not older.object_exists("a b")
    answer = older.get_object("a b")
    assert (answer.read(), answer.content_type) == (b"from s3", "text/css")
    site.delete("theirs/a b")
    answer = older.get_object("a b")
    assert (answer.read(), answer.headers["x-oss-tag"]) == (b"from s3", "MIRROR")
    assert [entry.key for entry in oss2.ObjectIterator(older)] == ["a b"]
    with pytest.raises(oss2.exceptions.NoSuchKey):
        older.get_object("never")
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        older.get_object("closed")
    assert (caught.value.status, caught.value.code) == (424, "MirrorFailed")


def test_v2_sets_every_option_and_reads_it_back(newer: Any) -> None:
    mirror = v2.RoutingRuleRedirect(
        redirect_type="Mirror",
        mirror_url="http://127.0.0.1:1/",
        mirror_url_slave="http://127.0.0.1:2/",
        enable_replace_prefix=True,
        replace_key_prefix_with="x/",
        mirror_headers=v2.MirrorHeaders(pass_all=True, removes=["a"]),
        mirror_allow_head_object=True,
        mirror_user_last_modified=True,
        transparent_mirror_response_codes="400,403",
        mirror_sni=True,
    )
    condition = v2.RoutingRuleCondition(
        key_prefix_equals="p/", key_suffix_equals=".jpg", http_error_code_returned_equals=404
    )
    website = v2.WebsiteConfiguration(
        index_document=v2.IndexDocument(suffix="index.html", support_sub_dir=True, type=2),
        error_document=v2.ErrorDocument(key="error.html", http_status=200),
        routing_rules=v2.RoutingRules(
            routing_rules=[v2.RoutingRule(rule_number=3, condition=condition, redirect=mirror)]
        ),
    )
    newer.put_bucket_website(v2.PutBucketWebsiteRequest(bucket="demo", website_configuration=website))
    found = newer.get_bucket_website(v2.GetBucketWebsiteRequest(bucket="demo")).website_configuration
    assert (found.index_document.support_sub_dir, found.index_document.type) == (True, 2)
    assert found.error_document.http_status == 200
    (rule,) = found.routing_rules.routing_rules
    assert (rule.rule_number, rule.condition.key_suffix_equals) == (3, ".jpg")
    assert rule.redirect.transparent_mirror_response_codes == "400,403"
    assert rule.redirect.mirror_allow_head_object is True


def test_v2_sets_cors_and_asks_as_a_page_would(newer: Any, server: HttpServer) -> None:
    rule = v2.CORSRule(
        allowed_origins=["https://shop.example"],
        allowed_methods=["GET"],
        allowed_headers=["*"],
        expose_headers=["ETag"],
        max_age_seconds=60,
    )
    configuration = v2.CORSConfiguration(cors_rules=[rule], response_vary=True)
    newer.put_bucket_cors(v2.PutBucketCorsRequest(bucket="demo", cors_configuration=configuration))
    found = newer.get_bucket_cors(v2.GetBucketCorsRequest(bucket="demo")).cors_configuration
    assert (found.cors_rules[0].max_age_seconds, found.response_vary) == (60, True)
    asked = v2.OptionObjectRequest(
        bucket="demo",
        key="a",
        origin="https://shop.example",
        access_control_request_method="GET",
        access_control_request_headers="x-a",
    )
    answer = newer.option_object(asked)
    assert (answer.access_control_allow_origin, answer.access_control_max_age) == ("https://shop.example", 60)
    request = urllib.request.Request(
        server.endpoint + "/demo/a",
        method="OPTIONS",
        headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"},
    )
    with urllib.request.urlopen(request, timeout=10) as page:
        assert page.headers["Access-Control-Allow-Methods"] == "GET"


def test_oss2_sets_reads_and_deletes_cors(older: Any) -> None:
    rule = oss2.models.CorsRule(
        allowed_origins=["*"], allowed_methods=["GET", "PUT"], allowed_headers=["*"], max_age_seconds=1000
    )
    older.put_bucket_cors(oss2.models.BucketCors([rule]))
    (found,) = older.get_bucket_cors().rules
    assert (found.allowed_methods, found.max_age_seconds) == (["GET", "PUT"], 1000)
    older.delete_bucket_cors()
    with pytest.raises(oss2.exceptions.NoSuchCors):
        older.get_bucket_cors()


def test_the_s3_face_takes_rules_without_numbers(server: HttpServer, older: Any) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="cn-hangzhou",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=botocore.config.Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
    )
    s3.put_bucket_website(
        Bucket="demo",
        WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}},
    )
    found = s3.get_bucket_website(Bucket="demo")
    assert (found["IndexDocument"], found["ErrorDocument"]["Key"]) == ({"Suffix": "index.html"}, "error.html")
    s3.close()
