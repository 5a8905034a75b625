"""Replays of files: the state of one is that of a replay of the same events from Kafka, and the service takes it over where it is
told to, without a gap or an error."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time

import ms_history
import ms_kafka
from confluent_kafka import Producer
from lifecycle_test import Log
from ms_kafka import event, wait_for
from profile_test import People
from replay_test import Replay, check_from, diff
from verify_test import Checked


def write_lines(path, events):
    """|events| as JSON lines, compressed where the name says so."""
    with (gzip.open(path, "wb") if path.endswith(".gz") else open(path, "wb")) as file:
        file.writelines(value + b"\n" for _, value in events)
    return path


def write_cells(path, events):
    with open(path, "w", encoding="utf-8") as file:
        file.write("timestamp,user_id,event_type,item_id\n")
        for _, value in events:
            click = json.loads(value)
            file.write(f"{click['timestamp']},{click['user_id']},{click.get('event_type', '')},{click['item_id']}\n")
    return path


def random_events(scenario, count, users=200, seed=5):
    """Clicks at random, some of them late, some twice."""
    items, draws = ms_history.small_model(scenario.model_dir), random.Random(seed)
    events, time_ms = [], 1700000000000
    for _ in range(count):
        time_ms += 1000
        late = 40000 if draws.random() < 0.1 else 0
        events.append(event(f"u{draws.randrange(users)}", draws.choice(items), time_ms - late))
        if draws.random() < 0.02:
            events.append(events[-1])
    return events


def produce_by(scenario, topic, events, partitioner):
    producer = Producer({"bootstrap.servers": scenario.kafka.bootstrap, "partitioner": partitioner, "enable.idempotence": True})
    for key, value in events:
        producer.produce(topic, value, key)
    assert producer.flush(60) == 0


def replay_file_equals(scenario):
    """JSON, compressed JSON and separated values of the events that two kinds of producers wrote: the same state as from the topic,
    for one worker and for many, and with little memory."""
    events = random_events(scenario, 12000)
    files = [write_lines(os.path.join(scenario.directory, "one.jsonl"), events[:4000]),
             write_lines(os.path.join(scenario.directory, "two.jsonl.gz"), events[4000:8000]),
             write_cells(os.path.join(scenario.directory, "three.csv"), events[8000:])]
    from_files = [word for path in files for word in ("--from-file", path)]
    for name, kafka_name in (("murmur2", "murmur2_random"), ("crc32", "consistent_random")):
        topic = f"{scenario.id}-{name}"
        scenario.kafka.create(topic, 6)
        produce_by(scenario, topic, events, kafka_name)
        service = scenario.service(name, input_topic=topic, routing_mode="incremental", workers=3)
        whole = Replay(service, "--state-dir", os.path.join(scenario.directory, f"{name}-log")).run()
        for number, more in enumerate((("--workers", "1"), ("--workers", "8", "--set", "state.memory.bytes=16777216"))):
            directory = os.path.join(scenario.directory, f"{name}-{number}")
            done = Replay(service, *from_files, "--partitioner", name, "--state-dir", directory, *more).run()
            assert done["events"] == whole["events"] and done["bad"] == 0 and done["stage"] == "read", (done, whole)
            assert done["late"] > 100 and done["duplicates"] == whole["records"] - whole["events"] > 100, done
            diff(os.path.join(scenario.directory, f"{name}-log"), directory, model=scenario.model_dir)
        other = {"murmur2": "crc32", "crc32": "murmur2"}[name]
        Replay(service, *from_files, "--partitioner", other, "--state-dir", directory + "x").run(2, f"--partitioner {name} fits")
        Replay(service, *from_files, "--partitioner", name, "--partitions", "5", "--state-dir", directory + "x").run(2, "has 6 partitions")
        assert not os.path.exists(directory + "x"), "nothing is made where the files do not fit the topic"


def replay_file_handoff(scenario):
    """Killed on the way and taken up again, published, handed over: the service goes on with the versions of the file. Where its
    state is lost it says that no log has what the files had."""
    scenario.topics()
    log = Log(scenario, users=100)
    events = []
    scenario.kafka.produce, produce = (lambda topic, records: events.extend(records)), scenario.kafka.produce
    log.produce(6000)
    scenario.kafka.produce = produce
    before = log.histories.expected()
    path = write_lines(os.path.join(scenario.directory, "history.jsonl"), events)
    service = scenario.service(publish_mode="every", workers=2)
    log.produce(300)
    base = ("--from-file", path, "--publish", "final", "--checkpoint", "1")
    process = Replay(service, *base, "--rate", "1500").start()
    time.sleep(2.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    Replay(service, *base, "--handoff").run(2, "needs --to")
    done = Replay(service, *base).run()
    assert done["already"] > 0 and done["already"] + done["events"] == 6000, done
    assert done["published"] == 100 and done["stage"] == "published", done
    service.start().fails(3, "was not handed over")
    assert Replay(service, *base, "--handoff", "--to", "earliest").run()["stage"] == "handed over"
    service.start()
    scenario.wait_done(service)
    log.produce(700)
    scenario.wait_done(service)
    service.kill9()
    service.start()
    log.produce(500)
    scenario.wait_done(service)
    assert service.terminate() == 0
    check_from(scenario, before, log.histories.expected())
    found = Checked(service, "--from-input")
    assert (found.checked, found.differ) == (100, 0), found.summary
    Replay(service, *base, "--restart").run(3, "was handed over")
    shutil.rmtree(service.settings["state.dir"])
    service.start().fails(3, "replayed from files", scenario.input)


def replay_file_profiles(scenario):
    """Profiles of a file, before the clicks of a topic and before those of files: as if the topic of profiles had had them."""
    people = People(scenario)
    people.profile(people.users[:40])
    people.click(2000)
    kept = {record.key.decode(): json.loads(record.value) if record.value else None for record in scenario.kafka.read(people.topic)}
    last = [{"user_id": user, **profile} for user, profile in kept.items() if profile]
    again = f"{people.topic}-ids"
    scenario.kafka.create(again, 4, cleanup_policy="compact")
    scenario.kafka.produce(again, [(line["user_id"].encode(), json.dumps(line).encode()) for line in last])
    profiles = os.path.join(scenario.directory, "profiles.jsonl")
    with open(profiles, "w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in [{"user_id": last[0]["user_id"], "gender": "x"}] + last)
        file.write('{"gender": "f"}\n[1]\n')
    clicks = write_lines(os.path.join(scenario.directory, "clicks.jsonl"),
                         [(record.key, record.value) for record in scenario.kafka.read(scenario.input)])
    made = {}
    for name, arguments, settings in (("log", (), {"profile_topic": again}), ("mixed", ("--profiles-file", profiles), {}),
                                      ("files", ("--profiles-file", profiles, "--from-file", clicks), {}),
                                      ("both", ("--profiles-file", profiles), {"profile_topic": again})):
        service = scenario.service(name, **settings)
        made[name] = service.settings["state.dir"]
        done = Replay(service, *arguments).run()
        assert done["events"] == 2000 and (name == "log" or done["bad_by_reason"].get("profile", done["bad"]) == 2), (name, done)
    for name in ("mixed", "files", "both"):
        diff(made["log"], made[name], model=scenario.model_dir)
    Replay(service, "--profiles-file", clicks, "--restart", "--strict").run()
    Replay(scenario.service("strict"), "--profiles-file", profiles, "--strict").run(1, f"{profiles}: line {len(last) + 2}")
    files = scenario.service("files", publish_mode="latest")
    Replay(files, "--profiles-file", profiles, "--from-file", clicks, "--handoff", "--to", "latest").run()
    files.start()
    people.click(300)
    scenario.wait_done(files)
    assert files.terminate() == 0
    with open(clicks, encoding="utf-8") as file:
        clicked = {}
        for line in file:
            user = json.loads(line)["user_id"]
            clicked[user] = clicked.get(user, 0) + 1
    pb = ms_kafka.schema(scenario.directory)
    for record in scenario.kafka.read(scenario.output):
        message = pb.UserInterests.FromString(record.value)
        assert message.version > clicked[message.user_id], "versions go on"


def fill_disk(directory):
    """Takes all room there; what takes it is to be removed."""
    path = os.path.join(directory, "ballast")
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return path


def replay_full_disk(scenario, service):
    """Reading the topic while the disk is full ends; with room again the same command goes on."""
    small = os.path.join(scenario.directory, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", small], check=False).returncode:
        print("no right to mount: a full disk is not tried")
        return
    try:
        base = ("--state-dir", os.path.join(small, "state"), "--checkpoint", "1")
        process = Replay(service, *base, "--rate", "500").start()
        wait_for("a plan", lambda: os.path.exists(os.path.join(small, "state", "replay")))
        ballast = fill_disk(small)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "o space left" in err, (process.returncode, err)
        os.unlink(ballast)
        assert Replay(service, *base).run()["stage"] == "read"
        diff(service.settings["state.dir"], os.path.join(small, "state"), model=scenario.model_dir)
    finally:
        subprocess.run(["umount", small], check=False)


def replay_bad_input(scenario):
    """What does not fit is one clear line and the right status, for a topic and for files, and a second run mends what can be."""
    scenario.topics(2)
    log = Log(scenario, users=20)
    events = []
    log.produce(3000)
    path = write_lines(os.path.join(scenario.directory, "clicks.jsonl"), random_events(scenario, 2000, users=20))
    service = scenario.service(routing_mode="incremental", state_behaviors_max=20)
    directory, files = service.settings["state.dir"], ("--from-file", path, "--state-dir", os.path.join(scenario.directory, "files"))
    Replay(service, "--from", "latest", "--to", "earliest").run(2, "lies before --from")
    assert not os.path.exists(directory), "nothing is made"
    assert Replay(service, "--to", "1999-01-01T00:00:00Z", "--state-dir", directory + "-0").run()["records"] == 0
    assert Replay(service).run()["stage"] == "read"
    replay_full_disk(scenario, service)
    other = scenario.service("other", application_id="another", state_dir=directory, routing_mode="incremental", state_behaviors_max=20)
    Replay(other).run(3, "another")
    Replay(other, *files).run()
    Replay(service, *files).run(3, "another")
    files = ("--from-file", path, "--state-dir", os.path.join(scenario.directory, "again"))
    wide = scenario.service("wide", state_dir=directory, model_dir=os.path.join(scenario.directory, "wide"))
    subprocess.run([ms_kafka.MINDSTREAM, "generate", "--users", "1", "--items", "9", "--events", "0", "--dim", "24", "--model-out",
                    wide.settings["model.dir"]], capture_output=True, check=True)
    Replay(wide).run(2, "another model")
    live = scenario.service("live", routing_mode="incremental")
    live.start()
    scenario.wait_done(live)
    Replay(live, *files[:2]).run(1, "in use")
    Replay(service, *files, "--handoff", "--to", "2099-01-01T00:00:00Z").run(3, "members", "live-")
    assert live.terminate() == 0
    wait_for("the group to be empty", lambda: scenario.kafka.members(scenario.group) == 0)
    Replay(live, *files[:2]).run(3, "no replay")
    Replay(service, *files, "--handoff", "--to", "earliest").run(3, "has offset")
    assert Replay(service, *files, "--handoff", "--to", "latest").run()["stage"] == "handed over", "nothing stood in the way any more"
    found = Checked(service, "--from-input", *files[2:])
    assert (found.checked, found.differ, found.reasons.get("files")) == (0, 0, 20), found.summary
    for partitions in (2, 1):
        topic = f"{scenario.id}-shrinks-{partitions}"
        scenario.kafka.create(topic, 2)
        produce_by(scenario, topic, events or random_events(scenario, 2000, users=20), "murmur2_random")
        shrinks = scenario.service(f"shrinks-{partitions}", input_topic=topic)
        process = Replay(shrinks, "--rate", "200", "--checkpoint", "1").start()
        wait_for("a plan", lambda: os.path.exists(os.path.join(shrinks.settings["state.dir"], "replay")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        scenario.kafka.delete(topic)
        scenario.kafka.create(topic, partitions)
        produce_by(scenario, topic, random_events(scenario, 10, users=20), "murmur2_random")
        Replay(shrinks).run(3, topic, "partition", "--restart")
        assert Replay(shrinks, "--restart").run()["records"] >= 10


if __name__ == "__main__":
    ms_kafka.main({function.__name__: function for function in (replay_file_equals, replay_file_handoff, replay_file_profiles,
                                                          replay_bad_input)})
