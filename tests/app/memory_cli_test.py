#!/usr/bin/python3
"""Commands under a ladder of limits on the address space (ulimit -v): each ends by itself, with what it was asked for or with
one clear line and status 1. Takes the path of state_writer."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

BINARY = os.environ["MINDSTREAM"]
LADDER_MB = (80, 86, 88, 90, 92, 94, 96, 98, 100, 130, 160, 200, 230, 260, 300, 400, 600)
SECONDS = 60


def run(arguments, limit_mb=None, stdin=b""):
    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limit_mb:
            resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))
    try:
        done = subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, timeout=SECONDS, check=False,
                              preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr.decode(errors="replace")


def prepare(tmp, writer):
    model, log, state = tmp / "model", tmp / "log.jsonl", tmp / "state"
    done = subprocess.run([BINARY, "generate", "--users", "50", "--items", "200", "--events", "3000", "--dim", "16",
                           "--model-out", model], capture_output=True, check=True)
    log.write_bytes(done.stdout)
    events = "".join(f"0 {f'u{i % 50}'.encode().hex()} {f'i{i % 200}'.encode().hex()} {1700000000000 + i} -\n"
                     for i in range(500))
    subprocess.run([writer, state, model, "incremental", "50"], input=events.encode(), check=True)
    histories = "".join(json.dumps({"user_id": f"u{i}", "items": [f"i{j}" for j in range(10)]}) + "\n" for i in range(50))
    return {"inspect users": (["inspect", "users", "--state-dir", state], b""),
            "inspect user": (["inspect", "user", "u7", "--state-dir", state, "--model", model], b""),
            "model check": (["model", "check", model], b""),
            "extract": (["extract", "--model", model], histories.encode()),
            "evaluate": (["evaluate", "--model", model, "--events", log], b""),
            "generate": (["generate", "--users", "50", "--items", "200", "--events", "3000"], b"")}


def main():
    wrong, outcomes = [], []
    with tempfile.TemporaryDirectory() as directory:
        commands = prepare(pathlib.Path(directory), sys.argv[1])
        ladder = [mb for mb in LADDER_MB if run(["--version"], mb)[0] == 0]  # sanitizers need more than all of them
        for name, (arguments, stdin) in commands.items():
            for mb in ladder:
                status, errors = run(arguments, mb, stdin)
                last = errors.strip().splitlines()[-1] if errors.strip() else ""
                outcomes.append(status)
                if status != 0 and (status != 1 or not last.startswith("mindstream")):
                    wrong.append(f"{name} under {mb} MB: status {status}, {last!r}")
    print("\n".join(wrong) or f"{outcomes.count(0)} done, {outcomes.count(1)} refused with a line")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
