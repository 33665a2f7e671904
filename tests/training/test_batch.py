"""A batch of sites does what the product does for one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.airtime import Bucket
from core.airtime import choose_send as choose_one
from core.allocation import allocate
from core.decision import Authority, Send, Source
from core.estimation.actuator_model import HISTORY_S, delayed_command
from core.estimation.state_estimate import StateEstimate
from core.limits import Limits
from core.metering import avoidable_import_w, exported_w
from core.metering import balance_phases as level_one
from core.parts import Watches, initial_memory
from core.site import ZERO, Airtime, Metering, Phases, Site, Slave, per_phase
from core.slew import slew as slew_one
from core.snapshot import OnAirState, SlaveState, Snapshot
from daemon.runtime.assembly import assemble
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, default_site, simulate
from plant.site.description import load_description
from plant.site.drawing import told as told_slaves
from plant.site.trace import load_trace
from safety.pi import PiFallback, PiGains
from safety.predictive import PredictiveFallback, PredictiveGains
from safety.supervisor import ModeSupervisor
from training.batched.day_runs import DayScenario, ScenarioResult, rows_of, run
from training.batched.laws import pi_law, predictive_law
from training.batched.rules import balance_phases, choose_send, slew, split, whole
from training.batched.scenarios import FamilyMember, member_end
from training.batched.simulator import (
    KEPT_S,
    PLACES,
    BatchMeter,
    MeasuredActuators,
    PlantParameters,
    Policy,
    age_weights,
    billed,
)
from training.batched.simulator import BatchState as BatchSite
from training.data.days import Day
from training.imitation.demonstrations import AlwaysPolicySupervisor
from training.replay.network import ReplayNet


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def phases(row: Iterable[float]) -> Phases:
    return per_phase([float(x) for x in row])


def drawn(
    seed: int, *spans: tuple[float, float], count: int = 400
) -> list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, high, (count, 3)) for low, high in spans]


@pytest.mark.parametrize("metering", list(Metering))
def test_a_surplus_is_shared_like_that_of_one_site(metering: Metering) -> None:
    surplus, capacity = drawn(1, (-4000.0, 6000.0), (0.0, 1.0))
    capacity = np.where(capacity < 0.3, 3400.0, 5000.0)
    surplus[:20] = np.round(surplus[:20], -3)  # corners that coincide
    is_net = torch.full((len(surplus),), metering is Metering.NET)
    shared = balance_phases(torch.tensor(surplus), torch.tensor(capacity), is_net)
    for row, s, c in zip(shared, surplus, capacity, strict=True):
        assert row.tolist() == pytest.approx(level_one(phases(s), phases(c), metering), abs=1e-6)


def test_a_wish_is_brought_into_reach_like_that_of_one_site() -> None:
    command, wish, capacity, age = drawn(2, (0.0, 5000.0), (-500.0, 7000.0), (0.0, 1.0), (0.0, 4.0))
    capacity = np.where(capacity < 0.3, 3400.0, 5000.0)
    command = np.minimum(command, capacity)
    command = command.mean(1, keepdims=True) + 0.8 * (command - command.mean(1, keepdims=True))
    limits = Limits()
    w_w, u_w, c_w, credit_s = map(torch.tensor, (wish, command, capacity, age[:, 0]))
    reached = slew(w_w, u_w, c_w, credit_s, limits)
    for row, w, u, c, a in zip(reached, wish, command, capacity, age[:, 0], strict=True):
        estimate = StateEstimate(True, ZERO, ZERO, ZERO, phases(u), phases(c), float(a), 2.0, 1.0)
        assert row.tolist() == pytest.approx(slew_one(phases(w), estimate, ZERO, limits), abs=3e-3)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_total_is_split_over_slaves_like_that_of_one_site(count: int) -> None:
    site = Site(tuple(Slave(i, f"s{i}", i // count, 1700) for i in range(3 * count)))
    snapshot = Snapshot(0, 0.0, ZERO, 0.0, (SlaveState(),) * (3 * count))
    rng = np.random.default_rng(3)
    for totals in rng.integers(0, min(count * 1700, 5000) + 1, (50, 3)).tolist():
        places = torch.tensor([totals], dtype=torch.float64)[:, :, None].expand(1, 3, PLACES)
        told = split(places, torch.full((1, 3, 1), float(count)))[0]
        assert told[:, :count].flatten().tolist() == list(allocate(phases(totals), site, snapshot))
        assert not told[:, count:].any()


def test_frames_are_sent_like_those_of_one_site() -> None:
    rng, airtime = np.random.default_rng(4), Airtime()
    bucket, tokens = Bucket(), torch.tensor([3.0])
    age_s, command, sent = 1.0, np.zeros(3), 0
    for second in range(1, 400):
        action = command + rng.choice([0.0, 30.0, 80.0]) * rng.normal(size=3)
        on_air = OnAirState(phases(command), (), age_s)
        send, bucket = choose_one(phases(action), Source.POLICY, on_air, float(second), bucket, airtime)
        sends, tokens = choose_send(
            torch.tensor(action)[None], torch.tensor(command)[None], torch.tensor([age_s]), tokens, airtime
        )
        assert bool(sends) is (send is not Send.NOTHING)
        sent += bool(sends)
        age_s, command = (1.0, action) if sends else (age_s + 1.0, command)
    assert 100 < sent < 300


@pytest.mark.parametrize("told_s", [0, 1, 2, 3])
def test_the_command_that_is_followed_on_average(told_s: int) -> None:
    sent_w = tuple(np.random.default_rng(5).uniform(0.0, 5000.0, KEPT_S).tolist())
    weights = age_weights(torch.tensor([told_s]))
    assert float((weights[0] * torch.tensor(sent_w)).sum()) == pytest.approx(
        delayed_command(sent_w[: int(HISTORY_S)], told_s, 1.0)
    )


@pytest.mark.parametrize("metering", list(Metering))
def test_energy_is_billed_like_that_of_one_site(metering: Metering) -> None:
    grid, slaves = drawn(6, (-3000.0, 3000.0), (0.0, 5000.0), count=50)
    n = len(grid)
    net = torch.full((n,), metering is Metering.NET)
    nothing = torch.zeros(n, 3, PLACES)
    told, meter = MeasuredActuators(*[nothing] * 5), BatchMeter(*[nothing] * 5)
    rig = PlantParameters(
        nothing[:, :, :1], nothing, nothing, nothing[:, :, 0], net, torch.zeros(n), told, meter
    )
    powers = torch.tensor(slaves)[:, :, None] / PLACES * torch.ones(PLACES)
    blank = dict.fromkeys(BatchSite._fields, nothing) | {"grid_w": torch.tensor(grid), "power_w": powers}
    export_w, avoidable_w = billed(rig, BatchSite(**blank))  # type: ignore[arg-type]
    for index, (g, p) in enumerate(zip(grid, slaves, strict=True)):
        assert float(export_w[index]) == pytest.approx(exported_w(phases(g), metering))
        expected_w = avoidable_import_w(phases(p), phases(g), metering)
        assert float(avoidable_w[index]) == pytest.approx(expected_w)


def test_whole_watts_let_gradients_pass() -> None:
    values = torch.tensor([0.2, 1.9], requires_grad=True)
    rounded = whole(values)
    torch.autograd.backward(rounded.sum())
    assert rounded.tolist() == [0.0, 1.0]
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 1.0]


class _ShippedDay(Day):
    def load(self):  # type: ignore[no-untyped-def]
        return load_trace()


def _assert_equal(tally: ScenarioResult, summary: dict[str, float]) -> None:
    assert tally.export_wh[0] == pytest.approx(summary["export_wh"], rel=1e-6)
    assert tally.avoidable_wh[0] == pytest.approx(summary["avoidable_import_wh"], rel=1e-6)
    assert tally.peak10s_export_w[0] == pytest.approx(summary["peak10s_export_w"], rel=1e-6)
    assert tally.changes_per_min[0] == pytest.approx(summary["setpoint_changes_per_min"])
    assert tally.reversals_per_min[0] == pytest.approx(summary["reversals_per_min"])
    assert tally.imbalance_w[0] == pytest.approx(summary["imbalance_std_w"], rel=1e-6)
    assert tally.frames_per_min[0] * summary["seconds"] / 60.0 == pytest.approx(summary["frames_sent"])


FROM_S = 11 * 3600


@pytest.mark.parametrize(
    ("law", "policy", "metering", "extra_s", "seconds"),
    [
        ("pi", pi_law(PiGains()), Metering.NET, 1, 3600),
        ("predictive", predictive_law(PredictiveGains()), Metering.PER_PHASE, 0, 600),
    ],
)
def test_what_is_lived_is_what_the_product_simulates(
    law: str, policy: Policy, metering: Metering, extra_s: int, seconds: int
) -> None:
    end_s = FROM_S + seconds
    heat = DayScenario(_ShippedDay(Path("shipped"), "val", "3ph"), FROM_S, metering, 3, extra_s)
    site = default_site(metering)
    scenario = Scenario(load_trace(), site, "3ph", FROM_S, end_s, 3, float(extra_s))
    acting = pilot(law, site)
    assert acting is not None
    unwatched = replace(acting, parts=replace(acting.parts, watches=Watches.of(())))
    lived = simulate(scenario, unwatched)  # the batch leaves out what acts on an unhealthy loop
    _assert_equal(run(rows_of([heat], seconds), policy), dict(lived.score.summary()))


@pytest.mark.parametrize(
    ("name", "is_told"),
    [("slow-8", True), ("late-4", True), ("gain-low", True), ("meter-5s", False), ("meter-late", True)],
)
def test_members_of_the_family_are_lived_as_the_product_simulates_them(name: str, is_told: bool) -> None:
    seconds, seed, day = 200, 5, _ShippedDay(Path("shipped"), "val", "3ph")
    plant, member = load_description(name), FamilyMember(name, is_told)
    heat = DayScenario(day, FROM_S, Metering.NET, seed, 0, member=member)
    site = plant.core_site()
    if is_told:
        slaves = told_slaves(site.slaves, plant, seed)
        site = replace(site, slaves=slaves, meter_delay_s=plant.meter.lateness_s(site.period_s))
    scenario = Scenario(load_trace(), site, "3ph", FROM_S, FROM_S + seconds, seed, plant=plant)
    law = PredictiveFallback(site, PredictiveGains())
    parts = assemble(site, law, None, watches=Watches.of(())).parts
    warm = replace(initial_memory(parts), watch=ModeSupervisor().warm)
    lived = simulate(scenario, SimulatedController(parts, warm, Authority.FALLBACK))
    tally = run(rows_of([heat], seconds), predictive_law(PredictiveGains()))
    _assert_equal(tally, dict(lived.score.summary()))


def test_a_site_that_no_batch_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="wired moves faster than by the second"):
        member_end(FamilyMember("wired"), 0, 0)
    with pytest.raises(ValueError, match="one-per-phase has slaves that are no heaters of 1700 W"):
        member_end(FamilyMember("one-per-phase"), 0, 0)


class _NetPolicy:
    """A network in the place of a bundle: sees what a bundle would see."""

    cold = ()

    def __init__(self, net: ReplayNet) -> None:
        self._net = net

    def propose(
        self, observation: Sequence[float], memory: tuple[Tensor, ...]
    ) -> tuple[Phases, tuple[Tensor, ...]]:
        with torch.no_grad():
            action_w, following = self._net(
                torch.tensor([observation]), memory[0] if memory else self._net.cold(1)
            )
        return phases(action_w[0].tolist()), (following,)


def test_a_network_lives_ten_minutes_as_it_would_in_the_product() -> None:
    torch.manual_seed(7)
    net = ReplayNet()
    torch.nn.init.normal_(net.last.weight, std=0.1)
    end_s = FROM_S + 600
    heat = DayScenario(_ShippedDay(Path("shipped"), "val", "3ph"), FROM_S, Metering.NET, 8, 0)
    site = default_site()
    parts = assemble(site, PiFallback(site), None, watches=Watches.of(())).parts
    parts = replace(parts, policy=_NetPolicy(net), supervisor=AlwaysPolicySupervisor())
    scenario = Scenario(load_trace(), site, "3ph", FROM_S, end_s, 8)
    lived = simulate(scenario, SimulatedController(parts, initial_memory(parts), Authority.POLICY))
    _assert_equal(run(rows_of([heat], 600), net.policy), dict(lived.score.summary()))
