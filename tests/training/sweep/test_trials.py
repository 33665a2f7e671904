"""What a sweep draws, how its trials are judged, and how they go on."""

import importlib
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.artifacts.checkpoint import BEST_FILE, LAST_FILE, CheckpointError, steps_done
from training.learners.loop import TrainingDiverged
from training.learners.offline.clone import Clone
from training.learners.offline.defaults import USUAL
from training.learners.offline.td3bc import Td3BcSettings
from training.replay.differentiable_replay import ReplayPlan
from training.sweep.__main__ import SHORT, SHORT_PLAN
from training.sweep.outcome import DIVERGED, least_w, ranked, trial_of
from training.sweep.space import SPACES, Categorical, Interval, Range, SpaceError, as_given, draws, parsed
from training.sweep.study import LEARNERS, Study, live, settings_of

# what is drawn


def test_draws_lie_in_their_ranges_and_more_of_them_begin_with_the_same() -> None:
    space: dict[str, Range] = {
        "a": Interval(0.001, 1.0, is_log=True),
        "b": Interval(-2.0, 5.0),
        "c": Categorical((30, 60)),
    }
    many, few = draws(space, 400, 3), draws(space, 5, 3)
    assert many[:5] == few
    assert draws(space, 5, 4) != few
    columns = {name: np.array([drawn[name] for drawn in many]) for name in space}
    assert 0.001 <= columns["a"].min() < 0.002 < 0.5 < columns["a"].max() <= 1.0
    assert 0.4 < float((columns["a"] < 0.0316).mean()) < 0.6  # half of the draws in half of the decades
    assert -2.0 <= columns["b"].min() < -1.5 < 4.5 < columns["b"].max() <= 5.0
    assert set(columns["c"].tolist()) == {30, 60}


def test_every_learner_has_a_space_that_its_settings_know() -> None:
    assert set(SPACES) == set(LEARNERS)
    for learner, space in SPACES.items():
        usual = ReplayPlan() if learner == "replay" else USUAL[learner]
        for name, span in space.items():
            value = getattr(usual, name)
            if isinstance(span, Categorical):
                assert value in span.values
                assert all(isinstance(found, int) for found in span.values)
            else:
                assert span.low <= value <= span.high


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lr=1e-4:1e-2:log", ("lr", Interval(1e-4, 1e-2, is_log=True))),
        ("gamma=0.9:0.99", ("gamma", Interval(0.9, 0.99))),
        ("critic_warmup_steps=0,500", ("critic_warmup_steps", Categorical((0, 500)))),
        ("lr=0.001", ("lr", Categorical((0.001,)))),
    ],
)
def test_a_range_is_read_as_it_is_written(words: str, expected: object) -> None:
    assert parsed(words, Td3BcSettings) == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("speed=1:2", "no setting 'speed'; there are gamma, tau, lr"),
        ("normalize_advantage=0,1", "no setting 'normalize_advantage'"),
        ("lr", "takes numbers"),
        ("lr=", "takes numbers"),
        ("lr=fast", "takes numbers"),
        ("lr=nan", "not LOW:HIGH"),
        ("lr=0:inf", "not LOW:HIGH"),
        ("lr=2:1", "LOW below HIGH"),
        ("lr=1:2:3", "LOW below HIGH"),
        ("lr=0:1:log", "above 0"),
        ("critic_warmup_steps=1:9", "name them: critic_warmup_steps=1,9"),
        ("critic_warmup_steps=1.5,2", "takes whole numbers"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(words: str, reason: str) -> None:
    with pytest.raises(SpaceError, match=reason):
        parsed(words, Td3BcSettings)


def test_what_the_command_line_says_takes_the_place_of_the_learners_own() -> None:
    assert as_given((), "bc", settings_of("bc")) == SPACES["bc"]
    assert list(as_given(("rows=4,8",), "replay", ReplayPlan)) == ["rows"]


# a trial


def judged(
    study: Study, settings: dict[str, Any], out: Path, ends_after: int = 99
) -> list[tuple[int, float]]:
    told: list[tuple[int, float]] = []

    def tell(check: int, j_w: float) -> None:
        told.append((check, j_w))
        if len(told) == ends_after:
            raise KeyboardInterrupt

    try:
        live(study, settings, out, tell)
    except KeyboardInterrupt:
        assert len(told) == ends_after
    return told


def study_of(learner: str, traces: Path, transitions: Path, **terms: Any) -> Study:
    data = None if learner == "replay" else transitions
    short = {**SHORT, "checks": 3, "seed": 1, "plan": SHORT_PLAN, **terms}
    return Study.read(learner, traces, data, **short)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_trial_is_judged_on_the_val_days_and_goes_on_from_its_checkpoint(
    learner: str, traces: Path, transitions: Path, tmp_path: Path
) -> None:
    study = study_of(learner, traces, transitions)
    whole = judged(study, {}, tmp_path / "whole")
    assert [check for check, _ in whole] == [1, 2, 3]
    assert all(np.isfinite(j_w) for _, j_w in whole)
    assert judged(study, {}, tmp_path / "part", ends_after=1) == whole[:1]
    assert steps_done(tmp_path / "part" / LAST_FILE) == study.every
    rest = judged(study, {}, tmp_path / "part")
    assert [check for check, _ in rest] == [2, 3]
    if learner != "replay":  # whose resumed runs begin with new windows
        assert rest == whole[1:]


@pytest.mark.parametrize("learner", sorted({*LEARNERS} - {"replay"}))
def test_the_state_of_the_least_judgement_is_kept_also_over_an_interruption(
    learner: str, traces: Path, transitions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, said = study_of(learner, traces, transitions, checks=4), [5.0, 3.0, 4.0, 9.0]
    answers = iter(said)

    def judge(*_: object) -> object:
        return type("J", (), {"j_w": torch.tensor([next(answers)])})

    monkeypatch.setattr("training.learners.evaluation.judge", judge)
    out, least = tmp_path / "out", list[float]()
    for told in (judged(study, {}, out, ends_after=2), judged(study, {}, out)):
        least += [least_w(out, j_w) for _, j_w in told]
    assert least == [5.0, 3.0, 3.0, 3.0]
    assert (steps_done(out / BEST_FILE), steps_done(out / LAST_FILE)) == (2 * study.every, 4 * study.every)
    trial = trial_of(0, {}, 4, 4, least[-1], "", out)
    assert (trial.j_w, trial.is_whole, trial.weights) == (3.0, True, out / BEST_FILE)


@pytest.mark.parametrize("learner", ["bc", "replay"])
def test_a_trial_that_diverges_after_a_good_judgement_is_the_worst_of_all(
    learner: str, traces: Path, transitions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, made = study_of(learner, traces, transitions, checks=5), list[int]()
    where = (
        "training.learners.offline.clone.Clone.update"
        if learner == "bc"
        else "training.replay.trainer.update"
    )
    kind, _, name = where.rpartition(".")
    owner = Clone if learner == "bc" else importlib.import_module(kind)
    usual = getattr(owner, name)

    def update(*given: Any) -> Any:
        made.append(1)
        if len(made) > 2 * study.every:
            raise TrainingDiverged("actor_loss is not finite")
        return usual(*given)

    monkeypatch.setattr(owner, name, update)
    told = judged(study, {}, tmp_path)
    assert [check for check, _ in told] == [1, 2, 5]
    assert all(isfinite(j_w) for _, j_w in told[:2])
    least = [least_w(tmp_path, j_w) for _, j_w in told]
    assert least == [told[0][1], min(told[0][1], told[1][1]), inf]
    diverged = trial_of(0, {}, 5, 5, least[-1], "", tmp_path)
    assert (diverged.error, diverged.is_whole, diverged.weights) == (DIVERGED, False, None)
    worse = trial_of(1, {}, 2, 5, 10.0 * least[1], "", None)
    assert ranked([diverged, worse]) == [worse, diverged]


def test_a_trial_without_a_judgement_is_behind_all_that_have_one(tmp_path: Path) -> None:
    silent = trial_of(0, {}, 0, 3, nan, "the disk is full", None)
    judged_once = trial_of(1, {}, 1, 3, 500.0, "", tmp_path)
    assert ranked([silent, judged_once]) == [judged_once, silent]
    assert (silent.error, judged_once.weights) == ("the disk is full", None)  # no file, none is named


def test_settings_reach_the_learner(traces: Path, transitions: Path, tmp_path: Path) -> None:
    for learner, small, large in (
        ("bc", {"lr": 1e-5}, {"lr": 0.05}),
        ("replay", {"learning_rate": 1e-4}, {"learning_rate": 0.5}),
    ):
        study = study_of(learner, traces, transitions, checks=1)
        found = [judged(study, given, tmp_path / f"{learner}{n}") for n, given in enumerate((small, large))]
        assert found[0] != found[1]


def test_judgements_come_after_as_many_lived_seconds_whatever_the_stretch(
    traces: Path, tmp_path: Path
) -> None:
    study = study_of("replay", traces, Path(), every=4, checks=1)
    for stretch_s, updates in ((10, 8), (20, 4), (40, 2)):
        judged(study, {"stretch_s": stretch_s}, tmp_path / str(stretch_s))
        assert steps_done(tmp_path / str(stretch_s) / LAST_FILE) == updates


def test_a_figure_that_is_no_number_is_the_worst(
    traces: Path, transitions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = torch.full((3,), torch.nan)
    monkeypatch.setattr("training.learners.evaluation.judge", lambda *_: type("J", (), {"j_w": nowhere}))
    assert judged(study_of("bc", traces, transitions, checks=1), {}, tmp_path) == [(1, float("inf"))]


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert steps_done(tmp_path / "absent") == 0
    (tmp_path / "text").write_text("weights")
    with pytest.raises(CheckpointError, match="text"):
        steps_done(tmp_path / "text")
