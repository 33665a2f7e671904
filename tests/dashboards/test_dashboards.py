"""Dashboard and alerts speak of metrics that exist, and the alerts do what they say."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.monitoring.figures import Figures
from daemon.monitoring.metrics import Exposition
from tests.daemon.monitoring.test_metrics import (
    figures,  # noqa: F401 - a fixture
    samples,
)

HOME = Path(__file__).parents[2] / "dashboards"
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (package prometheus)"
)


@pytest.fixture
def dashboard() -> dict[str, Any]:
    return dict(json.loads((HOME / "sunkeep.json").read_text()))


def expressions(node: Any) -> list[str]:
    """Every `expr` in a document."""
    if isinstance(node, dict):
        here = [value for key, value in node.items() if key == "expr" and isinstance(value, str)]
        return here + [found for value in node.values() for found in expressions(value)]
    return [found for value in node for found in expressions(value)] if isinstance(node, list) else []


def named(text: str) -> set[str]:
    """Names of Sunkeep's own series in a text."""
    return set(re.findall(r"\b(?:sunkeep|process)_[a-z0-9_]+", text))


def test_panels_have_their_own_ids_and_places(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids)) > 30
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_query_goes_to_the_chosen_source_and_site(dashboard: dict[str, Any]) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "instance"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert 'instance=~"$instance"' in target["expr"]
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["unit"]
    assert dashboard["schemaVersion"] >= 38


def test_every_name_exists(dashboard: dict[str, Any], figures: Figures) -> None:  # noqa: F811
    exposed = {name.split("{")[0] for name in samples(Exposition(figures).render(0.0))}
    exposed |= {"sunkeep_export_reduction_ratio"}  # known only after 50 Wh
    asked = named("\n".join(expressions(dashboard))) | named((HOME / "alerts.yml").read_text())
    assert asked - exposed == set()
    own = {name for name in exposed if name.startswith("sunkeep_")}
    shown = named((HOME / "sunkeep.json").read_text())
    unseen = {name for name in own - shown if not name.endswith(("_count", "_sum"))}
    assert unseen == {"sunkeep_import_power_watts"}


@needs_promtool
def test_the_dashboards_queries_are_promql(dashboard: dict[str, Any], tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{at}", "expr": expr.replace("$instance", "pi")}
        for at, expr in enumerate(expressions(dashboard))
    ]
    file = tmp_path / "queries.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    check = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


@needs_promtool
@pytest.mark.parametrize("words", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_alerts(words: list[str]) -> None:
    check = subprocess.run(["promtool", *words], cwd=HOME, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (HOME / "alerts.yml").read_text()))
    tests = (HOME / "alerts_test.yml").read_text()
    assert {name for name in alerts if f'alertname="{name}"' not in tests} == set()


def test_the_manual_lists_every_metric(figures: Figures) -> None:  # noqa: F811
    """Name, type and meaning of each family, word for word."""
    manual = (HOME.parent / "docs/operate/monitoring.md").read_text()
    for family in text_string_to_metric_families(Exposition(figures).render(0.0).decode()):
        if family.name.startswith("sunkeep_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert re.search(
                rf"\| `{name}` \| {family.type} \|.*\| {re.escape(family.documentation)} \|", manual
            )
