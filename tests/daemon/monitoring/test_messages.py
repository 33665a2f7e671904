"""Figures in the words of an owner, and as one document."""

import json
from dataclasses import replace
from math import inf, nan

import pytest

from core.decision import Authority, State, SupervisorDecision
from core.estimation.learned_response import LearnedResponse
from core.estimation.swinging import Swinging
from core.modes import Mode
from core.site import Metering, Phases, Site, Slave
from core.snapshot import SlaveState
from daemon.commands.status import summary
from daemon.monitoring import messages
from daemon.monitoring.energy_check import Finding
from daemon.monitoring.figures import Figures
from daemon.monitoring.status import document as status_document
from daemon.monitoring.status import status
from daemon.monitoring.telemetry import Cost, ProcessStatistics, RadioStatistics, SiteInfo
from daemon.words.causes import CAUSES
from daemon.words.translation import words_in
from safety.faults import FAULTS
from tests.support.telemetry_feed import ABOUT, BLIND, SITE, FedHouse, decision, feed, snapshot

NET = Site(slaves=(Slave(0, "tank", 0, 3000),))
PER_PHASE = Site(slaves=NET.slaves, metering=Metering.PER_PHASE)
COST = Cost(0.0005, 0.001, 0.00004)


def test_every_cause_of_the_supervisor_has_words() -> None:
    assert set(FAULTS) <= set(CAUSES)
    assert messages.cause("brand_new") == "brand new"


def test_who_acts_is_said_with_what_is_left_of_the_gains() -> None:
    figures = Figures(SITE, ABOUT, 0.0)
    house = FedHouse()
    feed(figures, house, "sunny", 1)
    assert status(figures, 1.0)["details"]["gain_share"] == 1.0
    assert figures.decision is not None
    figures.decision = replace(figures.decision, swinging=Swinging(1, 0.16, 6.0, 1.5))
    assert messages.why(figures).endswith(
        "; with 16 % of its gains, because setpoints swung on phase b as if devices answered after 6 s "
        "with a lag of 1.5 s"
    )
    assert status(figures, 1.0)["details"]["gain_share"] == 0.16


def test_what_was_learned_of_a_phase_is_in_the_status() -> None:
    figures = Figures(SITE, ABOUT, 0.0)
    feed(figures, FedHouse(), "sunny", 1)
    assert figures.decision is not None
    assert [phase["learned"] for phase in status(figures, 1.0)["phases"]] == [None] * 3
    learned = (None, LearnedResponse(4.026, 4.5, 1.5, 0.93, 600.4, True), None)
    figures.decision = replace(figures.decision, learned=learned)
    shown = status(figures, 1.0)["phases"]
    assert shown[0]["learned"] is None
    assert shown[1]["learned"] == {
        "dead_time_s": 4.03,
        "dead_time_high_s": 4.5,
        "lag_s": 1.5,
        "gain": 0.93,
        "moving_s": 600,
        "is_in_force": True,
    }


HEADLINES = [
    # grid, without, verdict, causes -> beginning of the sentence, tone
    (
        (-40.0, 0.0, 0.0),
        (-4200.0, 0.0, 0.0),
        State.RL_ACTIVE,
        (),
        "Solar surplus is being used: 40 W exp",
        "good",
    ),
    (
        (50.0, 0.0, 0.0),
        (-900.0, 0.0, 0.0),
        State.RL_ACTIVE,
        (),
        "Solar surplus is being used: nothing",
        "good",
    ),
    ((-2000.0, 0.0, 0.0), (-4200.0, 0.0, 0.0), State.RL_ACTIVE, (), "Part of the solar surplus", "watch"),
    ((700.0, 0.0, 0.0), (700.0, 0.0, 0.0), State.RL_ACTIVE, (), "No solar surplus right now: 700 W", "quiet"),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), State.SAFE_STOP, ("meter_lost",), "Every device rests at 0 W", "bad"),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), State.SAFE_STOP, ("rest_ordered",), "Stopping", "quiet"),
    (
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        State.FALLBACK,
        ("radio_down",),
        "The radio does not answer",
        "watch",
    ),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), State.INIT, (), "Starting", "quiet"),
]


@pytest.mark.parametrize(("grid_w", "without_w", "state", "causes", "text", "tone"), HEADLINES)
def test_the_headline_says_what_is_going_on(
    grid_w: Phases, without_w: Phases, state: State, causes: tuple[str, ...], text: str, tone: str
) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    estimate = replace(BLIND, capacity_w=(5000.0, 5000.0, 5000.0))
    authority = Authority.REST if "rest_ordered" in causes else Authority.POLICY
    verdict = SupervisorDecision(state, causes)
    decided = decision(verdict=verdict, authority=authority, estimate=estimate, setpoints_w=(0,))
    seen = snapshot(1.0, grid_w, slaves=(SlaveState(),))
    figures.update(seen, decided, cost=COST, radio=RadioStatistics(True), baseline_grid_power_w=without_w)
    said = messages.headline(figures)
    assert said.text.startswith(text)
    assert said.tone == tone


@pytest.mark.parametrize(
    ("mode", "causes", "why"),
    [
        (
            Mode.SHADOW,
            ("fallback_ordered",),
            "in shadow mode: the policy is computed and recorded, not obeyed",
        ),
        (
            Mode.AB,
            ("dwell", "fallback_ordered"),
            "in a comparison: this quarter of an hour belongs to the fallback",
        ),
        (
            Mode.PRODUCTION,
            ("dwell",),
            "because the learned policy was told to give way less than 15 minutes ago",
        ),
    ],
)
def test_who_acts_and_why(mode: Mode, causes: tuple[str, ...], why: str) -> None:
    figures = Figures(NET, SiteInfo(mode=mode), 0.0)
    assert messages.who(figures) == "Nobody yet"
    ordered = SupervisorDecision(State.FALLBACK, causes)
    decided = decision(verdict=ordered, authority=Authority.FALLBACK, setpoints_w=(0,))
    figures.update(snapshot(1.0, (0.0, 0.0, 0.0), slaves=(SlaveState(),)), decided, cost=COST)
    assert (messages.who(figures), messages.why(figures)) == ("The PI controller", why)


ENDED = [
    # cause, alarms, fresh, authority -> beginning, whether 30 good samples are awaited
    ("meter_lost", (), False, Authority.POLICY, "because the meter does not answer", False),
    ("meter_lost", (), True, Authority.POLICY, "because the meter did not answer", True),
    ("radio_lost", ("radio_down",), True, Authority.POLICY, "because the radio coordinator has not", False),
    ("radio_lost", (), True, Authority.POLICY, "because the radio coordinator had not", True),
    ("meter_config", ("meter_config",), False, Authority.POLICY, "because the meter refuses", False),
    ("meter_config", (), True, Authority.POLICY, "because the meter refused", True),
    ("loop_diverges", (), True, Authority.POLICY, "because the devices did not do", True),
    ("rest_ordered", (), True, Authority.REST, "because it was told to rest", False),
    ("rest_ordered", (), True, Authority.POLICY, "because it was told to rest", True),
    ("meter_sign", (), True, Authority.POLICY, "because the meter seems to count in the wrong", False),
]


@pytest.mark.parametrize(("name", "alarms", "fresh", "authority", "text", "awaited"), ENDED)
def test_a_stop_whose_reason_is_over_says_what_is_awaited(
    name: str, alarms: tuple[str, ...], fresh: bool, authority: Authority, text: str, awaited: bool
) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    decided = decision(
        verdict=SupervisorDecision(State.SAFE_STOP, (name, "reentry")),
        estimate=replace(BLIND, fresh=fresh),
        authority=authority,
        setpoints_w=(0,),
    )
    seen = snapshot(1.0, (0.0, 0.0, 0.0), slaves=(SlaveState(),), alarms=alarms)
    figures.update(seen, decided, cost=COST, radio=RadioStatistics(True))
    why = messages.why(figures)
    assert why.startswith(text)
    assert why.endswith("; control goes on after 30 good meter readings in a row") is awaited


def test_an_order_to_rest_that_is_over_is_no_stopping_daemon() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    resting = SupervisorDecision(State.SAFE_STOP, ("rest_ordered",))
    decided = decision(verdict=resting, authority=Authority.POLICY, setpoints_w=(0,))
    figures.update(snapshot(1.0, (0.0, 0.0, 0.0), slaves=(SlaveState(),)), decided, cost=COST)
    assert not messages.headline(figures).text.startswith("Stopping")


def test_the_document_is_json_whatever_the_policy_wished() -> None:
    figures = Figures(SITE, ABOUT, 1000.0)
    json.dumps(status(figures, 1000.0), allow_nan=False)
    feed(figures, FedHouse(), "sunny", 20)
    strange = decision(policy_action_w=(nan, inf, -inf))
    figures.update(snapshot(1021.0, (0.0, 0.0, 0.0)), strange, cost=COST)
    document = json.loads(json.dumps(status(figures, 1021.5, since_s=1015.0), allow_nan=False))
    assert document["phases"][0]["policy_action_w"] is None
    assert [point[0] for point in document["points"]] == [1016.0, 1017.0, 1018.0, 1019.0, 1020.0, 1021.0]
    assert document["tick_age_s"] == 0.5


def test_what_the_counters_said_of_the_power() -> None:
    wrong = Finding(1000.0, 100.4, 110.0, 30.0, 3700.0)
    assert messages.energy_check(wrong) == (
        "the meter's power and its energy counters disagree: 100 Wh by power, 1000 Wh counted"
    )
    assert messages.energy_check(Finding(1000.0, 1001.0, 1001.0, 30.0, 3700.0)).endswith("counters again")
    assert "could not be compared" in messages.energy_check(None)


@pytest.mark.parametrize(
    ("grid_w", "without_w", "text"),
    [
        (
            (2800.0, 0.0, 0.0),
            (-900.0, 0.0, 0.0),
            "The devices take more than the solar surplus: 2.8 kW drawn from the",
        ),
        ((-5.0, 0.0, 0.0), (-900.0, 0.0, 0.0), "Solar surplus is being used: nothing exported"),
        ((-6.0, 0.0, 0.0), (-900.0, 0.0, 0.0), "Solar surplus is being used: 6 W exported"),
    ],
)
def test_the_headline_agrees_with_the_figures_below_it(grid_w: Phases, without_w: Phases, text: str) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    estimate = replace(BLIND, capacity_w=(5000.0, 5000.0, 5000.0))
    figures.update(
        snapshot(1.0, grid_w, slaves=(SlaveState(),)),
        decision(estimate=estimate, setpoints_w=(0,)),
        cost=COST,
        baseline_grid_power_w=without_w,
    )
    assert messages.headline(figures).text.startswith(text)


@pytest.mark.parametrize(
    ("causes", "slave", "text"),
    [
        (("meter_lost",), SlaveState(True, 3.0, 2.0), "Every device rests at 0 W for safety"),
        (
            ("meter_lost",),
            SlaveState(True, 1700.0, 2.0),
            "Every device is told 0 W for safety: 1.7 kW drawn when last heard",
        ),
        (
            ("meter_lost",),
            SlaveState(False, 1700.0, 375.0),
            "Every device is told 0 W for safety; 1 of 1 devices",
        ),
        (("meter_lost", "radio_lost", "radio_down"), SlaveState(False, 1700.0, 375.0), "Nothing can be told"),
    ],
)
def test_nobody_is_said_to_rest_who_does_not(causes: tuple[str, ...], slave: SlaveState, text: str) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    resting = SupervisorDecision(State.SAFE_STOP, causes)
    seen = snapshot(1.0, (0.0, 0.0, 0.0), slaves=(slave,))
    radio = RadioStatistics("radio_down" not in causes)
    figures.update(seen, decision(verdict=resting, setpoints_w=(0,)), cost=COST, radio=radio)
    said = messages.headline(figures)
    assert (said.text.startswith(text), said.tone) == (True, "bad"), said.text


@pytest.mark.parametrize("age_s", [16.0, 375.0])
def test_a_slave_that_is_not_heard_has_no_power_and_does_not_answer(age_s: float) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    seen = snapshot(1.0, (0.0, 0.0, 0.0), slaves=(SlaveState(True, 1700.0, age_s),))
    figures.update(seen, decision(setpoints_w=(0,)), cost=COST)
    (slave,) = status(figures, 1.0)["slaves"]
    assert (slave["power_w"], slave["is_heard"], slave["report_age_s"]) == (None, False, age_s)


@pytest.mark.parametrize(
    ("mode", "state", "causes", "why"),
    [
        (
            Mode.SHADOW,
            State.FALLBACK,
            ("reentry", "fallback_ordered"),
            "in shadow mode: the",
        ),
        (
            Mode.PRODUCTION,
            State.SAFE_STOP,
            ("reentry", "radio_lost", "meter_lost", "slaves_silent", "radio_down"),
            "because the radio coordinator has not answered for too long and the meter does not answer",
        ),
        (
            Mode.PRODUCTION,
            State.FALLBACK,
            ("violation", "anomaly", "state_lost", "dwell"),
            "because the learned policy broke a safety rule in the last hour, the site looks unlike anything "
            "the policy was trained on, and 2 more",
        ),
        (
            Mode.PRODUCTION,
            State.FALLBACK,
            ("reentry",),
            "because the learned policy has to",
        ),
    ],
)
def test_the_reason_is_short_and_the_right_one(
    mode: Mode, state: State, causes: tuple[str, ...], why: str
) -> None:
    figures = Figures(NET, SiteInfo(mode=mode), 0.0)
    decided = decision(
        verdict=SupervisorDecision(state, causes),
        authority=Authority.FALLBACK,
        estimate=replace(BLIND, fresh="meter_lost" not in causes),
        setpoints_w=(0,),
    )
    alarms = ("radio_down",) if "radio_lost" in causes else ()
    seen = snapshot(1.0, (0.0, 0.0, 0.0), slaves=(SlaveState(),), alarms=alarms)
    figures.update(seen, decided, cost=COST)
    assert messages.why(figures).startswith(why), messages.why(figures)


def test_a_refused_configuration_is_told_until_it_is_mended() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    assert status(figures, 1.0)["site"]["configuration_problem"] == ""
    figures.configuration_refused("sunkeep.toml:3: mode.mode: unknown")
    assert status(figures, 1.0)["site"]["configuration_problem"] == "sunkeep.toml:3: mode.mode: unknown"
    figures.configuration_accepted()
    assert status(figures, 1.0)["site"]["configuration_problem"] == ""


def test_the_same_state_is_told_in_every_language() -> None:
    """Headline, who and why, with numbers as they are written there."""
    figures = Figures(NET, ABOUT, 0.0)
    estimate = replace(BLIND, capacity_w=(5000.0, 5000.0, 5000.0))
    verdict = SupervisorDecision(State.SAFE_STOP, ("meter_lost",))
    seen = snapshot(1.0, (-4200.0, 0.0, 0.0), slaves=(SlaveState(True, 1730.0, 2.0),))
    figures.update(seen, decision(verdict=verdict, estimate=estimate, setpoints_w=(0,)), cost=COST)
    told = {name: status_document(figures, 1.0, words_in(name)) for name in ("en", "de", "fr")}
    assert {name: one["headline"]["text"] for name, one in told.items()} == {
        "en": "Every device is told 0 W for safety: 1.7 kW drawn when last heard",
        "de": "Jedem Gerät wird zur Sicherheit 0 W gesagt: 1,7 kW aufgenommen, als sie zuletzt gehört wurden",
        "fr": "Chaque appareil reçoit 0 W par sécurité: 1,7 kW consommés lors du dernier signal",
    }
    assert {name: one["acting"]["who"] for name, one in told.items()} == {
        "en": "All devices rest",
        "de": "Alle Geräte ruhen",
        "fr": "Tous les appareils sont au repos",
    }
    assert told["de"]["acting"]["why"].startswith("weil der Zähler nicht antwort")


def test_a_disk_that_takes_nothing_is_told_to_everybody() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    seen = snapshot(1.0, (-4200.0, 0.0, 0.0), slaves=(SlaveState(),))
    full = ProcessStatistics(journal_problem="/var/lib/sunkeep/journal: No space left on device")
    figures.update(seen, decision(setpoints_w=(0,)), cost=COST, house=full)
    told = status(figures, 1.0)
    assert told["site"]["recording_problem"] == full.journal_problem
    assert f"disk     nothing can be recorded: {full.journal_problem}" in summary(told)
    figures.update(seen, decision(setpoints_w=(0,)), cost=COST, house=ProcessStatistics())
    assert status(figures, 2.0)["site"]["recording_problem"] == ""
