/* The limits of the topics that are written to. */
#include "stream/kafka/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "stream/kafka/topic_config.h"

#define ONLY_COUNTED "dead letters are only counted and logged"

static size_t setting_of(rd_kafka_t *rk, const char *key)
{
    char text[32] = "";
    size_t size = sizeof text;
    return rd_kafka_conf_get(rd_kafka_conf(rk), key, text, &size) == RD_KAFKA_CONF_OK
               ? strtoul(text, NULL, 10)
               : 0;
}

static size_t smaller(size_t limit, long told)
{
    return told > 0 && (size_t)told < limit ? (size_t)told : limit;
}

/* The settings of a topic; unknown ones where nobody tells. */
static bool ask(rd_kafka_t *rk, const char *topic, struct ms_topic_config *found)
{
    struct ms_error why;
    enum ms_status status = ms_topic_config_ask(rk, topic, MS_TOPIC_CONFIG_WAIT_MS, found, &why);
    if (status == MS_OK)
        return true;
    *found = (struct ms_topic_config){.before_ms = -1, .after_ms = -1};
    ms_log(status == MS_KAFKA_REFUSED ? MS_LOG_WARN : MS_LOG_INFO, "topic_settings",
           "topic=%s unknown reason=\"%s\"", topic, why.text);
    return false;
}

/* ---- at the start ---- */

static void warn(const struct ms_config *config, const char *text)
{
    ms_log(MS_LOG_WARN, "dead_letter_topic", "topic=%s text=\"%s\"", config->dead_letter_topic, text);
}

/* Sets what the topic of the dead letters takes, and says what that means for them. */
static void ask_dead_letters(struct ms_limits *limits, rd_kafka_t *rk, const struct ms_config *config)
{
    struct ms_topic_config found, input;
    struct ms_dead_letter_rules *rules = &limits->dead_letters;
    if (!ask(rk, config->dead_letter_topic, &found))
        return;
    rules->most_bytes = smaller(smaller(rules->most_bytes, found.max_message_bytes), found.segment_bytes);
    rules->compacted = ms_topic_config_compacted(&found);
    rules->append_time = found.append_time;
    rules->before_ms = found.before_ms < 0 ? INT64_MAX : found.before_ms;
    rules->after_ms = found.after_ms < 0 ? INT64_MAX : found.after_ms;
    ms_log(MS_LOG_INFO, "dead_letter_topic",
           "topic=%s cleanup.policy=%s max.message.bytes=%ld largest_dead_letter_bytes=%zu",
           config->dead_letter_topic, found.cleanup, found.max_message_bytes, rules->most_bytes);
    if (rules->compacted)
        warn(config,
             "it is compacted: of dead letters with the same key only the last is kept, and one without a "
             "key or a value gets one; use cleanup.policy=delete");
    if (rules->append_time)
        warn(config, "it gives records the time at which they come: the event's is in the header "
                     "source-timestamp; use message.timestamp.type=CreateTime");
    limits->no_dead_letters = rules->most_bytes < MS_DEAD_LETTER_LEAST;
    if (limits->no_dead_letters)
        warn(config, "it takes too little: " ONLY_COUNTED);
    else if (ask(rk, config->input_topic, &input) && found.max_message_bytes < input.max_message_bytes)
        warn(config, "it takes less than the input topic: longer dead letters are cut");
}

enum ms_status ms_limits_ask(struct ms_limits *limits, rd_kafka_t *rk, const struct ms_config *config,
                             size_t largest_record_bytes, bool tells, struct ms_error *error)
{
    struct ms_topic_config output;
    size_t need = largest_record_bytes + MS_BATCH_OVERHEAD_BYTES;
    size_t most = setting_of(rk, "message.max.bytes");
    *limits = (struct ms_limits){.batch_bytes = setting_of(rk, "batch.size"),
                                 .dead_letters = {.headers = config->dead_letter_headers,
                                                  .most_bytes = most,
                                                  .before_ms = INT64_MAX,
                                                  .after_ms = INT64_MAX}};
    if (!tells)
        return MS_OK; /* then producing does */
    if (ask(rk, config->output_topic, &output)) {
        limits->batch_bytes = smaller(smaller(limits->batch_bytes, output.max_message_bytes),
                                      output.segment_bytes);
        if (output.max_message_bytes > 0 && (size_t)output.max_message_bytes < need)
            return ms_fail(
                error, MS_CONFIG,
                "the largest possible record takes %zu bytes but topic %s has max.message.bytes=%ld: "
                "raise it, or lower input.id.max.bytes",
                need, config->output_topic, output.max_message_bytes);
    }
    if (config->dead_letter_topic[0]) {
        ask_dead_letters(limits, rk, config);
        if (!limits->no_dead_letters)
            limits->batch_bytes = smaller(limits->batch_bytes, (long)limits->dead_letters.most_bytes);
    }
    return MS_OK;
}

/* ---- what is refused ---- */

static bool too_large(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static bool of_the_record(rd_kafka_resp_err_t code)
{
    return too_large(code) || code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static size_t record_bytes(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    size_t bytes = MS_BATCH_OVERHEAD_BYTES / 4 + message->key_len + message->len;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        struct ms_header header;
        const void *value;
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &header.name, &value, &header.value.size);
             i++)
            bytes += ms_header_bytes(&header);
    }
    return bytes;
}

void ms_limits_refused(struct ms_limits *limits, const struct ms_config *config,
                       const rd_kafka_message_t *message)
{
    if (!of_the_record(message->err))
        return; /* a later session may send it */
    bool dead = strcmp(rd_kafka_topic_name(message->rkt), config->dead_letter_topic) == 0;
    struct ms_refusal *refusal = dead ? &limits->dead_letter_refused : &limits->output_refused;
    if (too_large(message->err)) {
        size_t bytes = record_bytes(message);
        if (bytes > refusal->bytes)
            refusal->bytes = bytes;
    }
    refusal->code = message->err;
}

bool ms_limits_refusal(const struct ms_limits *limits)
{
    return limits->output_refused.code || limits->dead_letter_refused.code;
}

/* A batch of records that are each much shorter may have been too long as a whole. */
static bool shorten_batches(struct ms_limits *limits, size_t record)
{
    if (record > limits->batch_bytes / 2)
        return false;
    limits->batch_bytes /= 4;
    return true;
}

/* Changes the rules so that what was refused is not sent again. False: there is nothing left to change. */
static bool bend(struct ms_limits *limits, const struct ms_refusal *refusal)
{
    struct ms_dead_letter_rules *rules = &limits->dead_letters;
    if (too_large(refusal->code)) {
        if (shorten_batches(limits, refusal->bytes))
            return true;
        size_t bytes = refusal->bytes < rules->most_bytes ? refusal->bytes : rules->most_bytes;
        rules->most_bytes = bytes / 2;
        limits->batch_bytes = smaller(limits->batch_bytes, (long)rules->most_bytes);
        return rules->most_bytes >= MS_DEAD_LETTER_LEAST;
    }
    if (refusal->code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP && (rules->before_ms || rules->after_ms)) {
        rules->before_ms = rules->after_ms = 0;
        return true;
    }
    if (refusal->code == RD_KAFKA_RESP_ERR_INVALID_RECORD && !rules->compacted) {
        rules->compacted = true; /* which refuses records without a key */
        return true;
    }
    return false;
}

static bool learn_dead_letters(struct ms_limits *limits, const struct ms_config *config)
{
    const struct ms_refusal *refusal = &limits->dead_letter_refused;
    limits->no_dead_letters = !bend(limits, refusal);
    ms_log(limits->no_dead_letters ? MS_LOG_ERROR : MS_LOG_WARN, "dead_letter_refused",
           "topic=%s error=\"%s\" bytes=%zu largest_dead_letter_bytes=%zu text=\"%s\"",
           config->dead_letter_topic, rd_kafka_err2str(refusal->code), refusal->bytes,
           limits->dead_letters.most_bytes,
           limits->no_dead_letters ? ONLY_COUNTED : "it is sent again as the topic may take it");
    return true;
}

bool ms_limits_learn(struct ms_limits *limits, const struct ms_config *config)
{
    bool learned = true;
    if (limits->output_refused.code)
        learned = too_large(limits->output_refused.code) &&
                  shorten_batches(limits, limits->output_refused.bytes);
    else if (limits->dead_letter_refused.code)
        learned = learn_dead_letters(limits, config);
    else
        learned = false;
    limits->output_refused = limits->dead_letter_refused = (struct ms_refusal){0};
    return learned;
}
