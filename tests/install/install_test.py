"""`cmake --install` into a prefix of its own: what is there, which symbols the libraries show, that the installed files
agree on their paths, and that consumer.c builds by pkg-config and by find_package, shared and static, and extracts the
vectors that `mindstream extract` gives. Usage: install_test.py BUILD_DIRECTORY CMAKE CC"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
BUILD, CMAKE, CC = sys.argv[1:4]
COMMENT = re.compile(r"/\*.*?\*/", re.S)

failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def run(*command, **more):
    """The finished command; a failed one is printed and ends the test."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=200, **more)
    if done.returncode:
        sys.exit(f"FAILED: {' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def one_file(prefix, pattern):
    """The only file below |prefix| that matches, relative to it."""
    found = [path.relative_to(prefix) for path in prefix.glob(pattern)]
    check(f"one {pattern}", len(found) == 1, found)
    return found[0] if found else pathlib.Path("missing")


def declared_functions(prefix):
    """The functions that the installed headers declare."""
    names = set()
    for header in (prefix / "include/mindstream").glob("*.h"):
        text = COMMENT.sub("", header.read_text(encoding="utf-8"))
        for block in re.findall(r"^MS_API_BEGIN$(.*?)^MS_API_END$", text, re.S | re.M):
            names |= set(re.findall(r"\b(ms_\w+)\s*\((?!\s*\*)", block))
    return names


def check_files(prefix):
    installed = {str(path.relative_to(prefix / "include")) for path in (prefix / "include").rglob("*.h")}
    public = {str(path.relative_to(ROOT / "include")) for path in (ROOT / "include").rglob("*.h")}
    check("the headers", installed == public, installed ^ public)
    for pattern in ("share/man/man1/mindstream.1", "share/man/man5/mindstream.properties.5",
                    "share/bash-completion/completions/mindstream", "share/doc/mindstream/examples/mindstream.properties.sample",
                    "share/mindstream/mindstream.proto"):
        one_file(prefix, pattern)


def check_paths(prefix):
    """Every absolute path that an installed file gives for another one is that of the prefix."""
    binary = prefix / one_file(prefix, "bin/mindstream")
    run(binary, "--version")
    unit = (prefix / one_file(prefix, "lib/systemd/system/mindstream.service")).read_text(encoding="utf-8")
    check("the unit starts the installed binary", re.search(r"^ExecStart=(\S+)", unit, re.M).group(1) == str(binary), unit)
    check("the unit has no placeholder left", not re.search(r"@\w+@", unit), unit)
    for page in re.findall(r"man:(\S+)\((\d)\)", unit):
        one_file(prefix, f"share/man/man{page[1]}/{page[0]}.{page[1]}")
    completion = (prefix / "share/bash-completion/completions/mindstream").read_text(encoding="utf-8")
    check("the completion completes the binary by its name", re.search(r"^complete .*\bmindstream$", completion, re.M), completion[-200:])
    for name in ("share/man/man1/mindstream.1", "share/man/man5/mindstream.properties.5", "share/bash-completion/completions/mindstream",
                 "share/doc/mindstream/examples/mindstream.properties.sample"):
        text = (prefix / name).read_text(encoding="utf-8")
        check(f"{name} names no other prefix", not re.search(r"/usr/(local/)?(bin|share|lib)/\S*mindstream", text))


def check_symbols(prefix):
    """Both libraries show what the headers declare, and nothing else."""
    declared = declared_functions(prefix)
    check("functions are declared", len(declared) > 20, declared)
    library = prefix / one_file(prefix, "lib/**/libmindstream.so.*.*.*")
    shown = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    check("the shared library exports the declared functions alone", shown == declared, shown ^ declared)
    version = ".".join(library.name.split(".so.")[1].split(".")[:1])
    check("the library's SONAME", f"Library soname: [libmindstream.so.{version}]" in run("readelf", "-d", library))
    archive = prefix / one_file(prefix, "lib/**/libmindstream.a")
    shown = {line.split()[-1] for line in run("nm", "-g", "--defined-only", archive).splitlines() if len(line.split()) == 3}
    check("the static library too", shown == declared, shown ^ declared)
    needed = run("readelf", "-d", library)
    check("the library needs no Kafka and no RocksDB", not re.search(r"NEEDED.*(rdkafka|rocksdb)", needed), needed)


def build_with_pkgconfig(prefix, out, *link):
    """consumer.c built with what pkg-config says about |prefix|."""
    environment = {**os.environ, "PKG_CONFIG_PATH": str(next(prefix.glob("lib*/**/pkgconfig"))), "LC_ALL": "C"}
    flags = run("pkg-config", "--cflags", *link, "--libs", "mindstream", env=environment).split()
    folders = [os.path.normpath(flag[2:]) for flag in flags if flag.startswith("-I")]
    check("pkg-config names the prefix where it is", str(prefix / "include") in folders, flags)
    check("a shared link names no library of libmindstream's own", link or "-ljansson" not in flags, flags)
    run(CC, "-std=c11", "-Wall", "-Werror", "-o", out, HERE / "consumer.c", *flags)
    return out


def build_with_cmake(prefix, directory):
    """consumer.c built with find_package, shared and static."""
    directory.mkdir()
    shutil.copy(HERE / "consumer.c", directory)
    shutil.copy(HERE / "CMakeLists.consumer.txt", directory / "CMakeLists.txt")
    run(CMAKE, "-S", directory, "-B", directory / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={CC}")
    run(CMAKE, "--build", directory / "build")
    return directory / "build/consumer_shared", directory / "build/consumer_static"


def check_consumer(binary, library, model, items, line):
    """The consumer gives the vectors of |line|, a record of `mindstream extract`, and decodes it."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    if library:
        environment["LD_LIBRARY_PATH"] = str(library)
    linked = run("ldd", binary, env=environment)
    check(f"{binary.name} is linked as asked", ("libmindstream.so" in linked) == bool(library), linked)
    printed = run(binary, model, *items, input=line, env=environment)
    got = np.array([row.split() for row in printed.splitlines()], dtype=np.float32)
    interests = json.loads(line)["interests"]
    expected = np.array([[one["weight"], *one["vector"]] for one in interests], dtype=np.float32)
    check(f"{binary.name}: the vectors of mindstream extract", len(interests) > 1 and np.array_equal(got, expected), got, expected)
    wrong = subprocess.run([binary, model, *items[:-1]], input=line, capture_output=True, text=True, env=environment)
    check(f"{binary.name}: another history is not taken for this one", wrong.returncode == 1, wrong.stdout)
    wrong = subprocess.run([binary, model / "missing", *items], input=line, capture_output=True, text=True, env=environment)
    check(f"{binary.name}: a missing model is an error", wrong.returncode in (1, 2) and "missing" in wrong.stderr, wrong.stderr)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        prefix = scratch / "prefix"
        run(CMAKE, "--install", BUILD, "--prefix", prefix)
        check_files(prefix)
        check_paths(prefix)
        check_symbols(prefix)

        # The same files elsewhere, and without the shared library.
        moved = scratch / "moved"
        shutil.copytree(prefix, moved, symlinks=True)
        for path in moved.glob("lib*/**/libmindstream.so*"):
            path.unlink()

        binary = prefix / "bin/mindstream"
        model = scratch / "model"
        run(binary, "generate", "--users", 20, "--items", 300, "--events", 500, "--seed", 7, "--model-out", model)
        items = (model / "items.txt").read_text(encoding="utf-8").split()[5:17]
        line = run(binary, "extract", "--model", model, input=json.dumps({"user_id": "u1", "items": items}) + "\n")

        library = next(prefix.glob("lib*/**/libmindstream.so")).parent
        check_consumer(build_with_pkgconfig(prefix, scratch / "by_pkgconfig"), library, model, items, line)
        check_consumer(build_with_pkgconfig(moved, scratch / "by_pkgconfig_static", "--static"), None, model, items, line)
        shared, static = build_with_cmake(prefix, scratch / "project")
        check_consumer(shared, library, model, items, line)
        check_consumer(static, None, model, items, line)
    return 1 if failures else 0


sys.exit(main())
