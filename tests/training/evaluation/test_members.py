"""A policy on the members of the family, beside the laws that were told the same numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from plant.site.trace import Trace, load_trace
from safety.gain_rule import pi_gains_by_phase
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.batched.laws import predictive_law
from training.data.days import Day
from training.evaluation import members
from training.evaluation.members import gains_of, judge_members, told_site


class _Shipped(Day):
    def load(self) -> Trace:
        return load_trace()


def test_every_member_is_lived_by_policy_and_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "lit_hours", lambda _day: (43_200,))
    law = predictive_law(replace(PredictiveGains(), k_up=0.05, k_down=0.05))
    day = _Shipped(Path("shipped"), "val", "3ph")
    usual, slow = judge_members(law, [day], ["usual", "slow-8"], seconds=240)
    assert (usual.member, usual.hours, slow.member) == ("usual", 1, "slow-8")
    assert slow.predictive_j_wh > 1.2 * usual.predictive_j_wh  # slow slaves cost
    best_wh = min(usual.pi_j_wh, usual.predictive_j_wh)
    assert usual.change == pytest.approx(usual.policy_j_wh / best_wh - 1.0)
    assert usual.change > 0.1  # a lazy law is worse


def test_every_site_has_the_gains_of_its_own_numbers() -> None:
    sites = [pi_gains_by_phase(told_site(name, 0), PiGains()) for name in ("usual", "late-4")]
    gains = gains_of(sites)
    expected = torch.tensor([[phase.kp for phase in site] for site in sites])
    assert torch.equal(torch.as_tensor(gains.kp), expected)
    assert expected[0, 0] > expected[1, 0]
