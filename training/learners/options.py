"""Options of `sunkeep train` that change how a learner learns, and who takes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.learners.dyna import DynaSettings

CRITICS = ("sac", "cql", "td3bc")
GAUSSIAN = ("bc", *CRITICS, "iql", "ppo")
ALL = (*GAUSSIAN, "iql-discrete")
TAKEN_BY = {
    "actor": GAUSSIAN,
    "clip_observation": GAUSSIAN,
    "clip_reward": (*CRITICS, "iql", "ppo"),
    "warm_up": ALL,
    "decay": ALL,
    "plateau": ALL,
    "prioritized": (*CRITICS, "ppo"),
    "dyna": CRITICS,
    "kl_max": ("ppo",),
    "entropy_weight": ("ppo",),
    "noise_kept": ("ppo",),
    "curriculum": ("ppo",),
    "reptile": ("ppo",),
    "explore": ("ppo",),
    "value_nets": ("ppo",),
    "rate": ("ppo",),
    "lam": ("ppo",),
    "horizon": ("ppo",),
    "minibatch": ("ppo",),
}
"""Learners that take an option; `replay` has a schedule of its own and takes none."""
OFFLINE = (*(name for name in GAUSSIAN if name != "ppo"), "iql-discrete")
EVERY = (*ALL, "replay")
SETTINGS_OF = {
    "batch": OFFLINE,
    "action": OFFLINE,
    "metering": EVERY,
    "span_w": GAUSSIAN,
    "gamma": tuple(name for name in ALL if name != "bc"),
    "cql_weight": ("cql",),
    "critic_warmup_steps": CRITICS,
    "val": ("bc",),
    "choose_on": ALL,
    "start_from": ALL,
    "preset": ("ppo",),
}
"""Learners that another word of `sunkeep train` changes something for; for the others it is refused."""
ONE_OF = (("prioritized", "dyna"), ("curriculum", "reptile"))
"""Pairs that decide the same thing: which rows a batch has, which sites are practised on."""


class OptionError(ValueError):
    """Options that do not go together; the message says which and why."""


class Options(BaseModel):
    """Options of a learner; with the defaults it is the plain learner.

    Args:
        actor: network of the policy.
        clip_observation: bound of normalised observations in standard deviations, 0 for none.
        clip_reward: bound of rewards, in units of 200 W, 0 for none.
        warm_up: updates in which the learning rate rises.
        decay: how it falls afterwards.
        plateau: judgements without a better one after which it is halved, 0 never.
        prioritized: exponent of the priorities, 0 for uniform draws.
        dyna: seconds of imagined rollouts, 0 for none.
        kl_max: nats after which the epochs of an update end, 0 never.
        entropy_weight: bonus for entropy at the start, gone after 70 % of the training.
        noise_kept: correlation of the noise of an action from one second to the next.
        curriculum: share of the training until the sites are as hard as they get, 0 from the start.
        reptile: updates on one site, 0 for all sites at once.
        explore: what acts beside the policy's own draws.
        value_nets: networks of the value, of which the least counts.
        rate: learning rate.
        lam: of generalised advantage estimation.
        horizon: seconds of each of the 64 sites in an update.
        minibatch: rows of a step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    actor: Literal["mlp", "attention"] = "mlp"
    clip_observation: float = Field(default=0.0, ge=0.0)
    clip_reward: float = Field(default=0.0, ge=0.0)
    warm_up: int = Field(default=0, ge=0)
    decay: Literal["none", "linear", "cosine"] = "none"
    plateau: int = Field(default=0, ge=0)
    prioritized: float = Field(default=0.0, ge=0.0, le=1.0)
    dyna: int = Field(default=0, ge=0)
    kl_max: float = Field(default=0.0, ge=0.0)
    entropy_weight: float = Field(default=0.0, ge=0.0)
    noise_kept: float = Field(default=0.0, ge=0.0, lt=1.0)
    curriculum: float = Field(default=0.0, ge=0.0, le=1.0)
    reptile: int = Field(default=0, ge=0)
    explore: Literal["draws", "epsilon-greedy", "parameter-noise", "curiosity"] = "draws"
    value_nets: int = Field(default=1, ge=1, le=2)
    rate: float = Field(default=5e-4, gt=0.0, le=0.1)
    lam: float = Field(default=0.9, ge=0.0, le=1.0)
    horizon: int = Field(default=48, ge=2, le=600)
    minibatch: int = Field(default=2304, ge=1)

    def chosen(self) -> dict[str, Any]:
        """Those that differ from their default."""
        fields = type(self).model_fields
        return {name: value for name, value in self if value != fields[name].default}

    def check(self, learner: str, steps: int, batch: int, *, is_judged: bool) -> None:
        """Refuse what a learner does not take, and what does not go together. Raises OptionError."""
        chosen = self.chosen()
        for name in chosen:
            require_taken(name, learner, TAKEN_BY[name])
        for first, second in ONE_OF:
            if first in chosen and second in chosen:
                raise OptionError(f"give either {flag(first)} or {flag(second)}, not both")
        if self.plateau and not is_judged:
            raise OptionError("--plateau waits for judgements: give --choose-on (bc: --val) as well")
        if self.reptile and steps % self.reptile:
            raise OptionError(
                f"--reptile {self.reptile} needs whole inner loops: give --steps as a multiple of it, "
                f"not {steps}"
            )
        if self.dyna and DynaSettings(horizon=self.dyna).starts(batch) == 0:
            raise OptionError(
                f"--dyna {self.dyna} imagines nothing: half of a --batch of {batch} has no room for a "
                f"rollout of {self.dyna} s; give a shorter one or a larger --batch"
            )


def require_taken(name: str, learner: str, takers: tuple[str, ...]) -> None:
    """Raise OptionError where a learner is none of those that take an option."""
    if learner not in takers:
        raise OptionError(f"{flag(name)} is of {', '.join(takers)}; {learner} does not take it")


def flag(name: str) -> str:
    """The option as it is typed."""
    return "--" + name.replace("_", "-")
