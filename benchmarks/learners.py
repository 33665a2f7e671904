"""Updates per second of every learner: ``python -m benchmarks.learners [--steps N]``.

Networks of the specification's width, 30 features, 3 actions, batches of 256, one thread, on made-up data;
ppo practises on 64 simulated sites of the day that ships, 48 s per update. Processor time leaves out what
other programs take.
"""

from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from plant.site.trace import load_trace
from training.batched.windows import SolarDay
from training.data.days import daylight_s
from training.imitation.scaling import phase_scaling
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import Learner, Space
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.networks import Residual
from training.learners.offline.clone import Clone
from training.learners.offline.iql import Iql
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc
from training.learners.online.ppo import Ppo, PpoSettings
from training.learners.online.training import Grounds

ROWS, CHOICES = 10_000, 27
CPU = torch.device("cpu")


def made_up(generator: torch.Generator) -> Transitions:
    """Transitions of the right shapes."""
    states = 300.0 * torch.randn(ROWS, 30, generator=generator)
    nothing = torch.zeros(ROWS)
    actions_w = (states[:, 0:27:9] + 100.0).clamp(0.0, 5000.0)
    return Transitions(states, actions_w, torch.randn(ROWS, generator=generator), states, nothing, nothing)


def choices_of(table: Transitions, generator: torch.Generator) -> Transitions:
    """The same with discrete choices, all feasible."""
    choice = torch.randint(CHOICES, (ROWS, 1), generator=generator)
    mask = torch.ones(ROWS, CHOICES, dtype=torch.bool)
    columns = (table.reward, table.following, table.terminal, table.truncated)
    return Transitions(table.observation, choice, *columns, mask=mask)


def shipped_day() -> SolarDay:
    """The day that ships, as windows are cut from it."""
    trace = load_trace()
    load_w, pv_w = (np.asarray(x, np.float32) for x in (trace.load_w, trace.pv_w))
    return SolarDay(load_w, pv_w, "3ph", daylight_s(trace))


def rates(learner: Learner[Any], source: Source[Any], steps: int) -> tuple[float, float]:
    """Updates per second of processor time, and of wall time."""
    generator = seeded(0, CPU)
    train(learner, source, TrainingPlan(2), generator)
    wall_s, cpu_s = perf_counter(), process_time()
    train(learner, source, TrainingPlan(steps), generator)
    return steps / (process_time() - cpu_s), steps / (perf_counter() - wall_s)


@click.command()
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True)
def main(steps: int) -> None:
    """Time every learner."""
    torch.set_num_threads(1)
    generator = seeded(0, CPU)
    table = made_up(generator)
    space = Space(phase_scaling(table.observation), 3, Residual())
    sampler = Sampler(table, exchange=True)
    offline: dict[str, Callable[[], Learner[Transitions]]] = {
        "bc": lambda: Clone(space),
        "td3bc": lambda: Td3Bc(space),
        "iql": lambda: Iql(space),
        "sac": lambda: Sac(space),
        "cql": lambda: Sac(space, SacSettings(cql_weight=1.0)),
    }
    cases: list[tuple[str, Learner[Any], Source[Any], int]] = [
        (name, make(), sampler, steps) for name, make in offline.items()
    ]
    discrete = DiscreteIql(Choices(space.scaling, CHOICES))
    cases.append(("iql discrete", discrete, Sampler(choices_of(table, generator)), steps))
    settings = PpoSettings()
    practising = Ppo(space, settings)
    rollouts = Grounds([shipped_day()], settings.horizon, CPU).rollouts(practising)
    cases.append(("ppo", practising, rollouts, max(1, steps // 10)))
    shown = Table("learner", "updates/s of processor time", "of wall time")
    for name, learner, source, count in cases:
        cpu, wall = rates(learner, source, count)
        shown.add_row(name, f"{cpu:.1f}", f"{wall:.1f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
