"""`mindstream inspect verify` on a real broker: what a service made, killed on the way, agrees with its topics; what was planted in
a state or in a topic is found and named; beside a running service nothing is claimed that is not so."""

import json
import os
import random
import subprocess
import threading
import time

import ms_history
import ms_kafka
from ms_kafka import MINDSTREAM, event, wait_for

START = 1700000000000


def inspect(*arguments, code=0, text=None):
    done = subprocess.run([MINDSTREAM, "inspect", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, f"{arguments}: {done.returncode} {done.stdout[-3000:]} {done.stderr}"
    return done.stdout


class Checked:
    """What verify says."""

    def __init__(self, service, *arguments, code=0):
        root = json.loads(inspect("verify", "-c", service.config, "--json", "--limit", "0", *arguments, code=code))
        self.rows, self.summary = root["differences"], root["summary"]
        self.checked, self.differ, self.unknown = (self.summary[key] for key in ("checked", "differ", "not_checkable"))
        self.reasons = {**self.summary["state"]["reasons"], **((self.summary["output"] or {}).get("reasons", {}))}

    def found(self):
        return {(row["user_id"], row["against"]): row for row in self.rows}


class Clicks:
    """Clicks of many users, some late, some of unknown items, some twice; now and then a user is forgotten."""

    def __init__(self, scenario, users, seed=4):
        self.scenario, self.draws, self.users = scenario, random.Random(seed), [f"u{number}" for number in range(users)]
        self.items = ms_history.small_model(scenario.model_dir) + ["gone"]
        self.time_ms, self.alive, self.forgotten = START, set(), set()

    def produce(self, count, forget=0.0):
        events = []
        for _ in range(count):
            self.time_ms += 1000
            user = self.draws.choice(self.users)
            if self.draws.random() < forget:
                events.append((user.encode(), None))
                self.forgotten |= self.alive & {user}
                self.alive.discard(user)
                continue
            late = self.draws.randrange(1, 400) * 997 if self.draws.random() < 0.1 else 0
            click = event(user, self.draws.choice(self.items), self.time_ms - late)
            events += [click] * (2 if self.draws.random() < 0.02 else 1)
            self.alive.add(user)
            self.forgotten.discard(user)
        self.scenario.kafka.produce(self.scenario.input, events)


def planted(scenario, service, name, *changes):
    """A copy of the state in which |changes| were done to the users that they name; None drops one."""
    lines = inspect("export", "--state-dir", service.settings["state.dir"]).splitlines()
    header, users = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
    for user, change in changes:
        one = next(one for one in users if one["user_id"] == user)
        if change:
            change(one)
        else:
            users.remove(one)
    copy = os.path.join(scenario.directory, name)
    inspect("import", "-", "--state-dir", copy, text="".join(json.dumps(line) + "\n" for line in (header, *users)))
    return copy


def verify_after_kills(scenario):
    """Incremental, with histories longer than what is kept; killed three times; then faults, each found and named."""
    scenario.topics()
    os.environ["TMPDIR"] = scenario.directory
    clicks = Clicks(scenario, users=150)
    service = scenario.service(routing_mode="incremental", publish_mode="latest", state_behaviors_max=30, state_flush_interval_ms=200)
    service.start()
    for _ in range(3):
        clicks.produce(2000, forget=0.003)
        time.sleep(0.7)
        service.kill9()
        service.start()
    clicks.produce(500, forget=0.02)
    scenario.wait_done(service)
    assert service.terminate() == 0
    topics = ("--from-input", "--output-topic", scenario.output)
    whole = Checked(service, *topics)
    assert (whole.checked, whole.differ, whole.unknown) == (len(clicks.alive), 0, 0), whole.summary
    assert whole.summary["forgotten"] == len(clicks.forgotten) > 0 and whole.summary["tolerance"] == 0, whole.summary
    kept = Checked(service, "--output-topic", scenario.output)
    assert kept.differ == 0 and kept.summary["output"]["agree"] == len(clicks.alive), kept.summary
    assert 0 < kept.reasons["history"] == kept.unknown < len(clicks.alive), kept.summary
    some = Checked(service, *topics, "--sample", 20)
    assert (some.checked + some.summary["forgotten"], some.differ, some.unknown) in ((20, 0, 0), (21, 0, 0), (22, 0, 0)), some.summary
    plant_in_state(scenario, service, clicks)
    plant_in_output(scenario, service, clicks)
    lose_input(scenario, service, clicks)
    assert not [name for name in os.listdir(scenario.directory) if "verify-" in name], "a scratch state is left"


def plant_in_state(scenario, service, clicks):
    """Sums, an event that is missing, a user that is missing, one that never was: against the input topic."""
    long = sorted(clicks.alive)[:4]

    def sums(user):
        user["sums"][-1] += 0.5

    def event_lost(user):
        user["behaviors"].pop(3)
        user.pop("arrived", None)
        user["version"] -= 1

    copy = planted(scenario, service, "planted", (long[0], sums), (long[1], event_lost), (long[2], None))
    found = Checked(service, "--from-input", "--state-dir", copy, code=1)
    rows = found.found()
    assert set(rows) == {(user, "input topic") for user in long[:3]}, found.rows
    assert rows[long[0], "input topic"]["what"] == "vector" and 0.001 < rows[long[0], "input topic"]["largest"] < 1, found.rows
    assert rows[long[1], "input topic"]["what"] == "version", found.rows
    row = rows[long[1], "input topic"]
    assert row["version_there"] == row["version"] + 1, row
    assert rows[long[2], "input topic"]["what"] == "the state has no such user" and found.differ == 3, found.rows


def plant_in_output(scenario, service, clicks):
    """What somebody else writes to the output topic."""
    pb = ms_kafka.schema(scenario.directory)
    last = {}
    for record in scenario.kafka.read(scenario.output):
        last[record.key.decode()] = record.value
    one, two, three, four, gone = [*sorted(user for user in clicks.alive if last[user])[-4:], sorted(clicks.forgotten)[0]]
    changed = pb.UserInterests.FromString(last[one])
    changed.interests[0].vector[2] += 0.25
    older = pb.UserInterests.FromString(last[two])
    older.version -= 1
    ghost = pb.UserInterests.FromString(last[one])
    ghost.user_id = "ghost"
    back = pb.UserInterests.FromString(last[one])
    back.user_id = gone
    scenario.kafka.produce(scenario.output, [
        (one.encode(), changed.SerializeToString()), (two.encode(), older.SerializeToString()), (three.encode(), None),
        (four.encode(), b"\xff\xfe nonsense"), (b"ghost", ghost.SerializeToString()), (gone.encode(), back.SerializeToString())])
    found = Checked(service, "--from-input", "--output-topic", scenario.output, code=1)
    rows = {user: row for (user, _), row in found.found().items()}
    assert set(rows) == {one, two, three, four, "ghost", gone} and all(row["against"] == "output topic" for row in rows.values()), found.rows
    assert (rows[one]["what"], rows[one]["slot"]) == ("vector", 0) and abs(rows[one]["largest"] - 0.25) < 1e-5, rows[one]
    assert rows[two]["what"] == "version" and rows[two]["version_there"] == rows[two]["version"] - 1, rows[two]
    assert "forgotten" in rows[three]["what"] and "cannot be read" in rows[four]["what"], rows
    assert rows["ghost"]["version"] is None and "no such user" in rows["ghost"]["what"] and "no such user" in rows[gone]["what"], rows
    assert (found.differ, found.unknown) == (6, 0), found.summary
    text = inspect("verify", "-c", service.config, "--output-topic", scenario.output, code=1)
    assert text.splitlines()[-1].endswith("could not be checked") and " 6 differ" in text.splitlines()[-1], text


def lose_input(scenario, service, clicks):
    """Events that retention has taken cannot be folded again: their users count as not checkable, the others are checked."""
    scenario.kafka.delete_records(scenario.input, {0: 100})
    found = Checked(service, "--from-input")
    assert found.differ == 0 and set(found.reasons) == {"input_gone"} and 0 < found.unknown < len(clicks.alive) / 2, found.summary
    assert found.checked + found.unknown == len(clicks.alive), found.summary


def verify_live(scenario):
    """Beside a running service, in layout interest and with more records than find room at once; and with what a kill left."""
    scenario.topics()
    clicks = Clicks(scenario, users=4000)
    service = scenario.service(publish_mode="latest", output_layout="interest", output_format="json",
                               state_flush_interval_ms=3000).start()
    clicks.produce(8000)
    scenario.wait_done(service)
    ended = threading.Event()

    def produce():
        while not ended.is_set():
            clicks.produce(100, forget=0.02)
            time.sleep(0.05)
    producer = threading.Thread(target=produce)
    producer.start()
    try:
        wait_for("a flush", lambda: Checked(service).checked > 1000)
        behind = 0
        for _ in range(3):
            found = Checked(service, "--from-input", "--output-topic", scenario.output, "--memory", "1")
            assert found.differ == 0 and found.checked > 1000 and set(found.reasons) <= {"behind", "elsewhere"}, (found.summary, found.rows)
            behind += found.unknown
        assert behind > 0, "a live state trails its output"
        service.kill9()
        # It waits for the end of the transaction that the kill left open, which the next start brings.
        late = []
        waits = threading.Thread(target=lambda: late.append(Checked(service, "--from-input", "--output-topic", scenario.output)))
        waits.start()
        time.sleep(0.5)
        service.start()
        waits.join()
        assert late and late[0].differ == 0 and late[0].checked > 1000, late
    finally:
        ended.set()
        producer.join()
    scenario.wait_done(service)
    wait_for("a state that does not trail", lambda: Checked(service, "--output-topic", scenario.output).unknown == 0)
    assert service.terminate() == 0
    for more in ((), ("--memory", "1")):
        found = Checked(service, "--from-input", "--output-topic", scenario.output, *more)
        assert (found.checked, found.differ, found.unknown) == (len(clicks.alive), 0, 0), found.summary
        # In layout interest, one who never had interests is forgotten without a null value.
        assert 0 < found.summary["forgotten"] <= len(clicks.forgotten), found.summary
    last = {}
    for record in scenario.kafka.read(scenario.output):
        last[record.key.decode()] = record.value
    one, two = [key[:-2] for key, value in sorted(last.items()) if key.endswith("#1") and value][:2]
    changed = json.loads(last[f"{one}#1"])
    changed["weight"] += 0.125
    scenario.kafka.produce(scenario.output, [(f"{one}#1".encode(), json.dumps(changed).encode()), (f"{two}#1".encode(), None)])
    found = Checked(service, "--output-topic", scenario.output, "--memory", "1", code=1)
    rows = found.found()
    assert set(rows) == {(one, "output topic"), (two, "output topic")}, found.rows
    assert (rows[one, "output topic"]["what"], rows[one, "output topic"]["slot"]) == ("weight", 1), found.rows
    assert (rows[two, "output topic"]["what"], rows[two, "output topic"]["slot"]) == ("an interest has no record", 1), found.rows


if __name__ == "__main__":
    ms_kafka.main({function.__name__: function for function in (verify_after_kills, verify_live)})
