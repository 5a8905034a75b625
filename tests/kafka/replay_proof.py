#!/usr/bin/python3
"""A replay of millions of events, killed three times on the way, gives the state and the final records of a service that has read
the same topic; and how fast it reads beside a bare librdkafka consumer with as many threads.

    tests/kafka/replay_proof.py --events 5000000 --users 200000      # with MINDSTREAM and PYTHONPATH
    tests/kafka/replay_proof.py --topic clicks --model DIR --only rates

mindstream_bench, the bare consumer, lies beside the binary. Without KAFKA_BOOTSTRAP it starts a broker. Not part of ctest: it takes minutes."""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import ms_kafka
from ms_kafka import MINDSTREAM, wait_for

BENCH = os.path.join(os.path.dirname(MINDSTREAM), "mindstream_bench")


class Proof:
    def __init__(self, kafka, arguments, directory):
        self.kafka, self.arguments, self.directory = kafka, arguments, directory
        self.id = f"proof-{os.getpid()}"
        self.topic = arguments.topic or f"{self.id}-in"
        self.model = arguments.model or os.path.join(directory, "model")
        self.draws = random.Random(arguments.seed)
        if not arguments.topic:
            self.load()

    def load(self):
        arguments = self.arguments
        self.kafka.create(self.topic, arguments.partitions)
        with subprocess.Popen([MINDSTREAM, "generate", "--users", str(arguments.users), "--items", str(arguments.items), "--events",
                               str(arguments.events), "--model-out", self.model], stdout=subprocess.PIPE) as generate:
            self.bench("load", self.topic, stdin=generate.stdout)

    def bench(self, job, topic, *more, **extra):
        done = subprocess.run([BENCH, job, "--bootstrap", self.kafka.bootstrap, "--topic", topic, *more], stdout=subprocess.PIPE, text=True,
                              check=True, **extra)
        return json.loads(done.stdout)

    def config(self, name, **settings):
        full = {"application.id": f"{self.id}-{name}", "instance.id": name, "bootstrap.servers": self.kafka.bootstrap,
                "input.topic": self.topic, "output.topic": f"{self.id}-{name}", "model.dir": self.model, "routing.mode": "incremental",
                "state.dir": os.path.join(self.directory, name), "workers": self.arguments.workers, **settings}
        path = os.path.join(self.directory, f"{name}.properties")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in full.items())
        if f"{self.id}-{name}" == full["output.topic"]:
            self.kafka.create(full["output.topic"], self.arguments.partitions)
        return path

    def replay(self, config, *more):
        return subprocess.Popen([MINDSTREAM, "replay", "-c", config, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True)

    def summary(self, config, *more):
        out, _ = (process := self.replay(config, *more)).communicate()
        assert process.returncode == 0, f"the replay ended with {process.returncode}"
        return json.loads(out)

    def wait_committed(self, group, service):
        ends = {partition: high for partition, (_, high) in self.kafka.watermarks(self.topic).items()}

        def done():
            assert service.poll() is None, f"the service ended with {service.returncode}"
            return self.kafka.committed(group, self.topic) == ends
        wait_for("the service to be at the end", done, 900, 0.2)

    def final_records(self, topic):
        """key -> its last record, as (version, digest of the value); and how many records there are."""
        last, count = {}, 0
        for count, record in enumerate(self.kafka.stream(topic, timeout_s=900), 1):
            last[record.key] = (record.headers["mindstream-version"], hashlib.sha256(record.value).digest())
        return last, count

    def equals_live(self):
        live, replayed = self.config("live"), self.config("replayed")
        with open(os.path.join(self.directory, "live.log"), "wb") as log, \
                subprocess.Popen([MINDSTREAM, "run", "-c", live], stdout=log, stderr=log) as service:
            began = time.monotonic()
            self.wait_committed(f"{self.id}-live", service)
            print(f"the service: {time.monotonic() - began:.1f} s", flush=True)
            service.terminate()
            assert service.wait(120) == 0
        base = ("--publish", "final", "--checkpoint", "1")
        for kill in range(3):
            before = self.state_bytes()
            process = self.replay(replayed, *base, *(() if kill == 2 else ("--rate", str(self.arguments.kill_rate))))
            if kill < 2:
                wait_for("a checkpoint", lambda since=before: self.state_bytes() > since, 120)
                time.sleep(self.draws.uniform(0.1, 0.9))
            else:  # once while it publishes
                wait_for("records of users", lambda: self.end_of(f"{self.id}-replayed") > self.arguments.users // 3, 300)
            process.kill()
            print(f"killed: {process.wait()}, {self.plan_line('stage')}, {self.end_of(f'{self.id}-replayed')} offsets published", flush=True)
        done = self.summary(replayed, *base)
        print({key: done[key] for key in ("stage", "records", "users", "published", "left", "seconds")}, flush=True)
        diff = subprocess.run([MINDSTREAM, "inspect", "diff", os.path.join(self.directory, "live"), os.path.join(self.directory, "replayed"),
                               "--model", self.model, "--set", "routing.mode=incremental"], capture_output=True, text=True, check=False)
        assert diff.returncode == 0, f"the states differ: {diff.stdout}{diff.stderr}"
        last, count = self.final_records(f"{self.id}-replayed")
        assert count == len(last), f"{count} records of {len(last)} users"
        of_live, count = self.final_records(f"{self.id}-live")
        assert last == of_live, "the final records differ"
        print(f"equal: {diff.stdout.strip()}; {len(last)} final records, each once, are the last of the service's {count}",
              flush=True)

    def plan_line(self, name):
        with open(os.path.join(self.directory, "replayed", "replay"), encoding="utf-8") as file:
            return next((line.strip() for line in file if line.startswith(f"{name}=")), "no plan")

    def state_bytes(self):
        place = os.path.join(self.directory, "replayed", "db")
        return sum(entry.stat().st_size for entry in os.scandir(place) if entry.name.endswith(".sst")) if os.path.isdir(place) else 0

    def end_of(self, topic):
        return sum(high for _, high in self.kafka.watermarks(topic).values())

    def rates(self):
        """Turns of each, one after the other; the ratio of the medians."""
        rates = {"bare": [], "none": [], "final": []}
        for turn in range(self.arguments.turns):
            rates["bare"].append(self.bench("read", self.topic, "--workers", str(self.arguments.workers))["records_per_s"])
            for publish in ("none", "final"):
                config = self.config(f"{publish}{turn}")
                done = self.summary(config, "--publish", publish)
                rates[publish].append(done["records"] / done["seconds"])
                shutil.rmtree(os.path.join(self.directory, f"{publish}{turn}"))
                self.kafka.delete(f"{self.id}-{publish}{turn}")
        for name, found in rates.items():
            middle = statistics.median(found)
            print(f"{name:6} {middle / 1e6:6.2f} M/s  {middle / statistics.median(rates['bare']):4.0%} of bare   "
                  f"({', '.join(f'{rate / 1e6:.2f}' for rate in found)})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, standard in (("events", 5000000), ("users", 200000), ("items", 100000), ("partitions", 4), ("workers", 2), ("turns", 3),
                           ("seed", 1), ("kill-rate", 600000)):
        parser.add_argument(f"--{name}", type=int, default=standard)
    parser.add_argument("--topic", help="a topic that is filled already; needs --model")
    parser.add_argument("--model")
    parser.add_argument("--only", choices=["equality", "rates"])
    arguments = parser.parse_args()
    with ms_kafka.Kafka() as kafka:
        directory = tempfile.mkdtemp(prefix="mindstream-proof-")
        try:
            proof = Proof(kafka, arguments, directory)
            if arguments.only != "rates":
                proof.equals_live()
            if arguments.only != "equality":
                proof.rates()
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
