/* librdkafka quotes values, whole or in pieces, in errors and debug lines. */
#include "stream/kafka/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define HARMLESS_MIN_BYTES ((size_t)8)
#define PART_MIN_BYTES     ((size_t)4)
#define VALUE_MAX_BYTES                                                                                      \
    4096 /* of a value in the log callback, which must not allocate; what is behind stays */

/* How many bytes at |text| also stand somewhere in |value|. */
static size_t shared_bytes(const char *text, const char *value)
{
    size_t best = 0;
    for (const char *at = value; *at; at++) {
        size_t same = 0;
        while (text[same] && text[same] == at[same])
            same++;
        if (same > best)
            best = same;
    }
    return best;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c);
}

/* Puts '*' over |value| where it stands in whole; |word|: and is no part of a longer word. */
static void redact_whole(char *text, const char *value, bool word)
{
    size_t size = strlen(value);
    char *begin = text;
    while (size && (text = strstr(text, value)) != NULL) {
        if (!word || ((text == begin || !is_word(text[-1])) && !is_word(text[size])))
            memset(text, '*', size);
        text += size;
    }
}

void ms_redact_parts(char *text, const char *value)
{
    if (strlen(value) < PART_MIN_BYTES) {
        redact_whole(text, value, true);
        return;
    }
    while (*text) {
        size_t shared = shared_bytes(text, value);
        if (shared >= PART_MIN_BYTES)
            memset(text, '*', shared);
        text += shared >= PART_MIN_BYTES ? shared : 1;
    }
}

void ms_redact_settings(char *text, const struct ms_config *config)
{
    for (size_t i = 0; i < config->passthrough_count; i++) {
        const struct ms_passthrough *pass = &config->passthrough[i];
        if (pass->secret)
            ms_redact_parts(text, pass->value);
        else if (strlen(pass->value) >= HARMLESS_MIN_BYTES) /* no words like ssl */
            redact_whole(text, pass->value, true);
    }
}

void ms_redact_client(char *text, const rd_kafka_t *rk)
{
    static const char *const keys[] = {"sasl.password",
                                       "sasl.username",
                                       "ssl.key.password",
                                       "ssl.key.pem",
                                       "ssl.keystore.password",
                                       "ssl.certificate.pem",
                                       "sasl.oauthbearer.config",
                                       "sasl.oauthbearer.client.id",
                                       "sasl.oauthbearer.client.secret",
                                       "sasl.oauthbearer.extensions",
                                       "sasl.kerberos.kinit.cmd"};
    /* librdkafka has no getter that takes a const client; the configuration is only read. */
    rd_kafka_t *client = (rd_kafka_t *)(uintptr_t)rk;
    for (size_t i = 0; client && i < sizeof keys / sizeof keys[0]; i++) {
        char value[VALUE_MAX_BYTES];
        size_t size = sizeof value;
        bool known = rd_kafka_conf_get(rd_kafka_conf(client), keys[i], value, &size) == RD_KAFKA_CONF_OK;
        value[sizeof value - 1] = '\0';
        if (known && value[0])
            ms_redact_parts(text, value);
    }
}
