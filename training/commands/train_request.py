"""What `sunkeep train` was asked for."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from core.site import Metering
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.destination import next_version
from training.artifacts.export import current_commit
from training.data.days import data_sha256, find_days
from training.learners.data.files import transitions_sha256
from training.learners.data.terms import metering_of
from training.learners.offline.defaults import settings_with
from training.learners.options import (
    EVERY,
    SETTINGS_OF,
    TAKEN_BY,
    OptionError,
    Options,
    flag,
    require_taken,
)
from training.run_record import RunRecord, read_record

BUNDLE, RUN = "bundle", "run"


@dataclass(frozen=True)
class TrainRequest:
    """The command line."""

    learner: str
    data: Path
    val: Path | None
    choose_on: Path | None
    out: Path
    seed: int
    steps: int
    resume: bool
    device: str
    batch: int
    action: str
    start_from: Path | None
    span_w: float
    gamma: float
    cql_weight: float
    critic_warmup_steps: int
    metering: Literal["net", "per_phase"] | None
    bundle_version: int | None
    options: Options
    given: frozenset[str] = frozenset()
    """Names of what the command line says, where the rest has its default."""

    @property
    def number(self) -> int:
        """Version of the bundle. Raises ExportError."""
        return next_version(self.out / BUNDLE, self.bundle_version)

    def settings(self) -> Any:
        """Of a learner from transitions."""
        changes: dict[str, float | int] = {
            "gamma": self.gamma,
            "critic_warmup_steps": self.critic_warmup_steps,
        }
        if self.learner == "cql":
            changes["cql_weight"] = self.cql_weight
        return settings_with(self.learner, changes)

    def check(self) -> None:
        """Refuse now what would fail after hours of training. Raises ExportError, OptionError."""
        next_version(self.out / BUNDLE, self.bundle_version)
        is_judged = self.choose_on is not None or self.is_chosen_by_val
        for name, takers in (SETTINGS_OF | TAKEN_BY).items():
            if name in self.given:
                require_taken(name, self.learner, takers)
        if self.val is not None and self.choose_on is not None:
            raise OptionError("give either --val or --choose-on, not both: one of them chooses")
        self.options.check(self.learner, self.steps, self.batch, is_judged=is_judged)

    @property
    def is_chosen_by_val(self) -> bool:
        """Whether transitions choose the best state. Only bc has such an error."""
        return self.learner == "bc" and self.val is not None

    @property
    def is_on_sites(self) -> bool:
        """Whether the learner practises on simulated sites, which may be billed either way."""
        return self.learner in ("ppo", "replay")

    def billed(self) -> Metering:
        """How the site of the policy is billed: as its data say; on simulated sites as wanted.

        Raises:
            TransitionsError: of `training.learners.data.terms.metering_of`.
        """
        if self.is_on_sites:
            return Metering(self.metering or "net")
        return metering_of(self.data, self.metering)

    @property
    def net_share(self) -> float | None:
        """Of the simulated sites, how many are billed net: all or none where `--metering` says, else None."""
        return None if self.metering is None else float(self.metering == Metering.NET.value)

    def record(self, data_hash: str) -> Metering:
        """Write beside the weights what they are trained on, for `sunkeep export`; says how it is billed.

        Raises:
            CheckpointError: a resumed run was another one: what it is would no longer be what it says.
            DaysError: `--choose-on` has no days of the split "val".
            TransitionsError: the data are for another site than was said.
        """
        before = read_record(self.out / RUN) if self.resume else None
        choosing, billed = self._choosing_sha256(), self.billed()
        now = RunRecord(
            learner=self.learner,
            seed=self.seed,
            metering=billed.value,
            span_w=self.span_w if self.learner in SETTINGS_OF["span_w"] else 0.0,
            action=self.action if self.learner in SETTINGS_OF["action"] else "acted",
            options=self.options,
            data=self.data.resolve(),
            data_sha256=data_hash,
            training_commit=current_commit(),
            start_sha256=None if self.resume else self._start_sha256(),
            choosing_sha256=choosing,
            made_with=self._made_with(),
        )
        if before is not None:
            self._require_same(before, now)
            kept = {
                "start_sha256": before.start_sha256,
                "choosing_sha256": choosing or before.choosing_sha256,
            }
            now = now.model_copy(update=kept)
        now.write(self.out / RUN)
        return billed

    def _made_with(self) -> dict[str, int | float | None]:
        """What is no option of the learner's and changes what it learns."""
        names = ("gamma", "batch", "critic_warmup_steps", "cql_weight")
        taken = {name: getattr(self, name) for name in names if self.learner in SETTINGS_OF[name]}
        return taken | ({"net_share": self.net_share} if self.is_on_sites else {})

    def _start_sha256(self) -> str | None:
        return None if self.start_from is None else sha256(self.start_from.read_bytes()).hexdigest()

    def _choosing_sha256(self) -> str | None:
        if self.is_chosen_by_val:
            assert self.val is not None
            return transitions_sha256(self.val)
        return None if self.choose_on is None else data_sha256(find_days(self.choose_on, "val"))

    def _require_same(self, before: RunRecord, now: RunRecord) -> None:
        self._require_same_settings(before, now)
        if before.start_sha256 is None and self.start_from is not None:
            raise CheckpointError(
                f"{self.out}: does not say that it began with other weights; leave out --start-from"
            )
        if before.options != now.options:
            chosen = [f"{flag(name)} {value}" for name, value in before.options.chosen().items()]
            told = " ".join(chosen) or "no options of the learner"
            raise CheckpointError(f"{self.out}: was trained with {told}; give the same again")
        if before.data_sha256 != now.data_sha256:
            raise CheckpointError(
                f"{self.out}: was trained on other data ({before.data}, sha256 {before.data_sha256[:12]}…); "
                "give the same again, or another --out"
            )
        for digest, given, words in (
            (before.start_sha256, self._start_sha256(), "began with other weights"),
            (before.choosing_sha256, now.choosing_sha256, "has a best state that was chosen on other data"),
        ):
            if digest is not None and given not in (None, digest):
                raise CheckpointError(
                    f"{self.out}: {words} (sha256 {digest[:12]}…); give the same again, or none"
                )

    def _require_same_settings(self, before: RunRecord, now: RunRecord) -> None:
        """Of what has an effect on this learner; records of earlier versions hold less, or more."""
        for name in ("learner", "seed", "metering", "action", "span_w"):
            had = getattr(before, name)
            if self.learner in SETTINGS_OF.get(name, EVERY) and had != getattr(now, name):
                word = f"{had:g}" if isinstance(had, float) else had
                raise CheckpointError(f"{self.out}: was trained with {flag(name)} {word}; give it again")
        both = before.made_with.keys() & now.made_with.keys()
        for name in sorted(name for name in both if before.made_with[name] != now.made_with[name]):
            was = before.made_with[name]
            if name == "net_share":
                raise CheckpointError(f"{self.out}: practised on sites of another --metering; give the same")
            raise CheckpointError(f"{self.out}: was trained with {flag(name)} {was:g}; give it again")
