"""Property-based fuzzing: random steps on a volume, a reference model that says what is right, failures as scenarios.

`VolumeMachine` is there to be subclassed, `run` runs it. Needs the extra `fuzz` (Hypothesis, ruamel.yaml).
"""

from __future__ import annotations

from ossvol.fuzz.machine import VolumeMachine
from ossvol.fuzz.plan import Plan
from ossvol.fuzz.running import Failure, FuzzResult, run
from ossvol.fuzz.violation import Violation

__all__ = ["Failure", "FuzzResult", "Plan", "Violation", "VolumeMachine", "run"]
