"""`ossvol csi`: a process that serves the driver at a socket until a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osscluster.csi import wire
from osscluster.engine import kernel_unavailable

grpc = pytest.importorskip("grpc", reason="the CSI socket needs grpcio: pip install 'ossvol[csi]'")

TARGET = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pv-oss/mount"


@contextmanager
def serving(path: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "csi", "--endpoint", f"unix://{path}", "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        # Only a signal that it handles lets it clean up.
        process.terminate()
        process.communicate(timeout=60)


def call(path: Path, method: str, **fields: Any) -> Any:
    services = {name: service for service, name in wire.methods()}
    with grpc.insecure_channel(f"unix:{path}") as channel:
        ask = channel.unary_unary(
            f"/csi.v1.{services[method]}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=wire.message(f"{method}Response").FromString,
        )
        return ask(wire.message(f"{method}Request")(**fields), timeout=60)


def published(path: Path, facts: dict[str, Any]) -> None:
    capability = wire.message("VolumeCapability")(
        mount=wire.message("VolumeCapability.MountVolume")(),
        access_mode=wire.message("VolumeCapability.AccessMode")(mode=5),
    )
    volume = {"bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com"}
    context = call(
        path,
        "ControllerPublishVolume",
        volume_id="pv-oss",
        node_id="node-1",
        volume_capability=capability,
        volume_context=volume,
    ).publish_context
    call(
        path,
        "NodePublishVolume",
        volume_id="pv-oss",
        target_path=TARGET,
        volume_capability=capability,
        volume_context=volume,
        publish_context=context,
        secrets={"akId": facts["access_key_id"], "akSecret": facts["access_key_secret"]},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_volume_is_published_through_the_socket_and_a_signal_ends_it_cleanly(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "csi.sock"
    with serving(path, "--via", "direct", "--bucket", "demo") as (process, facts):
        assert list(facts) == ["endpoint", "cloud", "access_key_id", "access_key_secret", "node_root", "pid"]
        assert (facts["endpoint"], facts["pid"]) == (f"unix://{path}", process.pid)
        assert call(path, "GetPluginInfo").vendor_version == "v1.30.4"
        published(path, facts)
        call(path, "NodeUnpublishVolume", volume_id="pv-oss", target_path=TARGET)
        process.send_signal(number)
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert not path.exists()


def test_with_the_kernel_engine_the_volume_is_a_mount_of_this_machine(tmp_path: Path) -> None:
    missing = kernel_unavailable()
    if missing is not None:
        pytest.skip(f"no kernel mounts here: {missing}")
    path = tmp_path / "csi.sock"
    with serving(path, "--via", "kernel", "--bucket", "demo") as (process, facts):
        published(path, facts)
        place = facts["node_root"].rstrip("/") + TARGET
        script = "import pathlib, sys; pathlib.Path(sys.argv[1]).joinpath('a').write_text('hello')"
        # In a process of its own, as everybody who touches a mount is.
        subprocess.run([sys.executable, "-c", script, place], check=True, timeout=60)
        assert f" {place} fuse.ossfs " in Path("/proc/mounts").read_text()
        process.send_signal(signal.SIGTERM)
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
        assert place not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--endpoint", "tcp://127.0.0.1:1"], "'tcp://127.0.0.1:1' is no CSI endpoint here: write unix:///PATH"),
        (["--endpoint", "unix:///no/such/place/csi.sock"], "there is no directory /no/such/place"),
        (["--endpoint", "unix:///" + "a" * 120], "a socket's path has at most 107 bytes"),
        (["--endpoint", "unix:///tmp/x.sock", "--csi", "1.0.0"], "--csi: "),
        (["--endpoint", "unix:///tmp/x.sock", "--bucket", "No"], "'No' is no bucket name"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(words: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ossvol", "csi", "--via", "direct", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_a_socket_that_is_listened_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "csi.sock"
    with serving(path, "--via", "direct"):
        command = [sys.executable, "-m", "ossvol", "csi", "--via", "direct", "--endpoint", f"unix://{path}"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert f"somebody listens on {path} already" in second.stderr
        assert call(path, "GetPluginInfo").name == "ossplugin.csi.alibabacloud.com"
