"""What the tests of `mindstream inspect` share: state directories that state_writer (argv[1]) makes of known events, and
running the command on them."""
import json
import os
import subprocess
import sys

import numpy as np

import ms_history
import ms_reference

BINARY, WRITER = os.environ["MINDSTREAM"], sys.argv[1]
KEPT = 200
START = 1700000000000
EVIL_USER, EVIL_ITEM = "a\x1b[31mred\n\\\u009bü", "no\titem\x7f"
failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def inspect(*arguments, **more):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MINDSTREAM_")}
    return subprocess.run([BINARY, "inspect", *map(str, arguments)], capture_output=True, timeout=60, env=environment, **more)


def shown(*arguments):
    done = inspect(*arguments, "--json")
    check(f"inspect {arguments}", done.returncode == 0 and done.stderr == b"", done)
    return json.loads(done.stdout)


class World:
    """Events of users, and the state directories made of them."""

    def __init__(self, scratch):
        self.model_dir = os.path.join(scratch, "model")
        self.items = ms_history.small_model(self.model_dir)
        self.reference = ms_reference.Model(self.model_dir)
        rng = np.random.default_rng(5)
        self.events = []  # partition, user, item, time, type
        for number in range(700):
            self.events.append((0, "long", self.items[rng.integers(60)], START + 10 * number, "click"))
            if number < 6:
                self.events.append((1, "short", self.items[rng.integers(60)], START + number, "view"))
                self.events.append((number % 2 * 2 + 1, "both", self.items[rng.integers(60)], START - number, ""))
            if number < 30:
                self.events.append((2, "mixed", self.items[rng.integers(60)] if number % 3 else "gone",
                                    START + number, "click"))
        # Out of order: the sequence goes by time, the fold by arrival.
        for late in (5, 3, 9, 1):
            self.events.append((4, "late", self.items[late], START + late, "click"))
        self.events.append((2, "stranger", "gone", START, "click"))
        self.events.append((5, EVIL_USER, EVIL_ITEM, START, "ty\rpe"))

    def write(self, directory, mode, kept=KEPT):
        def hexed(text):
            return text.encode().hex() or "-"
        lines = "".join(f"{partition} {hexed(user)} {hexed(item)} {time} {hexed(kind)}\n"
                        for partition, user, item, time, kind in self.events)
        subprocess.run([WRITER, directory, self.model_dir, mode, str(kept)], input=lines.encode(), check=True)
        return directory

    def of(self, user, partition=None):
        """(kept, in order of time; all, in order of arrival)."""
        events = [event for event in self.events if event[1] == user and partition in (None, event[0])]
        return sorted(events, key=lambda event: event[3])[-KEPT:], events
