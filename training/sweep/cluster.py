"""A sweep on Ray Tune: trials side by side, the worse ones ended early, all of it resumable.

On this machine by default, on a cluster by its address and nothing else: what trials need travels through
Ray's object store, the source as a runtime environment. `training.sweep.surroundings` must have prepared
what Ray reads when it is imported.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

import training
from training.sweep.outcome import TrialResult, least_w, ranked, trial_of
from training.sweep.space import Settings
from training.sweep.study import Study, live
from training.sweep.surroundings import in_a_sentence

PACKAGES = ("core", "safety", "models", "drivers", "plant", "daemon", "training")
"""Of the source; what these need must be installed on every node, as in the extra `train`."""
NAME = "ray"
"""Folder of Ray's own records in the sweep's folder."""
METRIC, TIME, TRIAL, LEAST = "j_w", "check", "trial", "best_w"


@dataclass(frozen=True)
class SweepTerms:
    """How a sweep runs.

    Args:
        processors: trials side by side, on this machine.
        address: of a cluster; None starts Ray here.
        grace: judgements before a trial may be ended.
        reduction: of so many trials that reach a judgement, the best one goes on.
    """

    processors: int = 2
    address: str | None = None
    grace: int = 1
    reduction: float = 3.0


Told = Callable[[int, int, float], None]
"""Hears every judgement: number of the trial, of the judgement, and J in W."""


_listeners: list[Told] = []
"""Beside the callback, which Ray keeps in its records and brings back without a terminal."""


class _Ear(tune.Callback):  # type: ignore[misc]  # Ray is not looked into
    """Tells the listeners what trials report."""

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        for told in _listeners:
            told(trial.config[TRIAL]["number"], result[TIME], result[METRIC])


def trainable(config: Mapping[str, Any], study: Study) -> None:
    """One trial where Ray put it; it goes on from Ray's copy of its checkpoint, if there is one."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        before = tune.get_checkpoint()
        if before is not None:
            with before.as_directory() as kept:
                copytree(kept, out, dirs_exist_ok=True)

        def tell(check: int, j_w: float) -> None:
            metrics = {TIME: check, METRIC: j_w, LEAST: least_w(out, j_w)}
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(str(out)))

        live(study, config[TRIAL]["settings"], out, tell)


def _folder_of(trial: Any) -> str:
    return f"trial-{trial.config[TRIAL]['number']}"


@contextmanager
def connected(terms: SweepTerms) -> Iterator[None]:
    """Ray, here or there; what was started here ends with it."""
    quiet: dict[str, Any] = {"include_dashboard": None, "log_to_driver": False, "logging_level": "error"}
    if terms.address is None:  # no dashboard is served
        quiet |= {"num_cpus": terms.processors, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        ray.init("local", **quiet)  # even where another one runs
    else:
        source = Path(training.__file__).parents[1]
        modules = [str(source / name) for name in PACKAGES]
        ray.init(address=terms.address, runtime_env={"py_modules": modules}, **quiet)
    logging.getLogger("ray.tune.execution.experiment_state").addFilter(in_a_sentence)
    try:
        yield
    finally:
        ray.shutdown()


def sweep(
    study: Study, settings: Sequence[Settings], out: Path, terms: SweepTerms, told: Told
) -> list[TrialResult]:
    """Run all trials, or go on with those that an interruption left unfinished; best first.

    The worse ones are ended by successive halving without waiting (ASHA, Li et al. 2020, arXiv:1810.05934).

    Args:
        out: folder of the sweep; on a cluster of several nodes one that all of them see.
    """
    storage = str(out.resolve())
    _listeners[:] = [told]
    with connected(terms):
        given = tune.with_resources(tune.with_parameters(trainable, study=study), {"cpu": 1})
        if tune.Tuner.can_restore(f"{storage}/{NAME}"):
            tuner = tune.Tuner.restore(f"{storage}/{NAME}", given, resume_errored=True)
        else:
            halving = ASHAScheduler(
                TIME, max_t=study.checks, grace_period=terms.grace, reduction_factor=terms.reduction
            )
            trials = [{"number": number, "settings": drawn} for number, drawn in enumerate(settings)]
            tuner = tune.Tuner(
                given,
                param_space={TRIAL: tune.grid_search(trials)},
                tune_config=tune.TuneConfig(
                    metric=METRIC, mode="min", scheduler=halving, trial_dirname_creator=_folder_of
                ),
                run_config=tune.RunConfig(
                    name=NAME,
                    storage_path=storage,
                    verbose=0,
                    callbacks=[_Ear()],
                    checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
                ),
            )
        return ranked(_trial(result, study) for result in tuner.fit())


def _trial(result: Any, study: Study) -> TrialResult:
    metrics = result.metrics or {}
    return trial_of(
        result.config[TRIAL]["number"],
        result.config[TRIAL]["settings"],
        int(metrics.get(TIME, 0)),
        study.checks,
        float(metrics.get(LEAST, "nan")),
        "" if result.error is None else str(result.error).strip().splitlines()[-1],
        None if result.checkpoint is None else Path(result.checkpoint.path),
    )
