/* Which keys pass through to librdkafka. */
#include "app/passthrough.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *key;
    const char *reason;
} owned[] = {
    {"enable.auto.commit", "offsets are committed with the output"},
    {"auto.commit.enable", "offsets are committed with the output"},
    {"enable.auto.offset.store", "offsets are committed with the output"},
    {"auto.offset.reset",
     "a lost offset must be an error, never silence; input.start says where a new group begins"},
    {"isolation.level", "aborted records must not be read"},
    {"group.id", "it is application.id"},
    {"group.instance.id", "it is made of instance.id; see group.static"},
    {"transactional.id", "it is made of application.id and instance.id"},
    {"enable.idempotence", "processing.guarantee decides"},
    {"bootstrap.servers", "it is a key of its own, without prefix"},
    {"metadata.broker.list", "bootstrap.servers, without prefix, is its key"},
    {"enable.partition.eof", "the replay after a start needs it"},
};

#define LETTERS        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ASSIGNMENT_KEY "partition.assignment.strategy"

bool ms_passthrough_split(const char *key, struct ms_passthrough *entry)
{
    static const struct {
        const char *prefix;
        bool consumer, producer;
    } prefixes[] = {{"kafka.", true, true}, {"consumer.", true, false}, {"producer.", false, true}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t size = strlen(prefixes[i].prefix);
        if (strncmp(key, prefixes[i].prefix, size) != 0)
            continue;
        entry->key = key + size;
        entry->consumer = prefixes[i].consumer;
        entry->producer = prefixes[i].producer;
        entry->secret = !ms_passthrough_is_harmless(entry->key);
        return true;
    }
    return false;
}

/* Only eager strategies: the worker gives all partitions up before it takes new ones. */
static bool is_eager(const char *strategies)
{
    const char *at = strategies;
    for (;;) {
        size_t size = strcspn(at, ",");
        if (!(size == 5 && memcmp(at, "range", 5) == 0) && !(size == 10 && memcmp(at, "roundrobin", 10) == 0))
            return false;
        if (!at[size])
            return true;
        at += size + 1;
    }
}

enum ms_status ms_passthrough_check(const struct ms_passthrough *entry, const char *key, const char *where,
                                    struct ms_error *error)
{
    if (!entry->key[0])
        return ms_fail(error, MS_CONFIG, "%s: %s lacks the librdkafka key after the prefix", where, key);
    size_t legal = strspn(key, LETTERS "0123456789._-");
    if (key[legal])
        return ms_fail(error, MS_CONFIG,
                       "%s: %.*s... is no key of librdkafka: a character that no key has stands behind",
                       where, (int)legal, key);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (strcmp(entry->key, owned[i].key) == 0)
            return ms_fail(error, MS_CONFIG, "%s: %s cannot be set: %s", where, key, owned[i].reason);
    }
    if (strcmp(entry->key, "group.protocol") == 0 && strcmp(entry->value, "classic") != 0)
        return ms_fail(error, MS_CONFIG, "%s: %s: only classic is supported", where, key);
    if (strcmp(entry->key, ASSIGNMENT_KEY) == 0 && !is_eager(entry->value))
        return ms_fail(error, MS_CONFIG, "%s: %s: only range and roundrobin are supported", where, key);
    return MS_OK;
}

/* Keys whose values may be shown. */
static const char *const harmless[] = {"acks",
                                       "allow.auto.create.topics",
                                       "api.version.fallback.ms",
                                       "api.version.request",
                                       "api.version.request.timeout.ms",
                                       "batch.num.messages",
                                       "batch.size",
                                       "broker.address.family",
                                       "broker.address.ttl",
                                       "broker.version.fallback",
                                       "builtin.features",
                                       "check.crcs",
                                       "client.dns.lookup",
                                       "client.id",
                                       "client.rack",
                                       "compression.codec",
                                       "compression.level",
                                       "compression.type",
                                       "connections.max.idle.ms",
                                       "coordinator.query.interval.ms",
                                       "debug",
                                       "delivery.timeout.ms",
                                       "fetch.error.backoff.ms",
                                       "fetch.max.bytes",
                                       "fetch.message.max.bytes",
                                       "fetch.min.bytes",
                                       "fetch.queue.backoff.ms",
                                       "fetch.wait.max.ms",
                                       "group.protocol",
                                       "group.protocol.type",
                                       "heartbeat.interval.ms",
                                       "linger.ms",
                                       "log.connection.close",
                                       "log.queue",
                                       "log.thread.name",
                                       "log_level",
                                       "max.in.flight",
                                       "max.in.flight.requests.per.connection",
                                       "max.partition.fetch.bytes",
                                       "max.poll.interval.ms",
                                       "message.copy.max.bytes",
                                       "message.max.bytes",
                                       "message.send.max.retries",
                                       "message.timeout.ms",
                                       "metadata.max.age.ms",
                                       "metadata.recovery.rebootstrap.trigger.ms",
                                       "metadata.recovery.strategy",
                                       "partition.assignment.strategy",
                                       "partitioner",
                                       "queue.buffering.backpressure.threshold",
                                       "queue.buffering.max.kbytes",
                                       "queue.buffering.max.messages",
                                       "queue.buffering.max.ms",
                                       "queued.max.messages.kbytes",
                                       "queued.min.messages",
                                       "receive.message.max.bytes",
                                       "reconnect.backoff.max.ms",
                                       "reconnect.backoff.ms",
                                       "request.required.acks",
                                       "request.timeout.ms",
                                       "retries",
                                       "retry.backoff.max.ms",
                                       "retry.backoff.ms",
                                       "sasl.mechanism",
                                       "sasl.mechanisms",
                                       "sasl.oauthbearer.method",
                                       "security.protocol",
                                       "session.timeout.ms",
                                       "socket.blocking.max.ms",
                                       "socket.connection.setup.timeout.ms",
                                       "socket.keepalive.enable",
                                       "socket.max.fails",
                                       "socket.nagle.disable",
                                       "socket.receive.buffer.bytes",
                                       "socket.send.buffer.bytes",
                                       "socket.timeout.ms",
                                       "ssl.ca.location",
                                       "ssl.certificate.location",
                                       "ssl.cipher.suites",
                                       "ssl.crl.location",
                                       "ssl.curves.list",
                                       "ssl.endpoint.identification.algorithm",
                                       "ssl.sigalgs.list",
                                       "statistics.interval.ms",
                                       "sticky.partitioning.linger.ms",
                                       "topic.metadata.propagation.max.ms",
                                       "topic.metadata.refresh.fast.interval.ms",
                                       "topic.metadata.refresh.interval.ms",
                                       "topic.metadata.refresh.sparse",
                                       "transaction.timeout.ms"};

bool ms_passthrough_is_harmless(const char *key)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (strcmp(key, harmless[i]) == 0)
            return true;
    }
    return false;
}
