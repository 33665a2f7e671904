"""What a row of the database calls the numbers of an account: whole numbers, so that sums are exact.

A column never changes its meaning; whoever renames a field renames it here on the right-hand side only.
"""

from operator import attrgetter

from core.decision import State
from daemon.history.account import Account
from daemon.monitoring.figures import Counts

MILLI, MICRO = 1e3, 1e6
FIELDS: tuple[tuple[str, str, float], ...] = (
    ("exported_j", "energy.exported_j", 1.0),
    ("imported_j", "energy.imported_j", 1.0),
    ("avoidable_import_j", "energy.avoidable_import_j", 1.0),
    ("placed_j", "energy.placed_j", 1.0),
    ("exported_without_j", "energy.exported_without_j", 1.0),
    ("imported_without_j", "energy.imported_without_j", 1.0),
    ("measured_ms", "energy.measured_s", MILLI),
    ("compared_ms", "energy.compared_s", MILLI),
    ("unmeasured_ms", "energy.unmeasured_s", MILLI),
    ("reachable_j", "reachable_j", 1.0),
    ("ticks", "ticks", 1.0),
    ("missed_samples", "missed_samples", 1.0),
    ("frames_sent", "frames_sent", 1.0),
    ("frames_refused", "frames_refused", 1.0),
    ("recorded_ms", "recorded_s", MILLI),
    ("radio_up_ms", "radio_up_s", MILLI),
    ("unanswered_ms", "unanswered_s", MILLI),
    ("saved_micro", "saved", MICRO),
    ("spent_micro", "spent", MICRO),
    ("earned_micro", "earned", MICRO),
    ("co2_mg", "co2_g", MILLI),
    *((name, f"counts.{name}", 1.0) for name in Counts.__slots__),
)
"""Column, field of `Account`, and how many of the column's unit are one of the field's."""
STATES: tuple[tuple[str, State], ...] = (
    ("policy_ms", State.RL_ACTIVE),
    ("fallback_ms", State.FALLBACK),
    ("hold_ms", State.HOLD),
    ("stop_ms", State.SAFE_STOP),
    ("init_ms", State.INIT),
)
COLUMNS: tuple[str, ...] = (*(column for column, _, _ in FIELDS), *(column for column, _ in STATES))
_GETTERS = tuple((attrgetter(path), scale) for _, path, scale in FIELDS)


def to_row(account: Account) -> tuple[int, ...]:
    """The values of `COLUMNS`, rounded: by at most half a joule, a millisecond, a millionth of the money."""
    values = [round(value(account) * scale) for value, scale in _GETTERS]
    return (*values, *(round(account.state_s[state] * MILLI) for _, state in STATES))


def to_account(row: tuple[int, ...]) -> Account:
    """The account of such a row, without its causes."""
    account = Account()
    for (_, path, scale), value in zip(FIELDS, row, strict=False):
        owner, _, name = path.rpartition(".")
        target = getattr(account, owner) if owner else account
        setattr(target, name, value if scale == 1.0 and not name.endswith("_j") else value / scale)
    for (_, state), value in zip(STATES, row[len(FIELDS) :], strict=True):
        account.state_s[state] = value / MILLI
    return account
