"""What a release of the CSI driver does, in words, and what changed between two releases.

Every field of `CsiProfile` has its words here, and so has each text of `OptionTexts` ("texts.key_missing"). Pure; any
thread. `ossvol explain csi` prints it.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Mapping
from functools import reduce

from osscluster.csi.profile import (
    Architecture,
    CsiProfile,
    FuseTypes,
    Metrics,
    MetricsTop,
    MountFlags,
    PublishOrder,
    ReadOnlyRule,
    ServiceAccountCheck,
    SharedPath,
    Unpublish,
    UrlRule,
    Validator,
)
from osscluster.csi.rpc import Code
from ossfuse.explanation import Change, Statement, Words, choice, either

__all__ = ["WORDS", "changes", "statements"]

_RELEASE = "the release"
_REQUESTS = "requests"
_ATTRIBUTES = "attributes of a volume"
_OPTIONS = "ossfs's options"
_URL = "url"
_MIME = "Content-Type"
_PODS = "FUSE Pods"
_SERVER = "the mount server"
_MOUNTS = "mounts"
_CONTROLLER = "the controller"
_NODE = "the node"
_TOPICS = (_RELEASE, _REQUESTS, _ATTRIBUTES, _OPTIONS, _URL, _MIME, _PODS, _SERVER, _MOUNTS, _CONTROLLER, _NODE)
_IDENTITY = frozenset({"name", "commit", "source_public"})

Say = Callable[[object], str]


def statements(profile: CsiProfile) -> list[Statement]:
    """All that is modelled of one release, by topic."""
    found = [
        Statement(words.topic, name, words.say(_value(profile, name)))
        for name, words in WORDS.items()
        if name not in _IDENTITY and _value(profile, name) not in ("", None)
    ]
    return sorted(found, key=lambda one: _TOPICS.index(one.topic))


def changes(before: CsiProfile, after: CsiProfile) -> list[Change]:
    """What is different in `after`, by topic. Empty when both rows say the same."""
    found: list[Change] = []
    for name, words in WORDS.items():
        old, new = _value(before, name), _value(after, name)
        if name not in _IDENTITY and old != new:
            found.append(Change(words.topic, name, words.say(old), words.say(new)))
    return sorted(found, key=lambda one: _TOPICS.index(one.topic))


def _value(profile: CsiProfile, name: str) -> object:
    return reduce(getattr, name.split("."), profile)


def _plain(text: str, none: str = "") -> Say:
    return lambda value: text.format(value) if value not in ("", None, ()) else none


def _says(when: str) -> Say:
    return lambda value: f'{when}: "{value}"' if value else f"{when}: no refusal"


def _code(when: str) -> Say:
    return lambda value: f"{when}: code {value.text}" if isinstance(value, Code) else ""


def _order(before: str) -> Say:
    return lambda value: before + ", ".join(one.value for one in _members(value))


def _members(value: object) -> list[enum.Enum]:
    return [one for one in value if isinstance(one, enum.Enum)] if isinstance(value, tuple) else []


def _numbers(value: object) -> str:
    names = sorted(errno.errorcode[one] for one in value) if isinstance(value, frozenset) else []
    return f"takes a mount for dead whose stat says {', '.join(names)}"


_TEXTS: Mapping[str, str] = {
    "url_or_bucket_empty": "url or bucket is empty",
    "path_relative": "path is not absolute",
    "key_missing": "there is no access key",
    "other_options_start": 'otherOpts does not begin with "-o "',
    "encrypted": "encrypted is neither kms nor aes256",
    "fuse_type": "fuseType is unknown",
    "arns_incomplete": "only one of roleArn and oidcProviderArn is given",
    "role_name_missing": "authType rrsa without role",
    "rrsa_lookup": "account or cluster id is unknown",
    "secret_provider_class_missing": "authType csi-secret-store without class",
    "sts_role_missing": "authType sts on a node without RAM role",
    "assume_role_needs_rrsa": "assumeRoleArn without authType rrsa",
    "key_and_secret_ref": "secretRef besides an access key",
    "token_and_secret_ref": "secretRef besides a token in the Secret",
    "secret_ref_reserved": "secretRef is the driver's own Secret",
    "bucket_in_url": "url is the bucket's domain name",
    "signature_needs_region": "sigVersion v4 without region",
}

WORDS: Mapping[str, Words] = {
    "name": Words(_RELEASE, _plain("{}")),
    "commit": Words(_RELEASE, _plain("built from commit {}")),
    "source_public": Words(_RELEASE, either("its source is public", "read from the nearest public commit")),
    "architecture": Words(
        _RELEASE,
        choice(
            {
                Architecture.NODE_RUN: "ossfs is a process of the node",
                Architecture.POD_BY_NODE: "ossfs runs in a FUSE Pod that csi-plugin creates in NodePublishVolume",
                Architecture.POD_BY_CONTROLLER: "ossfs runs in a FUSE Pod that the controller creates, started by a "
                "mount server",
            }
        ),
    ),
    "attach_required": Words(
        _RELEASE, either("volumes are attached (VolumeAttachment) before they are mounted", "no volume is attached")
    ),
    "ossfs": Words(_RELEASE, _plain("ships ossfs {}")),
    "ossfs_row": Words(_RELEASE, _plain("is simulated with ossfs {}")),
    "ossfs_gate": Words(
        _RELEASE,
        lambda value: (
            "has one build of ossfs"
            if value is None
            else f"the gate UpdatedOssfsVersion is {'on' if value else 'off'} by default"
        ),
    ),
    "ossfs_without_gate": Words(_RELEASE, _plain("runs ossfs {} without the gate", "has no second build")),
    "image_tag": Words(_RELEASE, _plain("FUSE image {}", "no FUSE image")),
    "image_tag_without_gate": Words(_RELEASE, _plain("FUSE image {} without the gate", "no second FUSE image")),
    "image_tag_configurable": Words(
        _RELEASE,
        either("image-tag of the ConfigMap chooses the FUSE image", "image of the ConfigMap replaces the FUSE image"),
    ),
    "validator": Words(
        _REQUESTS,
        choice(
            {
                Validator.NONE: "nothing is asked of a request before the driver's own checks",
                Validator.PATHS: "target paths have to be below /var/lib/kubelet",
                Validator.FIELDS: "required fields are asked for, target paths have to be below /var/lib/kubelet",
            }
        ),
    ),
    "illegal_characters_refused": Words(
        _REQUESTS, either("refuses attributes with & | ; $ ' ` ( )", "takes any character in attributes")
    ),
    "paths_absolute": Words(
        _REQUESTS,
        either('paths must be absolute, without ".." and not below /proc', 'paths must have no ".." and no "./"'),
    ),
    "publish_order": Words(
        _REQUESTS,
        choice(
            {
                PublishOrder.OPTIONS_FIRST: "checks a volume before it looks whether it is mounted",
                PublishOrder.MOUNTED_FIRST: "looks whether a volume is mounted before it checks anything else",
                PublishOrder.CREDENTIALS_FIRST: "checks credentials, then looks whether the volume is mounted, then "
                "checks the rest",
            }
        ),
    ),
    "volume_locked": Words(
        _REQUESTS, either("a second call for a volume is Aborted", "calls for one volume may overlap")
    ),
    "checks": Words(_ATTRIBUTES, _order("checks, in this order: ")),
    **{f"texts.{name}": Words(_ATTRIBUTES, _says(when)) for name, when in _TEXTS.items()},
    "option_code": Words(_ATTRIBUTES, _code("a refused attribute")),
    "rrsa_lookup_code": Words(_ATTRIBUTES, _code("an unknown account for RRSA")),
    "fuse_types": Words(
        _ATTRIBUTES,
        choice(
            {
                FuseTypes.ANY: "fuseType jindofs is JindoFS, everything else is ossfs",
                FuseTypes.JINDO: "fuseType is ossfs or jindofs",
                FuseTypes.OSSFS: "fuseType is ossfs",
                FuseTypes.OSSFS2: "fuseType (or the PV's fsType) is ossfs or ossfs2",
            }
        ),
    ),
    "fuse_type_code": Words(_ATTRIBUTES, _code("a refused fuseType or otherOpts")),
    "keys_separate": Words(
        _ATTRIBUTES,
        either(
            "akId and akSecret of the PV each win over the Secret's",
            "akId and akSecret of the PV count only together, otherwise the Secret's replace them",
        ),
    ),
    "secret_values_trimmed": Words(
        _ATTRIBUTES, either("blanks around the Secret's values don't count", "a newline in the Secret spoils the key")
    ),
    "secret_standard_keys": Words(
        _ATTRIBUTES,
        either("takes accessKeyId, accessKeySecret, SecurityToken too", "takes akId and akSecret only"),
    ),
    "key_checked_with_auth_type": Words(
        _ATTRIBUTES,
        either("misses a key with an unknown authType as well", "an unknown authType stands in for a missing key"),
    ),
    "rrsa": Words(_ATTRIBUTES, either("knows authType rrsa", "does not know authType rrsa")),
    "secret_store": Words(_ATTRIBUTES, either("knows authType csi-secret-store", "does not know csi-secret-store")),
    "public": Words(_ATTRIBUTES, either("knows authType public", "does not know authType public")),
    "secret_ref": Words(_ATTRIBUTES, either("knows secretRef", "does not know secretRef")),
    "ram_role_alias": Words(
        _ATTRIBUTES,
        either("roleName or ramRole names the role of authType sts", "authType sts always uses the node's role"),
    ),
    "encryption": Words(_ATTRIBUTES, either("knows encrypted and kmsKeyId", "does not know encrypted")),
    "shared_path": Words(
        _ATTRIBUTES,
        choice(
            {
                SharedPath.ONLY_IF_TRUE: 'Pods share an ossfs only with useSharedPath "true", "True" or "1"',
                SharedPath.UNLESS_FALSE: 'Pods of a node share an ossfs unless useSharedPath is "false"',
                SharedPath.ALWAYS: "Pods of a node share an ossfs, useSharedPath is ignored",
            }
        ),
    ),
    "bucket_needs_storage_class_name": Words(
        _ATTRIBUTES,
        either(
            'looks for a CNFS object when bucket is empty ("name is required" without one)',
            "looks for a CNFS object only when containerNetworkFileSystem names one",
        ),
    ),
    "signature_version": Words(_ATTRIBUTES, either("knows sigVersion", "does not know sigVersion")),
    "region_attribute": Words(_ATTRIBUTES, either("knows region", "does not know region")),
    "volume_as_subpath": Words(
        _ATTRIBUTES, either("volumeAs=subpath gives each volume a directory", "does not know volumeAs")
    ),
    "other_options_verbatim": Words(
        _OPTIONS,
        either("a shell gets otherOpts as they are", "splits otherOpts behind -o and at commas, refuses other words"),
    ),
    "other_options_refusal_wrapped": Words(
        _OPTIONS,
        either("a refusal of otherOpts is wrapped into a second one", "a refusal of otherOpts stands alone"),
    ),
    "options_built_by_controller": Words(
        _OPTIONS, either("the controller refuses wrong otherOpts too", "the controller does not look at otherOpts")
    ),
    "signature_code": Words(_OPTIONS, _code("sigVersion v4 without region")),
    "option_order": Words(_OPTIONS, _order("puts ossfs's options together as ")),
    "mount_flags": Words(
        _OPTIONS,
        choice(
            {
                MountFlags.IGNORED: "ignores PV.spec.mountOptions",
                MountFlags.USED: "adds PV.spec.mountOptions",
                MountFlags.LOST: "reads PV.spec.mountOptions and loses them",
            }
        ),
    ),
    "read_only": Words(
        _OPTIONS,
        choice(
            {
                ReadOnlyRule.NEVER: "never adds ro",
                ReadOnlyRule.NOT_WRITER: "adds ro for read-only requests and for access modes other than RWO and RWX",
                ReadOnlyRule.READER: "adds ro for read-only requests and for access modes *_READER_ONLY",
            }
        ),
    ),
    "metrics": Words(
        _OPTIONS,
        choice(
            {
                Metrics.NEVER: "never adds use_metrics",
                Metrics.GATE: "adds use_metrics with the gate UpdatedOssfsVersion",
                Metrics.GATE_AS_DEFAULT: "adds use_metrics unless it is there or metrics-mode=disabled",
            }
        ),
    ),
    "metrics_top": Words(
        _OPTIONS,
        choice(
            {
                MetricsTop.NEVER: "never adds metrics_top",
                MetricsTop.SHARED_IF_SET: "adds metrics_top to shared mounts when metricsTop is set",
                MetricsTop.TEN_IF_SET: "adds metrics_top=10 when metricsTop is set, whatever its value",
                MetricsTop.TEN_BY_DEFAULT: "adds metrics_top, 10 by default",
                MetricsTop.IF_SET: "adds metrics_top when metricsTop is set",
            }
        ),
    ),
    "debug_level": Words(_OPTIONS, _plain("adds dbglevel={} by default", "adds no dbglevel by default")),
    "debug_level_names": Words(
        _OPTIONS,
        lambda value: (
            f"dbglevel of the ConfigMap is one of {', '.join(value)}"
            if isinstance(value, tuple) and value
            else "the ConfigMap sets no dbglevel"
        ),
    ),
    "debug_level_refused": Words(
        _OPTIONS, either("another dbglevel fails every mount", "another dbglevel of the ConfigMap is ignored")
    ),
    "allow_other": Words(_OPTIONS, either("adds allow_other", "adds no allow_other")),
    "listobjectsv2": Words(_OPTIONS, either("adds listobjectsv2", "adds no listobjectsv2")),
    "ram_role_url": Words(
        _OPTIONS, either("ram_role is the metadata service's url", "ram_role is the name of the node's role")
    ),
    "sts_role_may_be_missing": Words(
        _OPTIONS,
        either("a node without RAM role gets a url without role", "a node without RAM role fails authType sts"),
    ),
    "url_rule": Words(
        _URL,
        choice(
            {
                UrlRule.ANYWHERE: "the node's region becomes internal anywhere in the url; unknown, it garbles the url",
                UrlRule.ANYWHERE_KNOWN: "the node's region becomes internal anywhere in the url",
                UrlRule.ALIYUNCS: "the node's region becomes internal in urls of aliyuncs.com",
                UrlRule.ALIYUNCS_BUT_CACHE: "the node's region becomes internal in urls of aliyuncs.com but oss-cache-",
                UrlRule.EXACT: "exactly oss-REGION.aliyuncs.com and REGION.oss-data-acc.aliyuncs.com become internal",
            }
        ),
    ),
    "url_rewritten_when_shared": Words(
        _URL, either("urls of shared mounts are rewritten too", "urls of shared mounts stay as they are")
    ),
    "scheme_added": Words(
        _URL, either("http:// is put before internal urls, https:// before others", "urls get no scheme")
    ),
    "mime_option": Words(
        _MIME, _plain("mime-support=true adds {} on nodes without /etc/mime.types", "has no mime-support")
    ),
    "mime_file_visible": Words(
        _MIME, either("mime-support's file is there for ossfs", "mime-support has no file for ossfs")
    ),
    "host_mime_visible": Words(
        _MIME, either("ossfs sees the node's /etc/mime.types", "ossfs does not see the node's /etc/mime.types")
    ),
    "fuse_namespace": Words(_PODS, _plain("FUSE Pods are in {}", "has no FUSE Pods")),
    "service_account_check": Words(
        _PODS,
        choice(
            {
                ServiceAccountCheck.NONE: "does not look for the service account of RRSA",
                ServiceAccountCheck.DEFAULT_ONLY: "looks for the service account csi-fuse-ossfs, not for others",
                ServiceAccountCheck.ANY: "looks for the service account of RRSA",
            }
        ),
    ),
    "session_name_cut": Words(
        _PODS,
        either("cuts ROLE_SESSION_NAME to 64 characters", "long volume ids make a ROLE_SESSION_NAME that STS refuses"),
    ),
    "termination_delay": Words(
        _PODS,
        lambda value: (
            f"after SIGTERM ossfs serves on for up to {value:g} s while it is used" if value else "SIGTERM ends ossfs"
        ),
    ),
    "grace_period": Words(
        _PODS, _plain("FUSE Pods have {} s to terminate", "FUSE Pods have the default time to terminate")
    ),
    "configured_metadata": Words(
        _PODS,
        either("labels and annotations of the ConfigMap reach FUSE Pods", "the ConfigMap's labels are lost"),
    ),
    "drain_label": Words(_PODS, either("FUSE Pods are left out of a drain", "FUSE Pods have no drain label")),
    "safe_to_evict": Words(_PODS, either("FUSE Pods are safe to evict", "FUSE Pods are not marked safe to evict")),
    "volume_label_hashed": Words(
        _PODS,
        either("a volume id that is no label value is hashed", "a volume id that is no label value makes no Pod"),
    ),
    "fuse_type_in_selector": Words(
        _PODS, either("Pods to delete are found by fuse type too", "Pods to delete are found by volume alone")
    ),
    "host_etc_mount": Words(_PODS, _plain("FUSE Pods have the node's /etc at {}", "FUSE Pods have no /etc of a node")),
    "socket_flag": Words(_SERVER, _plain("is told its socket by {}PATH", "has no mount server")),
    "mount_poll": Words(_SERVER, _plain("looks every {:g} s whether ossfs has mounted")),
    "stderr_in_error": Words(
        _SERVER, either("an exited ossfs is reported with its stderr", "an exited ossfs is reported by its status")
    ),
    "proxy_timeout": Words(_SERVER, _plain("the driver waits {:g} s for its answer")),
    "request_limit": Words(_SERVER, _plain("takes requests of up to {} bytes")),
    "pod_in_publish_context": Words(
        _SERVER, _plain("the publish context names the Pod as {}", "the publish context does not name the Pod")
    ),
    "socket_missing": Words(_SERVER, _says("a publish context without socket")),
    "target_looked_up": Words(
        _MOUNTS,
        either("a target whose stat is refused is looked up in the mount table", "the target's stat decides"),
    ),
    "globalmount_repaired": Words(
        _MOUNTS, either("a dead shared mount is unmounted and made again", "a dead shared mount stays")
    ),
    "unserviced_mount_repaired": Words(
        _MOUNTS, either("statfs has to answer as well", "statfs is not asked whether a mount lives")
    ),
    "unpublish": Words(
        _MOUNTS,
        choice(
            {
                Unpublish.LEAVES_DIRECTORY: "unmounts (umount -f, or umount for shared mounts), leaves the directory",
                Unpublish.REMOVES: "unmounts and removes the directory; one that is gone is an error",
                Unpublish.REMOVES_IF_THERE: "unmounts and removes the directory if it is there",
                Unpublish.CLEANUP_AND_POD: "cleans the mount point up and deletes its FUSE Pod even where that fails",
                Unpublish.CLEANUP_THEN_POD: "cleans the mount point up, then deletes its FUSE Pod",
                Unpublish.CLEANUP: "cleans the mount point up",
            }
        ),
    ),
    "corrupted": Words(_MOUNTS, _numbers),
    "stale_paths_found": Words(
        _MOUNTS,
        either("a mount whose root is gone counts as stale", "a mount whose root is gone counts as not there"),
    ),
    "stage_unstage": Words(_MOUNTS, either("volumes are staged", "volumes are not staged")),
    "node_looked_up": Words(
        _CONTROLLER, either("looks the node up, leaves virtual-kubelet out", "does not look the node up")
    ),
    "delete_looks_up_volume": Words(
        _CONTROLLER, either("DeleteVolume fails for a PV that is gone", "DeleteVolume does nothing")
    ),
    "reclaim_policy_checked": Words(
        _CONTROLLER, either("creates volumes with reclaim policy Retain only", "does not look at the reclaim policy")
    ),
    "installer_retries": Words(
        _NODE, either("retries the installation of ossfs", "tries to install ossfs once a start")
    ),
    "updatedb_configured": Words(
        _NODE, either("keeps updatedb off volumes (/etc/updatedb.conf)", "leaves /etc/updatedb.conf alone")
    ),
}
