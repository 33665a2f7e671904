"""The daemon is killed at random instants: its slaves rest by themselves, and its timers lose nothing.

The daemon is a real process (``python -m daemon run --config ...``) on a loopback Modbus port and a loopback
EZSP port; the far end lives here, so that every slave's firmware can be watched. Before its first life a
fallback is left standing in the state directory, as after an anomaly: in no life may the policy act, and
after every kill the fallback must end when it was to end, within a second.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from core.decision import Source
from core.site import Slave
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.journal.records import Start, Tick
from daemon.runtime.journal_completion import read_whole
from daemon.runtime.supervisor_state import SupervisorStateFile
from daemon.system.clock import boottime_s
from plant.radio.channel import no_loss
from plant.simulated_site import SimulatedSite, start_far_end
from safety.timers import PersistentFaults
from tests.campaigns.pairs import LagWatch, large_slaves, silent_log, sunny_day
from tests.campaigns.table import heading, parser, spread
from tests.referee.tap import RefereeProcess, Tap, TapJudgement

TTL_S, RAMP_S, AIR_S = 15.0, 2.0, 0.2
"""Time to live, 5000 W at 2500 W/s, and the longest way of the last frame."""
LIFE_S = (1.0, 40.0)
"""From within the start to well into control."""
LOOK_S = 0.02
FALLBACK_S = 86400.0
ERROR_S = 1.0


@dataclass
class SilenceResult:
    """`rest_s` from the kill until every slave was at rest, for kills that found any at work."""

    kills: int = 0
    rest_s: list[float] = field(default_factory=list)
    over_ttl_s: list[float] = field(default_factory=list)
    never: int = 0
    timer_errors_s: list[float] = field(default_factory=list)
    shortened: int = 0
    lost: int = 0
    ticks: int = 0
    ticks_of_policy: int = 0
    starts: int = 0
    lag_s: float = 0.0
    judgement: TapJudgement = field(default_factory=lambda: TapJudgement([], {}))


async def _until_rest(far_end: SimulatedSite, killed_at_s: float) -> tuple[float, float] | None:
    """Seconds from the kill, and from when the last slave's time to live ran out, until all rest."""
    firmwares = far_end.radio.firmwares.values()
    while boottime_s() - killed_at_s < TTL_S + RAMP_S + 10.0:
        now_s = boottime_s()
        if all(firmware.setpoint_w(now_s) == 0.0 for firmware in firmwares):
            deadline_s = max(firmware.deadline_s or killed_at_s for firmware in firmwares)
            return now_s - killed_at_s, now_s - deadline_s
        await asyncio.sleep(LOOK_S)
    return None


async def _life(
    config: Path, far_end: SimulatedSite, end_s: float, life_s: float, found: SilenceResult, tap: Tap
) -> None:
    """Start, kill, watch, look at what stands."""
    command = [sys.executable, "-m", "daemon", "run", "--plain", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await asyncio.sleep(life_s)
    assert process.poll() is None, f"the daemon ended by itself with {process.returncode}"
    process.send_signal(signal.SIGKILL)
    process.wait()
    tap.referee.tell(kind="gone", site=tap.name)
    killed_at_s = boottime_s()
    now_s = killed_at_s
    was_at_work = any(firmware.setpoint_w(now_s) for firmware in far_end.radio.firmwares.values())
    found.kills += 1
    if was_at_work:
        rested = await _until_rest(far_end, killed_at_s)
        if rested is None:
            found.never += 1
        else:
            found.rest_s.append(rested[0])
            found.over_ttl_s.append(rested[1])
    back = SupervisorStateFile(config.parent).restore()
    left_s = dict(back.left_s)
    found.lost += "state_lost" in left_s
    error_s = (back.at_s or 0.0) + left_s.get("anomaly", 0.0) - end_s
    found.timer_errors_s.append(abs(error_s))
    found.shortened += error_s < -ERROR_S


async def _site(
    folder: Path,
    number: int,
    lives: int,
    referee: RefereeProcess,
    found: SilenceResult,
    period_s: float,
    life_s: tuple[float, float],
) -> None:
    rng = Random(number)
    devices: Sequence[Slave] = large_slaves()
    folder.mkdir()
    key = site_key(folder)
    far_end = await start_far_end(
        sunny_day(), devices, key, clock=boottime_s, seed=number, radio_port=0, start_s=12 * 3600
    )
    far_end.radio.air.loss = no_loss
    config = write_site(folder, devices, far_end.meter_port, far_end.radio_path, status_port=0)
    config.write_text(config.read_text().replace("[site]", f"[site]\nperiod_s = {period_s}"))
    began_s = boottime_s()
    SupervisorStateFile(folder).save(PersistentFaults((("anomaly", FALLBACK_S),), at_s=began_s))
    tap = Tap(referee, str(number), far_end, boottime_s)
    tap.attach(devices, key, period_s=period_s)
    try:
        for _ in range(lives):
            referee.tell(kind="start", site=str(number))
            await _life(config, far_end, began_s + FALLBACK_S, rng.uniform(*life_s), found, tap)
    finally:
        tap.detach()
        await far_end.stop()
    for record in read_whole(folder / "journal"):
        if isinstance(record, Tick):
            found.ticks += 1
            found.ticks_of_policy += record.decision.verdict.source is Source.POLICY
        found.starts += isinstance(record, Start)


async def campaign(
    folder: Path,
    trials: int,
    seed: int,
    *,
    sites: int,
    period_s: float = 1.0,
    life_s: tuple[float, float] = LIFE_S,
) -> SilenceResult:
    """So many kills, shared by so many sites."""
    found, referee, lag = SilenceResult(), RefereeProcess(), LagWatch()
    lives = [trials // sites + (number < trials % sites) for number in range(sites)]
    await asyncio.gather(
        *(
            _site(folder / str(number), seed * 1000 + number, share, referee, found, period_s, life_s)
            for number, share in enumerate(lives)
        )
    )
    found.lag_s = lag.stop()
    found.judgement = referee.finish()
    return found


def table(found: SilenceResult) -> str:
    """What was found."""
    summary = found.judgement.summary
    return "\n".join(
        [
            "| | trials | p50 s | p90 s | p99 s | p100 s |",
            "|---|---|---|---|---|---|",
            f"| kill until every slave at 0 W | {spread(found.rest_s)} |",
            f"| end of the time to live until 0 W | {spread(found.over_ttl_s)} |",
            f"| error of the fallback's end after a restart | {spread(found.timer_errors_s, 4)} |",
            "",
            f"{found.kills} kills, {len(found.rest_s) + found.never} with slaves at work, "
            f"{found.never} never at rest; fallback shortened {found.shortened}, state lost {found.lost}; "
            f"{found.starts} starts and {found.ticks} ticks in the journals, "
            f"{found.ticks_of_policy} of them acted on by the policy",
            f"event loop at most {found.lag_s * 1000:.0f} ms late; referee: {summary['frames']} frames, "
            f"{len(found.judgement.broken)} rules broken {summary['broken'] or ''}",
        ]
    )


def held(found: SilenceResult) -> bool:
    """Whether every promise was kept."""
    in_time = all(rest_s <= TTL_S + AIR_S + RAMP_S for rest_s in found.rest_s)
    timers = not (found.shortened or found.lost or found.ticks_of_policy)
    return in_time and timers and not found.never and not found.judgement.broken


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=100)
    options.add_argument("--sites", type=int, default=6)
    chosen = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder, silent_log():
        found = asyncio.run(campaign(Path(folder), chosen.trials, chosen.seed, sites=chosen.sites))
    print(heading(chosen.seed) + f", {chosen.sites} sites")
    print(table(found))
    for line in found.judgement.broken[:20]:
        print(line)
    return 0 if held(found) else 1


if __name__ == "__main__":
    sys.exit(main())
