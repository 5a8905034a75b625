#!/usr/bin/python3
"""The real Prometheus scrapes a running service: its rules load, every query of the dashboard is evaluated and has data, and the alert
that the service is down begins when it is."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import ms_kafka
import page_test

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What a service of a minute has no samples of, by a part of the query: nothing was refused, and no histogram by level is summed here.
EMPTY = ("dead_letter", "cache_hits")


class Prometheus:
    def __init__(self, directory, target):
        self.port = ms_kafka.free_port()
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                       "rule_files": [str(ROOT / "conf/prometheus/mindstream.rules.yml")],
                       "scrape_configs": [{"job_name": "mindstream", "static_configs": [{"targets": [target]}]}]}, file)
        self.process = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory}/tsdb",
                                         f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"])
        ms_kafka.wait_for("Prometheus", self._ready)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression):
        return self.ask("query", query=expression)["result"]


def dashboard():
    with open(ROOT / "conf/grafana/mindstream.json", encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    for panel in panels:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "15s").replace("$job", ".*").replace("$instance", ".*")


def prometheus(scenario):
    world = page_test.World(scenario, scenario.kafka)
    with Prometheus(scenario.directory, world.root.removeprefix("http://")) as server:
        deadline = time.monotonic() + 12
        number = 0
        while time.monotonic() < deadline:
            number += 1
            world.click(f"user-{number % 20}", f"item-{number % 80}", f"item-{number * 7 % 80}", "unheard-of")
            time.sleep(0.05)
        ms_kafka.wait_for("data", lambda: server.query("sum(rate(mindstream_events_folded_total[10s])) > 0"))
        ms_kafka.wait_for("readiness", lambda: server.query("mindstream_ready == 1"))
        groups = server.ask("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 10 and all(rule["health"] == "ok" for rule in rules), [(rule["name"], rule.get("lastError")) for rule in rules]
        unexpected = [alert["labels"]["alertname"] for alert in server.ask("alerts")["alerts"] if alert["state"] == "firing"]
        assert unexpected == [], unexpected
        empty = [(title, query) for title, query in dashboard() if not server.query(query) and not any(part in query for part in EMPTY)]
        assert empty == [], empty
        exposed = {name for name in server.ask("label/__name__/values") if name.startswith("mindstream_")}
        told = subprocess.run([ms_kafka.MINDSTREAM, "config", "--metrics"], capture_output=True, text=True, check=True).stdout
        kinds = dict(re.findall(r"^\| `(mindstream_\w+)` \| (\w+) \|", told, re.MULTILINE))
        plain = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in kinds else name for name in exposed}
        assert plain <= set(kinds), plain - set(kinds)
        world.service.kill9()
        ms_kafka.wait_for("MindstreamDown", lambda: any(alert["labels"]["alertname"] == "MindstreamDown" for alert in server.ask("alerts")["alerts"]), 30)
    print(f"{len(rules)} rules, {len(list(dashboard()))} queries, {len(exposed)} series names", file=sys.stderr)


if __name__ == "__main__":
    ms_kafka.main({"prometheus": prometheus})
