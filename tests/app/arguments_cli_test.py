"""The argument tables of all commands from outside: every --help mentions every row, every row refuses a bad value with
one line and status 2, and the bash completion offers what the tables have.
Usage: arguments_cli_test.py CONF_DIRECTORY, with the binary in MINDSTREAM."""
import json
import os
import re
import subprocess
import sys
import tempfile

BINARY = os.environ["MINDSTREAM"]
CONF = os.path.abspath(sys.argv[1])
failures = []
checks = 0


def run(*arguments):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MINDSTREAM")}
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, env=clean, stdin=subprocess.DEVNULL,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def check(what, held, *seen):
    global checks
    checks += 1
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def check_error(arguments, *texts):
    status, out, err = run(*arguments)
    check(f"refused: {arguments}", status == 2 and out == "" and err.count("\n") == 1 and all(text in err for text in texts),
          (status, out, err), texts)


def words_of(command):
    return command["command"].split()[1:]


def options_of(command):
    return [row for row in command["arguments"] if not row["positional"]]


def with_required(command, without=None):
    """A call that lacks nothing but |without|. No file of it exists, so that nothing runs for long."""
    words = words_of(command)
    for row in command["arguments"]:
        if row["required"] and row is not without:
            value = str(row.get("min", "/nonexistent/x"))
            words += [value] if row["positional"] else [f"--{row['name']}", value]
    return words


def check_help(command):
    words = words_of(command)
    status, out, err = run(*words, "--help")
    check(f"{words} --help", status == 0 and err == "" and "\nExamples:\n" in out and "\nExit status: 0 " in out, err)
    check(f"{words} -h", run(*words, "-h") == (0, out, ""))
    check(f"help {words}", run("help", *words) == (0, out, ""))
    check(f"{words}: usage", out.startswith(f"Usage: {command['usage']}\n"), out)
    check(f"{words}: help before the rest", run(words[0], "--help", *words[1:]) == (0, out, ""))
    for row in command["arguments"]:
        name = row["name"] if row["positional"] else f"--{row['name']}"
        letter = f"-{row['letter']}, " if "letter" in row else ""
        check(f"{words}: help of {name}", re.search(rf"^ +{letter}{name}( |$)", out, re.M) and len(row["help"]) > 4, out)
        flat = " ".join(out.split())
        if "min" in row and row["kind"] == "integer" and row["max"] < 2**63 - 1:
            check(f"{words}: range of {name}", f"{row['min']} to {row['max']}" in flat, out)
        if row.get("default"):
            check(f"{words}: default of {name}", f"default {row['default']}" in flat, out)
    check("no line is longer than 120 columns", max(map(len, out.splitlines())) <= 120, max(out.splitlines(), key=len))
    examples = out[out.index("\nExamples:\n"):out.index("\nExit status:")]
    check(f"{words}: examples are of this command", command["command"] in examples, examples)


def last_positional(command):
    """Positional words fill up from the first, so with one too few the last is missing."""
    return [row["name"] for row in command["arguments"] if row["positional"]][-1]


BAD = {"integer": ["x", "1.5", "99999999999999999999", ""], "real": ["x", "nan", "-0.5", ""], "choice": ["nonsense", ""],
       "file": [""], "directory": [""], "key=value": ["x", "=x"], "list": ["1.1x", "0"]}


def check_bad_values(command):
    for row in command["arguments"]:
        bad = list(BAD.get(row["kind"], []))
        if row["kind"] == "integer":
            bad += [str(row["min"] - 1), str(row["max"] + 1)]
        if row["kind"] == "real":
            bad.append(str(row["max"] + 0.001))
        for value in bad:
            if row["positional"]:
                check_error([*with_required(command, row), value], last_positional(command))
                continue
            name = f"--{row['name']}"
            # A setting may be a secret, so that it is not shown.
            shown = "KEY=VALUE" if row["kind"] == "key=value" else value or "''"
            check_error([*with_required(command, row), name, value], f"mindstream {' '.join(words_of(command))}: {name}", shown)
            check_error([*with_required(command, row), f"{name}={value}"], name, shown)


def check_shapes(command):
    """Missing values, values that nobody asked for, missing and stray arguments, and options that are not there."""
    words = words_of(command)
    names = {row["name"] for row in command["arguments"]}
    for row in command["arguments"]:
        name = row["name"] if row["positional"] else f"--{row['name']}"
        if row["required"]:
            check_error(with_required(command, row), last_positional(command) if row["positional"] else name, "is missing")
        if row["positional"]:
            continue
        if row["kind"] == "flag":
            check_error([*words, f"{name}=yes"], f"{name} takes no value")
        else:
            check_error([*words, name], f"{name} needs ")
        if len(row["name"]) > 3 and row["name"][:-1] not in names:  # an abbreviation is refused, and leads to the name
            check_error([*words, name[:-1]], f"unknown option {name[:-1]} (did you mean --")
        swapped = f"{name[:-2]}{name[-1]}{name[-2]}"
        if len(row["name"]) > 5 and swapped != name:  # shorter names are near to each other
            check_error([*words, swapped], f"unknown option {swapped} (did you mean {name}?)")
    check_error([*words, "--zzzzzzzz"], f"mindstream {' '.join(words)}: unknown option --zzzzzzzz;", "--help")
    check_error([*words, "-xyz"], "unknown option -x in -xyz")
    check_error([*with_required(command), "one", "more"], "'one'")


def check_ends(commands):
    """Values at the very limit are legal: what comes back is not status 2."""
    demo = {row["name"]: row for row in commands["mindstream demo"]["arguments"]}
    check("limits of demo", demo["seconds"]["min"] == 1 and demo["rate"]["max"] == 200000)
    generate = ["generate", "--users", "1", "--items", "1", "--events", "0"]
    for row in options_of(commands["mindstream generate"]):
        if row["kind"] not in ("integer", "real") or row["name"] == "events":
            continue
        for value in (row["min"], row["max"]):
            check(f"generate --{row['name']} {value}", run(*generate, f"--{row['name']}", str(value))[0] == 0)
    for name, option, low, high in (("extract --model /nonexistent", "--threads", 1, 256),
                                    ("evaluate --model /nonexistent --events x", "--threads", 1, 64),
                                    ("evaluate --model /nonexistent --events x", "--min-events", 1, 1000000),
                                    ("evaluate --model /nonexistent --events x", "--max-events", 1, 1000000),
                                    ("evaluate --model /nonexistent --events x", "--holdout", 0.0001, 1),
                                    ("inspect users --state-dir /nonexistent", "--limit", 0, 2147483647),
                                    ("inspect user u --state-dir /nonexistent", "--partition", 0, 32767)):
        for value in (low, high):
            check(f"{name} {option} {value}", run(*name.split(), option, str(value))[0] == 1, run(*name.split(), option, str(value)))


def check_commands():
    for word, near in (("inspct", "inspect"), ("generat", "generate"), ("moddel", "model"), ("rnu", "run"), ("frobnicate", None)):
        check_error([word], f"unknown command '{word}'", f"(did you mean {near}?)" if near else "mindstream --help")
    check_error(["inspect", "partitoins"], "mindstream inspect: unknown command 'partitoins' (did you mean partitions?)")
    check_error(["help", "inspect", "partitoins"], "(did you mean partitions?)")
    check_error(["bench"], "routing is missing")
    check_error(["model"], "check or info is missing")
    check_error(["inspect", "--jsn"], "unknown option --jsn")
    check_error(["inspect", "--limit", "3"], "user, users, partitions, stats, diff, export, import, verify or tail is missing")
    check_error(["inspect", "--json"], "user, users, partitions, stats, diff, export, import, verify or tail is missing")
    check_error(["help", "model", "activate"], "not built yet")
    # Options may stand before the name of a command, with their values.
    check("options first", "/nonexistent" in run("model", "--json", "check", "/nonexistent")[1])
    check("values first", run("inspect", "--limit", "3", "--state-dir", "/nonexistent", "users")[0] == 1)
    for group in ("model", "inspect", "bench"):
        status, out, err = run(group, "--help")
        check(f"{group} --help", status == 0 and err == "" and "\nCommands:\n" in out and out == run("help", group)[1], out)


def complete(directory, *words):
    """What bash would offer for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _mindstream; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", os.path.join(CONF, "mindstream.bash-completion"), "mindstream",
                           *words], capture_output=True, text=True, cwd=directory, timeout=60, check=False)
    check(f"completion of {words} is quiet", done.returncode == 0 and done.stderr == "", done)
    return set(done.stdout.split("\n")) - {""}


def check_completion(commands, directory):
    os.mkdir(os.path.join(directory, "models here"))
    with open(os.path.join(directory, "some.properties"), "w", encoding="utf-8"):
        pass
    top = {words.split()[1] for words in commands}
    check("commands", complete(directory, "") == top | {"--help", "--version", "help"}, complete(directory, ""))
    check("a begun command", complete(directory, "ev") == {"evaluate"})
    check("commands of a command", complete(directory, "inspect", "use") == {"user", "users"})
    check("help of", complete(directory, "help", "ben") == {"bench"})
    for name, command in commands.items():
        offered = complete(directory, *name.split()[1:], "--")
        check(f"{name}: options", offered == {f"--{row['name']}" for row in options_of(command)} | {"--help"}, offered)
        for row in options_of(command):
            if row["kind"] == "choice":
                check(f"{name} --{row['name']}: values", complete(directory, *name.split()[1:], f"--{row['name']}", "") == set(row["values"]))
    check("files", complete(directory, "run", "-c", "so") == {"some.properties"})
    check("files of a long option", complete(directory, "config", "--config", "so") == {"some.properties"})
    check("directories alone", complete(directory, "extract", "--model", "") == {"models here"})
    check("a positional directory", complete(directory, "model", "check", "mod") == {"models here"})
    check("behind =", complete(directory, "extract", "--mode", "=", "inc") == {"incremental"})
    check("just behind =", complete(directory, "extract", "--mode", "=") == {"full", "incremental"})
    check("settings", complete(directory, "run", "--set", "commit") == {"commit.interval.ms="})
    check("a number is the user's", complete(directory, "demo", "--seconds", "") == set())
    check("after a value", complete(directory, "extract", "--mode", "full", "--mod") == {"--model", "--mode"})


def main():
    commands = {command["command"]: command for command in json.loads(run("config", "--commands")[1])["commands"]}
    check("all commands", len(commands) >= 13 and {"mindstream run", "mindstream inspect user", "mindstream bench routing"} <= set(commands))
    for command in commands.values():
        check_help(command)
        check_bad_values(command)
        check_shapes(command)
    check_ends(commands)
    check_commands()
    with tempfile.TemporaryDirectory() as directory:
        check_completion(commands, directory)
    print(f"{checks} checks, {len(failures)} failed")
    sys.exit(1 if failures else 0)


main()
