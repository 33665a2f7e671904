"""Frames are cleared by safety alone, and only when they say what was decided."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.authorization import AuthorizedFrame
from core.decision import Anomaly, Authority, Decision, Send, Source, State, SupervisorDecision
from core.site import ZERO, Site, Slave
from core.snapshot import GroupOnAir, Snapshot
from safety.gate import SafetyGate
from tests.support.examples import estimate, site, snapshot

ROOT = Path(__file__).parents[2]
SETPOINTS_W = (100, 200, 300, 0, 50, 60)
SAFE = (0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Frame:
    base: int
    setpoints_w: tuple[int, ...]
    safe_release: bool = False


def in_groups(*sizes: int) -> Snapshot:
    """Nothing is on air, and so many slaves are told in each message."""
    seen, first, groups = snapshot(slaves=sum(sizes)), 0, []
    for size in sizes:
        groups.append(GroupOnAir(tuple(range(first, first + size)), 1.0, ZERO, ZERO))
        first += size
    return replace(seen, on_air=replace(seen.on_air, groups=tuple(groups)))


def decision(setpoints_w: tuple[int, ...], source: Source) -> Decision:
    return Decision(
        tick=0,
        authority=Authority.POLICY,
        verdict=SupervisorDecision(State.SAFE_STOP if source is Source.REST else State.RL_ACTIVE),
        estimate=estimate(snapshot()),
        policy_action_w=None,
        fallback_action_w=ZERO,
        requested_action_w=ZERO,
        safe_action_w=ZERO,
        setpoints_w=setpoints_w,
        send=Send.CHANGE,
        anomaly=Anomaly(),
        violations=(),
        interventions=(),
    )


def clear(
    frames: Sequence[Frame | Exception],
    setpoints_w: tuple[int, ...] = SETPOINTS_W,
    source: Source = Source.POLICY,
    seen: Snapshot | None = None,
    at: Site | None = None,
) -> tuple[AuthorizedFrame, ...] | None:
    """Clear frames that decode to these."""
    told = {bytes([number]): frame for number, frame in enumerate(frames)}

    def decode(payload: bytes) -> Frame:
        frame = told[payload]
        if isinstance(frame, Exception):
            raise frame
        return frame

    seen = seen or snapshot()
    return SafetyGate(at or site()).clear_all(list(told), decode, decision(setpoints_w, source), seen)


def test_a_frame_that_says_what_was_decided_is_cleared() -> None:
    assert clear([Frame(0, SETPOINTS_W)]) == (AuthorizedFrame(b"\0", False, Frame(0, SETPOINTS_W)),)


def test_several_frames_of_one_vector_are_cleared_together() -> None:
    frames = [Frame(0, SETPOINTS_W[:4]), Frame(4, SETPOINTS_W[4:])]
    found = clear(frames, seen=in_groups(4, 2))
    assert found == (AuthorizedFrame(b"\0", False, frames[0]), AuthorizedFrame(b"\1", False, frames[1]))
    assert clear(frames[::-1], seen=in_groups(4, 2)) is not None
    assert clear(frames, seen=in_groups(3, 3)) is None
    assert clear(frames) is None


def test_a_slot_in_a_gap_must_rest() -> None:
    slaves = tuple(replace(slave, slot=slave.slot * 2) for slave in site().slaves)
    told = tuple(x for pair in zip(SETPOINTS_W, SAFE, strict=True) for x in pair)[:-1]
    assert clear([Frame(0, told)], at=site(slaves)) is not None
    assert clear([Frame(0, (*told[:1], 1, *told[2:]))], at=site(slaves)) is None


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [Frame(0, ())],
        [Frame(0, (101, *SETPOINTS_W[1:]))],
        [Frame(0, (*SETPOINTS_W[:5], 61))],
        [Frame(1, SETPOINTS_W)],
        [Frame(0, SETPOINTS_W[:5])],
        [Frame(1, SETPOINTS_W[1:])],
        [Frame(0, (*SETPOINTS_W, 1))],
        [Frame(0, SETPOINTS_W, safe_release=True)],
        [Frame(0, SETPOINTS_W), Frame(0, SETPOINTS_W)],
        [Frame(0, SETPOINTS_W), Frame(6, (0,), safe_release=True)],
        [Frame(0, SETPOINTS_W), Frame(6, (), safe_release=True)],
        [Frame(0, SETPOINTS_W[:4]), Frame(3, SETPOINTS_W[3:])],
        [Frame(0, SETPOINTS_W[:4])],
        [ValueError("the tag is wrong")],
        [Frame(0, SETPOINTS_W), RuntimeError()],
    ],
)
def test_anything_else_is_not(frames: list[Frame | Exception]) -> None:
    assert clear(frames) is None


def test_a_true_copy_of_a_forbidden_vector_is_not_cleared() -> None:
    too_far = (900, 900, 0, 0, 0, 0)
    assert clear([Frame(0, too_far)], too_far) is None
    assert clear([Frame(0, too_far)], too_far, seen=snapshot(age_s=2.0)) is not None


def test_rest_is_cleared_as_safe_release_and_only_as_that() -> None:
    seen = snapshot((3000.0, 3000.0, 3000.0))
    assert clear([Frame(0, SAFE, True)], SAFE, Source.REST, seen) == (
        AuthorizedFrame(b"\0", True, Frame(0, SAFE, True)),
    )
    assert clear([Frame(0, SAFE, False)], SAFE, Source.REST, seen) is None
    assert clear([Frame(0, SAFE, False)], SAFE, Source.FALLBACK, seen) is None
    moved = (1, 0, 0, 0, 0, 0)
    assert clear([Frame(0, moved, True)], moved, Source.REST, seen) is None


def test_more_slaves_than_one_frame_holds() -> None:
    slaves = tuple(Slave(slot, str(slot), slot % 3, 100) for slot in range(70))
    told = tuple(range(20)) + (0,) * 50
    frames = [Frame(0, told[:30]), Frame(30, told[30:60]), Frame(60, told[60:])]
    seen = in_groups(30, 30, 10)
    found = clear(frames, told, seen=seen, at=site(slaves))
    assert found is not None
    assert len(found) == 3
    assert clear(frames[:2], told, seen=seen, at=site(slaves)) is None


def calls_of(name: str, source: Path) -> list[int]:
    """Lines where something called `name` is called, or passed on under another name."""
    tree = ast.parse(source.read_text())
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            callee = node.func
            called = getattr(callee, "id", getattr(callee, "attr", ""))
            if called == name or (called in {"replace", "copy"} and name in ast.unparse(node)):
                lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and any(a.name == name and a.asname for a in node.names):
            lines.append(node.lineno)
    return lines


def product_sources() -> list[Path]:
    floors = ("core", "safety", "models", "drivers", "plant", "daemon", "training", "benchmarks")
    return [path for floor in floors for path in sorted((ROOT / floor).rglob("*.py"))]


def test_only_the_gate_makes_a_pass() -> None:
    makers = {str(path.relative_to(ROOT)) for path in product_sources() if calls_of("AuthorizedFrame", path)}
    assert makers == {"safety/gate.py"}


def test_the_search_for_makers_finds_them(tmp_path: Path) -> None:
    for number, planted in enumerate(
        [
            "from core.authorization import AuthorizedFrame\nx = AuthorizedFrame(b'', False)",
            "import core.authorization\nx = core.authorization.AuthorizedFrame(b'', False)",
            "from core.authorization import AuthorizedFrame as C\nx = C(b'', False)",
        ]
    ):
        source = tmp_path / f"{number}.py"
        source.write_text(planted)
        assert calls_of("AuthorizedFrame", source)


def test_a_message_that_is_lost_before_it_is_sent_keeps_no_other_back() -> None:
    told = {b"\0": Frame(0, SETPOINTS_W[:4])}
    gate, decided = SafetyGate(site()), decision(SETPOINTS_W, Source.POLICY)
    cleared = gate.clear_all(list(told), told.__getitem__, decided, in_groups(4, 2), lost=(1,))
    assert cleared == (AuthorizedFrame(b"\0", False, told[b"\0"]),)
    assert gate.clear_all(list(told), told.__getitem__, decided, in_groups(4, 2)) is None
    assert gate.clear_all(list(told), told.__getitem__, decided, in_groups(4, 2), lost=(0,)) is None


def test_whoever_may_not_draw_is_told_nothing_but_rest() -> None:
    slaves = tuple(replace(slave, may_draw=slave.slot != 1) for slave in site().slaves)
    resting = (100, 0, 300, 0, 50, 60)
    assert clear([Frame(0, SETPOINTS_W)], at=site(slaves)) is None
    assert clear([Frame(0, resting)], resting, at=site(slaves)) is not None
    assert clear([Frame(0, SAFE, True)], SAFE, Source.REST, at=site(slaves)) is not None
