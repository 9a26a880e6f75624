"""A volume's attributes, its Secret and the request as `Options`, and what the driver refuses in them.

Pure; any thread. Source: NodePublishVolume (to 1.30.3), parseOptions and checkOssOptions (from 1.30.4) of pkg/oss,
PrecheckAuthConfig of pkg/mounter (from 1.33.1).
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from osscluster.csi.endpoint import bucket_domain
from osscluster.csi.profile import Check, CsiProfile, FuseTypes, ReadOnlyRule, SharedPath
from osscluster.csi.rpc import AccessMode, Code, CsiError, VolumeCapability
from osscluster.errors import NotModelled

__all__ = [
    "CREDENTIAL_SECRET",
    "METADATA_ROLE_URL",
    "Options",
    "Surroundings",
    "check",
    "completed",
    "parse",
    "parse_bool",
    "refuse_unmodelled",
    "with_subpath",
]

CREDENTIAL_SECRET = "csi-ossfs-credentials"
METADATA_ROLE_URL = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"

_WRITERS = frozenset(
    (AccessMode.SINGLE_NODE_WRITER, AccessMode.MULTI_NODE_SINGLE_WRITER, AccessMode.MULTI_NODE_MULTI_WRITER)
)
_READERS = frozenset((AccessMode.MULTI_NODE_READER_ONLY, AccessMode.SINGLE_NODE_READER_ONLY))
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the driver learns from where it runs. region: RegionId of the node, "" where the metadata service is silent;
    role: RAM role of the node; account, cluster: ids, "" where unknown; key: ACCESS_KEY_ID and ACCESS_KEY_SECRET of its
    environment; host_mime_types: whether the node has /etc/mime.types; updated_ossfs: the gate UpdatedOssfsVersion."""

    region: str = ""
    role: str = ""
    account: str = ""
    cluster: str = ""
    key: tuple[str, str] = ("", "")
    host_mime_types: bool = False
    updated_ossfs: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What a volume asks for. Texts are "" where nothing was given. url: as written; shared: whether Pods of a node
    share one ossfs; token, expiration: of temporary keys in the Secret."""

    bucket: str = ""
    url: str = ""
    path: str = "/"
    other_options: str = ""
    key_id: str = ""
    key_secret: str = ""
    token: str = ""
    expiration: str = ""
    auth_type: str = ""
    role_name: str = ""
    role_arn: str = ""
    oidc_provider_arn: str = ""
    service_account: str = ""
    secret_provider_class: str = ""
    assume_role_arn: str = ""
    external_id: str = ""
    secret_ref: str = ""
    encrypted: str = ""
    kms_key_id: str = ""
    fuse_type: str = "ossfs"
    metrics_top: str = ""
    signature_version: str = ""
    region: str = ""
    cnfs: str = ""
    shared: bool = False
    read_only: bool = False
    direct: bool = False
    volume_as_subpath: bool = False

    @property
    def uses_key(self) -> bool:
        """Whether an access key is what it signs with."""
        return self.auth_type not in ("sts", "rrsa", "csi-secret-store", "public") and not self.secret_ref


def parse(
    attributes: Mapping[str, str],
    secrets: Mapping[str, str],
    profile: CsiProfile,
    *,
    capability: VolumeCapability | None = None,
    readonly: bool = False,
) -> Options:
    """attributes: volumeAttributes, or parameters of a StorageClass. Unknown keys are ignored, keys are looked up in
    lower case."""
    given: dict[str, str] = {}
    for key, value in attributes.items():
        name = _ALIASES.get(key.strip().lower(), key.strip().lower())
        if value.strip() and _known(name, key.strip().lower(), profile):
            given[name] = value.strip()
    texts = {field: given[key] for key, field in _TEXTS.items() if key in given}
    for key, field in _LOWERED.items():
        if key in given:
            texts[field] = given[key].lower()
    if given.get("sigversion") in ("v1", "v4"):
        texts["signature_version"] = given["sigversion"]
    options = Options(
        **texts,
        shared=_shared(given.get("usesharedpath", ""), profile.shared_path),
        read_only=_read_only(profile.read_only, capability, readonly),
        direct=parse_bool(given.get("direct", "")) or False,
        volume_as_subpath=given.get("volumeas") == "subpath",
    )
    options = _with_secret(options, secrets, profile)
    if profile.fuse_types is FuseTypes.OSSFS2 and "fusetype" not in given and capability and capability.fs_type:
        options = dataclasses.replace(options, fuse_type=capability.fs_type)
    return options


def completed(options: Options, profile: CsiProfile, surroundings: Surroundings) -> Options:
    """With what the node has where the volume says nothing: the access key of the driver's environment, the node's RAM
    role for authType sts."""
    lacks_key = not (options.key_id and options.key_secret) and not options.secret_ref and not options.token
    if lacks_key and (not options.auth_type or not profile.keys_separate):
        options = dataclasses.replace(options, key_id=surroundings.key[0], key_secret=surroundings.key[1])
    if options.auth_type == "sts" and profile.ram_role_alias and not options.role_name:
        role = surroundings.role
        if profile.ram_role_url and (role or profile.sts_role_may_be_missing):
            role = METADATA_ROLE_URL + role
        options = dataclasses.replace(options, role_name=role)
    return options


def with_subpath(options: Options, name: str) -> Options:
    """volumeAs=subpath: a directory of the volume's name below the path (CreateVolume)."""
    return dataclasses.replace(options, path=posixpath.normpath(posixpath.join(options.path, name)))


def parse_bool(text: str) -> bool | None:
    """Go's strconv.ParseBool; None for what it does not take."""
    return True if text in _TRUE else False if text in _FALSE else None


def check(options: Options, profile: CsiProfile, checks: tuple[Check, ...], *, on_node: bool = True) -> None:
    """Raises CsiError with the text of the release for the first thing that it refuses. checks: which, in order;
    on_node: whether a missing key counts (the controller has no Secret)."""
    for one in checks:
        match one:
            case Check.FUSE_TYPE:
                _check_fuse_type(options, profile)
            case Check.LOCATION:
                _check_location(options, profile)
            case Check.CREDENTIALS:
                _check_credentials(options, profile)
            case Check.KEY:
                if on_node:
                    _check_key(options, profile)
            case Check.ENCRYPTION:
                if profile.encryption and options.encrypted not in ("", "kms", "aes256"):
                    raise CsiError(profile.option_code, profile.texts.encrypted)
            case Check.ASSUME_ROLE:
                if options.assume_role_arn and options.auth_type != "rrsa":
                    raise CsiError(profile.option_code, profile.texts.assume_role_needs_rrsa)
            case Check.OTHER_OPTIONS:
                if options.other_options and not options.other_options.startswith("-o "):
                    raise CsiError(profile.option_code, profile.texts.other_options_start)


def refuse_unmodelled(options: Options, profile: CsiProfile) -> None:
    """Raises NotModelled for what the driver would go on with and the simulation can't."""
    if options.direct:
        raise NotModelled(
            "volume attribute direct=true (a mount inside a rund or kata guest) is not modelled; leave it out"
        )
    if options.fuse_type not in ("ossfs", "") and profile.fuse_types is not FuseTypes.ANY:
        raise NotModelled(f"fuseType {options.fuse_type} is not modelled; use ossfs")
    if options.fuse_type == "jindofs":
        raise NotModelled("fuseType jindofs is not modelled; use ossfs")
    if options.auth_type == "csi-secret-store" and profile.secret_store:
        raise NotModelled("authType csi-secret-store needs a secrets store driver, which is not modelled; use a Secret")
    if options.secret_ref or options.token:
        raise NotModelled(
            "temporary keys in a Secret (secretRef, SecurityToken) are not modelled: how ossfs's builds read them is "
            "not published; use akId and akSecret, or authType rrsa"
        )
    if options.assume_role_arn:
        raise NotModelled("assumeRoleArn is not modelled; give the RRSA role the rights itself")


_ALIASES = {"ramrole": "rolename"}
_TEXTS = {
    "bucket": "bucket",
    "url": "url",
    "path": "path",
    "otheropts": "other_options",
    "akid": "key_id",
    "aksecret": "key_secret",
    "rolename": "role_name",
    "rolearn": "role_arn",
    "oidcproviderarn": "oidc_provider_arn",
    "serviceaccountname": "service_account",
    "secretproviderclass": "secret_provider_class",
    "assumerolearn": "assume_role_arn",
    "externalid": "external_id",
    "secretref": "secret_ref",
    "kmskeyid": "kms_key_id",
    "region": "region",
    "containernetworkfilesystem": "cnfs",
}
_LOWERED = {"authtype": "auth_type", "fusetype": "fuse_type", "metricstop": "metrics_top", "encrypted": "encrypted"}
_RRSA_KEYS = frozenset(("rolename", "rolearn", "oidcproviderarn", "serviceaccountname"))


def _known(name: str, written: str, profile: CsiProfile) -> bool:
    if written == "ramrole" or name in ("assumerolearn", "externalid"):
        return profile.ram_role_alias
    if name in _RRSA_KEYS:
        return profile.rrsa
    switches = {
        "secretproviderclass": profile.secret_store,
        "secretref": profile.secret_ref,
        "encrypted": profile.encryption,
        "kmskeyid": profile.encryption,
        "sigversion": profile.signature_version,
        "region": profile.region_attribute,
        "volumeas": profile.volume_as_subpath,
    }
    return switches.get(name, True)


def _shared(text: str, rule: SharedPath) -> bool:
    if rule is SharedPath.ONLY_IF_TRUE:
        return text in ("true", "True", "1")
    if rule is SharedPath.UNLESS_FALSE:
        return parse_bool(text) is not False
    return True


def _read_only(rule: ReadOnlyRule, capability: VolumeCapability | None, readonly: bool) -> bool:
    if rule is ReadOnlyRule.NEVER:
        return False
    if readonly or capability is None:
        return readonly
    mode = capability.access_mode
    return mode not in _WRITERS if rule is ReadOnlyRule.NOT_WRITER else mode in _READERS


def _with_secret(options: Options, secrets: Mapping[str, str], profile: CsiProfile) -> Options:
    key_id, key_secret = secrets.get("akId", ""), secrets.get("akSecret", "")
    if profile.secret_values_trimmed:
        key_id, key_secret = key_id.strip(), key_secret.strip()
    token = expiration = ""
    if profile.secret_standard_keys:
        if not (key_id or key_secret):
            key_id, key_secret, token, expiration = _standard_keys(secrets)
        elif not (key_id and key_secret):
            key_id = key_secret = ""
    if profile.keys_separate:
        key_id, key_secret = options.key_id or key_id, options.key_secret or key_secret
    elif options.key_id and options.key_secret:
        key_id, key_secret = options.key_id, options.key_secret
    else:
        # What the Secret has replaces what the PV has.
        key_id = key_id if "akId" in secrets else options.key_id
        key_secret = key_secret if "akSecret" in secrets else options.key_secret
    return dataclasses.replace(options, key_id=key_id, key_secret=key_secret, token=token, expiration=expiration)


def _standard_keys(secrets: Mapping[str, str]) -> tuple[str, str, str, str]:
    found = {key.strip().lower(): value.strip() for key, value in secrets.items()}
    key_id, key_secret = found.get("accesskeyid", ""), found.get("accesskeysecret", "")
    if not (key_id and key_secret):
        return "", "", "", ""
    return key_id, key_secret, found.get("securitytoken", ""), found.get("expiration", "")


def _check_fuse_type(options: Options, profile: CsiProfile) -> None:
    known = {
        FuseTypes.ANY: None,
        FuseTypes.JINDO: ("", "ossfs", "jindofs"),
        FuseTypes.OSSFS: ("", "ossfs") if profile.fuse_type_code is Code.UNKNOWN else ("ossfs",),
        FuseTypes.OSSFS2: ("ossfs", "ossfs2"),
    }[profile.fuse_types]
    if known is not None and options.fuse_type not in known:
        raise CsiError(profile.fuse_type_code, profile.texts.fuse_type.format(fuse_type=options.fuse_type))


def _check_location(options: Options, profile: CsiProfile) -> None:
    said = profile.texts
    if not options.url or not options.bucket:
        raise CsiError(profile.option_code, said.url_or_bucket_empty)
    if said.bucket_in_url and bucket_domain(options.url, options.bucket):
        raise CsiError(profile.option_code, said.bucket_in_url.format(url=options.url))
    if not options.path.startswith("/"):
        raise CsiError(profile.option_code, said.path_relative.format(path=options.path))


def _check_credentials(options: Options, profile: CsiProfile) -> None:
    said, code = profile.texts, profile.option_code
    if options.auth_type == "rrsa" and profile.rrsa:
        if options.role_arn and options.oidc_provider_arn:
            return
        if options.role_arn or options.oidc_provider_arn:
            arns = {"role_arn": options.role_arn, "provider_arn": options.oidc_provider_arn}
            raise CsiError(code, said.arns_incomplete.format(**arns))
        if not options.role_name:
            raise CsiError(code, said.role_name_missing)
    elif options.auth_type == "csi-secret-store" and profile.secret_store:
        if not options.secret_provider_class:
            raise CsiError(code, said.secret_provider_class_missing)
    elif options.auth_type == "sts" or (options.auth_type == "public" and profile.public):
        return
    elif options.secret_ref or options.token:
        if options.secret_ref and options.token and said.token_and_secret_ref:
            raise CsiError(code, said.token_and_secret_ref)
        if options.secret_ref and (options.key_id or options.key_secret):
            raise CsiError(code, said.key_and_secret_ref)
        if options.secret_ref == CREDENTIAL_SECRET:
            raise CsiError(code, said.secret_ref_reserved)


def _check_key(options: Options, profile: CsiProfile) -> None:
    if options.auth_type == "sts":
        missing = not options.role_name and not profile.sts_role_may_be_missing
        if missing and profile.texts.sts_role_missing:
            raise CsiError(profile.option_code, profile.texts.sts_role_missing)
        return
    signs_otherwise = {"rrsa": profile.rrsa, "csi-secret-store": profile.secret_store, "public": profile.public}
    if signs_otherwise.get(options.auth_type, False) or options.secret_ref or options.token:
        return
    if options.key_id and options.key_secret:
        return
    if not options.auth_type or profile.key_checked_with_auth_type:
        raise CsiError(profile.option_code, profile.texts.key_missing)
