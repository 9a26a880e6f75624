"""Faults in scenario files: what a volume makes of an endpoint that fails in each way there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ossvol.cli import app

SCENARIO = """\
scenario: local/fault
title: {{en: A fault, zh: 故障}}
given:
  bucket: {{name: demo}}
  objects: [{{key: data/a.txt, body: hello}}]
  volume: {{path: /data, options: "-o allow_other -o retries=1"}}
when:
  - fault: {{{fault}}}
  - {{read: a.txt, as: root, expect: {{{first}}}}}
  - {{advance: 3600}}
  - {{read: a.txt, as: root, expect: {{body: hello}}}}
"""


# A read that fails is asked for four times: by ossfs twice, and by the kernel as a window first and then as one page.
@pytest.mark.parametrize(
    ("fault", "first"),
    [
        ("operation: total, action: refuse, seconds: 3600", "errno: EIO, requests: {total: 0}"),
        ("operation: total, action: blackhole, seconds: 3600", "errno: EIO, requests: {total: 0}"),
        ("operation: GetObject, action: refuse, count: 4", "errno: EIO"),
        ("operation: GetObject, action: throttle, count: 4", "errno: EIO"),
        ("operation: GetObject, action: reset, count: 4", "errno: EIO"),
        ("operation: GetObject, action: latency, seconds: 5", 'body: hello, cost_ms: ">=5000"'),
        ("operation: GetObject, action: stall, seconds: 5", 'body: hello, cost_ms: "<5000"'),
        ("operation: GetObject, action: crc", "body: hello"),
    ],
)
def test_a_planned_fault_reaches_the_volume(tmp_path: Path, fault: str, first: str) -> None:
    file = tmp_path / "fault.yaml"
    file.write_text(SCENARIO.format(fault=fault, first=first))
    done = CliRunner().invoke(app, ["run", str(file), "--via", "direct"])
    assert done.exit_code == 0, done.output
