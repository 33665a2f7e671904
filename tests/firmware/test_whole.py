"""The real daemon and the real radio drive slaves whose every decision is made by the C core."""

from pathlib import Path

from daemon.system.clock import boottime_s
from drivers.zigbee.link_quality import REPLY_JITTER_S, reply_delay_s
from plant.radio.slave_firmware import Status
from tests.firmware.c_core import CFirmware, CSlaveNode, c_slave
from tests.support.full_daemon import until, whole
from tests.support.zigbee_network import SLOTS, running
from tests.support.zigbee_network import until as soon

ON_THE_WAY_S = 0.5
"""Between the host and the slaves, on a busy machine."""


async def test_the_daemon_keeps_power_at_home_with_slaves_in_c(tmp_path: Path) -> None:
    async with whole(tmp_path, make_slave=c_slave) as pair:
        firmwares = pair.far_end.radio.firmwares
        assert all(isinstance(firmware, CFirmware) for firmware in firmwares.values())
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 30.0)
        await until(lambda: sum(pair.far_end.site.grid_power_w(boottime_s())) > -2000.0, 30.0)
        pair.far_end.meter.faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 5.0)
        assert {f.status(boottime_s()) for f in firmwares.values()} == {Status.RESTING_RELEASED}
        await pair.stop()
    assert all(firmware.accepted > 3 for firmware in firmwares.values())
    heard = pair.ticks()[-1].snapshot.slaves
    assert all(slave.power_w is not None and slave.report_age_s < 10.0 for slave in heard)


async def test_they_answer_in_their_time_slots_and_rest_when_nobody_speaks() -> None:
    async with running(make_slave=c_slave) as (near, site):
        assert all(isinstance(node, CSlaveNode) for node in site.nodes.values())
        begun_s = boottime_s()
        counter = await near.send(1000, 900, 800)
        heard_s: dict[int, float] = {}

        def all_answered() -> bool:
            for slot, report in near.radio.reports().items():
                if report.counter == counter:
                    heard_s.setdefault(slot, boottime_s() - begun_s)
            return set(heard_s) == set(SLOTS)

        await soon(all_answered, 10.0)
        for slot, waited_s in heard_s.items():
            assert -REPLY_JITTER_S <= waited_s - reply_delay_s(slot) < ON_THE_WAY_S
        assert {slot: r.applied_w for slot, r in near.radio.reports().items()} == {0: 1000, 1: 900, 2: 800}
        # the time to live of 15 s runs out, and every slave says so by itself
        await soon(lambda: all(report.resting for report in near.radio.reports().values()), 20.0)
        assert boottime_s() - begun_s >= 15.0
        assert {f.reference_w(site.air.clock() + 5.0) for f in site.firmwares.values()} == {0.0}
