"""CSI over a socket: the driver's services as gRPC, for a kubelet, an external provisioner or csi-sanity.

The same driver as everywhere, on a timeline that follows the machine's clock. Needs grpcio and protobuf (extra `csi`).
Calls come on threads of the gRPC server; the clockwork puts them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from osscluster.csi import naming, requestcheck, wire
from osscluster.csi.profile import CsiProfile
from osscluster.csi.rpc import (
    AccessMode,
    Code,
    ControllerPublishVolumeRequest,
    CreateVolumeRequest,
    CsiController,
    CsiError,
    CsiNode,
    NodePublishVolumeRequest,
    NodeStageVolumeRequest,
    VolumeCapability,
)
from osscluster.csi.strict import StrictController
from osscluster.csi.wallclock import Clockwork
from osscluster.errors import EnvironmentMissing, NotModelled

__all__ = ["CsiServer"]

T = TypeVar("T")

_THREADS = 8


class CsiServer:
    """Identity, Controller and Node at one socket.

    endpoint: "unix:///path" or "unix:path"; node_id: what NodeGetInfo answers; strict: conform where the real driver
    does not. Raises EnvironmentMissing without grpcio, OSError for an endpoint that can't be listened on."""

    def __init__(
        self,
        endpoint: str,
        *,
        profile: CsiProfile,
        controller: CsiController,
        node: CsiNode,
        node_id: str,
        clockwork: Clockwork,
        strict: bool = False,
    ) -> None:
        grpc = _grpc()
        self._grpc = grpc
        self._profile = profile
        self._strict = StrictController(controller, (node_id,)) if strict else None
        self._controller: CsiController = self._strict or controller
        self._node = node
        self._node_id = node_id
        self._clockwork = clockwork
        self._server = grpc.server(ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="csi"))
        by_service: dict[str, dict[str, Any]] = {}
        for service, method in wire.methods():
            by_service.setdefault(service, {})[method] = grpc.unary_unary_rpc_method_handler(
                self._handler(service, method),
                request_deserializer=wire.message(f"{method}Request").FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(f"{wire.PACKAGE}.{service}", handlers)
                for service, handlers in by_service.items()
            ]
        )
        try:
            listening = self._server.add_insecure_port(endpoint)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {endpoint}: {error}") from error
        if not listening:
            raise OSError(f"cannot listen on {endpoint}")
        self._server.start()

    def close(self) -> None:
        """Stops listening; calls under way end."""
        self._server.stop(grace=0).wait()

    def _handler(self, service: str, method: str) -> Callable[[Any, Any], Any]:
        answer = _METHODS.get(method, _unimplemented)
        respond = wire.message(f"{method}Response")

        def handle(request: Any, context: Any) -> Any:
            try:
                return respond(**answer(self, request))
            except CsiError as error:
                context.abort(self._status(error.code), error.message)
            except NotModelled as error:
                context.abort(self._status(Code.UNIMPLEMENTED), f"ossvol: {error}")

        handle.__name__ = f"{service}_{method}"
        return handle

    def _status(self, code: Code) -> Any:
        return next(one for one in self._grpc.StatusCode if one.value[0] == code.value)

    # --- Identity ---

    def get_plugin_info(self, request: Any) -> Mapping[str, object]:
        del request
        return {"name": naming.DRIVER, "vendor_version": f"v{self._profile.name}"}

    def get_plugin_capabilities(self, request: Any) -> Mapping[str, object]:
        del request
        service = wire.message("PluginCapability.Service")
        kind = service.Type.Value("CONTROLLER_SERVICE")
        return {"capabilities": [wire.message("PluginCapability")(service=service(type=kind))]}

    def probe(self, request: Any) -> Mapping[str, object]:
        del request
        return {}

    # --- Controller ---

    def controller_get_capabilities(self, request: Any) -> Mapping[str, object]:
        del request
        return {"capabilities": _capabilities("ControllerServiceCapability", self._controller.capabilities())}

    def create_volume(self, request: Any) -> Mapping[str, object]:
        made = self._clockwork.run(
            "CreateVolume",
            self._controller.create_volume(
                CreateVolumeRequest(
                    request.name,
                    tuple(_capability(one) for one in request.volume_capabilities),
                    request.capacity_range.required_bytes,
                    dict(request.parameters),
                    dict(request.secrets),
                )
            ),
        )
        volume = wire.message("Volume")(
            volume_id=made.volume_id, capacity_bytes=made.capacity, volume_context=dict(made.context)
        )
        return {"volume": volume}

    def delete_volume(self, request: Any) -> Mapping[str, object]:
        self._clockwork.run("DeleteVolume", self._controller.delete_volume(request.volume_id))
        return {}

    def controller_publish_volume(self, request: Any) -> Mapping[str, object]:
        wanted = ControllerPublishVolumeRequest(
            request.volume_id,
            request.node_id,
            _given_capability(request),
            request.readonly,
            dict(request.volume_context),
            dict(request.secrets),
        )
        steps = self._controller.controller_publish_volume(wanted)
        return {"publish_context": dict(self._clockwork.run("ControllerPublishVolume", steps))}

    def controller_unpublish_volume(self, request: Any) -> Mapping[str, object]:
        steps = self._controller.controller_unpublish_volume(request.volume_id, request.node_id)
        self._clockwork.run("ControllerUnpublishVolume", steps)
        return {}

    def validate_volume_capabilities(self, request: Any) -> Mapping[str, object]:
        capabilities = list(request.volume_capabilities)
        requestcheck.required(self._profile, VolumeId=request.volume_id, VolumeCapabilities=capabilities)
        if self._strict is None:
            raise CsiError(Code.UNIMPLEMENTED, "")
        self._strict.require(request.volume_id)
        confirmed = wire.message("ValidateVolumeCapabilitiesResponse.Confirmed")
        return {
            "confirmed": confirmed(
                volume_context=dict(request.volume_context),
                volume_capabilities=capabilities,
                parameters=dict(request.parameters),
            )
        }

    def controller_expand_volume(self, request: Any) -> Mapping[str, object]:
        given = request.HasField("capacity_range")
        requestcheck.required(self._profile, VolumeId=request.volume_id, CapacityRange=given)
        return {}

    # --- Node ---

    def node_get_info(self, request: Any) -> Mapping[str, object]:
        del request
        return {"node_id": self._node_id}

    def node_get_capabilities(self, request: Any) -> Mapping[str, object]:
        del request
        return {"capabilities": _capabilities("NodeServiceCapability", self._node.capabilities())}

    def node_stage_volume(self, request: Any) -> Mapping[str, object]:
        wanted = NodeStageVolumeRequest(
            request.volume_id,
            request.staging_target_path,
            _given_capability(request),
            dict(request.publish_context),
            dict(request.volume_context),
            dict(request.secrets),
        )
        self._clockwork.run("NodeStageVolume", self._node.node_stage_volume(wanted))
        return {}

    def node_unstage_volume(self, request: Any) -> Mapping[str, object]:
        steps = self._node.node_unstage_volume(request.volume_id, request.staging_target_path)
        self._clockwork.run("NodeUnstageVolume", steps)
        return {}

    def node_publish_volume(self, request: Any) -> Mapping[str, object]:
        wanted = NodePublishVolumeRequest(
            request.volume_id,
            request.target_path,
            _given_capability(request),
            request.staging_target_path,
            request.readonly,
            dict(request.publish_context),
            dict(request.volume_context),
            dict(request.secrets),
        )
        self._clockwork.run("NodePublishVolume", self._node.node_publish_volume(wanted))
        return {}

    def node_unpublish_volume(self, request: Any) -> Mapping[str, object]:
        steps = self._node.node_unpublish_volume(request.volume_id, request.target_path)
        self._clockwork.run("NodeUnpublishVolume", steps)
        return {}

    def node_get_volume_stats(self, request: Any) -> Mapping[str, object]:
        requestcheck.required(self._profile, VolumeId=request.volume_id, VolumePath=request.volume_path)
        raise CsiError(Code.UNIMPLEMENTED, "")

    def node_expand_volume(self, request: Any) -> Mapping[str, object]:
        requestcheck.required(self._profile, VolumeId=request.volume_id, VolumePath=request.volume_path)
        raise CsiError(Code.UNIMPLEMENTED, "")


def _unimplemented(server: CsiServer, request: Any) -> Mapping[str, object]:
    del server, request
    raise CsiError(Code.UNIMPLEMENTED, "")


_METHODS: Mapping[str, Callable[[CsiServer, Any], Mapping[str, object]]] = {
    "GetPluginInfo": CsiServer.get_plugin_info,
    "GetPluginCapabilities": CsiServer.get_plugin_capabilities,
    "Probe": CsiServer.probe,
    "ControllerGetCapabilities": CsiServer.controller_get_capabilities,
    "CreateVolume": CsiServer.create_volume,
    "DeleteVolume": CsiServer.delete_volume,
    "ControllerPublishVolume": CsiServer.controller_publish_volume,
    "ControllerUnpublishVolume": CsiServer.controller_unpublish_volume,
    "ValidateVolumeCapabilities": CsiServer.validate_volume_capabilities,
    "ControllerExpandVolume": CsiServer.controller_expand_volume,
    "NodeGetInfo": CsiServer.node_get_info,
    "NodeGetCapabilities": CsiServer.node_get_capabilities,
    "NodeStageVolume": CsiServer.node_stage_volume,
    "NodeUnstageVolume": CsiServer.node_unstage_volume,
    "NodePublishVolume": CsiServer.node_publish_volume,
    "NodeUnpublishVolume": CsiServer.node_unpublish_volume,
    "NodeGetVolumeStats": CsiServer.node_get_volume_stats,
    "NodeExpandVolume": CsiServer.node_expand_volume,
}


def _capabilities(name: str, kinds: Sequence[str]) -> list[Any]:
    rpc = wire.message(f"{name}.RPC")
    return [wire.message(name)(rpc=rpc(type=rpc.Type.Value(kind))) for kind in kinds]


def _given_capability(request: Any) -> VolumeCapability | None:
    return _capability(request.volume_capability) if request.HasField("volume_capability") else None


def _capability(given: Any) -> VolumeCapability:
    return VolumeCapability(
        AccessMode(given.access_mode.mode),
        given.mount.fs_type,
        tuple(given.mount.mount_flags),
        given.HasField("block"),
    )


def _grpc() -> Any:
    try:
        import grpc  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EnvironmentMissing("the CSI socket needs grpcio", "pip install 'ossvol[csi]'") from error
    return grpc
