"""What the driver says when it refuses the attributes of a volume, word for word.

A record for each wording that there has been; `profile` says which release has which. "{path}", "{url}", "{fuse_type}",
"{role_arn}", "{provider_arn}" and "{error}" are filled in. "" where a release makes no such check. Values only; any
thread. Source: checkOssOptions and checkRRSAParams of pkg/oss, PrecheckAuthConfig of pkg/mounter, by release.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = [
    "EARLY_CONTAINERS",
    "FIRST_CONTAINERS",
    "MOUNTER_PRECHECK",
    "NODE_RUN",
    "PREFIXED",
    "PROXY",
    "RRSA_CONTAINERS",
    "TOKEN_ROTATION",
    "URL_CHECKED",
    "OptionTexts",
]


@dataclass(frozen=True, slots=True)
class OptionTexts:
    """key_missing: nothing to sign with; sts_role_missing: authType sts on a node without RAM role; rrsa_lookup:
    account or cluster id unknown."""

    url_or_bucket_empty: str
    path_relative: str
    key_missing: str
    other_options_start: str = ""
    encrypted: str = ""
    fuse_type: str = ""
    arns_incomplete: str = ""
    role_name_missing: str = ""
    rrsa_lookup: str = ""
    secret_provider_class_missing: str = ""
    sts_role_missing: str = ""
    assume_role_needs_rrsa: str = ""
    key_and_secret_ref: str = ""
    token_and_secret_ref: str = ""
    secret_ref_reserved: str = ""
    bucket_in_url: str = ""
    signature_needs_region: str = ""


_CHECK = "Check oss input error: "
_LOOKUP = "Get RoleArn and OidcProviderArn for RRSA error: {error}"
_ARNS_GLUED = "use RRSA but one of the ARNs is empty, roleArn:{role_arn}, oidcProviderArn:{provider_arn}"
_ARNS = "use RRSA but one of the ARNs is empty, roleArn: {role_arn}, oidcProviderArn: {provider_arn}"

NODE_RUN = OptionTexts(
    url_or_bucket_empty=_CHECK + "Oss Parametes error: Url/Bucket empty ",
    path_relative=_CHECK + "Oss path error: start with {path}, should start with / ",
    key_missing=_CHECK + "Oss Parametes error: AK and authType are both empty ",
    other_options_start=_CHECK + "Oss OtherOpts error: start with -o ",
)
FIRST_CONTAINERS = dataclasses.replace(NODE_RUN, other_options_start="", fuse_type='unknown fuseType: "{fuse_type}"')
EARLY_CONTAINERS = dataclasses.replace(
    FIRST_CONTAINERS,
    key_missing=_CHECK + "Oss Parametes error: AK and authType are both empty or invalid ",
    encrypted=_CHECK + "Oss Encrypted error: invalid SSE encryted type ",
)
RRSA_CONTAINERS = dataclasses.replace(
    EARLY_CONTAINERS,
    url_or_bucket_empty=_CHECK + "Oss parameters error: Url/Bucket empty",
    path_relative=_CHECK + "Oss path error: start with {path}, should start with /",
    key_missing=_CHECK + "Oss parameters error: AK and authType are both empty or invalid",
    encrypted=_CHECK + "Oss encrypted error: invalid SSE encryted type",
    arns_incomplete=_CHECK + "Oss parameters error: " + _ARNS_GLUED,
    role_name_missing=_CHECK + "Oss parameters error: use RRSA but roleName is empty",
    rrsa_lookup=_LOOKUP,
    secret_provider_class_missing=_CHECK + "Oss parameters error: use CsiSecretStore but secretProviderClass is empty",
)
PROXY = OptionTexts(
    url_or_bucket_empty="Oss parameters error: Url/Bucket empty",
    path_relative="Oss path error: start with {path}, should start with /",
    key_missing="missing access key in node publish secret",
    encrypted="Oss encrypted error: invalid SSE encrypted type",
    fuse_type="only ossfs fuse type supported",
    arns_incomplete="Oss parameters error: " + _ARNS_GLUED,
    role_name_missing="Oss parameters error: use RRSA but roleName is empty",
    rrsa_lookup=_LOOKUP,
    secret_provider_class_missing="Oss parameters error: use CsiSecretStore but secretProviderClass is empty",
    sts_role_missing="missing roleName or ramRole in volume attributes",
    assume_role_needs_rrsa="Oss parameters error: only support access OSS through STS AssumeRole when authType is RRSA",
)
PREFIXED = dataclasses.replace(
    PROXY,
    url_or_bucket_empty="OSS parameters error: Url/Bucket empty",
    path_relative="OSS path error: start with {path}, should start with /",
    encrypted="OSS encrypted error: invalid SSE encrypted type",
    fuse_type="OSS parameters error: only ossfs fuse type supported",
    arns_incomplete="OSS authorization error: " + _ARNS,
    role_name_missing="OSS authorization error: use RRSA but roleName is empty",
    secret_provider_class_missing="OSS authorization error: use CsiSecretStore but secretProviderClass is empty",
    assume_role_needs_rrsa=(
        "OSS authorization error: only support access OSS through STS AssumeRole when authType is RRSA"
    ),
    key_and_secret_ref="OSS authorization error: AK and secretRef cannot be set at the same time",
    secret_ref_reserved="OSS parameters error: invalid SecretRef name",
)
URL_CHECKED = dataclasses.replace(
    PREFIXED,
    bucket_in_url="OSS url error: url is invalid, {url} is a bucket domain name, please use endpoint instead",
    signature_needs_region="SigV4 is not supported without region",
)
_OSSFS = "OSS authorization error: ossfs: "
MOUNTER_PRECHECK = dataclasses.replace(
    URL_CHECKED,
    fuse_type="OSS parameters error: Unsupported fuseType {fuse_type}",
    arns_incomplete=_OSSFS + _ARNS,
    role_name_missing=_OSSFS + "use RRSA but roleName is empty",
    rrsa_lookup=_OSSFS + _LOOKUP,
    secret_provider_class_missing=_OSSFS + "use CsiSecretStore but secretProviderClass is empty",
    sts_role_missing=_OSSFS + "missing roleName or ramRole in volume attributes",
    assume_role_needs_rrsa=_OSSFS + "only support access OSS through STS AssumeRole when authType is RRSA",
    key_missing=_OSSFS + "missing access key in node publish secret",
    key_and_secret_ref=_OSSFS + "AK and secretRef cannot be set at the same time",
    secret_ref_reserved=_OSSFS + "invalid SecretRef name",
)
TOKEN_ROTATION = dataclasses.replace(
    MOUNTER_PRECHECK, token_and_secret_ref=_OSSFS + "token and secretRef cannot be set at the same time"
)
