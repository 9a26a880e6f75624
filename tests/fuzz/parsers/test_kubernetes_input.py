"""Kubernetes' own languages: manifests, quantities, selectors, protobuf; what the CSI driver reads; updatedb.conf."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import damaged, damaged_bytes, mostly, texts
from tests.fuzz.parsers.test_scenario_files import places, values

from osscluster.api import protobuf, selectors
from osscluster.api.manifests import read
from osscluster.api.objects import ApiError
from osscluster.api.quantity import Quantity, QuantityError
from osscluster.csi import mountoptions, wire
from osscluster.csi.messages import TABLE
from osscluster.csi.options import Options, Surroundings, check, parse
from osscluster.csi.profile import PROFILES
from osscluster.csi.rpc import CsiError
from osscluster.updatedb import DEFAULT_CONFIGURATION, Pruning, configured_for_volumes
from osscluster.updatedb import parse as parse_updatedb

FILE = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-oss, labels: {a: b}}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadOnlyMany]
  mountOptions: ["-o allow_other"]
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss
    nodePublishSecretRef: {name: s, namespace: default}
    volumeAttributes: {bucket: demo, url: "oss-cn-hangzhou.aliyuncs.com", otherOpts: "-o umask=022"}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {akId: a, akSecret: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {fsGroup: 1000}
      containers:
        - name: web
          image: nginx
          resources: {limits: {memory: 1Gi, cpu: 500m}}
          volumeMounts: [{name: v, mountPath: /data, subPath: a}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: pvc}}]
"""
MANIFESTS = re.split("---\n", FILE)


def check_manifests(text: str) -> None:
    with within(5):
        result = read(text, "F")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    lines = lines.replace("\u2028", "\n").replace("\u2029", "\n")
    for problem in (*result.errors, *result.warnings):
        assert 1 <= problem.line <= lines.count("\n") + 1, problem
        assert 1 <= problem.column <= max(map(len, lines.split("\n"))) + 1, problem
        assert problem.code[0] == "K"
        assert "object at 0x" not in problem.message
    for manifest in result.objects:
        # The API's own format.
        json.dumps(manifest.object, allow_nan=False)
        assert manifest.place.startswith("F:")


@budget(50)
@given(text=damaged(st.sampled_from(MANIFESTS)))
def test_every_mistake_in_a_damaged_manifest_has_a_place_in_the_file(text: str) -> None:
    check_manifests(text)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    data = yaml.safe_load(draw(st.sampled_from(MANIFESTS)))
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from([place for place in places(data) if place]))
        holder = data
        for step in above:
            holder = holder[step]
        if draw(st.booleans()) and isinstance(holder, dict):
            holder[draw(texts)] = draw(values)
        else:
            holder[last] = draw(values)
    return data


@budget(50)
@given(data=changed(), as_list=st.booleans())
def test_every_value_of_another_kind_has_a_place_in_the_file(data: Any, as_list: bool) -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": [data]} if as_list else data
    check_manifests(yaml.safe_dump(whole, allow_unicode=True))


@budget(65)
@given(
    number=st.decimals(0, 10**6, allow_nan=False, places=3),
    suffix=st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "e3", "E2", "n", "u"]),
    data=st.data(),
)
def test_any_text_is_a_quantity_or_refused(number: Decimal, suffix: str, data: st.DataObject) -> None:
    good = f"{number}{suffix}"
    assert Quantity.parse(good).value >= 0
    text = data.draw(damaged(st.just(good), edits=2))
    try:
        with within():
            found = Quantity.parse(text)
    except QuantityError as error:
        assert str(error)
        return
    assert text.isascii()
    with within():
        # What the scheduler and the provisioner make of it.
        assert abs(int(found.value)) < 2**63


LABELS = ["a=b", "a==b,c!=d", "e in (f,g)", "h notin (i)", "j", "!k", "app.kubernetes.io/name=x,a in (b , c),!d"]


@budget(80)
@given(text=damaged(st.sampled_from(LABELS)), given=st.dictionaries(st.sampled_from("acehjk"), texts, max_size=3))
def test_any_text_selects_by_label_or_is_a_bad_request(text: str, given: dict[str, str]) -> None:
    try:
        with within():
            assert isinstance(selectors.labels(text)({"metadata": {"labels": given}}), bool)
    except ApiError as error:
        assert error.code == 400


@budget(50)
@given(
    text=damaged(st.sampled_from(["metadata.name=a", "status.phase!=Running,spec.nodeName=n", "reason==x,type=\\,y"])),
    kind=st.sampled_from(["Pod", "Event", "Secret", "Node"]),
)
def test_any_text_selects_by_field_or_is_a_bad_request(text: str, kind: str) -> None:
    try:
        with within():
            assert isinstance(selectors.fields(text, kind)({"metadata": {"name": "a"}}), bool)
    except ApiError as error:
        assert error.code == 400


@budget(80)
@given(
    body=damaged_bytes(
        st.sampled_from(
            [
                b'k8s\0\n\r\n\x02v1\x12\x07Binding\x12\x05\n\x03\n\x01a\x1a\0"\0',
                b'k8s\0\n\x12\n\x02v1\x12\rDeleteOptions\x12\x02\x08\0\x1a\0"\0',
                b'k8s\0\n\x0c\n\x02v1\x12\x06Status\x12\x04\x12\x02\x61\x62\x1a\0"\0',
            ]
        )
    )
)
def test_any_body_in_protobuf_is_an_object_or_refused(body: bytes) -> None:
    try:
        with within():
            assert isinstance(protobuf.decode(body), dict)
    except protobuf.ProtobufError as error:
        assert str(error)


# The CSI driver

csi_profiles = st.sampled_from(sorted(PROFILES)).map(PROFILES.__getitem__)
OTHERS = ["-o umask=022 -o allow_other", "-oumask=022,uid=1000 -o max_stat_cache_size=0", "-o a=b,c -d -s", "--debug"]
ATTRIBUTES = {
    "bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com", "path": "/a", "otherOpts": OTHERS[0], "authType": "rrsa",
    "roleName": "r", "roleArn": "acs:ram::1:role/r", "oidcProviderArn": "acs:ram::1:oidc-provider/p",
    "fuseType": "ossfs",
    "encrypted": "kms", "kmsKeyId": "k", "sigVersion": "v4", "region": "cn-hangzhou", "useSharedPath": "true",
    "metricsTop": "5", "volumeAs": "subpath", "secretRef": "s", "assumeRoleArn": "acs:ram::1:role/r", "direct": "true",
    "akId": "a", "akSecret": "b", "token": "t",
}  # fmt: skip
attributes = st.sets(st.sampled_from(sorted(ATTRIBUTES)), max_size=8).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: mostly(st.just(ATTRIBUTES[name]), damaged(st.just(ATTRIBUTES[name]))) for name in names}
    )
)


@budget(100)
@given(text=damaged(st.sampled_from(OTHERS)), profile=csi_profiles)
def test_other_options_are_split_as_they_stand_or_refused(text: str, profile: Any) -> None:
    try:
        with within():
            found = mountoptions.tokens(text, profile)
    except CsiError as error:
        assert str(error)
        return
    rest = "".join(text.split())
    for token in found:
        # Nothing is added, nothing moves.
        assert token in rest
        rest = rest[rest.index(token) + len(token) :]
    assert not any(set(token) & set(" \t\n,") for token in found)
    command = f"systemd-run --scope -- /usr/local/bin/ossfs demo:/ /mnt -ourl=http://h {text}"
    assert isinstance(mountoptions.connector_refusal(command, mountpoint_exists=True), str)


@budget(100)
@given(
    given=attributes,
    secrets=st.dictionaries(st.sampled_from(["akId", "akSecret", "token"]), texts, max_size=3),
    profile=csi_profiles,
)
def test_any_attributes_of_a_volume_make_options_or_an_error_of_the_driver(
    given: dict[str, str], secrets: dict[str, str], profile: Any
) -> None:
    with within():
        try:
            options = parse(given, secrets, profile)
            assert isinstance(options, Options)
            check(options, profile, profile.checks if hasattr(profile, "checks") else ())
            made = mountoptions.mount_options(options, options.url, profile, Surroundings(region="cn-hangzhou"))
        except CsiError as error:
            assert str(error)
            return
    assert all(isinstance(option, str) for option in made)


@budget(65)
@given(
    text=damaged(
        st.sampled_from([DEFAULT_CONFIGURATION, 'PRUNEFS="a b"\n# c\nPRUNEPATHS = "/x"\n', "PRUNE_BIND_MOUNTS=no"])
    )
)
def test_updatedb_is_kept_out_of_volumes_once_and_for_all(text: str) -> None:
    with within():
        before, once = parse_updatedb(text), configured_for_volumes(text)
        after = parse_updatedb(once)
        assert isinstance(before, Pruning)
        assert before.filesystems <= after.filesystems
        assert before.paths <= after.paths
        if len(re.findall("PRUNE(?:FS|PATHS)", text)) == len(re.findall("^PRUNE(?:FS|PATHS)", text, re.MULTILINE)):
            # The driver's script looks for lines that begin so, and changes the others as well.
            assert configured_for_volumes(once) == once


MESSAGES = sorted(name for name, entries in TABLE.items() if not (entries and " = " in entries[0]))


@budget(65)
@given(name=st.sampled_from(MESSAGES), raw=st.binary(max_size=40))
def test_a_message_of_csi_that_is_read_is_written_as_it_was(name: str, raw: bytes) -> None:
    pytest.importorskip("google.protobuf", reason="csi: pip install 'ossvol[csi]'")
    from google.protobuf.message import DecodeError

    kind = wire.message(name)
    with within():
        try:
            message = kind.FromString(raw)
        except DecodeError:
            return
    again = kind.FromString(message.SerializeToString(deterministic=True))
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)
