"""Write the glossary of code names from their docstrings.

    python tools/write_glossary.py [--check]

The words of the field stand in `docs/develop/glossary.md` by hand; below them comes one table for each floor,
with the first sentence of every class that a reader meets often.
"""

import ast
import re
import sys

from marked_section import ROOT, MarkedSection

SECTION = MarkedSection("names in code", "write_glossary.py", ROOT / "docs" / "develop" / "glossary.md")
FLOORS = {
    "core": (
        "Snapshot OnAirState SlaveState StateEstimate EstimatorState Authority State Source Decision "
        "SupervisorDecision PolicyHealth Anomaly Intervention Send AuthorizedFrame Parts Memory Mode "
        "Assignment Role Metering Site Slave Airtime Limits"
    ),
    "safety": (
        "SafetyGate ModeSupervisor SupervisorState Fault Clears PersistentFaults WiringMonitorState "
        "PiFallback PredictiveFallback ZScoreDetector CalibratedDetector ComparisonState"
    ),
    "models": "FeatureObserver OnnxPolicy Bundle Manifest CounterfactualController",
    "drivers": (
        "Meter SlaveDriver Radio DeviceWire Reading SlaveStatus Profile ModbusConnection Plausibility "
        "SetpointFrame SlaveReport FrameCounter Coordinator LinkQuality Transient DeviceFault ConfigError"
    ),
    "plant": "SimulatedSite RadioMedium Firmware",
    "daemon": (
        "Settings Service Loop TickResult SnapshotSource Transmitter TickRecorder Persistence "
        "PolicyMonitor PolicySwap Reloader Journal Figures ModelStore JournalAccounting DaemonRun Episode"
    ),
    "training": (
        "Learner Callback Options Composed NormalizedBatch Transitions SolarDay DomainRandomization "
        "RolloutWindow PlantParameters ScenarioResult ControllerResult DemonstrationDataset BehaviourPolicy"
    ),
}
"""Class names by package, in the order of the page."""


def classes(package: str) -> dict[str, tuple[str, str]]:
    """Public classes of a package: name to file and first sentence of the docstring."""
    found = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
                found[node.name] = str(file.relative_to(ROOT)), _first_sentence(text)
    return found


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.:;])\s", paragraph)[0] if len(paragraph) > 200 else paragraph
    return sentence.replace("|", "\\|")


def section() -> str:
    """One table for each floor. Raises KeyError for a name that is no class with a docstring."""
    parts = []
    for package, names in FLOORS.items():
        known = classes(package)
        rows = [f"| `{name}` | {known[name][1]} | `{known[name][0]}` |" for name in names.split()]
        parts.append("\n".join([f"### {package}\n", "| name | meaning | file |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(SECTION.run(section, __doc__ or ""))
