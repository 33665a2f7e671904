"""The judge beside the loop: what is judged, what is kept, and a rollback end to end."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.causes import Cause
from core.decision import Authority, Decision, Source, State
from core.modes import Assignment
from core.tick import decide
from daemon.journal.records import Event
from daemon.policy.evidence_record import ADDED, to_record
from daemon.policy.policy_monitor import PolicyMonitor
from daemon.runtime.assembly import Assembled, assemble
from daemon.runtime.journal_completion import read_whole
from daemon.runtime.loop import TickResult
from daemon.runtime.transmitter import Sent
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedIO, default_site, simulate
from models.bundle import builtin_bundle
from plant.site.trace import load_trace
from safety.evidence import PairedSums
from safety.pi import PiFallback, PiGains
from safety.policy_comparison import ComparisonState, JudgedEnergy
from tests.campaigns.pairs import running_pair, silent_log, sunny_day
from tests.support import virtual_time
from tests.support.full_daemon import until
from tests.support.toy_bundles import plain_model, write_bundle

SITE = default_site()
FULL = ComparisonState(
    export=PairedSums(3, 10.0, 20.0, 34.0, 50.0, 140.0),
    j=PairedSums(3, 11.0, 21.0, 35.0, 51.0, 141.0),
    export_days=PairedSums(2, 1.0, 2.0, 3.0, 5.0, 14.0),
    j_days=PairedSums(2, 1.1, 2.1, 3.1, 5.1, 14.1),
    span=JudgedEnergy(60.0, 1.0, 2.0, 3.0, 4.0),
    day=JudgedEnergy(7200.0, 11.0, 12.0, 13.0, 14.0),
    minute=JudgedEnergy(5.0, 0.5, 0.6, 0.7, 0.8),
    minutes=((1.0, 2.0), (3.0, 4.0)),
    trips_ago_s=(100.0,),
)


def judging(subject: str = "a policy", events: list[dict[str, Any]] | None = None) -> PolicyMonitor:
    told = [] if events is None else events
    made = PolicyMonitor(SITE, "a law", 15.0, lambda name, **detail: told.append({"event": name, **detail}))
    made.adopt(assembled())
    made.subject = subject
    return made


def assembled() -> Assembled:
    return assemble(SITE, PiFallback(SITE), builtin_bundle())


def ticks(seconds: int, gains: PiGains | None = None) -> list[TickResult]:
    """A PI in charge that is judged as if it were the policy."""
    flown = pilot("pi", SITE)
    assert flown is not None
    parts, memory = replace(flown.parts, fallback=PiFallback(SITE, gains)), flown.memory
    scenario = Scenario(load_trace(), SITE, start_s=12 * 3600, end_s=12 * 3600 + seconds, settle_s=0)
    far_end, lived = scenario.far_end(), []
    wires = SimulatedIO(scenario, far_end)
    for _ in range(seconds):
        snapshot, before = wires.snapshot(), memory
        decision, memory = decide(snapshot, Authority.FALLBACK, memory, parts)
        sent = Sent((), wires.transmit(decision) or None)
        decision = replace(decision, authority=Authority.POLICY)
        lived.append(
            TickResult(
                snapshot, Assignment(Authority.POLICY, 1.0, 0), before, decision, sent, 0, 0, 0, before
            )
        )
        far_end.step()
    return lived


def changed(lived: TickResult, **changes: Any) -> TickResult:
    decision: Decision = replace(lived.decision, **changes)
    return replace(lived, decision=decision)


def with_causes(lived: TickResult, *causes: str, state: State = State.FALLBACK) -> TickResult:
    return changed(lived, verdict=replace(lived.decision.verdict, causes=causes, state=state))


def test_every_second_of_the_policy_counts_for_both() -> None:
    judge = judging()
    for lived in ticks(120):
        assert judge(lived) == ()
    span = judge.live.evidence.span
    assert span.judged_s == 119.0  # the first tick has no length
    assert span.own_export_ws == span.twin_export_ws > 0.0
    assert span.own_j_ws == span.twin_j_ws >= span.own_export_ws


@pytest.mark.parametrize("kind", ["fallback in charge", "no sample", "starting", "rolled back"])
def test_what_is_not_the_policy_s_account(kind: str) -> None:
    judge = judging()
    for number, lived in enumerate(ticks(100)):
        if number < 50:
            judge(lived)
        elif kind == "fallback in charge":
            judge(changed(lived, authority=Authority.FALLBACK))
        elif kind == "no sample":
            judge(changed(lived, estimate=replace(lived.decision.estimate, fresh=False)))
        elif kind == "starting":
            judge(with_causes(lived, state=State.INIT))
        else:
            judge(with_causes(lived, Cause.ROLLBACK))
    assert judge.live.evidence.span.judged_s == 49.0


def test_a_fallback_that_acts_in_the_policy_s_time_is_its_account() -> None:
    judge = judging()
    for lived in ticks(50):
        judge(with_causes(lived, "violation"))
    assert judge.live.evidence.span.judged_s == 49.0


def test_a_pause_is_not_guessed_across() -> None:
    judge, lived = judging(), ticks(20)
    for one in (*lived[:10], *lived[15:]):
        judge(one)
    assert judge.live.evidence.span.judged_s == pytest.approx(9.0 + 4.0)


def test_the_third_anomaly_in_a_week_rolls_back_once() -> None:
    events: list[dict[str, Any]] = []
    judge = judging(events=events)
    found: list[str] = []
    for number, lived in enumerate(ticks(60)):
        causes = ("anomaly",) if number % 20 >= 10 else ()
        causes = (*causes, Cause.ROLLBACK) if Cause.ROLLBACK in found else causes
        found.extend(judge(with_causes(lived, *causes)))
    assert found == [Cause.ROLLBACK]
    assert [(e["event"], e["reasons"], e["subject"]) for e in events] == [
        ("rollback", ["anomalies"], "a policy")
    ]


def test_long_ticks_count_whole() -> None:
    judge = judging()
    judge.site = replace(SITE, period_s=10.0)
    for number, lived in enumerate(ticks(60)):
        judge(replace(lived, snapshot=replace(lived.snapshot, at_s=1000.0 + 10.0 * number)))
    assert judge.live.evidence.span.judged_s == 590.0


def test_anomalies_in_the_fallback_s_time_roll_back_nothing() -> None:
    judge = judging()
    for number, lived in enumerate(ticks(80)):
        causes = ("anomaly",) if number % 20 >= 10 else ()
        assert judge(changed(with_causes(lived, *causes), authority=Authority.FALLBACK)) == ()
    assert judge.live.evidence.trips_ago_s == ()


def test_an_anomaly_that_outlives_a_restart_is_one() -> None:
    judge = judging()
    for lived in ticks(30):
        assert judge(with_causes(lived, "anomaly")) == ()
    assert judge.live.evidence.trips_ago_s == ()


def test_an_acknowledged_rollback_gives_the_policy_a_new_account() -> None:
    judge, lived = judging(), ticks(4)
    judge.live.evidence = FULL
    judge(with_causes(lived[0], Cause.ROLLBACK))
    judge(with_causes(lived[1], Cause.ROLLBACK))
    assert judge.live.evidence.export == FULL.export
    judge(lived[2])
    assert judge.live.evidence.export == PairedSums()
    assert judge.live.evidence.trips_ago_s == ()


def test_another_policy_begins_a_new_account_and_the_same_one_goes_on() -> None:
    judge = judging()
    judge.adopt(assembled())
    judge.live.evidence = FULL
    judge.adopt(assembled())
    assert judge.live.evidence == FULL
    before = judge.subject
    judge.adopt(replace(assembled(), bundle=None))
    assert judge.subject != before
    assert judge.live.evidence == judge.shadow.evidence == ComparisonState()


def test_evidence_outlives_a_restart_for_the_same_pair_only() -> None:
    before = judging()
    before.live.evidence = FULL
    before.shadow.evidence = ComparisonState(minutes=((5.0, 6.0),))
    carried = json.loads(json.dumps(before.carry()))
    after, other = judging(), judging("another policy")
    after.restore(carried)
    other.restore(carried)
    assert after.live.evidence == FULL
    assert after.shadow.evidence == ComparisonState(minutes=((5.0, 6.0),))
    assert other.live.evidence == other.shadow.evidence == ComparisonState()


@pytest.mark.parametrize(
    "damage",
    [
        None,
        {},
        {"live": None},
        {"live": {"export": {"spans": "many"}}},
        {"live": {"minutes": [[1.0]]}},
        {"live": {"bogus": 1}},
        {"live": {"span": {"judged_s": 7000.0}}},
        {"live": to_record(replace(FULL, trips_ago_s=(-5.0,)))},
        {"live": {"export": {"x": float("nan")}}},
    ],
)
def test_damaged_evidence_is_none(damage: dict[str, Any] | None) -> None:
    judge = judging()
    judge.restore(None if damage is None else {"subject": "a policy"} | damage)
    assert judge.live.evidence == ComparisonState()


def test_evidence_of_an_older_release_goes_on_and_its_days_begin_anew() -> None:
    judge = judging()
    judge.live.evidence = FULL
    carried = judge.carry()
    for key in ADDED:
        del carried["live"][key]
    other = judging()
    other.restore(carried)
    fresh = ComparisonState()
    expected = replace(FULL, export_days=fresh.export_days, j_days=fresh.j_days, day=fresh.day)
    assert other.live.evidence == expected


def test_a_fault_of_the_judge_costs_the_judgement_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    judge, lived = judging(), ticks(3)
    broken = replace(lived[0], before=None)  # type: ignore[arg-type]
    assert judge(broken) == ()
    assert judge(lived[1]) == ()
    assert judge.live.evidence == ComparisonState()
    assert judge.judgements().failed


def test_a_fault_of_the_judge_loses_nothing_that_was_found_before() -> None:
    judge, lived = judging(), ticks(3)
    pairs = PairedSums().add(40.0, 60.0)
    judge.live.evidence = replace(judge.live.evidence, export=pairs, j=pairs)
    before = judge.carry()
    judge(replace(lived[0], before=None))  # type: ignore[arg-type]
    assert judge.judgements().failed
    assert judge.carry() == before
    judge.live = None  # type: ignore[assignment]
    assert judge.carry() == before


def test_what_is_told_changes_with_every_span() -> None:
    judge = judging()
    assert judge.judgements().live.judged_s == 0.0
    assert judge.judgements().live.export.verdict == "open"
    for spans in range(1, 31):
        export = judge.live.evidence.export.add(40.0 + spans % 2, 60.0)
        days = judge.live.evidence.export_days.add_weighted(480.0 + spans % 3, 720.0)
        judge.live.evidence = replace(
            judge.live.evidence, export=export, j=export, export_days=days, j_days=days
        )
    told = judge.judgements().live
    assert (told.judged_s, told.export.verdict) == (60 * 3600.0, "better")
    assert told.export.own_wh == 40.5 * 30
    assert told.export.low < -0.325 < told.export.high < 0.0
    judge.live.evidence = ComparisonState(export=PairedSums().add(90.0, 60.0).add(91.0, 60.0))
    assert judge.judgements().live.export.verdict == "open"


def test_worse_beyond_doubt_is_told_as_worse() -> None:
    judge, export, days = judging(), PairedSums(), PairedSums()
    for hours in range(30):
        export = export.add(80.0 + hours % 2, 60.0)
        days = days.add_weighted(960.0 + hours % 3, 720.0)
    judge.live.evidence = replace(judge.live.evidence, export=export, export_days=days)
    assert judge.judgements().live.export.verdict == "worse"


def shadowed(seconds: int, policy: str) -> PolicyMonitor:
    """The PI acts, and the policy is what would have acted."""
    judge = judging()
    flown = pilot(policy, SITE)
    assert flown is not None
    parts, memory = flown.parts, flown.memory
    scenario = Scenario(load_trace(), SITE, start_s=12 * 3600, end_s=12 * 3600 + seconds, settle_s=0)
    far_end = scenario.far_end()
    wires = SimulatedIO(scenario, far_end)
    for _ in range(seconds):
        snapshot, before = wires.snapshot(), memory
        decision, memory = decide(snapshot, Authority.FALLBACK, memory, parts)
        sent = Sent((), wires.transmit(decision) or None)
        judge(
            TickResult(
                snapshot, Assignment(Authority.FALLBACK, 0.0, 0), before, decision, sent, 0, 0, 0, before
            )
        )
        far_end.step()
    return judge


def test_a_shadow_run_tells_what_the_policy_would_have_been_worth() -> None:
    """The truth is lived: the same half hour with the policy in charge."""
    span = shadowed(1800, "policy").shadow.evidence.span
    scenario = Scenario(load_trace(), SITE, start_s=12 * 3600, end_s=12 * 3600 + 1800, settle_s=0)
    summaries = (simulate(scenario, pilot(name, SITE)).score.summary() for name in ("policy", "pi"))
    policy_wh, pi_wh = (summary["export_wh"] for summary in summaries)
    assert span.judged_s == 1799.0
    assert span.twin_export_ws / 3600.0 == pytest.approx(pi_wh, rel=0.03)  # the meter has noise
    saved, truly = (
        1.0 - span.own_export_ws / span.twin_export_ws,
        1.0 - policy_wh / pi_wh,
    )
    assert truly > 0.1
    assert saved == pytest.approx(truly, abs=0.1)


def test_a_shadow_without_a_policy_is_nobody_s() -> None:
    assert shadowed(60, "pi").shadow.evidence.span.judged_s == 0.0


async def _lost_policy(folder: Path) -> tuple[list[TickResult], list[str], dict[str, Any]]:
    """A policy that leaves two phases alone is in charge, until the judge has seen enough."""
    more = f'\n[policy]\nbundle = "{write_bundle(folder / "toy", plain_model())}"\n'
    async with running_pair(folder, slaves=SITE.slaves, trace=sunny_day(), more=more) as pair:
        await until(lambda: bool(pair.lived) and pair.lived[-1].decision.estimate.fresh, 30.0)
        pair.warm()
        await until(lambda: pair.lived[-1].decision.verdict.source is Source.POLICY, 120.0)
        await until(lambda: Cause.ROLLBACK in pair.lived[-1].decision.verdict.causes, 1200.0)
        await asyncio.sleep(5.0)
        lived, latched = list(pair.lived), list(pair.loop.memory.watch.standing.latched) if pair.loop else []
        pair.acknowledge()
        await asyncio.sleep(3.0)
        after = pair.lived[-1].decision.verdict.causes
        await pair.whole.stop()
    assert Cause.ROLLBACK not in after
    return lived, latched, json.loads((folder / "totals.json").read_text())


def test_a_policy_that_gives_the_sun_away_is_taken_out_of_charge(tmp_path: Path) -> None:
    with silent_log():
        lived, latched, totals = virtual_time.run(_lost_policy(tmp_path))
    assert latched == [Cause.ROLLBACK]
    assert lived[-1].decision.verdict.source is Source.FALLBACK
    assert lived[-1].decision.authority is Authority.POLICY
    records = list(read_whole(tmp_path / "journal"))
    found = [r for r in records if isinstance(r, Event) and r.event == "rollback"]
    assert len(found) == 1
    assert found[0].detail["reasons"] == ["gross"]
    assert totals["judge"]["live"]["export"]["spans"] == 0
