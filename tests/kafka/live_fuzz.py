#!/usr/bin/python3
"""Anything into the input topic, anything done to the service, and what comes out held against a model.

    live_fuzz.py [--seed S] [--minutes M | --seconds S] [--nodes 1|2] [--round N] [--set key=value] [--keep DIR]

A run is a row of rounds. Each has topics, a model and settings of its own, drawn from the seed and its number. While records
at random come in (good events in many forms, broken ones, any JSON, any bytes, tombstones, transactions that are committed,
aborted or left open), one to three instances are killed, stopped, paused, joined and moved, lose their state, and the
brokers go away and come back. At the end of a round the topics are read with read_committed, and tests/python/ms_live.py says from the
input alone what the output, the dead letters and the state must be.

The seed fixes what is drawn, not how the processes interleave. README.md beside this file has more.
"""

import argparse
import base64
import collections
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import numpy as np

import ms_cluster
import ms_events
import ms_fuzz_records
import ms_history
import ms_kafka
import ms_live
import ms_model
from confluent_kafka import KafkaException

VOCABULARIES = {"gender": ["f", "m", "1"], "tags": ["a", "b", "c", "7"]}
SESSION_MS = 3000
DONE_S = 180


def plan(draws, overrides):
    """The settings of a round: {"service": settings of the service, and what the harness itself needs}."""
    service = {"publish_mode": draws.choice(["every", "every", "latest"]), "output_layout": draws.choice(["user", "user", "interest"]),
               "output_format": draws.choice(["protobuf", "json"]), "routing_mode": draws.choice(["full", "incremental"]),
               "routing_decay": draws.choice([0.9, 0.8, 0.5]), "state_behaviors_max": draws.choice([5, 20, 200]),
               "input_id_max_bytes": draws.choice([1024, 1024, 300]), "group_static": draws.choice(["true", "false"]),
               "consumer_session_timeout_ms": SESSION_MS, "consumer_heartbeat_interval_ms": 500,
               "consumer_topic_metadata_refresh_interval_ms": 1000, "producer_transaction_timeout_ms": 10000}
    if draws.random() < 0.3:
        service["input_types"] = draws.choice(["click,buy", "click"])
    if draws.random() < 0.3:
        service["input_user_field"] = draws.choice(["u.id,user_id", "u.id[0], user_id"])
    chosen = {"service": service, "dead": draws.random() < 0.75, "profiles": draws.random() < 0.3, "partitions": draws.randrange(1, 6),
              "instances": draws.choice([1, 2, 3]), "users": draws.choice([8, 40, 200]), "rate": draws.choice([150, 400, 900]),
              "grow": draws.random() < 0.3}
    for override in overrides:
        key, _, value = override.partition("=")
        if key in chosen:
            chosen[key] = type(chosen[key])(int(value))
        else:
            service[key.replace(".", "_")] = value
    chosen["grow"] &= not chosen["profiles"]
    chosen["alone"] = chosen["profiles"] and chosen["instances"] == 1
    if service["output_layout"] == "interest":
        chosen["users"] = min(chosen["users"], 40)
    return chosen


def own_settings(draws):
    """Settings that an instance may change from start to start without a change of what comes out."""
    return {"workers": draws.randrange(1, 4), "state.memory.bytes": draws.choice([1 << 20, 1 << 20, 8 << 20, 0]),
            "state.flush.interval.ms": draws.choice([20, 300, 1000, 60000]), "commit.interval.ms": draws.choice([1, 20, 100, 700])}


def fields_of(service):
    types = service.get("input_types", "")
    return ms_events.Fields(user=service.get("input_user_field", "user_id"), types=tuple(types.encode().split(b",")) if types else (),
                            id_max=int(service["input_id_max_bytes"]))


def write_model(directory, profiles, seed):
    rng = np.random.default_rng(seed)
    if not profiles:
        return ms_history.small_model(directory, seed=seed)
    items = [f"i{number}" for number in range(60)]
    tensors = {"item_embedding": rng.normal(size=(60, 8)), "routing.bilinear": rng.normal(size=(8, 8)) / 3,
               "profile.gender": rng.normal(size=(4, 2)), "profile.tags": rng.normal(size=(5, 3))}
    ms_model.write_model(directory, {"extractor": "mind", "dim": 13, "interests": 3, "max_behaviors": 10, "interest_count": "log2-floor"},
                         {name: tensor.astype(np.float32) for name, tensor in tensors.items()}, items, VOCABULARIES)
    return items


class Feeder(threading.Thread):
    """Produces records at random until it is told to stop. Whether a broker took them shows in the log alone."""

    def __init__(self, scenario, chosen, records, draws, profile_topic):
        super().__init__(daemon=True)
        self.scenario, self.rate, self.records, self.draws = scenario, chosen["rate"], records, draws
        self.profile_topic = profile_topic
        self.partitions = chosen["partitions"]
        self.halt = threading.Event()
        self.counts = collections.Counter()
        self.error = None
        self.plain, self.writers = None, {}

    def run(self):
        try:
            while not self.halt.is_set():
                began = time.monotonic()
                count = 1 + int(self.draws.expovariate(1 / (self.rate * 0.3)))
                try:
                    self._some(min(count, 1500))
                except KafkaException as error:
                    self.counts["producer errors"] += 1
                    if error.args[0].fatal():
                        self.plain = None
                self.halt.wait(max(0, count / self.rate - (time.monotonic() - began)))
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            self.error = error

    def _some(self, count):
        draw = self.draws.random()
        if draw < 0.55:
            self.plain = self.plain or self.scenario.kafka.producer(log_level=2)
            self._send(self.plain, count)
            self.plain.flush(30)
        else:
            self._transaction(count, "commit" if draw < 0.75 else "abort" if draw < 0.93 else "leave")

    def _writer(self, name):
        return self.scenario.kafka.producer(**{"transactional.id": f"{self.scenario.id}-{name}", "transaction.timeout.ms": 15000,
                                               "log_level": 2})

    def _transaction(self, count, end):
        name = self.draws.choice("ab")
        producer = self.writers.pop(name, None)
        if producer is None:
            producer = self._writer(name)
            producer.init_transactions(30)
        producer.begin_transaction()
        self._send(producer, count)
        producer.flush(30)
        if self.draws.random() < 0.2:  # held open: what others write behind it waits
            self.halt.wait(self.draws.uniform(0, 2))
            self._send(producer, 1 + count // 4)
        if end == "leave":  # its next user aborts it
            producer.flush(30)
            self.counts["transactions left open"] += 1
            return
        if end == "commit":
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
        self.counts["transactions committed" if end == "commit" else "transactions aborted"] += 1
        self.writers[name] = producer

    def _send(self, producer, count):
        for _ in range(count):
            partition = self.draws.randrange(self.partitions)
            profile = self.profile_topic and self.draws.random() < 0.1
            key, value, headers, timestamp = (self.records.profile if profile else self.records.click)(partition)
            extra = {"timestamp": timestamp} if timestamp else {}
            if headers:
                extra["headers"] = headers
            try:
                producer.produce(self.profile_topic if profile else self.scenario.input, value, key, partition=partition, **extra)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].name() not in ("_UNKNOWN_PARTITION", "MSG_SIZE_TOO_LARGE"):
                    raise
            producer.poll(0)

    def finish(self):
        """Stops, and ends what was left open."""
        self.halt.set()
        self.join(120)
        assert not self.is_alive() and not self.error, f"feeding: {self.error}"
        for name in "ab":
            self._writer(name).init_transactions(60)


class Instance:
    """One instance of the service, and what is to be done to it next."""

    def __init__(self, run, name):
        self.run, self.name, self.service = run, name, None
        self.paused, self.ended, self.due, self.since, self.args = False, True, None, 0, []

    def start(self, settings=None):
        self.due = None
        self.service = self.service or self.run.scenario.service(self.name, **self.run.chosen["service"])
        self.service.settings.update({**own_settings(self.run.draws), **(settings or {})})
        self.service.start(*self.args)
        self.ended = False
        self.since = time.monotonic()

    @property
    def up(self):
        return self.service is not None and self.service.running()

    def later(self, seconds):
        self.due = time.monotonic() + seconds

    def pause(self):
        self.service.process.send_signal(ms_kafka.signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.service.process.send_signal(ms_kafka.signal.SIGCONT)
        self.paused, self.due = False, None

    def kill(self):
        self.paused, self.ended = False, True
        self.service.process.kill()
        self.service.process.wait()

    def end(self):
        if self.paused:
            self.resume()
        self.ended = True
        ms_kafka.wait_for("the first log line", lambda: self.service.log() or not self.up)
        self.service.check_alive()
        self.service.process.terminate()
        ms_kafka.wait_for(f"the end of {self.name}", lambda: not self.up or self.run.tick_node(), 90)
        code = self.service.process.returncode
        if code == 1 and self.run.node_lately() and "the last commit failed" in self.service.log():
            return
        assert code == 0, f"{self.name}: SIGTERM ended it with {code}"


class Round:
    """A round: its chaos, and its check."""

    def __init__(self, scenario, chosen, draws, seconds):
        self.scenario, self.chosen, self.draws, self.seconds = scenario, chosen, draws, seconds
        self.counts = collections.Counter()
        self.kafka = scenario.kafka
        cluster = isinstance(self.kafka, ms_cluster.Cluster)
        self.node, self.node_due, self.node_next = None, 0, time.monotonic() + (5 if cluster else -1000)
        self.profile_topic = f"{scenario.id}-profiles" if chosen["profiles"] else None
        self.dead_topic = f"{scenario.id}-dead" if chosen["dead"] else None
        self.instances = [Instance(self, name) for name in "abc"]
        self.grown = 0
        items = write_model(scenario.model_dir, chosen["profiles"], draws.randrange(1000))
        self.records = ms_fuzz_records.Records(random.Random(draws.random()), items, fields_of(chosen["service"]), chosen["users"])
        self.feeder = Feeder(scenario, chosen, self.records, random.Random(draws.random()), self.profile_topic)

    # What is done.

    def prepare(self):
        self.scenario.topics(self.chosen["partitions"])
        if self.profile_topic:
            self.kafka.create(self.profile_topic, self.chosen["partitions"], cleanup_policy="compact")
            self.chosen["service"]["profile_topic"] = self.profile_topic
        if self.dead_topic:
            self.kafka.create(self.dead_topic, self.draws.randrange(1, 4))
            self.chosen["service"]["dead_letter_topic"] = self.dead_topic

    def shake(self):
        """The chaos."""
        self.feeder.start()
        for instance in self.instances[:self.chosen["instances"]]:
            instance.start()
        until = time.monotonic() + self.seconds
        then = time.monotonic() + 1
        while time.monotonic() < until:
            assert not self.feeder.error, f"feeding: {self.feeder.error}"
            self._tick()
            if time.monotonic() >= then:
                self._act()
                then = time.monotonic() + self.draws.choice([0.05, 0.4, 1.5, 4])
            time.sleep(0.03)
        began = time.monotonic()
        self._settle()
        self.counts["seconds to settle"] += int(time.monotonic() - began)

    def _tick(self):
        now = time.monotonic()
        for instance in self.instances:
            if instance.due is not None and now >= instance.due:
                if instance.paused:
                    instance.resume()
                else:
                    instance.start()
            elif not instance.ended and not instance.up:
                self._ended(instance)
        self.tick_node()

    def tick_node(self):
        if self.node and time.monotonic() >= self.node_due:
            self._node_back()

    def node_lately(self):
        """Whether a broker was away a short while ago: then a last commit may fail."""
        return self.node is not None or time.monotonic() < self.node_next + 20

    def _ended(self, instance):
        """Growth of the topic is an end that asks for a decision, where the service knows one."""
        code, log = instance.service.process.returncode, instance.service.log()
        if code == 3 and self.grown and "--accept-repartition" in log and "--accept-repartition" not in instance.args:
            instance.args.append("--accept-repartition")
            self.counts["repartitions accepted"] += 1
            instance.start()
            return
        raise AssertionError(f"{instance.name} ended by itself with {code}: {log.strip().splitlines()[-1:]}")

    def _act(self):
        up = [instance for instance in self.instances if instance.up and not instance.paused]
        down = [instance for instance in self.instances if not instance.up and instance.due is None and not self.chosen["alone"]]
        actions = [(6, "kill"), (4, "term"), (4, "pause"), (3, "inspect")]
        actions += [(3, "join")] if down else []
        actions += [(2, "leave")] if len(up) > 1 else []
        actions += [(2, "lose")] if not self.profile_topic else []
        actions += [(3, "grow")] if self.chosen["grow"] and self.grown < 2 and not self.node else []
        if isinstance(self.kafka, ms_cluster.Cluster) and not self.node and time.monotonic() > self.node_next:
            actions += [(8, "node")]
        name = self.draws.choices([name for _, name in actions], [weight for weight, _ in actions])[0]
        if name in ("kill", "term", "pause", "inspect", "leave", "lose") and not up:
            return
        getattr(self, f"_{name}")(self.draws.choice(down if name == "join" else up) if name not in ("grow", "node") else None)

    def _kill(self, instance):
        instance.kill()
        instance.later(self.draws.choice([0, 0.3, 2]))
        self.counts["kill -9"] += 1

    def _term(self, instance):
        if time.monotonic() - instance.since < 0.5:
            return
        instance.end()
        instance.later(self.draws.choice([0, 0.5, 2]))
        self.counts["SIGTERM"] += 1

    def _pause(self, instance):
        instance.pause()
        instance.later(self.draws.choice([0.2, 1, SESSION_MS / 1000 + 2]))
        self.counts["SIGSTOP"] += 1

    def _join(self, instance):
        instance.start()
        self.counts["joined"] += 1

    def _leave(self, instance):
        if self.draws.random() < 0.5 or time.monotonic() - instance.since < 0.5:
            instance.kill()
        else:
            instance.end()
        self.counts["left"] += 1

    def _lose(self, instance):
        instance.kill()
        shutil.rmtree(instance.service.settings["state.dir"], ignore_errors=True)
        instance.later(self.draws.choice([0, 1]))
        self.counts["states lost"] += 1

    def _grow(self, _):
        self.kafka.grow(self.scenario.input, self.chosen["partitions"] + 1)
        self.chosen["partitions"] += 1
        self.feeder.partitions += 1
        self.grown += 1
        self.counts["partitions added"] += 1

    def _inspect(self, instance):
        if time.monotonic() - instance.since < 3:
            return
        done = self._inspected(instance, "users", "--limit", "0")
        if instance.up:  # it may just have ended
            assert done.returncode == 0, f"inspect beside {instance.name}: {done.returncode} {done.stderr.decode()}"
            json.loads(done.stdout)
            self.counts["inspected live"] += 1

    def _inspected(self, instance, *args):
        command, *rest = args
        return subprocess.run([ms_kafka.MINDSTREAM, "inspect", command, "--json", "-c", instance.service.config, *rest],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)

    def _node(self, _):
        """A broker goes away; the leaders that it had move, and move back when it is there again."""
        if not self.kafka.whole():
            return
        self.node = self.draws.choice(self.kafka.nodes)
        how = self.draws.choice(["stop", "kill9", "pause"])
        getattr(self.node, how)()
        self.node_due = time.monotonic() + self.draws.choice([0.5, 3, 6])
        self.counts[f"broker {how}"] += 1

    def _node_back(self):
        if self.node.running():
            self.node.resume()
        else:
            self.node.start()
        self.node, self.node_next = None, time.monotonic() + 8

    def _settle(self):
        """Everything is there again, and one instance is left to finish the work."""
        if self.node:
            self._node_back()
        if isinstance(self.kafka, ms_cluster.Cluster):
            self.kafka.wait_whole()
        self.feeder.finish()
        for instance in self.instances:
            if instance.paused:
                instance.resume()
            if instance.up:
                self._settled(instance)
        last = self.instances[0]
        last.start({"state.flush.interval.ms": 300})
        last.ended = True  # from here on an end is looked at below
        until = time.monotonic() + DONE_S
        while not self._done(last):
            if not last.up:
                self._ended(last)
            assert time.monotonic() < until, f"not done after {DONE_S} s: {self._where(last)}"
            time.sleep(0.3)
        self.counts.update(self.feeder.counts)

    def _settled(self, instance):
        """Ends an instance, for which growth may have been the end already."""
        try:
            instance.end()
        except AssertionError:
            if not (self.grown and instance.service.process.returncode == 3):
                raise

    def _done(self, last):
        """Whether all is committed and in the state of the only instance that is left."""
        where = self._where(last)
        return where and all(state == committed == end for committed, end, state in where.values())

    def _where(self, last):
        """{(topic, partition): (committed offset, end of the log, offset of the state)}."""
        done = self._inspected(last, "partitions")
        if done.returncode:
            return {}
        applied = {row["partition"]: row["applied"] for row in json.loads(done.stdout)["partitions"]}
        found = {}
        for topic in filter(None, (self.scenario.input, self.profile_topic)):
            try:
                committed, ends = self.kafka.committed(self.scenario.group, topic), self.kafka.watermarks(topic)
            except KafkaException:
                return {}
            for partition, (_, end) in ends.items():
                if end:
                    state = applied.get(partition, -1) if topic == self.scenario.input else end
                    found[topic, partition] = (committed[partition], end, state)
        return found

    # What must have come out.

    def check(self):
        service = self.chosen["service"]
        last = self.instances[0]
        live = self._inspected(last, "users", "--limit", "0")
        assert live.returncode == 0, f"inspect beside {last.name}: {live.returncode} {live.stderr.decode()}"
        last.end()
        model = ms_live.Model(self.scenario.model_dir, service["routing_mode"], service["output_layout"], service["publish_mode"],
                              fields_of(service), int(service["state_behaviors_max"]), float(service["routing_decay"]), self.profile_topic,
                              self.chosen["alone"])
        taken = self._read(self.scenario.input)
        self.counts["empty rounds"] += not taken  # all brokers' coordinators were away too long for the producers
        self.counts["records"] += len(taken)
        model.clicks(taken)
        if self.profile_topic:
            taken = self._read(self.profile_topic)
            self.counts["profile records"] += len(taken)
            model.profiles(taken)
        checker = ms_live.Checker(model, ms_kafka.schema(self.scenario.directory))
        checker.check(self._read(self.scenario.output))
        self.counts["output records"] += checker.records
        self.counts["users"] += checker.users
        if self.dead_topic:
            ms_live.check_dead_letters(model, self._read(self.dead_topic))
            self.counts["dead letters"] += len(model.dead)
        done = self._inspected(last, "users", "--limit", "0")
        assert done.returncode == 0, f"inspect: {done.returncode} {done.stderr.decode()}"
        self.counts["users inspected"] += ms_live.check_users(model, json.loads(done.stdout)["users"])
        people = [person for person in model.people.values() if person.version and b"\0" not in person.user]
        for person in self.draws.sample(people, min(12, len(people))):
            done = self._inspected(last, "user", "--partition", str(person.partition), "--", person.user.decode())
            assert done.returncode == 0, f"inspect user {person.user}: {done.returncode} {done.stderr.decode()}"
            ms_live.check_user(checker, person, json.loads(done.stdout))
        for name, count in model.counts.items():
            self.counts[f"input: {name.lower()}"] += count

    def _read(self, topic):
        """Reads a topic, and writes it down for the one who looks into a failure."""
        found = self.kafka.read(topic)
        name = topic.replace(self.scenario.id, "topic") + ".jsonl"
        with open(os.path.join(self.scenario.directory, name), "w", encoding="utf-8") as file:
            for one in found:
                json.dump({"partition": one.partition, "offset": one.offset, "key": _text(one.key), "timestamp": one.timestamp,
                           "headers": {name: _text(value) for name, value in one.headers.items()}, "value": _text(one.value)}, file)
                file.write("\n")
        return found


def _text(data):
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def play(kafka, seed, number, arguments, seconds):
    """One round. Returns its counts; None after a failure, whose directory stays."""
    draws = random.Random(f"{seed}/{number}")
    directory = tempfile.mkdtemp(prefix=f"mindstream-fuzz-{seed}-{number}-", dir=arguments.keep)
    scenario = ms_kafka.Scenario(kafka, f"fuzz{number}", directory)
    chosen = plan(draws, arguments.set)
    print(f"round {number} of seed {seed}: {json.dumps(chosen)}", flush=True)
    made, failed = None, True
    try:
        made = Round(scenario, chosen, draws, seconds)
        made.prepare()
        made.shake()
        made.check()
        failed = False
    except ms_live.Wrong as error:
        print(f"WRONG in round {number} of seed {seed}: {error}", flush=True)
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        print(f"FAILED: round {number} of seed {seed}", flush=True)
    if made and failed:
        made.feeder.halt.set()
        for instance in made.instances:
            if instance.paused:
                instance.resume()
        if made.node:
            made._node_back()  # pylint: disable=protected-access
    scenario.close(failed and not arguments.quiet)
    if failed:
        print(f"logs, settings, state and what was read: {directory}", flush=True)
        print(f"so far: {dict(made.counts) if made else {}}", flush=True)
        return None
    shutil.rmtree(directory, ignore_errors=True)
    print(f"round {number}: {json.dumps(made.counts, sort_keys=True)}", flush=True)
    return made.counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=45, help="how long a round shakes")
    parser.add_argument("--nodes", type=int, choices=(1, 2), default=1, help="2: brokers of its own, whose leaders move")
    parser.add_argument("--round", type=int, help="this round alone")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the service or of the plan")
    parser.add_argument("--keep", help="where the directory of a failed round goes")
    parser.add_argument("--quiet", action="store_true", help="no logs of the service after a failure")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    began, total, failures, number = time.monotonic(), collections.Counter(), 0, arguments.round or 0
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(ms_cluster.Cluster() if arguments.nodes == 2 else ms_kafka.Kafka())
        while True:
            left = arguments.minutes * 60 - (time.monotonic() - began)
            if number > (arguments.round or 0) and (left <= 5 or arguments.round is not None):
                break
            counts = play(kafka, arguments.seed, number, arguments, min(arguments.seconds, max(10, left)))
            failures += counts is None
            total.update(counts or {})
            number += 1
    print(f"seed {arguments.seed}, {(time.monotonic() - began) / 60:.1f} minutes, {number - (arguments.round or 0)} rounds, "
          f"{failures} failed: {json.dumps(total, sort_keys=True)}", flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
