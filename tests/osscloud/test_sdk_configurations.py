"""Bucket configurations, restores and form uploads as the vendor's two Python SDKs put and read them, over HTTP."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from osscloud.clock import AdjustableClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService, ServiceConfig

with warnings.catch_warnings():
    # Escape sequences and pkg_resources in the SDKs' own sources.
    warnings.simplefilter("ignore")
    import alibabacloud_oss_v2 as v2
    import oss2
    import oss2.models as m

# The SDKs leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

KEY_ID, SECRET = "LTAI5tConfig", "a-secret"
OWNER = "1000000000000001"


@pytest.fixture(scope="module", autouse=True)
def _collect_connections() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture
def server(clock: AdjustableClock) -> Iterator[HttpServer]:
    # The SDKs sign with the machine's time while the cloud's moves ahead.
    service = OssService(clock=clock, rng=random.Random(1), config=ServiceConfig(max_skew_seconds=10**9))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("demo")
    service.admin.create_bucket("logs")
    with HttpServer(service) as running:
        yield running


@pytest.fixture(params=["v1", "v4"])
def bucket(request: pytest.FixtureRequest, server: HttpServer) -> Iterator[Any]:
    session = oss2.Session()
    auth = oss2.make_auth(KEY_ID, SECRET, request.param)
    yield oss2.Bucket(auth, server.endpoint, "demo", session=session, region="cn-hangzhou")
    session.session.close()


@pytest.fixture
def client(server: HttpServer) -> Any:
    config = v2.config.load_default()
    config.credentials_provider = v2.credentials.StaticCredentialsProvider(KEY_ID, SECRET)
    config.region = "cn-hangzhou"
    config.endpoint = server.endpoint
    config.retry_max_attempts = 1
    return v2.Client(config)


def refused(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


def refused_v2(call: Any, request: Any) -> tuple[int, str]:
    with pytest.raises(v2.exceptions.OperationError) as caught:
        call(request)
    error = caught.value.unwrap()
    return error.status_code, error.code


# oss2


def test_oss2_sets_and_reads_lifecycle_rules(bucket: Any) -> None:
    assert refused(bucket.get_bucket_lifecycle) == (404, "NoSuchLifecycle")
    tagging = m.Tagging(m.TaggingRule())
    tagging.tag_set.add("k", "v")
    rules = [
        m.LifecycleRule("one", "log/", expiration=m.LifecycleExpiration(days=357)),
        m.LifecycleRule(
            "two",
            "tmp/",
            abort_multipart_upload=m.AbortMultipartUpload(days=3),
            expiration=m.LifecycleExpiration(created_before_date=datetime(2030, 1, 1).date()),
        ),
        m.LifecycleRule(
            "three",
            "cold/",
            storage_transitions=[m.StorageTransition(days=30, storage_class=oss2.BUCKET_STORAGE_CLASS_IA)],
            tagging=tagging,
        ),
        m.LifecycleRule(
            "four",
            "versions/",
            expiration=m.LifecycleExpiration(expired_detete_marker=True),
            noncurrent_version_expiration=m.NoncurrentVersionExpiration(30),
            noncurrent_version_sotrage_transitions=[
                m.NoncurrentVersionStorageTransition(12, oss2.BUCKET_STORAGE_CLASS_IA)
            ],
        ),
        m.LifecycleRule(
            "five",
            "filtered/",
            expiration=m.LifecycleExpiration(days=5),
            filter=m.LifecycleFilter([m.FilterNot("filtered/not", m.FilterNotTag("a", "b"))], 500, 1000),
        ),
    ]
    bucket.put_bucket_lifecycle(m.BucketLifecycle(rules))
    read = bucket.get_bucket_lifecycle().rules
    assert [rule.id for rule in read] == ["one", "two", "three", "four", "five"]
    assert (read[0].expiration.days, read[0].prefix, read[0].status) == (357, "log/", "Enabled")
    assert read[1].expiration.created_before_date == datetime(2030, 1, 1).date()
    assert read[1].abort_multipart_upload.days == 3
    assert [(t.days, t.storage_class) for t in read[2].storage_transitions] == [(30, "IA")]
    assert read[2].tagging.tag_set.tagging_rule == {"k": "v"}
    assert read[3].expiration.expired_detete_marker
    assert read[3].noncurrent_version_expiration.noncurrent_days == 30
    assert read[4].filter.object_size_greater_than == 500
    bucket.delete_bucket_lifecycle()
    assert refused(bucket.get_bucket_lifecycle) == (404, "NoSuchLifecycle")


def test_oss2_meets_the_errors_of_lifecycle_rules(bucket: Any) -> None:
    same = [m.LifecycleRule(n, "log/", expiration=m.LifecycleExpiration(days=d)) for n, d in (("a", 1), ("b", 2))]
    assert refused(bucket.put_bucket_lifecycle, m.BucketLifecycle(same)) == (400, "InvalidRequest")
    bucket.put_bucket_lifecycle(m.BucketLifecycle(same), headers={"x-oss-allow-same-action-overlap": "true"})
    assert len(bucket.get_bucket_lifecycle().rules) == 2


def test_oss2_sets_and_reads_logging(bucket: Any) -> None:
    assert bucket.get_bucket_logging().target_bucket == ""
    bucket.put_bucket_logging(m.BucketLogging("logs", "access/"))
    read = bucket.get_bucket_logging()
    assert (read.target_bucket, read.target_prefix) == ("logs", "access/")
    assert refused(bucket.put_bucket_logging, m.BucketLogging("missing", ""))[1] == "InvalidTargetBucketForLogging"
    bucket.delete_bucket_logging()
    assert bucket.get_bucket_logging().target_bucket == ""


def test_oss2_sets_and_reads_referers(bucket: Any) -> None:
    read = bucket.get_bucket_referer()
    assert (read.allow_empty_referer, read.referers) == (True, [])
    put = m.BucketReferer(
        False, ["http://a.com", "http://*.b.com"], allow_truncate_query_string=False, black_referers=["http://c.com"]
    )
    bucket.put_bucket_referer(put)
    read = bucket.get_bucket_referer()
    assert (read.allow_empty_referer, read.referers) == (False, ["http://a.com", "http://*.b.com"])
    assert (read.allow_truncate_query_string, read.black_referers) == (False, ["http://c.com"])


def test_oss2_sets_and_reads_encryption(bucket: Any) -> None:
    assert refused(bucket.get_bucket_encryption)[1] == "NoSuchServerSideEncryptionRule"
    rule = m.ServerSideEncryptionRule(oss2.SERVER_SIDE_ENCRYPTION_KMS, "a-key", oss2.KMS_DATA_ENCRYPTION_SM4)
    bucket.put_bucket_encryption(rule)
    read = bucket.get_bucket_encryption()
    assert (read.sse_algorithm, read.kms_master_keyid, read.kms_data_encryption) == ("KMS", "a-key", "SM4")
    info = bucket.get_bucket_info().bucket_encryption_rule
    assert (info.sse_algorithm, info.kms_master_keyid) == ("KMS", "a-key")
    assert bucket.put_object("k", b"x").headers["x-oss-server-side-encryption"] == "KMS"
    assert bucket.head_object("k").headers["x-oss-server-side-encryption-key-id"] == "a-key"
    bucket.delete_bucket_encryption()
    assert bucket.get_bucket_info().bucket_encryption_rule.sse_algorithm is None


def test_oss2_sets_and_reads_tags(bucket: Any) -> None:
    assert bucket.get_bucket_tagging().tag_set.tagging_rule == {}
    rule = m.TaggingRule()
    for name in ("a", "b", "c"):
        rule.add(name, name * 2)
    bucket.put_bucket_tagging(m.Tagging(rule))
    assert bucket.get_bucket_tagging().tag_set.tagging_rule == {"a": "aa", "b": "bb", "c": "cc"}
    bucket.delete_bucket_tagging({"tagging": "a,c"})
    assert bucket.get_bucket_tagging().tag_set.tagging_rule == {"b": "bb"}
    bucket.delete_bucket_tagging()
    assert bucket.get_bucket_tagging().tag_set.tagging_rule == {}


def test_oss2_sets_and_reads_who_pays(bucket: Any) -> None:
    assert bucket.get_bucket_request_payment().payer == "BucketOwner"
    bucket.put_bucket_request_payment("Requester")
    assert bucket.get_bucket_request_payment().payer == "Requester"


def test_oss2_starts_locks_and_extends_retention(bucket: Any) -> None:
    worm_id = bucket.init_bucket_worm(1).worm_id
    read = bucket.get_bucket_worm()
    assert (read.worm_id, read.state, read.retention_period_days) == (worm_id, "InProgress", 1)
    bucket.abort_bucket_worm()
    assert refused(bucket.get_bucket_worm) == (404, "NoSuchWORMConfiguration")
    worm_id = bucket.init_bucket_worm(1).worm_id
    bucket.complete_bucket_worm(worm_id)
    bucket.extend_bucket_worm(worm_id, 2)
    read = bucket.get_bucket_worm()
    assert (read.state, read.retention_period_days) == ("Locked", 2)
    bucket.put_object("k", b"x")
    assert refused(bucket.delete_object, "k") == (409, "FileImmutable")


def test_oss2_keeps_inventories(bucket: Any) -> None:
    destination = m.InventoryBucketDestination(
        account_id=OWNER,
        role_arn=f"acs:ram::{OWNER}:role/r",
        bucket="acs:oss:::logs",
        inventory_format="CSV",
        prefix="inv/",
        sse_oss_encryption=m.InventoryServerSideEncryptionOSS(),
    )
    put = m.InventoryConfiguration(
        inventory_id="id1",
        is_enabled=True,
        inventory_schedule=m.InventorySchedule(frequency="Daily"),
        included_object_versions="All",
        inventory_filter=m.InventoryFilter("p/", 1637883649, 1638347592, 1024, 1048576, "Standard,IA"),
        optional_fields=["Size", "ETag"],
        inventory_destination=m.InventoryDestination(bucket_destination=destination),
    )
    bucket.put_bucket_inventory_configuration(put)
    read = bucket.get_bucket_inventory_configuration("id1")
    assert (read.is_enabled, read.inventory_filter.prefix, read.optional_fields) == (True, "p/", ["Size", "ETag"])
    listed = bucket.list_bucket_inventory_configurations()
    assert [c.inventory_id for c in listed.inventory_configurations] == ["id1"]
    bucket.delete_bucket_inventory_configuration("id1")
    assert refused(bucket.get_bucket_inventory_configuration, "id1") == (404, "NoSuchInventory")


def test_oss2_keeps_replication_rules(bucket: Any) -> None:
    rule = m.ReplicationRule(
        rule_id="r1",
        target_bucket_name="logs",
        target_bucket_location="oss-cn-beijing",
        prefix_list=["a", "b"],
        action_list=[m.ReplicationRule.PUT],
    )
    bucket.put_bucket_replication(rule)
    (read,) = bucket.get_bucket_replication().rule_list
    assert (read.rule_id, read.target_bucket_name, read.prefix_list) == ("r1", "logs", ["a", "b"])
    assert bucket.get_bucket_replication_progress("r1").progress.rule_id == "r1"
    assert bucket.get_bucket_info().cross_region_replication == "Enabled"
    assert bucket.get_bucket_replication_location().location_list
    bucket.delete_bucket_replication("r1")
    assert refused(bucket.get_bucket_replication) == (404, "NoSuchReplicationConfiguration")


def test_oss2_binds_domains(bucket: Any, server: HttpServer) -> None:
    token = bucket.create_bucket_cname_token("www.example.com")
    assert bucket.get_bucket_cname_token("www.example.com").token == token.token
    bucket.put_bucket_cname(m.PutBucketCnameRequest("www.example.com"))
    listed = bucket.list_bucket_cname()
    assert (listed.bucket, listed.owner) == ("demo", OWNER)
    assert [(c.domain, c.status) for c in listed.cname] == [("www.example.com", "Enabled")]
    bucket.put_object("k", b"through a domain")
    bucket.put_object_acl("k", "public-read")
    session = oss2.Session()
    request = oss2.http.Request("GET", server.endpoint + "/k", headers={"host": "www.example.com"})
    assert session.do_request(request, 5).read() == b"through a domain"
    session.session.close()
    bucket.delete_bucket_cname("www.example.com")
    assert bucket.list_bucket_cname().cname == []


def test_oss2_keeps_styles(bucket: Any) -> None:
    assert bucket.list_bucket_style().styles == []
    bucket.put_bucket_style("small", "image/resize,w_200")
    assert bucket.get_bucket_style("small").content == "image/resize,w_200"
    assert [style.name for style in bucket.list_bucket_style().styles] == ["small"]
    bucket.delete_bucket_style("small")
    assert refused(bucket.get_bucket_style, "small") == (404, "NoSuchStyle")


def test_oss2_switches_what_a_bucket_has(bucket: Any) -> None:
    bucket.put_bucket_access_monitor("Enabled")
    assert bucket.get_bucket_access_monitor().access_monitor.status == "Enabled"
    bucket.put_bucket_transfer_acceleration("true")
    assert bucket.get_bucket_transfer_acceleration().enabled == "true"
    bucket.put_bucket_resource_group("rg-mine")
    assert bucket.get_bucket_resource_group().resource_group_id == "rg-mine"
    bucket.put_bucket_archive_direct_read(True)
    assert bucket.get_bucket_archive_direct_read().enabled
    bucket.put_bucket_public_access_block(True)
    assert bucket.get_bucket_public_access_block().block_public_access
    bucket.delete_bucket_public_access_block()
    assert not bucket.get_bucket_public_access_block().block_public_access
    info = bucket.get_bucket_info()
    assert (info.access_monitor, info.transfer_acceleration, info.resource_group_id) == (
        "Enabled",
        "Enabled",
        "rg-mine",
    )


def test_oss2_keeps_capacity_qos_and_callback_policies(bucket: Any) -> None:
    bucket.set_bucket_storage_capacity(m.BucketUserQos(100))
    assert bucket.get_bucket_storage_capacity().storage_capacity == 100
    qos = m.BucketQosInfo(
        total_upload_bw=100,
        intranet_upload_bw=-1,
        extranet_upload_bw=4,
        total_download_bw=110,
        intranet_download_bw=-1,
        extranet_download_bw=10,
        total_qps=1000,
        intranet_qps=-1,
        extranet_qps=300,
    )
    bucket.put_bucket_qos_info(qos)
    assert bucket.get_bucket_qos_info().total_qps == 1000
    bucket.delete_bucket_qos_info()
    assert refused(bucket.get_bucket_qos_info)[0] == 404
    bucket.put_bucket_callback_policy([m.CallbackPolicyInfo("p1", "e30=", "e30=")])
    (read,) = bucket.get_bucket_callback_policy().callback_policies
    assert (read.policy_name, read.callback) == ("p1", "e30=")
    bucket.delete_bucket_callback_policy()
    assert refused(bucket.get_bucket_callback_policy)[0] == 404


def test_oss2_restores_an_archived_object(bucket: Any, clock: AdjustableClock) -> None:
    bucket.put_object("k", b"cold", headers={"x-oss-storage-class": "Archive"})
    assert refused(bucket.get_object, "k") == (403, "InvalidObjectState")
    assert bucket.restore_object("k").status == 202
    assert bucket.head_object("k").headers["x-oss-restore"] == 'ongoing-request="true"'
    assert refused(bucket.restore_object, "k") == (409, "RestoreAlreadyInProgress")
    assert bucket.list_objects().object_list[0].restore_info == 'ongoing-request="true"'
    assert refused(bucket.restore_object, "missing") == (404, "NoSuchKey")
    clock.advance(61)
    assert bucket.get_object("k").read() == b"cold"
    assert bucket.restore_object("k").status == 200


def test_oss2_restores_with_a_tier(bucket: Any) -> None:
    bucket.put_object("k", b"cold", headers={"x-oss-storage-class": "ColdArchive"})
    wanted = m.RestoreConfiguration(days=3, job_parameters=m.RestoreJobParameters("Bulk"))
    answer = bucket.restore_object("k", input=wanted)
    assert (answer.status, answer.headers["x-oss-object-restore-priority"]) == (202, "Bulk")


# alibabacloud-oss-v2


def test_v2_sets_and_reads_lifecycle_rules(client: Any) -> None:
    rule = v2.LifecycleRule(
        id="r",
        prefix="log/",
        status="Enabled",
        transitions=[v2.LifecycleRuleTransition(days=30, storage_class="IA", is_access_time=False)],
        expiration=v2.LifecycleRuleExpiration(days=100),
        abort_multipart_upload=v2.LifecycleRuleAbortMultipartUpload(days=7),
    )
    configuration = v2.LifecycleConfiguration(rules=[rule])
    client.put_bucket_lifecycle(v2.PutBucketLifecycleRequest("demo", lifecycle_configuration=configuration))
    read = client.get_bucket_lifecycle(v2.GetBucketLifecycleRequest("demo")).lifecycle_configuration.rules[0]
    assert (read.id, read.prefix, read.expiration.days) == ("r", "log/", 100)
    assert (read.transitions[0].days, read.transitions[0].storage_class) == (30, "IA")
    client.delete_bucket_lifecycle(v2.DeleteBucketLifecycleRequest("demo"))
    call, request = client.get_bucket_lifecycle, v2.GetBucketLifecycleRequest("demo")
    assert refused_v2(call, request) == (404, "NoSuchLifecycle")


def test_v2_sets_and_reads_encryption_referers_logging_and_tags(client: Any) -> None:
    by_default = v2.ApplyServerSideEncryptionByDefault(sse_algorithm="AES256")
    rule = v2.ServerSideEncryptionRule(apply_server_side_encryption_by_default=by_default)
    client.put_bucket_encryption(v2.PutBucketEncryptionRequest("demo", server_side_encryption_rule=rule))
    read = client.get_bucket_encryption(v2.GetBucketEncryptionRequest("demo")).server_side_encryption_rule
    assert read.apply_server_side_encryption_by_default.sse_algorithm == "AES256"

    referers = v2.RefererConfiguration(allow_empty_referer=True, referer_list=v2.RefererList(referers=["http://a.com"]))
    client.put_bucket_referer(v2.PutBucketRefererRequest("demo", referer_configuration=referers))
    got = client.get_bucket_referer(v2.GetBucketRefererRequest("demo")).referer_configuration
    assert (got.allow_empty_referer, got.referer_list.referers) == (True, ["http://a.com"])

    status = v2.BucketLoggingStatus(logging_enabled=v2.LoggingEnabled(target_bucket="logs", target_prefix="p"))
    client.put_bucket_logging(v2.PutBucketLoggingRequest("demo", bucket_logging_status=status))
    logged = client.get_bucket_logging(v2.GetBucketLoggingRequest("demo")).bucket_logging_status.logging_enabled
    assert (logged.target_bucket, logged.target_prefix) == ("logs", "p")
    info = client.get_bucket_info(v2.GetBucketInfoRequest("demo")).bucket_info
    assert (info.bucket_policy.log_bucket, info.sse_rule.sse_algorithm) == ("logs", "AES256")

    tags = v2.Tagging(tag_set=v2.TagSet(tags=[v2.Tag(key="a", value="b")]))
    client.put_bucket_tags(v2.PutBucketTagsRequest("demo", tagging=tags))
    read_tags = client.get_bucket_tags(v2.GetBucketTagsRequest("demo")).tagging.tag_set.tags
    assert [(tag.key, tag.value) for tag in read_tags] == [("a", "b")]


def test_v2_sets_and_reads_https_and_log_fields(client: Any) -> None:
    https = v2.HttpsConfiguration(tls=v2.TLS(enable=True, tls_versions=["TLSv1.2", "TLSv1.3"]))
    client.put_bucket_https_config(v2.PutBucketHttpsConfigRequest("demo", https_configuration=https))
    read = client.get_bucket_https_config(v2.GetBucketHttpsConfigRequest("demo")).https_configuration
    assert (read.tls.enable, read.tls.tls_versions) == (True, ["TLSv1.2", "TLSv1.3"])
    fields = v2.UserDefinedLogFieldsConfiguration(header_set=v2.LoggingHeaderSet(headers=["h1"]))
    client.put_user_defined_log_fields_config(
        v2.PutUserDefinedLogFieldsConfigRequest("demo", user_defined_log_fields_configuration=fields)
    )
    got = client.get_user_defined_log_fields_config(v2.GetUserDefinedLogFieldsConfigRequest("demo"))
    assert got.user_defined_log_fields_configuration.header_set.headers == ["h1"]


def test_v2_starts_and_locks_retention(client: Any) -> None:
    wanted = v2.InitiateWormConfiguration(retention_period_in_days=1)
    initiated = client.initiate_bucket_worm(v2.InitiateBucketWormRequest("demo", initiate_worm_configuration=wanted))
    client.complete_bucket_worm(v2.CompleteBucketWormRequest("demo", worm_id=initiated.worm_id))
    longer = v2.ExtendWormConfiguration(retention_period_in_days=2)
    client.extend_bucket_worm(
        v2.ExtendBucketWormRequest("demo", worm_id=initiated.worm_id, extend_worm_configuration=longer)
    )
    read = client.get_bucket_worm(v2.GetBucketWormRequest("demo")).worm_configuration
    assert (read.worm_id, read.state, read.retention_period_in_days) == (initiated.worm_id, "Locked", 2)
    call, request = client.abort_bucket_worm, v2.AbortBucketWormRequest("demo")
    assert refused_v2(call, request) == (409, "WORMConfigurationLocked")


def test_v2_keeps_styles_replication_and_domains(client: Any) -> None:
    content = v2.StyleContent(content="image/resize,p_50")
    client.put_style(v2.PutStyleRequest("demo", style_name="half", category="image", style=content))
    style = client.get_style(v2.GetStyleRequest("demo", style_name="half")).style
    assert (style.name, style.content, style.category) == ("half", "image/resize,p_50", "image")
    assert len(client.list_style(v2.ListStyleRequest("demo")).style_list.styles) == 1

    rule = v2.ReplicationRule(
        destination=v2.ReplicationDestination(bucket="logs", location="oss-cn-beijing", transfer_type="oss_acc"),
        historical_object_replication="disabled",
        rtc=v2.ReplicationTimeControl(status="enabled"),
    )
    rules = v2.ReplicationConfiguration(rules=[rule])
    put = client.put_bucket_replication(v2.PutBucketReplicationRequest("demo", replication_configuration=rules))
    (read,) = client.get_bucket_replication(v2.GetBucketReplicationRequest("demo")).replication_configuration.rules
    assert (read.id, read.destination.bucket, read.status) == (
        put.headers["x-oss-replication-rule-id"],
        "logs",
        "doing",
    )

    cname = v2.BucketCnameConfiguration(cname=v2.Cname(domain="www.example.com"))
    client.put_cname(v2.PutCnameRequest("demo", bucket_cname_configuration=cname))
    listed = client.list_cname(v2.ListCnameRequest("demo"))
    assert [c.domain for c in listed.cnames] == ["www.example.com"]


def test_v2_restores_and_cleans(client: Any, clock: AdjustableClock) -> None:
    client.put_object(v2.PutObjectRequest("demo", "k", body=b"cold", storage_class="ColdArchive"))
    wanted = v2.RestoreRequest(days=2, tier="Expedited")
    assert client.restore_object(v2.RestoreObjectRequest("demo", "k", restore_request=wanted)).status_code == 202
    clean = v2.CleanRestoredObjectRequest("demo", "k")
    assert refused_v2(client.clean_restored_object, clean) == (409, "ArchiveRestoreNotFinished")
    clock.advance(3601)
    head = client.head_object(v2.HeadObjectRequest("demo", "k"))
    assert head.restore.startswith('ongoing-request="false"')
    (listed,) = client.list_objects_v2(v2.ListObjectsV2Request("demo")).contents
    assert listed.restore_info.startswith('ongoing-request="false"')
    assert client.clean_restored_object(clean).status_code == 200
    get = v2.GetObjectRequest("demo", "k")
    assert refused_v2(client.get_object, get) == (403, "InvalidObjectState")


def test_v2_reads_the_regions(client: Any) -> None:
    regions = client.describe_regions(v2.DescribeRegionsRequest()).region_info
    assert {"oss-cn-hangzhou", "oss-cn-shanghai"} <= {region.region for region in regions}


def test_v2_uses_what_it_says_of_the_date(client: Any) -> None:
    before = datetime(2030, 1, 1, tzinfo=UTC)
    rule = v2.LifecycleRule(
        id="r", prefix="", status="Enabled", expiration=v2.LifecycleRuleExpiration(created_before_date=before)
    )
    configuration = v2.LifecycleConfiguration(rules=[rule])
    client.put_bucket_lifecycle(v2.PutBucketLifecycleRequest("demo", lifecycle_configuration=configuration))
    read = client.get_bucket_lifecycle(v2.GetBucketLifecycleRequest("demo")).lifecycle_configuration.rules[0]
    assert str(read.expiration.created_before_date).startswith("2030-01-01")
