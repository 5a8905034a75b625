"""What a hot user costs the others: the time from event to visible record of all other users, without one and with one that
makes half of the traffic, in turns, on a real broker.

    tests/kafka/hot_user.py [--rate 1000] [--seconds 15] [--rounds 3] [--max-rate 0]

--rate is the events a second of all others, and in the second kind of turn also that of the hot user. --max-rate is
user.max.publish.rate. Prints a line a turn, and exits 1 where the p99 of the others, by the median of the turns, is more than twice
what it is without. Not a part of ctest: it measures."""

import argparse
import json
import statistics
import sys
import threading
import time

import ms_history
import ms_kafka
from confluent_kafka import Consumer

USERS = 5000


class Reader(threading.Thread):
    """Reads the output as it comes, and keeps the delay of each record: from its event's time to now."""

    def __init__(self, scenario):
        super().__init__(daemon=True)
        self.consumer = Consumer({"bootstrap.servers": scenario.kafka.bootstrap, "group.id": f"{scenario.id}-reader",
                                  "enable.auto.commit": False, "isolation.level": "read_committed",
                                  "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10})
        self.consumer.subscribe([scenario.output])
        self.delays, self.hot, self.ended = [], 0, False

    def run(self):
        while not self.ended:
            for message in self.consumer.consume(500, 0.01):
                if message.error():
                    continue
                now_ms = time.time() * 1000
                if message.key() == b"hot":
                    self.hot += 1
                else:
                    self.delays.append(now_ms - json.loads(message.value())["event_time"])
        self.consumer.close()

    def take(self):
        taken, self.delays, hot, self.hot = self.delays, [], self.hot, 0
        return taken, hot


def feed(producer, topic, items, rate, seconds, hot):
    """|rate| events a second of others, and as many of the hot user."""
    began, sent = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        while sent < passed * rate:
            for user in (f"u{sent * 7919 % USERS}", *(("hot",) if hot else ())):
                key, value = ms_kafka.event(user, items[sent % len(items)], int(time.time() * 1000))
                producer.produce(topic, value, key)
            sent += 1
        producer.poll(0.002)
    assert producer.flush(30) == 0


def quantile(values, share):
    return sorted(values)[int(share * (len(values) - 1))]


def turn(scenario, reader, producer, items, options, hot):
    feed(producer, scenario.input, items, options.rate, options.seconds, hot)
    scenario.wait_done(None)
    time.sleep(0.5)
    delays, records = reader.take()
    delays = delays[len(delays) // 10:]  # the first are of a group that has just found its pace
    found = quantile(delays, 0.5), quantile(delays, 0.99)
    with open("/proc/loadavg", encoding="utf-8") as file:
        load = file.read().split()[0]
    print(f"hot={int(hot)} others: {len(delays)} records, p50 {found[0]:.1f} ms, p99 {found[1]:.1f} ms; "
          f"hot user: {records / options.seconds:.1f} records/s; load {load}", flush=True)
    return found[1]


def measure(scenario, options):
    items = ms_history.small_model(scenario.model_dir)
    scenario.topics(2)
    service = scenario.service(publish_mode="latest", output_format="json", routing_mode="incremental",
                               user_max_publish_rate=options.max_rate).start()
    reader, producer = Reader(scenario), scenario.kafka.producer(**{"linger.ms": 1})
    reader.start()
    feed(producer, scenario.input, items, options.rate, 5, False)
    scenario.wait_done(service)
    reader.take()
    p99 = {False: [], True: []}
    for _ in range(options.rounds):
        for hot in (False, True):
            p99[hot].append(turn(scenario, reader, producer, items, options, hot))
    reader.ended = True
    reader.join()
    assert service.terminate() == 0
    without, with_hot = (statistics.median(p99[hot]) for hot in (False, True))
    print(f"p99 of the others: {without:.1f} ms without, {with_hot:.1f} ms with: {with_hot / without:.2f} times")
    assert with_hot <= 2 * without, "a hot user slows the others"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-rate", type=int, default=0)
    options = parser.parse_args()
    sys.argv[1:] = []
    ms_kafka.main({"hot_user": lambda scenario: measure(scenario, options)})


if __name__ == "__main__":
    main()
