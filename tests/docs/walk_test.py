#!/usr/bin/python3
"""The walk of docs/backfill.md works word by word: its ```sh walk blocks are typed into one shell, one after the other, while clicks
come in. At the end, the output topics and the states are compared with what the input topic says.

The topic, the model and the clicks before come from the commands of README.md."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import commands_test
import ms_kafka
from commands_test import PLACE, ROOT
from ms_kafka import MINDSTREAM, event, wait_for

WALK = re.compile(r"^```sh walk\n(.*?)^```$", re.M | re.S)
MADE_BY_README = ("mkdir", "tools/kafka start", "cat > /tmp/mindstream/clicks.properties", "mindstream topics create",
                  "sed -E")


class Shell:
    """A shell with jobs, as a person's, in which blocks are typed."""

    def __init__(self, runner):
        self.runner = runner
        self.log_path = f"{runner.scratch}/shell.log"
        with open(self.log_path, "ab") as log:
            self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, env=runner.environment,
                                         text=True, start_new_session=True)
        self._write("set -m")
        self.blocks = 0

    def _write(self, text):
        self.bash.stdin.write(text + "\n")
        self.bash.stdin.flush()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def type(self, block):
        """Types a block and waits until its last foreground command has ended; each command has to end well."""
        self.blocks += 1
        for line in self.runner.text_of(block).splitlines():
            self._write(line)
        self._write(f"echo block {self.blocks} ended with $?")
        found = wait_for(f"the end of\n{block}", lambda: re.search(rf"^block {self.blocks} ended with (\d+)$", self.log(), re.M), 120)
        assert found[1] == "0", f"status {found[1]} of\n{block}\n{self.log()[-3000:]}"

    def close(self):
        if self.bash.poll() is None:
            self._write("kill $(jobs -p) 2>/dev/null; wait; exit")
            try:
                self.bash.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.bash.pid, signal.SIGKILL)


class Runner(commands_test.Runner):
    """The documents' commands in a scratch directory of this test."""

    def text_of(self, text):
        return self._shell(text)

    def prepare(self):
        """What README.md makes before the walk begins."""
        for document, line, _, text in commands_test.blocks():
            if str(document) == "README.md" and text.startswith(MADE_BY_README):
                code, output = self.run(text)
                assert code == 0, f"{document}:{line}: status {code}\n{text}{output}"


class Clicks(threading.Thread):
    """Clicks of the same users, until the walk has ended."""

    def __init__(self, kafka):
        super().__init__(daemon=True)
        self.kafka, self.stopped, self.failure = kafka, threading.Event(), None

    def run(self):
        draws, producer = random.Random(3), self.kafka.producer(partitioner="consistent_random")  # as kcat, which README.md takes
        try:
            while not self.stopped.is_set():
                for _ in range(20):
                    key, value = event(f"u{draws.randrange(1000)}", f"i{draws.randrange(5000)}", time.time_ns() // 1000000,
                                       f"click-{draws.getrandbits(60)}")
                    producer.produce("clicks", value, key)
                producer.poll(0)
                time.sleep(0.05)
            assert producer.flush(60) == 0
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def stop(self):
        self.stopped.set()
        self.join(60)
        assert not self.failure, self.failure


def histories(kafka):
    """user -> the latest event time after each of its events, exact duplicates left out."""
    users, seen = {}, set()
    for record in kafka.read("clicks"):
        fields = json.loads(record.value)
        what = tuple(fields[key] for key in ("user_id", "item_id", "timestamp", "event_type"))
        if what not in seen:
            seen.add(what)
            times = users.setdefault(fields["user_id"], [])
            times.append(max(fields["timestamp"], times[-1] if times else 0))
    return users


def check_output(kafka, topic, users):
    """Each user's versions rise, each with the time that belongs to it, up to the last: nothing doubled, nothing out of order."""
    last = {}
    for record in kafka.read(topic):
        fields = json.loads(record.value)
        user, version = fields["user_id"], fields["version"]
        assert version > last.get(user, 0), f"{topic} {user}: version {version} follows {last[user]}"
        assert fields["event_time"] == users[user][version - 1], f"{topic} {user} version {version}: {fields['event_time']}"
        last[user] = version
    assert last == {user: len(times) for user, times in users.items()}, f"{topic}: the last versions"


def check_state(runner, name, model):
    """The state that was handed over and went on is that of a replay of the whole log."""
    place = runner.scratch
    for command in (f"replay -c {place}/{name}.properties --state-dir {place}/{name}-whole",
                    f"inspect diff {place}/{name} {place}/{name}-whole --model {place}/{model}"):
        done = subprocess.run([MINDSTREAM, *command.split()], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"


def walk(runner, shell, kafka, blocks):
    clicks = None
    for block in blocks:
        if "replay" in block and clicks is None:
            clicks = Clicks(kafka)
            clicks.start()
        if block.startswith("kill $!"):  # a person waits for these words
            wait_for("green to catch up", lambda: "has caught up" in shell.log())
        if block.startswith("kill %?blue"):
            wait_for("green to publish behind the seam", lambda: any(offset > 0 for offset in kafka.committed(
                "green", "clicks").values()) and kafka.members("green"))
            clicks.stop()
            kafka.wait_committed("blue", "clicks")
        shell.type(block)
    kafka.wait_committed("green", "clicks")


def main():
    blocks = WALK.findall((ROOT / "docs" / "backfill.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 6, f"{len(blocks)} blocks of the walk"
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        runner, shell = Runner(scratch), None
        try:
            runner.prepare()
            kafka = ms_kafka.Kafka()
            kafka.bootstrap = f"127.0.0.1:{runner.port}"
            shell = Shell(runner)
            walk(runner, shell, kafka, blocks)
            shell.close()
            users = histories(kafka)
            for name, model in (("blue", "model"), ("green", "model-2")):
                check_output(kafka, f"interests-{name}", users)
                check_state(runner, name, model)
        except BaseException:
            print(shell.log()[-6000:] if shell else "", file=sys.stderr)
            raise
        finally:
            if shell:
                shell.close()
            runner.stop()
    print(f"{len(blocks)} blocks typed, {len(users)} users as they must be, in {time.monotonic() - began:.1f} s, {PLACE} untouched")


if __name__ == "__main__":
    main()
