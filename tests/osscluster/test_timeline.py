"""Virtual time: callbacks and jobs in their order."""

from __future__ import annotations

import pytest

from osscluster.timeline import Steps, Timeline, Wait


def test_callbacks_run_at_their_own_times_in_order() -> None:
    line, seen = Timeline(100.0), []
    line.call_later(3, lambda: seen.append(("b", line.now())))
    line.call_later(1, lambda: seen.append(("a", line.now())))
    line.advance(5)
    assert seen == [("a", 101.0), ("b", 103.0)]
    assert line.now() == 105.0


def test_a_cancelled_timer_never_runs() -> None:
    line, seen = Timeline(0.0), []
    line.call_later(1, lambda: seen.append(1)).cancel()
    line.advance(2)
    assert seen == []


def test_a_job_wakes_when_its_condition_holds_and_learns_it() -> None:
    line, ready, seen = Timeline(0.0), [], []

    def steps() -> Steps[str]:
        held = yield Wait(lambda: bool(ready), 30)
        seen.append((held, line.now()))
        return "done"

    job = line.spawn("job", steps())
    line.call_later(7, lambda: ready.append(1))
    line.advance(10)
    assert seen == [(True, 7.0)]
    assert job.result() == "done"


def test_a_job_that_waits_in_vain_goes_on_at_its_timeout() -> None:
    line = Timeline(0.0)

    def steps() -> Steps[tuple[bool, float]]:
        held = yield Wait(lambda: False, 30)
        return held, line.now()

    assert line.run("job", steps()) == (False, 30.0)


def test_waiting_for_a_condition_stops_time_where_it_holds() -> None:
    line, done = Timeline(0.0), []
    line.call_later(4, lambda: done.append(1))
    assert line.wait_for(lambda: bool(done), 60)
    assert line.now() == 4.0
    assert not line.wait_for(lambda: False, 10)
    assert line.now() == 14.0


def test_the_mounts_are_moved_only_when_somebody_touches_them() -> None:
    moved: list[float] = []
    line = Timeline(0.0, moved.append)
    line.advance(1)
    line.advance(2)
    assert moved == []
    line.synchronise()
    line.synchronise()
    assert moved == [3.0]


def test_a_job_that_fails_is_loud_unless_its_result_is_asked_for() -> None:
    line = Timeline(0.0)

    def fails() -> Steps[None]:
        yield Wait(seconds=1)
        raise ValueError("broken")

    quiet = line.spawn("quiet", fails(), loud=False)
    line.advance(2)
    with pytest.raises(ValueError, match="broken"):
        quiet.result()
    line.spawn("loud", fails())
    with pytest.raises(ValueError, match="broken"):
        line.advance(2)


def test_a_job_that_can_never_go_on_is_reported() -> None:
    def stuck() -> Steps[None]:
        yield Wait(lambda: False)

    with pytest.raises(TimeoutError, match="never happen"):
        Timeline(0.0).run("stuck", stuck())
