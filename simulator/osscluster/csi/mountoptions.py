"""ossfs's options for a volume, as the driver puts them together.

Pure; any thread. Source: NodePublishVolume and doMount (to 1.30.3), MakeMountOptionsAndAuthConfig and
AddDefaultMountOptions (from 1.30.4) of the driver; checkOssfsCmd of csiplugin-connector.go for node-run releases.
"""

from __future__ import annotations

from collections.abc import Sequence

from osscluster.csi.configmap import FuseConfig
from osscluster.csi.options import METADATA_ROLE_URL, Options, Surroundings
from osscluster.csi.profile import CsiProfile, Metrics, MetricsTop, MountFlags, OptionGroup
from osscluster.csi.rpc import CsiError
from osscluster.network import endpoint_of

__all__ = ["connector_refusal", "host_command", "mount_options", "tokens", "with_defaults"]

_PLAIN_SWITCHES = ("-s", "-d", "--debug")


def tokens(other: str, profile: CsiProfile) -> list[str]:
    """otherOpts as options: what follows "-o" or is glued to it, split at commas. Raises CsiError for any other token
    (source: parseOtherOpts)."""
    found: list[str] = []
    wanted = False
    for word in other.split():
        if wanted or (word.startswith("-o") and word != "-o"):
            found += (word if wanted else word.removeprefix("-o")).split(",")
            wanted = False
        elif word == "-o":
            wanted = True
        else:
            text = f'invalid otherOpts: "{_quoted(other)}"'
            refused = CsiError(profile.fuse_type_code, text)
            raise CsiError(profile.fuse_type_code, str(refused)) if profile.other_options_refusal_wrapped else refused
    return found


def mount_options(
    options: Options, url: str, profile: CsiProfile, surroundings: Surroundings, mount_flags: Sequence[str] = ()
) -> list[str]:
    """The options in the release's order, without its defaults. url: as the driver has rewritten it; mount_flags:
    PV.spec.mountOptions. Raises CsiError for otherOpts and for V4 without region."""
    pieces = {
        OptionGroup.OTHER: tokens(options.other_options, profile),
        OptionGroup.MOUNT_FLAGS: list(mount_flags) if profile.mount_flags is MountFlags.USED else [],
        OptionGroup.AUTH: _credentials(options, profile, surroundings),
        OptionGroup.ENCRYPTION: _encryption(options),
        OptionGroup.READ_ONLY: ["ro"] if options.read_only else [],
        OptionGroup.METRICS: ["use_metrics"] if _metrics(options, profile, surroundings) else [],
        OptionGroup.METRICS_TOP: _metrics_top(options, profile),
        OptionGroup.SIGNATURE: _signature(options, url, profile, surroundings),
        OptionGroup.URL: [f"url={url}"],
    }
    return [option for group in profile.option_order for option in pieces[group]]


def with_defaults(
    given: Sequence[str], profile: CsiProfile, surroundings: Surroundings, config: FuseConfig
) -> list[str]:
    """The options with what the release adds unless it is there: dbglevel, allow_other, use_metrics, mime,
    listobjectsv2. Raises CsiError for a dbglevel of the ConfigMap that 1.26.6 to 1.30.3 stumble over."""
    options = list(given)
    names = {option.partition("=")[0] for option in given}
    mime = []
    if profile.mime_option and not surroundings.host_mime_types and config.wants_mime_types:
        mime = [profile.mime_option]
    level = config.debug_level or profile.debug_level
    levels = [f"dbglevel={level}"] if level and not any("dbglevel" in option for option in given) else []
    if profile.debug_level_refused:
        # buildPodSpec puts the mime option in front.
        return [*options, *mime, *levels]
    options += levels
    if profile.allow_other and "allow_other" not in names:
        options.append("allow_other")
    wanted = profile.metrics is Metrics.GATE_AS_DEFAULT and surroundings.updated_ossfs
    if wanted and "use_metrics" not in names and config.metrics_mode != "disabled":
        options.append("use_metrics")
    if not (profile.listobjectsv2 and "mime" in names):
        options += mime
    if profile.listobjectsv2 and "listobjectsv2" not in names:
        options.append("listobjectsv2")
    return options


def host_command(options: Options, url: str, target: str, role: str) -> str:
    """What a node-run release has the connector execute. role: of the node, for authType sts."""
    credentials = f"-oram_role={METADATA_ROLE_URL}{role}" if options.auth_type == "sts" else ""
    return (
        f"systemd-run --scope -- /usr/local/bin/ossfs {options.bucket}:{options.path} {target} "
        f"-ourl={url} {options.other_options} {credentials}"
    )


def connector_refusal(command: str, *, mountpoint_exists: bool) -> str:
    """Why the connector does not execute a command, "" when it does (source: checkOssfsCmd)."""
    words = command.removeprefix("systemd-run --scope -- /usr/local/bin/ossfs").split()
    if len(words) < 3:
        return f"Oss Options: parameters less than 3: {command}"
    if not mountpoint_exists:
        return f"Oss Options: mountpoint not exist {words[1]}"
    if not words[2].startswith("-ourl="):
        return f"Oss Options: url should start with -ourl: {words[2]}"
    wanted = False
    for word in words[3:]:
        if word in _PLAIN_SWITCHES or (word.startswith("-o") and word != "-o"):
            if wanted:
                return f"Oss Options: no expect string follow -o {word}"
        elif word == "-o":
            if wanted:
                return "Oss Options: inputs must -o string, 2 -o now "
            wanted = True
        elif wanted:
            wanted = False
        else:
            return "Oss Options: inputs must -o string, 2 string now "
    return ""


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _credentials(options: Options, profile: CsiProfile, surroundings: Surroundings) -> list[str]:
    if options.auth_type == "sts":
        role = options.role_name if profile.ram_role_alias else METADATA_ROLE_URL + surroundings.role
        return [f"ram_role={role}"]
    if options.auth_type == "rrsa" and profile.rrsa:
        region = surroundings.region
        found = [f"rrsa_endpoint=https://{f'sts-vpc.{region}' if region else 'sts'}.aliyuncs.com"]
        if options.assume_role_arn:
            found.append(f"assume_role_arn={options.assume_role_arn}")
            if options.external_id:
                found.append(f"assume_role_external_id={options.external_id}")
        return found
    if options.auth_type == "public" and profile.public:
        return ["public_bucket=1"]
    return []


def _encryption(options: Options) -> list[str]:
    if options.encrypted == "aes256":
        return ["use_sse"]
    if options.encrypted == "kms":
        return [f"use_sse=kmsid:{options.kms_key_id}" if options.kms_key_id else "use_sse=kmsid"]
    return []


def _metrics(options: Options, profile: CsiProfile, surroundings: Surroundings) -> bool:
    if profile.metrics is Metrics.GATE:
        return surroundings.updated_ossfs
    return profile.metrics is Metrics.GATE_AS_DEFAULT and bool(options.metrics_top)


def _metrics_top(options: Options, profile: CsiProfile) -> list[str]:
    given = options.metrics_top
    value = {
        MetricsTop.NEVER: "",
        MetricsTop.SHARED_IF_SET: given if options.shared else "",
        MetricsTop.TEN_IF_SET: "10" if given else "",
        MetricsTop.TEN_BY_DEFAULT: given or "10",
        MetricsTop.IF_SET: given,
    }[profile.metrics_top]
    return [f"metrics_top={value}"] if value else []


def _signature(options: Options, url: str, profile: CsiProfile, surroundings: Surroundings) -> list[str]:
    if options.signature_version == "v1":
        return ["sigv1"]
    if options.signature_version != "v4" and not options.region:
        return []
    region = surroundings.region
    if profile.region_attribute:
        endpoint = endpoint_of(url)
        region = options.region or (endpoint.region if endpoint else "") or region
    if not region:
        raise CsiError(profile.signature_code, profile.texts.signature_needs_region)
    return ["sigv4", f"region={region}"]
