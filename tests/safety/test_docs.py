"""The document says what the code does, and names tests that exist."""

import ast
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.decision import Anomaly, Authority, State
from core.parts import PolicyHealth
from safety.faults import FAULTS
from safety.supervisor import ModeSupervisor
from safety.timers import PersistentFaults
from tests.safety.table import DOCUMENT, END, Edge, edges, sections, start_of
from tests.support.examples import estimate, snapshot

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("section", sections())
def test_what_is_written_is_the_code_s_own(section: str) -> None:
    assert DOCUMENT.read_text().split(start_of(section))[1].split(END)[0] == sections()[section]


def walk(seed: int, ticks: int) -> set[Edge]:
    """Changes of state that the supervisor makes when things go wrong and right again."""
    rng, found = random.Random(seed), set()
    latched = rng.choice([(), ("meter_sign",), ("rollback",)])
    watch, at_s = ModeSupervisor(PersistentFaults(latched=latched)).cold, 1000.0
    for _ in range(ticks):
        at_s += 90_000.0 if rng.random() < 0.02 else 1.0
        alarms = (rng.choice([*FAULTS, "late_tick"]),) if rng.random() < 0.03 else ()
        if watch.good in (9, 29) and rng.random() < 0.3:
            alarms = ("late_tick",)
        seen = replace(
            snapshot(at_s=at_s, meter_age_s=rng.choice([1.5, 3.0]) if rng.random() < 0.02 else 0.1),
            alarms=alarms,
            acknowledged=watch.standing.latched if rng.random() < 0.03 else (),
            policy_latency_s=0.001,
        )
        before = watch.state
        findings = PolicyHealth(True, (), Anomaly())
        verdict, watch = ModeSupervisor().step(seen, estimate(seen), Authority.POLICY, findings, watch)
        if verdict.state is not before:
            found.add((before, verdict.state))
    return found


def test_the_diagram_has_every_change_of_state_and_no_other() -> None:
    found: set[Edge] = set()
    for seed in range(40):
        found |= walk(seed, 300)
    assert found == set(edges())


def test_nothing_leads_from_rest_straight_to_the_policy() -> None:
    assert {before for before, after in edges() if after is State.RL_ACTIVE} == {
        State.FALLBACK,
        State.HOLD,
    }


def test_every_test_that_the_document_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT.read_text())
    assert len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{file}::{name}"


def test_every_file_and_constant_that_the_document_names_exists() -> None:
    text = DOCUMENT.read_text()
    for file in re.findall(r"`((?:core|safety|daemon|tests|docs)/[\w/.-]+\.(?:py|md|toml))`", text):
        assert (ROOT / file).is_file(), file
    sources = "".join(
        path.read_text() for folder in ("core", "safety") for path in (ROOT / folder).glob("*.py")
    )
    for name in re.findall(r"`([A-Z][A-Z_]{4,})`", text):
        assert name in sources or hasattr(State, name), name
