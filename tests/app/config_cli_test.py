"""The binary's front door and `mindstream config`: exit codes, one clear line, and documents that have not drifted.
Usage: config_cli_test.py CONF_DIRECTORY, with the binary in MINDSTREAM."""
import json
import os
import re
import subprocess
import sys
import tempfile

BINARY = os.environ["MINDSTREAM"]
CONF = sys.argv[1]
failures = []


def run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MINDSTREAM")}
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, env={**clean, **environment},
                          stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout, done.stderr


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def check_error(what, result, *texts, code=2):
    status, out, err = result
    check(what, status == code and out == "" and err.count("\n") == 1 and all(text in err for text in texts), result)


def check_front_door():
    status, out, err = run("--help")
    check("--help", status == 0 and "config" in out and err == "", status, out, err)
    check("help is --help", run("help") == run("--help"))
    check("help config", run("help", "config") == run("config", "--help") and run("help", "config")[0] == 0)
    check("--version", re.fullmatch(r"mindstream \d+\.\d+\.\d+\n", run("--version")[1]), run("--version"))
    status, out, err = run()
    check("no command", status == 2 and out == "" and "Usage" in err)
    check_error("unknown command", run("frobnicate"), "frobnicate")
    check_error("unknown option", run("--frobnicate"), "--frobnicate")
    check_error("help of an unknown command", run("help", "frobnicate"), "frobnicate")
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "config", "--sample"], stdout=full, stderr=subprocess.PIPE)
    check("a full disk is an error", done.returncode == 1 and b"standard output" in done.stderr, done)


def check_documents():
    for option, name in (("--sample", "mindstream.properties.sample"), ("--man", "mindstream.properties.5"),
                         ("--man-commands", "mindstream.1"), ("--man-service", "mindstream.8"), ("--completion", "mindstream.bash-completion")):
        status, out, _ = run("config", option)
        with open(os.path.join(CONF, name), encoding="utf-8") as file:
            check(f"conf/{name} is what 'mindstream config {option}' prints", status == 0 and out == file.read())


def commands():
    return json.loads(run("config", "--commands")[1])["commands"]


def page(name):
    """A man page as it is read, without its macros."""
    with open(os.path.join(CONF, name), encoding="utf-8") as file:
        return file.read().replace("\\-", "-")


def check_exit_statuses():
    """Every status that a failure can have, and every one that a command's help names, is in the table of both man pages."""
    with open(os.path.join(CONF, "..", "include", "mindstream", "status.h"), encoding="utf-8") as file:
        statuses = re.findall(r"^    X\((\w+), \w+, (\d), \"([^\"]*)\"\)", file.read(), re.M)
    check("statuses are found", len(statuses) > 15 and statuses[0] == ("OK", "0", "done"), statuses)
    tables = {name: re.findall(r"^\.TP\n\.B (\d+)\n(.+)$", page(name).split(".SH EXIT STATUS")[1].split(".SH ")[0], re.M)
              for name in ("mindstream.1", "mindstream.8")}
    for name, table in tables.items():
        check(f"{name}: each status once", len({code for code, _ in table}) == len(table) > 3, table)
        for status, code, _ in statuses:
            check(f"{name} has the exit status of {status}", code in {one for one, _ in table}, table)
    for status, _, text in statuses[1:]:
        check(f"mindstream.8 names {status}", f"{status} ({text})" in page("mindstream.8"))
    for command in commands():
        told = run(*command["command"].split()[1:], "--help")[1].split("Exit status: ")
        check(f"{command['command']} tells its exit statuses", len(told) == 2, told)
        named = re.findall(r"(?:^|, )(\d)(?= )", told[-1])
        check(f"{command['command']}: its statuses are documented", len(named) > 1 and set(named) <= {one for one, _ in tables["mindstream.1"]}, told[-1])


def check_all_documented():
    """No command, argument, setting or reloadable setting is missing in the documents."""
    first, completion = page("mindstream.1"), page("mindstream.bash-completion")
    for command in commands():
        name = command["command"].removeprefix("mindstream ")
        check(f"{name} in mindstream(1)", f".SS {name}\n" in first)
        check(f"{name} in the completion", f"'{command['command']}'" in completion)
        for argument in command["arguments"]:
            if not argument["hidden"] and not argument["positional"]:
                check(f"{name} --{argument['name']} in the completion", f"--{argument['name']}" in completion)
    for row in json.loads(run("config", "--json")[1])["options"]:
        key = row["key"]
        check(f"{key} in mindstream.properties(5)", key in page("mindstream.properties.5"))
        check(f"{key} in the completion", (f"{key}=" in completion) == row["supported"])
        check(f"{key} in mindstream(8)", (f".B {key}\n" in page("mindstream.8")) == row["reloadable"])
        check(f"{key} in the sample", bool(re.search(rf"^#{re.escape(key)}=", page("mindstream.properties.sample"), re.M)) == row["supported"])


def check_sample_is_the_defaults():
    sample = os.path.join(CONF, "mindstream.properties.sample")
    with open(sample, encoding="utf-8") as file, tempfile.NamedTemporaryFile("w", suffix=".properties") as all_set:
        all_set.write(re.sub(r"^#(?=[a-z.]+=)", "", file.read(), flags=re.M))
        all_set.flush()
        status, out, err = run("config", "-c", all_set.name, "--json")
        check("every key of the sample is accepted", status == 0, err)
        given = {row["key"]: row for row in json.loads(out)["options"]}
    defaults = {row["key"]: row for row in json.loads(run("config", "--json")[1])["options"]}
    check("the same keys", given.keys() == defaults.keys() and len(given) > 30)
    for key, row in given.items():
        check(f"{key} in the sample has its default", row["value"] == defaults[key]["default"], row)
        check(f"{key} is in the sample", (row["where"] != "default") == row["supported"], row)


def check_values():
    status, out, _ = run("config", "--json", "--set", "workers=3", "--set", "kafka.sasl.password=hush",
                         MINDSTREAM_LOG_LEVEL="debug")
    check("secrets do not show", status == 0 and "hush" not in out and "****" in out)
    rows = {row["key"]: row for row in json.loads(out)["options"]}
    check("--set", rows["workers"]["value"] == "3" and rows["workers"]["where"] == "--set")
    check("environment", rows["log.level"]["value"] == "debug" and "MINDSTREAM_LOG_LEVEL" in rows["log.level"]["where"])
    check("secrets do not show in the table", "hush" not in run("config", "--set", "kafka.sasl.password=hush")[1])
    check_error("unknown key", run("config", "--set", "worker=3"), "--set", "worker", "did you mean workers?")
    check_error("unknown key in the environment", run("config", MINDSTREAM_WORKRES="1"), "MINDSTREAM_WORKRES", "workers")
    check_error("out of range", run("config", "--set", "workers=1000"), "workers=1000", "1 to 256")
    check_error("no such file", run("config", "-c", "/nonexistent"), "/nonexistent")
    check_error("-c without a file", run("config", "-c"), "-c needs a file")
    check_error("unknown argument", run("config", "--frob"), "--frob")
    check_error("--check names what is missing", run("config", "--check"), "application.id")


def check_check():
    """--check says good to what run takes, and to nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        run("generate", "--users", "5", "--items", "20", "--events", "10", "--dim", "8", "--model-out", model)
        check_check_with(folder, model)


def check_check_with(folder, model):
    needed = ["application.id=a", "bootstrap.servers=b:9092", "input.topic=i", "output.topic=o", f"state.dir={folder}/state", f"model.dir={model}"]
    sets = [word for pair in needed for word in ("--set", pair)]
    check("--check", run("config", "--check", *sets) == (0, "the settings are good\n", ""))
    long_list = ",".join(f"a{i}" for i in range(3000))
    for setting, text in (("input.item.field=items[*].id", "input.item.field"), ("input.type.field=a..b", "input.type.field"),
                          ("input.user.field=a[", "input.user.field"), ("input.time.field=a b\u2028[x]", "input.time.field"),
                          ("input.item.field=", "input.item.field"), (f"input.types={long_list}", "input.types"),
                          ("consumer.no.such.key=1", "consumer.no.such.key"), ("producer.linger.ms=abc", "producer.linger.ms"),
                          ("producer.linger.ms=999999999", "legal is 0..900000"), ("kafka.security.protocol=sasl_plain", "kafka.security.protocol"),
                          ("consumer.session.timeout.ms=400000", "session.timeout.ms"), ("producer.message.max.bytes=2000", "message.max.bytes"), ("producer.acks=1", "acks"),
                          ("kafka.plugin.library.paths=/nonexistent", "plugin"), ("model.dir=/nonexistent", "/nonexistent"),
                          ("model.dir=/", "config.json"), ("routing.mode=none", "routing.mode"),
                          ("bootstrap.servers=http://a:1", "http://a:1"), ("bootstrap.servers=a:1,b:c", "b:c"),
                          ("bootstrap.servers=a:99999", "a:99999"), ("bootstrap.servers=ssl://a:1", "ssl://a:1"),
                          ("bootstrap.servers=:1", "bootstrap.servers"), ("bootstrap.servers=[::1", "bootstrap.servers"),
                          ("bootstrap.servers=[::1]:x", "bootstrap.servers"), (f"instance.id={'i' * 249}", "instance.id"),
                          ("producer.message.timeout.ms=600000", "message.timeout.ms")):
        check_error(f"--check {setting}", run("config", "--check", *sets, "--set", setting), text)
        check(f"run {setting}", run("run", "--fail-fast", *sets, "--set", setting)[0] != 0)
        check(f"run {setting} touches no state", not os.path.exists(f"{folder}/state"))
    tls = [*sets, "--set", "kafka.security.protocol=ssl", "--set", "kafka.ssl.ca.location=/nonexistent"]
    status, out, err = run("config", "--check", *tls)
    check("--check with a certificate that is missing", status == 2 and out == "" and "ssl.ca.location" in err, err)
    check_login(sets, folder)
    for setting in ("bootstrap.servers=a, b:1,[::1]:9092,::1,PLAINTEXT://c:2", "producer.linger.ms=5", "input.item.field=a[0].b,c"):
        check(f"--check {setting}", run("config", "--check", *sets, "--set", setting)[1] == "the settings are good\n")


def check_login(sets, folder):
    """What fetches a ticket or a token is looked at, but nothing is fetched."""
    def login(*pairs):
        return run("config", "--check", *sets, *(word for pair in ("kafka.security.protocol=sasl_ssl", *pairs) for word in ("--set", pair)))
    ran = os.path.join(folder, "ran")
    kinit = f"kafka.sasl.kerberos.kinit.cmd=touch {ran}"
    check("a ticket", login(kinit)[1] == "the settings are good\n", login(kinit))
    check("a ticket, in two lines", login(f"kafka.sasl.kerberos.kinit.cmd=true\ntouch {ran}")[1] == "the settings are good\n")
    check("no ticket was fetched", not os.path.exists(ran))
    check_error("a ticket without keytab", login(), "sasl.kerberos.keytab")
    check_error("an unknown property", login(kinit + " %{nothing}"), "sasl.kerberos.kinit.cmd")
    check_error("an unknown mechanism", login("kafka.sasl.mechanisms=FOO"), "mechanism: ***")
    check_error("no password", login("kafka.sasl.mechanisms=PLAIN"), "sasl.password")


check_front_door()
check_documents()
check_exit_statuses()
check_all_documented()
check_sample_is_the_defaults()
check_values()
check_check()
sys.exit(1 if failures else 0)
