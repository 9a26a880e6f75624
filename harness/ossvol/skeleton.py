"""`ossvol new`: a scenario to start from, which passes as it is.

Pure text; any thread.
"""

from __future__ import annotations

__all__ = ["skeleton"]

_TEXT = """\
# Language: docs/scenarios.md. Check with `ossvol lint`, run with `ossvol run` and this file's name.
scenario: {id}
title: {{en: Others may not read an object uploaded outside ossfs}}
given:
  bucket: {{name: demo}}
  objects:
    - {{key: data/a.txt, body: hello, via: console}}
  volume: {{path: /data, options: "-o allow_other"}}
  containers:
    app: {{uid: 1000, gid: 1000}}
when:
  - {{stat: a.txt, expect: {{mode: "0640", uid: 0, size: 5}}}}
  - {{read: a.txt, as: app, expect: {{errno: EACCES, requests: {{GetObject: 0}}}}}}
remedy:
  - remount: {{options: "-o allow_other -o umask=022"}}
resolved:
  - {{read: a.txt, as: app, expect: {{body: hello}}}}
control:
  - title: mp_umask reaches the mount point only
    remount: {{options: "-o allow_other -o mp_umask=022"}}
    then:
      - {{read: a.txt, as: app, expect: {{errno: EACCES}}}}
"""


def skeleton(scenario_id: str) -> str:
    """The text of a new scenario file."""
    return _TEXT.format(id=scenario_id)
