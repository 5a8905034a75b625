#!/usr/bin/python3
"""What a command makes for a while is gone after it, however it ends: by itself, by a signal, aborted or killed."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

BINARY = os.environ["MINDSTREAM"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGKILL)


def commands(tmp):
    return {"demo": ["demo", "--seconds", "60"],
            "bench": ["bench", "routing", "--all"],
            "generate": ["generate", "--users", "10", "--items", "2000000", "--events", "10", "--dim", "64",
                         "--model-out", str(tmp / "model")]}


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def entries(tmp):
    return sorted(path.name for path in tmp.iterdir())


def ended_by(name, number):
    """Ends the command as soon as it has made its directory; returns what went wrong."""
    with tempfile.TemporaryDirectory() as directory:
        tmp = pathlib.Path(directory)
        process = subprocess.Popen([BINARY, *commands(tmp)[name]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={**os.environ, "TMPDIR": directory})
        made = wait_for(lambda: entries(tmp) or process.poll() is not None) and process.poll() is None
        time.sleep(0.3 if name != "generate" else 0)
        process.send_signal(number)
        process.stdout.read()  # ends with the process: nobody else may hold it open
        process.wait(timeout=60)
        gone = wait_for(lambda: not entries(tmp), 10)
        if made and gone:
            return None
        return f"{name}, {number.name}: " + (f"left {entries(tmp)}" if made else "made no directory")


def main():
    wrong = [text for name in commands(pathlib.Path()) for number in SIGNALS if (text := ended_by(name, number))]
    print("\n".join(wrong) or f"{len(commands(pathlib.Path())) * len(SIGNALS)} ends, nothing left")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
