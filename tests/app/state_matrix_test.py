"""Every file of a state directory x {gone, cut, zeroed, one bit flipped} x {open for writing, inspect user, users, partitions,
stats}, of a state that was closed and of one that is open (which a kill leaves as well). Each outcome is `right` (what the whole
state gives) or `refused` (an error that names the damaged file, or the directory); anything else fails. argv[1] is state_writer."""
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import ms_history

BINARY, WRITER = os.environ["MINDSTREAM"], sys.argv[1]
COMMANDS = {"user": ["user", "u3"], "users": ["users", "--limit", "0"], "partitions": ["partitions"], "stats": ["stats"]}
# What RocksDB makes anew when it is not as it was; nothing of the state is in them.
HARMLESS = ("LOCK", "db/LOCK", "db/LOG", "db/LOG.old", "db/IDENTITY", "db/OPTIONS")
counts, wrong = collections.Counter(), []


def inspect(command, directory):
    done = subprocess.run([BINARY, "inspect", *COMMANDS[command], "--json", "--state-dir", directory], capture_output=True,
                          timeout=60)
    text = done.stdout.decode()
    if command == "stats" and done.returncode == 0:  # sizes and RocksDB's own text may differ
        text = json.dumps({key: value for key, value in json.loads(text).items() if key in ("users", "partitions", "behaviors")})
    return done.returncode, text.replace(str(directory), "DIR"), done.stderr.decode()


def write(directory, model, lines="", wait=None):
    """Opens the state for writing and folds the lines; with |wait|, calls it while the state is open."""
    with subprocess.Popen([WRITER, directory, model, "full", "200"], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if wait:
            process.stdin.write(lines.encode())
            process.stdin.flush()
            time.sleep(1)
            wait()
            process.kill()
        text = process.communicate(None if wait else lines.encode())[1]
    return process.returncode, text.decode()


def manifest_ends(data):
    """Where records of a manifest end: 7 bytes of header and its length, in blocks of 32 KiB."""
    at, ends = 0, []
    while at + 7 <= len(data):
        at += 7 + int.from_bytes(data[at + 4:at + 6], "little")
        ends.append(at)
    return ends


def damages(name, data, generator):
    yield "gone", None
    cuts = {0, 1, len(data) // 2, len(data) - 1, len(data) - 53}
    if "MANIFEST" in name:
        cuts |= set(manifest_ends(data))
    for line, byte in enumerate(data):
        if byte == 10 and name in ("identity", "contents", "db/CURRENT"):
            cuts |= {line, line + 1}
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(data)):
        yield f"cut at {cut}", data[:cut]
    if data:
        yield "zeroed", bytes(len(data))
    spots = {0, len(data) - 1, len(data) - 8, len(data) - 60, *(generator.randrange(len(data)) for _ in range(3))} if data else ()
    for spot in sorted(spot for spot in spots if spot >= 0):
        yield f"flipped at {spot}", data[:spot] + bytes([data[spot] ^ 1 << generator.randrange(8)]) + data[spot + 1:]


def judge(cell, name, outcome, whole):
    status, text, errors = outcome
    if status == 0 and text == whole[1]:
        result = "right"
    elif status in (1, 3) and not text and (name in errors or name.startswith("db/") or "state" in errors):
        result = "refused"
    else:
        result = "WRONG"
        wrong.append(cell)
        print("WRONG:", *cell, status, text[:150], errors[:300])
    kind = cell[2].split(" ")[0]
    counts[kind, cell[3], result] += 1
    if result == "right" and not name.startswith(HARMLESS) and kind != "flipped" and not name.endswith(".log"):
        wrong.append(cell)
        print("NOT REFUSED:", *cell)


def run_cells(base, state, model, scratch):
    whole = {command: inspect(command, state) for command in COMMANDS}
    assert all(result[0] == 0 for result in whole.values()), whole
    generator = random.Random(11)
    files = sorted(path for path in state.rglob("*") if path.is_file())
    for path in files:
        name = str(path.relative_to(state))
        for what, data in damages(name, path.read_bytes(), generator):
            copy = scratch / "copy"
            shutil.copytree(state, copy)
            (copy / name).unlink() if data is None else (copy / name).write_bytes(data)
            for command in COMMANDS:
                judge((base, name, what, command), name, inspect(command, copy), whole[command])
            kept = {str(file): file.stat().st_size for file in copy.rglob("*.sst")}
            status, errors = write(copy, model)
            if status != 0:
                judge((base, name, what, "open"), name, (status, "", errors), whole["users"])
                assert kept == {str(file): file.stat().st_size for file in copy.rglob("*.sst")}, (name, what, "tables are gone")
            else:
                judge((base, name, what, "open"), name, inspect("users", copy), whole["users"])
            shutil.rmtree(copy)


def main(scratch):
    model = scratch / "model"
    items = ms_history.small_model(model)
    generator = random.Random(3)
    # 18 files: 20 would be merged in the background, and a file that is merged may go
    lines = "".join(f"{generator.randrange(8)} {f'u{generator.randrange(9)}'.encode().hex()} {generator.choice(items).encode().hex()} "
                    f"{1700000000000 + number} -\n" for number in range(900))
    closed, live = scratch / "closed", scratch / "live"
    assert write(closed, model, lines)[0] == 0
    assert write(closed, model)[0] == 0
    again = inspect("users", closed)
    assert again[0] == 0 and again[1].count("u3") > 0, again
    write(scratch / "running", model, lines, wait=lambda: shutil.copytree(scratch / "running", live))
    run_cells("closed", closed, model, scratch)
    run_cells("open", live, model, scratch)
    for kind in ("gone", "cut", "zeroed", "flipped"):
        print(kind, *(f"{command}: " + ", ".join(f"{counts[kind, command, result]} {result}" for result in
                      ("right", "refused", "WRONG")) + ";" for command in [*COMMANDS, "open"]))


with tempfile.TemporaryDirectory() as name:
    main(pathlib.Path(name))
sys.exit(1 if wrong else 0)
