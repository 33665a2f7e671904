"""Accelerated runs: what is simulated, that the one decision function decides, and what is printed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.decision import Authority, Decision, Intervention, Send, Source
from core.parts import initial_memory
from core.site import Airtime, Metering, Phases, Site, Slave
from core.snapshot import Snapshot
from core.tick import decide
from daemon.__main__ import main
from daemon.commands.engineering.simulate import simulate as command
from daemon.simulation import simulate as simulation
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, default_site, simulate
from plant.site.trace import DAY_S, Trace
from tests.support.stubs import Open, stub_parts

FIELDS = {
    "controller",
    "seconds",
    "export_wh",
    "import_wh",
    "avoidable_import_wh",
    "j_wh",
    "peak_export_w",
    "peak10s_export_w",
    "setpoint_changes_per_min",
    "reversals_per_min",
    "imbalance_std_w",
    "frames_sent",
    "max_frames_per_9s",
    "unsafe_actions",
    "ticks_per_second",
}


def day() -> Trace:
    """200 W of load per phase; PV swings between 3 and 9 kW with a period of two minutes."""
    t = np.arange(DAY_S)
    return Trace("swinging", np.full((DAY_S, 3), 200.0), 6000 + 3000 * np.sin(t * 2 * np.pi / 120))


def minutes(count: int, **more: Any) -> Scenario:
    values: dict[str, Any] = {
        "trace": day(),
        "site": default_site(),
        "start_s": 600,
        "end_s": 600 + 60 * count,
    }
    return Scenario(**{**values, **more})


def stub_pilot(scenario: Scenario) -> SimulatedController:
    parts = stub_parts(scenario.site)
    return SimulatedController(parts, initial_memory(parts), Authority.FALLBACK)


@pytest.mark.parametrize("metering", list(Metering))
def test_without_control_the_trace_speaks(metering: Metering) -> None:
    scenario = minutes(10, site=default_site(metering), connection="A")
    got = simulate(scenario, None)
    pv = scenario.trace.pv_w[600:1200]
    exported_w = np.maximum(pv - 600, 0) if metering is Metering.NET else np.maximum(pv - 200, 0)
    assert got.score.summary()["export_wh"] == pytest.approx(exported_w.sum() / 3600)
    assert got.export_without_wh() == pytest.approx(exported_w.sum() / 3600)
    assert got.score.summary()["seconds"] == 600
    assert got.score.summary()["frames_sent"] == 0


def test_a_controller_keeps_the_sun_at_home_within_the_limits_of_the_air() -> None:
    scenario = minutes(30)
    got = simulate(scenario, stub_pilot(scenario))
    summary = got.score.summary()
    assert summary["export_wh"] < 0.2 * got.export_without_wh()
    assert summary["unsafe_actions"] == 0
    assert summary["max_frames_per_9s"] <= 8
    assert 0.3 * 1800 < summary["frames_sent"] <= 0.5 * 1800 + 3
    assert got.acted[Source.FALLBACK] == 1800


def test_the_seed_draws_everything() -> None:
    scenario = minutes(5)
    one, two = (simulate(scenario, stub_pilot(scenario)).score.summary() for _ in range(2))
    other = simulate(replace(scenario, seed=1), stub_pilot(scenario)).score.summary()
    assert one == two
    assert other["export_wh"] != one["export_wh"]


def test_every_tick_is_decided_by_the_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots: list[Snapshot] = []

    def spy(snapshot: Snapshot, *rest: Any) -> Any:
        snapshots.append(snapshot)
        return decide(snapshot, *rest)

    monkeypatch.setattr(simulation, "decide", spy)
    scenario = minutes(1, settle_s=0)
    simulate(scenario, stub_pilot(scenario))
    assert [s.tick for s in snapshots] == list(range(60))
    assert [s.at_s for s in snapshots] == [600.0 + i for i in range(60)]
    assert snapshots[0].on_air.age_s == np.inf
    on_air = [s.on_air for s in snapshots[1:]]
    assert all(0.0 < air.age_s <= 3.0 for air in on_air)
    assert any(sum(air.action_w) > 3000 for air in on_air)


def test_the_minute_before_is_lived_but_not_scored() -> None:
    cold, settled = minutes(5, settle_s=0), minutes(5)
    one, two = (simulate(scenario, stub_pilot(scenario)).score.summary() for scenario in (cold, settled))
    assert one["seconds"] == two["seconds"] == 300
    assert two["export_wh"] < one["export_wh"] - 1
    assert two["unsafe_actions"] == 0
    early = minutes(5, start_s=20, end_s=320)
    assert early.lead_s == 20
    assert simulate(early, stub_pilot(early)).score.summary()["seconds"] == 300


class Careless(Open):
    """A gate that turns every action into too much."""

    def check(
        self, requested_action_w: Phases, source: Source, snapshot: Snapshot
    ) -> tuple[Phases, tuple[Intervention, ...]]:
        return (4000.0, 0.0, 0.0), ()


def test_unsafe_frames_are_counted_whatever_the_gate_says() -> None:
    scenario = minutes(1, settle_s=0)
    pilot = stub_pilot(scenario)
    got = simulate(scenario, replace(pilot, parts=replace(pilot.parts, gate=Careless())))
    assert got.score.summary()["unsafe_actions"] == 1  # the jump; afterwards it only repeats itself
    assert got.score.unsafe == {"step": 1}
    scenario = replace(
        scenario, site=replace(scenario.site, limits=replace(scenario.site.limits, imbalance_max_w=500))
    )
    got = simulate(scenario, replace(pilot, parts=replace(pilot.parts, gate=Careless())))
    assert got.score.unsafe["imbalance"] == got.score.summary()["unsafe_actions"] > 10


@pytest.mark.parametrize("period_s", [0.5, 2.0, 5.0])
def test_every_period_of_the_daemon_is_lived(period_s: float) -> None:
    scenario = minutes(5, site=replace(default_site(), period_s=period_s))
    got = simulate(scenario, stub_pilot(scenario))
    assert got.score.summary()["seconds"] == 300
    assert got.acted[Source.FALLBACK] == pytest.approx(300, abs=period_s)
    assert got.score.summary()["unsafe_actions"] == 0
    assert got.score.summary()["export_wh"] < 0.5 * got.export_without_wh()


def run(*arguments: str) -> dict[str, Any]:
    got = CliRunner().invoke(command, ["--json", "--from", "11:00", "--to", "11:20", *arguments])
    assert got.exit_code == 0, got.output
    assert got.stdout.count("\n") == 1
    facts: dict[str, Any] = json.loads(got.stdout)
    return facts


@pytest.mark.parametrize("controller", ["policy", "pi", "predictive", "none"])
def test_the_command_prints_one_object_per_controller(controller: str) -> None:
    facts = run("--controller", controller)
    assert facts.keys() >= FIELDS
    assert facts["controller"] == controller
    assert facts["seconds"] == 1200
    assert facts["unsafe_actions"] == 0
    assert facts["max_frames_per_9s"] <= 8
    assert facts["j_wh"] == pytest.approx(facts["export_wh"] + 0.5 * facts["avoidable_import_wh"], abs=0.01)
    if controller == "none":
        assert facts["export_wh"] == facts["export_without_wh"] > 1000
    else:
        assert facts["export_wh"] < 0.1 * facts["export_without_wh"]
        assert set(facts["acted_s"]) == {"policy" if controller == "policy" else "fallback"}


def test_margin_and_delay_do_what_they_say() -> None:
    plain = run("--controller", "pi")
    assert run("--controller", "pi", "--margin-w", "0") | {"ticks_per_second": 0} == plain | {
        "ticks_per_second": 0
    }
    shifted = run("--controller", "pi", "--margin-w", "80")
    assert shifted["export_wh"] < plain["export_wh"]
    assert shifted["avoidable_import_wh"] > plain["avoidable_import_wh"] + 10
    assert run("--controller", "pi", "--extra-delay-s", "2")["j_wh"] > 1.2 * plain["j_wh"]
    assert run("--controller", "pi", "--metering", "per_phase")["metering"] == "per_phase"


def test_people_get_a_table() -> None:
    got = CliRunner().invoke(command, ["--controller", "none", "--from", "12:00", "--to", "12:01"])
    assert got.exit_code == 0
    assert "Exported without any slave" in got.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trace", "absent.parquet"], "no such file"),
        (["--from", "25:00"], "not a time of day"),
        (["--from", "11:7"], "not a time of day"),
        (["--from", "12:00", "--to", "12:00"], "--to must be later than --from"),
        (["--controller", "none", "--margin-w", "5"], "--margin-w belongs to pi and predictive"),
        (["--controller", "other"], "is not one of"),
        (["--extra-delay-s", "-1"], "not in the range"),
        (["--extra-delay-s", "nan"], "not a finite number"),
        (["--controller", "pi", "--margin-w", "nan"], "not a finite number"),
        (["--pv-connection", "D"], "is not one of"),
    ],
)
def test_wrong_input_is_a_sentence(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments]) == 2
    shown = capfd.readouterr()
    assert message in " ".join(shown.err.split())
    assert "Traceback" not in shown.err


def test_a_broken_bundle_and_a_missing_configuration(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--bundle", str(tmp_path)]) == 78
    assert main(["simulate", "--config", str(tmp_path / "absent.toml")]) == 78
    assert "Traceback" not in capfd.readouterr().err


def test_slaves_of_two_frames_are_told_group_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon tells them: the gate knows the groups, and each frame is counted."""
    decided: list[tuple[Snapshot, Decision]] = []

    def spy(snapshot: Snapshot, *rest: Any) -> Any:
        decided.append((snapshot, decide(snapshot, *rest)[0]))
        return decide(snapshot, *rest)

    monkeypatch.setattr(simulation, "decide", spy)
    heaters = tuple(Slave(slot, f"heater {slot}", slot % 3, 340) for slot in range(45))
    site = Site(heaters, airtime=Airtime(frames_per_s=0.25, burst_frames=1.5, window_frames=4))
    scenario = minutes(10, site=site)
    acting = pilot("pi", site)
    summary = simulate(scenario, acting).score.summary()
    told = [d for s, d in decided if d.send is not Send.NOTHING and s.at_s >= scenario.start_s]
    messages = sum(2 - len(decision.withheld) for decision in told)
    assert all(len(snapshot.on_air.groups) == 2 for snapshot, _ in decided)
    assert messages > len(told)
    assert summary["frames_sent"] == messages
    assert summary["unsafe_actions"] == 0
    assert summary["max_frames_per_9s"] <= 8
    nine = simulate(minutes(10), pilot("pi", default_site())).score.summary()
    assert summary["export_wh"] < 1.5 * nine["export_wh"]
