"""Tuning: what is read, what is scored, where candidates come from, that better gains win, what is said."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from core.roles import Role
from core.site import Metering
from daemon.config.settings import parse_settings
from daemon.runtime.assembly import pi_gains, predictive_gains
from daemon.simulation.simulate import Scenario, default_site
from plant.site.stepped import bare_grid_w
from plant.site.trace import COLUMNS, DAY_S, Trace
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.training.site_days import NOON_S, lived, swinging_day, write_journals
from training import tune
from training.commands.tune import tune as command
from training.data import segments
from training.data.segments import Recorded, SamplingRules, beyond_w, days_of_traces, draw_stretches

EXAMPLE = (Path(__file__).parents[2] / "docs" / "sunkeep.example.toml").read_text()


def cloudy_w() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Three times 250 W of load and a sun that clouds halve every 45 s."""
    t = np.arange(DAY_S)
    wave = np.sin(t * 2 * np.pi / 90)
    return np.asarray(5000 + 2500 * np.sign(wave) * np.clip(np.abs(wave) * 3, 0, 1))


def recorded(pv_w: np.ndarray[Any, Any], name: str = "day", load_w: float = 250.0) -> Recorded:
    return Recorded(name, Trace(name, np.full((DAY_S, 3), load_w), pv_w), "3ph")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sunny days with passing clouds, a dark one, and a test day that cannot be read."""
    place = tmp_path_factory.mktemp("traces")
    t, rows = np.arange(DAY_S), []
    days = (("sunny", cloudy_w(), "train"), ("dark", np.zeros(DAY_S), "train"), ("other", cloudy_w(), "val"))
    for name, pv_w, split in days:
        table = np.column_stack([t, *[np.full(DAY_S, 250.0)] * 3, pv_w])
        header = ",".join(COLUMNS)
        np.savetxt(place / f"{name}.csv", table, "%.7g", ",", header=header, comments="")
        rows.append({"file": f"elsewhere/{name}.csv", "split": split, "pv_connection": "3ph"})
    rows.append({"file": "elsewhere/absent.csv", "split": "test", "pv_connection": "A"})
    (place / "SUMMARY.json").write_text(json.dumps(rows))
    return place


def test_only_sunny_parts_are_used_and_the_test_days_are_never_opened(folder: Path) -> None:
    days = days_of_traces(folder)
    assert {split: [day.name for day in part] for split, part in days.items()} == {
        "train": ["sunny", "dark"],
        "val": ["other"],
    }
    rules = SamplingRules(300, 2, 3)
    drawn = draw_stretches(days["train"], default_site(), rules)
    assert [stretch.day for stretch in drawn] == ["sunny", "sunny"]
    assert {s.scenario.end_s - s.scenario.start_s for s in drawn} == {300}
    assert drawn[0].scenario.seed != drawn[1].scenario.seed
    again = draw_stretches(days["train"], default_site(), rules)
    assert [s.scenario.start_s for s in again] == [s.scenario.start_s for s in drawn]


def test_a_generating_site_places_what_the_house_takes() -> None:
    site = replace(default_site(), role=Role.GENERATE)
    days = [recorded(np.zeros(DAY_S), "night"), recorded(cloudy_w(), "sunny")]
    assert [stretch.day for stretch in draw_stretches(days, site, SamplingRules(300))] == ["night"]


def test_seconds_that_nobody_knows_are_not_lived() -> None:
    pv_w = cloudy_w()
    load_w = np.full((DAY_S, 3), np.nan)
    load_w[40_000:41_000] = 250.0
    day = Recorded("gaps", Trace("gaps", load_w, pv_w), "3ph")
    drawn = draw_stretches([day] * 40, default_site(), SamplingRules(600))
    assert drawn
    starts = [stretch.scenario.start_s for stretch in drawn]
    assert min(starts) >= 40_000 + 60
    assert max(starts) <= 41_000 - 600


@pytest.mark.parametrize(
    ("role", "metering", "expected_w"),
    [
        (Role.ABSORB, Metering.NET, 1000.0),
        (Role.ABSORB, Metering.PER_PHASE, 11_500.0),
        (Role.GENERATE, Metering.NET, 16_000.0),
        (Role.GENERATE, Metering.PER_PHASE, 16_500.0),
    ],
)
def test_what_no_slave_can_prevent_is_not_scored(role: Role, metering: Metering, expected_w: float) -> None:
    """16,750 W on phase A against three times 250 W of load; absorbing slaves take 5000 W per phase."""
    trace = recorded(np.full(DAY_S, 16_750.0)).trace
    site = replace(default_site(metering), role=role)
    assert beyond_w(Scenario(trace, site, "A", 100, 160)) == pytest.approx(expected_w)


def test_lame_gains_lose() -> None:
    drawn = draw_stretches([recorded(cloudy_w())], default_site(), SamplingRules(300, 1, 3))
    good, lame = (tune.judge(gains, drawn) for gains in (PiGains(), PiGains(0.1, 0.02, 10.0)))
    assert good.j_w < 0.8 * lame.j_w
    assert good.j_w == pytest.approx(float((good.export_w + 0.5 * good.avoidable_w).mean()))
    assert tune.saved(lame, good, drawn).mean_w == pytest.approx(lame.j_w - good.j_w)


def test_candidates_stay_in_their_ranges_and_are_told_as_they_were_tried() -> None:
    rng = np.random.default_rng(2)
    for law in tune.LAWS:
        default = tune.default_gains(law)
        for _ in range(30):
            for gains in (tune.draw(law, rng), tune.near(default, rng, share=2.0)):
                for name, (low, high) in tune.RANGES[law].items():
                    assert low <= getattr(gains, name) <= high
                text = EXAMPLE[: EXAMPLE.index("[fallback]")] + tune.as_toml(gains)
                text += EXAMPLE[EXAMPLE.index("[anomaly]") :]
                settings = parse_settings(text, Path("sunkeep.toml"))
                assert (pi_gains if law == "pi" else predictive_gains)(settings) == gains
        assert all(low <= getattr(default, name) <= high for name, (low, high) in tune.RANGES[law].items())


def result(gains: tune.Gains, costs_w: list[float]) -> tune.Result:
    return tune.Result(gains, np.array(costs_w), np.zeros(len(costs_w)))


def test_a_change_must_be_clear_and_worth_it() -> None:
    drawn = tuple(
        segments.Stretch(str(day), Scenario(recorded(cloudy_w()).trace, default_site()), 0.0)
        for day in range(6)
    )
    present = result(PiGains(), [100.0] * 6)
    cases = (
        ([90.0, 92.0, 88.0, 91.0, 89.0, 90.0], True),  # clear
        ([50.0, 130.0, 40.0, 140.0, 60.0, 130.0], False),  # large, and chance
        ([99.5] * 6, False),  # certain, and not worth it
        ([float("nan")] * 6, False),
    )
    for costs_w, expected in cases:
        gain = tune.saved(present, result(PredictiveGains(), costs_w), drawn)
        assert tune.is_worth_a_change(gain, present) is expected


def test_a_search_ends_in_time_and_looks_around_the_best_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tune.Gains] = []

    def judged(gains: tune.Gains, _stretches: Any) -> tune.Result:
        asked.append(gains)
        assert isinstance(gains, PiGains)
        return result(gains, [abs(gains.kp - 0.5)])

    monkeypatch.setattr(tune, "judge", judged)
    budget = tune.Budget(1.0, clock=lambda: 1.5 * len(asked))  # a candidate takes 1.5 s
    found = tune.search([PiGains()], (), budget, np.random.default_rng(0))
    assert len(asked) == len(found) == 40
    assert found[0].j_w == min(row.j_w for row in found)
    first, last = asked[1:24], asked[28:]
    spreads = [np.std([gains.kp for gains in part if isinstance(gains, PiGains)]) for part in (first, last)]
    assert spreads[1] < 0.5 * spreads[0]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_keeps_good_gains_and_replaces_lame_ones(folder: Path, tmp_path: Path) -> None:
    short = ("--traces", folder, "--stretch-minutes", 3, "--law", "pi", "--candidates", 1)
    kept = run(*short)
    assert kept.exit_code == 0, kept.output
    assert "No change: the present gains are as good as anything found" in kept.output
    assert "[fallback]" not in kept.output
    config = tmp_path / "sunkeep.toml"
    config.write_text(EXAMPLE.replace("# kp = 0.7 ", "kp = 0.1 ").replace("# ki = 0.25 ", "ki = 0.02 "))
    told = run(*short, "--config", config, "--json")
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert facts["change"] is True
    assert facts["present"]["gains"]["kp"] == 0.1
    assert facts["best"][0]["gains"] == {"kp": 0.7, "ki": 0.25, "margin_w": 10.0}
    assert facts["saved"]["mean_w"] > 0.0 < facts["saved_held_out"]["mean_w"]
    assert facts["slaves"] == 2
    assert 'law = "pi"\nkp = 0.7\nki = 0.25\nmargin_w = 10\n' in facts["toml"]
    words = run(*short, "--config", config)
    assert "The held-out days confirm it" in words.output.replace("\n", " ")
    assert facts["toml"] in words.output


@pytest.mark.parametrize("role", list(Role))
def test_journals_say_what_the_days_were_without_slaves(role: Role, tmp_path: Path) -> None:
    text = CONFIGURATION.replace("[site]", f'[site]\nrole = "{role.value}"')
    trace = swinging_day(400.0, load_w=300.0 if role is Role.ABSORB else 2000.0, pv_w=3000.0)
    folder = write_journals(tmp_path / "journals", list(lived(text, 3, 400, trace)), text)
    site = parse_settings(text, Path("sunkeep.toml")).core_site()
    days = segments.days_of_journals(folder, site, 0)
    ((chosen,), (held_out,)) = days["train"], days["val"]
    assert chosen.name != held_out.name
    bare_w = bare_grid_w(chosen.trace, chosen.connection)
    known = np.flatnonzero(np.isfinite(bare_w).all(axis=1))
    assert known.tolist() == list(range(NOON_S + 14, NOON_S + 399))
    true_w = bare_grid_w(trace, "3ph")[known]
    errors_w = (bare_w[known] - true_w)[60:].sum(axis=1)
    swing_w = float(true_w.sum(axis=1).std())
    assert abs(float(errors_w.mean())) < 0.05 * swing_w
    assert float(errors_w.std()) < 0.2 * swing_w


def test_the_command_tunes_on_journals(tmp_path: Path) -> None:
    config = write_configuration(tmp_path)
    folder = write_journals(tmp_path / "journals", list(lived(CONFIGURATION, 3, 400)), CONFIGURATION)
    short = ("--stretch-minutes", 3, "--law", "predictive", "--candidates", 1)
    told = run("--journals", folder, "--config", config, *short, "--json")
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert (len(facts["tuning_days"]), len(facts["held_out_days"])) == (1, 1)
    assert [row["law"] for row in (facts["present"], *facts["best"])] == ["pi", "predictive"]


def test_what_cannot_be_tuned_is_refused_with_a_reason(folder: Path, tmp_path: Path) -> None:
    config = write_configuration(tmp_path)
    slow = tmp_path / "slow.toml"
    slow.write_text(config.read_text().replace("[site]", "[site]\nperiod_s = 2.0"))
    two = write_journals(tmp_path / "two", list(lived(CONFIGURATION, 2, 30)), CONFIGURATION)
    three = write_journals(tmp_path / "three", list(lived(CONFIGURATION, 3, 30)), CONFIGURATION)
    generating = tmp_path / "generating.toml"
    generating.write_text(config.read_text().replace("[site]", '[site]\nrole = "generate"'))
    for arguments, words in (
        ((), "give either --traces or --journals"),
        (("--journals", two), "needs --config"),
        (("--journals", two, "--config", config), "2 days; a split by day needs at least 3"),
        (("--journals", three, "--config", config), "no 40 minutes without a gap"),
        (("--journals", three, "--config", generating), "slaves that absorb, the site's generate"),
        (("--traces", folder, "--config", slow), "a period of 2 s cannot be tuned"),
        (("--traces", tmp_path), "SUMMARY.json"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 2, refused.output
        assert words in refused.output.replace("\n", " ")


def test_it_needs_no_torch() -> None:
    blocked = ("torch", "pyarrow", "safetensors", "polars", "gymnasium", "onnx", "tensorboard")
    code = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\nimport training.commands.tune"
    subprocess.run([sys.executable, "-c", code], check=True)
