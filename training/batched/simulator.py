"""A batch of sites as tensors, differentiable: the product's plant, estimator, features and airtime.

One tick is what one second is in `daemon.simulation.simulate`: look, observe, ask the policy, slew, choose
whether to send, live the second. It runs the very laws of `plant.site.physics`,
`core.estimation.state_estimate` and `models.features`, and `training.batched.rules` where `core` branches on
a whole site. What does not act on a healthy site is left
out: gate, supervisor and detector.

Slaves of a phase have the same rating (`SLAVE_W` each) and each has its own gain and lag, which the site was
told (`MeasuredActuators`) or not. Its meter may be late, held or averaged (`BatchMeter`).
Shapes: n sites, 3 phases, `PLACES` places for slaves per phase, `KEPT_S` seconds of frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from core.estimation.actuator_model import AGE_SHARES, HISTORY_S, MEAN_AGE_S, SLAVE_LAG_S, SPREAD
from core.limits import Limits
from core.site import Airtime
from models.features import DELAY_MAX_S, POWER_MAX_W, FeatureHistory, advance, begin, describe
from plant.radio.link import LOST
from plant.site import physics
from training.batched.rules import TORCH, balance_phases, choose_send, slew, split, whole

PLACES = 4
SLAVE_W = 1700.0
KEPT_S = 14
"""Frames older than this arrive nowhere and are believed nowhere: five seconds, five more of extra delay, and
what a late meter adds to a measured dead time."""
PAST_S = 12
"""Seconds of grid power that a reading is made of: two readings of five seconds that are two seconds late."""
LONG_AGO_S = 1.0e6


class MeasuredActuators(NamedTuple):
    """What a site was told of its slaves, as `core.site.Slave` and `Site.meter_delay_s` say it together: dead
    time with the meter's lateness, its spread, lag, and gain. Rows that were told nothing hold anything."""

    is_told: Tensor  # [n]
    dead_time_s: Tensor  # [n, 3, PLACES]
    dead_time_sd_s: Tensor  # [n, 3, PLACES]
    lag_s: Tensor  # [n, 3, PLACES]
    gain: Tensor  # [n, 3, PLACES]


class BatchMeter(NamedTuple):
    """As `plant.site.stepped.Pace` counts readings: a new one every `period_s`, of power `late_s` ago.

    `offset_s` is the time of the day of the first tick, or anything where only the order matters.
    """

    period_s: Tensor  # [n], long
    late_s: Tensor  # [n], long
    averages: Tensor  # [n]
    resolution_w: Tensor  # [n], 0 for none
    offset_s: Tensor  # [n], long


class PlantParameters(NamedTuple):
    """What does not change on a site. `told_s` is the extra delay that the estimator believes in, in s, where
    the slaves were not measured."""

    slaves: Tensor  # [n, 3, 1], how many
    gain: Tensor  # [n, 3, PLACES], 0 for a slave that hears and does not draw
    share: Tensor  # [n, 3, PLACES], of the way to the target in 1 s
    capacity_w: Tensor  # [n, 3]
    is_net: Tensor  # [n]
    told_s: Tensor  # [n], long
    told: MeasuredActuators
    meter: BatchMeter

    @property
    def room(self) -> Tensor:
        """The same capacity for every place, [n, 3, PLACES]."""
        return torch.full_like(self.gain, SLAVE_W)


class BatchBelief(NamedTuple):
    """`core.estimation.actuator_model` as numbers of one tick: what is left of the believed power, and what
    each of the commands kept adds to it."""

    kept: Tensor  # [n, 3, PLACES]
    weights: Tensor  # [n, KEPT_S, 3, PLACES], newest first
    gain: Tensor  # [n, 3], watts drawn per watt told
    delay_s: Tensor  # [n]


class Disturbance(NamedTuple):
    """One second of what nobody controls: grid power without slaves, the reading's error, a frame's fate."""

    bare_w: Tensor  # [n, 3]
    noise_w: Tensor  # [n, 3]
    delays: Tensor  # [n, 3, PLACES], as of plant.radio.link


class BatchState(NamedTuple):
    """Everything that moves, as of the start of a tick; commands and frames kept newest first."""

    command_w: Tensor  # [n, 3] on air
    safe_action_w: Tensor  # [n, 3] of the last tick, before whole watts and deadband
    age_s: Tensor  # [n] of the last frame
    tokens: Tensor  # [n]
    sent_w: Tensor  # [n, KEPT_S, 3, PLACES] on air as this tick begins, and in the seconds before
    delays: Tensor  # [n, KEPT_S, 3, PLACES] of the frames sent then, LOST where none was
    followed_s: Tensor  # [n, 3, PLACES] age of the frame that is followed
    silence_s: Tensor  # [n, 3, PLACES] since a frame was heard
    setpoint_w: Tensor  # [n, 3, PLACES]
    reference_w: Tensor  # [n, 3, PLACES]
    power_w: Tensor  # [n, 3, PLACES]
    grid_w: Tensor  # [n, 3] of the second before
    past_w: Tensor  # [n, PAST_S, 3] of that and the seconds before
    lived_s: Tensor  # [n], long, since the first tick
    known_s: Tensor  # [n], long, how many of `past_w` there are
    places_w: Tensor  # [n, 3, PLACES] as believed
    model_w: Tensor  # [n, 3], their sums
    cell: FeatureHistory  # of the features


class View(NamedTuple):
    """What a controller sees: the 30 features, and for deterministic laws the numbers behind them, [n, 3]."""

    features: Tensor
    surplus_w: Tensor
    meter_w: Tensor
    safe_action_w: Tensor
    capacity_w: Tensor


class BatchOutcome(NamedTuple):
    """The second as billed: [n] in W."""

    export_w: Tensor
    avoidable_w: Tensor
    sends: Tensor


Policy: TypeAlias = Callable[[View, Any], tuple[Tensor, Any]]
"""View and memory (None at first) to the proposal, [n, 3] in W, and the next memory."""


@dataclass(frozen=True)
class BatchLimits:
    """Limits and radio allowance in force."""

    limits: Limits = field(default_factory=Limits)
    airtime: Airtime = field(default_factory=Airtime)


DEFAULT_RULES = BatchLimits()


def age_weights(told_s: Tensor) -> Tensor:
    """`core.estimation.actuator_model.delayed_command` as weights of the commands kept, newest first: [n]
    long to [n, KEPT_S]."""
    weights = torch.zeros(len(told_s), KEPT_S, device=told_s.device)
    for age, share in enumerate(AGE_SHARES):
        place = (age + told_s).clamp(max=int(HISTORY_S) - 1)
        weights.scatter_add_(1, place[:, None], torch.full_like(weights[:, :1], share))
    return weights


def believed(rig: PlantParameters) -> BatchBelief:
    """`core.estimation.actuator_model.follow` for ticks of 1 s: measured slaves with their own numbers, the
    others as the usual heater behind the usual radio."""
    told, is_told = rig.told, rig.told.is_told[:, None, None]
    lag_s = torch.where(is_told, told.lag_s, SLAVE_LAG_S)
    kept = torch.exp(-1.0 / lag_s)
    usual = age_weights(rig.told_s)[:, :, None, None] * (1.0 - kept)[:, None]
    weights = torch.where(is_told[:, None], _measured_weights(told), usual)
    used = (torch.arange(PLACES, device=kept.device) < rig.slaves).to(kept.dtype)
    gain = (torch.where(is_told, told.gain, 1.0) * used).sum(2) / rig.slaves[:, :, 0]
    dead_s = ((told.dead_time_s * used).sum(2) / rig.slaves[:, :, 0]).mean(1)
    delay_s = torch.where(told.is_told, dead_s, MEAN_AGE_S + rig.told_s)
    return BatchBelief(kept, weights, gain, delay_s)


def _measured_weights(told: MeasuredActuators) -> Tensor:
    """`core.estimation.actuator_model._exactly` over its spread: [n, KEPT_S, 3, PLACES]."""
    weights = torch.zeros(len(told.lag_s), KEPT_S, *told.lag_s.shape[1:], device=told.lag_s.device)
    for share, places in SPREAD:
        dead_s = (told.dead_time_s + places * told.dead_time_sd_s).clamp(min=0.0)
        whole_s = dead_s.floor()
        rest_s = 1.0 - (dead_s - whole_s)
        newer = 1.0 - torch.exp(-rest_s / told.lag_s)
        older = (1.0 - torch.exp((rest_s - 1.0) / told.lag_s)) * torch.exp(-rest_s / told.lag_s)
        place = whole_s.long()[:, None]
        weights.scatter_add_(1, place.clamp(max=KEPT_S - 1), share * newer[:, None])
        weights.scatter_add_(1, (place + 1).clamp(max=KEPT_S - 1), share * older[:, None])
    return weights


def start(
    rig: PlantParameters, bare_w: Tensor, noise_w: Tensor, command_w: Tensor | None = None
) -> BatchState:
    """Sites whose slaves have long followed `command_w`; without one, at rest and never sent to.

    Args:
        bare_w: grid power without slaves in the second before the first tick, [n, 3].
        noise_w: error of the reading of the first tick, [n, 3].
    """
    is_rest = command_w is None
    command_w = torch.zeros_like(bare_w) if command_w is None else whole(command_w)
    setpoint_w = split(command_w[:, :, None].expand_as(rig.gain), rig.slaves)
    power_w = setpoint_w * rig.gain
    grid_w = physics.grid_w(bare_w, 0.0, power_w.sum(2), 1.0)
    gain = believed(rig).gain
    surplus_w = balance_phases(command_w - (grid_w + noise_w) / gain, rig.capacity_w, rig.is_net)
    places = torch.zeros_like(rig.gain)
    n = len(bare_w)
    return BatchState(
        command_w=command_w,
        safe_action_w=command_w,
        age_s=torch.full_like(bare_w[:, 0], LONG_AGO_S if is_rest else 1.0),
        tokens=torch.full_like(bare_w[:, 0], DEFAULT_RULES.airtime.burst_frames),
        sent_w=setpoint_w[:, None].expand(n, KEPT_S, 3, PLACES),
        delays=torch.full((n, KEPT_S, 3, PLACES), LOST, dtype=torch.int8, device=bare_w.device),
        followed_s=places + LONG_AGO_S,
        silence_s=places + (LONG_AGO_S if is_rest else 0.0),
        setpoint_w=setpoint_w,
        reference_w=setpoint_w,
        power_w=power_w,
        grid_w=grid_w,
        past_w=grid_w[:, None].expand(n, PAST_S, 3),
        lived_s=torch.zeros_like(rig.told_s),
        known_s=torch.full_like(rig.told_s, 1 if is_rest else PAST_S),
        places_w=setpoint_w,
        model_w=setpoint_w.sum(2),
        cell=begin(surplus_w, TORCH),
    )


def read_meter(meter: BatchMeter, site: BatchState, noise_w: Tensor) -> Tensor:
    """`plant.site.stepped.SteppedSite.meter_w`, [n, 3] in W."""
    back_s = (site.lived_s + meter.offset_s) % meter.period_s + meter.late_s
    count = torch.where(meter.averages, meter.period_s, 1)
    first = torch.minimum(back_s, site.known_s - 1)[:, None]
    end = torch.minimum(back_s + count, site.known_s)[:, None]
    ago_s = torch.arange(PAST_S, device=first.device)
    is_in = ((ago_s >= first) & (ago_s < torch.maximum(end, first + 1))).to(noise_w.dtype)
    power_w = (site.past_w * (is_in / is_in.sum(1, keepdim=True))[:, :, None]).sum(1)
    shown_w, step_w = power_w + noise_w, meter.resolution_w[:, None]
    rounded_w = torch.round(shown_w / step_w.clamp(min=1e-9)) * step_w
    return shown_w + torch.where(step_w > 0.0, rounded_w - shown_w, 0.0).detach()


def estimate_state(
    rig: PlantParameters, site: BatchState, belief: BatchBelief, noise_w: Tensor
) -> tuple[View, BatchState]:
    """Read the meter, estimate the surplus, make the features. `belief` is `believed(rig)`."""
    reading_w = read_meter(rig.meter, site, noise_w)
    places_w = belief.kept * site.places_w + (site.sent_w * belief.weights).sum(1)
    model_w = places_w.sum(2)
    surplus_w = balance_phases(model_w - reading_w / belief.gain, rig.capacity_w, rig.is_net)
    cell = advance(site.cell, surplus_w, TORCH)
    site = site._replace(places_w=places_w, model_w=model_w, cell=cell)
    features = observe(rig, site, belief)
    return View(features, surplus_w, model_w - surplus_w, site.safe_action_w, rig.capacity_w), site


def observe(rig: PlantParameters, site: BatchState, belief: BatchBelief) -> Tensor:
    """The 30 features, [n, 30]; the loss of frames is known to nobody, as in `daemon.simulation.simulate`."""
    phases = torch.stack(describe(site.cell, site.command_w, site.model_w, TORCH), 2).flatten(1)
    headroom_w = (rig.capacity_w.sum(1) - site.command_w.sum(1)).clamp(0.0, POWER_MAX_W)
    delay_s = belief.delay_s.clamp(0.0, DELAY_MAX_S)
    common = torch.stack([delay_s, torch.zeros_like(delay_s), headroom_w], 1)
    return torch.cat([phases, common], 1)


def act(
    rig: PlantParameters, site: BatchState, policy_action_w: Tensor, delays: Tensor, rules: BatchLimits
) -> tuple[BatchState, Tensor, Tensor]:
    """Bring the proposal into reach and put it on air if it may.

    Returns:
        The site, whether a frame went, [n], and the delays of this second's frame.
    """
    safe_action_w = slew(policy_action_w, site.command_w, rig.capacity_w, site.age_s, rules.limits)
    action_w = whole(safe_action_w)
    sends, tokens = choose_send(action_w, site.command_w, site.age_s, site.tokens, rules.airtime)
    flown = torch.where(sends[:, None, None], delays, LOST)
    site = site._replace(
        command_w=torch.where(sends[:, None], action_w, site.command_w),
        safe_action_w=safe_action_w,
        age_s=torch.where(sends, 1.0, site.age_s + 1.0),
        tokens=tokens,
    )
    return site, sends, flown


def live(rig: PlantParameters, site: BatchState, bare_w: Tensor, flown: Tensor) -> BatchState:
    """One second of the slaves and the grid; `flown` is the randomness of this second's frame."""
    told_w = split(site.command_w[:, :, None].expand_as(rig.gain), rig.slaves)
    sent_w = torch.cat([told_w[:, None], site.sent_w[:, :-1]], 1)
    with torch.no_grad():
        delays = torch.cat([flown[:, None], site.delays[:, :-1]], 1)
        age = torch.arange(KEPT_S, device=bare_w.device)[:, None, None]
        newest_s = torch.where(delays == age, age, LOST).amin(1)
        followed_s = site.followed_s + 1.0
        is_newer = newest_s < torch.minimum(followed_s, torch.full_like(followed_s, LOST))
        chosen = (age == newest_s[:, None]).to(bare_w.dtype)
        silence_s = torch.where(is_newer, 0.0, site.silence_s + 1.0)
    setpoint_w = torch.where(is_newer, (chosen * sent_w).sum(1), site.setpoint_w)
    goal_w = physics.wanted_w(TORCH, setpoint_w, silence_s)
    reach_w = physics.ramp_w_per_s(TORCH, silence_s)
    reference_w = physics.slewed_w(TORCH, site.reference_w, goal_w, reach_w)
    power_w = physics.settled_w(TORCH, site.power_w, reference_w, rig.room, rig.gain, rig.share)
    grid_w = physics.grid_w(bare_w, 0.0, power_w.sum(2), 1.0)
    return site._replace(
        sent_w=sent_w,
        delays=delays,
        followed_s=torch.where(is_newer, newest_s.to(followed_s.dtype), followed_s),
        silence_s=silence_s,
        setpoint_w=setpoint_w,
        reference_w=reference_w,
        power_w=power_w,
        grid_w=grid_w,
        past_w=torch.cat([grid_w[:, None], site.past_w[:, :-1]], 1),
        lived_s=site.lived_s + 1,
        known_s=(site.known_s + 1).clamp(max=PAST_S),
    )


def billed(rig: PlantParameters, site: BatchState) -> tuple[Tensor, Tensor]:
    """Export and avoidable import of the last second as `core.metering` bills them, [n] in W."""
    taken_w, grid_w = site.power_w.sum(2), site.grid_w
    sum_w = grid_w.sum(1)
    export_w = torch.where(rig.is_net, (-sum_w).clamp(min=0.0), (-grid_w).clamp(min=0.0).sum(1))
    net_w = torch.minimum(taken_w.sum(1), sum_w.clamp(min=0.0))
    phases_w = torch.minimum(taken_w, grid_w.clamp(min=0.0)).sum(1)
    return export_w, torch.where(rig.is_net, net_w, phases_w)


def tick(
    rig: PlantParameters,
    site: BatchState,
    belief: BatchBelief,
    moment: Disturbance,
    policy: Policy,
    memory: Any,
    rules: BatchLimits = DEFAULT_RULES,
) -> tuple[BatchState, Any, BatchOutcome]:
    """One second of every site under a policy."""
    view, site = estimate_state(rig, site, belief, moment.noise_w)
    policy_action_w, memory = policy(view, memory)
    site, sends, flown = act(rig, site, policy_action_w, moment.delays, rules)
    site = live(rig, site, moment.bare_w, flown)
    return site, memory, BatchOutcome(*billed(rig, site), sends)
