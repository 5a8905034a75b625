"""tools/check calls passed only what ran, wherever the tree lies: in a folder with blanks and an apostrophe, and unpacked from an
archive, which is no git checkout. On small trees of its own, with tests that pass, fail, skip themselves and cannot run."""
import glob
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = "int f(void);\nint f(void)\n{\n    return 1;\n}\n"
BAD = "int f( void ) { return 1; }\n"
failures = []

PRESETS = {"version": 6,
           "configurePresets": [{"name": name, "generator": "Ninja", "binaryDir": f"${{sourceDir}}/build/{name}",
                                 "cacheVariables": {"CMAKE_EXPORT_COMPILE_COMMANDS": "ON"}} for name in ("dev", "release")],
           "buildPresets": [{"name": name, "configurePreset": name} for name in ("dev", "release")],
           "testPresets": [{"name": "dev", "configurePreset": "dev"}]}
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(small C)
enable_testing()
add_library(small src/base/a.c)
add_custom_command(TARGET small POST_BUILD VERBATIM COMMAND ${CMAKE_COMMAND} -D BINARY=${CMAKE_SOURCE_DIR}/cases -D NAME=cmocka
  -D LABEL=unit -D TIMEOUT=10 -D OUT=${CMAKE_BINARY_DIR}/cases.cmake -P ${CMAKE_SOURCE_DIR}/tests/cases.cmake)
set_property(DIRECTORY PROPERTY TEST_INCLUDE_FILES ${CMAKE_BINARY_DIR}/cases.cmake)
"""
CASES = """#!/bin/sh
case $1 in
--list) echo "case runs"; echo "case skips" ;;
skips) echo "[  SKIPPED ] skips" ;;
esac
"""
# A test's command and properties.
TESTS = {"it's good": ("true", ""), "bad": ("false", ""), "code 77": ('sh -c "exit 77"', "SKIP_RETURN_CODE 77"), "disabled": ("true", "DISABLED TRUE"),
         "no such program": ("/nonexistent/x", ""), "hangs": ("sleep 20", "TIMEOUT 1"), "no such file": ("true", "REQUIRED_FILES /nonexistent/y")}


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def make_tree(scratch, name, tests=(), **files):
    """A tree of |files| (a_c is src/base/a.c) and ctest entries |tests|, with the tools of the real one."""
    tree = scratch / name
    (tree / "src/base").mkdir(parents=True)
    for folder in ("include", "tests", "tools"):
        (tree / folder).mkdir()
    for tool in ("check", "check-layers", "check-objects", "layers.py", "install", "packages"):
        shutil.copy(ROOT / "tools" / tool, tree / "tools")
    shutil.copy(ROOT / "tests/cases.cmake", tree / "tests")
    shutil.copy(ROOT / ".clang-format", tree)
    for file, text in files.items():
        (tree / "src/base" / file.replace("_", ".")).write_text(text)
    (tree / "CMakePresets.json").write_text(json.dumps(PRESETS))
    (tree / "cases").write_text(CASES)
    (tree / "cases").chmod(0o755)
    project = PROJECT
    for test in tests:
        command, properties = TESTS[test]
        project += f'add_test(NAME "{test}" COMMAND {command})\n'
        project += f'set_tests_properties("{test}" PROPERTIES {properties})\n' if properties else ""
    (tree / "CMakeLists.txt").write_text(project)
    return tree


def run(tree, *arguments, caller="/"):
    done = subprocess.run([tree / "tools/check", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=250,
                          stdin=subprocess.DEVNULL, cwd=caller)
    return done.returncode, done.stdout


def counted(what, tree, stage, last, code, *texts):
    status, out = run(tree, "--only", stage)
    check(what, status == code and out.splitlines()[-1] == last and all(text in out for text in texts), status, out)


def check_format(scratch):
    for name in ("plain", "it's a clone", 'two  blanks and a "quote"'):
        counted(f"{name}: laid out", make_tree(scratch, f"{name} 1", a_c=GOOD), "static", "2 passed, 0 failed", 0, "format: 1 files")
        counted(f"{name}: not laid out", make_tree(scratch, f"{name} 2", a_c=GOOD, b_h=BAD), "static", "1 passed, 1 failed", 1,
                "src/base/b.h", "FAILED: format")
    counted("no source at all", make_tree(scratch, "empty"), "static", "0 passed, 2 failed", 1, "FAILED: format", "FAILED: layers")
    tree = make_tree(scratch, "ignored by a repository around it", a_c=BAD)
    for command in (["git", "init", "-q", str(scratch)], ["git", "-C", str(scratch), "config", "core.excludesFile", str(scratch / "all")]):
        subprocess.run(command, check=True)
    (scratch / "all").write_text("*\n")
    counted("a tree that git ignores", tree, "static", "1 passed, 1 failed", 1, "src/base/a.c")


def check_tests(scratch):
    good, bad = ["it's good"], ["bad", "no such program", "hangs", "no such file"]
    skipped = ["code 77", "disabled"]
    # 'objects' passes beside them, and one of two cases of the cmocka binary.
    counted("tests that pass and skip", make_tree(scratch, "it's", good + skipped, a_c=GOOD), "dev", "3 passed, 0 failed, 3 skipped", 0,
            "SKIPPED: dev: code 77", "SKIPPED: dev: disabled", "SKIPPED: dev: cmocka.skips")
    counted("tests that fail", make_tree(scratch, "all", good + bad + skipped, a_c=GOOD), "dev", "3 passed, 4 failed, 3 skipped", 1,
            "FAILED: dev: bad no such program hangs no such file")
    tree = make_tree(scratch, "none", skipped, a_c=GOOD)
    (tree / "cases").write_text(CASES.replace('echo "case runs"; ', ""))
    counted("only tests that skip", tree, "dev", "1 passed, 1 failed, 3 skipped", 1, "FAILED: dev: no test ran")
    counted("what does not build", make_tree(scratch, "broken", good, a_c="int"), "dev", "0 passed, 1 failed", 1, "FAILED: build dev")


# A test of the kafka stage: the library that is loaded by its usual name is the one that was asked for.
LOADS = """add_test(NAME loads COMMAND /usr/bin/python3 -c "
import ctypes, os
library = ctypes.CDLL('librdkafka.so.1')
library.rd_kafka_version_str.restype = ctypes.c_char_p
assert library.rd_kafka_version_str().decode() == os.environ['LIBRDKAFKA_VERSION']
assert '/a wheel/x.libs/librdkafka-1234.so.1' in open('/proc/self/maps').read()")
set_tests_properties(loads PROPERTIES LABELS kafka)
"""


def check_librdkafka(scratch):
    tree = make_tree(scratch, "tree", a_c=GOOD)
    (tree / "tools/kafka").write_text("#!/bin/sh\n")
    (tree / "tools/kafka").chmod(0o755)
    (tree / "CMakeLists.txt").write_text((tree / "CMakeLists.txt").read_text() + LOADS)
    wheel = tree / "a wheel/x.libs"
    wheel.mkdir(parents=True)
    status, out = run(tree, "--only", "kafka", "--librdkafka", "a wheel", caller=tree)
    check("a folder without the library", status == 1 and "no librdkafka.so.1 in" in out and "0 passed, 1 failed" in out, status, out)
    installed = glob.glob("/usr/lib/*/librdkafka.so.1")
    check("librdkafka is installed", installed)
    shutil.copy(installed[0], wheel / "librdkafka-1234.so.1")
    status, out = run(tree, "--only", "kafka", "--librdkafka", "a wheel", caller=tree)
    check("the library of a wheel", status == 0 and "kafka: librdkafka " in out and "1 passed, 0 failed" in out, status, out)
    status, out = run(tree, "--only", "kafka")
    check("without the option", status == 1 and "0 passed, 1 failed" in out, status, out)


def check_usage(scratch):
    tree = make_tree(scratch, "usage", a_c=GOOD)
    for words in (["--only", "nothing"], ["--only"], ["--librdkafka"], ["--librdkafka", "/nonexistent"], ["--frob"]):
        status, out = run(tree, *words)
        check(f"{words} is refused", status == 2, status, out)
    status, out = run(tree, "--only", "")
    check("nothing to run is no success", status == 1 and out.splitlines()[-1] == "0 passed, 0 failed", status, out)


with tempfile.TemporaryDirectory() as name:
    for part in (check_format, check_tests, check_librdkafka, check_usage):
        folder = pathlib.Path(name) / part.__name__
        folder.mkdir()
        part(folder)
sys.exit(1 if failures else 0)
