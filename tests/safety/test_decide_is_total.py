"""`decide` raises nothing: for every configuration that is accepted, whatever the world looks like."""

from dataclasses import replace
from functools import cache
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.allocation import totals_w
from core.decision import Authority, Decision, Send, Source
from core.estimation.actuator_model import EXTRA_DELAY_MAX_S, MEAN_AGE_S
from core.estimation.state_estimate import EstimatorState, estimate_state
from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S, ImbalanceOf, Limits
from core.parts import Memory, Parts, initial_memory
from core.site import per_phase
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.config.settings import Settings, SettingsError, parse_settings
from daemon.runtime.assembly import assemble, fallback_law
from models.bundle import Bundle, builtin_bundle, load_bundle
from safety.pi import PiFallback
from safety.supervisor import ModeSupervisor
from tests.support.examples import actions, grids, site, snapshot, wild, wild_actions

BASE = """
[meter]
profile = "sdm630"
[meter.transport]
type = "tcp"
host = "127.0.0.1"
[radio]
path = "/dev/null"
"""
CAPS = {
    "phase_max_w": PHASE_CAP_W,
    "step_max_w_per_s": STEP_CAP_W_PER_S,
    "imbalance_max_w": IMBALANCE_CAP_W,
}
PI = {"kp": st.floats(0.0, 2.0), "ki": st.floats(0.0, 2.0)}
PREDICTIVE = {
    "k_up": st.floats(0.0, 1.0, exclude_min=True),
    "k_down": st.floats(0.0, 1.0, exclude_min=True),
    "trend_s": st.floats(0.0, 5.0),
    "slope_share": st.floats(0.0, 1.0, exclude_min=True),
    "slope_max_w_per_s": st.floats(0.0, STEP_CAP_W_PER_S, exclude_min=True),
    "lead": st.floats(0.0, 2.0),
}


def upto(cap: float) -> st.SearchStrategy[float]:
    """Every value that a tightened limit may have, the tiny ones often."""
    tiny = st.sampled_from([5e-324, 1e-300, 1e-9, 0.5, 1.0, 1.9999999, 2.0, 2.0000001, cap])
    return st.one_of(tiny, st.floats(0.0, cap, exclude_min=True))


@st.composite
def configurations(draw: st.DrawFn) -> Settings:
    """A configuration that the daemon accepts."""
    limits: dict[str, object] = {name: draw(upto(cap)) for name, cap in CAPS.items() if draw(st.booleans())}
    limits |= {"imbalance_of": draw(st.sampled_from(["action", "grid"]))}
    law = draw(st.sampled_from(["pi", "predictive"]))
    gains: dict[str, object] = {
        name: draw(value)
        for name, value in (PI if law == "pi" else PREDICTIVE).items()
        if draw(st.booleans())
    }
    gains |= {"margin_w": draw(st.floats(-500.0, 500.0))} if draw(st.booleans()) else {}
    slots = draw(st.lists(st.integers(0, 254), min_size=1, max_size=5, unique=True))
    slaves = [
        {
            "name": f"slave {slot}",
            "slot": slot,
            "phase": draw(st.sampled_from("abc")),
            "max_w": (most_w := draw(st.integers(1, 5000))),
            "min_w": draw(st.integers(0, min(most_w, 1998))),
        }
        for slot in slots
    ]
    site = {
        "role": draw(st.sampled_from(["absorb", "generate"])),
        "metering": draw(st.sampled_from(["net", "per_phase"])),
        "period_s": draw(st.one_of(st.sampled_from([0.1, 0.2, 1.0, 10.0]), st.floats(0.1, 10.0))),
    }
    text = BASE + "".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in (
            ("site", site),
            ("limits", limits),
            ("fallback", {"law": law} | gains),
            ("anomaly", {"z_threshold": draw(st.floats(1.0, 100.0))}),
            ("radio.airtime", {"frames_per_s": 0.05, "burst_frames": 1.0, "keep_alive_s": 20.0}),
        )
    )
    text += "".join("[[slaves]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in s.items()) for s in slaves)
    text = text.replace('path = "/dev/null"', 'path = "/dev/null"\nttl_s = 60')
    try:
        return parse_settings(text, Path("site.toml"))
    except SettingsError:
        return draw(st.nothing())


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def memories(parts: Parts) -> st.SearchStrategy[Memory]:
    """Of a daemon that has just started, and of one that controls already."""
    cold = initial_memory(parts)
    return st.sampled_from([cold, replace(cold, watch=ModeSupervisor().warm)])


@st.composite
def airs(draw: st.DrawFn, slaves: int, depth: int = 1) -> OnAirState:
    """Anything on air, sensible or not."""
    setpoints = draw(st.one_of(st.just(()), st.tuples(*[st.integers(-(2**70), 2**70)] * slaves)))
    doubts = draw(st.lists(airs(slaves, depth - 1), max_size=2)) if depth else []
    return OnAirState(draw(st.one_of(actions, wild_actions)), setpoints, draw(wild), tuple(doubts))


@st.composite
def snapshots(draw: st.DrawFn, slaves: int, at_s: float) -> Snapshot:
    """A snapshot of the right shape and of any content."""
    states = st.builds(SlaveState, st.booleans(), st.one_of(st.none(), wild), wild)
    causes = st.lists(
        st.one_of(st.sampled_from(["late_tick", "radio_down", "starting"]), st.text(max_size=5))
    )
    return Snapshot(
        tick=draw(st.integers(0, 2**63)),
        at_s=at_s,
        grid_power_w=draw(st.one_of(grids, wild_actions)),
        meter_age_s=draw(st.one_of(st.just(0.05), wild)),
        slaves=draw(st.tuples(*[states] * slaves)),
        on_air=draw(airs(slaves)),
        alarms=tuple(draw(causes)),
        acknowledged=tuple(draw(causes)),
        extra_delay_s=draw(wild),
        link_loss_rate=draw(wild),
        policy_latency_s=draw(wild),
        hour=draw(st.one_of(st.none(), st.integers(-1, 24))),
    )


@st.composite
def stories(draw: st.DrawFn, slaves: int) -> list[Snapshot]:
    """Some ticks, one second apart or at any instants at all."""
    count = draw(st.integers(1, 4))
    instants = draw(
        st.one_of(
            st.just([1000.0 + tick for tick in range(count)]), st.lists(wild, min_size=count, max_size=count)
        )
    )
    return [draw(snapshots(slaves, at_s)) for at_s in instants]


@cache
def bundle() -> Bundle:
    return load_bundle(builtin_bundle("builtin"))


def parts_of(configuration: Settings, *, with_policy: bool) -> Parts:
    site = configuration.core_site()
    source = bundle if with_policy and configuration.site.role.value == "absorb" else None
    return assemble(
        site, fallback_law(configuration, site), source, z_threshold=configuration.anomaly.z_threshold
    ).parts


def require_sound(decision: Decision, configuration: Settings) -> None:
    """What is decided can be sent, whatever was seen."""
    limit_w = configuration.limits.phase_max_w
    assert all(0.0 <= action_w <= PHASE_CAP_W for action_w in decision.safe_action_w)
    assert all(isinstance(setpoint_w, int) for setpoint_w in decision.setpoints_w)
    if decision.verdict.source is not Source.REST and decision.send is Send.CHANGE:
        assert all(w <= limit_w for w in totals_w(decision.setpoints_w, configuration.core_site()))


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_is_raised_for_any_configuration_and_any_snapshot(data: st.DataObject) -> None:
    configuration = data.draw(configurations())
    parts = parts_of(configuration, with_policy=data.draw(st.booleans()))
    memory = data.draw(memories(parts))
    for seen in data.draw(stories(len(configuration.slaves))):
        decision, memory = decide(seen, data.draw(st.sampled_from(Authority)), memory, parts)
        require_sound(decision, configuration)


@pytest.mark.parametrize("limit_w", [5e-324, 0.5, 1.0, 1.999, 2.0, 2.0000001])
@pytest.mark.parametrize("imbalance_of", ImbalanceOf)
def test_phases_that_must_be_alike_are_served_alike(limit_w: float, imbalance_of: ImbalanceOf) -> None:
    """By day and at night: a limit within the rounding to whole watts divided by zero where all was 0 W."""
    at = site(limits=Limits(imbalance_max_w=limit_w, imbalance_of=imbalance_of))
    parts = assemble(at, PiFallback(at), None).parts
    memory = replace(initial_memory(parts), watch=ModeSupervisor().warm)
    setpoints_w: tuple[int, ...] = ()
    for second in range(20):
        surplus_w = 0.0 if second < 5 else 3000.0
        on_air_w = totals_w(setpoints_w or (0,) * 6, at)
        grid_w = per_phase([on_air - surplus_w / 3.0 for on_air in on_air_w])
        seen = snapshot(on_air_w, 2.0, grid_w, 1000.0 + second, setpoints_w=setpoints_w)
        decision, memory = decide(seen, Authority.FALLBACK, memory, parts)
        setpoints_w = decision.setpoints_w
        assert len(set(totals_w(setpoints_w, at))) == 1
    assert sum(setpoints_w) > 2500


@pytest.mark.parametrize("extra_delay_s", [nan, inf, -inf, -10.0, 1e300, 2.0**70])
def test_a_senseless_delay_is_not_believed(extra_delay_s: float) -> None:
    seen = replace(snapshot(), extra_delay_s=extra_delay_s)
    _, belief = estimate_state(site(), seen, EstimatorState())
    seen_again, _ = estimate_state(site(), replace(seen, at_s=seen.at_s + 1.0), belief)
    assert 0.0 <= seen_again.delay_s <= MEAN_AGE_S + EXTRA_DELAY_MAX_S
