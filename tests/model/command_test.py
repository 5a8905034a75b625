#!/usr/bin/python3
"""mindstream model: check and info on good directories, and one clear line with exit 1 on bad ones, 2 on bad usage."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import ms_model

BINARY = os.environ["MINDSTREAM"]
CONFIG = {"extractor": "mind", "dim": 4, "interests": 2, "max_behaviors": 8, "name": "shop", "version": "7"}
ITEMS = ["a", "b", "c"]
checks = 0


def tensors():
    rng = np.random.default_rng(1)
    return {"item_embedding": rng.normal(size=(3, 5)).astype("f4"), "routing.bilinear": rng.normal(size=(5, 4)).astype("f4")}


def run(*args):
    done = subprocess.run([BINARY, "model", *args], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def check(good, what):
    global checks
    checks += 1
    if not good:
        print(f"FAILED: {what}")
        sys.exit(1)


def refused(directory, *texts):
    """The directory is refused with exit 1 and one line on stderr that holds all |texts|; with --json, likewise."""
    code, out, err = run("check", directory)
    check(code == 1 and out == "" and err.count("\n") == 1 and all(t in err for t in texts), f"{texts}: {code} {out} {err}")
    code, out, err = run("check", directory, "--json")
    answer = json.loads(out)
    check(code == 1 and answer["ok"] is False and all(t in answer["error"] for t in texts), f"--json {texts}: {out}")
    check(run("info", directory)[0] == 1, f"info {texts}")


def good_directories(directory):
    ms_model.write_model(directory, CONFIG, tensors(), ITEMS)
    code, out, err = run("check", directory)
    check(code == 0 and err == "" and out == f"{directory}: ok, shop@7, mind, 3 items, 2 interests of 4 floats, window 8\n",
          f"{code} {out} {err}")
    code, out, _ = run("check", "--json", directory)
    good = {"ok": True, "model": "shop@7", "items": 3, "interests": 2, "dim": 4, "overflow": None}
    check(code == 0 and json.loads(out) == good, out)
    code, out, _ = run("info", directory)
    check(code == 0, "info")
    rows = [line.split(None, 1) for line in out.splitlines()]
    for row in (["routing.iterations", "3"], ["routing.squash.when", "every"], ["item_embedding", "[3, 5]"],
                ["routing.bilinear", "[5, 4]"], ["routing.bilinear", "shared"], ["items", "3"], ["max_behaviors", "8"]):
        check(row in rows, f"{row} in {out}")
    config = {**CONFIG, "dim": 3, "head": [{"activation": "relu"}], "routing": {"seed": 5, "stddev": 0.25}}
    more = {**tensors(), "head.0.weight": np.ones((3, 4), "f2")}
    ms_model.write_model(directory, config, more, ITEMS)
    code, out, _ = run("info", directory, "--json")
    info = json.loads(out)
    check(code == 0 and info["ok"] and info["item_dim"] == 5 and info["capsule_dim"] == 4 and info["options"]["dim"] == 3, out)
    check(info["options"]["head"] == config["head"] and info["options"]["routing"]["seed"] == 5, out)
    check(info["options"]["routing"]["stddev"] == 0.25 and info["options"]["normalize"] is False, out)
    check(info["options"]["version"] == "7" and info["tensors"]["head.0.weight"] == [3, 4], out)
    # What info prints as options is a config that loads again, to the same options.
    ms_model.write_model(directory, info["options"], more, ITEMS)
    again = json.loads(run("info", directory, "--json")[1])
    check(again["options"] == info["options"] and again["hash"] != info["hash"], again)


def bad_directories(directory):
    def rewrite(config=None, tensor=None, items=None):
        ms_model.write_model(directory, {**CONFIG, **(config or {})}, {**tensors(), **(tensor or {})}, items or ITEMS)

    rewrite(config={"intrests": 4})
    refused(directory, "/config.json: ", 'unknown key "intrests"')
    rewrite(config={"routing": {"squash": {"eps": 1}}})
    refused(directory, "/config.json: ", 'unknown key "routing.squash.eps"')
    rewrite(config={"interests": 65})
    refused(directory, "/config.json: ", "interests is 65, allowed is a whole number from 1 to 64")
    bad = tensors()["item_embedding"]
    bad[1, 2] = np.nan
    rewrite(tensor={"item_embedding": bad})
    refused(directory, "/model.safetensors: ", "tensor item_embedding: element 7 is NaN")
    rewrite(tensor={"routing.bilinear": np.zeros((4, 5), "f4")})
    refused(directory, "/model.safetensors: ", "tensor routing.bilinear has shape [4, 5], expected [d=5, dim=4]")
    rewrite(items=["a", "b", "a"])
    refused(directory, "/items.txt: ", "line 3 repeats the id of line 1")
    rewrite(items=["a", "b"])
    refused(directory, "/items.txt: ", "2 lines, but tensor item_embedding has 3 rows")
    for name in ("config.json", "model.safetensors", "items.txt"):
        rewrite()
        path = os.path.join(directory, name)
        size = os.path.getsize(path)
        os.truncate(path, size // 2)
        refused(directory, f"/{name}: ")
        os.truncate(path, 0)
        refused(directory, f"/{name}: the file is empty")
        os.remove(path)
        refused(directory, f"/{name}: the file is missing")
    rewrite(tensor={"caf\u00e9\nrow": np.zeros(1, "f4")})
    refused(directory, "tensor caf\u00e9?row is not one")
    shutil.rmtree(directory)
    refused(directory, "not a directory")


def usage(directory):
    for args, text in (([], "check or info is missing"), (["check"], "DIR is missing"),
                       (["verify", directory], "unknown command 'verify'"), (["check", directory, "x"], "one argument too many: 'x'"),
                       (["check", "--jsn", directory], "unknown option --jsn"),
                       (["activate", directory, "-c", "x"], "activate is not built yet")):
        code, out, err = run(*args)
        check(code == 2 and out == "" and text in err and err.count("\n") == 1, f"{args}: {code} {out} {err}")
    code, out, err = run("--help")
    check(code == 0 and err == "" and "Examples:" in out, out)


def main():
    directory = tempfile.mkdtemp(prefix="ms-model-")
    try:
        usage(directory)
        good_directories(directory)
        bad_directories(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{checks} checks")


if __name__ == "__main__":
    main()
