"""Each public header compiles alone, as C11, C17 and C++17, without a warning; its functions are declared between
MS_API_BEGIN and MS_API_END; and it shows no type of Kafka or RocksDB. Usage: public_headers_test.py CC CXX"""
import pathlib
import re
import subprocess
import sys

INCLUDE = pathlib.Path(__file__).parents[2] / "include"
CC, CXX = sys.argv[1:3]
LANGUAGES = {"C11": (CC, "c", "c11"), "C17": (CC, "c", "c17"), "C++17": (CXX, "c++", "c++17")}
FUNCTION = re.compile(r"\bms_\w+\s*\(", re.S)
COMMENT = re.compile(r"/\*.*?\*/", re.S)

failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


headers = sorted((INCLUDE / "mindstream").glob("*.h"))
check("headers", len(headers) >= 6, headers)
for header in headers:
    for name, (compiler, language, standard) in LANGUAGES.items():
        done = subprocess.run([compiler, "-x", language, f"-std={standard}", "-pedantic-errors", "-Wall", "-Wextra", "-Werror",
                               "-fsyntax-only", "-I", INCLUDE, "-"], input=f'#include "mindstream/{header.name}"\nint main(void);\n',
                              capture_output=True, text=True)
        check(f"{header.name} alone as {name}", done.returncode == 0, done.stderr)
    text = COMMENT.sub("", header.read_text(encoding="utf-8"))
    check(f"{header.name} names no Kafka and no RocksDB", not re.search(r"rd_kafka|rdkafka|rocksdb", text, re.I))
    if header.name != "api.h":
        inside = "".join(re.findall(r"^MS_API_BEGIN$(.*?)^MS_API_END$", text, re.S | re.M))
        outside = re.sub(r"^MS_API_BEGIN$.*?^MS_API_END$", "", text, flags=re.S | re.M)
        check(f"{header.name} declares nothing outside of MS_API_BEGIN", not FUNCTION.search(outside), outside)
        check(f"{header.name} includes nothing inside of MS_API_BEGIN", "#include" not in inside)
sys.exit(1 if failures else 0)
