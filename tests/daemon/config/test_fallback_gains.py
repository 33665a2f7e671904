"""[fallback]: gains reach the law they belong to, and what would do nothing is refused."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from core.decision import Authority
from core.estimation.learned_response import LearnedResponse
from core.parts import initial_memory
from core.snapshot import SlaveState, Snapshot
from core.tick import decide
from daemon.config.consistency import GAINS_OF
from daemon.config.settings import Settings, SettingsError, parse_settings
from daemon.runtime.assembly import assemble_from, pi_gains, pi_rule_on, predictive_gains, predictive_rule_on
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from tests.support.configuration import CONFIGURATION

FILE = Path("sunkeep.toml")


def settings(*lines: str) -> Settings:
    return parse_settings("\n".join([CONFIGURATION, "[fallback]", *lines]), FILE)


def problems(*lines: str) -> list[tuple[str, str, str]]:
    with pytest.raises(SettingsError) as caught:
        settings(*lines)
    text = "\n".join([CONFIGURATION, "[fallback]", *lines]).split("\n")
    return [(text[p.line - 1], p.reason, p.advice) for p in caught.value.problems]


def test_without_gains_each_law_has_its_own() -> None:
    assert pi_gains(parse_settings(CONFIGURATION, FILE)) == PiGains()
    assert predictive_gains(settings('law = "predictive"')) == PredictiveGains()


def test_configured_gains_reach_the_law() -> None:
    assert pi_gains(settings("kp = 0.5", "margin_w = -4")) == PiGains(0.5, 0.25, -4.0)
    lines = [
        "k_up = 0.8",
        "k_down = 0.4",
        "trend_s = 0",
        "slope_share = 0.3",
        "slope_max_w_per_s = 100",
        "lead = 1.5",
        "margin_w = 3",
    ]
    found = settings('law = "predictive"', *lines)
    assert predictive_gains(found) == PredictiveGains(0.8, 0.4, 0.0, 0.3, 100.0, 1.5, 3.0)


@pytest.mark.parametrize(
    ("law", "plain", "other"), [("pi", "kp = 0.7", "kp = 0.2"), ("predictive", "lead = 1.1", "lead = 0.1")]
)
def test_the_assembled_controller_acts_with_them(law: str, plain: str, other: str) -> None:
    def proposals(line: str) -> list[float]:
        parts = assemble_from(settings(f'law = "{law}"', line)).parts
        memory, found = initial_memory(parts), []
        for tick, grid_w in enumerate((-100.0, -900.0, -900.0)):
            reading = (grid_w, grid_w, grid_w)
            snapshot = Snapshot(tick, float(tick), reading, 0.0, (SlaveState(),) * len(parts.site.slaves))
            decision, memory = decide(snapshot, Authority.FALLBACK, memory, parts)
            found.append(decision.fallback_action_w[0])
        return found

    assert proposals(plain) == proposals("# nothing")
    assert proposals(other) != proposals(plain)


def test_configured_gains_win_over_what_was_learned() -> None:
    learned = LearnedResponse(4.0, 4.5, 3.0, 1.0, 600.0, True)
    chosen = settings("kp = 0.5", "margin_w = -4")
    gains = pi_rule_on(chosen.core_site(), chosen)(learned)
    assert (gains.kp, gains.margin_w) == (0.5, -4.0)
    assert gains.ki == pytest.approx(0.9 / 5.0)
    led = settings('law = "predictive"', "trend_s = 0.2")
    assert predictive_rule_on(led.core_site(), led)(replace(learned, lag_s=8.0)).trend_s == 0.2


def test_a_gain_of_the_other_law_is_refused_at_its_line() -> None:
    assert problems("k_up = 0.8") == [
        (
            "k_up = 0.8",
            'is a gain of law = "predictive", and the law is "pi"',
            'Remove it, or write law = "predictive"',
        )
    ]
    found = problems('law = "predictive"', "ki = 0.2", "kp = 0.5")
    assert [line for line, _, _ in found] == ["ki = 0.2", "kp = 0.5"]


def test_a_controller_that_would_never_move_is_refused() -> None:
    ((line, reason, _),) = problems("kp = 0", "ki = 0")
    assert line == "ki = 0"
    assert "would never move" in reason
    assert pi_gains(settings("kp = 0")).kp == 0.0


@pytest.mark.parametrize(
    "line",
    [
        "k_up = 0",
        "k_up = 1.01",
        "k_down = -0.1",
        "trend_s = 5.1",
        "slope_share = 0",
        "slope_max_w_per_s = 1001",
        "lead = -0.1",
        "lead = true",
        'lead = "1"',
        "lead = nan",
        "k_side = 0.5",
    ],
)
def test_what_is_out_of_range_is_refused(line: str) -> None:
    assert problems('law = "predictive"', line)[0][0] == line


def test_the_example_shows_the_gains_of_both_laws() -> None:
    text = (Path(__file__).parents[3] / "docs" / "sunkeep.example.toml").read_text()
    for law, names in GAINS_OF.items():
        gains = PiGains() if law == "pi" else PredictiveGains()
        for name in names:
            assert f"# {name} = {getattr(gains, name):g} " in text


def test_every_gain_of_a_law_can_be_configured() -> None:
    for law, gains in (("pi", PiGains), ("predictive", PredictiveGains)):
        assert set(GAINS_OF[law]) == {field.name for field in fields(gains)} - {"margin_w"}
