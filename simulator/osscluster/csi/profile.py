"""The table of CSI driver releases: every difference between them is a field of `CsiProfile`, a release is a row.

It is data, not behaviour: no code elsewhere asks for a version number, and versions are not in order of what they do
(1.26.7 runs ossfs on the node, 1.26.6 does not). Rows are immutable; any thread may read them.

Source, named at each field: files of kubernetes-sigs/alibaba-cloud-csi-driver at the commit of the release. 1.26.6,
1.28.1 and 1.30.4 were built from commits that are not public; their rows are read from the nearest public ones
(8aefe93c5, 80e3504d2) and from what the FAQ says of them.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from osscluster.csi import texts
from osscluster.csi.rpc import Code
from osscluster.csi.texts import OptionTexts

__all__ = [
    "DEFAULT_VERSION",
    "PROFILES",
    "Architecture",
    "Check",
    "CsiProfile",
    "FuseTypes",
    "Metrics",
    "MetricsTop",
    "MountFlags",
    "OptionGroup",
    "PublishOrder",
    "ReadOnlyRule",
    "ServiceAccountCheck",
    "SharedPath",
    "UnknownCsiVersion",
    "Unpublish",
    "UrlRule",
    "Validator",
    "find",
]

DEFAULT_VERSION = "1.30.4"


class UnknownCsiVersion(ValueError):
    """No row for that version or its line. The message lists the known ones; pick one of them."""


class Architecture(enum.Enum):
    """Where ossfs runs and who starts it."""

    NODE_RUN = "node"  # a process of the node, started by csi-plugin through a daemon on the host
    POD_BY_NODE = "pod by node"  # a Pod in kube-system, created by csi-plugin in NodePublishVolume
    POD_BY_CONTROLLER = "pod by controller"  # a mount server in a Pod in ack-csi-fuse, made in ControllerPublishVolume


class OptionGroup(enum.Enum):
    """A piece of ossfs's options, in the order that the release puts them together."""

    OTHER = "otherOpts"
    MOUNT_FLAGS = "PV mountOptions"
    AUTH = "credentials"
    ENCRYPTION = "use_sse"
    READ_ONLY = "ro"
    METRICS = "use_metrics"
    METRICS_TOP = "metrics_top"
    SIGNATURE = "sigv1, sigv4"
    URL = "url"


class Check(enum.Enum):
    """What is checked of a volume's attributes, in the order that the release does it."""

    FUSE_TYPE = "fuse type"
    LOCATION = "bucket, url and path"
    CREDENTIALS = "credentials"
    KEY = "key"  # that there is one: on the node only
    ENCRYPTION = "encryption"
    ASSUME_ROLE = "assumeRoleArn"
    OTHER_OPTIONS = "otherOpts"  # that they begin with "-o "


class MountFlags(enum.Enum):
    """What becomes of PV.spec.mountOptions."""

    IGNORED = "ignored"
    USED = "used"
    LOST = "lost"  # 1.30.4 reads them, and overwrites them with otherOpts


class ReadOnlyRule(enum.Enum):
    """When `ro` is added, besides for a read-only request."""

    NEVER = "never"  # not even then
    NOT_WRITER = "not writer"  # access mode is none of the three that write
    READER = "reader"  # access mode is *_READER_ONLY


class SharedPath(enum.Enum):
    """useSharedPath: whether Pods of a node share one ossfs."""

    ONLY_IF_TRUE = "only if true"  # exactly "true", "True" or "1"
    UNLESS_FALSE = "unless false"  # Go's ParseBool; what it can't parse is ignored
    ALWAYS = "always"  # the key is ignored


class UrlRule(enum.Enum):
    """Which urls are turned into internal ones of the node's region."""

    ANYWHERE = "anywhere"  # REGION becomes REGION-internal; an unknown region is "" and so is everywhere
    ANYWHERE_KNOWN = "anywhere, region known"
    ALIYUNCS = "aliyuncs.com"  # only of hosts that end so
    ALIYUNCS_BUT_CACHE = "aliyuncs.com but oss-cache-"
    EXACT = "exact"  # oss-REGION.aliyuncs.com and REGION.oss-data-acc.aliyuncs.com


class MetricsTop(enum.Enum):
    """When metrics_top= is on ossfs's command line."""

    NEVER = "never"
    SHARED_IF_SET = "shared, if set"
    TEN_IF_SET = "10 if set"
    TEN_BY_DEFAULT = "10 by default"
    IF_SET = "if set"


class Metrics(enum.Enum):
    """When use_metrics is on ossfs's command line."""

    NEVER = "never"
    GATE = "gate"  # with the feature gate UpdatedOssfsVersion
    GATE_AS_DEFAULT = "gate, as default"  # behind the other options, unless metrics-mode=disabled


class FuseTypes(enum.Enum):
    """What fuseType may be."""

    ANY = "any"  # whatever is not jindofs is ossfs
    JINDO = "jindofs"  # ossfs and jindofs
    OSSFS = "ossfs"
    OSSFS2 = "ossfs2"  # ossfs and ossfs2, from fsType as well


class ServiceAccountCheck(enum.Enum):
    """Whose existence the driver checks before it creates a FUSE Pod for RRSA."""

    NONE = "none"  # the API server refuses the Pod
    DEFAULT_ONLY = "default only"
    ANY = "any"


class Validator(enum.Enum):
    """What is asked of every request before the driver looks at it."""

    NONE = "none"
    PATHS = "paths"
    FIELDS = "fields"


class PublishOrder(enum.Enum):
    """NodePublishVolume: what comes before "it is mounted already"."""

    OPTIONS_FIRST = "options first"
    MOUNTED_FIRST = "mounted first"
    CREDENTIALS_FIRST = "credentials first"  # then mounted, then the other options


class Unpublish(enum.Enum):
    """How NodeUnpublishVolume unmounts."""

    LEAVES_DIRECTORY = "leaves directory"  # umount -f for a mount of its own, umount for a shared one
    REMOVES = "removes"  # likewise, then rmdir; a directory that is gone is an error
    REMOVES_IF_THERE = "removes if there"
    CLEANUP_AND_POD = "cleanup and pod"  # mount-utils, then the FUSE Pod, also after a failed umount
    CLEANUP_THEN_POD = "cleanup, then pod"
    CLEANUP = "cleanup"  # mount-utils; the Pod is the controller's business


_CORRUPTED_21 = frozenset((errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES, errno.EHOSTDOWN))
_CORRUPTED_30 = _CORRUPTED_21 | {errno.EWOULDBLOCK}
_CORRUPTED_32 = _CORRUPTED_30 | {errno.ENODEV}

_G = OptionGroup


@dataclass(frozen=True, slots=True)
class CsiProfile:
    """How one release of the driver behaves. The defaults are those of 1.30.4."""

    # --- the release ---
    name: str
    commit: str
    source_public: bool = True  # False: read from the nearest public commit
    architecture: Architecture = Architecture.POD_BY_CONTROLLER
    attach_required: bool = True  # CSIDriver.spec.attachRequired (deploy/)
    ossfs: str = "1.91.3"  # the build that it ships (image tags of pkg/mounter, entrypoint.sh)
    ossfs_row: str = "1.91.3"  # the simulated release that stands for it
    ossfs_gate: bool | None = True  # default of the gate UpdatedOssfsVersion; None: there is no such gate
    ossfs_without_gate: str = "1.88.4"
    image_tag: str = "v1.91.3-d9f3917-aliyun"
    image_tag_without_gate: str = "v1.88.4-d9f3917-aliyun"
    image_tag_configurable: bool = True  # image-tag of the ConfigMap, 1.30.4; before that the whole image

    # --- requests (pkg/common, pkg/utils/auth.go) ---
    validator: Validator = Validator.FIELDS
    illegal_characters_refused: bool = True  # & | ; $ ' ` ( ) in any attribute; gone in 1.31.3
    paths_absolute: bool = False  # 1.37.1: "must be an absolute path", nothing below /proc; before: no ".." or "./"
    publish_order: PublishOrder = PublishOrder.MOUNTED_FIRST
    volume_locked: bool = True  # one call a volume at a time: Aborted

    # --- attributes (parseOptions) ---
    checks: tuple[Check, ...] = (
        *(Check.FUSE_TYPE, Check.LOCATION, Check.CREDENTIALS, Check.ENCRYPTION, Check.ASSUME_ROLE, Check.KEY),
    )
    texts: OptionTexts = texts.PROXY
    option_code: Code = Code.INVALID_ARGUMENT  # of a refused attribute
    rrsa_lookup_code: Code = Code.INTERNAL
    fuse_types: FuseTypes = FuseTypes.OSSFS
    fuse_type_code: Code = Code.INVALID_ARGUMENT
    keys_separate: bool = True  # akId and akSecret of the PV each win over the Secret's; before: both or none
    secret_values_trimmed: bool = False  # 1.31.3; before that a newline in the Secret breaks the key
    secret_standard_keys: bool = False  # 1.35.1: accessKeyId, accessKeySecret, SecurityToken, Expiration
    key_checked_with_auth_type: bool = False  # 1.28.2: an unknown authType without key is refused as well
    rrsa: bool = True
    secret_store: bool = True
    public: bool = False
    secret_ref: bool = False
    ram_role_alias: bool = True  # roleName, ramRole name the role of authType sts; assumeRoleArn, externalId
    encryption: bool = True
    shared_path: SharedPath = SharedPath.ALWAYS
    bucket_needs_storage_class_name: bool = False  # an empty bucket is looked up as a CNFS object, whatever its name
    signature_version: bool = False  # sigVersion, 1.31.3
    region_attribute: bool = False  # region, 1.37.1: wins over the url's and the node's, and means V4
    volume_as_subpath: bool = False  # volumeAs, 1.31.3

    # --- ossfs's options ---
    other_options_verbatim: bool = False  # a shell gets them as they are; else split into tokens behind -o
    # The refusal of a token is wrapped into a second one: "rpc error: code = ... desc = invalid otherOpts: ..."
    other_options_refusal_wrapped: bool = True
    options_built_by_controller: bool = True  # so that it refuses otherOpts as well
    signature_code: Code = Code.INTERNAL  # of sigVersion v4 without region
    option_order: tuple[OptionGroup, ...] = (
        *(_G.OTHER, _G.ENCRYPTION, _G.READ_ONLY, _G.METRICS, _G.METRICS_TOP, _G.URL, _G.AUTH),
    )
    mount_flags: MountFlags = MountFlags.LOST
    read_only: ReadOnlyRule = ReadOnlyRule.NOT_WRITER
    metrics: Metrics = Metrics.GATE
    metrics_top: MetricsTop = MetricsTop.TEN_IF_SET
    debug_level: str = "err"  # dbglevel= unless configured; "": none is added
    debug_level_names: tuple[str, ...] = ("fatal", "error", "warn", "info", "debug")
    debug_level_refused: bool = False  # a wrong dbglevel of the ConfigMap fails every mount
    allow_other: bool = False  # added unless given
    listobjectsv2: bool = False
    ram_role_url: bool = True  # ram_role= is the metadata service's url; from 1.33.4 the name of the role
    sts_role_may_be_missing: bool = False  # 1.33.1 makes a url without role of it

    # --- url ---
    url_rule: UrlRule = UrlRule.ALIYUNCS_BUT_CACHE
    url_rewritten_when_shared: bool = True
    scheme_added: bool = True  # http:// for internal urls, https:// for others

    # --- mime ---
    mime_option: str = "mime=/etc/csi-mime.types"  # with mime-support=true on nodes without /etc/mime.types
    mime_file_visible: bool = False  # whether that file is there for ossfs
    host_mime_visible: bool = True  # whether ossfs sees the node's /etc/mime.types

    # --- FUSE Pods ---
    fuse_namespace: str = "ack-csi-fuse"
    service_account_check: ServiceAccountCheck = ServiceAccountCheck.ANY
    session_name_cut: bool = False  # 1.31.4: ROLE_SESSION_NAME to 64 characters; longer ones STS refuses
    termination_delay: float = 0.0  # how long the entrypoint lets a serving ossfs go on after SIGTERM
    grace_period: int | None = None  # terminationGracePeriodSeconds; None: the default, 30
    configured_metadata: bool = False  # labels and annotations of the ConfigMap reach the Pod
    drain_label: bool = False  # alibabacloud.com/drain-pod=skip
    safe_to_evict: bool = True
    volume_label_hashed: bool = False  # "h1." + sha1 for volume ids that are no label value
    fuse_type_in_selector: bool = True  # Pods to delete are looked up by fuse type too
    host_etc_mount: str = "/etc"  # where a FUSE Pod has the node's /etc
    socket_flag: str = "-socket="

    # --- the mount server (pkg/mounter/proxy) ---
    mount_poll: float = 1.0
    stderr_in_error: bool = False  # ", with stderr: ..." behind ossfs's exit status
    proxy_timeout: float = 30.0  # of the driver; the server gives up after 30 s itself
    request_limit: int = 2048  # bytes; more is an "invalid message"
    pod_in_publish_context: str = ""  # key of "NAMESPACE/NAME"
    socket_missing: str = "mountPorxySocket not found in publishContext"

    # --- mounts ---
    target_looked_up: bool = True  # NodePublishVolume asks the mount table where stat(2) of the target is refused
    globalmount_repaired: bool = True  # a dead shared mount is unmounted and made again
    unserviced_mount_repaired: bool = False  # 1.37.1 asks statfs as well
    unpublish: Unpublish = Unpublish.CLEANUP
    corrupted: frozenset[int] = _CORRUPTED_21  # errno of stat(2) that tell a dead mount (mount-utils)
    stale_paths_found: bool = False  # a path that only access(2) finds is ESTALE (mount-utils from 0.24)
    stage_unstage: bool = True

    # --- the controller ---
    node_looked_up: bool = True  # ControllerPublishVolume: virtual-kubelet nodes are skipped
    delete_looks_up_volume: bool = True
    reclaim_policy_checked: bool = False

    # --- the node ---
    installer_retries: bool = True  # of the ossfs package; 1.24 tries once
    updatedb_configured: bool = True  # /etc/updatedb.conf, where mlocate runs


# What 1.24 to 1.26.5 and 1.26.7 to 1.26.14 have in common.
_V1243 = CsiProfile(
    name="1.24.3",
    commit="55228c1",
    architecture=Architecture.NODE_RUN,
    attach_required=False,
    ossfs="1.88.0",
    ossfs_row="1.88",
    ossfs_gate=None,
    ossfs_without_gate="",
    image_tag="",
    image_tag_without_gate="",
    image_tag_configurable=False,
    validator=Validator.NONE,
    publish_order=PublishOrder.OPTIONS_FIRST,
    volume_locked=False,
    checks=(Check.LOCATION, Check.CREDENTIALS, Check.KEY, Check.OTHER_OPTIONS),
    texts=texts.NODE_RUN,
    option_code=Code.UNKNOWN,
    rrsa_lookup_code=Code.UNKNOWN,
    fuse_types=FuseTypes.ANY,
    keys_separate=False,
    rrsa=False,
    secret_store=False,
    ram_role_alias=False,
    encryption=False,
    shared_path=SharedPath.ONLY_IF_TRUE,
    bucket_needs_storage_class_name=True,
    other_options_verbatim=True,
    other_options_refusal_wrapped=False,
    options_built_by_controller=False,
    option_order=(_G.URL, _G.OTHER, _G.AUTH),
    mount_flags=MountFlags.IGNORED,
    read_only=ReadOnlyRule.NEVER,
    metrics=Metrics.NEVER,
    metrics_top=MetricsTop.NEVER,
    debug_level="",
    debug_level_names=(),
    url_rule=UrlRule.ANYWHERE,
    url_rewritten_when_shared=False,
    scheme_added=False,
    mime_option="",
    fuse_namespace="",
    service_account_check=ServiceAccountCheck.NONE,
    safe_to_evict=False,
    host_etc_mount="",
    socket_flag="",
    socket_missing="",
    globalmount_repaired=False,
    unpublish=Unpublish.LEAVES_DIRECTORY,
    stage_unstage=False,
    node_looked_up=False,
    installer_retries=False,
    updatedb_configured=False,
)
_V12410 = dataclasses.replace(_V1243, name="1.24.10", commit="7ae4421")
_V1261 = dataclasses.replace(_V12410, name="1.26.1", commit="e45b407")
_V1262 = dataclasses.replace(_V1261, name="1.26.2", commit="9d15537", ossfs="1.88.1", installer_retries=True)
_V1264 = dataclasses.replace(
    _V1262,
    name="1.26.4",
    commit="e3de357",
    validator=Validator.PATHS,
    url_rule=UrlRule.ANYWHERE_KNOWN,
    unpublish=Unpublish.REMOVES,
)
_V1265 = dataclasses.replace(_V1264, name="1.26.5", commit="56d1e30", validator=Validator.FIELDS)
_V1267 = dataclasses.replace(_V1265, name="1.26.7", commit="84a34bb", unpublish=Unpublish.REMOVES_IF_THERE)
_V1268 = dataclasses.replace(_V1267, name="1.26.8", commit="e724570", updatedb_configured=True)
_V12614 = dataclasses.replace(_V1268, name="1.26.14", commit="e9322a6", url_rule=UrlRule.EXACT)

_P_ORDER = (*(_G.MOUNT_FLAGS, _G.AUTH, _G.ENCRYPTION, _G.READ_ONLY, _G.METRICS, _G.METRICS_TOP, _G.URL, _G.OTHER),)
# The first two with FUSE Pods, read from 8aefe93c5: the node's mime.types is not mounted into the Pod.
_V1266 = dataclasses.replace(
    _V1265,
    name="1.26.6",
    commit="26b1327",
    source_public=False,
    architecture=Architecture.POD_BY_NODE,
    ossfs="1.88.3",
    image_tag="3071afa-aliyun",
    checks=(Check.LOCATION, Check.CREDENTIALS, Check.KEY, Check.ENCRYPTION, Check.FUSE_TYPE),
    texts=texts.FIRST_CONTAINERS,
    fuse_types=FuseTypes.JINDO,
    shared_path=SharedPath.UNLESS_FALSE,
    other_options_verbatim=False,
    option_order=_P_ORDER,
    mount_flags=MountFlags.USED,
    read_only=ReadOnlyRule.NOT_WRITER,
    debug_level_names=("info", "warn", "err", "crit"),
    debug_level_refused=True,
    url_rewritten_when_shared=True,
    mime_option="",
    host_mime_visible=False,
    fuse_namespace="kube-system",
    unpublish=Unpublish.CLEANUP_AND_POD,
    stage_unstage=True,
    installer_retries=True,
)
_V1281 = dataclasses.replace(_V1266, name="1.28.1", commit="de1a873")
_V1282 = dataclasses.replace(
    _V1281,
    name="1.28.2",
    commit="52291d4",
    source_public=True,
    texts=texts.EARLY_CONTAINERS,
    key_checked_with_auth_type=True,
    encryption=True,
    # Such an option has no ossfs; the name was corrected in 1.28.3.
    mime_option="mime_types_file=/etc/csi-mime.types",
    mime_file_visible=True,
    host_mime_visible=True,
    termination_delay=60.0,
    grace_period=120,
    configured_metadata=True,
    safe_to_evict=True,
    unpublish=Unpublish.CLEANUP_THEN_POD,
    updatedb_configured=True,
)
_V1283 = dataclasses.replace(_V1282, name="1.28.3", commit="eb95171", mime_option="mime=/etc/csi-mime.types")
_V1285 = dataclasses.replace(
    _V1283,
    name="1.28.5",
    commit="7785921",
    image_tag="36f22e0-aliyun",
    debug_level_names=("debug", "info", "warn", "err", "crit"),
    globalmount_repaired=True,
)
_V1286 = dataclasses.replace(
    _V1285,
    name="1.28.6",
    commit="01f3845",
    ossfs="1.88.4",
    image_tag="4af1b0e-aliyun",
    texts=texts.RRSA_CONTAINERS,
    rrsa=True,
    secret_store=True,
    metrics_top=MetricsTop.SHARED_IF_SET,
    url_rule=UrlRule.ALIYUNCS,
    scheme_added=True,
    service_account_check=ServiceAccountCheck.DEFAULT_ONLY,
)
_V1301 = dataclasses.replace(
    _V1286,
    name="1.30.1",
    commit="98960d8",
    ossfs="1.91.2.ack.1",
    ossfs_row="1.91.2",
    ossfs_gate=False,
    ossfs_without_gate="1.88.4",
    image_tag="v1.91.2.ack.1-f804b1e-aliyun",
    image_tag_without_gate="4af1b0e-aliyun",
    metrics=Metrics.GATE,
)
_V1303 = dataclasses.replace(
    _V1301,
    name="1.30.3",
    commit="921e63a",
    ossfs="1.91.3.ack.1",
    ossfs_row="1.91.3",
    image_tag="v1.91.3.ack.1-1a5c93e-aliyun",
    fuse_types=FuseTypes.OSSFS,
    url_rule=UrlRule.ALIYUNCS_BUT_CACHE,
)

# FUSE Pods of the controller; read from 80e3504d2.
_V1304 = CsiProfile(name="1.30.4", commit="fe12624", source_public=False)
_V1311 = dataclasses.replace(
    _V1304,
    name="1.31.1",
    commit="e749bf2",
    source_public=True,
    ossfs="1.91.3.ack.3",
    image_tag="v1.91.3.ack.3-7ebc8cd-aliyun",
    texts=texts.PREFIXED,
    secret_ref=True,
    option_order=(
        *(_G.OTHER, _G.MOUNT_FLAGS, _G.ENCRYPTION, _G.READ_ONLY, _G.METRICS, _G.METRICS_TOP, _G.URL, _G.AUTH),
    ),
    mount_flags=MountFlags.USED,
)
_V1313 = dataclasses.replace(
    _V1311,
    name="1.31.3",
    commit="df937b8",
    ossfs="1.91.4.ack.1",
    ossfs_row="1.91.4",
    image_tag="v1.91.4.ack.1-fe0b3a7-aliyun",
    image_tag_without_gate="v1.88.4-80d165c-aliyun",
    illegal_characters_refused=False,
    texts=texts.URL_CHECKED,
    secret_values_trimmed=True,
    signature_version=True,
    volume_as_subpath=True,
    option_order=(
        *(_G.OTHER, _G.MOUNT_FLAGS, _G.ENCRYPTION, _G.READ_ONLY, _G.METRICS, _G.METRICS_TOP, _G.SIGNATURE),
        *(_G.URL, _G.AUTH),
    ),
    read_only=ReadOnlyRule.READER,
    metrics_top=MetricsTop.TEN_BY_DEFAULT,
    mime_option="mime=/csi/mime.types",
    mime_file_visible=True,
    configured_metadata=True,
    drain_label=True,
    proxy_timeout=35.0,
)
_V1314 = dataclasses.replace(
    _V1313,
    name="1.31.4",
    commit="9819c8b",
    url_rule=UrlRule.EXACT,
    session_name_cut=True,
    pod_in_publish_context="ossfsPod",
)
_V1321 = dataclasses.replace(
    _V1314,
    name="1.32.1",
    commit="35c87ee",
    ossfs="1.91.5.ack.1",
    ossfs_row="1.91.5",
    image_tag="v1.91.5.ack.1-ed398f6-aliyun",
    host_etc_mount="/host/etc",
)
_V1331 = dataclasses.replace(
    _V1321,
    name="1.33.1",
    commit="67e8986",
    checks=(*(Check.FUSE_TYPE, Check.LOCATION, Check.ENCRYPTION, Check.ASSUME_ROLE, Check.CREDENTIALS, Check.KEY),),
    texts=texts.MOUNTER_PRECHECK,
    options_built_by_controller=False,
    signature_code=Code.INVALID_ARGUMENT,
    rrsa_lookup_code=Code.INVALID_ARGUMENT,
    fuse_types=FuseTypes.OSSFS2,
    key_checked_with_auth_type=True,
    public=True,
    option_order=(
        *(_G.OTHER, _G.MOUNT_FLAGS, _G.URL, _G.READ_ONLY, _G.ENCRYPTION, _G.METRICS, _G.METRICS_TOP),
        *(_G.SIGNATURE, _G.AUTH),
    ),
    sts_role_may_be_missing=True,
    service_account_check=ServiceAccountCheck.NONE,
    fuse_type_in_selector=False,
    socket_flag="--socket=",
    pod_in_publish_context="fusePod",
    target_looked_up=False,
    corrupted=_CORRUPTED_30,
    stale_paths_found=True,
    node_looked_up=False,
)
_V1334 = dataclasses.replace(
    _V1331,
    name="1.33.4",
    commit="576836c",
    ossfs="1.91.7.ack.1",
    ossfs_row="1.91.7",
    image_tag="v1.91.7.ack.1-570be5f-aliyun",
    debug_level="warn",
    allow_other=True,
    listobjectsv2=True,
    ram_role_url=False,
    sts_role_may_be_missing=False,
    volume_label_hashed=True,
    corrupted=_CORRUPTED_32,
    delete_looks_up_volume=False,
    reclaim_policy_checked=True,
)
_V1341 = dataclasses.replace(
    _V1334,
    name="1.34.1",
    commit="5be8fbb",
    ossfs="1.91.8.ack.2",
    ossfs_row="1.91.8",
    image_tag="v1.91.8.ack.2-98ce9e9",
    metrics=Metrics.GATE_AS_DEFAULT,
    metrics_top=MetricsTop.IF_SET,
    stderr_in_error=True,
)
_V1351 = dataclasses.replace(
    _V1341,
    name="1.35.1",
    commit="bcc1afa",
    ossfs="1.91.9.ack.1",
    ossfs_row="1.91.9",
    image_tag="v1.91.9.ack.1-b81059f",
    publish_order=PublishOrder.CREDENTIALS_FIRST,
    checks=(*(Check.ASSUME_ROLE, Check.CREDENTIALS, Check.KEY, Check.FUSE_TYPE, Check.LOCATION, Check.ENCRYPTION),),
    texts=texts.TOKEN_ROTATION,
    secret_standard_keys=True,
    socket_missing=("failed to determine runtime type: socket path is empty in non csi-agent mode (should not occur)"),
)
_V1361 = dataclasses.replace(
    _V1351,
    name="1.36.1",
    commit="0631db0",
    ossfs="1.91.10.ack.1",
    ossfs_row="1.91.10",
    image_tag="v1.91.10.ack.1-318a02a",
    mount_poll=0.1,
    request_limit=1 << 28,
)
_V1371 = dataclasses.replace(
    _V1361,
    name="1.37.1",
    commit="de815fc",
    ossfs="1.91.11.ack.1",
    image_tag="v1.91.11.ack.1-f3157f4",
    paths_absolute=True,
    region_attribute=True,
    unserviced_mount_repaired=True,
)

PROFILES: Mapping[str, CsiProfile] = MappingProxyType(
    {
        row.name: row
        for row in (
            *(_V1243, _V12410, _V1261, _V1262, _V1264, _V1265, _V1266, _V1267, _V1268, _V12614),
            *(_V1281, _V1282, _V1283, _V1285, _V1286, _V1301, _V1303, _V1304),
            *(_V1311, _V1313, _V1314, _V1321, _V1331, _V1334, _V1341, _V1351, _V1361, _V1371),
        )
    }
)


def find(version: str) -> CsiProfile:
    """The row of a release ("1.30.4", also "v1.30.4", "1.28.1-aliyun"), or the newest row of its line that is not newer
    than it ("1.28.4" is 1.28.3). Raises UnknownCsiVersion."""
    text = version.strip().removeprefix("v").partition("-")[0]
    if text in PROFILES:
        return PROFILES[text]
    known = ", ".join(PROFILES)
    try:
        asked = _numbers(text)
    except ValueError:
        raise UnknownCsiVersion(f"{version!r} is no CSI driver version; known: {known}") from None
    older = [row for row in PROFILES if _numbers(row)[:2] == asked[:2] and _numbers(row) <= asked]
    if len(asked) != 3 or not older:
        raise UnknownCsiVersion(f"nothing is known of CSI driver {version!r}; known: {known}")
    return PROFILES[max(older, key=_numbers)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
