"""What `totals.json` calls its numbers, apart from what the code calls them (`daemon.system.file_format`).

A key never changes; whoever renames a field renames it here on the right-hand side only.
"""

from daemon.system.file_format import FileFormat, Keys
from safety.evidence import PairedSums
from safety.policy_comparison import ComparisonState, JudgedEnergy

SCHEMA_VERSION = 1
"""A file that names none is of this version."""
COUNTS: dict[str, str] = {
    "violations": "violations",
    "shadow_violations": "shadow_violations",
    "fallback_activations": "fallback_activations",
    "anomalous_ticks": "anomalous_ticks",
    "anomaly_trips": "anomaly_trips",
    "anomaly_episodes": "anomaly_episodes",
}
"""Of `daemon.monitoring.figures.Counts`."""
ENERGY: dict[str, str] = {
    "exported_j": "exported_j",
    "imported_j": "imported_j",
    "avoidable_import_j": "avoidable_import_j",
    "placed_j": "placed_j",
    "exported_without_j": "exported_without_j",
    "imported_without_j": "imported_without_j",
    "measured_s": "measured_s",
    "compared_s": "compared_s",
    "unmeasured_s": "unmeasured_s",
}
"""Of `daemon.monitoring.energy_ledger.EnergyTotals`."""
_PAIRS: Keys = {"spans": "spans", "x": "x", "y": "y", "xx": "xx", "xy": "xy", "yy": "yy"}
_ACCOUNT: Keys = {
    "judged_s": "judged_s",
    "own_export_ws": "own_export_ws",
    "own_j_ws": "own_j_ws",
    "twin_export_ws": "twin_export_ws",
    "twin_j_ws": "twin_j_ws",
}
_EVIDENCE: Keys = {
    "export": "export",
    "j": "j",
    "export_days": "export_days",
    "j_days": "j_days",
    "span": "span",
    "day": "day",
    "minute": "minute",
    "minutes": "minutes",
    "trips_ago_s": "trips_ago_s",
}
EVIDENCE = FileFormat({ComparisonState: _EVIDENCE, JudgedEnergy: _ACCOUNT, PairedSums: _PAIRS}, {})
"""The judge's evidence, without the turns of the last minute."""
