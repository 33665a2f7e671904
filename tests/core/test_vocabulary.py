"""Names and defaults that files, journals and other floors rely on."""

from math import inf

from core.arrays import SCALAR
from core.decision import Anomaly, Authority, Send, Source, State
from core.limits import (
    CREDIT_MAX_S,
    IMBALANCE_CAP_W,
    PHASE_CAP_W,
    ROUNDING_W,
    STEP_CAP_W_PER_S,
    ImbalanceOf,
    Limits,
)
from core.roles import Role
from core.site import PHASE_NAMES, ZERO, Airtime, Metering, Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot


def test_names_in_files() -> None:
    for kind, names in [
        (Authority, "policy fallback rest"),
        (State, "init hold fallback rl_active safe_stop"),
        (Source, "policy fallback hold rest"),
        (Send, "nothing change keep_alive safe"),
        (Role, "absorb generate"),
        (Metering, "net per_phase"),
        (ImbalanceOf, "action grid"),
    ]:
        assert [member.value for member in kind] == names.split()
    assert PHASE_NAMES == ("a", "b", "c")


def test_the_limits_of_the_specification() -> None:
    assert (PHASE_CAP_W, STEP_CAP_W_PER_S, IMBALANCE_CAP_W) == (5000.0, 1000.0, 2000.0)
    assert (CREDIT_MAX_S, ROUNDING_W) == (2.0, 2.0)
    assert Limits() == Limits(5000.0, 1000.0, 2000.0, ImbalanceOf.ACTION)


def test_defaults() -> None:
    assert Slave(0, "x", 1, 100) == Slave(0, "x", 1, 100, min_w=0)
    assert Airtime() == Airtime(0.5, 3.0, 50.0, 3.0)
    assert Site(()) == Site((), Role.ABSORB, Metering.NET, 1.0, Airtime(), Limits())
    assert SlaveState() == SlaveState(available=True, power_w=None, report_age_s=inf)
    assert ZERO == (0.0, 0.0, 0.0)
    assert OnAirState() == OnAirState(ZERO, (), inf, ())
    assert Anomaly() == Anomaly((), trip=False)
    seen = Snapshot(0, 0.0, ZERO, 0.0, ())
    assert seen == Snapshot(0, 0.0, ZERO, 0.0, (), OnAirState(), (), (), 0.0, 0.0, 0.0, None)
    assert SCALAR.sqrt(4.0) == 2.0
