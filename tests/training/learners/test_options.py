"""The options as `sunkeep train` takes them: who refuses what, what a run remembers, what is exported."""

import re
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from models.bundle import load_bundle
from tests.training.learners.online.test_on_sites import find
from tests.training.learners.toys import bandit, plain_space
from tests.training.test_export_command import facts, write_rows
from training.artifacts.checkpoint import BEST_FILE, LAST_FILE, Progress, read_tensors, write_tensors
from training.benchmark.experiments import ENTRANTS
from training.commands.train import CHOICES, LEARNERS, train
from training.data.days import data_sha256, find_days
from training.learners.clipping import with_clipped_rewards
from training.learners.composed import from_transitions
from training.learners.data.files import transitions_sha256
from training.learners.data.transitions import Sampler, TransitionsError
from training.learners.dyna import DynaSettings
from training.learners.loop import TrainingPlan, is_judged
from training.learners.offline.sac import Sac
from training.learners.online.ppo import Rollout
from training.learners.options import CRITICS, SETTINGS_OF, TAKEN_BY, OptionError, Options
from training.run_record import RECORD_FILE, read_record

CHANGED = Options(
    actor="attention",
    clip_observation=5.0,
    clip_reward=1.0,
    warm_up=3,
    decay="cosine",
    plateau=2,
    prioritized=0.6,
    dyna=3,
    kl_max=0.01,
    entropy_weight=0.1,
    noise_kept=0.5,
    curriculum=0.5,
    reptile=5,
    explore="curiosity",
    value_nets=2,
    rate=3e-4,
    lam=0.97,
    horizon=64,
    minibatch=1024,
)


BATCH = 16


def taught(folder: Path, *words: str, learner: str = "td3bc", steps: int = 4) -> Result:
    data = folder / "rows.parquet"
    if not data.exists():
        write_rows(data, 1)
    command = ["--learner", learner, "--data", str(data), "--out", str(folder / "out")]
    if learner in SETTINGS_OF["batch"]:
        command += ["--batch", str(BATCH)]
    return CliRunner().invoke(train, [*command, "--steps", str(steps), *words])


def test_every_option_has_takers_and_the_plain_learner_has_none() -> None:
    assert set(TAKEN_BY) == set(Options.model_fields) == set(CHANGED.chosen())
    assert Options().chosen() == {}
    assert all(set(takers) <= set(LEARNERS) for takers in TAKEN_BY.values())


@pytest.mark.parametrize("name", list(TAKEN_BY))
def test_who_does_not_take_an_option_says_who_does(name: str) -> None:
    alone = Options(**{name: getattr(CHANGED, name)})
    for learner in LEARNERS:
        if learner in TAKEN_BY[name]:
            alone.check(learner, 10, BATCH, is_judged=True)
        else:
            with pytest.raises(OptionError, match=f"is of {', '.join(TAKEN_BY[name])}; {learner} does not"):
                alone.check(learner, 10, BATCH, is_judged=True)


@pytest.mark.parametrize(
    ("options", "learner", "words"),
    [
        (Options(prioritized=0.5, dyna=2), "sac", "either --prioritized or --dyna"),
        (Options(curriculum=0.5, reptile=5), "ppo", "either --curriculum or --reptile"),
        (Options(plateau=2), "ppo", "give --choose-on"),
        (Options(reptile=4), "ppo", "--steps as a multiple"),
        (Options(dyna=9), "cql", "--dyna 9 imagines nothing: half of a --batch of 16"),
    ],
)
def test_what_does_not_go_together_is_refused(options: Options, learner: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        options.check(learner, 10, BATCH, is_judged=False)


def test_the_longest_rollout_that_fits_is_imagined() -> None:
    Options(dyna=BATCH // 2).check("cql", 10, BATCH, is_judged=False)
    assert DynaSettings(horizon=BATCH // 2).starts(BATCH) == 1


def test_the_command_refuses_before_it_reads_anything(tmp_path: Path) -> None:
    told = taught(tmp_path, "--kl-max", "0.01")
    assert told.exit_code == 1
    assert "--kl-max is of ppo; td3bc does not take it" in told.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("learner", sorted({*LEARNERS} - {*CRITICS}))
def test_who_has_no_actor_that_waits_says_so(learner: str, tmp_path: Path) -> None:
    told = taught(tmp_path, "--critic-warmup-steps", "2", learner=learner)
    assert told.exit_code == 1
    assert f"--critic-warmup-steps is of sac, cql, td3bc; {learner} does not take it" in told.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("learner", "option", "words"),
    [
        ("td3bc", ["--val"], "--val is of bc; td3bc does not"),
        ("bc", ["--val", "--choose-on"], "either --val or --choose-on"),
        ("replay", ["--choose-on"], "--choose-on is of .*; replay does not"),
    ],
)
def test_days_that_nobody_would_choose_on_are_refused(
    learner: str, option: list[str], words: str, tmp_path: Path
) -> None:
    told = taught(tmp_path, *(word for name in option for word in (name, str(tmp_path))), learner=learner)
    assert told.exit_code == 1
    assert re.search(words, told.output.replace("\n", " "))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        ("td3bc", ["--cql-weight", "9"]),
        ("bc", ["--gamma", "0.1"]),
        ("replay", ["--gamma", "0.1"]),
        ("ppo", ["--batch", "256"]),
        ("replay", ["--batch", "64"]),
        ("ppo", ["--action", "applied"]),
        ("replay", ["--action", "acted"]),
        ("iql-discrete", ["--span-w", "500"]),
        ("replay", ["--span-w", "1000"]),
        ("iql", ["--kl-max", "0"]),
    ],
)
def test_what_does_nothing_for_a_learner_is_refused_even_with_its_usual_value(
    learner: str, words: list[str], tmp_path: Path
) -> None:
    told = taught(tmp_path, *words, learner=learner)
    assert told.exit_code == 1
    assert f"{words[0]} is of" in told.output


@pytest.mark.parametrize("words", [["--gamma", "0.5"], ["--critic-warmup-steps", "2"], ["--batch", "8"]])
def test_a_run_goes_on_with_the_numbers_that_it_began_with(words: list[str], tmp_path: Path) -> None:
    assert taught(tmp_path).exit_code == 0
    told = taught(tmp_path, "--resume", *words, steps=8)
    assert told.exit_code == 1
    assert f"was trained with {words[0]}" in told.output
    assert taught(tmp_path, "--resume", steps=8).exit_code == 0


def test_a_run_that_began_with_nobody_s_weights_does_not_go_on_with_some(tmp_path: Path) -> None:
    assert taught(tmp_path).exit_code == 0
    told = taught(tmp_path, "--resume", "--start-from", str(tmp_path / "out" / "run" / LAST_FILE), steps=8)
    assert told.exit_code == 1
    assert "leave out --start-from" in told.output.replace("\n", " ")


def test_replay_begins_with_nobody(tmp_path: Path) -> None:
    (tmp_path / "weights").touch()
    told = taught(tmp_path, "--start-from", str(tmp_path / "weights"), learner="replay")
    assert told.exit_code == 1
    assert "--start-from is of" in told.output


@pytest.mark.parametrize(("name", "states"), [("td3bc", 4), ("cql", 3), ("sac", 4), ("iql", 5), ("ppo", 5)])
def test_the_comparison_chooses_among_as_many_states_as_its_page_says(name: str, states: int) -> None:
    (entrant,) = (entrant for entrant in ENTRANTS if entrant.name == name)
    words = entrant.options
    first = int(words[words.index("--critic-warmup-steps") + 1]) if "--critic-warmup-steps" in words else 0
    every = entrant.updates // CHOICES
    plan = TrainingPlan(entrant.updates, judge_every=every, judge_after=first)
    assert sum(is_judged(plan, Progress(step=step)) for step in range(1, plan.steps + 1)) == states


@pytest.mark.parametrize(
    ("learner", "recorded"),
    [
        ("bc", {"batch"}),
        ("iql", {"batch", "gamma"}),
        ("cql", {"batch", "gamma", "critic_warmup_steps", "cql_weight"}),
    ],
)
def test_a_record_holds_what_has_an_effect_and_nothing_else(
    learner: str, recorded: set[str], tmp_path: Path
) -> None:
    assert taught(tmp_path, learner=learner, steps=1).exit_code == 0
    record = read_record(tmp_path / "out" / "run")
    assert record is not None
    assert set(record.made_with) == recorded


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_what_is_no_bound_is_refused_in_a_sentence(value: str, tmp_path: Path) -> None:
    for option in ("--clip-reward", "--prioritized"):
        told = taught(tmp_path, option, value)
        assert told.exit_code == 2
        assert option in told.output
        assert "Traceback" not in told.output
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        ("bc", ["--actor", "attention", "--clip-observation", "5", "--warm-up", "2"]),
        ("td3bc", ["--prioritized", "0.6", "--clip-reward", "1", "--decay", "linear"]),
        ("cql", ["--dyna", "2", "--actor", "attention"]),
        ("iql-discrete", ["--warm-up", "2", "--decay", "cosine"]),
    ],
)
def test_a_bundle_that_verifies_comes_of_it_and_export_makes_the_same(
    learner: str, words: list[str], tmp_path: Path
) -> None:
    told = taught(tmp_path, *words, learner=learner)
    assert told.exit_code == 0, told.output
    made = load_bundle(tmp_path / "out" / "bundle")
    assert made.golden_error_w <= 0.01
    facts(tmp_path / "out", "--checkpoint", "last", "--out", tmp_path / "again")
    again = load_bundle(tmp_path / "again")
    assert again.manifest.files["policy.onnx"] == made.manifest.files["policy.onnx"]


def test_a_run_remembers_its_options_and_goes_on_only_with_them(tmp_path: Path) -> None:
    told = taught(tmp_path, "--prioritized", "0.6")
    assert told.exit_code == 0, told.output
    record = read_record(tmp_path / "out" / "run")
    assert record is not None
    assert record.options == Options(prioritized=0.6)
    tensors, _ = read_tensors(tmp_path / "out" / "run" / LAST_FILE)
    assert bool((tensors["priorities/priorities"] >= 0.0).any())
    for words in ([], ["--prioritized", "0.5"]):
        refused = taught(tmp_path, "--resume", *words, steps=6)
        assert refused.exit_code == 1
        assert "was trained with --prioritized 0.6; give the same again" in refused.output
    more = taught(tmp_path, "--resume", "--prioritized", "0.6", steps=6)
    assert more.exit_code == 0, more.output


@pytest.mark.parametrize(
    ("words", "had"),
    [
        (["--learner", "iql"], "--learner td3bc"),
        (["--seed", "1"], "--seed 0"),
        (["--action", "applied"], "--action acted"),
        (["--span-w", "500"], "--span-w 1000"),
    ],
)
def test_a_run_goes_on_only_as_what_its_record_says(words: list[str], had: str, tmp_path: Path) -> None:
    assert taught(tmp_path).exit_code == 0
    record = (tmp_path / "out" / "run" / RECORD_FILE).read_bytes()
    refused = taught(tmp_path, "--resume", *words, steps=6)
    assert refused.exit_code == 1
    assert f"was trained with {had}; give it again" in refused.output
    assert (tmp_path / "out" / "run" / RECORD_FILE).read_bytes() == record


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    assert taught(tmp_path).exit_code == 0
    record = (tmp_path / "out" / "run" / RECORD_FILE).read_bytes()
    write_rows(tmp_path / "rows.parquet", 2)
    refused = taught(tmp_path, "--resume", steps=6)
    assert refused.exit_code == 1
    assert "was trained on other data" in refused.output
    assert (tmp_path / "out" / "run" / RECORD_FILE).read_bytes() == record


def test_the_bound_of_observations_goes_with_the_weights(tmp_path: Path) -> None:
    assert taught(tmp_path, "--clip-observation", "0.7").exit_code == 0
    run = tmp_path / "out" / "run"
    made = load_bundle(tmp_path / "out" / "bundle").manifest.files["policy.onnx"]
    said = (run / RECORD_FILE).read_text()
    assert said.count('"clip_observation": 0.7') == 1
    (run / RECORD_FILE).write_text(said.replace('"clip_observation": 0.7', '"clip_observation": 2.0'))
    facts(tmp_path / "out", "--checkpoint", "last", "--out", tmp_path / "again")
    assert load_bundle(tmp_path / "again").manifest.files["policy.onnx"] == made

    sentence = "its actor saw observations with --clip-observation 0.7, not with --clip-observation"
    resumed = taught(tmp_path, "--resume", "--clip-observation", "2", steps=6)
    assert resumed.exit_code == 1
    assert f"{sentence} 2; give the same" in " ".join(resumed.output.split())
    for words, exit_code in ((["--clip-observation", "0.7"], 0), ([], 1)):
        begun = taught(tmp_path, "--start-from", str(run / LAST_FILE), "--out", str(tmp_path / "o"), *words)
        assert begun.exit_code == exit_code, begun.output
    assert f"{sentence} 0; give the same" in " ".join(begun.output.split())


def test_weights_from_before_the_bound_was_kept_have_none(tmp_path: Path) -> None:
    assert taught(tmp_path).exit_code == 0
    last = tmp_path / "out" / "run" / LAST_FILE
    tensors, header = read_tensors(last)
    del tensors["learner/normalize.clip"]
    write_tensors(last, tensors, header)
    assert taught(tmp_path, "--resume", steps=6).exit_code == 0
    write_tensors(last, tensors, header)
    begin = ("--start-from", str(last), "--out", str(tmp_path / "other"))
    assert taught(tmp_path, *begin).exit_code == 0
    assert "with --clip-observation 0, not" in taught(tmp_path, *begin, "--clip-observation", "2").output


def test_a_record_says_what_chose_and_what_it_began_with(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", 2)
    assert taught(tmp_path, "--val", str(tmp_path / "val.parquet"), learner="bc", steps=20).exit_code == 0
    clone = tmp_path / "out" / "run"
    record = read_record(clone)
    assert record is not None
    assert record.choosing_sha256 == transitions_sha256(tmp_path / "val.parquet")
    assert record.start_sha256 is None

    find(tmp_path)
    begin = ["--out", str(tmp_path / "o"), "--start-from", str(clone / BEST_FILE)]
    assert taught(tmp_path, *begin, "--choose-on", str(tmp_path)).exit_code == 0
    record = read_record(tmp_path / "o" / "run")
    assert record is not None
    assert record.start_sha256 == sha256((clone / BEST_FILE).read_bytes()).hexdigest()
    assert record.choosing_sha256 == data_sha256(find_days(tmp_path, "val"))
    assert str(tmp_path / "out") not in (tmp_path / "o" / "run" / RECORD_FILE).read_text()

    for words in ([], begin):
        assert taught(tmp_path, "--out", str(tmp_path / "o"), "--resume", *words, steps=6).exit_code == 0
        assert read_record(tmp_path / "o" / "run") == record
    other = ["--out", str(tmp_path / "o"), "--start-from", str(clone / LAST_FILE), "--resume"]
    refused = taught(tmp_path, *other, steps=8)
    assert refused.exit_code == 1
    assert "began with other weights" in refused.output


def test_a_run_goes_on_being_chosen_by_what_chose_it(tmp_path: Path) -> None:
    val = tmp_path / "val.parquet"
    write_rows(val, 2)
    assert taught(tmp_path, "--val", str(val), learner="bc", steps=20).exit_code == 0
    write_rows(val, 3)
    refused = taught(tmp_path, "--val", str(val), "--resume", learner="bc", steps=40)
    assert refused.exit_code == 1
    assert "has a best state that was chosen on other data" in refused.output


def test_ppo_takes_its_own(tmp_path: Path) -> None:
    find(tmp_path)
    own = ["--kl-max", "0.01", "--entropy-weight", "0.01", "--noise-kept", "0.5", "--reptile", "1"]
    own += ["--clip-reward", "1", "--actor", "attention", "--warm-up", "1"]
    words = ["--learner", "ppo", "--data", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(train, [*words, *own])
    assert told.exit_code == 0, told.output
    assert load_bundle(tmp_path / "out" / "bundle").golden_error_w <= 0.01


def test_nobody_imagines_on_after_an_end() -> None:
    learner = Sac(plain_space(1, 8))
    with pytest.raises(TransitionsError, match="--dyna imagines only what goes on"):
        from_transitions(learner, bandit(20), 8, Options(dyna=2))


def test_rewards_are_held_within_the_bound_and_nothing_else_changes() -> None:
    data = bandit(200)
    plain = Sampler(data, 50)(torch.Generator().manual_seed(0))
    held = with_clipped_rewards(Sampler(data, 50), 0.2)(torch.Generator().manual_seed(0))
    assert float(plain.reward.min()) < -0.2 == pytest.approx(float(held.reward.min()))
    assert torch.equal(held.reward, plain.reward.clamp(-0.2, 0.2))
    assert torch.equal(held.observation, plain.observation)
    wide, flat = torch.zeros(2, 1, 1), torch.tensor([[-3.0], [3.0]])
    rollout = Rollout(wide, wide, flat, flat, wide, flat, flat)
    assert with_clipped_rewards(lambda _: rollout, 1.0)(torch.Generator()).reward.tolist() == [[-1.0], [1.0]]
