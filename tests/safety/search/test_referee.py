"""The referee of the random lives speaks on a planted frame of each kind, and on a floor that is broken."""

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from core.allocation import totals_w
from core.decision import SOURCE, Source, State
from core.limits import Limits
from daemon.runtime.on_air import DeliveryGroup
from drivers.zigbee.setpoint_frame import encode
from safety import gate as gate_module
from safety import supervisor as supervisor_module
from safety.gate import SafetyGate
from tests.safety.search import referee as referee_module
from tests.safety.search.house import KEY, NETWORK
from tests.safety.search.lives import live
from tests.safety.search.referee import HEAD, RULES, SAFE_RELEASE, TAG_BYTES, LastTold, Referee, Unsafe

QUIET = (0.0, 0.0, 0.0)


def frame(*watts: int, counter: int = 2, safe: bool = False, ttl_s: int = 15, base: int = 0) -> bytes:
    """Bytes that no encoder would make: nothing is checked."""
    head = HEAD.pack(0x10 | safe * SAFE_RELEASE, counter, ttl_s, base, len(watts))
    return head + b"".join(w.to_bytes(2, "little", signed=True) for w in watts) + bytes(TAG_BYTES)


def settled(of_grid: bool = False, on_air: tuple[int, int, int] = (900, 900, 900)) -> Referee:
    """A referee of one slave on each phase that has seen this go on air at 1 s, and a good sample at 2 s."""
    referee = Referee({0: 0, 1: 1, 2: 2}, {0: 6000, 1: 5000, 2: 5000}, of_grid=of_grid)
    referee.told = {slot: LastTold(setpoint_w, 1.0) for slot, setpoint_w in enumerate(on_air)}
    referee.counters = dict.fromkeys(range(3), 1)
    referee.last_at_s, referee.has_acted = 1.0, True
    referee.sampled(QUIET, 0.05)
    return referee


PLANTED: dict[str, list[tuple[Callable[[], Referee], bytes, dict[str, Any]]]] = {}


def plant(
    rule: str, payload: bytes, at_s: float = 2.0, referee: Callable[[], Referee] = settled, **says: bool
) -> None:
    """A frame that breaks this rule, and what else is told of it."""
    PLANTED.setdefault(rule, []).append((referee, payload, {"at_s": at_s, **says}))


def with_samples(
    *samples: tuple[tuple[float, float, float], float], restart: bool = False, **options: Any
) -> Callable[[], Referee]:
    """A settled referee that then knows these samples, each with its age."""

    def make() -> Referee:
        referee = settled(**options)
        if restart:
            referee.restarted()
        for grid_w, age_s in samples:
            referee.sampled(grid_w, age_s)
        return referee

    return make


def in_two(*before: tuple[bytes, float], phase_max_w: float = 5000.0) -> Callable[[], Referee]:
    """A referee of slaves in two frames: (2000, 1000, 0) W and (2500, 0, 0) W, and these frames after it."""

    def make() -> Referee:
        on_air = {0: 2000, 1: 1000, 2: 0, 30: 2500, 31: 0, 32: 0}
        referee = Referee({slot: slot % 3 for slot in on_air}, dict.fromkeys(on_air, 5000))
        referee.phase_max_w = phase_max_w
        referee.told = {slot: LastTold(setpoint_w, 1.0) for slot, setpoint_w in on_air.items()}
        referee.counters = dict.fromkeys(on_air, 1)
        referee.last_at_s, referee.has_acted = 1.0, True
        referee.opened(2.0)
        referee.sampled(QUIET, 0.05)
        for payload, at_s in before:
            referee.judge(at_s, payload, is_policy=False, is_blocked=False)
        return referee

    return make


GOOD, LATE, LOST = (QUIET, 0.05), (QUIET, 1.05), (QUIET, 2.55)

plant("layout", frame(900, 900, 900, ttl_s=60))
plant("layout", frame(900, 900, 900, base=1))
plant("layout", frame(900, 900, 900)[:-1])
plant("layout", frame(900, 900, 900, 900))
plant("counter", frame(900, 900, 900, counter=1))
plant("slave", frame(-1, 900, 900))
plant("slave", frame(900, 5001, 900))
plant("box", frame(5001, 4900, 4900), referee=with_samples(on_air=(4900, 4900, 4900)))
plant("release", frame(1, 0, 0, safe=True))
plant("step", frame(1901, 900, 900))
plant("step", frame(1500, 1500, 1500))
plant("step", frame(2901, 900, 900), at_s=9.0)
plant("step", frame(0, 0, 0))
plant("step", frame(2001, 0, 0), at_s=17.0)
plant("imbalance", frame(4300, 0, 0), referee=with_samples(on_air=(4200, 0, 0)))
plant(
    "imbalance",
    frame(4300, 0, 0),
    referee=with_samples(((nan, 0.0, 0.0), 0.05), of_grid=True, on_air=(4200, 0, 0)),
)
plant("grid imbalance", frame(1000, 900, 900), referee=with_samples(((4300.0, 0.0, 0.0), 0.05), of_grid=True))
plant("lost", frame(900, 900, 900), referee=with_samples(LOST))
plant("stale", frame(901, 900, 900), referee=with_samples(LATE))
plant("stale", frame(901, 900, 900), referee=with_samples(((nan, 0.0, 0.0), 0.05)))
plant("start", frame(900, 900, 900), referee=with_samples(*[GOOD] * 9, restart=True))
plant("start", frame(900, 900, 900), referee=with_samples(*[GOOD] * 9, LATE, GOOD, restart=True))
plant("stop", frame(900, 900, 900), referee=with_samples(LOST, *[GOOD] * 29))
plant("box", frame(2600, 1000, 0), referee=in_two())
plant("box", frame(2001, 1000, 0), referee=in_two(phase_max_w=4000.0))
plant("step", frame(2500, 0, 800, base=30), referee=in_two((frame(2000, 1700, 0), 2.0)))
plant("pace", frame(1000, 0, 0, base=30), referee=in_two((frame(1000, 1000, 0), 2.0)), is_late=True)
plant("imbalance", frame(2000, 200, 0), referee=in_two())
plant("late imbalance", frame(2000, 200, 0), referee=in_two(), is_late=True)
plant("counter", frame(2000, 1000, 0, counter=1), referee=in_two())
plant("slave", frame(2500, 0, 5001, base=30), referee=in_two())
plant("blocked", frame(900, 900, 900), is_policy=True, is_blocked=True)

CASES = [(rule, *case) for rule, cases in PLANTED.items() for case in cases]


def judge(
    referee: Referee,
    payload: bytes,
    at_s: float,
    is_policy: bool = False,
    is_blocked: bool = False,
    is_late: bool = False,
) -> None:
    referee.judge(at_s, payload, is_policy=is_policy, is_blocked=is_blocked, is_late=is_late)


@pytest.mark.parametrize(("rule", "referee", "payload", "says"), CASES)
def test_every_rule_speaks_on_its_planted_frame(
    rule: str, referee: Callable[[], Referee], payload: bytes, says: dict[str, Any]
) -> None:
    with pytest.raises(Unsafe) as told:
        judge(referee(), payload, **says)
    assert told.value.rule == rule


def test_every_rule_has_a_planted_frame() -> None:
    assert PLANTED.keys() == set(RULES)


@pytest.mark.parametrize(
    ("referee", "payload", "says"),
    [
        (settled, frame(1900, 900, 900), {}),
        (settled, frame(2900, 900, 900), {"at_s": 9.0}),
        (settled, frame(0, 0, 0, safe=True), {}),
        (settled, frame(2000, 0, 0), {"at_s": 17.0}),
        (with_samples(on_air=(4200, 0, 0)), frame(4242, 0, 0), {}),
        (with_samples(on_air=(4300, 0, 0)), frame(4300, 0, 0), {}),
        (with_samples(((4300.0, 0.0, 0.0), 0.05), of_grid=True), frame(800, 900, 900), {}),
        (with_samples(LATE), frame(900, 900, 900), {}),
        (with_samples(LOST), frame(0, 0, 0, safe=True), {}),
        (with_samples(*[GOOD] * 10, restart=True), frame(900, 900, 900), {}),
        (with_samples(*[GOOD] * 10, LATE, restart=True), frame(900, 900, 900), {}),
        (with_samples(LOST, *[GOOD] * 30), frame(900, 900, 900), {}),
        (settled, frame(900, 900, 900), {"is_policy": True}),
        (settled, frame(900, 900, 900), {"is_blocked": True}),
        (in_two(), frame(2000, 1999, 0), {}),
        (in_two((frame(2000, 1700, 0), 2.0)), frame(2500, 0, 700, base=30), {}),
        (in_two((frame(1400, 1000, 0), 2.0)), frame(2500, 700, 0, base=30), {}),
        (in_two((frame(1000, 1000, 0), 2.0)), frame(1501, 0, 0, base=30), {"is_late": True}),
        (in_two(phase_max_w=4000.0), frame(1999, 1000, 0), {}),
        (in_two(), frame(0, 0, 0, safe=True), {}),
    ],
)
def test_what_is_allowed_passes(referee: Callable[[], Referee], payload: bytes, says: dict[str, Any]) -> None:
    judge(referee(), payload, **{"at_s": 2.0, **says})


def test_it_reads_what_the_encoder_writes() -> None:
    (payload,) = encode({0: 1900, 1: 900, 2: 900}, counter=2, ttl_s=15, key=KEY, network_id=NETWORK)
    referee = settled()
    judge(referee, payload, 2.0)
    assert [referee.told[slot].setpoint_w for slot in range(3)] == [1900, 900, 900]


def test_it_shares_no_code_with_the_project() -> None:
    tree = ast.parse(Path(referee_module.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in imports
        for alias in node.names
    }
    assert found <= sys.stdlib_module_names


def break_box(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate_module, "PHASE_CAP_W", 9000.0)
    patch.setattr("tests.safety.search.house.Limits", lambda **kinds: Limits(phase_max_w=9000.0, **kinds))


def break_step(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SafetyGate, "_reach_w", lambda *_: 3000.0)
    patch.setattr("core.slew.CREDIT_MAX_S", 3.0)
    patch.setattr(gate_module, "CREDIT_MAX_S", 3.0)


def break_imbalance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SafetyGate, "_balanced", lambda *_: True)
    patch.setattr("core.slew.balanced", lambda *_: True)
    patch.setattr("tests.safety.search.house.Limits", lambda **kinds: Limits(imbalance_max_w=2400.0, **kinds))


def break_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(supervisor_module, "METER_LOST_S", 9.0)


def break_start(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(supervisor_module, "GOOD_AT_START", 9)


def break_stop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(supervisor_module, "GOOD_AFTER_STOP", 29)


def break_blocked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "safety.timers._elapse", lambda standing, _elapsed_s: type(standing)(latched=standing.latched)
    )


def break_groups(patch: pytest.MonkeyPatch) -> None:
    """The whole vector is judged, and sent frame by frame."""
    patch.setattr(
        SafetyGate,
        "accepts_setpoints",
        lambda gate, setpoints_w, _withheld, source, seen: gate.accepts(
            totals_w(setpoints_w, gate._site), source, seen
        ),
    )


def break_corners(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SafetyGate, "_corners_balanced", lambda *_: True)


def break_pending(patch: pytest.MonkeyPatch) -> None:
    """Whoever was told without an answer is taken to follow."""
    patch.setattr(DeliveryGroup, "unconfirmed", DeliveryGroup.accepted)


def break_ages(patch: pytest.MonkeyPatch) -> None:
    """One accepted frame renews the age of everybody, and nobody's time to live is over."""
    at = DeliveryGroup.at
    patch.setattr(
        DeliveryGroup, "at", lambda group, at_s: replace(at(group, at_s), age_s=inf, may_rest=False)
    )


def break_stale(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SOURCE, State.HOLD, Source.FALLBACK)


@pytest.mark.parametrize(
    ("breaks", "rules"),
    [
        (break_box, {"box"}),
        (break_step, {"step"}),
        (break_imbalance, {"imbalance", "grid imbalance"}),
        (break_lost, {"lost", "stop"}),
        (break_start, {"start"}),
        (break_stop, {"stop"}),
        (break_blocked, {"blocked"}),
        (break_stale, {"stale"}),
        (break_groups, {"box", "step", "pace", "imbalance", "grid imbalance", "late imbalance"}),
        (break_corners, {"imbalance", "grid imbalance", "late imbalance"}),
        (break_pending, {"box", "step", "pace", "imbalance", "grid imbalance"}),
        (break_ages, {"step", "pace"}),
    ],
)
def test_a_broken_floor_is_seen_in_the_lives(
    breaks: Callable[[pytest.MonkeyPatch], None], rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    with pytest.raises(Unsafe) as told:
        live(20_000, seed=2)
    assert told.value.rule in rules
