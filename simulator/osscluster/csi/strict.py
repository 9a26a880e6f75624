"""The controller service as the CSI specification wants it, in six points where the real driver does not conform.

A name again with another capacity and an incompatible second publish are ALREADY_EXISTS, an unknown volume or node is
NOT_FOUND, ValidateVolumeCapabilities confirms what CreateVolume has made. (csi-sanity's cases; the real driver
remembers nothing of the volumes that it creates.) Called from the thread that drives the timeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osscluster.csi.rpc import (
    Code,
    ControllerPublishVolumeRequest,
    CreateVolumeRequest,
    CsiController,
    CsiError,
    Volume,
)
from osscluster.timeline import Steps

__all__ = ["StrictController"]


class StrictController:
    """Implements `CsiController` around another. nodes: ids of the nodes that there are."""

    def __init__(self, controller: CsiController, nodes: Sequence[str]) -> None:
        self._controller = controller
        self._nodes = frozenset(nodes)
        self._volumes: dict[str, int] = {}
        self._published: dict[tuple[str, str], ControllerPublishVolumeRequest] = {}

    def capabilities(self) -> Sequence[str]:
        return self._controller.capabilities()

    def create_volume(self, request: CreateVolumeRequest) -> Steps[Volume]:
        if self._volumes.get(request.name, request.capacity) != request.capacity:
            raise CsiError(Code.ALREADY_EXISTS, f"volume {request.name} exists with another capacity")
        made = yield from self._controller.create_volume(request)
        self._volumes[made.volume_id] = request.capacity
        return made

    def delete_volume(self, volume_id: str) -> Steps[None]:
        if not volume_id:
            yield from self._controller.delete_volume(volume_id)
        self._volumes.pop(volume_id, None)

    def controller_publish_volume(self, request: ControllerPublishVolumeRequest) -> Steps[Mapping[str, str]]:
        if request.volume_id and request.node_id and request.capability is not None:
            self.require(request.volume_id)
            if request.node_id not in self._nodes:
                raise CsiError(Code.NOT_FOUND, f"node {request.node_id} not found")
            before = self._published.get((request.volume_id, request.node_id))
            if before is not None and (before.readonly, before.capability) != (request.readonly, request.capability):
                text = f"volume {request.volume_id} is published at {request.node_id} in another way"
                raise CsiError(Code.ALREADY_EXISTS, text)
        published = yield from self._controller.controller_publish_volume(request)
        self._published[request.volume_id, request.node_id] = request
        return published

    def controller_unpublish_volume(self, volume_id: str, node_id: str) -> Steps[None]:
        yield from self._controller.controller_unpublish_volume(volume_id, node_id)
        self._published.pop((volume_id, node_id), None)

    def require(self, volume_id: str) -> None:
        """Raises CsiError for a volume that was not created here."""
        if volume_id not in self._volumes:
            raise CsiError(Code.NOT_FOUND, f"volume {volume_id} not found")
