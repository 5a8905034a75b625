"""Replays: what one builds equals what the service has, whatever kills it; what it hands over the service takes up without
a gap; and what cannot be is refused."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import ms_history
import ms_kafka
from lifecycle_test import Log
from ms_kafka import MINDSTREAM, wait_for


class Replay:
    """`mindstream replay` with the settings of a service."""

    def __init__(self, service, *arguments):
        self.service, self.arguments = service, [str(argument) for argument in arguments]
        with open(service.config, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in service.settings.items())

    def start(self):
        return subprocess.Popen([MINDSTREAM, "replay", "-c", self.service.config, "--json", *self.arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, code=0, *patterns):
        process = self.start()
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"replay ended with {process.returncode}: {out} {err}"
        for pattern in patterns:
            assert pattern in err, f"{pattern!r} is not in {err!r}"
        return json.loads(out) if out else None


def on_terminal(replay):
    """Runs it with a terminal for stderr; returns its summary and what the terminal got."""
    ours, theirs = os.openpty()
    with subprocess.Popen([MINDSTREAM, "replay", "-c", replay.service.config, "--json", *replay.arguments], stdout=subprocess.PIPE,
                          stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
        out = process.stdout.read()
    assert process.returncode == 0, (process.returncode, shown)
    return json.loads(out), shown.decode()


def diff(*directories, model):
    done = subprocess.run([MINDSTREAM, "inspect", "diff", *directories, "--model", model, "--set", "routing.mode=incremental"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"the states differ: {done.stdout} {done.stderr}"


def final_records(records):
    last = {}
    for record in records:
        last[record.key] = (record.headers["mindstream-version"], record.value)
    return last


def replay_equals_live(scenario):
    """Killed on the way and taken up again, a replay gives the state of the service and the last record of each user."""
    scenario.topics()
    log = Log(scenario, users=300)
    log.produce(12000)
    scenario.kafka.produce(scenario.input, [("u1", b"not json"), ("u2", b'{"user_id":"u2"}'), ("u3", b"{")])
    log.produce(3000, transaction=True)
    live = scenario.service(routing_mode="incremental", publish_mode="latest").start()
    scenario.wait_done(live)
    assert live.terminate() == 0
    other = f"{scenario.id}-final"
    scenario.kafka.create(other, 4)
    directory = os.path.join(scenario.directory, "replayed")
    base = ("--state-dir", directory, "--output-topic", other, "--publish", "final", "--checkpoint", "1")
    for _ in range(2):
        process = Replay(live, *base, "--rate", "3000").start()
        time.sleep(1.8)
        process.send_signal(signal.SIGKILL)
        process.wait()
    summary = Replay(live, *base).run()
    assert summary["stage"] == "published" and summary["left"] == 0, summary
    assert summary["records"] < 15003, f"a kill must not cost all that was read: {summary}"
    diff(live.settings["state.dir"], directory, model=scenario.model_dir)
    published = scenario.kafka.read(other)
    assert len(published) == 300 == summary["published"], (len(published), summary)
    assert final_records(published) == final_records(scenario.kafka.read(scenario.output)), "the final records"
    for partition in range(4):
        keys = [record.key for record in published if record.partition == partition]
        assert keys == sorted(keys), "in the order of the users"
    assert Replay(live, *base).run()["published"] == 0, "nothing is published twice"
    assert len(scenario.kafka.read(other)) == 300
    whole = Replay(live, "--state-dir", os.path.join(scenario.directory, "again")).run()
    assert whole["records"] == 15003 and whole["events"] == 15000 and whole["bad"] == 3, whole
    assert sum(whole["bad_by_reason"].values()) == 3 and len(whole["bad_by_reason"]) == 2, whole


def records_of(records):
    """key -> its records in order, as (version, value)."""
    found = {}
    for record in records:
        found.setdefault(record.key, []).append((record.headers["mindstream-version"], record.value))
    return found


def replay_every(scenario):
    """--publish every gives the very records of a service that publishes each event, whatever kills it and with whatever
    workers it goes on; the state is the same, and the service goes on behind it."""
    scenario.topics()
    log = Log(scenario, users=200)
    log.produce(9000)
    scenario.kafka.produce(scenario.input, [("u1", b"not json"), ("u5", None), ("u3", b"{")])
    log.produce(2000, transaction=True)
    live = scenario.service(routing_mode="incremental", publish_mode="every", dead_letter_topic="").start()
    scenario.wait_done(live)
    assert live.terminate() == 0
    other = f"{scenario.id}-every"
    scenario.kafka.create(other, 4)
    directory = os.path.join(scenario.directory, "replayed")
    base = ("--state-dir", directory, "--output-topic", other, "--publish", "every")
    for workers, checkpoint in ((2, 600), (4, 1)):  # without a checkpoint, and with one: the state is behind what is published
        before = len(scenario.kafka.read(other))
        process = Replay(live, *base, "--rate", "2500", "--workers", workers, "--checkpoint", checkpoint).start()
        wait_for("records of the replay", lambda since=before: len(scenario.kafka.read(other)) > since)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    Replay(live, *base[:-2], "--publish", "final").run(2, "--publish every was begun")
    Replay(live, *base, "--output-topic", "elsewhere").run(2, f"publishes to topic {other}")
    summary = Replay(live, *base, "--workers", "1").run()
    assert summary["stage"] == "published" and summary["left"] == 0 and summary["bad"] <= 2, summary
    assert 0 < summary["published"] < 11001, f"what was published before is not published again: {summary}"
    diff(live.settings["state.dir"], directory, model=scenario.model_dir)
    got, expected = records_of(scenario.kafka.read(other)), records_of(scenario.kafka.read(scenario.output))
    assert got == expected, [key for key in expected if got.get(key) != expected[key]][:5]
    assert Replay(live, *base).run()["published"] == 0
    Replay(live, *base, "--restart", "--to", "offset:1000").run()
    again = records_of(scenario.kafka.read(other))
    assert all(again[key][:len(got[key])] == got[key] for key in got), "a new replay publishes anew, from version 1"
    assert sum(map(len, again.values())) == sum(map(len, got.values())) + 4000, "of the first 1000 offsets of 4 partitions"


def check_from(scenario, before, after):
    """Each user's records begin with its last version of |before|, or with the first of |after|, and go on without a gap."""
    last, seen, pb = {}, {}, ms_kafka.schema(scenario.directory)
    for user, version in before:
        last[user] = max(last.get(user, 0), version)
    records = scenario.kafka.read(scenario.output)
    for record in records:
        message, user = pb.UserInterests.FromString(record.value), record.key.decode()
        follows = seen.get(user, last.get(user, 1) - 1)
        assert message.version == follows + 1, f"{user}: version {message.version} follows {follows}"
        ms_history.check_message(message, user, message.version, {**before, **after}[user, message.version], 1e-5)
        seen[user] = message.version
    assert len(records) == len(last) + len(after), f"{len(records)} records of {len(last)} and {len(after)}"


def replay_handoff(scenario):
    """A new deployment with history: the replay, then the service at the very offset, without a gap or a double."""
    scenario.topics()
    log = Log(scenario, users=100)
    log.produce(5000)
    service = scenario.service(publish_mode="every")
    before = log.histories.expected()
    summary, shown = on_terminal(Replay(service, "--publish", "final", "--handoff", "--rate", "8000"))
    assert summary["stage"] == "handed over" and summary["published"] == 100 == summary["users"], summary
    for line in (*(f"clicks {partition} " for partition in range(4)), "all ", "publishing "):
        assert re.search(rf"{line} +\[#{{24}}\] 100\.0 % .*/s +0:00 left\r\n", shown), f"no full bar of {line!r} in {shown!r}"
    assert "\033[6A" in shown, f"the six lines are not drawn anew in their place: {shown!r}"
    log.produce(2000)
    service.start()
    scenario.wait_done(service)
    log.produce(1000)
    scenario.wait_done(service)
    assert service.terminate() == 0
    check_from(scenario, before, log.histories.expected())
    Replay(service, "--handoff").run(2, "handed over")


def replay_follow(scenario):
    """A new application beside the live one: it catches up, follows, and is handed over while events come."""
    scenario.topics()
    log = Log(scenario, users=100)
    log.produce(4000)
    green = scenario.service("green", publish_mode="every")
    process = Replay(green, "--follow", "--publish", "final", "--handoff", "--checkpoint", "1").start()
    for _ in range(8):
        log.produce(300)
        time.sleep(0.3)
    before = log.histories.expected()
    process.send_signal(signal.SIGTERM)
    log.produce(300)
    out, err = process.communicate(timeout=60)
    assert "has caught up" in err, err
    assert process.returncode == 0 and json.loads(out)["stage"] == "handed over", (process.returncode, out, err)
    handed = scenario.kafka.committed(scenario.group, scenario.input)
    green.start()
    log.produce(500)
    scenario.wait_done(green)
    assert green.terminate() == 0
    records = scenario.kafka.read(scenario.output)
    ends = {part["partition"]: part["to"] for part in json.loads(out)["partitions"]}
    assert handed == ends, (handed, ends)
    expected = {**before, **log.histories.expected()}
    seen = {}
    for record in records:
        seen.setdefault(record.key.decode(), []).append(int(record.headers["mindstream-version"]))
    newest = {}
    for user, version in expected:
        newest[user] = max(newest.get(user, 0), version)
    for user, versions in seen.items():
        assert versions == list(range(versions[0], newest[user] + 1)), (user, versions)
    sent = sum(high - low for low, high in scenario.kafka.watermarks(scenario.input).values())
    published = json.loads(out)["published"]
    assert published == 100, f"each user is published at the seam, not {published}"
    assert len(records) == published + sent - sum(ends.values()), "one record an event from the seam on"


def replay_refused(scenario):
    """What cannot be done is one clear line and the right status, and leaves nothing half done."""
    scenario.topics(2)
    log = Log(scenario, users=10)
    log.produce(100)
    service = scenario.service()
    directory = service.settings["state.dir"]
    for arguments, code, text in ((("--from", "offset:9", "--to", "offset:3"), 2, "--to"), (("--from", "soon"), 2, "--from 'soon'"),
                                  (("--follow", "--to", "offset:3"), 2, "--follow"), (("--from", "latest", "--to", "earliest"), 2, "before --from"),
                                  (("--publish", "some"), 2, "--publish")):
        Replay(service, *arguments).run(code, text)
    empty = Replay(service, "--from", "2099-01-01T00:00:00Z", "--state-dir", os.path.join(scenario.directory, "empty")).run()
    assert empty["records"] == 0 and empty["stage"] == "read", empty
    Replay(service, "--publish", "every", "--output-topic", "nowhere").run(1, "topic nowhere", "Unknown topic")
    plan = Replay(service, "--dry-run").run()
    assert plan["left"] == 100 and not os.path.exists(directory), plan
    process = Replay(service, "--rate", "20", "--checkpoint", "1").start()
    time.sleep(1.5)
    process.terminate()
    assert process.wait() == 1 and "goes on from here" in process.stderr.read()
    Replay(service, "--from", "offset:1").run(2, "--restart")
    Replay(service, "--set", "routing.mode=incremental").run(2, "--restart")
    assert Replay(service).run()["left"] == 0
    assert Replay(service, "--from", "offset:1", "--restart").run()["records"] == 98
    live = scenario.service("live")
    live.start()
    scenario.wait_done(live)
    Replay(live).run(1, "in use")
    other = scenario.service("other")
    refused = Replay(other, "--handoff").run(3, "members", "live-")
    assert refused["stage"] == "read", refused
    assert live.terminate() == 0
    wait_for("the group to be empty", lambda: scenario.kafka.members(scenario.group) == 0)
    Replay(live).run(3, "no replay")
    log.produce(10)
    Replay(other, "--restart", "--handoff").run(3, "has offset")
    scenario.kafka.delete_records(scenario.input, {0: 5})
    Replay(scenario.service("late"), "--from", "offset:2").run(3, "begins at 5")


if __name__ == "__main__":
    ms_kafka.main({function.__name__: function for function in (replay_equals_live, replay_every, replay_handoff, replay_follow, replay_refused)})
