"""RRSA: who a FUSE Pod is, what its token says, and whom the cloud's STS trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from osscluster.csi import naming

VOLUME = {"bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com", "authType": "rrsa", "roleName": "oss"}


@pytest.mark.parametrize(("version", "namespace"), [("1.28.6", "kube-system"), ("1.30.4", "ack-csi-fuse")])
def test_a_fuse_pod_acts_as_the_service_account_of_its_namespace(lab: Any, version: str, namespace: str) -> None:
    one = lab(version)
    one.publish(VOLUME, secrets={})
    (pod,) = one.fuse_pods()
    container = pod["spec"]["containers"][0]
    account = one.cloud.key.account
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    assert pod["spec"]["serviceAccountName"] == "csi-fuse-ossfs"
    assert variables["ALIBABA_CLOUD_ROLE_ARN"] == f"acs:ram::{account}:role/oss"
    assert variables["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"] == one.driver.enable_rrsa()
    assert variables["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] == "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token"
    (source,) = next(v for v in pod["spec"]["volumes"] if v["name"] == "rrsa-oidc-token")["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "audience": "sts.aliyuncs.com",
        "expirationSeconds": 3600,
        "path": "token",
    }
    spec = one.host.started[0].spec
    token = Path(spec.environment["ALIBABA_CLOUD_OIDC_TOKEN_FILE"]).read_text(encoding="ascii")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == f"system:serviceaccount:{namespace}:csi-fuse-ossfs"
    assert claims["aud"] == ["sts.aliyuncs.com"]
    assert f"rrsa_endpoint={one.cloud.endpoint}" in spec.options
    assert spec.version.endswith(".ack")
    assert spec.passwd is None


def test_both_arns_and_a_service_account_of_ones_own_go_before_the_role_name(lab: Any) -> None:
    one = lab("1.30.4")
    metadata = {"name": "csi-fuse-mine", "namespace": "ack-csi-fuse"}
    one.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    attributes = {
        **VOLUME,
        "roleArn": "acs:ram::2:role/r",
        "oidcProviderArn": "acs:ram::2:oidc-provider/p",
        "serviceAccountName": "csi-fuse-mine",
    }
    one.publish(attributes, secrets={})
    environment = one.host.started[0].spec.environment
    assert environment["ALIBABA_CLOUD_ROLE_ARN"] == "acs:ram::2:role/r"
    assert environment["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"] == "acs:ram::2:oidc-provider/p"
    assert one.fuse_pods()[0]["spec"]["serviceAccountName"] == "csi-fuse-mine"


def test_no_release_asks_for_the_prefix_of_a_service_account(lab: Any) -> None:
    one = lab("1.30.4")
    metadata = {"name": "mine", "namespace": "ack-csi-fuse"}
    one.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    one.publish({**VOLUME, "serviceAccountName": "mine"}, secrets={})
    assert one.fuse_pods()[0]["spec"]["serviceAccountName"] == "mine"


def test_the_session_name_is_cut_from_1_31_4() -> None:
    volume = "d-" + "x" * 60
    whole = f"ossfs.{volume}.{naming.mount_path_hash('/t')}"
    assert naming.session_name(volume, "/t", cut=False) == whole
    assert naming.session_name(volume, "/t", cut=True) == whole[:64]


def test_kubelet_renews_the_token_and_takes_it_away_with_the_pod(lab: Any) -> None:
    one = lab("1.30.4")
    one.publish(VOLUME, secrets={})
    path = Path(one.host.started[0].spec.environment["ALIBABA_CLOUD_OIDC_TOKEN_FILE"])
    first = path.read_text(encoding="ascii")
    issued = jwt.decode(first, options={"verify_signature": False})["iat"]
    assert path.stat().st_mode & 0o777 == 0o600
    one.timeline.advance(2870)
    assert path.read_text(encoding="ascii") == first
    one.timeline.advance(10)
    renewed = jwt.decode(path.read_text(encoding="ascii"), options={"verify_signature": False})
    assert renewed["exp"] == issued + 2880 + 3600
    one.timeline.run("detach", one.driver.controller.controller_unpublish_volume("pv-oss", "node-1"))
    assert not path.exists()
    one.driver.close()
    assert not path.parent.exists()


def test_a_label_value_that_is_none_is_hashed_from_1_33_4() -> None:
    long = "v" * 64
    assert naming.volume_label(long, hashed=False) == long
    assert naming.volume_label("pv-oss", hashed=True) == "pv-oss"
    assert naming.volume_label(long, hashed=True).startswith("h1.")
    assert len(naming.volume_label("not/a/label", hashed=True)) == 43
