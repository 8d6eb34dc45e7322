"""Where the time of an answer went."""

from __future__ import annotations

from lineside.observe.latency import Latency


def reached(latency: Latency, **at: float) -> Latency:
    for step, when in at.items():
        assert latency.reached(step, when)  # type: ignore[arg-type]
    return latency


def test_the_steps_add_up_to_the_gap() -> None:
    latency = reached(
        Latency(cue_at=10.5, spoken_by=10.0), agent=10.7, asked=10.75, audio=10.9, sent=10.901, audible=10.95
    )
    figures = latency.figures()
    assert figures == {
        "endpoint_ms": 500.0,
        "agent_ms": 200.0,
        "asked_ms": 50.0,
        "audio_ms": 150.0,
        "sent_ms": 1.0,
        "audible_ms": 49.0,
        "gap_ms": 950.0,
    }
    assert sum(value for name, value in figures.items() if name != "gap_ms" and value) == figures["gap_ms"]


def test_what_began_before_the_caller_had_surely_finished_took_less_than_no_time() -> None:
    figures = reached(Latency(cue_at=10.5, spoken_by=10.0), agent=10.2, audio=10.6).figures()
    assert (figures["agent_ms"], figures["audio_ms"]) == (-300.0, 400.0)


def test_what_is_not_known_is_none_and_the_next_step_counts_from_the_one_before() -> None:
    figures = reached(Latency(cue_at=10.0), audio=10.3, audible=10.4).figures()
    assert figures["endpoint_ms"] is figures["agent_ms"] is figures["asked_ms"] is figures["sent_ms"] is None
    assert (figures["audio_ms"], figures["audible_ms"], figures["gap_ms"]) == (300.0, 100.0, 400.0)
    assert Latency(cue_at=10.0).figures()["gap_ms"] is None


def test_a_step_counts_once() -> None:
    latency = Latency(cue_at=10.0)
    assert latency.reached("sent", 10.5)
    assert not latency.reached("sent", 11.0)
    assert latency.at == {"sent": 10.5}
