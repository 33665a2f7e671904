"""From a fit to words: measured, draws nothing, too restless, and what contradicts the configuration."""

from dataclasses import dataclass
from enum import Enum

from core.roles import sign
from core.site import PHASE_NAMES, Site, Slave
from daemon.identification.fit import ResponseFit

NOTHING = 0.15
"""A slave that surely draws less than this share of what it is told does not draw."""
SURE_SDS = 6.0
"""A gain is there when it is so many times its standard deviation."""
GAIN_WIDTH_MAX = 0.035
SMALL_GAIN, LARGE_GAIN = 0.7, 1.3
OTHER_PHASE_SHARE = 0.2


class IdentificationOutcome(Enum):
    """What became of one slave."""

    MEASURED = "measured"
    DRAWS_NOTHING = "draws nothing"
    TOO_RESTLESS = "too restless"


@dataclass(frozen=True, slots=True)
class SlaveVerdict:
    """`contradictions` are sentences: the configuration says otherwise, and the numbers are not used then."""

    outcome: IdentificationOutcome
    contradictions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def is_exact(fit: ResponseFit) -> bool:
    """Whether the intervals are small enough for gains within a few percent of the best."""
    return (
        abs(fit.gain) >= SURE_SDS * fit.gain_sd
        and fit.dead_time_s.width <= max(0.5, 0.2 * fit.dead_time_s.value) + fit.dead_time_sd_s
        and fit.lag_s.width <= max(0.5, 0.4 * fit.lag_s.value)
        and fit.gain_sd <= GAIN_WIDTH_MAX
    )


def draws_nothing(fit: ResponseFit) -> bool:
    """Whether it surely does not answer: a full boiler, an open thermostat, a switch in the cupboard."""
    return abs(fit.gain) + 3.0 * fit.gain_sd <= NOTHING


def judge_fit(fit: ResponseFit, slave: Slave, site: Site) -> SlaveVerdict:
    """What is to be said about one slave."""
    if draws_nothing(fit):
        return SlaveVerdict(
            IdentificationOutcome.DRAWS_NOTHING,
            remarks=(
                f"{slave.name} draws nothing when it is told to. Is it full, is its thermostat open, is it "
                "switched off? Try again when it takes power.",
            ),
        )
    if not is_exact(fit):
        return SlaveVerdict(
            IdentificationOutcome.TOO_RESTLESS,
            remarks=(
                f"the house was too restless for {slave.name} (noise {fit.noise_w:.0f} W). Try again in a "
                "quiet evening or at night.",
            ),
        )
    return SlaveVerdict(
        IdentificationOutcome.MEASURED, tuple(_contradictions(fit, slave, site)), tuple(_remarks(fit, slave))
    )


def _contradictions(fit: ResponseFit, slave: Slave, site: Site) -> list[str]:
    said = []
    if fit.phase is not None and fit.phase != slave.phase:
        said.append(
            f"{slave.name} is on phase {PHASE_NAMES[fit.phase]}, the file says {PHASE_NAMES[slave.phase]}."
        )
    if sign(site.role) * fit.gain < 0.0:
        does, role = ("feeds in", "absorb") if fit.gain < 0.0 else ("draws", "generate")
        said.append(
            f"{slave.name} {does} when it is told more, and the role of the site is {role}: either the "
            "slave is of another kind, or the meter counts the other way round ([meter] invert)."
        )
    return said + _phases(fit, slave)


def _phases(fit: ResponseFit, slave: Slave) -> list[str]:
    """A slave that draws elsewhere too, or of three phases not alike."""
    if slave.is_three_phase:
        if all(abs(gain - fit.gain / 3.0) <= OTHER_PHASE_SHARE * abs(fit.gain) for gain in fit.gains):
            return []
        parts = ", ".join(f"{name} {gain:.2f}" for name, gain in zip(PHASE_NAMES, fit.gains, strict=True))
        return [f"{slave.name} does not draw alike from all phases (watts per watt told: {parts})."]
    others = [
        PHASE_NAMES[phase]
        for phase in range(3)
        if phase != fit.phase
        and abs(fit.gains[phase]) >= OTHER_PHASE_SHARE * abs(fit.gain)
        and abs(fit.gains[phase]) >= SURE_SDS * fit.gain_sds[phase]
    ]
    return [f"{slave.name} draws from phase {' and '.join(others)} as well."] if others else []


def _remarks(fit: ResponseFit, slave: Slave) -> list[str]:
    size = abs(fit.gain)
    if SMALL_GAIN <= size <= LARGE_GAIN:
        return []
    return [
        f"{slave.name} draws {100 * size:.0f} % of what it is told: check max_w, and that it is not full."
    ]
