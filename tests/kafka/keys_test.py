"""Record keys on a real Kafka: as serializers write them, none at all, and tombstones that hit nobody."""

import json
import struct
import subprocess

import ms_history
import ms_kafka

KEYS = {
    "string": lambda user: user.encode(),
    "json": lambda user: json.dumps(user).encode(),
    "connect": lambda user: json.dumps({"schema": {"type": "string", "optional": False}, "payload": user}).encode(),
    "long": lambda user: struct.pack(">q", int(user)),
    "registry-json": lambda user: b"\x00\x00\x00\x00\x07" + json.dumps(user).encode(),
}


def value(user, item):
    return json.dumps({"user_id": user, "item_id": item, "timestamp": 1700000000000}).encode()


def users_left(service):
    """The users of a service that has ended."""
    output = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "users", "--json", "--limit", "0", "--state-dir",
                             service.settings["state.dir"]], check=True, capture_output=True).stdout
    return sorted(user["user_id"] for user in json.loads(output)["users"])


def run(scenario, name, records, **settings):
    """What is left of a service that has read |records|, and its log."""
    topic, group = f"{scenario.id}-{name}", f"{scenario.group}-{name}"
    scenario.kafka.create(topic, 1)
    service = scenario.service(name, workers=1, input_topic=topic, application_id=group, **settings).start()
    scenario.kafka.produce(topic, records)
    scenario.kafka.wait_committed(group, topic, service)
    assert service.terminate() == 0
    return users_left(service), service.log()


def prepare(scenario):
    scenario.kafka.create(scenario.output, 1)
    return ms_history.small_model(scenario.model_dir)


def serialized_keys(scenario):
    """In each format a tombstone forgets the user of its key, an event without a user is the key's, and no key differs."""
    items = prepare(scenario)
    for name, key in KEYS.items():
        userless = json.dumps({"item_id": items[2], "timestamp": 1700000000001}).encode()
        records = [(key("77"), value("77", items[0])), (key("78"), value("78", items[1])), (key("78"), userless),
                   (key("77"), None)]
        left, log = run(scenario, name, records, input_key_format=name)
        assert left == ["78"], f"{name}: {left} are left"
        assert " warn " not in log, f"{name}: {log}"


def wrong_format(scenario):
    """Read as string, serialized keys forget nobody: that is said, with the format that the key looks like."""
    items = prepare(scenario)
    for name, key in KEYS.items():
        if name == "string":
            continue
        left, log = run(scenario, name, [(key("77"), value("77", items[0])), (key("77"), None)])
        assert left == ["77"], f"{name}: {left} are left"
        for word in ("key_differs", "forgot_nobody"):
            assert [line for line in log.splitlines() if f" warn {word} " in line and f"input.key.format={name}" in line], \
                f"{name}: no warning {word} that suggests it: {log}"
    left, log = run(scenario, "json-strings", [(b"77", value("77", items[0])), (b"k1", None)], input_key_format="json")
    assert "not JSON (input.key.format=json, it looks like string)" in log, log


def tombstone_of_nobody(scenario):
    """Counted and warned of once for each, but not again for the replay."""
    items = prepare(scenario)
    topic, group = f"{scenario.id}-t", f"{scenario.group}-t"
    scenario.kafka.create(topic, 1)
    service = scenario.service("t", workers=1, input_topic=topic, application_id=group,
                               state_flush_interval_ms=600000).start()
    scenario.kafka.produce(topic, [(b"u1", value("u1", items[0])), (b"nobody", None), (b"u1", None), (b"u1", None)])
    scenario.kafka.wait_committed(group, topic, service)
    service.kill9()
    assert 1 <= service.log().count("forgot_nobody topic") <= 2, service.log()
    service.start()
    scenario.kafka.produce(topic, [(b"u2", value("u2", items[0]))])
    scenario.kafka.wait_committed(group, topic, service)
    assert service.terminate() == 0
    assert "forgot_nobody topic" not in service.log(), "a replay says it again"
    assert " forgot_nobody=0 " in service.log()


def records_without_key(scenario):
    """Spread over partitions they split their users: counted, and warned of once a minute."""
    items = prepare(scenario)
    topic, group = f"{scenario.id}-n", f"{scenario.group}-n"
    scenario.kafka.create(topic, 3)
    service = scenario.service("n", workers=1, input_topic=topic, application_id=group).start()
    for partition in range(3):
        scenario.kafka.produce_to(topic, partition, [(None, value("v1", item)) for item in items[:3]])
    scenario.kafka.wait_committed(group, topic, service)
    service.wait_log(r" progress .* no_key=9 ", timeout_s=20)
    assert service.terminate() == 0
    warnings = [line for line in service.log().splitlines() if " warn no_key " in line]
    assert len(warnings) == 1 and "write the user as the key" in warnings[0], warnings


def serialized_profile_keys(scenario):
    """The keys of profiles are read in the same format."""
    items = prepare(scenario)
    for name in ("json", "long"):
        profiles = f"{scenario.id}-{name}-profiles"
        scenario.kafka.create(profiles, 1, cleanup_policy="compact")
        key = KEYS[name]
        scenario.kafka.produce(profiles, [(key("77"), b'{"a":1}'), (b"\xff no such key", b'{"a":1}')])
        left, log = run(scenario, name, [(key("77"), value("77", items[0]))], input_key_format=name, profile_topic=profiles)
        assert left == ["77"], f"{name}: {left}"
        assert "the record key is not" in log
        shown = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "user", "77", "--json", "--state-dir",
                                scenario.services[-1].settings["state.dir"]], check=True, capture_output=True).stdout
        assert json.loads(json.loads(shown)["profile"]) == {"a": 1}, shown


SCENARIOS = {function.__name__: function for function in (
    serialized_keys, wrong_format, tombstone_of_nobody, records_without_key, serialized_profile_keys)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
