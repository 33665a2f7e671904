"""The daemon behind an optical head: it controls by pushed telegrams, and rests when they cease."""

import asyncio
from pathlib import Path

import pytest

from daemon.system.clock import boottime_s
from plant.meters.layouts import MeterState
from plant.meters.sml_meter import SmlMeter
from plant.simulated_site import SimulatedSite
from tests.support.full_daemon import until, whole

MODBUS_LINES = ("profile = ", "host = ", "port = ")


@pytest.mark.slow
async def test_a_silent_head_brings_every_slave_to_rest(tmp_path: Path) -> None:
    heads: list[SmlMeter] = []

    def with_a_head(text: str, far_end: SimulatedSite) -> str:
        def state() -> MeterState:
            now_s = boottime_s()
            return MeterState(far_end.site.grid_power_w(now_s), far_end.site.voltage_v(now_s))

        heads.append(SmlMeter(state, boottime_s))
        meter, rest = text.split("[radio]")
        kept = [line for line in meter.splitlines() if not line.startswith(MODBUS_LINES)]
        wire = "\n".join(kept).replace('"tcp"', f'"sml"\npath = "{heads[0].plug()}"')
        return f"{wire}\n[radio]{rest}"

    async with whole(tmp_path, period_s=1.0, adapt=with_a_head) as pair:
        (head,) = heads
        sending = asyncio.create_task(head.run())
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 40.0)
        head.faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 5.5)
        head.faults.mute = False
        await pair.stop()
        assert head.heard() == b""
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    head.unplug()
    states = [tick.decision.verdict.state.value for tick in pair.ticks()]
    assert states.index("hold") < states.index("safe_stop")
