"""Tests of the page about monitoring, its dashboard and alerts: by Grafana's own types, promtool and the table of metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from purgeengine.edges.telemetry.metric_table import METRICS, Metric, MetricKind

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((DOCS / "monitoring" / "purgeengine-dashboard.json").read_text(encoding="utf-8"))
RULES_FILE = DOCS / "monitoring" / "purgeengine.rules.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
ALERTS_TEST = Path(__file__).parent / "edges" / "telemetry" / "alerts_test.yml"
NAME = re.compile(r"\b(?:purgeengine|http)_[a-z_]+")
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing")


def exposed() -> set[str]:
    """Return every name that Prometheus finds in the figures of a run."""
    names = set()
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind is MetricKind.HISTOGRAM else ("",)
        names |= {metric.prometheus_name + ending for ending in endings}
    return names


def queries() -> list[str]:
    """Return every query of the dashboard, as Grafana sends it to Prometheus."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*") for query in found]


def expressions() -> list[str]:
    """Return every expression of the dashboard, of its variables, of the alerts, and of the page."""
    variables = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if isinstance(one["query"], dict)]
    return [
        *queries(),
        *variables,
        *(rule["expr"] for rule in RULES),
        *re.findall(r"^  expr: (.*)$", PAGE, re.MULTILINE),
    ]


# ---------------------------------------------------------------------------------------------- the dashboard and rules


def lost(given: Any, kept: Any, where: str = "") -> list[str]:
    """Return every value of ``given`` that ``kept`` lacks or has changed."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [one for key, value in given.items() for one in lost(value, kept.get(key, "nothing"), f"{where}.{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            one for place, pair in enumerate(zip(given, kept, strict=True)) for one in lost(*pair, f"{where}[{place}]")
        ]
    return [] if given == kept else [f"{where}: {given!r} became {kept!r}"]


def test_grafana_understands_every_part_of_the_dashboard() -> None:
    """Grafana's own types read the dashboard and write it again without losing or changing anything: no key is misspelt."""
    plugins.register_default_plugins()
    assert lost(DASHBOARD, json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))) == []
    misspelt = {**DASHBOARD, "pannels": []}
    assert lost(misspelt, json.loads(JSONEncoder().encode(Dashboard.from_json(misspelt)))) != []


def test_panels_have_names_of_their_own_and_do_not_overlap() -> None:
    """Every panel has an id, a title and a description of its own, and its own place within the 24 columns."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel["description"]] == []
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_name_in_dashboard_alerts_and_page_is_one_that_a_run_exposes() -> None:
    """Dashboard, alerts and page use names and labels that exist. That a run exposes all names, other tests show."""
    names = {
        name for expression in expressions() for name in NAME.findall(re.sub(r"\b\w+(?=\s*(?:=|!))", "", expression))
    }
    labels = {label for metric in METRICS for label in metric.labels}
    assert len(names) > 15
    assert names - exposed() - labels == set()
    used = {label for e in expressions() for label in re.findall(r"[{,]\s*(\w+)\s*(?:=|!)", e)}
    used |= {
        label
        for e in expressions()
        for by in re.findall(r"(?:by|on)\s*\(([^)]*)\)", e)
        for label in re.split(r",\s*", by)
    }
    assert used - labels - LABELS_OF_PROMETHEUS == set()
    assert "http_response_status_code" in used


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    """No metric is handed out that nobody looks at, except for those that say when a run began or was seen."""
    text = " ".join(expressions())
    unseen = {metric.prometheus_name for metric in METRICS if metric.prometheus_name not in text}
    assert unseen == {"purgeengine_token_age_seconds"}


@needs_promtool
def test_promtool_accepts_the_alerts_and_every_query(tmp_path: Path) -> None:
    """`promtool check rules` finds nothing wrong with the alerts, nor with the queries of the dashboard as rules."""
    recorded = tmp_path / "dashboard.yml"
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    recorded.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    for file in (RULES_FILE, recorded):
        done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        assert "SUCCESS" in done.stdout


@needs_promtool
def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    """`promtool test rules` plays every alert: a case in which it fires, with its words, and cases in which it does not."""
    played = tmp_path / "alerts_test.yml"
    text = ALERTS_TEST.read_text(encoding="utf-8")
    played.write_text(text.replace("RULES", str(RULES_FILE)), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(played)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert {rule["alert"] for rule in RULES} == {
        case["alertname"]
        for test in yaml.safe_load(text)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }


# ------------------------------------------------------------------------------------------------------------- the page


def row_of(metric: Metric) -> str:
    """Return the line about a metric in the page's table."""
    attributes = ", ".join(f"`{name}`" for name in metric.attributes)
    unit = metric.unit.strip("{}").replace("}/", "/")
    kind = f"{metric.kind.value}, {unit}"
    return f"| `{metric.name}` | `{metric.prometheus_name}` | {kind} | {attributes} | {metric.description} |"


def test_the_page_lists_every_metric_as_it_is() -> None:
    """The table of the page is the table of the code, line by line."""
    table = PAGE.partition("<!-- metrics -->")[2].split("\n\n")[0].strip().splitlines()[2:]
    assert table == [row_of(metric) for metric in METRICS]


def test_the_page_lists_every_alert_and_attribute() -> None:
    """The page explains every alert, every attribute and its label, and no other ones."""
    assert re.findall(r"^\| `(Purge\w+)`", PAGE, re.MULTILINE) == [rule["alert"] for rule in RULES]
    explained = PAGE.partition("| attribute |")[2]
    for metric in METRICS:
        for name, label in zip(metric.attributes, metric.labels, strict=True):
            assert f"`{name}`" in explained
            assert f"`{label}`" in explained


@pytest.mark.parametrize("block", ["scrape", "missed"])
def test_the_examples_in_yaml_can_be_read(block: str) -> None:
    """The examples for Prometheus are good YAML."""
    text = re.search(rf"<!-- {block} -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert text is not None
    assert yaml.safe_load(text[1])
