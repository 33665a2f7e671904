"""A site and what it looks like, for tests of the ground floor and of safety."""

from hypothesis import strategies as st

from core.estimation.state_estimate import EstimatorState, StateEstimate, estimate_state
from core.limits import ImbalanceOf, Limits
from core.roles import Role
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot

watts = st.floats(0.0, 5000.0)
actions = st.tuples(watts, watts, watts)
grids = st.tuples(*[st.floats(-30_000.0, 30_000.0)] * 3)
wild = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 5e-324, 2.0**53, -(2.0**53), 1.7e308, -1.7e308, 5000.0, 5000.000001]),
)
wild_actions = st.tuples(wild, wild, wild)


def site(
    slaves: tuple[Slave, ...] | None = None, role: Role = Role.ABSORB, limits: Limits | None = None
) -> Site:
    """Two slaves of 3 kW on each phase, slots in order."""
    pairs = tuple(Slave(slot, f"slave {slot}", slot // 2, 3000) for slot in range(6))
    return Site(slaves=pairs if slaves is None else slaves, role=role, limits=limits or Limits())


GRID = Limits(imbalance_of=ImbalanceOf.GRID)


def snapshot(
    on_air_w: Phases = ZERO,
    age_s: float = 1.0,
    grid_power_w: Phases = ZERO,
    at_s: float = 1000.0,
    slaves: int = 6,
    setpoints_w: tuple[int, ...] = (),
    meter_age_s: float = 0.05,
) -> Snapshot:
    """A healthy site with this on air since `age_s`."""
    return Snapshot(
        tick=0,
        at_s=at_s,
        grid_power_w=grid_power_w,
        meter_age_s=meter_age_s,
        slaves=(SlaveState(),) * slaves,
        on_air=OnAirState(on_air_w, setpoints_w, age_s),
    )


def estimate(of: Snapshot, at: Site | None = None) -> StateEstimate:
    """What a controller sees in it at first."""
    return estimate_state(at or site(), of, EstimatorState())[0]
