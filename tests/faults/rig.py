"""Sites into which faults are injected, one for every kind of wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from plant.radio.channel import no_loss
from plant.simulated_site import SimulatedSite, slaves_of
from plant.site.trace import Trace, load_trace
from tests.campaigns.pairs import Pair, running_pair, sunny_day
from tests.faults.row import BARE, NIGHT, SERIAL, USUAL

SLAVES = slaves_of(6)
METER_LINK = "meter-tty"
RADIO_LINK = "radio-tty"
"""In the site's folder: what the configuration names."""


@asynccontextmanager
async def running_rig(folder: Path, kind: str, seed: int, *, more: str = "") -> AsyncIterator[Pair]:
    """A daemon and its site, at work. `kind` is that of a row."""
    day = load_trace() if kind == USUAL else sunny_day()
    if kind == NIGHT:
        day = Trace("night", day.load_w, np.zeros_like(day.pv_w))
    path = folder / METER_LINK
    folder.mkdir(exist_ok=True)

    def adapted(text: str, far_end: SimulatedSite) -> str:
        tcp = f'type = "tcp"\nhost = "127.0.0.1"\nport = {far_end.meter_port}'
        if kind == SERIAL:
            (folder / RADIO_LINK).symlink_to(far_end.radio_path)
            text = text.replace(tcp, f'type = "rtu"\npath = "{path}"')
            text = text.replace(f'"{far_end.radio_path}"', f'"{folder / RADIO_LINK}"')
        return text.replace('profile = "sdm630"', 'profile = "em24"') if kind == BARE else text

    async def on_serial(far_end: SimulatedSite) -> None:
        if kind == SERIAL:
            await far_end.meter.stop()
            path.symlink_to(await far_end.meter.start_serial())

    async with running_pair(
        folder,
        slaves=SLAVES,
        trace=day,
        seed=seed,
        layout="em24" if kind == BARE else "sdm630",
        radio_port=None if kind == SERIAL else 0,
        adapt=adapted,
        begun=on_serial,
        more=more,
    ) as pair:
        pair.whole.far_end.radio.air.loss = no_loss
        while not (pair.lived and pair.lived[-1].decision.estimate.fresh):
            await asyncio.sleep(0.1)
        yield pair
