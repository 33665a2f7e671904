"""The referee of the random lives speaks on a planted frame of each kind, and on a floor that is broken."""

import ast
import sys
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

import pytest

from core.decision import Source, State
from core.limits import Limits
from drivers.zigbee.setpoint_frame import encode
from safety import gate as gate_module
from safety import supervisor as supervisor_module
from safety.faults import SOURCE
from safety.gate import SafetyGate
from tests.safety.search import referee as referee_module
from tests.safety.search.house import KEY, NETWORK
from tests.safety.search.lives import live
from tests.safety.search.referee import HEAD, RULES, SAFE_RELEASE, TAG_BYTES, Referee, Unsafe

QUIET = (0.0, 0.0, 0.0)


def frame(*watts: int, counter: int = 2, safe: bool = False, ttl_s: int = 15, base: int = 0) -> bytes:
    """Bytes that no encoder would make: nothing is checked."""
    head = HEAD.pack(0x10 | safe * SAFE_RELEASE, counter, ttl_s, base, len(watts))
    return head + b"".join(w.to_bytes(2, "little", signed=True) for w in watts) + bytes(TAG_BYTES)


def settled(of_grid: bool = False, on_air: tuple[int, int, int] = (900, 900, 900)) -> Referee:
    """A referee of one slave on each phase that has seen this go on air at 1 s, and a good sample at 2 s."""
    referee = Referee([0, 1, 2], [6000, 5000, 5000], of_grid=of_grid)
    a, b, c = on_air
    referee.last_w, referee.last_at_s, referee.counter, referee.has_acted = (
        (float(a), float(b), float(c)),
        1.0,
        1,
        True,
    )
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
plant("blocked", frame(900, 900, 900), is_policy=True, is_blocked=True)

CASES = [(rule, *case) for rule, cases in PLANTED.items() for case in cases]


def judge(
    referee: Referee, payload: bytes, at_s: float, is_policy: bool = False, is_blocked: bool = False
) -> None:
    referee.judge(at_s, payload, is_policy=is_policy, is_blocked=is_blocked)


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
    ],
)
def test_what_is_allowed_passes(referee: Callable[[], Referee], payload: bytes, says: dict[str, Any]) -> None:
    judge(referee(), payload, **{"at_s": 2.0, **says})


def test_it_reads_what_the_encoder_writes() -> None:
    (payload,) = encode({0: 1900, 1: 900, 2: 900}, counter=2, ttl_s=15, key=KEY, network_id=NETWORK)
    referee = settled()
    judge(referee, payload, 2.0)
    assert referee.last_w == (1900.0, 900.0, 900.0)


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
    patch.setattr(SafetyGate, "_reach_w", lambda _self, _snapshot: 3000.0)
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


def break_stale(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SOURCE, State.HOLD, Source.FALLBACK)


@pytest.mark.parametrize(
    ("breaks", "rules"),
    [
        (break_box, {"box"}),
        (break_step, {"step"}),
        (break_imbalance, {"imbalance", "grid imbalance"}),
        (break_lost, {"lost"}),
        (break_start, {"start"}),
        (break_stop, {"stop"}),
        (break_blocked, {"blocked"}),
        (break_stale, {"stale"}),
    ],
)
def test_a_broken_floor_is_seen_in_the_lives(
    breaks: Callable[[pytest.MonkeyPatch], None], rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    with pytest.raises(Unsafe) as told:
        live(20_000, seed=2)
    assert told.value.rule in rules
