"""What is published on a real Kafka: dead letters, forgotten users, both guarantees, formats, layouts, the fold."""

import json

import numpy as np

import ms_history
import ms_kafka
import ms_model
import ms_reference
from lifecycle_test import Log
from ms_kafka import event


def dead_letters(scenario):
    """Bad events go to the dead-letter topic with headers that tell where they came from, in the same transaction."""
    scenario.topics(2)
    dead = f"{scenario.id}-dead"
    scenario.kafka.create(dead, 1)
    log = Log(scenario)
    service = scenario.service(dead_letter_topic=dead).start()
    bad = [(b"u1", b"{broken"), (b"u2", b"[]"), (b"u3", b'{"user_id":"u3","timestamp":1700000000000}'),
           (b"u4", b'{"user_id":"u4","item_id":"","timestamp":1700000000000}'), (b"u5", b"\xff\xfe"), (None, b"null and void"),
           (b"u6", b'{"user_id":"u6","item_id":"%s","timestamp":1700000000000}' % (b"x" * 65536))]
    log.produce(50)
    scenario.kafka.produce(scenario.input, bad)
    log.produce(50)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()
    source = {(record.partition, record.offset): record for record in scenario.kafka.read(scenario.input)}
    letters = scenario.kafka.read(dead)
    assert len(letters) == len(bad), f"{len(letters)} dead letters of {len(bad)}"
    for letter in letters:
        headers = {name: value.decode() for name, value in letter.headers.items()}
        assert headers["source-topic"] == scenario.input and headers["error"], headers
        origin = source.pop((int(headers["source-partition"]), int(headers["source-offset"])))
        assert (letter.key, letter.value) == (origin.key, origin.value), f"{headers}: not the record that came in"
        assert (letter.key, letter.value) in bad
    # Only a transaction leaves a marker in the log after its records.
    assert scenario.kafka.watermarks(dead)[0][1] > len(letters), "dead letters are not written in transactions"


def bad_without_dead_letters(scenario):
    """Without a dead-letter topic a bad event is skipped, and the offset still moves."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1).start()
    log.produce(10)
    scenario.kafka.produce(scenario.input, [(b"u1", b"{broken")] * 20)
    scenario.wait_done(service)
    log.produce(10)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def forgotten_sequence(scenario, publish_mode):
    """The output of a user that was forgotten between two stretches of events, as (version or None) a record."""
    scenario.topics(1)
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(workers=1, publish_mode=publish_mode).start()
    times = iter(range(1700000000000, 1700001000000, 1000))
    records = [event("u1", item, next(times)) for item in items[:3]] + [event("u2", items[0], next(times))]
    records += [(b"u1", None)] + [event("u1", item, next(times)) for item in items[3:5]]
    scenario.kafka.produce(scenario.input, records)
    scenario.wait_done(service)
    service.kill9()
    scenario.kafka.produce(scenario.input, [event("u1", items[6], next(times))])
    service.start()
    scenario.wait_done(service)
    assert service.terminate() == 0
    pb = ms_kafka.schema(scenario.directory)
    histories = ms_history.Histories(scenario.model_dir)
    for number in (3, 4, 6):
        histories.add("u1", items[number], 1700000000000 + 1000 * (number + (number < 6)))
    found = [record for record in scenario.kafka.read(scenario.output) if record.key == b"u1"]
    last = pb.UserInterests.FromString(found[-1].value)
    version, vectors = histories.last()["u1"]
    ms_history.check_message(last, "u1", version, vectors)
    return [record.value if record.value is None else pb.UserInterests.FromString(record.value).version for record in found]


def tombstones_every(scenario):
    """A null value forgets the user: a null record, and then a new user."""
    found = forgotten_sequence(scenario, "every")
    assert found == [1, 2, 3, None, 1, 2, 3], f"u1: {found}"


def tombstones_latest(scenario):
    """With publish.mode=latest the null still comes, before what follows it."""
    found = forgotten_sequence(scenario, "latest")
    assert None in found, f"u1: {found}, no null"
    after = found[found.index(None) + 1:]
    assert after and after[-1] == 3 and after == sorted(after) and None not in after, f"u1: {found}"


def layout_interest(scenario):
    """One record an interest, JSON, keyed by user and slot; a forgotten user's slots all get a null value."""
    scenario.topics(1)
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(workers=1, output_format="json", output_layout="interest").start()
    histories = ms_history.Histories(scenario.model_dir)
    records = []
    for number in range(9):
        histories.add("u1", items[number], 1700000000000 + number)
        records.append(event("u1", items[number], 1700000000000 + number))
    scenario.kafka.produce(scenario.input, records + [(b"u1", None)])
    scenario.wait_done(service)
    assert service.terminate() == 0
    found = scenario.kafka.read(scenario.output)
    expected = histories.expected()
    want = [(f"u1#{slot}", version, vector) for (_, version), vectors in sorted(expected.items())
            for slot, vector in enumerate(vectors)]
    slots = max(len(vectors) for vectors in expected.values())
    assert len(found) == len(want) + slots, f"{len(found)} records, {len(want)} and {slots} nulls expected"
    for record, (key, version, vector) in zip(found, want):
        value = json.loads(record.value)
        assert record.key.decode() == key == value["id"] and value["version"] == version, f"{record.key}: {value}"
        assert np.abs(np.array(value["vector"]) - vector).max() <= 1e-5
    assert sorted(record.key.decode() for record in found[len(want):]) == [f"u1#{slot}" for slot in range(slots)]
    assert all(record.value is None for record in found[len(want):])


def at_least_once(scenario):
    """Without transactions nothing is lost over a kill; what comes twice says the same."""
    scenario.topics()
    log = Log(scenario)
    service = scenario.service(processing_guarantee="at_least_once").start()
    log.produce(3000)
    scenario.wait_done(service)
    log.produce(3000)
    service.kill9()
    service.start()
    log.produce(500)
    scenario.wait_done(service)
    assert service.terminate() == 0
    pb = ms_kafka.schema(scenario.directory)
    expected, newest = log.histories.expected(), {}
    for record in scenario.kafka.read(scenario.output):
        message = pb.UserInterests.FromString(record.value)
        assert message.version <= newest.get(message.user_id, 0) + 1, f"{message.user_id}: a version was left out"
        newest[message.user_id] = message.version
        ms_history.check_message(message, message.user_id, message.version, expected[message.user_id, message.version])
    assert newest == {user: version for user, version in log.histories.versions.items()}, "the newest versions are wrong"


def incremental(scenario):
    """routing.mode=incremental gives what `extract --mode incremental` gives for the same events, over a kill too."""
    scenario.topics()
    log = Log(scenario, users=20)
    service = scenario.service(routing_mode="incremental").start()
    log.produce(800)
    scenario.wait_done(service)
    service.kill9()
    service.start()
    log.produce(200)
    scenario.wait_done(service)
    assert service.terminate() == 0
    expected = ms_history.extracted(ms_kafka.MINDSTREAM, scenario.model_dir, {
        (user, version): [entry[2] for entry in kept[:version]]
        for user, kept in log.histories.users.items() for version in range(1, len(kept) + 1)})
    records = scenario.kafka.read(scenario.output)
    ms_history.check_every(records, expected, ms_kafka.schema(scenario.directory))


def pooling(scenario):
    """A model of the kind pooling, with a head, folded live and over a kill: each version is what the reference gives."""
    rng = np.random.default_rng(4)
    items = [f"i{number}" for number in range(60)]
    ms_model.write_model(scenario.model_dir, {
        "extractor": "pooling", "dim": 6, "interests": 1, "max_behaviors": 20,
        "pooling": {"method": "decayed-mean", "decay": 0.8}, "head": [{"activation": "relu"}, {"activation": "linear"}]},
        {"item_embedding": rng.normal(size=(60, 8)).astype(np.float32),
         "head.0.weight": rng.normal(size=(12, 8)).astype(np.float32),
         "head.0.bias": rng.normal(size=12).astype(np.float32),
         "head.1.weight": rng.normal(size=(6, 12)).astype(np.float32)}, items)
    scenario.topics()
    histories = {f"u{number}": [] for number in range(20)}

    def produce(count):
        events = []
        for _ in range(count):
            user = f"u{rng.integers(20)}"
            histories[user].append(items[rng.integers(60)] if rng.integers(10) else "unknown")
            events.append(event(user, histories[user][-1], 1700000000000 + 1000 * sum(map(len, histories.values()))))
        scenario.kafka.produce(scenario.input, events)

    service = scenario.service(routing_mode="auto").start()
    produce(500)
    scenario.wait_done(service)
    service.kill9()
    service.start()
    produce(200)
    scenario.wait_done(service)
    assert service.terminate() == 0
    reference = ms_reference.Model(scenario.model_dir)
    expected = {(user, version): reference.fold(kept[:version])[0]
                for user, kept in histories.items() for version in range(1, len(kept) + 1)}
    ms_history.check_every(scenario.kafka.read(scenario.output), expected, ms_kafka.schema(scenario.directory))


def short_batches(scenario):
    """Many records at once in a topic that takes 4,000 bytes a batch, and 2,000 while the service runs: all come."""
    scenario.kafka.create(scenario.input, 1)
    scenario.kafka.create(scenario.output, 1, max_message_bytes=4000)
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(workers=1, input_id_max_bytes=20).start()
    scenario.kafka.produce(scenario.input, [event(f"u{number}", items[0], 1700000000000) for number in range(500)])
    scenario.wait_done(service)
    assert "restart" not in service.log(), "a batch was too large"
    scenario.kafka.alter(scenario.output, max_message_bytes=2000)
    scenario.kafka.produce(scenario.input, [event(f"u{number}", items[1], 1700000000001) for number in range(500)])
    scenario.wait_done(service)
    assert service.terminate() == 0
    assert len(scenario.kafka.read(scenario.output)) == 1000


def overflowing_vectors(scenario):
    """A user whose sums leave float32 is published without interests, counted and warned of by name; others are as always."""
    scenario.topics(1)
    embedding = np.ones((2, 4), np.float32)
    embedding[1] = 3e38
    ms_model.write_model(scenario.model_dir, {"extractor": "pooling", "dim": 4, "interests": 1, "max_behaviors": 20,
                                              "pooling": {"method": "sum"}}, {"item_embedding": embedding}, ["small", "large"])
    service = scenario.service(workers=1, output_format="json", routing_mode="incremental").start()
    scenario.kafka.produce(scenario.input, [event("u1", "small", 1), event("u1", "large", 2), event("u1", "large", 3),
                                            event("u2", "small", 4)])
    scenario.wait_done(service)
    assert service.terminate() == 0
    found = [json.loads(record.value) for record in scenario.kafka.read(scenario.output)]
    assert [(record["user_id"], record["version"], len(record["interests"])) for record in found] == [
        ("u1", 1, 1), ("u1", 2, 1), ("u1", 3, 0), ("u2", 1, 1)], found
    assert " warn overflow user=\"u1\"" in service.log() and "newest_item=\"large\"" in service.log()
    assert " overflows=1 " in service.log()


def pass_through_refused(scenario):
    """A key that librdkafka refuses is an error at start that names it."""
    scenario.topics(1)
    ms_history.small_model(scenario.model_dir)
    scenario.service(consumer_no_such_key="1").start().fails(2, r"no\.such\.key")


SCENARIOS = {function.__name__: function for function in (
    dead_letters, bad_without_dead_letters, tombstones_every, tombstones_latest, layout_interest, at_least_once,
    short_batches, overflowing_vectors, incremental, pooling, pass_through_refused)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
