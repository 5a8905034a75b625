"""tools/check-objects on small projects that are compiled here: a clean one passes; circles and upward edges are found,
each with the symbols that make it."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).parents[2] / "tools/check-objects"

CLEAN = {
    "base/log.c": "int ms_level; void ms_log(void) {}\n",
    "base/twice.cc": "template <typename T> T twice(T x) { return x + x; }\ntemplate int twice<int>(int);\n"
                     'extern "C" int ms_twice(int x) { return twice(x); }\n',
    "base/same.cc": "template <typename T> T twice(T x) { return x + x; }\ntemplate int twice<int>(int);\n"
                    'extern "C" int ms_twice(int);\nextern "C" int ms_same(int x) { return twice(x) + ms_twice(x); }\n',
    "event/decode.c": "void ms_log(void); extern int ms_level; void ms_decode(void) { if (ms_level) ms_log(); }\n",
    "event/path.c": "void ms_decode(void); void ms_path(void) { ms_decode(); }\n",
    "stream/kafka/worker.c": "void ms_engine(void); void ms_worker(void) { ms_engine(); }\n",
    "stream/engine.c": "void ms_decode(void); static void helper(void) { ms_decode(); } void ms_engine(void) { helper(); }\n",
    "app/main.c": "void ms_worker(void); int main(void) { ms_worker(); return 0; }\n",
}

# What replaces files of the clean project, and what must be printed for it.
CASES = {
    "a circle of two": (
        {"event/decode.c": "void ms_path(void); void ms_decode(void) { ms_path(); }\n"},
        ["circle between 2 files of src/event: event/decode.c, event/path.c",
         "event/decode.c needs event/path.c for ms_path", "event/path.c needs event/decode.c for ms_decode",
         "1 circles, 0 upward edges"]),
    "a circle of three, through data and a function pointer": (
        {"base/log.c": "extern int ms_a; int *ms_log(void) { return &ms_a; }\n",
         "base/a.c": "void ms_b(void); int ms_a; void (*ms_pointer)(void) = ms_b;\n",
         "base/b.c": "int *ms_log(void); void ms_b(void) { ms_log(); }\n",
         "event/decode.c": "void ms_decode(void) {}\n"},
        ["circle between 3 files of src/base: base/a.c, base/b.c, base/log.c", "base/a.c needs base/b.c for ms_b",
         "base/b.c needs base/log.c for ms_log", "base/log.c needs base/a.c for ms_a", "1 circles, 0 upward edges"]),
    "an upward edge between folders": (
        {"base/log.c": "int ms_level; void ms_path(void); void ms_log(void) { ms_path(); }\n"},
        ["upward: base/log.c needs event/path.c for ms_path", "0 circles, 1 upward edges"]),
    "a circle with a sub-folder is upward too": (
        {"stream/engine.c": "void ms_worker(void); void ms_engine(void) { ms_worker(); }\n"},
        ["upward: stream/engine.c needs stream/kafka/worker.c for ms_worker",
         "circle between 2 files of src/stream: stream/engine.c, stream/kafka/worker.c", "1 circles, 1 upward edges"]),
    "a weak definition counts where there is no strong one": (
        {"base/log.c": "int ms_level; void ms_log(void) {} void ms_hook(void); void ms_use(void) { ms_hook(); }\n",
         "event/path.c": "__attribute__((weak)) void ms_hook(void) {}\n"},
        ["upward: base/log.c needs event/path.c for ms_hook", "0 circles, 1 upward edges"]),
    "a weak definition stands back behind a strong one": (
        {"base/log.c": "int ms_level; void ms_log(void) {} void ms_hook(void); void ms_use(void) { ms_hook(); }\n",
         "base/hook.c": "void ms_hook(void) {}\n",
         "event/path.c": "__attribute__((weak)) void ms_hook(void) {}\n"},
        ["0 circles, 0 upward edges"]),
    "a weak reference is an edge": (
        {"base/log.c": "int ms_level; void ms_log(void) {} __attribute__((weak)) void ms_path(void);"
                       " void ms_use(void) { if (ms_path) ms_path(); }\n"},
        ["upward: base/log.c needs event/path.c for ms_path", "0 circles, 1 upward edges"]),
    "a common symbol is a definition": (
        {"base/log.c": "int ms_level; void ms_log(void) {} extern int ms_common; int ms_use(void) { return ms_common; }\n",
         "event/path.c": "int ms_common;\n"},
        ["upward: base/log.c needs event/path.c for ms_common", "0 circles, 1 upward edges"]),
    "a folder that is no layer": (
        {"odd/odd.c": "int ms_odd;\n"},
        ["src/odd is no layer that tools/layers.py knows", "0 circles, 0 upward edges"]),
}

failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def check_project(files, compiled=True):
    """What the tool answers for a project of |files|, by their paths in src/."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        build = root / "build/dev"
        commands = []
        for number, (name, text) in enumerate(files.items()):
            source, output = root / "src" / name, f"{number}.o"
            source.parent.mkdir(parents=True, exist_ok=True)
            build.mkdir(parents=True, exist_ok=True)
            source.write_text(text, encoding="utf-8")
            command = ["c++" if name.endswith(".cc") else "cc", "-O0", "-fcommon", "-o", output, "-c", str(source)]
            if compiled:
                subprocess.run(command, cwd=build, check=True)
            commands.append({"directory": str(build), "command": " ".join(command), "file": str(source), "output": output})
        (build / "compile_commands.json").write_text(json.dumps(commands), encoding="utf-8")
        return run("--root", root)


os.environ["LC_ALL"] = "C"
done = check_project(CLEAN)
check("a clean project passes", done.returncode == 0 and
      done.stdout == f"objects: {len(CLEAN)} files, 6 edges, 0 circles, 0 upward edges\n", done.stdout, done.stderr)
for name, (changed, expected) in CASES.items():
    done = check_project({**CLEAN, **changed})
    fails = not expected[-1].startswith("0 circles, 0") or "no layer" in expected[0]
    check(name, done.returncode == int(fails) and all(text in done.stdout for text in expected), done.stdout, done.stderr)
check("a project that is not built", check_project(CLEAN, compiled=False).returncode == 2)
check("no build directory", run("no/such/directory").returncode == 2)
check("--help", run("--help").returncode == 0 and "circle" in run("--help").stdout)
sys.exit(1 if failures else 0)
