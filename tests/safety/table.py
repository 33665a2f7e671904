"""What `docs/develop/safety.md` tells of the code; ``python -m tests.safety.table`` writes it there."""

from pathlib import Path

from core.decision import SOURCE, State
from core.snapshot import METER_LOST_S
from safety import anomaly, faults, supervisor, timers
from safety.faults import FAULTS, SEVERITY, Clears, Fault

DOCUMENT = Path(__file__).parents[2] / "docs" / "develop" / "safety.md"
END = "<!-- end -->"
_ON_AIR = {
    "rest": "0 W for every slave, as safe release",
    "hold": "what was on air",
    "fallback": "the fallback's action, through the gate",
    "policy": "the policy's action, through the gate",
}
Edge = tuple[State, State]


def start_of(section: str) -> str:
    """The mark before a written section."""
    return f"<!-- {section}: written by python -m tests.safety.table -->\n"


def sections() -> dict[str, str]:
    """Everything that is written, by its mark."""
    return {"states": diagram(), "causes": table(), "times": times()}


def table() -> str:
    """Causes by severity, the worst first."""
    rows = ["| cause | leads to | clears |", "|---|---|---|"]
    order = sorted(FAULTS.items(), key=lambda item: -SEVERITY.index(item[1].state))
    rows += [f"| `{name}` | {cause.state.name} | {clears(cause)} |" for name, cause in order]
    return "\n".join(rows) + "\n"


def clears(cause: Fault) -> str:
    """When, in words."""
    text = str(cause.clears.value)
    return f"{text}, {duration(cause.least_s)}" if cause.clears is Clears.TIME else text


def duration(seconds: float) -> str:
    """As people say it."""
    return f"{seconds:g} s" if seconds < 3600.0 else f"{seconds / 3600.0:g} h"


def names_of(state: State) -> list[str]:
    """The causes that lead to a state."""
    return [name for name, cause in FAULTS.items() if cause.state is state]


def edges() -> dict[Edge, str]:
    """Every change of state that there is, and when it happens.

    Down: any cause of a worse state, at once. Up: when what led here has cleared, one way at a time; the
    policy is reached from the fallback, or from a hold that interrupted it.
    """
    found: dict[Edge, str] = {}
    lowered = [state for state in SEVERITY if names_of(state) and state is not State.INIT]
    for before in SEVERITY[:-1]:
        for after in lowered:
            if SEVERITY.index(after) > SEVERITY.index(before):
                found[before, after] = f"a cause of {after.name}"
    stop = " or ".join(sorted({clears(FAULTS[name]) for name in names_of(State.SAFE_STOP)}))
    good = f"{supervisor.GOOD_AT_START} good samples, radio up"
    found |= {
        (State.INIT, State.FALLBACK): good,
        (State.INIT, State.HOLD): f"{good}, in a late tick",
        (State.INIT, State.SAFE_STOP): f"{good}, a latched cause",
        (State.FALLBACK, State.RL_ACTIVE): "no cause left",
        (State.HOLD, State.FALLBACK): "good sample",
        (State.HOLD, State.RL_ACTIVE): "good sample, no cause left",
        (State.SAFE_STOP, State.FALLBACK): stop,
        (State.SAFE_STOP, State.HOLD): "the same, in a late tick",
    }
    return found


def diagram() -> str:
    """States, changes and causes as Mermaid, and what is on air in each state."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> INIT"]
    lines += [f"    {a.name} --> {b.name}: {when}" for (a, b), when in edges().items()]
    for state in reversed(SEVERITY):
        if names_of(state):
            lines += [f"    note right of {state.name}", f"        {', '.join(names_of(state))}"]
            lines += ["    end note"]
    lines += ["```", "", "| state | who acts | on air |", "|---|---|---|"]
    lines += [f"| {s.name} | {SOURCE[s].value} | {_ON_AIR[SOURCE[s].value]} |" for s in reversed(SEVERITY)]
    return "\n".join(lines) + "\n"


def times() -> str:
    """Every time and count of the floor."""
    rows = [
        ("good samples in a row before anything but rest", f"{supervisor.GOOD_AT_START}", "`GOOD_AT_START`"),
        ("good samples in a row before a stop ends", f"{supervisor.GOOD_AFTER_STOP}", "`GOOD_AFTER_STOP`"),
        ("clean proposals before the policy acts", f"{supervisor.CLEAN_PROPOSALS}", "`CLEAN_PROPOSALS`"),
        (
            "oldest sample for which what is on air is held",
            f"{METER_LOST_S:g} s",
            "`METER_LOST_S`",
        ),
        ("longest time without the radio before rest", f"{supervisor.RADIO_LOST_S:g} s", "`RADIO_LOST_S`"),
        (
            "longest time the policy may take",
            f"{1000.0 * supervisor.POLICY_LATENCY_MAX_S:g} ms",
            "`POLICY_LATENCY_MAX_S`",
        ),
        ("fallback after a violation", f"{faults.VIOLATION_S / 3600.0:g} h", "`VIOLATION_S`"),
        ("fallback after an anomaly trip", f"{faults.ANOMALY_S / 3600.0:g} h", "`ANOMALY_S`"),
        ("fallback after a lost state file", f"{FAULTS['state_lost'].least_s / 3600.0:g} h", "`FAULTS`"),
        ("without the policy once it was told to give way", duration(faults.DWELL_S), "`DWELL_S`"),
        (
            "stops by a diverging loop that are a turned sign",
            f"{supervisor.SUSPICIONS} in {supervisor.SUSPICIONS_S / 3600.0:g} h",
            "`SUSPICIONS`",
        ),
        (
            "late ticks that lead to the fallback",
            f"{supervisor.LATE_TICKS} in {duration(faults.LATE_S)}",
            "`LATE_TICKS`",
        ),
        ("fallback after the last of them", duration(faults.LATE_S), "`LATE_S`"),
        (
            "violations that latch",
            f"{timers.REPEATED} in {timers.REPEATED_WITHIN_S / 3600.0:g} h",
            "`REPEATED`",
        ),
        ("start without anomaly trips", f"{anomaly.QUIET_S / 3600.0:g} h", "`QUIET_S`"),
        (
            "ticks beyond the threshold that trip",
            f"{anomaly.TICKS_BEYOND} of {anomaly.TICKS_SEEN}",
            "`TICKS_BEYOND`",
        ),
    ]
    lines = ["| what | value | constant |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {value} | {name} |" for what, value, name in rows)]) + "\n"


def main() -> None:
    """Write every section into the document."""
    text = DOCUMENT.read_text()
    for section, content in sections().items():
        before, rest = text.split(start_of(section))
        text = before + start_of(section) + content + END + rest.split(END, 1)[1]
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
