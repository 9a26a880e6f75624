"""CSI over a real socket: protobuf's bytes, and what csi-sanity expects of a driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osscluster.csi import wire
from osscluster.csi.grpcserver import CsiServer
from osscluster.csi.wallclock import Clockwork

grpc = pytest.importorskip("grpc", reason="the CSI socket needs grpcio: pip install 'ossvol[csi]'")

ATTRIBUTES = {"bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com"}
SECRETS = {"akId": "AK", "akSecret": "SK"}
TARGET = "/var/lib/kubelet/sanity/mount/target"
STAGING = "/var/lib/kubelet/sanity/stage"
SIX_DEVIATIONS = (
    "same name, other capacity",
    "validate without such a volume",
    "validate",
    "publish of an unknown volume",
    "publish at an unknown node",
    "incompatible publish",
)


class Client:
    """A caller on the other side of the socket."""

    def __init__(self, path: str) -> None:
        self.channel = grpc.insecure_channel(f"unix:{path}")
        self.services = {method: service for service, method in wire.methods()}

    def call(self, method: str, **fields: Any) -> Any:
        call = self.channel.unary_unary(
            f"/csi.v1.{self.services[method]}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=wire.message(f"{method}Response").FromString,
        )
        return call(wire.message(f"{method}Request")(**fields), timeout=20)

    def refused(self, method: str, **fields: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, **fields)
        return caught.value.code().name, caught.value.details()


def capability(mode: int = 1) -> Any:
    whole = wire.message("VolumeCapability")
    return whole(
        mount=wire.message("VolumeCapability.MountVolume")(),
        access_mode=wire.message("VolumeCapability.AccessMode")(mode=mode),
    )


def capacity(size: int) -> Any:
    return wire.message("CapacityRange")(required_bytes=size)


@pytest.fixture
def client(lab: Any, tmp_path: Path) -> Iterator[Any]:
    opened: list[Any] = []

    def connect(version: str = "1.30.4", *, strict: bool = False) -> Client:
        one = lab(version)
        path = str(tmp_path / "csi.sock")
        clockwork = Clockwork(one.timeline)
        server = CsiServer(
            f"unix:{path}",
            profile=one.driver.profile,
            controller=one.driver.controller,
            node=one.node,
            node_id="node-1",
            clockwork=clockwork,
            strict=strict,
        )
        made = Client(path)
        opened.extend((made.channel, server, clockwork))
        return made

    yield connect
    for one in opened:
        one.close()


# --- the wire ---


def test_messages_are_the_bytes_of_the_published_protocol() -> None:
    request = wire.message("NodePublishVolumeRequest")(
        volume_id="v", target_path="/t", volume_capability=capability(5), readonly=True
    )
    # Field 1 "v"; field 4 "/t"; field 5 {mount (2): {}, access_mode (3): {mode (1): 5}}; field 6 true.
    assert request.SerializeToString() == b'\n\x01v"\x02/t*\x06\x12\x00\x1a\x02\x08\x050\x01'
    pair = wire.message("CreateVolumeRequest")(name="n", parameters={"a": "b"}, capacity_range=capacity(1 << 30))
    assert pair.SerializeToString(deterministic=True) == (
        b'\n\x01n\x12\x06\x08\x80\x80\x80\x80\x04"\x06\n\x01a\x12\x01b'
    )
    answer = wire.message("ProbeResponse").FromString(b"\n\x02\x08\x01")
    assert answer.ready.value is True


def test_a_oneof_holds_one_of_its_fields() -> None:
    block = wire.message("VolumeCapability")(block=wire.message("VolumeCapability.BlockVolume")())
    assert block.HasField("block")
    block.mount.fs_type = "ossfs"
    assert (block.HasField("block"), block.WhichOneof("access_type")) == (False, "mount")


def test_unknown_fields_of_newer_clients_are_no_error() -> None:
    assert wire.message("ProbeRequest").FromString(b"\xba>\x01x") is not None


# --- csi-sanity's expectations ---


def test_the_plugin_introduces_itself(client: Any) -> None:
    one = client()
    info = one.call("GetPluginInfo")
    assert (info.name, info.vendor_version) == ("ossplugin.csi.alibabacloud.com", "v1.30.4")
    assert len(info.name) <= 63
    (service,) = one.call("GetPluginCapabilities").capabilities
    assert service.service.type == 1
    assert not one.call("Probe").HasField("ready")
    assert one.call("NodeGetInfo").node_id == "node-1"


@pytest.mark.parametrize(
    ("version", "controller", "node"), [("1.26.5", [1], []), ("1.28.6", [1], [1]), ("1.30.4", [1, 2, 8], [1])]
)
def test_capabilities_are_those_of_the_release(
    client: Any, version: str, controller: list[int], node: list[int]
) -> None:
    one = client(version)
    assert [c.rpc.type for c in one.call("ControllerGetCapabilities").capabilities] == controller
    assert [c.rpc.type for c in one.call("NodeGetCapabilities").capabilities] == node


@pytest.mark.parametrize(
    ("method", "fields", "said"),
    [
        ("CreateVolume", {}, "Name is required"),
        ("CreateVolume", {"name": "n"}, "VolumeCapabilities is required"),
        ("DeleteVolume", {}, "VolumeId is required"),
        ("ControllerPublishVolume", {}, "VolumeId is required"),
        ("ControllerPublishVolume", {"volume_id": "v"}, "NodeId is required"),
        ("ControllerPublishVolume", {"volume_id": "v", "node_id": "n"}, "VolumeCapability is required"),
        ("ControllerUnpublishVolume", {}, "VolumeId is required"),
        ("ValidateVolumeCapabilities", {}, "VolumeId is required"),
        ("ValidateVolumeCapabilities", {"volume_id": "v"}, "VolumeCapabilities is required"),
        ("NodeStageVolume", {}, "VolumeId is required"),
        ("NodeStageVolume", {"volume_id": "v"}, "VolumeCapability is required"),
        ("NodeStageVolume", {"volume_id": "v", "volume_capability": True}, "StagingTargetPath is required"),
        ("NodeUnstageVolume", {}, "VolumeId is required"),
        ("NodeUnstageVolume", {"volume_id": "v"}, "StagingTargetPath is required"),
        ("NodePublishVolume", {}, "VolumeId is required"),
        ("NodePublishVolume", {"volume_id": "v"}, "VolumeCapability is required"),
        ("NodePublishVolume", {"volume_id": "v", "volume_capability": True}, "TargetPath is required"),
        ("NodeUnpublishVolume", {}, "VolumeId is required"),
        ("NodeUnpublishVolume", {"volume_id": "v"}, "TargetPath is required"),
        ("NodeGetVolumeStats", {}, "VolumeId is required"),
        ("NodeExpandVolume", {"volume_id": "v"}, "VolumePath is required"),
    ],
)
def test_what_is_missing_in_a_request_is_an_invalid_argument(
    client: Any, method: str, fields: dict[str, Any], said: str
) -> None:
    given = {name: capability() if value is True else value for name, value in fields.items()}
    assert client().refused(method, **given) == ("INVALID_ARGUMENT", said)


def test_creating_a_volume_again_is_no_error(client: Any) -> None:
    one = client()
    for _ in range(10):
        made = one.call(
            "CreateVolume", name="n", volume_capabilities=[capability()], capacity_range=capacity(1 << 30)
        ).volume
        assert (made.volume_id, made.capacity_bytes, dict(made.volume_context)) == ("n", 1 << 30, {"path": "/"})
    longest = "x" * 128
    assert one.call("CreateVolume", name=longest, volume_capabilities=[capability()]).volume.volume_id == longest


@pytest.mark.parametrize("version", ["1.26.5", "1.28.6", "1.30.4", "1.37.1"])
def test_a_volume_goes_through_its_life_ten_times_over(client: Any, version: str) -> None:
    one = client(version)
    made = one.call("CreateVolume", name="n", volume_capabilities=[capability()], parameters=ATTRIBUTES).volume
    context = {"volume_id": "n", "volume_capability": capability(), "volume_context": dict(made.volume_context)}
    node = one.call("NodeGetInfo").node_id
    published: dict[str, str] = {}
    for _ in range(10):
        if version >= "1.30.4":
            published = dict(one.call("ControllerPublishVolume", node_id=node, **context).publish_context)
        one.call("NodeStageVolume", staging_target_path=STAGING, publish_context=published, **context)
        one.call(
            "NodePublishVolume",
            staging_target_path=STAGING,
            target_path=TARGET,
            publish_context=published,
            secrets=SECRETS,
            **context,
        )
    for _ in range(10 if version != "1.26.5" else 1):  # 1.26.5: a second one misses the directory
        one.call("NodeUnpublishVolume", volume_id="n", target_path=TARGET)
    for _ in range(10):
        one.call("NodeUnstageVolume", volume_id="n", staging_target_path=STAGING)
        one.call("ControllerUnpublishVolume", volume_id="n", node_id=node)


def test_what_no_release_can_is_unimplemented(client: Any) -> None:
    one = client()
    for method in ("ListVolumes", "GetCapacity", "CreateSnapshot", "ListSnapshots", "ControllerGetVolume"):
        assert one.refused(method)[0] == "UNIMPLEMENTED"
    assert one.refused("NodeGetVolumeStats", volume_id="v", volume_path="/p")[0] == "UNIMPLEMENTED"
    one.call("ControllerExpandVolume", volume_id="v", capacity_range=capacity(1))


def test_what_is_not_modelled_is_told_to_the_caller(client: Any) -> None:
    code, said = client().refused(
        "ControllerPublishVolume",
        volume_id="v",
        node_id="node-1",
        volume_capability=capability(),
        volume_context={**ATTRIBUTES, "direct": "true"},
    )
    assert code == "UNIMPLEMENTED"
    assert said.startswith("ossvol: volume attribute direct=true")


def deviations(one: Client) -> dict[str, str]:
    """What the six cases of csi-sanity answer in which the real driver does not conform: a code, or "ok"."""

    def outcome(method: str, **fields: Any) -> str:
        try:
            one.call(method, **fields)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "ok"

    both = {"volume_capabilities": [capability()]}
    one.call("CreateVolume", name="n", parameters=ATTRIBUTES, capacity_range=capacity(1), **both)
    publish = {"volume_context": ATTRIBUTES, "volume_capability": capability()}
    found = {
        "same name, other capacity": outcome("CreateVolume", name="n", capacity_range=capacity(2), **both),
        "validate without such a volume": outcome("ValidateVolumeCapabilities", volume_id="other", **both),
        "validate": outcome("ValidateVolumeCapabilities", volume_id="n", **both),
        "publish of an unknown volume": outcome(
            "ControllerPublishVolume", volume_id="other", node_id="node-1", **publish
        ),
        "publish at an unknown node": outcome("ControllerPublishVolume", volume_id="n", node_id="x", **publish),
    }
    one.call("ControllerPublishVolume", volume_id="n", node_id="node-1", **publish)
    found["incompatible publish"] = outcome(
        "ControllerPublishVolume", volume_id="n", node_id="node-1", readonly=True, **publish
    )
    return found


def test_the_real_driver_deviates_in_six_cases(client: Any) -> None:
    found = deviations(client("1.30.4"))
    assert tuple(found) == SIX_DEVIATIONS
    assert found == {
        "same name, other capacity": "ok",
        "validate without such a volume": "UNIMPLEMENTED",
        "validate": "UNIMPLEMENTED",
        "publish of an unknown volume": "ok",
        "publish at an unknown node": "INVALID_ARGUMENT",
        "incompatible publish": "ok",
    }


def test_strict_conforms_in_them(client: Any) -> None:
    assert deviations(client("1.30.4", strict=True)) == {
        "same name, other capacity": "ALREADY_EXISTS",
        "validate without such a volume": "NOT_FOUND",
        "validate": "ok",
        "publish of an unknown volume": "NOT_FOUND",
        "publish at an unknown node": "NOT_FOUND",
        "incompatible publish": "ALREADY_EXISTS",
    }
