"""The whole daemon on a meter whose powers are read ten times too small, while its counters count right."""

from pathlib import Path

import pytest

from core.decision import Source
from daemon.journal.reader import read_journal
from daemon.journal.records import Event
from daemon.monitoring import energy_check
from daemon.monitoring.metrics import Exposition
from daemon.monitoring.status import status
from plant.simulated_site import SimulatedSite
from tests.daemon.monitoring.test_metrics import samples
from tests.support import virtual_time
from tests.support.full_daemon import until, whole

MISMATCH = "sunkeep_meter_energy_mismatch_ratio"


def profiled(text: str, _far_end: SimulatedSite) -> str:
    return text.replace('profile = "sdm630"', 'profile = "iem3155"')


async def scenes(folder: Path) -> None:
    async with whole(folder, period_s=1.0, slaves=1, layout="iem3155", adapt=profiled) as pair:
        await until(lambda: pair.service.figures is not None, 30.0)
        figures, faults = pair.service.figures, pair.far_end.meter.faults
        assert figures is not None
        assert MISMATCH not in samples(Exposition(figures).render(0.0))
        assert status(figures, 0.0)["details"]["meter_energy_mismatch"] is None
        faults.scale = 0.1
        await until(lambda: (figures.meter.energy_mismatch_ratio or 0.0) > energy_check.LIMIT, 150.0)
        acting = figures.decision
        assert acting is not None
        assert acting.verdict.source in (Source.POLICY, Source.FALLBACK)  # nothing is stopped
        assert samples(Exposition(figures).render(5.0))[MISMATCH] > 0.3
        assert status(figures, 0.0)["details"]["meter_energy_mismatch"] > 0.3
        assert [event for event in figures.events if "energy counters disagree" in event.text]
        faults.scale = 1.0
        await until(lambda: figures.meter.energy_mismatch_ratio is None, 150.0)
        assert [event for event in figures.events if "could not be compared" in event.text]
        assert MISMATCH not in samples(Exposition(figures).render(10.0))
        await pair.stop()
    told = [record for record in read_journal(folder / "journal") if isinstance(record, Event)]
    names = [event.event for event in told if event.event.startswith("meter_energy")]
    assert names == ["meter_energy_mismatch", "meter_energy_mismatch_over"]


@pytest.mark.slow
def test_the_alarm_begins_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute stands for the hour that a verdict takes, 80 s for the day after which it is forgotten."""
    monkeypatch.setattr(energy_check, "MEASURED_S", 60.0)
    monkeypatch.setattr(energy_check, "LONGEST_S", 80.0)
    virtual_time.run(scenes(tmp_path))
