"""Who is compared: what each learner learns from, for how long, and from whose weights it starts.

Every run is one command line of `sunkeep train`, kept beside its result, so that any of them can be made
again alone. A run that was interrupted goes on from its last checkpoint; one that has a result is kept.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

from training.artifacts.checkpoint import BEST_FILE, LAST_FILE
from training.commands.train import TrainedUpdates, train
from training.commands.train_request import BUNDLE, RUN

EXPLORED, PLAIN, TRACES = "explored", "plain", "traces"
RESULT_FILE, SPENT_FILE, FORM_FILE = "result.json", "spent.json", "form.json"


@dataclass(frozen=True)
class ExperimentConfig:
    """One learner with its budget.

    Args:
        name: row of the table.
        learner: `--learner` of `sunkeep train`.
        lessons: the exploring PI's log, the plain PI's journal, or simulated sites of the traces.
        updates: at most so many.
        short_updates: in the short form, which only shows that everything works; 0 leaves it out.
        starts_from: entrant whose actor it begins with.
        note: what to know about it, for the table.
        options: further words for `sunkeep train`.
        chooses: is judged at five points of the way, not at those within `--critic-warmup-steps`, and exports
        the
            best of these states.
    """

    name: str
    learner: str
    lessons: str
    updates: int
    short_updates: int
    starts_from: str | None = None
    note: str = ""
    options: tuple[str, ...] = ()
    chooses: bool = True


ENTRANTS = (
    ExperimentConfig("bc", "bc", PLAIN, 3000, 40, note="journals of the plain retuned PI"),
    ExperimentConfig(
        "bc-explored", "bc", EXPLORED, 3000, 40, note="the exploring PI's log; start of the others"
    ),
    ExperimentConfig(
        "td3bc", "td3bc", EXPLORED, 5000, 10, "bc-explored", options=("--critic-warmup-steps", "1000")
    ),
    ExperimentConfig("iql", "iql", EXPLORED, 2500, 10, "bc-explored"),
    ExperimentConfig(
        "iql-discrete", "iql-discrete", EXPLORED, 1500, 10, note="125 choices around the surplus"
    ),
    ExperimentConfig(
        "cql",
        "cql",
        EXPLORED,
        400,
        3,
        "bc-explored",
        options=("--critic-warmup-steps", "160", "--cql-weight", "0.3"),
    ),
    ExperimentConfig(
        "sac", "sac", EXPLORED, 1500, 10, "bc-explored", "no cql_penalty", ("--critic-warmup-steps", "500")
    ),
    ExperimentConfig("ppo", "ppo", TRACES, 160, 1),
    ExperimentConfig("replay", "replay", TRACES, 60, 0, note="the champion's learner with a small budget"),
)
NAMES = tuple(entrant.name for entrant in ENTRANTS)


@dataclass(frozen=True)
class ExperimentRun:
    """One entrant with one seed: where it is and what it came to."""

    entrant: ExperimentConfig
    seed: int
    folder: Path

    @property
    def bundle(self) -> Path:
        """What it exported."""
        return self.folder / BUNDLE

    @property
    def result(self) -> dict[str, Any] | None:
        """`updates`, `chosen_at` and `processor_s`, or None while it is not done."""
        path = self.folder / RESULT_FILE
        found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return found


class FormError(ValueError):
    """A folder holds runs of the other form; the message says which."""


def _is_short(form: Path) -> bool:
    """What a folder says of its form; nothing means the full one. Raises FormError."""
    try:
        told = json.loads(form.read_text())["short"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        told = None
    if not isinstance(told, bool):
        raise FormError(f"{form} is damaged, so nobody knows what its folder holds; give another --out")
    return told


@dataclass(frozen=True)
class ExperimentPaths:
    """Where lessons, traces and runs are."""

    traces: Path
    lessons: Path
    runs: Path
    is_short: bool = False

    @classmethod
    def opened(cls, traces: Path, out: Path, is_short: bool) -> "ExperimentPaths":
        """The one of a folder, for good in full or in the short form.

        Raises FormError where the folder has the other form: short lessons and runs would be taken for full
        ones. Runs of a folder that says nothing are full ones; a folder without any is of no form yet.
        """
        school = cls(traces, out / "lessons", out / "runs", is_short)
        form, words = out / FORM_FILE, ("the full form", "the short form (--short)")
        if school.has_begun and _is_short(form) != is_short:
            raise FormError(
                f"{out} holds {words[not is_short]}, which cannot go on as {words[is_short]}; give another "
                "--out"
            )
        school.lessons.mkdir(parents=True, exist_ok=True)
        form.write_text(json.dumps({"short": is_short}) + "\n")
        return school

    @property
    def has_begun(self) -> bool:
        """Whether there are lessons or runs."""
        return any(folder.is_dir() and any(folder.iterdir()) for folder in (self.lessons, self.runs))

    def run_of(self, entrant: ExperimentConfig, seed: int) -> ExperimentRun:
        """The run of an entrant with a seed."""
        return ExperimentRun(entrant, seed, self.runs / f"{entrant.name}-{seed}")

    def log(self, lessons: str, split: str) -> Path:
        """Transitions of a split: "explored" is one file, "plain" a data set of `sunkeep dataset`."""
        return self.lessons / (
            f"{lessons}/{split}.parquet" if lessons == PLAIN else f"{lessons}-{split}.parquet"
        )

    def command(self, run: ExperimentRun) -> list[str]:
        """Arguments of `sunkeep train` that make this run."""
        entrant = run.entrant
        updates = entrant.short_updates if self.is_short else entrant.updates
        data = self.traces if entrant.lessons == TRACES else self.log(entrant.lessons, "train")
        words = ["--learner", entrant.learner, "--data", str(data), "--out", str(run.folder)]
        words += ["--seed", str(run.seed), "--steps", str(updates)]
        if entrant.learner == "bc":
            words += ["--val", str(self.log(entrant.lessons, "val"))]
        elif entrant.chooses and entrant.learner != "replay" and not self.is_short:
            words += ["--choose-on", str(self.traces)]
        words += entrant.options
        if entrant.starts_from is not None:
            words += ["--start-from", str(self.runs / f"{entrant.starts_from}-{run.seed}" / RUN / BEST_FILE)]
        return words


def runs_of(
    school: ExperimentPaths,
    names: Sequence[str],
    seeds: Sequence[int],
    entrants: Sequence[ExperimentConfig] = ENTRANTS,
) -> Iterator[ExperimentRun]:
    """All runs, seed by seed, an entrant after the one it starts from."""
    needed = {*names, *(e.starts_from for e in entrants if e.name in names and e.starts_from is not None)}
    for seed in seeds:
        for entrant in entrants:
            if entrant.name in needed and not (school.is_short and entrant.short_updates == 0):
                yield school.run_of(entrant, seed)


def teach(school: ExperimentPaths, run: ExperimentRun) -> None:
    """Make a run, or go on with it; its processor time adds up over interruptions that Python sees."""
    words, began_s = school.command(run), process_time()
    if (run.folder / RUN / LAST_FILE).exists() and run.entrant.learner != "replay":
        words.append("--resume")
    run.folder.mkdir(parents=True, exist_ok=True)
    spent = run.folder / SPENT_FILE
    before_s = float(json.loads(spent.read_text())) if spent.exists() else 0.0
    try:
        trained: TrainedUpdates = train.main(words, prog_name="sunkeep train", standalone_mode=False)
    finally:
        processor_s = before_s + process_time() - began_s
        spent.write_text(json.dumps(processor_s))
    result = asdict(trained) | {"processor_s": processor_s, "command": ["sunkeep", "train", *words]}
    (run.folder / RESULT_FILE).write_text(json.dumps(result, indent=1) + "\n")
