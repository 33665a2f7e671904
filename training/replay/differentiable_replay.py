"""Differentiable replay: the cost of a replayed day, backpropagated through the plant into the policy.

The surplus is exogenous, so the gradient of the simulated cost is the policy gradient of the replayed
stretch; there is no critic and no reward model (Madeka et al., arXiv:2210.03137). A batch of sites lives
on from update to update; the gradient is cut between stretches, the state and the memory are not. The rows
are a queue: every update the oldest group of rows leaves and a new group of windows enters.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from core.metering import AVOIDABLE_WEIGHT
from training.batched.randomization import DomainRandomization
from training.batched.simulator import (
    DEFAULT_RULES,
    BatchLimits,
    BatchState,
    PlantParameters,
    Policy,
    believed,
    start,
    tick,
)
from training.batched.windows import RolloutWindow, SolarDay, reel_of, varied
from training.replay.network import ReplayNet

COST_SCALE_W = 100.0
"""The loss is J in units of this, so that gradients are near one."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class ReplayPlan:
    """How a run trains. A window is lived in `groups` stretches of `stretch_s`."""

    rows: int = 16
    groups: int = 10
    stretch_s: int = 60
    lead_s: int = 10
    learning_rate: float = 1.5e-3
    learning_rate_end: float = 2e-5
    warm_up: int = 30
    gradient_max: float = 1.0
    average_kept: float = 0.99


class Batch:
    """Rows of sites on their way through their windows."""

    def __init__(
        self,
        days: tuple[SolarDay, ...],
        plan: ReplayPlan,
        chances: DomainRandomization,
        device: torch.device,
        net: ReplayNet,
    ) -> None:
        self._days, self._plan, self._chances, self._device = days, plan, chances, device
        self._reels: list[tuple[RolloutWindow, int]] = []
        self._site: BatchState | None = None
        self._memory = net.cold(0)
        self._net = net

    def enter(self, rng: np.random.Generator) -> None:
        """Let a new group in and, when the queue is full, the oldest out; fills the queue at first."""
        missing = self._plan.groups - len(self._reels)
        for at in range(max(0, missing - 1), -1, -1):
            self._enter_one(rng, at)
        self._reels = self._reels[: self._plan.groups]
        kept = self._plan.rows * self._plan.groups
        self._site = tree_map(lambda leaf: leaf[:kept], self._site)
        self._memory = self._memory[:kept]

    def _enter_one(self, rng: np.random.Generator, at: int) -> None:
        plan = self._plan
        length = plan.groups * plan.stretch_s + 1
        windows = [varied(self._days, length, rng) for _ in range(plan.rows)]
        reel = to_device(reel_of(windows, rng, self._chances), self._device)
        second = at * plan.stretch_s
        site = settled(reel, second)
        self._reels.insert(0, (reel, second))
        old = self._site
        self._site = site if old is None else tree_map(lambda a, b: torch.cat([a, b]), site, old)
        self._memory = torch.cat([self._net.cold(plan.rows), self._memory])

    def stretch(self, rules: BatchLimits) -> Tensor:
        """Live one stretch with gradients; the mean cost J in W of what counts."""
        plan = self._plan
        assert self._site is not None
        rig: PlantParameters = tree_map(
            lambda *leaves: torch.cat(leaves), *(reel.rig for reel, _ in self._reels)
        )
        belief = believed(rig)
        site, memory = self._site, self._memory
        total, rows = torch.zeros((), device=self._device), plan.rows
        for second in range(plan.stretch_s):
            moments = [reel.moment(at + second) for reel, at in self._reels]
            moment = tree_map(lambda *leaves: torch.cat(leaves), *moments)
            site, memory, outcome = tick(rig, site, belief, moment, self._net.policy, memory, rules)
            cost_w = outcome.export_w + AVOIDABLE_WEIGHT * outcome.avoidable_w
            total = total + (cost_w[rows:] if second < plan.lead_s else cost_w).sum()
        counted = len(self._memory) * plan.stretch_s - rows * plan.lead_s
        self._site = tree_map(torch.Tensor.detach, site)
        self._memory = memory.detach()
        self._reels = [(reel, at + plan.stretch_s) for reel, at in self._reels]
        return total / counted


def settled(reel: RolloutWindow, second: int) -> BatchState:
    """Sites whose slaves have long taken what there was just before `second`."""
    bare_w = reel.bare_w[:, second]
    command_w = torch.minimum((-bare_w).clamp(min=0.0), reel.rig.capacity_w)
    return start(reel.rig, bare_w, reel.noise_w[:, second], command_w)


def to_device(item: ItemT, device: torch.device) -> ItemT:
    """Every tensor of a record on the device."""
    moved: Any = tree_map(lambda leaf: leaf.to(device), item)
    return moved  # type: ignore[no-any-return]


@dataclass(frozen=True)
class EvaluationResult:
    """Mean powers of a reel in W, [n] each; J is without the surplus that exceeds all slaves."""

    export_w: Tensor
    avoidable_w: Tensor
    beyond_w: Tensor
    frames_per_min: float

    @property
    def j_w(self) -> Tensor:
        """Export beyond the inevitable + 0.5 avoidable import, [n]."""
        return self.export_w - self.beyond_w + AVOIDABLE_WEIGHT * self.avoidable_w


@torch.no_grad()
def judge(
    reel: RolloutWindow, policy: Policy, lead_s: int = 60, rules: BatchLimits = DEFAULT_RULES
) -> EvaluationResult:
    """Live a whole reel without gradients. `lead_s` seconds at its begin do not count."""
    site, memory = settled(reel, 0), None
    belief = believed(reel.rig)
    export_w, avoidable_w, sends = (torch.zeros_like(reel.bare_w[:, 0, 0]) for _ in range(3))
    for second in range(reel.seconds):
        site, memory, outcome = tick(reel.rig, site, belief, reel.moment(second), policy, memory, rules)
        if second >= lead_s:
            export_w += outcome.export_w
            avoidable_w += outcome.avoidable_w
            sends += outcome.sends
    counted = reel.seconds - lead_s
    return EvaluationResult(
        export_w / counted,
        avoidable_w / counted,
        _beyond_w(reel, lead_s),
        float(sends.mean()) * 60.0 / counted,
    )


def _beyond_w(reel: RolloutWindow, lead_s: int) -> Tensor:
    """Mean export that remains when every slave takes all it can, as billed."""
    surplus_w = -reel.bare_w[:, 1 + lead_s :]
    net_w = (surplus_w.sum(2) - reel.rig.capacity_w.sum(1, keepdim=True)).clamp(min=0.0)
    phases_w = (surplus_w - reel.rig.capacity_w[:, None]).clamp(min=0.0).sum(2)
    return torch.where(reel.rig.is_net[:, None], net_w, phases_w).mean(1)


def rate_at(done: float, step: int, plan: ReplayPlan) -> float:
    """Cosine from the first to the last learning rate, after a short warm-up; `done` runs from 0 to 1."""
    span = plan.learning_rate - plan.learning_rate_end
    rate = plan.learning_rate_end + 0.5 * span * (1.0 + float(np.cos(np.pi * min(done, 1.0))))
    return rate * min(1.0, (step + 1) / plan.warm_up)


def update(
    net: ReplayNet, batch: Batch, optimizer: torch.optim.Optimizer, rate: float, plan: ReplayPlan
) -> float:
    """One stretch, one step of the optimiser; returns J in W of the stretch."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    cost = batch.stretch(DEFAULT_RULES)
    optimizer.zero_grad()
    torch.autograd.backward(cost / COST_SCALE_W)
    nn.utils.clip_grad_norm_(net.parameters(), plan.gradient_max)
    optimizer.step()
    return float(cost.detach())
