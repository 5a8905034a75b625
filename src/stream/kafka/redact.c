/* librdkafka quotes values, whole or in pieces, in errors and debug lines. */
#include "stream/kafka/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define PART_MIN_BYTES ((size_t)4)
/* Of a value in the log callback, which must not allocate; what is behind stays. */
#define VALUE_MAX_BYTES 4096

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

/* Names such as ssl.ca.location are one word: what joins a word to |c| and on to |beyond|. */
static bool joins(char c, char beyond)
{
    return is_word(c) || ((c == '.' || c == '_') && is_word(beyond));
}

/* Puts '*' over |value| where it stands in whole and is no part of a longer word. */
static void redact_whole(char *text, const char *value)
{
    size_t size = strlen(value);
    char *begin = text;
    while (size && (text = strstr(text, value)) != NULL) {
        char before = text > begin ? text[-1] : '\0', after = text[size];
        if (!joins(before, text > begin + 1 ? text[-2] : '\0') &&
            !joins(after, after ? text[size + 1] : '\0'))
            memset(text, '*', size);
        text += size;
    }
}

void ms_redact_parts(char *text, const char *value)
{
    if (strlen(value) < PART_MIN_BYTES) {
        redact_whole(text, value);
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
        else
            redact_whole(text, pass->value);
    }
}

void ms_redact_client(char *text, const rd_kafka_t *rk)
{
    /* Its words would be taken out of every message about Kerberos. */
    static const char standard_kinit[] =
        "kinit -R -t \"%{sasl.kerberos.keytab}\" -k %{sasl.kerberos.principal} || "
        "kinit -t \"%{sasl.kerberos.keytab}\" -k %{sasl.kerberos.principal}";
    static const char *const keys[] = {"sasl.password",
                                       "sasl.username",
                                       "ssl.key.password",
                                       "ssl.key.pem",
                                       "ssl.keystore.password",
                                       "ssl.certificate.pem",
                                       "sasl.oauthbearer.config",
                                       "sasl.oauthbearer.client.id",
                                       "sasl.oauthbearer.client.secret",
                                       "sasl.oauthbearer.client.credentials.client.id",
                                       "sasl.oauthbearer.client.credentials.client.secret",
                                       "sasl.oauthbearer.assertion.private.key.passphrase",
                                       "sasl.oauthbearer.assertion.private.key.pem",
                                       "sasl.oauthbearer.assertion.claim.sub",
                                       "sasl.oauthbearer.extensions",
                                       "sasl.kerberos.kinit.cmd"};
    /* librdkafka has no getter that takes a const client; the configuration is only read. */
    rd_kafka_t *client = (rd_kafka_t *)(uintptr_t)rk;
    for (size_t i = 0; client && i < sizeof keys / sizeof keys[0]; i++) {
        char value[VALUE_MAX_BYTES];
        size_t size = sizeof value;
        bool known = rd_kafka_conf_get(rd_kafka_conf(client), keys[i], value, &size) == RD_KAFKA_CONF_OK;
        value[sizeof value - 1] = '\0';
        if (known && value[0] && strcmp(value, standard_kinit) != 0)
            ms_redact_parts(text, value);
    }
}
