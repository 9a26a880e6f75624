"""What each release says when it refuses a volume: the words, and the gRPC code that kubelet prints before them."""

from __future__ import annotations

from typing import Any

import pytest

from osscluster.csi.rpc import CsiError, VolumeCapability
from osscluster.errors import NotModelled
from osscluster.nodespec import NodeSpec

NODE_RUN = ("1.24.10", "1.26.2", "1.26.5", "1.26.14")
POD_BY_NODE = ("1.26.6", "1.28.2", "1.28.6", "1.30.3")
PROXY = ("1.30.4", "1.31.1", "1.31.3", "1.33.1", "1.37.1")
URL = "oss-cn-hangzhou.aliyuncs.com"


def refusal(lab: Any, version: str, attributes: dict[str, str], **given: Any) -> str:
    """What kubelet would print, without "rpc error: "."""
    with pytest.raises(CsiError) as caught:
        lab(version).publish({key: value for key, value in attributes.items() if value}, **given)
    return str(caught.value).removeprefix("rpc error: ")


def volume(**changes: str) -> dict[str, str]:
    return {"bucket": "demo", "url": URL, **changes}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        *[
            (v, "code = Unknown desc = Check oss input error: Oss Parametes error: Url/Bucket empty ")
            for v in (*NODE_RUN, "1.26.6", "1.28.1", "1.28.5")
        ],
        ("1.28.6", "code = Unknown desc = Check oss input error: Oss parameters error: Url/Bucket empty"),
        ("1.30.4", "code = InvalidArgument desc = Oss parameters error: Url/Bucket empty"),
        ("1.31.1", "code = InvalidArgument desc = OSS parameters error: Url/Bucket empty"),
    ],
)
def test_a_volume_without_url_is_refused_in_the_words_of_the_release(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(url="")) == said


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.24.10", "code = Unknown desc = name is required"),
        ("1.28.6", "code = Unknown desc = name is required"),
        ("1.30.4", "code = InvalidArgument desc = Oss parameters error: Url/Bucket empty"),
    ],
)
def test_a_volume_without_bucket_is_looked_up_as_a_cnfs_object_before_the_proxy_releases(
    lab: Any, version: str, said: str
) -> None:
    assert refusal(lab, version, volume(bucket="")) == said


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.24.10", "code = Unknown desc = Check oss input error: Oss path error: start with a, should start with / "),
        ("1.28.2", "code = Unknown desc = Check oss input error: Oss path error: start with a, should start with / "),
        ("1.28.6", "code = Unknown desc = Check oss input error: Oss path error: start with a, should start with /"),
        ("1.30.4", "code = InvalidArgument desc = Oss path error: start with a, should start with /"),
        ("1.31.1", "code = InvalidArgument desc = OSS path error: start with a, should start with /"),
        ("1.37.1", "code = InvalidArgument desc = OSS path error: start with a, should start with /"),
    ],
)
def test_a_relative_path_is_refused(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(path="a")) == said


@pytest.mark.parametrize(
    ("version", "said"),
    [
        *[
            (v, "code = Unknown desc = Check oss input error: Oss Parametes error: AK and authType are both empty ")
            for v in (*NODE_RUN, "1.26.6", "1.28.1")
        ],
        (
            "1.28.2",
            "code = Unknown desc = Check oss input error: Oss Parametes error: AK and authType are both empty or "
            "invalid ",
        ),
        (
            "1.28.6",
            "code = Unknown desc = Check oss input error: Oss parameters error: AK and authType are both empty or "
            "invalid",
        ),
        *[
            (v, "code = InvalidArgument desc = missing access key in node publish secret")
            for v in ("1.30.4", "1.31.3", "1.32.1")
        ],
        *[
            (
                v,
                "code = InvalidArgument desc = OSS authorization error: ossfs: missing access key in node publish "
                "secret",
            )
            for v in ("1.33.1", "1.37.1")
        ],
    ],
)
def test_a_volume_without_key_is_refused_on_the_node(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(), secrets={}) == said


@pytest.mark.parametrize("version", ["1.30.4", "1.37.1"])
def test_the_controller_does_not_miss_a_key(lab: Any, version: str) -> None:
    context = lab(version).attach(volume())
    assert context["mountPorxySocket"].endswith("/mounter.sock")


@pytest.mark.parametrize("version", ["1.24.10", "1.28.2", "1.31.1"])
def test_a_value_that_a_shell_would_take_apart_is_refused(lab: Any, version: str) -> None:
    said = refusal(lab, version, volume(otherOpts='-o x="a&b"'), publish_context={"mountPorxySocket": "/s"})
    assert said == 'code = InvalidArgument desc = Args -o x="a&b" has illegal access.'


def test_later_releases_have_no_shell_and_take_such_a_value(lab: Any) -> None:
    lab("1.31.3").publish(volume(otherOpts="-o instance_name=a&b"))


@pytest.mark.parametrize("version", ["1.24.10", "1.28.6", "1.36.1"])
def test_a_target_that_leads_elsewhere_is_refused(lab: Any, version: str) -> None:
    target = "/var/lib/kubelet/pods/../x/mount"
    said = refusal(lab, version, volume(), target=target)
    assert said == f"code = InvalidArgument desc = Path {target} has illegal access."


def test_the_newest_release_says_why_a_target_is_refused(lab: Any) -> None:
    target = "/var/lib/kubelet/pods/../x/mount"
    said = refusal(lab, "1.37.1", volume(), target=target)
    assert said == f"code = InvalidArgument desc = path {target} contains '..' which is not allowed"


@pytest.mark.parametrize("version", ["1.26.5", "1.28.2", "1.30.4", "1.37.1"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"volume_id": ""}, "VolumeId is required"),
        ({"capability": None}, "VolumeCapability is required"),
        ({"target": ""}, "TargetPath is required"),
        ({"target": "/mnt/x"}, 'Target path "/mnt/x" is not a subpath of /var/lib/kubelet'),
    ],
)
def test_fields_of_a_request_are_required_from_1_26_5(lab: Any, version: str, given: dict[str, Any], said: str) -> None:
    given = {"publish_context": {}, **given}
    assert refusal(lab, version, volume(), **given) == f"code = InvalidArgument desc = {said}"


def test_the_release_before_knew_paths_only(lab: Any) -> None:
    assert refusal(lab, "1.26.4", volume(), target="") == "code = InvalidArgument desc = Target path not provided"
    lab("1.26.4").publish(volume(), volume_id="")


def test_the_first_releases_miss_an_empty_target_themselves(lab: Any) -> None:
    assert refusal(lab, "1.24.10", volume(), target="") == "code = Unknown desc = mountPath is empty"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.28.2", "code = Unknown desc = Check oss input error: Oss Encrypted error: invalid SSE encryted type "),
        ("1.28.6", "code = Unknown desc = Check oss input error: Oss encrypted error: invalid SSE encryted type"),
        ("1.30.4", "code = InvalidArgument desc = Oss encrypted error: invalid SSE encrypted type"),
        ("1.33.4", "code = InvalidArgument desc = OSS encrypted error: invalid SSE encrypted type"),
    ],
)
def test_an_unknown_encryption_is_refused(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(encrypted="rot13")) == said


def test_releases_before_encryption_ignore_the_key(lab: Any) -> None:
    lab("1.28.1").publish(volume(encrypted="rot13"))


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.28.1", 'code = InvalidArgument desc = unknown fuseType: "zfs"'),
        ("1.30.3", 'code = InvalidArgument desc = unknown fuseType: "zfs"'),
        ("1.30.4", "code = InvalidArgument desc = only ossfs fuse type supported"),
        ("1.31.1", "code = InvalidArgument desc = OSS parameters error: only ossfs fuse type supported"),
        ("1.33.1", "code = InvalidArgument desc = OSS parameters error: Unsupported fuseType zfs"),
    ],
)
def test_an_unknown_fuse_type_is_refused(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(fuseType="zfs")) == said


@pytest.mark.parametrize("version", ["1.24.10", "1.26.14"])
def test_node_run_releases_want_other_options_to_begin_with_a_spaced_o(lab: Any, version: str) -> None:
    said = refusal(lab, version, volume(otherOpts="-oumask=022"))
    assert said == "code = Unknown desc = Check oss input error: Oss OtherOpts error: start with -o "


def test_node_run_releases_leave_the_rest_to_the_connector(lab: Any) -> None:
    said = refusal(lab, "1.24.10", volume(otherOpts="-o a=b umask=022"))
    assert said.startswith(
        "code = Unknown desc = Mount is failed in host, mntCmd:systemd-run --scope -- /usr/local/bin/ossfs demo:/ "
    )
    assert said.endswith(", out: Fail: Oss Options: inputs must -o string, 2 string now ")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.28.2", 'code = InvalidArgument desc = invalid otherOpts: "-d"'),
        (
            "1.30.4",
            'code = InvalidArgument desc = rpc error: code = InvalidArgument desc = invalid otherOpts: "-d"',
        ),
        (
            "1.37.1",
            'code = InvalidArgument desc = rpc error: code = InvalidArgument desc = invalid otherOpts: "-d"',
        ),
    ],
)
def test_releases_with_fuse_pods_take_nothing_but_o_options(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(otherOpts="-d")) == said


def test_a_bare_debug_switch_passes_where_ossfs_runs_on_the_node(lab: Any) -> None:
    one = lab("1.24.10")
    one.publish(volume(otherOpts="-o allow_other -d"))
    assert one.host.started[0].spec.options == ["-o", "allow_other", "-d"]


@pytest.mark.parametrize(
    ("version", "prefix", "glue"),
    [
        ("1.28.6", "code = Unknown desc = Check oss input error: Oss parameters error: ", ""),
        ("1.30.4", "code = InvalidArgument desc = Oss parameters error: ", ""),
        ("1.31.1", "code = InvalidArgument desc = OSS authorization error: ", " "),
        ("1.33.1", "code = InvalidArgument desc = OSS authorization error: ossfs: ", " "),
    ],
)
def test_rrsa_wants_both_arns_or_the_name_of_a_role(lab: Any, version: str, prefix: str, glue: str) -> None:
    one_arn = volume(authType="RRSA", roleArn="acs:ram::1:role/r")
    assert refusal(lab, version, one_arn) == (
        f"{prefix}use RRSA but one of the ARNs is empty, roleArn:{glue}acs:ram::1:role/r, oidcProviderArn:{glue}"
    )
    assert refusal(lab, version, volume(authType="rrsa")) == f"{prefix}use RRSA but roleName is empty"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.28.6", "code = Unknown desc = Get RoleArn and OidcProviderArn for RRSA error: Get accountId error: "),
        ("1.30.4", "code = Internal desc = Get RoleArn and OidcProviderArn for RRSA error: Get accountId error: "),
        (
            "1.33.1",
            "code = InvalidArgument desc = OSS authorization error: ossfs: Get RoleArn and OidcProviderArn for RRSA "
            "error: Get accountId error: ",
        ),
    ],
)
def test_a_role_by_name_needs_the_account_from_the_metadata_service(lab: Any, version: str, said: str) -> None:
    with pytest.raises(CsiError) as caught:
        lab(version, NodeSpec("node-1", metadata=False)).publish(volume(authType="rrsa", roleName="r"))
    assert str(caught.value) == f"rpc error: {said}unknown metadata key"


@pytest.mark.parametrize(
    ("version", "prefix"),
    [
        ("1.28.6", "code = Unknown desc = Check oss input error: Oss parameters error: "),
        ("1.30.4", "code = InvalidArgument desc = Oss parameters error: "),
        ("1.31.1", "code = InvalidArgument desc = OSS authorization error: "),
    ],
)
def test_a_secret_store_wants_the_class_of_the_provider(lab: Any, version: str, prefix: str) -> None:
    said = refusal(lab, version, volume(authType="csi-secret-store"))
    assert said == f"{prefix}use CsiSecretStore but secretProviderClass is empty"


def test_what_a_secret_store_does_is_not_guessed(lab: Any) -> None:
    with pytest.raises(NotModelled, match="secrets store driver"):
        lab("1.30.4").publish(volume(authType="csi-secret-store", secretProviderClass="p"))


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.30.4", "missing roleName or ramRole in volume attributes"),
        ("1.33.4", "OSS authorization error: ossfs: missing roleName or ramRole in volume attributes"),
    ],
)
def test_sts_wants_a_role_where_the_node_has_none(lab: Any, version: str, said: str) -> None:
    assert refusal(lab, version, volume(authType="sts")) == f"code = InvalidArgument desc = {said}"


def test_keys_and_secret_ref_exclude_each_other(lab: Any) -> None:
    attached = {"mountPorxySocket": "/s"}
    said = refusal(lab, "1.31.1", volume(secretRef="token"), publish_context=attached)
    assert said == (
        "code = InvalidArgument desc = OSS authorization error: AK and secretRef cannot be set at the same time"
    )
    said = refusal(lab, "1.31.1", volume(secretRef="csi-ossfs-credentials"), secrets={})
    assert said == "code = InvalidArgument desc = OSS parameters error: invalid SecretRef name"


def test_a_token_in_the_secret_and_secret_ref_exclude_each_other(lab: Any) -> None:
    secrets = {"accessKeyId": "a", "accesskeysecret": "b", "SecurityToken": "t"}
    said = refusal(
        lab, "1.35.1", volume(secretRef="token"), secrets=secrets, publish_context={"mountPorxySocket": "/s"}
    )
    assert said == (
        "code = InvalidArgument desc = OSS authorization error: ossfs: token and secretRef cannot be set at the same "
        "time"
    )


@pytest.mark.parametrize("version", ["1.31.3", "1.37.1"])
def test_the_buckets_own_domain_is_no_endpoint(lab: Any, version: str) -> None:
    said = refusal(lab, version, volume(url=f"demo.{URL}"))
    assert said == (
        f"code = InvalidArgument desc = OSS url error: url is invalid, demo.{URL} is a bucket domain name, please use "
        "endpoint instead"
    )


@pytest.mark.parametrize(("version", "code"), [("1.31.3", "Internal"), ("1.33.1", "InvalidArgument")])
def test_signature_v4_wants_a_region(lab: Any, version: str, code: str) -> None:
    with pytest.raises(CsiError) as caught:
        lab(version, NodeSpec("node-1", metadata=False)).publish(volume(sigVersion="v4"))
    assert str(caught.value) == f"rpc error: code = {code} desc = SigV4 is not supported without region"


def test_assume_role_arn_is_for_rrsa_only(lab: Any) -> None:
    text = "only support access OSS through STS AssumeRole when authType is RRSA"
    arn = "acs:ram::1:role/other"
    said = refusal(lab, "1.30.4", volume(assumeRoleArn=arn))
    assert said == f"code = InvalidArgument desc = Oss parameters error: {text}"
    said = refusal(lab, "1.33.1", volume(assumeRoleArn=arn))
    assert said == f"code = InvalidArgument desc = OSS authorization error: ossfs: {text}"


@pytest.mark.parametrize("version", ["1.30.4", "1.34.1"])
def test_a_publish_without_the_sockets_path_is_refused(lab: Any, version: str) -> None:
    said = refusal(lab, version, volume(), publish_context={})
    assert said == "code = InvalidArgument desc = mountPorxySocket not found in publishContext"


def test_later_releases_call_a_missing_socket_an_unknown_runtime(lab: Any) -> None:
    said = refusal(lab, "1.35.1", volume(), publish_context={})
    assert said == (
        "code = InvalidArgument desc = failed to determine runtime type: socket path is empty in non csi-agent mode "
        "(should not occur)"
    )


def test_an_unknown_node_is_refused_while_the_controller_looks_it_up(lab: Any) -> None:
    said = refusal(lab, "1.32.1", volume(), node_id="elsewhere")
    assert said == 'code = InvalidArgument desc = failed to get node elsewhere: nodes "elsewhere" not found'


def test_a_cnfs_object_is_said_to_be_unmodelled(lab: Any) -> None:
    with pytest.raises(NotModelled, match="give bucket and url"):
        lab("1.30.4").publish(volume(containerNetworkFileSystem="cnfs"))


@pytest.mark.parametrize(
    "attributes",
    [{"direct": "true"}, {"fuseType": "ossfs2"}, {"authType": "rrsa", "roleName": "r", "assumeRoleArn": "a"}],
)
def test_what_is_not_modelled_is_said(lab: Any, attributes: dict[str, str]) -> None:
    with pytest.raises(NotModelled):
        lab("1.33.4").publish(volume(**attributes))


def test_every_request_of_the_node_service_asks_for_its_ids(lab: Any) -> None:
    one = lab("1.30.4")
    for steps, said in (
        (one.node.node_unpublish_volume("", "/x"), "VolumeId is required"),
        (one.node.node_unpublish_volume("v", ""), "TargetPath is required"),
        (one.node.node_unstage_volume("v", ""), "StagingTargetPath is required"),
        (one.driver.controller.delete_volume(""), "VolumeId is required"),
        (one.driver.controller.controller_unpublish_volume("v", ""), "NodeId is required"),
    ):
        with pytest.raises(CsiError, match=said):
            one.timeline.run("call", steps)
    assert VolumeCapability()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.32.1", "OSS authorization error: use RRSA but roleName is empty"),
        ("1.33.1", "OSS encrypted error: invalid SSE encrypted type"),
        ("1.34.1", "OSS encrypted error: invalid SSE encrypted type"),
        ("1.35.1", "OSS authorization error: ossfs: use RRSA but roleName is empty"),
    ],
)
def test_of_two_mistakes_the_release_names_the_one_that_it_looks_at_first(lab: Any, version: str, said: str) -> None:
    wrong = volume(encrypted="rot13", authType="rrsa")
    assert refusal(lab, version, wrong) == f"code = InvalidArgument desc = {said}"


def test_1_33_1_alone_mounts_sts_volumes_without_a_role(lab: Any) -> None:
    one = lab("1.33.1", NodeSpec("node-1", metadata=False))
    one.publish(volume(authType="sts"))
    assert one.host.started[0].spec.options[1].endswith("/latest/meta-data/ram/security-credentials/")
    for version in ("1.32.1", "1.33.4"):
        assert "missing roleName or ramRole" in refusal(lab, version, volume(authType="sts"))
