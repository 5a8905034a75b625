#!/usr/bin/python3
"""Hand-overs at random moments while producers write and processes are killed: around each seam no record is lost, doubled or out
of order, and the versions of each user have no gap.

A round builds a new application beside what runs: `replay --follow --handoff` catches up, is killed or told to hand over at a random
moment, and `run` goes on with its state, and is killed, too. What must have come out is told by a model of the fold's bookkeeping
alone, from the input topic as a reader of committed records sees it: the k-th event of a user gives version k and the latest event
time among the first k.

    tests/kafka/seam_test.py --rounds 10 --seed 7      # the long form; ctest runs a short one"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import ms_history
import ms_kafka
from ms_kafka import MINDSTREAM, event, wait_for

USERS = 150


class Producers:
    """Two threads that write until they are stopped: one plain, one in transactions, some of which are aborted."""

    def __init__(self, scenario, seed, items):
        self.scenario, self.items = scenario, items
        self.stopped = threading.Event()
        self.failures = []
        self.threads = [threading.Thread(target=self._guarded, args=(work, random.Random(seed + n)), daemon=True)
                        for n, work in enumerate((self._plain, self._transactions))]
        for thread in self.threads:
            thread.start()

    def _guarded(self, work, draws):
        try:
            work(draws)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)

    def _events(self, draws, count, name):
        """Users of both threads are the same ones; times differ, so that no event is an exact duplicate."""
        for _ in range(count):
            now_ms = time.time_ns() // 1000000
            yield event(f"u{draws.randrange(USERS)}", draws.choice(self.items), now_ms - draws.choice((0, 0, 0, 5000)),
                        f"{name}-{draws.getrandbits(60)}")

    def _plain(self, draws):
        producer = self.scenario.kafka.producer()
        while not self.stopped.is_set():
            for key, value in self._events(draws, 40, "plain"):
                producer.produce(self.scenario.input, value, key)
            producer.poll(0)
            time.sleep(0.04)
        assert producer.flush(60) == 0

    def _transactions(self, draws):
        producer = self.scenario.kafka.producer(**{"transactional.id": f"{self.scenario.id}-producer"})
        producer.init_transactions(30)
        while not self.stopped.is_set():
            producer.begin_transaction()
            for key, value in self._events(draws, 30, "transaction"):
                producer.produce(self.scenario.input, value, key)
            time.sleep(0.05)
            if draws.random() < 0.2:
                producer.flush(30)
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)
            time.sleep(draws.uniform(0, 0.2))  # else a seam would always lie at the mark of a transaction

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.failures, self.failures


def expected_of(scenario):
    """user -> [(partition, offset, latest event time)], one for each event, in the order of the log."""
    users = {}
    for record in scenario.kafka.read(scenario.input):
        fields = json.loads(record.value)
        history = users.setdefault(fields["user_id"], [])
        latest = max(fields["timestamp"], history[-1][2] if history else 0)
        history.append((record.partition, record.offset, latest))
    return users


def check(scenario, output, published, ends):
    """The records of |output| against the model. |ends|: partition -> where the replay ended."""
    expected = expected_of(scenario)
    seen = {}
    for record in scenario.kafka.read(output):
        fields = json.loads(record.value)
        seen.setdefault(record.key.decode(), []).append((fields["version"], fields["event_time"]))
    for user, history in expected.items():
        before = sum(offset < ends[partition] for partition, offset, _ in history)
        first = max(before, 1) if published == "final" else 1
        wanted = [(version, history[version - 1][2]) for version in range(first, len(history) + 1)]
        got = seen.pop(user, [])
        if got != wanted:
            at = next((n for n, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]), min(len(got), len(wanted)))
            raise AssertionError(f"{output} {user}: {len(got)} records, {len(wanted)} wanted (seam at version {before}); record {at} is "
                                 f"{got[at:at + 3]}, wanted {wanted[at:at + 3]}")
    assert not seen, f"{output}: users that have no events: {list(seen)[:5]}"


class Round:
    """One application: its replay, the hand-over, its service."""

    def __init__(self, scenario, number, draws):
        self.scenario, self.draws = scenario, draws
        self.published = draws.choice(("final", "every"))
        self.output = f"{scenario.id}-out-{number}"
        scenario.kafka.create(self.output, 4)
        self.service = scenario.service(f"green{number}", application_id=f"{scenario.id}-{number}", output_topic=self.output,
                                        output_format="json", routing_mode="incremental", workers=draws.randint(1, 3))
        self.kills = []

    def _replay(self, *more):
        """Starts the replay; what it says goes to the service's log."""
        with open(self.service.config, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in self.service.settings.items())
        with open(self.service.log_path, "ab") as log:
            return subprocess.Popen([MINDSTREAM, "replay", "-c", self.service.config, "--json", "--publish", self.published, "--handoff",
                                     "--checkpoint", "1", "--workers", str(self.draws.randint(1, 4)), *more], stdout=subprocess.PIPE,
                                    stderr=log, text=True)

    def _kill(self, process, what, after_s):
        time.sleep(after_s)
        if process.poll() is None:
            process.kill()
            self.kills.append(what)
        process.wait()

    def hand_over(self):
        """Follows, is killed here and there, is told to hand over at a random moment."""
        draws = self.draws
        if draws.random() < 0.5:
            self._kill(self._replay("--follow"), "replay", draws.uniform(0.2, 2.5))
        while True:
            process = self._replay("--follow")
            time.sleep(draws.uniform(0.8, 2.5))
            process.send_signal(signal.SIGTERM)
            if draws.random() < 0.3:
                self._kill(process, "replay that hands over", draws.uniform(0.0, 0.5))
            process.communicate(timeout=120)
            if self._handed_over():  # a kill may come after it
                return
            assert process.returncode in (-signal.SIGKILL, 1), f"the replay ended with {process.returncode}"

    def _handed_over(self):
        with open(os.path.join(self.service.settings["state.dir"], "replay"), encoding="utf-8") as file:
            return "stage=handed" in file.read()

    def ends(self):
        """Where the replay ended, from its plan."""
        with open(os.path.join(self.service.settings["state.dir"], "replay"), encoding="utf-8") as file:
            parts = [line[5:].split() for line in file if line.startswith("part=")]
        return {int(partition): int(to) for _, partition, _, to in parts}

    def serve(self):
        self.service.start()
        while self.draws.random() < 0.5:
            time.sleep(self.draws.uniform(0.3, 2.0))
            self.service.kill9()
            self.kills.append("service")
            self.service.start()
        time.sleep(self.draws.uniform(0.2, 1.0))

    def wait_done(self):
        self.scenario.kafka.wait_committed(self.service.settings["application.id"], self.scenario.input, self.service)


def states_agree(scenario, one, other):
    done = subprocess.run([MINDSTREAM, "inspect", "diff", one, other, "--model", scenario.model_dir, "--set", "routing.mode=incremental"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{one} and {other} differ: {done.stdout} {done.stderr}"


def hand_overs(scenario, rounds, seed):
    draws = random.Random(seed)
    items = ms_history.small_model(scenario.model_dir)
    scenario.topics()
    scenario.kafka.produce(scenario.input, [event(f"u{n % USERS}", items[0], 1700000000000 + n) for n in range(3000)])
    producers = Producers(scenario, seed, items)
    done = []
    for number in range(rounds):
        began_s = time.monotonic()
        current = Round(scenario, number, draws)
        current.hand_over()
        seam_s = time.monotonic()
        current.serve()
        done.append(current)
        if number + 1 < rounds:
            wait_for("the last round to be beyond its seam", lambda own=current: all(
                offset > own.ends()[partition] for partition, offset in
                scenario.kafka.committed(own.service.settings["application.id"], scenario.input).items()))
        print(f"round {number}: --publish {current.published}, handed over after {seam_s - began_s:.1f} s, killed: "
              f"{', '.join(current.kills) or 'nothing'}", flush=True)
        if number >= 2 and done[number - 2].service.running():  # two go on beside the newest, the others end
            assert done[number - 2].service.terminate() == 0, "the service ended badly"
    producers.stop()
    for current in done:
        if not current.service.running():
            current.service.start()
        current.wait_done()
    for current in done:
        assert current.service.terminate() == 0, "the service ended badly"
        check(scenario, current.output, current.published, current.ends())
    for current in done[1:]:
        states_agree(scenario, done[0].service.settings["state.dir"], current.service.settings["state.dir"])
    events = sum(map(len, expected_of(scenario).values()))
    kills = sum(len(current.kills) for current in done)
    print(f"{rounds} hand-overs, {kills} kills, {events} events of {USERS} users: every version once and in order", flush=True)


def replay_seam(scenario):
    """The short form, with a seed under which both ways of publishing and kills of both processes come."""
    hand_overs(scenario, 2, 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", choices=["replay_seam"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10000)
    rounds = arguments.rounds
    sys.argv[1:] = []
    if arguments.scenario:
        ms_kafka.main({"replay_seam": replay_seam})
    print(f"seed {seed}", flush=True)
    ms_kafka.main({"seam": lambda scenario: hand_overs(scenario, rounds, seed)})


if __name__ == "__main__":
    main()
