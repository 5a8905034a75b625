#!/usr/bin/python3
"""`mindstream topics` on a real Kafka: what is missing is made as it suits, what exists and fits is left alone, and what
differs is refused before anything is made."""

import os
import subprocess

from confluent_kafka.admin import AdminClient, ConfigResource

import ms_kafka


class Topics:
    """A scenario's properties file, and what the broker tells of its topics."""

    def __init__(self, scenario):
        self.names = {role: f"{scenario.id}-{role}" for role in ("clicks", "people", "interests", "dead")}
        self.bootstrap = scenario.kafka.bootstrap
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
        self.path = os.path.join(scenario.directory, "topics.properties")
        self.write(profile=True)

    def write(self, profile):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"bootstrap.servers={self.bootstrap}\ninput.topic={self.names['clicks']}\n"
                       f"output.topic={self.names['interests']}\ndead.letter.topic={self.names['dead']}\n")
            if profile:
                file.write(f"profile.topic={self.names['people']}\n")

    def run(self, command, *args):
        done = subprocess.run([ms_kafka.MINDSTREAM, "topics", command, "-c", self.path, *args], capture_output=True, text=True,
                              timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def found(self):
        """{role: (partitions, cleanup.policy)} of the topics that exist."""
        topics = self.admin.list_topics(timeout=30).topics
        found = {}
        for role, name in self.names.items():
            if name in topics:
                resource = ConfigResource(ConfigResource.Type.TOPIC, name)
                config = self.admin.describe_configs([resource])[resource].result(timeout=30)
                found[role] = (len(topics[name].partitions), config["cleanup.policy"].value)
        return found


def topics_create(scenario):
    """All four from nothing; again there is nothing to do."""
    topics = Topics(scenario)
    code, out, err = topics.run("create", "--partitions", "3", "--dry-run")
    assert code == 0 and err == "" and out.count("would be made (partitions=3") == 4 and topics.found() == {}, (out, err)
    code, out, err = topics.run("describe")
    assert code == 0 and out.count("does not exist") == 4 and topics.found() == {}, (out, err)
    code, out, err = topics.run("create", "--partitions", "3", "--replication", "1")
    assert code == 0 and err == "" and out.count(": made (partitions=3 replication=1") == 4, (out, err)
    made = {"clicks": (3, "delete"), "people": (3, "compact"), "interests": (3, "compact"), "dead": (3, "delete")}
    assert topics.found() == made, topics.found()
    for args in ((), ("--partitions", "3"), ("--partitions", "3", "--replication", "1"), ("--dry-run",)):
        code, out, err = topics.run("create", *args)
        assert code == 0 and err == "" and out.count("exists and fits (partitions=3 replication=1") == 4, (args, out, err)
    assert topics.found() == made
    code, out, _ = topics.run("describe")
    assert code == 0 and out.count(": fits (partitions=3") == 4, out
    # The service takes them as they are.
    scenario.model_dir = ms_kafka_model(scenario)
    service = scenario.service(input_topic=topics.names["clicks"], output_topic=topics.names["interests"],
                               profile_topic=topics.names["people"], dead_letter_topic=topics.names["dead"]).start()
    service.wait_log(r"\bassigned\b|\bposition\b|\bprogress\b", 60)
    assert service.terminate() == 0


def ms_kafka_model(scenario):
    directory = os.path.join(scenario.directory, "model")
    subprocess.run([ms_kafka.MINDSTREAM, "generate", "--users", "5", "--items", "50", "--events", "0", "--model-out", directory],
                   check=True)
    return directory


def topics_differ(scenario):
    """What differs is told all at once, nothing is made, and the profile topic follows the input topic."""
    topics = Topics(scenario)
    scenario.kafka.create(topics.names["clicks"], 5, cleanup_policy="delete")
    topics.write(profile=False)
    code, out, err = topics.run("create")
    assert code == 0 and topics.found() == {"clicks": (5, "delete"), "interests": (5, "compact"), "dead": (5, "delete")}, (out, err)
    topics.write(profile=True)
    code, out, err = topics.run("create")
    assert code == 0 and topics.found()["people"] == (5, "compact"), (out, err)
    # Another number of partitions than the input's.
    topics.names["people"] = f"{scenario.id}-other"
    scenario.kafka.create(topics.names["people"], 4, cleanup_policy="compact")
    topics.names["dead"] = f"{scenario.id}-new"
    topics.names["interests"] = f"{scenario.id}-log"
    scenario.kafka.create(topics.names["interests"], 2, cleanup_policy="delete")
    topics.write(profile=True)
    for command in ("create", "describe"):
        code, out, err = topics.run(command)
        assert code == 1 and err.count("\n") == 1, (out, err)
        assert f"profile.topic {topics.names['people']} has partitions=4, expected 5" in err, err
        assert f"output.topic {topics.names['interests']} has cleanup.policy=delete, expected compact" in err, err
    assert "dead" not in topics.found(), "a topic was made beside one that differs"
    # Asked for, the number counts for all.
    topics.names["people"], topics.names["interests"] = f"{scenario.id}-people", f"{scenario.id}-interests"
    topics.write(profile=True)
    code, out, err = topics.run("create", "--partitions", "4")
    assert code == 1 and err.count("has partitions=5, expected 4") == 3 and "dead" not in topics.found(), (out, err)
    code, out, err = topics.run("create", "--replication", "3")
    assert code == 1 and "has replication=1, expected 3" in err, (out, err)
    # A broker's own refusal comes with its reason.
    topics.names = {role: f"{scenario.id}-r-{role}" for role in topics.names}
    topics.write(profile=False)
    code, out, err = topics.run("create", "--replication", "3")
    assert code == 1 and f"topic {topics.names['clicks']} was not made" in err and topics.found() == {}, (out, err)


SCENARIOS = {function.__name__: function for function in (topics_create, topics_differ)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
