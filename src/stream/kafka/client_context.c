/* Tokens, and the reasons behind "no broker answers". */
#include "stream/kafka/client_context.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "stream/login.h"
#include "stream/kafka/redact.h"

#define REASON_S 45 /* how long what was said counts: librdkafka holds the same back for 30 s */

struct ms_client_context {
    void *owner;
    struct ms_login *login; /* NULL: no tokens */
    pthread_mutex_t lock;
    char reason[512],
        certificate[384]; /* under lock: of the last failure, and why a certificate was refused */
    double said_s, refused_s;
};

static struct ms_client_context *context_of(const rd_kafka_t *rk)
{
    return rk ? rd_kafka_opaque(rk) : NULL;
}

void *ms_client_owner(void *opaque)
{
    return ((struct ms_client_context *)opaque)->owner;
}

void ms_client_context_free(struct ms_client_context *context)
{
    pthread_mutex_destroy(&context->lock);
    free(context);
}

void ms_client_destroy(rd_kafka_t *rk)
{
    struct ms_client_context *context = context_of(rk);
    rd_kafka_destroy(rk);
    ms_client_context_free(context);
}

/* ---- tokens ---- */

static void note_reason(struct ms_client_context *context, const char *text)
{
    pthread_mutex_lock(&context->lock);
    snprintf(context->reason, sizeof context->reason, "%s", text);
    context->said_s = ms_monotonic_s();
    pthread_mutex_unlock(&context->lock);
}

/* A client asks for a token: when it is made, and when 80 % of the life of the last one have passed. In a thread of its own. */
static void refresh(rd_kafka_t *rk, const char *config, void *opaque)
{
    struct ms_client_context *context = opaque;
    struct ms_token token;
    struct ms_error error;
    char text[sizeof error.text + 16] = "";
    (void)config;
    enum ms_status status = ms_login_token(context->login, &token, &error);
    if (status != MS_OK) {
        snprintf(text, sizeof text, "no token: %s", error.text);
    } else {
        char reason[256] = "";
        if (rd_kafka_oauthbearer_set_token(rk, token.value, token.expires_ms, token.principal,
                                           (const char **)token.extensions, 2 * token.extension_count, reason,
                                           sizeof reason))
            snprintf(text, sizeof text, "the client does not take the token (its text is not shown)");
        ms_token_free(&token);
    }
    if (text[0]) {
        note_reason(context, text);
        rd_kafka_oauthbearer_set_token_failure(rk, text);
    }
}

/* ---- certificates ---- */

/* The words of OpenSSL's codes (x509_vfy.h) that people meet, in terms of what is wrong. */
static const struct {
    int code;
    const char *text;
} verdicts[] = {
    {9, "it is not valid yet: compare the clocks"},
    {10, "it has expired"},
    {18, "it is signed by itself and not in ssl.ca.location"},
    {19, "its authority is not in ssl.ca.location"},
    {20, "its authority is not in ssl.ca.location"},
    {21, "its authority is not in ssl.ca.location"},
    {23, "it has been revoked"},
    {26, "it is not meant for a server"},
    {62, "it is not for the host that was asked for"},
    {64, "it is not for the address that was asked for"},
};

/* OpenSSL has looked at the certificate of a broker; the client logs |text| when it is refused. */
static int verified(rd_kafka_t *rk, const char *broker, int32_t id, int *code, int depth,
                    const char *certificate, size_t bytes, char *text, size_t size, void *opaque)
{
    (void)rk, (void)broker, (void)id, (void)depth, (void)certificate, (void)bytes, (void)opaque;
    if (*code == 0)
        return 1;
    snprintf(text, size, "OpenSSL's verification error %d", *code);
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        if (verdicts[i].code == *code)
            snprintf(text, size, "%s", verdicts[i].text);
    }
    return 0;
}

enum ms_status ms_client_context_set(struct ms_client_context **context, rd_kafka_conf_t *conf, void *owner,
                                     const struct ms_config *config, struct ms_error *error)
{
    struct ms_client_context *made = calloc(1, sizeof *made);
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory for a Kafka client");
    *made = (struct ms_client_context){.owner = owner, .login = config->login};
    pthread_mutex_init(&made->lock, NULL);
    rd_kafka_conf_set_opaque(conf, made);
    (void)rd_kafka_conf_set_ssl_cert_verify_cb(conf, verified); /* a library without TLS has no use for it */
    if (made->login) {
        rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, refresh);
        rd_kafka_conf_enable_sasl_queue(conf, 1);
    }
    *context = made;
    return MS_OK;
}

/* ---- reasons ---- */

/* Behind the thread's name. */
static const char *without_thread(const char *text)
{
    const char *behind = strncmp(text, "[thrd:", 6) == 0 ? strstr(text, "]: ") : NULL;
    return behind ? behind + 3 : text;
}

static bool is_set(const rd_kafka_t *rk, const char *key)
{
    size_t size = 0;
    /* librdkafka has no getter that takes a const client; the configuration is only read. */
    rd_kafka_t *client = (rd_kafka_t *)(uintptr_t)rk;
    return rd_kafka_conf_get(rd_kafka_conf(client), key, NULL, &size) == RD_KAFKA_CONF_OK && size > 1;
}

static bool has_certificate(const rd_kafka_t *rk)
{
    return is_set(rk, "ssl.certificate.location") || is_set(rk, "ssl.certificate.pem") ||
           is_set(rk, "ssl.keystore.location");
}

/* What a text of OpenSSL or of the broker means for who runs the service; NULL: it says it itself. A broker says the same of a
 * certificate that it does not take and of one that is not there. */
static const char *meaning_of(const rd_kafka_t *rk, const char *text)
{
    static const struct {
        const char *part, *meaning;
        bool of_certificate;
    } meanings[] = {
        {"alert certificate required", "the broker does not take this client's certificate", true},
        {"alert bad certificate", "the broker does not take this client's certificate", true},
        {"alert certificate unknown", "the broker does not take this client's certificate", true},
        {"alert unknown ca", "the broker does not know the authority of this client's certificate", true},
        {"alert certificate expired", "this client's certificate has expired", true},
        {"wrong version number", "it does not speak TLS: is kafka.security.protocol right, and the port?",
         false},
        {"unexpected eof while reading",
         "it ends the TLS handshake: is kafka.security.protocol right, and the port?", false},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!strcasestr(text, meanings[i].part))
            continue;
        if (meanings[i].of_certificate && !has_certificate(rk))
            return "the broker demands a client's certificate: set kafka.ssl.certificate.location and kafka.ssl.key.location";
        return meanings[i].meaning;
    }
    return NULL;
}

/* "BROKER: " of a text that begins with one. */
static int broker_bytes(const char *text)
{
    const char *end = strstr(text, ": ");
    return end && !memchr(text, ' ', (size_t)(end - text)) ? (int)(end - text) + 2 : 0;
}

/* "BROKER: Certificate (subject=S, issuer=I) verification callback failed: WHY", as the client logs it. */
static void note_certificate(struct ms_client_context *context, const char *text)
{
    static const char middle[] = " verification callback failed: ";
    const char *names = strstr(text, "(subject="), *why = strstr(text, middle);
    int broker = broker_bytes(text);
    pthread_mutex_lock(&context->lock);
    if (names && why && names < why)
        snprintf(context->certificate, sizeof context->certificate, "%.*scertificate %.*s: %s", broker, text,
                 (int)(why - names), names, why + sizeof middle - 1);
    else
        snprintf(context->certificate, sizeof context->certificate, "%s", text);
    context->refused_s = ms_monotonic_s();
    pthread_mutex_unlock(&context->lock);
}

void ms_client_said(const rd_kafka_t *rk, const char *facility, const char *text)
{
    struct ms_client_context *context = context_of(rk);
    char shown[sizeof context->reason] = "";
    if (!context)
        return;
    text = without_thread(text);
    if (strcmp(facility, "SSLCERTVRFY") == 0)
        note_certificate(context, text);
    if (strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0)
        return;
    const char *meaning = meaning_of(rk, text), *after = strstr(text, " (after ");
    pthread_mutex_lock(&context->lock);
    if (strstr(text, "certificate verify failed") && ms_monotonic_s() - context->refused_s < REASON_S)
        snprintf(shown, sizeof shown, "%s", context->certificate);
    pthread_mutex_unlock(&context->lock);
    if (!shown[0] && meaning)
        snprintf(shown, sizeof shown, "%.*s%s", broker_bytes(text), text, meaning);
    else if (!shown[0] && rd_kafka_version() < 0x02060100 &&
             strstr(text, "invalid credentials with SASL mechanism SCRAM"))
        snprintf(shown, sizeof shown,
                 "%.*s; librdkafka before 2.6.1 cannot log in to Kafka 4 by SCRAM, and this is %s",
                 after ? (int)(after - text) : (int)strlen(text), text, rd_kafka_version_str());
    else if (!shown[0])
        snprintf(shown, sizeof shown, "%.*s", after ? (int)(after - text) : (int)strlen(text), text);
    ms_redact_client(shown, rk);
    note_reason(context, shown);
}

void ms_client_reason(const rd_kafka_t *rk, rd_kafka_resp_err_t code, char *text, size_t size)
{
    struct ms_client_context *context = context_of(rk);
    snprintf(text, size, "%s", rd_kafka_err2str(code));
    if (!context)
        return;
    pthread_mutex_lock(&context->lock);
    if (context->reason[0] && ms_monotonic_s() - context->said_s < REASON_S)
        snprintf(text, size, "%s", context->reason);
    pthread_mutex_unlock(&context->lock);
}
