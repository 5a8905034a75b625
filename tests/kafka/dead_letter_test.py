"""Dead letters on a real Kafka: as they came, cut to what their topic takes, and never the end of the service."""

import time

import ms_history
import ms_kafka
from ms_kafka import event

BAD = b"{broken"
OURS = ["error", "source-topic", "source-partition", "source-offset"]
STREAMS = [f"__streams.errors.{name}" for name in ("exception", "message", "topic", "partition", "offset")]


def run(scenario, records, config=None, before=None, input_config=None, **settings):
    """The dead letters of |records|, which a good event ends; |before| is done once the service is running."""
    dead = f"{scenario.id}-dead"
    scenario.kafka.create(scenario.input, 1, **(input_config or {}))
    scenario.kafka.create(scenario.output, 1)
    scenario.kafka.create(dead, 1, **(config or {}))
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(workers=1, dead_letter_topic=dead, **settings).start()
    if before:
        scenario.kafka.produce(scenario.input, [event("u0", items[0], 1700000000000)])
        scenario.wait_done(service)
        before(dead)
    scenario.kafka.produce(scenario.input, list(records) + [event("u1", items[1], 1700000000001)])
    scenario.wait_done(service)
    scenario.log = service.log()
    assert service.terminate() == 0, "a dead letter ended the service"
    assert [record.key for record in scenario.kafka.read(scenario.output)][-1] == b"u1"
    return scenario.kafka.read(dead)


def letter_as_it_came(scenario):
    """Key, value, time and headers are the source record's: in their order, twice the same name, null and empty."""
    headers = [("trace", b"\x00\xff"), ("trace", b"2"), ("empty", b""), ("null", None), ("", b"no name")]
    moment = int(time.time() * 1000) - 86400000
    source = [(b"k\x00\xff", BAD, moment, headers), (None, BAD, moment + 1, []), (b"", BAD, moment + 2, []),
              (b"k", b"", moment + 3, [("a", b"1")]), (b"\xff", None, moment + 4, [("b", b"2")])]
    letters = run(scenario, source)
    assert len(letters) == len(source), f"{len(letters)} dead letters"
    for letter, (key, value, timestamp, came) in zip(letters, source):
        assert (letter.key, letter.value) == (key, value), f"{letter.key} {letter.value}"
        assert letter.timestamp == timestamp, f"{letter.timestamp}, not the time of the record, {timestamp}"
        assert letter.header_list[:len(came)] == came, f"{letter.header_list}, which does not begin with {came}"
        names = [name for name, _ in letter.header_list[len(came):]]
        assert names == OURS + STREAMS, f"{names}"
    assert "warn dead_letter_topic" not in scenario.log, "a topic like the input topic is warned of"
    found = letters[0].headers
    assert found["__streams.errors.topic"] == found["source-topic"] == scenario.input.encode()
    assert found["__streams.errors.partition"] == found["source-partition"] == b"0"
    assert found["__streams.errors.offset"] == found["source-offset"] == b"0"
    assert found["__streams.errors.message"] == found["error"] and found["error"].startswith(b"the value is not JSON")
    assert found["__streams.errors.exception"] == b"mindstream.BadEvent: " + found["error"]


def letter_headers(scenario):
    """dead.letter.headers chooses; what the source calls like one of ours is renamed, whichever are chosen."""
    came = [("error", b"old"), ("__streams.errors.topic", b"old"), ("cut-headers", b"7"), ("Error", b"another name")]
    letters = run(scenario, [(b"k", BAD, 1700000000000, came)], dead_letter_headers="streams")
    names = [name for name, _ in letters[0].header_list]
    assert names == ["original-error", "original-__streams.errors.topic", "original-cut-headers", "Error"] + STREAMS, names
    assert letters[0].header_list[0][1] == b"old"


def check_cut(letter, key, value, headers):
    """What is left of a letter is the beginning of each part, and its headers say how much there was."""
    assert key.startswith(letter.key) and value.startswith(letter.value)
    assert letter.headers["cut-key-bytes"] == str(len(key)).encode()
    assert letter.headers["cut-value-bytes"] == str(len(value)).encode()
    kept = [header for header in letter.header_list if header in headers]
    assert letter.headers["cut-headers"] == str(len(headers) - len(kept)).encode()
    assert letter.headers["source-topic"]


def letter_cut(scenario):
    """A topic that takes 3,000 bytes gets letters of nearly that: of a huge key, huge headers, a huge value, all of them."""
    big, many = b"x" * 200000, [(f"h{number}", b"y" * 100) for number in range(500)]
    one = [("big", b"z" * 100000), ("small", b"s")]
    parts = [(b"k", big, []), (big, BAD, []), (b"k", BAD, many), (b"k", BAD, one), (big, big, many)]
    letters = run(scenario, [(key, value, 1700000000000, headers) for key, value, headers in parts],
                  config={"max_message_bytes": 3000, "retention_ms": -1})
    assert len(letters) == len(parts), f"{len(letters)} dead letters"
    for letter, (key, value, headers) in zip(letters, parts):
        check_cut(letter, key, value, headers)
    assert "it takes less than the input topic" in scenario.log
    assert len(letters[0].value) > 1500 and len(letters[1].key) > 1500, "more was cut than had to be"
    assert letters[1].value == letters[2].value == BAD, "what would have fitted was cut"
    assert len(letters[2].header_list) > 10 and ("small", b"s") in letters[3].header_list


def letter_topic_shrinks(scenario):
    """A topic that takes less than it said at the start: the letter is cut further, and the service goes on."""
    value = b"x" * 100000
    letters = run(scenario, [(b"k", value)] * 3, before=lambda dead: scenario.kafka.alter(dead, max_message_bytes=2000))
    assert len(letters) == 3, f"{len(letters)} dead letters"
    for letter in letters:
        check_cut(letter, b"k", value, [])
        assert len(letter.value) > 200, f"{len(letter.value)} bytes are left"
    assert "dead_letter_refused" in scenario.log


def letter_at_least_once(scenario):
    """The same without transactions."""
    letters = run(scenario, [(b"k", b"x" * 100000), (None, BAD)], processing_guarantee="at_least_once",
                  before=lambda dead: scenario.kafka.alter(dead, max_message_bytes=2000, cleanup_policy="compact"))
    assert {letter.key for letter in letters} == {b"k", f"{scenario.input}-0-2".encode()}


def letter_in_compacted(scenario):
    """A compacted topic refuses a null key, and a null value would delete: both get something, and a header says so."""
    records = [(None, BAD), (None, BAD), (b"\xff", None), (b"", BAD)]
    letters = run(scenario, records, config={"cleanup_policy": "compact"})
    assert len(letters) == 4, f"{len(letters)} dead letters"
    assert [letter.key for letter in letters] == [f"{scenario.input}-0-0".encode(), f"{scenario.input}-0-1".encode(), b"\xff", b""]
    assert [letter.value for letter in letters] == [BAD, BAD, b"", BAD]
    assert letters[0].headers["source-key-null"] == b"true" == letters[2].headers["source-value-null"]
    assert "source-key-null" not in letters[3].headers and "source-value-null" not in letters[0].headers
    assert "it is compacted" in scenario.log, "the start did not say that the topic is compacted"


def letter_becomes_compacted(scenario):
    """The same where the topic becomes compacted while the service runs."""
    letters = run(scenario, [(None, BAD)], before=lambda dead: scenario.kafka.alter(dead, cleanup_policy="compact"))
    assert [letter.key for letter in letters] == [f"{scenario.input}-0-1".encode()]


def letter_times(scenario):
    """A topic that refuses old or early times, or gives its own, still takes the letter; a header keeps the time."""
    now = int(time.time() * 1000)
    times = [now - 86400000, now + 86400000, now - 600000, 0]
    letters = run(scenario, [(b"k", BAD, moment) for moment in times],
                  config={"message_timestamp_before_max_ms": 3600000, "message_timestamp_after_max_ms": 3600000},
                  input_config={"message_timestamp_after_max_ms": 9223372036854775807})
    assert len(letters) == 4, f"{len(letters)} dead letters"
    assert [letter.headers.get("source-timestamp") for letter in letters[:3]] == [
        str(times[0]).encode(), str(times[1]).encode(), None]
    assert abs(letters[0].timestamp - now) < 60000 and letters[2].timestamp == times[2]


def letter_time_refused(scenario):
    """The same where the topic began to refuse while the service runs."""
    old = int(time.time() * 1000) - 86400000
    letters = run(scenario, [(b"k", BAD, old)],
                  before=lambda dead: scenario.kafka.alter(dead, message_timestamp_before_max_ms=3600000))
    assert [letter.headers.get("source-timestamp") for letter in letters] == [str(old).encode()]


def letters_in_one_batch(scenario):
    """Many short letters are not sent as one batch that is longer than what the topic takes."""
    letters = run(scenario, [(b"k%d" % number, BAD + b"x" * 500) for number in range(300)], config={"max_message_bytes": 5000})
    assert len(letters) == 300, f"{len(letters)} dead letters"
    assert "cut-key-bytes" not in letters[0].headers
    assert "restart" not in scenario.log


def letters_unwanted(scenario):
    """A topic that takes next to nothing: the letters are counted and logged, and the events go on."""
    letters = run(scenario, [(b"k", BAD)] * 2, config={"max_message_bytes": 90})
    assert not letters and "dead letters are only counted" in scenario.log


SCENARIOS = {function.__name__: function for function in (
    letter_as_it_came, letter_headers, letter_cut, letter_topic_shrinks, letter_at_least_once, letter_in_compacted,
    letter_becomes_compacted, letter_times, letter_time_refused, letters_in_one_batch, letters_unwanted)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
