#!/usr/bin/python3
"""The rules of conf/prometheus and the dashboard of conf/grafana: promtool takes the rules, each fires when it should and else does
not, each has a paragraph in docs/operate.md, and no query names a metric that the service does not have. Usage: alerts_test.py ROOT"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BINARY = os.environ["MINDSTREAM"]
WHO = 'job="mindstream", instance="a:8080"'

# Of each alert: a series that has it fire at the time, one that does not, and the time. Several series are separated by lines.
# "0+5x30" is 0, 5, 10, ... each minute.
CASES = {
    "MindstreamDown": ("up{%s} 0x10", "up{%s} 1x10", "8m"),
    "MindstreamNotReady": ("mindstream_ready{%s} 0x20", "mindstream_ready{%s} 0x5 1x15", "15m"),
    "MindstreamWorkerHangs": ('mindstream_worker_turned_seconds{%s, worker="1"} 0 30+60x10', 'mindstream_worker_turned_seconds{%s, worker="1"} 50x10', "6m"),
    "MindstreamBrokersSilent": ('mindstream_worker_brokers_silent_seconds{%s, worker="0"} 0+60x10', 'mindstream_worker_brokers_silent_seconds{%s, worker="0"} 5x10', "8m"),
    "MindstreamLagHigh": ('mindstream_partition_lag_seconds{%s, topic="t", partition="0"} 400x30\nmindstream_partition_lag_seconds{%s, topic="t", partition="1"} 1x30',
                          'mindstream_partition_lag_seconds{%s, topic="t", partition="0"} 200x30', "20m"),
    "MindstreamPartitionStuck": ('mindstream_partition_lag_records{%s, topic="t", partition="0"} 10x40\nmindstream_partition_committed_offset{%s, topic="t", partition="0"} 7x40',
                                 'mindstream_partition_lag_records{%s, topic="t", partition="0"} 10x40\nmindstream_partition_committed_offset{%s, topic="t", partition="0"} 7+1x40', "30m"),
    "MindstreamRestarts": ("mindstream_session_restarts_total{%s} 0+1x40", "mindstream_session_restarts_total{%s} 1x40", "35m"),
    "MindstreamLatencyHigh": ('mindstream_event_to_visible_seconds_bucket{%s, le="1"} 0x60\nmindstream_event_to_visible_seconds_bucket{%s, le="30"} 0+60x60\n'
                              'mindstream_event_to_visible_seconds_bucket{%s, le="+Inf"} 0+60x60',
                              'mindstream_event_to_visible_seconds_bucket{%s, le="1"} 0+60x60\nmindstream_event_to_visible_seconds_bucket{%s, le="30"} 0+60x60\n'
                              'mindstream_event_to_visible_seconds_bucket{%s, le="+Inf"} 0+60x60', "40m"),
    "MindstreamDeadLetters": ('mindstream_events_dead_letter_total{%s, reason="json"} 0+5x60\nmindstream_events_read_total{%s} 0+100x60',
                              'mindstream_events_dead_letter_total{%s, reason="json"} 0+5x60\nmindstream_events_read_total{%s} 0+1000x60', "40m"),
    "MindstreamKeysDiffer": ("mindstream_events_key_differs_total{%s} 0+1x20", "mindstream_events_key_differs_total{%s} 9x20", "18m"),
    "MindstreamMemoryHigh": ("mindstream_process_resident_memory_bytes{%s} 6e9x30\nmindstream_state_memory_limit_bytes{%s} 3e9x30",
                             "mindstream_process_resident_memory_bytes{%s} 4e9x30\nmindstream_state_memory_limit_bytes{%s} 3e9x30", "20m"),
    "MindstreamWritesStopped": ("mindstream_state_db_writes_stopped{%s} 1x10", "mindstream_state_db_writes_stopped{%s} 1 0x10", "5m"),
    "MindstreamInterestsCollapse": ('mindstream_interest_cosine_distance_bucket{%s, le="0.01"} 0+60x240\nmindstream_interest_cosine_distance_bucket{%s, le="+Inf"} 0+60x240',
                                    'mindstream_interest_cosine_distance_bucket{%s, le="0.01"} 0x240\nmindstream_interest_cosine_distance_bucket{%s, le="1"} 0+60x240\n'
                                    'mindstream_interest_cosine_distance_bucket{%s, le="+Inf"} 0+60x240', "180m"),
    "MindstreamUnknownItems": ("mindstream_events_unknown_item_total{%s} 0+30x240\nmindstream_events_folded_total{%s} 0+100x240",
                               "mindstream_events_unknown_item_total{%s} 0+10x240\nmindstream_events_folded_total{%s} 0+100x240", "180m"),
    "MindstreamOverflow": ("mindstream_interests_overflow_total{%s} 0+1x20", "mindstream_interests_overflow_total{%s} 0x20", "18m"),
    "MindstreamDescriptors": ("mindstream_process_open_fds{%s} 990x10\nmindstream_process_max_fds{%s} 1000x10",
                              "mindstream_process_open_fds{%s} 90x10\nmindstream_process_max_fds{%s} 1000x10", "8m"),
}


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"promtool {' '.join(arguments)}: {done.stdout}{done.stderr}")


def unit_tests(rules):
    """promtool's own test file, as JSON, which is YAML."""
    tests = []
    for alert, (fires, rests, when) in CASES.items():
        for series, count in ((fires, 1), (rests, 0)):
            lines = [line.rsplit("} ", 1) for line in series.replace("%s", WHO).split("\n")]
            tests.append({"interval": "1m", "name": f"{alert} {'fires' if count else 'rests'}",
                          "input_series": [{"series": name + "}", "values": values} for name, values in lines],
                          "promql_expr_test": [{"expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)', "eval_time": when,
                                                "exp_samples": [{"labels": "{}", "value": count}]}]})
    return json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests})


def queries(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def main():
    root = pathlib.Path(sys.argv[1])
    rules = root / "conf/prometheus/mindstream.rules.yml"
    text = rules.read_text(encoding="utf-8")
    alerts = re.findall(r"^ *- alert: (\w+)$", text, re.MULTILINE)
    assert sorted(alerts) == sorted(CASES), f"rules and cases differ in {set(alerts) ^ set(CASES)}"
    promtool("check", "rules", str(rules))
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "test.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(unit_tests(rules.resolve()))
        promtool("test", "rules", path)
    headings = re.findall(r"^### (\w+)$", (root / "docs/operate.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings and set(alerts) <= set(headings), f"docs/operate.md has no paragraph on {set(alerts) - set(headings)}"
    assert re.findall(r"runbook: 'docs/operate\.md#(\w+)'", text) == [alert.lower() for alert in alerts]
    table = subprocess.run([BINARY, "config", "--metrics"], capture_output=True, text=True, check=True).stdout
    kinds = dict(re.findall(r"^\| `(mindstream_\w+)` \| (\w+) \|", table, re.MULTILINE))
    known = set(kinds) | {f"{name}_{end}" for name, kind in kinds.items() if kind == "histogram" for end in ("bucket", "sum", "count")}
    dashboard = json.loads((root / "conf/grafana/mindstream.json").read_text(encoding="utf-8"))
    named = set(re.findall(r"mindstream_\w+", text.split("rules:", 1)[1] + "\n".join(queries(dashboard))))
    assert len(named) > 30 and named <= known, f"no such metrics: {named - known}"
    bare = {name for name, kind in kinds.items() if kind == "histogram"} & named
    assert not bare, f"histograms without _bucket, _sum or _count: {bare}"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) and all(panel.get("description") is not None for panel in dashboard["panels"] if panel["type"] != "row")
    print(f"{len(alerts)} alerts, {len(queries(dashboard))} queries, {len(named)} metrics")


if __name__ == "__main__":
    main()
