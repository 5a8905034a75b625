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
        entry->secret = ms_passthrough_is_secret(entry->key);
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
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (strcmp(entry->key, owned[i].key) == 0)
            return ms_fail(error, MS_CONFIG, "%s: %s cannot be set: %s", where, key, owned[i].reason);
    }
    if (strcmp(entry->key, ASSIGNMENT_KEY) == 0 && !is_eager(entry->value))
        return ms_fail(error, MS_CONFIG, "%s: %s=%s: only range and roundrobin are supported", where, key,
                       entry->value);
    return MS_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

bool ms_passthrough_is_secret(const char *key)
{
    return ends_with(key, "password") || strstr(key, "secret") || strcmp(key, "ssl.key.pem") == 0 ||
           strcmp(key, "sasl.oauthbearer.config") == 0 || strcmp(key, "sasl.jaas.config") == 0;
}
