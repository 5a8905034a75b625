"""Random .properties files, read by mindstream's reader and by java.util.Properties. Exit status 77 (skipped) without a JDK.
Usage: properties_test.py DUMP_BINARY PropertiesDump.java"""
import glob
import os
import random
import subprocess
import sys
import tempfile

DUMP, JAVA_SOURCE = sys.argv[1:]
FILES = 600
PIECES = ["a", "b", "key", "value", "é", "€", "😀", "=", ":", " ", "\t", "\f", "\v", "\n", "\r", "\r\n", "#", "!", "\\", "\\\\", "\\\n",
          "\\\r\n", "\\\r", "\\n", "\\t", "\\r", "\\f", "\\ ", "\\=", "\\:", "\\#", "\\z", "\\u0041", "\\u00e9", "\\u20aC", "\\ud83d\\ude00",
          "\\u005c", "\\u003d", "\\u0020", "\\u000a", "\n", "\n", "=", " "]
RARE = ["\\u12", "\\uu", "\\u000g", "\\ud83d", "\\ude00", "\\u0000", "\0", "\\U0041"]


def find_jdk():
    """A java that can run a source file; None when there is none."""
    for javac in sorted(glob.glob("/usr/lib/jvm/*/bin/javac")) + glob.glob(os.path.join(os.environ.get("JAVA_HOME", "/-"), "bin/javac")):
        return os.path.join(os.path.dirname(javac), "java")
    return None


def random_file(rng):
    pieces = PIECES + (RARE if rng.random() < 0.25 else [])
    return "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 60)))


def by_file(text):
    """The lines of each file. A pair of nothing is left out: Java finds one where a file ends with a backslash."""
    return [[line for line in part.splitlines()[1:] if line != " "] for part in ("\n" + text).split("\nfile ")[1:]]


java = find_jdk()
if not java:
    print("no JDK in /usr/lib/jvm: nothing to compare with")
    sys.exit(77)
rng = random.Random(11)
with tempfile.TemporaryDirectory() as folder:
    texts, paths = [random_file(rng) for _ in range(FILES)], []
    for i, text in enumerate(texts):
        paths.append(os.path.join(folder, f"{i}.properties"))
        with open(paths[-1], "w", encoding="utf-8", newline="") as file:
            file.write(text)
    ours = by_file(subprocess.run([DUMP, *paths], capture_output=True, text=True, check=True).stdout)
    theirs = by_file(subprocess.run([java, JAVA_SOURCE, *paths], capture_output=True, text=True, check=True).stdout)
failures = [i for i in range(FILES) if ours[i] != theirs[i]]
for i in failures[:5]:
    print("FAILED:", repr(texts[i]), "\n  ours:", ours[i], "\n  java:", theirs[i])
pairs, refused = sum(len(lines) for lines in ours), sum(lines[-1:] == ["error"] for lines in ours)
print(f"{FILES} files, {pairs} lines, {refused} refused, {len(failures)} differ")
assert pairs > FILES and refused > 10, "the files say too little"
sys.exit(1 if failures else 0)
