"""kill -9 at random moments while events flow: what a read_committed consumer sees afterwards is what an undisturbed run
would have published. 200,000 generated events, 4 partitions, 2 workers, five kills; by full routing, and by the
incremental fold with memory for a tenth of the users. CHAOS_SEED repeats a run's draws, CHAOS_EVENTS and CHAOS_KILLS
change its size."""

import json
import os
import random
import subprocess
import threading
import time

import ms_history
import ms_kafka

EVENTS = int(os.environ.get("CHAOS_EVENTS", "200000"))
KILLS = int(os.environ.get("CHAOS_KILLS", "5"))
USERS = 4000
FEED_SECONDS = 15  # events arrive over this time, so that kills meet a stream and not only a backlog


def generate(scenario, seed):
    """Events as `mindstream generate` writes them, as (key, value); makes the model too."""
    done = subprocess.run([ms_kafka.MINDSTREAM, "generate", "--users", str(USERS), "--items", "2000", "--events", str(EVENTS),
                           "--seed", str(seed), "--model-out", scenario.model_dir], stdout=subprocess.PIPE, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == EVENTS, f"generate wrote {len(lines)} events of {EVENTS}"
    return [(str(json.loads(line)["user_id"]).encode(), line) for line in lines]


class Feeder(threading.Thread):
    """Produces the events in their order, spread over FEED_SECONDS."""

    def __init__(self, scenario, events):
        super().__init__(daemon=True)
        self.scenario, self.events, self.error = scenario, events, None

    def run(self):
        try:
            producer = self.scenario.kafka.producer(**{"queue.buffering.max.messages": len(self.events) + 1})
            step = max(1, len(self.events) // (FEED_SECONDS * 20))
            for begin in range(0, len(self.events), step):
                for key, value in self.events[begin:begin + step]:
                    producer.produce(self.scenario.input, value, key, on_delivery=self.delivered)
                producer.poll(0)
                time.sleep(0.05)
            assert producer.flush(60) == 0, "not all events were taken"
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def delivered(self, error, _):
        self.error = self.error or error


def committed(scenario):
    """Events that the group has committed, all partitions together."""
    return sum(max(0, offset) for offset in scenario.kafka.committed(scenario.group, scenario.input).values())


def chaos(scenario, publish_mode, **settings):
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(1 << 31)))
    print(f"CHAOS_SEED={seed}", flush=True)
    draws = random.Random(seed)
    events = generate(scenario, seed % 1000)
    scenario.topics(4)
    service = scenario.service(publish_mode=publish_mode, **settings)
    service.start()
    feeder = Feeder(scenario, events)
    feeder.start()
    # Most kills meet a service that has made progress since its start, the others one that is taking its partitions over.
    after_progress = [kill < (KILLS * 3 + 4) // 5 for kill in range(KILLS)]
    draws.shuffle(after_progress)
    for kill, progress in enumerate(after_progress):
        since = time.monotonic()
        if progress:
            begin = committed(scenario)
            ms_kafka.wait_for("progress", lambda begin=begin: committed(scenario) > begin or not feeder.is_alive(), 60)
        time.sleep(draws.uniform(0, 1.5) if progress else draws.uniform(0.05, 0.6))
        service.kill9()
        print(f"kill {kill + 1} {time.monotonic() - since:.2f} s after the start, {committed(scenario)} events committed", flush=True)
        service.start()
    feeder.join(300)
    assert not feeder.is_alive() and not feeder.error, f"feeding: {feeder.error}"
    scenario.wait_done(service, 240)
    code = service.terminate()
    assert code == 0, f"SIGTERM ended it with {code}"
    folded = settings.get("routing_mode") == "incremental"
    histories = (ms_history.FoldedHistories if folded else ms_history.Histories)(scenario.model_dir)
    for _, value in events:
        fields = json.loads(value)
        histories.add(str(fields["user_id"]), str(fields["item_id"]), fields["timestamp"], fields.get("event_type", ""))
    return histories, scenario.kafka.read(scenario.output)


def chaos_every(scenario):
    """publish.mode=every: each user's versions 1..n exactly once, in order, each vector right."""
    histories, records = chaos(scenario, "every")
    ms_history.check_every(records, histories.expected(), ms_kafka.schema(scenario.directory))


def chaos_latest(scenario):
    """publish.mode=latest: rising versions, the last one of each user right."""
    histories, records = chaos(scenario, "latest")
    ms_history.check_last(records, histories.last(), ms_kafka.schema(scenario.directory))
    assert len(records) <= EVENTS, f"{len(records)} records of {EVENTS} events"


def chaos_incremental(scenario):
    """Sums that outlive kills, most of them read back from disk: versions as in chaos_every, vectors as the definition says
    while they can be compared, the last ones as `extract` says."""
    histories, records = chaos(scenario, "every", routing_mode="incremental", state_memory_bytes="1m")
    pb = ms_kafka.schema(scenario.directory)
    ms_history.check_every(records, histories.expected(), pb, tolerance=1e-4, until=50)
    last = {(user, histories.versions[user]): items for user, items in histories.items.items()}
    found = ms_history.extracted(ms_kafka.MINDSTREAM, scenario.model_dir, last)
    ms_history.check_last(records, {user: (version, vectors) for (user, version), vectors in found.items()}, pb,
                          tolerance=1e-6)


if __name__ == "__main__":
    ms_kafka.main({"chaos_every": chaos_every, "chaos_latest": chaos_latest, "chaos_incremental": chaos_incremental})
