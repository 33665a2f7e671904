"""The policy that runs is tested every hour: memory can go wrong while the file is sound."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from core.parts import Memory, initial_memory
from daemon.config.settings import load_settings
from daemon.journal.records import AnyRecord, PolicyChange
from daemon.policy import policy_swap
from daemon.policy.policy_swap import PolicySwap, desired_policy
from daemon.runtime.assembly import assemble_from
from models.bundle import Bundle
from models.inference import Recurrent, Session
from tests.support.configuration import CONFIGURATION, write_configuration


class QuietFigures:
    """Takes what the swap tells."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


class Spoilt:
    """A session one of whose weights has changed in memory."""

    def __init__(self, sound: Session) -> None:
        self._sound, self.cold = sound, sound.cold

    def run(self, state: Sequence[float], memory: Recurrent) -> Any:
        answer = self._sound.run(state, memory)
        return answer and ((answer[0][0] + 30.0, *answer[0][1:]), answer[1])

    golden_error_w = Session.golden_error_w


def begun(folder: Path) -> tuple[PolicySwap, list[tuple[str, str]], list[AnyRecord], Memory]:
    settings = load_settings(write_configuration(folder, CONFIGURATION + '\n[policy]\nbundle = "builtin"\n'))
    assembled = assemble_from(settings, time.perf_counter)
    assert assembled.bundle is not None, assembled.problem
    told: list[tuple[str, str]] = []
    records: list[AnyRecord] = []
    swap = PolicySwap(
        settings,
        assembled,
        cast(Any, QuietFigures()),
        lambda name, **detail: told.append((name, str(detail.get("reason", "")))),
        records.append,
        tried=desired_policy(settings),
    )
    return swap, told, records, initial_memory(assembled.parts)


def in_force(swap: PolicySwap) -> Bundle | None:
    return swap.assembled.bundle


@pytest.fixture(autouse=True)
def _at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_swap, "SELF_TEST_EVERY_S", 0.0)
    monkeypatch.setattr(policy_swap, "TICKS_TO_WAIT", 0.01)


async def test_a_spoilt_policy_makes_way_and_the_bundle_is_loaded_anew(tmp_path: Path) -> None:
    swap, told, records, memory = begun(tmp_path)
    bundle = in_force(swap)
    assert bundle is not None
    await swap.self_test()
    assert told == []
    spoilt = replace(bundle, session=cast(Session, Spoilt(bundle.session)))
    swap.assembled = replace(swap.assembled, bundle=spoilt)
    await swap.self_test()
    assert told == [("policy_self_test_failed", "misses its golden vectors by 30.000 W")]
    await swap.look()  # nothing is loaded while it is in force
    changed = swap.between_ticks(7, memory)
    assert changed is not None
    assert in_force(swap) is None
    assert told[1:] == [("policy_withdrawn", "failed its self-test")]
    await swap.look()
    assert swap.between_ticks(7, changed[1]) is None, "a tick that failed comes again, still without a policy"
    assert swap.between_ticks(8, changed[1]) is not None
    again = in_force(swap)
    assert again is not None
    assert (again.sha256, again.session is bundle.session) == (bundle.sha256, False)
    assert [record.bundle_sha256 for record in records if isinstance(record, PolicyChange)] == [
        "",
        again.sha256,
    ]
    await swap.self_test()
    assert len(told) == 3


async def test_a_bundle_that_cannot_be_loaded_again_leaves_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap, told, _, memory = begun(tmp_path)
    bundle = in_force(swap)
    assert bundle is not None
    monkeypatch.setattr(bundle.session, "golden_error_w", lambda _golden: float("nan"))
    await swap.self_test()
    assert swap.between_ticks(3, memory) is not None

    def gone(*_: object) -> None:
        raise OSError("No such file")

    monkeypatch.setattr(PolicySwap, "_load", gone)
    await swap.look()
    assert told[-1] == ("policy_swap_refused", "OSError: No such file")
    assert swap.between_ticks(4, memory) is None
    assert in_force(swap) is None
