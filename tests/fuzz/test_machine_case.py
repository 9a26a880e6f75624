"""The machine as pytest, or HypoFuzz, runs any machine of Hypothesis: without `run`."""

from __future__ import annotations

from hypothesis import settings

from ossvol.fuzz import VolumeMachine

TestVolume = VolumeMachine.TestCase
TestVolume.settings = settings(TestVolume.settings, max_examples=5, stateful_step_count=20)
