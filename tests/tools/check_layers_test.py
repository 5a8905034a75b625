"""tools/check-layers on small trees: a clean one passes, and one with a single breach reports that breach and no other."""
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).parents[2] / "tools/check-layers"

CLEAN = {
    "include/mindstream/status.h": "#include <stddef.h>\n",
    "include/mindstream/model.h": '#include "mindstream/status.h"\n',
    "include/mindstream/extract.h": '#include "mindstream/model.h"\n',
    "include/mindstream/record.h": '#include "mindstream/extract.h"\n#include "mindstream/status.h"\n',
    "src/base/log.c": '#include <time.h>\n#include "mindstream/status.h"\nvoid now(void) { clock_gettime(0, 0); }\n',
    "src/base/log.h": "",
    "src/event/decode.c": '#include "base/log.h"\n/* fopen() is not called */\n',
    "src/interest/mind/mind.c": '#include "base/log.h"\n#include "mindstream/extract.h"\n',
    "src/state/store.c": "#include <rocksdb/c.h>\n",
    "src/stream/engine.c": '#include "state/store.h"\n#include "stream/engine.h"\n',
    "src/stream/kafka/worker.c": '#include <librdkafka/rdkafka.h>\n#include "stream/engine.h"\n#include "stream/kafka/worker.h"\n',
    "src/stream/CMakeLists.txt": "ms_layer(stream engine.c\n  DEPENDS ms_state ms_base)\n",
    "src/app/main.c": '#include "stream/kafka/worker.h"\n#include "view/user.h"\n#include "synth/zipf.h"\n',
}

# What is done to the clean tree: (file, its text, line and words of the breach).
BREACHES = [
    ("src/base/index.c", '\n#include "event/decode.h"\n', 2, "base must not include event/decode.h"),
    ("src/base/index.c", '#include "mindstream/model.h"\n', 1, "base must not include mindstream/model.h: it belongs to model"),
    ("src/model/load.c", '#include "mindstream/extract.h"\n', 1, "model must not include mindstream/extract.h: it belongs to interest"),
    ("src/interest/mind/fold.c", '#include "mindstream/record.h"\n', 1, "interest must not include mindstream/record.h: it belongs to record"),
    ("src/interest/mind/fold.c", '#include "user/user.h"\n', 1, "interest must not include user/user.h"),
    ("src/interest/mind/fold.c", "#include <pthread.h>\n", 1, "interest is pure and must not include pthread.h"),
    ("src/interest/mind/fold.c", "int f(void)\n{\n    return rand();\n}\n", 3, "interest is pure and must not call rand()"),
    ("src/record/encode.c", '#include "model/items.h"\n', 1, "record must not include model/items.h"),
    ("src/view/json.c", '#include "stream/engine.h"\n', 1, "view must not include stream/engine.h"),
    ("src/synth/zipf.c", '#include "interest/kernels.h"\n', 1, "synth must not include interest/kernels.h"),
    ("src/train/scorer.c", '#include "state/store.h"\n', 1, "train must not include state/store.h"),
    ("src/stream/publish.c", "#include <librdkafka/rdkafka.h>\n", 1, "only src/stream/kafka includes librdkafka"),
    ("src/stream/publish.c", '#include "stream/kafka/worker.h"\n', 1, "stream must not include stream/kafka/worker.h"),
    ("src/stream/publish.c", "#include <rocksdb/c.h>\n", 1, "only src/state includes rocksdb"),
    ("src/serve/http.c", '#include "app/options.h"\n', 1, "serve must not include app/options.h"),
    ("src/stream/CMakeLists.txt", "ms_layer(stream a.c\n  DEPENDS ms_app)\n", 1, "stream must not depend on ms_app"),
    ("src/stream/CMakeLists.txt", "\nms_layer(stream a.c\n  DEPENDS PkgConfig::RDKAFKA)\n", 2, "only stream/kafka links RDKAFKA"),
    ("src/user/CMakeLists.txt", "ms_layer(user a.c DEPENDS PkgConfig::ROCKSDB)\n", 1, "only state links ROCKSDB"),
    ("src/odd/odd.c", "", 1, "src/odd is no layer"),
    ("src/user/apply.c", '#include "mindstream/odd.h"\n', 1, "mindstream/odd.h belongs to no layer"),
    ("include/mindstream/odd.h", "", 1, "mindstream/odd.h belongs to no layer"),
    ("include/mindstream/model.h", '#include "mindstream/extract.h"\n', 1, "model must not include mindstream/extract.h"),
    ("include/mindstream/model.h", '#include "base/index.h"\n', 1, "a public header must not include base/index.h"),
    ("include/mindstream/record.h", "#include <rocksdb/c.h>\n", 1, "a public header must not include rocksdb/c.h"),
]

failures = []


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def check_tree(files):
    """What the tool answers for a tree of |files|."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            path = pathlib.Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return run(directory)


done = check_tree(CLEAN)
check("a clean tree passes", done.returncode == 0 and done.stdout == f"layers: {len(CLEAN)} files, 0 breaches\n", done.stdout, done.stderr)
for name, text, line, words in BREACHES:
    done = check_tree({**CLEAN, name: text})
    lines = done.stdout.splitlines()
    check(f"{name}: {words}", done.returncode == 1 and len(lines) == 2 and lines[0].startswith(f"{name}:{line}: ") and words in lines[0],
          done.stdout, done.stderr)
check("a tree without sources is no success", check_tree({"src/README": ""}).returncode == 1)
check("--help", run("--help").returncode == 0)
check("bad usage", run("--odd").returncode == 2 and run("a", "b").returncode == 2)
sys.exit(1 if failures else 0)
