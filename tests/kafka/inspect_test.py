"""`mindstream inspect partitions` beside a service on a real broker: offsets, ends and lag are the broker's, owners those of
the group."""

import json
import subprocess

import ms_history
import ms_kafka


def partitions(service, *arguments):
    done = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "partitions", "-c", service.config, "--json", *arguments],
                          capture_output=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["left_out"] is None and done.stderr == b"", found["left_out"]
    return {one["partition"]: one for one in found["partitions"]}


def produce(scenario, items, start_ms, count):
    scenario.kafka.produce(scenario.input, [ms_kafka.event(f"u{n % 40}", items[n % len(items)], start_ms + n) for n in range(count)])


def inspect_partitions(scenario):
    """A service that is up with its log, then stopped while more comes, then a log that was cut behind it."""
    items = ms_history.small_model(scenario.model_dir)
    scenario.topics(3)
    service = scenario.service(workers=1, group_static="false", state_flush_interval_ms=100).start()
    produce(scenario, items, 1700000000000, 600)
    scenario.wait_done(service)
    ends = dict(enumerate(high for _, high in (scenario.kafka.watermarks(scenario.input)[p] for p in range(3))))
    ms_kafka.wait_for("a flush", lambda: all(one["applied"] == ends[p] for p, one in partitions(service).items()) and len(partitions(service)) == 3)
    for partition, one in partitions(service).items():
        assert (one["committed"], one["begin"], one["end"], one["lag"], one["lag_ms"]) == (ends[partition], 0, ends[partition], 0, 0), one
        assert one["owner"]["client"] == f"{scenario.group}-a-0" and "127.0.0.1" in one["owner"]["host"] \
            and one["owner"]["member"].startswith(f"{scenario.group}-a-0") and one["owner"]["instance"] is None, one
    assert sum(one["users"] for one in partitions(service).values()) == 40
    assert service.terminate() == 0
    produce(scenario, items, 1700000100000, 300)
    stopped = partitions(service)
    highs = [scenario.kafka.watermarks(scenario.input)[p][1] for p in range(3)]
    for partition, one in stopped.items():
        assert one["lag"] == one["end"] - one["applied"] == highs[partition] - ends[partition] > 0, one
        assert one["lag_ms"] > 0 and one["owner"] is None, one
    text = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "partitions", "-c", service.config], capture_output=True, check=True).stdout
    assert b"nobody" in text and b"lag s" in text, text
    # The log is cut behind what is folded: only what is still there can be behind.
    scenario.kafka.delete_records(scenario.input, {p: highs[p] - 5 for p in range(3)})
    for one in partitions(service).values():
        assert one["begin"] == one["end"] - 5 and one["lag"] == 5 and one["lag_ms"] is None, one
    # Without the topic the rest is still told.
    wrong = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "partitions", "-c", service.config, "--json", "--set", "input.topic=nowhere"],
                           capture_output=True, timeout=60, check=True)
    wrong = json.loads(wrong.stdout)
    assert "ends of the log" in wrong["left_out"] and all("end" not in one and one["users"] for one in wrong["partitions"]), wrong


SCENARIOS = {function.__name__: function for function in (inspect_partitions,)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
