"""ossfs's options for a volume, by release: order, defaults, and where each value comes from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from osscluster.csi import endpoint
from osscluster.csi.configmap import FuseConfig
from osscluster.csi.configmap import parse as parse_config
from osscluster.csi.mountoptions import connector_refusal, host_command, mount_options, tokens, with_defaults
from osscluster.csi.options import Options, Surroundings, completed, parse, parse_bool
from osscluster.csi.profile import PROFILES, find
from osscluster.csi.rpc import AccessMode, VolumeCapability
from osscluster.network import Reach, reach
from osscluster.nodespec import NodeSpec

URL = "oss-cn-hangzhou.aliyuncs.com"
SURROUNDINGS = Surroundings(region="cn-hangzhou", role="worker", account="1", cluster="c", updated_ossfs=True)


def built(version: str, attributes: dict[str, str], **given: Any) -> str:
    profile = find(version)
    surroundings = dataclasses.replace(SURROUNDINGS, **given.pop("surroundings", {}))
    flags = given.pop("flags", ())
    config = given.pop("config", FuseConfig())
    options = parse({"bucket": "demo", "url": URL, **attributes}, {"akId": "a", "akSecret": "s"}, profile, **given)
    options = completed(options, profile, surroundings)
    url = endpoint.rewritten(options.url, surroundings.region, profile, shared=options.shared)
    made = mount_options(options, url, profile, surroundings, flags)
    return ",".join(with_defaults(made, profile, surroundings, config))


ALL = {"otherOpts": "-o umask=022 -ouid=1000,gid=1001", "encrypted": "kms", "kmsKeyId": "k", "metricsTop": "7"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.28.1", "noatime,ro,url=oss-cn-hangzhou-internal.aliyuncs.com,umask=022,uid=1000,gid=1001"),
        (
            "1.28.2",
            "noatime,use_sse=kmsid:k,ro,url=oss-cn-hangzhou-internal.aliyuncs.com,umask=022,uid=1000,gid=1001",
        ),
        (
            "1.28.6",
            "noatime,use_sse=kmsid:k,ro,metrics_top=7,url=http://oss-cn-hangzhou-internal.aliyuncs.com,umask=022,"
            "uid=1000,gid=1001",
        ),
        (
            "1.30.1",
            "noatime,use_sse=kmsid:k,ro,use_metrics,metrics_top=7,url=http://oss-cn-hangzhou-internal.aliyuncs.com,"
            "umask=022,uid=1000,gid=1001",
        ),
        (
            "1.30.4",
            "umask=022,uid=1000,gid=1001,use_sse=kmsid:k,ro,use_metrics,metrics_top=10,"
            "url=http://oss-cn-hangzhou-internal.aliyuncs.com,dbglevel=err",
        ),
        (
            "1.31.1",
            "umask=022,uid=1000,gid=1001,noatime,use_sse=kmsid:k,ro,use_metrics,metrics_top=10,"
            "url=http://oss-cn-hangzhou-internal.aliyuncs.com,dbglevel=err",
        ),
        (
            "1.31.3",
            "umask=022,uid=1000,gid=1001,noatime,use_sse=kmsid:k,ro,use_metrics,metrics_top=7,sigv4,"
            "region=cn-hangzhou,url=http://oss-cn-hangzhou-internal.aliyuncs.com,dbglevel=err",
        ),
        (
            "1.33.1",
            "umask=022,uid=1000,gid=1001,noatime,url=http://oss-cn-hangzhou-internal.aliyuncs.com,ro,use_sse=kmsid:k,"
            "use_metrics,metrics_top=7,sigv4,region=cn-hangzhou,dbglevel=err",
        ),
        (
            "1.33.4",
            "umask=022,uid=1000,gid=1001,noatime,url=http://oss-cn-hangzhou-internal.aliyuncs.com,ro,use_sse=kmsid:k,"
            "use_metrics,metrics_top=7,sigv4,region=cn-hangzhou,dbglevel=warn,allow_other,listobjectsv2",
        ),
        (
            "1.37.1",
            "umask=022,uid=1000,gid=1001,noatime,url=http://oss-cn-hangzhou-internal.aliyuncs.com,ro,use_sse=kmsid:k,"
            "use_metrics,metrics_top=7,sigv4,region=cn-hangzhou,dbglevel=warn,allow_other,listobjectsv2",
        ),
    ],
)
def test_the_options_of_a_release_come_in_its_order(version: str, expected: str) -> None:
    given = {**ALL, "sigVersion": "v4"}
    assert built(version, given, readonly=True, flags=("noatime",)) == expected


def test_a_bare_volume_gets_no_more_than_the_releases_defaults() -> None:
    assert built("1.28.6", {}) == "url=http://oss-cn-hangzhou-internal.aliyuncs.com"
    assert built("1.30.4", {}) == "use_metrics,url=http://oss-cn-hangzhou-internal.aliyuncs.com,dbglevel=err"
    assert built("1.31.3", {}).startswith("use_metrics,metrics_top=10,url=")
    assert built("1.34.1", {}) == (
        "url=http://oss-cn-hangzhou-internal.aliyuncs.com,dbglevel=warn,allow_other,use_metrics,listobjectsv2"
    )


def test_defaults_give_way_to_what_the_user_says() -> None:
    made = built("1.37.1", {"otherOpts": "-o dbglevel=info,allow_other,use_metrics -o listobjectsv2 -o mime=/m"})
    assert made == "dbglevel=info,allow_other,use_metrics,listobjectsv2,mime=/m,url=http://" + URL.replace(
        "hangzhou", "hangzhou-internal"
    )


@pytest.mark.parametrize("version", PROFILES)
def test_no_release_adds_what_the_faq_tells_users_to_add(version: str) -> None:
    if find(version).other_options_verbatim:
        options = parse({"bucket": "demo", "url": URL}, {"akId": "a", "akSecret": "s"}, find(version))
        made = host_command(options, URL, "/t", "")
    else:
        made = built(version, {})
    for name in ("complement_stat", "umask", "uid=", "gid=", "noxattr", "nonempty", "max_stat_cache_size"):
        assert name not in made


def test_a_node_run_command_is_the_users_text_as_it_stands() -> None:
    profile = find("1.24.10")
    options = parse({"bucket": "demo", "url": URL, "path": "/a", "otherOpts": "-o  x=1   -o y"}, {}, profile)
    assert host_command(options, URL, "/t", "") == (
        f"systemd-run --scope -- /usr/local/bin/ossfs demo:/a /t -ourl={URL} -o  x=1   -o y "
    )
    sts = dataclasses.replace(options, auth_type="sts", other_options="")
    assert host_command(sts, URL, "/t", "worker").endswith(
        " -oram_role=http://100.100.100.200/latest/meta-data/ram/security-credentials/worker"
    )


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("-o a -ob -s -d --debug", ""),
        ("-o -o", "Oss Options: inputs must -o string, 2 -o now "),
        ("-o a b", "Oss Options: inputs must -o string, 2 string now "),
        ("-o -s", "Oss Options: no expect string follow -o -s"),
    ],
)
def test_the_connector_takes_a_grammar_of_its_own(rest: str, said: str) -> None:
    command = f"systemd-run --scope -- /usr/local/bin/ossfs demo:/ /t -ourl={URL} {rest}"
    assert connector_refusal(command, mountpoint_exists=True) == said


def test_the_connector_looks_for_mount_point_and_url() -> None:
    command = "systemd-run --scope -- /usr/local/bin/ossfs demo:/ /t"
    assert connector_refusal(command, mountpoint_exists=True) == f"Oss Options: parameters less than 3: {command}"
    assert connector_refusal(f"{command} -ourl=u", mountpoint_exists=False) == ("Oss Options: mountpoint not exist /t")
    assert connector_refusal(f"{command} -o x", mountpoint_exists=True) == (
        "Oss Options: url should start with -ourl: -o"
    )


def test_other_options_are_split_behind_o_and_at_commas() -> None:
    assert tokens(" -o a=1,b -oc \t-o  d ", find("1.30.4")) == ["a=1", "b", "c", "d"]
    assert tokens("", find("1.30.4")) == []


@pytest.mark.parametrize(
    ("version", "mode", "read_only"),
    [
        ("1.24.10", AccessMode.MULTI_NODE_READER_ONLY, False),
        ("1.28.2", AccessMode.MULTI_NODE_READER_ONLY, True),
        ("1.28.2", AccessMode.MULTI_NODE_MULTI_WRITER, False),
        ("1.31.1", AccessMode.SINGLE_NODE_MULTI_WRITER, True),
        ("1.31.3", AccessMode.SINGLE_NODE_MULTI_WRITER, False),
        ("1.31.3", AccessMode.SINGLE_NODE_READER_ONLY, True),
    ],
)
def test_the_access_mode_makes_a_mount_read_only(version: str, mode: AccessMode, read_only: bool) -> None:
    found = parse({}, {}, find(version), capability=VolumeCapability(access_mode=mode))
    assert found.read_only is read_only


@pytest.mark.parametrize(
    ("version", "text", "shared"),
    [
        *[("1.24.10", text, True) for text in ("true", "True", "1")],
        *[("1.24.10", text, False) for text in ("", "TRUE", "t", "yes")],
        *[("1.28.2", text, True) for text in ("", "true", "nonsense")],
        *[("1.28.2", text, False) for text in ("false", "0", "F")],
        *[("1.30.4", text, True) for text in ("", "false")],
    ],
)
def test_use_shared_path_is_read_as_the_release_reads_it(version: str, text: str, shared: bool) -> None:
    assert parse({"useSharedPath": text}, {}, find(version)).shared is shared


def test_booleans_are_gos() -> None:
    assert [parse_bool(text) for text in ("t", "F", "yes", "")] == [True, False, None, None]


def test_keys_are_looked_up_in_any_case_and_values_are_trimmed() -> None:
    found = parse({"OtherOPTS": " -o x ", "BUCKET": " demo "}, {}, find("1.24.10"))
    assert (found.other_options, found.bucket) == ("-o x", "demo")


@pytest.mark.parametrize(
    ("version", "secret", "expected"),
    [
        ("1.24.10", {"akId": "a\n", "akSecret": "s"}, ("a\n", "s")),
        ("1.31.1", {"akId": "a\n", "akSecret": "s"}, ("a\n", "s")),
        ("1.31.3", {"akId": "a\n", "akSecret": " s "}, ("a", "s")),
        ("1.30.4", {"AKID": "a", "akSecret": "s"}, ("", "s")),
        ("1.35.1", {"AccessKeyID": "a", "accesskeysecret": "s"}, ("a", "s")),
        ("1.35.1", {"akId": "a", "accesskeysecret": "s"}, ("", "")),
    ],
)
def test_the_secret_is_read_as_the_release_reads_it(
    version: str, secret: dict[str, str], expected: tuple[str, str]
) -> None:
    found = parse({}, secret, find(version))
    assert (found.key_id, found.key_secret) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("1.24.10", ("of-secret", "of-secret")), ("1.30.4", ("of-pv", "of-secret"))]
)
def test_half_a_key_in_the_volume_is_replaced_or_completed(version: str, expected: tuple[str, str]) -> None:
    found = parse({"akId": "of-pv"}, {"akId": "of-secret", "akSecret": "of-secret"}, find(version))
    assert (found.key_id, found.key_secret) == expected


@pytest.mark.parametrize("version", ["1.24.10", "1.30.4"])
def test_a_whole_key_in_the_volume_wins(version: str) -> None:
    found = parse({"akId": "p", "akSecret": "p"}, {"akId": "s", "akSecret": "s"}, find(version))
    assert (found.key_id, found.key_secret) == ("p", "p")


def test_the_drivers_environment_has_a_key_of_last_resort() -> None:
    found = completed(Options(), find("1.30.4"), Surroundings(key=("e", "f")))
    assert (found.key_id, found.key_secret) == ("e", "f")


@pytest.mark.parametrize(
    ("version", "attributes", "expected"),
    [
        (
            "1.28.2",
            {"roleName": "mine"},
            "ram_role=http://100.100.100.200/latest/meta-data/ram/security-credentials/worker",
        ),
        ("1.30.4", {"roleName": "mine"}, "ram_role=mine"),
        ("1.30.4", {"ramRole": "mine"}, "ram_role=mine"),
        ("1.30.4", {}, "ram_role=http://100.100.100.200/latest/meta-data/ram/security-credentials/worker"),
        ("1.33.4", {}, "ram_role=worker"),
    ],
)
def test_sts_takes_the_nodes_role_or_the_named_one(version: str, attributes: dict[str, str], expected: str) -> None:
    assert expected in built(version, {"authType": "STS", **attributes}).split(",")


def test_rrsa_asks_sts_of_the_region() -> None:
    assert "rrsa_endpoint=https://sts-vpc.cn-hangzhou.aliyuncs.com" in built(
        "1.28.6", {"authType": "rrsa", "roleName": "r"}
    )
    assert "rrsa_endpoint=https://sts.aliyuncs.com" in built(
        "1.30.4", {"authType": "rrsa", "roleName": "r"}, surroundings={"region": ""}
    )


def test_public_buckets_are_known_from_1_33_1() -> None:
    assert "public_bucket=1" in built("1.33.1", {"authType": "public"})
    assert "public_bucket" not in built("1.32.1", {"authType": "public"})


@pytest.mark.parametrize(
    ("version", "url", "expected"),
    [
        ("1.24.10", URL, "oss-cn-hangzhou-internal.aliyuncs.com"),
        ("1.24.10", "my.cn-hangzhou.example", "my.cn-hangzhou-internal.example"),
        ("1.28.6", "my.cn-hangzhou.example", "https://my.cn-hangzhou.example"),
        ("1.30.1", "oss-cache-cn-hangzhou-h.aliyuncs.com", "https://oss-cache-cn-hangzhou-internal-h.aliyuncs.com"),
        ("1.30.3", "oss-cache-cn-hangzhou-h.aliyuncs.com", "https://oss-cache-cn-hangzhou-h.aliyuncs.com"),
        ("1.30.4", f"https://{URL}/", "https://oss-cn-hangzhou-internal.aliyuncs.com/"),
        ("1.31.4", f"https://{URL}/", f"https://{URL}/"),
        ("1.31.4", f"https://{URL}", "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        ("1.31.4", "cn-hangzhou.oss-data-acc.aliyuncs.com", "https://cn-hangzhou-internal.oss-data-acc.aliyuncs.com"),
        ("1.26.14", URL, "oss-cn-hangzhou-internal.aliyuncs.com"),
        ("1.30.4", "oss-cn-shanghai.aliyuncs.com", "https://oss-cn-shanghai.aliyuncs.com"),
        ("1.30.4", "oss-cn-hangzhou-internal.aliyuncs.com", "http://oss-cn-hangzhou-internal.aliyuncs.com"),
    ],
)
def test_urls_of_the_nodes_region_become_internal_ones(version: str, url: str, expected: str) -> None:
    assert endpoint.rewritten(url, "cn-hangzhou", find(version), shared=False) == expected


def test_a_node_without_metadata_mangles_the_url_until_1_26_2() -> None:
    mangled = endpoint.rewritten("oss.x", "", find("1.24.10"), shared=False)
    assert mangled == "-internalo-internals-internals-internal.-internalx-internal"
    assert endpoint.rewritten("oss.x", "", find("1.26.4"), shared=False) == "oss.x"


def test_shared_mounts_of_node_run_releases_keep_the_url() -> None:
    assert endpoint.rewritten(URL, "cn-hangzhou", find("1.24.10"), shared=True) == URL


@pytest.mark.parametrize(
    ("url", "node", "expected"),
    [
        (URL, {}, Reach.ANSWERED),
        (URL, {"internet": False}, Reach.TIMED_OUT),
        ("oss-cn-hangzhou-internal.aliyuncs.com", {"internet": False}, Reach.ANSWERED),
        ("https://demo.oss-cn-hangzhou-internal.aliyuncs.com/x", {}, Reach.ANSWERED),
        ("oss-cn-shanghai-internal.aliyuncs.com", {}, Reach.TIMED_OUT),
        ("oss-cn-shanghai.aliyuncs.com", {}, Reach.ANSWERED),
        ("https://sts-vpc.cn-hangzhou.aliyuncs.com", {"internet": False}, Reach.ANSWERED),
        ("https://sts.aliyuncs.com", {"internet": False}, Reach.TIMED_OUT),
        ("oss-accelerate.aliyuncs.com", {}, Reach.ANSWERED),
        ("cn-hangzhou-internal.oss-data-acc.aliyuncs.com", {"internet": False}, Reach.ANSWERED),
        ("-internalo-internals.aliyuncs.com", {}, Reach.UNKNOWN_HOST),
        ("http://127.0.0.1:9000", {"internet": False}, Reach.CUSTOM),
        ("minio.local", {}, Reach.CUSTOM),
    ],
)
def test_a_node_reaches_its_own_region_inside_and_everything_else_over_the_internet(
    url: str, node: dict[str, bool], expected: Reach
) -> None:
    assert reach(url, NodeSpec("n", **node)) is expected


def test_the_config_map_is_read_line_by_line() -> None:
    found = parse_config(
        'image-tag=v1.88.4\n\n dbglevel=fatal \nlabels={"a": "b"}\nmemory-limit=1Gi\n=x\nannotations=[]\nimage=i\n'
        'mime-support="true"\n',
        find("1.30.4"),
    )
    assert found.image_tag == "v1.88.4"
    assert found.debug_level == "crit"
    assert found.labels == {"a": "b"}
    assert found.resources == {"requests": {"memory": "50Mi"}, "limits": {"memory": "1Gi"}}
    assert found.ignored == ("=x", "annotations=[]", "image=i")
    assert not found.wants_mime_types  # the quotes are part of the value
    assert parse_config("mime-support=TRUE", find("1.30.4")).wants_mime_types


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.28.1", ""),
        ("1.28.2", "mime_types_file=/etc/csi-mime.types"),
        ("1.28.3", "mime=/etc/csi-mime.types"),
        ("1.30.4", "mime=/etc/csi-mime.types"),
        ("1.31.3", "mime=/csi/mime.types"),
        ("1.37.1", "mime=/csi/mime.types"),
    ],
)
def test_mime_support_adds_an_option_where_the_node_has_no_mime_types(version: str, expected: str) -> None:
    config = FuseConfig(mime_support="true")
    assert (expected in built(version, {}, config=config).split(",")) is bool(expected)
    assert "mime" not in built(version, {}, config=config, surroundings={"host_mime_types": True})
