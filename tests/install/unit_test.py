"""The systemd unit as it is installed: its paths follow the prefix, systemd finds no fault in it, the service is exposed to little,
and every system call of the service is one that the unit allows. Usage: unit_test.py BUILD_DIRECTORY CMAKE [traced]"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, CMAKE = sys.argv[1:3]
EXPOSURE_MAX = 1.5  # of 10, by systemd-analyze security
failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def run(*command, **more):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, **more)


def install(root, prefix):
    """Installs for |prefix|, below |root| where one is given; where the unit is and what it says."""
    done = run(CMAKE, "--install", BUILD, "--prefix", prefix, env={**os.environ, **({"DESTDIR": str(root)} if root else {})})
    if done.returncode:
        sys.exit(f"FAILED: cmake --install: {done.stdout}")
    path = pathlib.Path(f"{root or ''}{prefix}/lib/systemd/system/mindstream.service")
    return path, path.read_text(encoding="utf-8")


def values(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit, re.M)


def check_paths(scratch):
    for prefix, settings in (("/usr", "/etc"), ("/usr/local", "/usr/local/etc"), ("/opt/mindstream", "/etc/opt/mindstream"),
                             ("/srv/a b", "/srv/a b/etc")):
        unit = install(scratch / "root", prefix)[1]
        quoted = [f'"{path}"' if " " in path else path for path in (f"{prefix}/bin/mindstream", f"{settings}/mindstream/mindstream.properties")]
        check(f"{prefix}: command", values(unit, "ExecStart") == [f"{quoted[0]} run -c {quoted[1]}"], values(unit, "ExecStart"))
        check(f"{prefix}: environment", values(unit, "EnvironmentFile") == [f"-{settings}/mindstream/environment"], unit)
        check(f"{prefix}: no other place", not re.search(r"@\w+@", unit) and ("/etc/mindstream" not in unit.replace(settings, "")), unit)


def check_faults(path, unit):
    done = run("systemd-analyze", "verify", "--man=no", path)
    check("systemd-analyze verify", done.returncode == 0 and not done.stdout, done.stdout)
    check("what needs a person is not started again", [value.split() for value in values(unit, "RestartPreventExitStatus")] == [["2", "3"]])
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", path)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    check("the exposure is told", found, done.stdout)
    if found:
        print(f"exposure {found[1]}, at most {EXPOSURE_MAX}")
        check("the exposure", float(found[1]) <= EXPOSURE_MAX, done.stdout)


def calls_of(group):
    calls = set()
    for word in run("systemd-analyze", "syscall-filter", "--no-pager", group).stdout.split("\n"):
        word = word.strip()
        if word.startswith("@") and word != group:
            calls |= calls_of(word)
        elif word and word[0] not in "@#":
            calls.add(word)
    return calls


def check_calls(unit, binary, scratch):
    """The demo runs all that the service does, and a broker."""
    allowed = calls_of("@default")
    for words in values(unit, "SystemCallFilter"):
        for group in words.lstrip("~").split():
            allowed = allowed - calls_of(group) if words[0] == "~" else allowed | calls_of(group)
    check("calls are allowed", "mbind" in allowed and "mount" not in allowed, len(allowed))
    log = scratch / "calls"
    done = run("strace", "-f", "-c", "-o", log, binary, "demo", "--seconds", "1", "--rate", "500")
    check("the demo runs", done.returncode == 0, done.stdout[-2000:])
    table = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    used = {line.split()[-1] for line in table if re.match(r"^ *[0-9.]+ ", line)} - {"total"}
    check("calls were seen", {"futex", "openat", "socket"} <= used, table)
    check("the unit allows all that is called", used <= allowed, sorted(used - allowed))


def main():
    for tool in ("systemd-analyze", "strace"):
        if not shutil.which(tool):
            sys.exit(f"FAILED: {tool} is missing: tools/install test")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        check_paths(scratch)
        prefix = scratch / "prefix"
        path, unit = install(None, prefix)
        check_faults(path, unit)
        if sys.argv[3:] == ["traced"]:
            check_calls(unit, prefix / "bin/mindstream", scratch)
    return 1 if failures else 0


sys.exit(main())
