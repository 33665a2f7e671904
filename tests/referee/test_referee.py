"""The referee is judged itself: silent on a clean run, and every rule speaks on the frame planted for it."""

import ast
import json
import subprocess
import sys
from math import nan
from typing import Any

import pytest

from drivers.zigbee.setpoint_frame import encode
from tests.referee.referee import RULES
from tests.referee.tap import REFEREE

KEY, NETWORK = bytes(range(32)), bytes(range(8))
SITE = {
    "kind": "site",
    "site": "a",
    "slaves": [[0, 0], [1, 1], [2, 2], [3, 0]],
    "key": KEY.hex(),
    "network": NETWORK.hex(),
    "period_s": 1.0,
    "ttl_s": 15,
    "tolerance_s": 0.1,
    "good_at_start": 10,
    "good_after_stop": 30,
}
Line = dict[str, Any]


def answer(at_s: float, power_w: float | None = -1000.0, *, wobble: float = 0.0) -> Line:
    """A sample of three equal phases at a plausible voltage and current."""
    if power_w is None:
        return {"kind": "answer", "site": "a", "at_s": at_s, "power_w": None}
    powers = [power_w + wobble] * 3
    return {
        "kind": "answer",
        "site": "a",
        "at_s": at_s,
        "power_w": powers,
        "voltage_v": [230.0] * 3,
        "current_a": [abs(power_w) / 230.0] * 3,
    }


def frame(at_s: float, counter: int, watts: tuple[int, ...], **more: Any) -> Line:
    """A frame as the daemon would build it."""
    told: dict[str, Any] = {"counter": counter, "ttl_s": 15, "key": KEY, "network_id": NETWORK} | more
    (payload,) = encode(dict(enumerate(watts)), **told)
    return {"kind": "frame", "site": "a", "at_s": at_s, "payload": payload.hex()}


def clean_run() -> list[Line]:
    """Start, ten samples, growing setpoints, a held one, a lost meter, rest, and back after 30 samples."""
    lines: list[Line] = [SITE, {"kind": "start", "site": "a"}]
    lines.append(frame(0.5, 1, (0, 0, 0, 0), safe_release=True))
    for t in range(1, 21):
        lines.append(answer(float(t), wobble=0.1 * t))
        if t in (12, 14, 16, 18, 20):
            w = (t - 10) * 100
            lines.append(frame(t + 0.01, t, (w // 2, w, w, w // 2)))
    lines += [answer(21.0, None), answer(21.3, None), frame(21.7, 21, (500, 1000, 1000, 500))]
    lines += [answer(22.0, None), answer(22.3, None), frame(22.6, 22, (0, 0, 0, 0), safe_release=True)]
    lines += [answer(t + 0.0, wobble=0.1 * t) for t in range(30, 60)]
    lines += [frame(59.1, 60, (300, 300, 300, 200)), answer(60.0), answer(61.0), answer(62.0)]
    lines += [frame(62.1, 61, (300, 300, 300, 200)), {"kind": "clock", "site": "a", "at_s": 63.0}]
    return lines


def judged(lines: list[Line]) -> list[str]:
    """The rules that the referee, as its own process outside of this tree, says are broken."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(
        [sys.executable, "-I", str(REFEREE)], input=text, capture_output=True, text=True, check=False, cwd="/"
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert verdicts, done.stderr
    rules = [verdict["rule"] for verdict in verdicts[:-1]]
    assert done.returncode == (1 if rules else 0)
    assert sum(verdicts[-1]["broken"].values()) == len(rules)
    return rules


def put(lines: list[Line], line: Line) -> list[Line]:
    """A line among the others, at its instant."""
    after = [i for i, other in enumerate(lines) if other.get("at_s", -1.0) <= line["at_s"]]
    return [*lines[: after[-1] + 1], line, *lines[after[-1] + 1 :]]


def changed(lines: list[Line], at_s: float, line: Line) -> list[Line]:
    """The frame of an instant replaced."""
    assert any(old.get("at_s") == at_s and old["kind"] == "frame" for old in lines)
    return [line if old.get("at_s") == at_s and old["kind"] == "frame" else old for old in lines]


def spoilt(line: Line, at: int, value: int) -> Line:
    """A frame with one byte changed."""
    payload = bytearray.fromhex(line["payload"])
    payload[at] = value
    return line | {"payload": payload.hex()}


LAST = (300, 300, 300, 200)
CLEAN = clean_run()
OK = frame(62.1, 61, LAST)
PLANTED: list[tuple[str, list[Line]]] = [
    ("tag", changed(CLEAN, 62.1, spoilt(OK, -1, 0x55))),
    ("tag", changed(CLEAN, 62.1, frame(62.1, 61, LAST, key=bytes(32)))),
    ("tag", changed(CLEAN, 62.1, frame(62.1, 61, LAST, network_id=bytes(8)))),
    ("layout", changed(CLEAN, 62.1, spoilt(OK, 0, 0x20))),
    ("layout", changed(CLEAN, 62.1, spoilt(OK, 7, 3))),
    ("layout", changed(CLEAN, 62.1, OK | {"payload": "10"})),
    ("counter", changed(CLEAN, 62.1, frame(62.1, 60, LAST))),
    ("ttl", changed(CLEAN, 62.1, frame(62.1, 61, LAST, ttl_s=16))),
    ("slots", changed(CLEAN, 62.1, frame(62.1, 61, (*LAST, 7)))),
    ("box", changed(CLEAN, 62.1, frame(62.1, 61, (5001, 300, 300, 200)))),
    ("imbalance", changed(CLEAN, 62.1, frame(62.1, 61, (4900, 300, 300, 200)))),
    ("step", changed(CLEAN, 20.01, frame(20.01, 20, (1400, 2300, 2300, 1400)))),
    ("step", changed(CLEAN, 59.1, frame(59.1, 60, (1300, 1300, 1300, 0)))),
    ("release", changed(CLEAN, 22.6, frame(22.6, 22, (500, 0, 0, 0), safe_release=True))),
    ("airtime", [*CLEAN, *(frame(62.2 + 0.1 * k, 62 + k, LAST) for k in range(7))]),
    ("blind", put(CLEAN, frame(0.6, 2, (0, 0, 0, 0)))),
    ("held", changed(CLEAN, 21.7, frame(21.7, 21, (500, 1000, 1000, 499)))),
    ("rest", put(CLEAN, frame(23.7, 23, (0, 0, 0, 0)))),
    ("rest", put(changed(CLEAN, 22.6, frame(22.6, 22, (500, 1000, 1000, 500))), frame(23.7, 23, (0,) * 4))),
    ("silence", [line for line in CLEAN if line.get("at_s") != 22.6]),
    ("early", put(CLEAN, frame(9.1, 2, (0, 0, 0, 0)))),
    ("early", put(CLEAN, frame(58.1, 59, (300, 300, 300, 200)))),
]


def test_a_clean_run_breaks_nothing() -> None:
    assert judged(CLEAN) == []


@pytest.mark.parametrize(
    ("rule", "lines"), PLANTED, ids=[f"{n} {rule}" for n, (rule, _) in enumerate(PLANTED)]
)
def test_every_rule_speaks_on_its_planted_frame(rule: str, lines: list[Line]) -> None:
    assert rule in judged(lines)


def test_every_rule_has_a_planted_frame() -> None:
    assert {rule for rule, _ in PLANTED} == set(RULES)


@pytest.mark.parametrize("power_w", [nan, 40_000.0])
def test_an_answer_that_cannot_be_true_is_no_good_sample(power_w: float) -> None:
    lines = [answer(t, power_w) if 21.0 <= (t := line.get("at_s", 0.0)) < 23.0 else line for line in CLEAN]
    kept = [new if old["kind"] == "answer" else old for new, old in zip(lines, CLEAN, strict=True)]
    assert judged(kept) == []
    assert judged(changed(kept, 21.7, frame(21.7, 21, (400, 1000, 1000, 500)))) == ["held"]


def test_frozen_answers_stop_being_good_samples() -> None:
    """The tenth equal answer, here the one at 69 s, is the first that is not believed."""
    frozen = [*CLEAN, *(answer(62.0 + t) for t in range(1, 13))]
    assert judged(frozen[:-4]) == []  # up to 70 s
    assert judged(put(frozen, frame(69.1, 62, (300, 300, 300, 200)))) == ["silence"]
    assert judged(put(frozen, frame(70.1, 62, (300, 300, 300, 100)))) == ["held", "silence"]
    assert judged(put(frozen, frame(72.1, 62, (300, 300, 300, 200)))) == ["silence", "rest"]
    assert judged(put(frozen, frame(70.1, 62, (0, 0, 0, 0), safe_release=True))) == []


def test_a_killed_controller_cannot_be_silent() -> None:
    at = next(i for i, line in enumerate(CLEAN) if line.get("at_s") == 22.0)
    killed = [line for line in CLEAN if line.get("at_s") != 22.6]
    assert judged(killed) == ["silence"]
    assert judged([*killed[:at], {"kind": "gone", "site": "a"}, *killed[at:]]) == []


def test_setpoints_that_ran_out_are_the_start_of_a_new_step() -> None:
    """After 15 s without a frame the slaves are at rest: the old setpoints are no place to start from."""
    waiting = [answer(62.0 + t, wobble=0.1 * t) for t in range(1, 18)]
    assert judged([*CLEAN, *waiting, frame(79.05, 62, (600, 600, 600, 600))]) == []
    assert judged([*CLEAN, *waiting, frame(79.05, 62, (1300, 1300, 1300, 300))]) == ["step"]


def test_a_decision_in_two_frames_is_judged_as_one() -> None:
    slots = list(range(40))
    site = SITE | {"slaves": [[slot, slot % 3] for slot in slots], "good_at_start": 0}

    def frames(at_s: float, counter: int, watts: int) -> list[Line]:
        payloads = encode(dict.fromkeys(slots, watts), counter=counter, ttl_s=15, key=KEY, network_id=NETWORK)
        assert len(payloads) == 2
        return [
            {"kind": "frame", "site": "a", "at_s": at_s + 0.01 * k, "payload": payload.hex()}
            for k, payload in enumerate(payloads)
        ]

    lines = [site, answer(0.0), *frames(0.1, 1, 50), answer(1.0), answer(2.0), *frames(2.1, 3, 135)]
    assert judged(lines) == []
    assert judged([*lines, answer(3.0), *frames(3.1, 5, 190)]) == ["step"]
    assert judged([*lines, answer(3.0), *frames(3.1, 5, 200)[:1]]) == ["step"]  # also what comes alone


def test_it_shares_no_code_with_the_project() -> None:
    imported = set()
    for node in ast.walk(ast.parse(REFEREE.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0
            imported.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"__import__", "exec", "eval", "open"}
    assert imported
    assert imported <= sys.stdlib_module_names
    assert "importlib" not in imported
