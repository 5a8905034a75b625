#!/usr/bin/python3
"""The commands of README.md and docs/ work as they stand: each ```sh block is run, in the order of the documents.

A block that needs Kafka is marked ```sh kafka and run only with --kafka, on a broker that tools/kafka starts; one that takes
long, or works on the whole tree, is marked ```sh slow and never run; ```sh walk blocks belong to walk_test.py. The commands write
to a scratch directory in place of /tmp/mindstream. In a ```sh kafka block, `mindstream run` goes on in the background until the
end."""

import argparse
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```sh *(\w*)\n(.*?)^```$", re.M | re.S)
PLACE = "/tmp/mindstream"


def blocks():
    """(document, line, kind, text) of each shell block: README.md first, which makes what the others use."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            yield path.relative_to(ROOT), text.count("\n", 0, found.start()) + 2, found[1], found[2]


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class Runner:
    def __init__(self, scratch):
        self.scratch = scratch
        self.port = free_port()
        self.kafka = f"--port {self.port} --dir {scratch}/kafka"
        self.service = None
        binary = os.environ["MINDSTREAM"]
        self.environment = {**os.environ, "PATH": f"{os.path.dirname(binary)}:{os.environ['PATH']}"}

    def _shell(self, text):
        text = text.replace(PLACE, self.scratch).replace("127.0.0.1:9092", f"127.0.0.1:{self.port}")
        return text.replace("tools/kafka start", f"tools/kafka start {self.kafka}")

    def run(self, text):
        """Runs one block; returns its exit status and output."""
        if text.startswith("mindstream run"):
            self.service = subprocess.Popen(["bash", "-c", f"exec {self._shell(text)}"], cwd=ROOT, env=self.environment,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return self._wait_for_state()
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self._shell(text)], cwd=ROOT, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
        return done.returncode, done.stdout

    def _wait_for_state(self):
        """Until user u7 of the documents has a state."""
        for _ in range(120):
            code, output = self.run(f"mindstream inspect user u7 --state-dir {PLACE}/state")
            if code == 0:
                return 0, ""
            if self.service.poll() is not None:
                return 1, "mindstream run has ended"
            time.sleep(0.5)
        return code, output

    def stop(self):
        if self.service and self.service.poll() is None:
            self.service.send_signal(signal.SIGTERM)
            self.service.wait(60)
        if os.path.isdir(f"{self.scratch}/kafka"):
            subprocess.run(f"tools/kafka stop --purge {self.kafka}", shell=True, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", action="store_true", help="also run the blocks that need Kafka")
    arguments = parser.parse_args()
    ran = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(scratch)
        try:
            for document, line, kind, text in blocks():
                if kind in ("slow", "walk") or (kind == "kafka" and not arguments.kafka):
                    continue
                if kind not in ("", "kafka"):
                    sys.exit(f"{document}:{line}: ```sh {kind}: the marks are kafka, slow and walk")
                code, output = runner.run(text)
                ran += 1
                if code != 0:
                    failed += 1
                    print(f"{document}:{line}: status {code}\n{text}{output[-3000:]}")
            if runner.service and runner.service.poll() is not None:
                failed += 1
                print("mindstream run did not go on to the end")
        finally:
            runner.stop()
    print(f"{ran} blocks run, {failed} failed")
    return 1 if failed or ran < 5 else 0


if __name__ == "__main__":
    sys.exit(main())
