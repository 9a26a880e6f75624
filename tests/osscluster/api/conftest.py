"""A served API and the real kubectl."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.osscluster.api.served import Served, stand_in_kubelet

from osscluster.api.http import ApiServer
from osscluster.api.store import MemoryApi
from osscluster.controllers.protection import Protection
from osscluster.timeline import Timeline


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there; fix: pip install 'ossvol[kubectl]'")
    timeline = Timeline(1_725_350_400.0)
    api = MemoryApi(timeline.now, random.Random(1))
    stand_in_kubelet(api, timeline)
    Protection(api, timeline)
    # Sixty times the wall clock: a grace period of 30 s is half a second of a test.
    with ApiServer(api, timeline, version="1.28.3", factor=60.0) as server:
        kubeconfig = tmp_path / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        yield Served(timeline, api, server, kubeconfig)
        if server.error is not None:
            raise server.error
