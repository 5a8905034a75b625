"""`mindstream inspect tail` on a real broker: every committed record of each topic, decoded, as it comes; what cannot be decoded is
shown as such; Ctrl-C ends it; no group notices it."""

import json
import signal
import subprocess
import threading

import numpy as np

import ms_history
import ms_kafka
from ms_kafka import MINDSTREAM, event, wait_for

START = 1700000000000
EVIL = "ev\x1b[31mil\n\u009b\\"


class Tail:
    """A tail that goes on, and its lines so far, which come without its end."""

    def __init__(self, service, *arguments):
        self.process = subprocess.Popen([MINDSTREAM, "inspect", "tail", "-c", service.config, *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: [self.lines.append(line) for line in self.process.stdout])
        self.reader.start()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        self.reader.join()
        err = self.process.stderr.read()
        assert code == 0 and err == "", (code, err)


def tail(service, *arguments, code=0):
    done = subprocess.run([MINDSTREAM, "inspect", "tail", "-c", service.config, *map(str, arguments)], capture_output=True, timeout=60)
    assert done.returncode == code, (arguments, done)
    return done.stdout.decode() if code == 0 else done.stderr.decode()


def objects(service, *arguments):
    return [json.loads(line) for line in tail(service, "--json", "--from", "earliest", "--to", "latest", *arguments).splitlines()]


def floats(numbers):
    """As float32 has them: nine digits are enough for that."""
    return np.array(numbers, dtype=np.float32).tolist()


def places(found):
    return sorted((one["partition"], one["offset"]) for one in found)


def check_output(scenario, service, layout):
    """All records, as a consumer of committed records reads them."""
    records = scenario.kafka.read(scenario.output)
    found = objects(service)
    assert places(found) == sorted((record.partition, record.offset) for record in records), len(found)
    at = {(one["partition"], one["offset"]): one for one in found}
    pb = ms_kafka.schema(scenario.directory)
    for record in records:
        one = at[record.partition, record.offset]
        assert one["time"] == record.timestamp, one
        if record.value is None:
            assert one["forgotten"] and record.key.decode() == one["user_id"] + (f"#{one['slot']}" if layout == "interest" else ""), one
        elif record.value.startswith(b"nonsense"):
            assert one["key"] == "broken" and one["value_bytes"] == len(record.value) and one["unreadable"], one
        elif layout == "user":
            message = pb.UserInterests.FromString(record.value)
            assert (one["user_id"], one["version"], one["event_time"]) == (message.user_id, message.version, message.event_time), one
            assert [(i["slot"], floats(i["vector"])) for i in one["interests"]] == [(i.slot, list(i.vector)) for i in message.interests], one
        else:
            value = json.loads(record.value)
            assert all(one[key] == value[key] for key in ("user_id", "version", "slot", "model")), (one, value)
            assert [i["slot"] for i in one["interests"]] == [value["slot"]] and floats(one["interests"][0]["vector"]) == floats(value["vector"]), one
    user = objects(service, "--user", "u1")
    assert user and all(one["user_id"] == "u1" for one in user) and len(user) == sum(one.get("user_id") == "u1" for one in found)
    text = tail(service, "--from", "earliest", "--to", "latest").splitlines()
    assert len(text) == len(records) and all(line.isprintable() for line in text), text[:3]
    assert sum("forgotten" in line for line in text) == sum(record.value is None for record in records) > 0
    assert any(" ...]" in line and "version" in line for line in text) and sum("cannot be read" in line for line in text) == 1, text[:3]
    assert len(tail(service, "--from", "earliest", "--limit", "3").splitlines()) == 3


def tail_topics(scenario):
    """Input, output and dead letters of a service; bad records, hostile bytes, aborted transactions; then live."""
    scenario.topics(2)
    dead = f"{scenario.id}-dead"
    scenario.kafka.create(dead, 1)
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(dead_letter_topic=dead, publish_mode="every", input_types="click").start()
    clicks = [event(f"u{n % 5}", items[n % 60], START + n) for n in range(60)]
    scenario.kafka.produce(scenario.input, [
        *clicks, event("u1", "i1", START + 100, "view"), (b"u2", None), event(EVIL, EVIL, START + 101), (b"k\x00\xff\x1b", b"\xfe{\x1b[2J"),
        (b"u3", b'{"user_id":"u3","event_type":"click"}')])
    scenario.kafka.produce_transaction(scenario.input, [event("aborted", "i1", START)], commit=False)
    scenario.kafka.produce_transaction(scenario.input, [event("committed", "i1", START)])
    scenario.wait_done(service)
    scenario.kafka.produce(scenario.output, [(b"broken", b"nonsense" + b"\xff\x1b" * 300)])

    found = objects(service, "--topic", "input")
    by_what = {what: [one for one in found if one["what"] == what] for what in ("event", "forget", "passed over", "refused")}
    assert {what: len(ones) for what, ones in by_what.items()} == {"event": 62, "forget": 1, "passed over": 1, "refused": 2}, found[-9:]
    assert all(one.get("user_id") != "aborted" for one in found) and by_what["forget"][0]["user_id"] == "u2"
    assert (by_what["passed over"][0]["user_id"], by_what["passed over"][0]["type"]) == ("u1", "view"), by_what["passed over"]
    assert sorted((one["user_id"], one["item"], one["event_time"]) for one in by_what["event"])[:1] == [("committed", "i1", START)]
    evil = [one for one in by_what["event"] if one["user_id"] == EVIL]
    assert len(evil) == 1 and evil[0]["item"] == EVIL and evil[0]["type"] == "click", evil
    assert {one["key"] for one in by_what["refused"]} == {"k\\x00\\xff\\x1b", "u3"} and all(one["reason"] for one in by_what["refused"])
    text = tail(service, "--topic", "input", "--from", "earliest", "--to", "latest").splitlines()
    assert len(text) == 66 and all(line.isprintable() for line in text), [line for line in text if not line.isprintable()]
    assert any("ev\\x1b[31mil\\x0a" in line for line in text) and sum("refused: " in line for line in text) == 2, text
    assert [one["what"] for one in objects(service, "--topic", "input", "--user", "u2")].count("forget") == 1

    letters = objects(service, "--topic", "dead")
    assert len(letters) == 2 and {one["key"] for one in letters} == {"k\\x00\\xff\\x1b", "u3"}, letters
    for one in letters:
        headers = {header["name"]: header["value"] for header in one["headers"]}
        assert headers["source-topic"] == scenario.input and headers["error"], one
    text = tail(service, "--topic", "dead", "--from", "earliest", "--to", "latest").splitlines()
    assert len(text) == 2 and all(line.isprintable() and "source-topic=" in line and "value " in line for line in text), text
    check_output(scenario, service, "user")

    # As they come, and without a group.
    members = scenario.kafka.members(scenario.group)
    live, sent = Tail(service, "--user", "new"), 0

    def a_line():
        nonlocal sent
        scenario.kafka.produce(scenario.input, [event("new", items[sent % 60], START + 1000 + sent)])
        sent += 1
        return live.lines
    wait_for("a line of a record that came meanwhile", a_line, every_s=0.3)
    wait_for("the lines of all others", lambda: f"version {sent} " in live.lines[-1])
    assert all("  new  version " in line for line in live.lines), live.lines
    assert scenario.kafka.members(scenario.group) == members
    live.interrupt()
    for arguments, code, pattern in ((("--from", "soon"), 2, "--from"), (("--topic", "profiles"), 2, "--topic"), (("--set", "output.topic=nowhere"), 1, "nowhere"),
                                     (("--topic", "dead", "--set", "dead.letter.topic="), 2, "dead.letter.topic"),
                                     (("--from", "latest", "--to", "earliest"), 2, "--to")):
        assert pattern in tail(service, *arguments, code=code), arguments
    gone = subprocess.run(f"{MINDSTREAM} inspect tail -c {service.config} --from earliest | head -n 1", shell=True, capture_output=True, timeout=60)
    assert gone.stdout.count(b"\n") == 1, gone
    assert service.terminate() == 0

    scenario.output = f"{scenario.id}-flat"
    scenario.kafka.create(scenario.output, 2)
    flat = scenario.service("flat", application_id=f"{scenario.id}-flat", output_layout="interest", output_format="json",
                            output_topic=scenario.output, dead_letter_topic=dead, input_types="click").start()
    scenario.kafka.wait_committed(f"{scenario.id}-flat", scenario.input, flat)
    scenario.kafka.produce(scenario.output, [(b"broken", b"nonsense")])
    check_output(scenario, flat, "interest")
    assert flat.terminate() == 0


if __name__ == "__main__":
    ms_kafka.main({"tail_topics": tail_topics})
