"""From a champion and a site's own days to a challenger and a verdict.

Three roles of days: some teach, some choose the state that is kept, some judge and are lived by nothing
before the verdict. Measured traces may teach and choose as well; the judgement is the site's own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.site import Metering
from models.bundle import load_bundle
from safety.pi import PiGains
from training.artifacts.checkpoint import BEST_FILE, Progress, load_weights
from training.artifacts.destination import ExportError
from training.artifacts.export import Lineage
from training.batched.bundle_policy import BundlePolicy
from training.batched.scenarios import TROUBLES
from training.batched.windows import read_days
from training.champion.train import SHORT_COURSE, SHORT_PLAN, record_run, write_bundle
from training.contest.contest import compete
from training.contest.results import ControllerResult, Field, standings
from training.data.days import Day, data_sha256, data_sources
from training.evaluation.criteria import CriteriaAnswers
from training.evaluation.judgement import Told, day_result, in_the_product, known
from training.evaluation.succession import Rival, Succession, succession
from training.replay.differentiable_replay import ReplayPlan
from training.replay.from_bundle import net_of
from training.replay.network import ReplayNet
from training.replay.trainer import RunLength, train
from training.run_record import read_record

BUNDLE, DAYS = "bundle", "days"
UPDATES = 600
LEARNING_RATE = 3e-4
"""A fifth of what the champion was trained with: it is near its place already."""


@dataclass(frozen=True)
class RetrainingDays:
    """Days that teach, days that choose, and how their site is billed."""

    teach: tuple[Day, ...]
    choose: tuple[Day, ...]
    metering: Metering

    @property
    def all(self) -> tuple[Day, ...]:
        """What the challenger's lineage names."""
        return self.teach + self.choose


@dataclass(frozen=True)
class FineTuning:
    """How long to fine-tune, with what randomness."""

    updates: int = UPDATES
    seed: int = 0
    device: str = "cpu"
    is_short: bool = False

    @property
    def window_s(self) -> int:
        """Length of the windows that choose."""
        return self._usual_course.window_s

    @property
    def _usual_course(self) -> RunLength:
        return SHORT_COURSE if self.is_short else RunLength(check_every=50)

    def course(self, metering: Metering) -> RunLength:
        """Billed as the site is, all of it."""
        net = 1.0 if metering is Metering.NET else 0.0
        return replace(self._usual_course, updates=self.updates, seed=self.seed, device=self.device, net=net)

    def made_with(self, metering: Metering) -> dict[str, int | float | None]:
        """What must be the same for a run to go on, beside seed and billing: its windows and its steps."""
        fields = asdict(self.course(metering)) | asdict(self.plan())
        return {name: value for name, value in fields.items() if name not in ("seed", "device", "net")}

    def plan(self) -> ReplayPlan:
        """Small steps."""
        return replace(SHORT_PLAN if self.is_short else ReplayPlan(), learning_rate=LEARNING_RATE)


def fine_tune(champion: BundlePolicy, lessons: RetrainingDays, out: Path, effort: FineTuning) -> Progress:
    """Teach the champion's network on; the state that is best on the days that choose is kept in `out`.

    The champion itself is judged first: `best_step` is 0 when nothing better was found. The same call goes on
    from an interruption.

    Raises:
        CheckpointError: the bundle's network cannot be taught on, or `out` holds another run.
        ExportError: `out` holds a bundle and no run that made it.
    """
    start = net_of(champion.bundle)
    if (out / BUNDLE).exists() and read_record(out) is None:
        raise ExportError(f"{out / BUNDLE} is there and no run that made it; give another --out")
    sha256 = champion.bundle.sha256
    made_with = effort.made_with(lessons.metering)
    record_run(out, out / DAYS, lessons.all, effort.seed, lessons.metering, sha256, made_with)
    sunshine, choosing = read_days(lessons.teach), read_days(lessons.choose)
    return train(sunshine, choosing, out, effort.course(lessons.metering), effort.plan(), start)


def export_challenger(
    champion: BundlePolicy, lessons: RetrainingDays, out: Path, name: str, seed: int
) -> BundlePolicy:
    """The best state as a verified bundle that names its parent; its version follows the champion's."""
    net = ReplayNet()
    load_weights(out / BEST_FILE, net)
    before = champion.bundle
    lineage = Lineage.now(
        name,
        before.manifest.bundle_version + 1,
        lessons.metering.value,
        data_sha256(lessons.all),
        parent_sha256=before.sha256,
        sources=tuple(sorted({*(before.manifest.training_sources or ()), *data_sources(lessons.all)})),
    )
    write_bundle(net.eval(), read_days(lessons.teach), out / BUNDLE, lineage, seed)
    return BundlePolicy(load_bundle(out / BUNDLE))


@dataclass(frozen=True)
class ContestResult:
    """The contest on the days that judge, and what came of it."""

    field: Field
    rows: list[ControllerResult]
    champion: Rival
    challenger: Rival
    succession: Succession
    by_day: dict[str, float]
    """J of the challenger against the champion's on every day alone, nothing late or in trouble."""

    def facts(self) -> dict[str, Any]:
        """For programs; what is not known is null."""
        plain: dict[str, Any] = known(
            {
                "succession": asdict(self.succession),
                "by_day": self.by_day,
                "champion": asdict(self.champion),
                "challenger": asdict(self.challenger),
                "standings": [asdict(row) for row in self.rows],
            }
        )
        return plain


def judge(
    champion: BundlePolicy,
    challenger: BundlePolicy,
    days: Sequence[Day],
    metering: Metering,
    gains: PiGains,
    radios: int,
    told: Told,
) -> ContestResult:
    """Live every condition with both, with the PI at all its margins and with the predictive law.

    Raises:
        plant.site.trace.TraceError: a trace that cannot be read.
    """
    rivals = {named(policy): policy for policy in (champion, challenger)}
    field = compete(
        days, range(radios), rivals, gains, TROUBLES, lambda *n: told("hours lived", *n), (metering,)
    )
    rows, found = standings(field), []
    for name, policy in rivals.items():
        hours = in_the_product(days, policy.bundle.directory, metering, field, name, told)
        answers = CriteriaAnswers(policy.unanswered, policy.outside, sum(hour.unsafe for hour in hours))
        found.append(Rival.of(rows, name, metering, answers))
    before, after = found
    by_day = {}
    for day in days:
        mine, other = (day_result(field, rival.name, metering, day).j_change for rival in (after, before))
        by_day[day.path.stem] = (1.0 + mine) / (1.0 + other) - 1.0
    return ContestResult(field, rows, before, after, succession(field, rows, metering, before, after), by_day)


def named(policy: BundlePolicy) -> str:
    """Name and version of a bundle."""
    manifest = policy.bundle.manifest
    return f"{manifest.name} {manifest.bundle_version}"
