/* Clients that are made to see whether they can be made. */
#include "stream/kafka/check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "stream/kafka/clients.h"
#include "stream/source.h"

static enum ms_status check_sources(const struct ms_config *config, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int source = 0; source < MS_SOURCES && status == MS_OK; source++) {
        void *own = NULL;
        if (!ms_source_topic(source, config)[0] || !ms_sources[source]->open)
            continue;
        status = ms_sources[source]->open(&own, config, error);
        if (status == MS_OK && ms_sources[source]->close)
            ms_sources[source]->close(own);
    }
    return status;
}

/* The value that the client gets in the end, "" without one. */
static const char *passed_value(const struct ms_config *config, const char *key, bool consumer)
{
    const char *value = "";
    for (size_t i = 0; i < config->passthrough_count; i++) {
        const struct ms_passthrough *pass = &config->passthrough[i];
        if ((consumer ? pass->consumer : pass->producer) && strcmp(pass->key, key) == 0)
            value = pass->value;
    }
    return value;
}

/* Whether making the client asks for a ticket or a token at once, which needs the network. */
static bool asks_at_once(const struct ms_config *config, bool consumer)
{
    const char *mechanism = passed_value(config, "sasl.mechanisms", consumer);
    if (!mechanism[0])
        mechanism = passed_value(config, "sasl.mechanism", consumer);
    if (strncasecmp(passed_value(config, "security.protocol", consumer), "sasl", 4) != 0)
        return false;
    return strcasecmp(mechanism, "PLAIN") != 0 && strncasecmp(mechanism, "SCRAM", 5) != 0;
}

/* A copy of |config| whose clients reach nobody. |passthrough| has room for one entry more than |config|. */
static struct ms_config without_network(const struct ms_config *config, struct ms_passthrough *passthrough,
                                        bool consumer)
{
    struct ms_config alone = *config;
    alone.bootstrap_servers = "";
    alone.passthrough = passthrough;
    if (config->passthrough_count)
        memcpy(passthrough, config->passthrough, config->passthrough_count * sizeof *passthrough);
    if (asks_at_once(config, consumer)) {
        bool tls = strcasestr(passed_value(config, "security.protocol", consumer), "ssl") != NULL;
        passthrough[alone.passthrough_count++] = (struct ms_passthrough){.key = "security.protocol",
                                                                         .value = tls ? "ssl" : "plaintext",
                                                                         .consumer = true,
                                                                         .producer = true};
    }
    return alone;
}

static enum ms_status make_consumer(const struct ms_config *config, struct ms_error *error)
{
    static const struct ms_consumer_callbacks none;
    rd_kafka_t *consumer = NULL;
    enum ms_status status = ms_consumer_new(&consumer, config, "mindstream-check",
                                            config->group_static ? "check" : NULL, &none, error);
    if (status == MS_OK)
        rd_kafka_destroy(consumer);
    return status;
}

static enum ms_status make_producer(rd_kafka_t **producer, const struct ms_config *config,
                                    struct ms_error *error)
{
    const char *id = config->processing_guarantee == MS_EXACTLY_ONCE ? "mindstream-check" : NULL;
    return ms_producer_new(producer, config, "mindstream-check", id, NULL, NULL, NULL, error);
}

enum ms_status ms_kafka_check(const struct ms_config *config, struct ms_error *error)
{
    rd_kafka_t *producer = NULL;
    struct ms_passthrough *room = calloc(config->passthrough_count + 1, sizeof *room);
    if (!room)
        return ms_fail(error, MS_MEMORY, "no memory for the check of the settings");
    enum ms_status status = check_sources(config, error);
    struct ms_config alone = without_network(config, room, true);
    if (status == MS_OK)
        status = make_consumer(&alone, error);
    alone = without_network(config, room, false);
    if (status == MS_OK)
        status = make_producer(&producer, &alone, error);
    if (producer)
        rd_kafka_destroy(producer);
    free(room);
    return status;
}

enum ms_status ms_kafka_check_record(const struct ms_config *config, size_t largest_record_bytes,
                                     struct ms_error *error)
{
    rd_kafka_t *producer = NULL;
    struct ms_passthrough *room = calloc(config->passthrough_count + 1, sizeof *room);
    if (!room)
        return ms_fail(error, MS_MEMORY, "no memory for the check of the settings");
    struct ms_config alone = without_network(config, room, false);
    enum ms_status status = make_producer(&producer, &alone, error);
    if (status == MS_OK)
        status = ms_kafka_check_producer(producer, largest_record_bytes, error);
    if (producer)
        rd_kafka_destroy(producer);
    free(room);
    return status;
}
