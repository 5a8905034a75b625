/* Clients that are made to see whether they can be made. */
#include "stream/kafka/check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "stream/kafka/clients.h"
#include "stream/login.h"
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

#define MOST_REPLACED 3

/* A client's settings so that making it reaches nobody. */
struct alone {
    struct ms_config config;
    struct ms_passthrough *passthrough;
    char *command;
};

static void alone_free(struct alone *alone)
{
    free(alone->passthrough);
    free(alone->command);
    *alone = (struct alone){0};
}

static void replace(struct alone *alone, const char *key, const char *value, bool secret)
{
    alone->passthrough[alone->config.passthrough_count++] = (struct ms_passthrough){
        .key = key, .value = value, .consumer = true, .producer = true, .secret = secret};
}

/* The command that fetches a Kerberos ticket as a comment of the shell: the client fills it in, which may fail, and runs nothing. */
static enum ms_status comment_out(struct alone *alone, const struct ms_config *config, bool consumer,
                                  struct ms_error *error)
{
    static const char key[] = "sasl.kerberos.kinit.cmd";
    char standard[1024] = "";
    size_t size = sizeof standard;
    const char *command = passed_value(config, key, consumer);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!command[0] && rd_kafka_conf_get(conf, key, standard, &size) == RD_KAFKA_CONF_OK)
        command = standard;
    rd_kafka_conf_destroy(conf);
    size = strlen(command) + sizeof ": # ";
    alone->command = malloc(size);
    if (!alone->command)
        return ms_fail(error, MS_MEMORY, "no memory for the check of the settings");
    snprintf(alone->command, size, ": # %s", command);
    for (char *at = alone->command; *at; at++) {
        if (*at == '\n')
            *at = ' ';
    }
    replace(alone, key, alone->command, command != standard);
    return MS_OK;
}

/* How a client logs in, "" where it does not. */
static const char *mechanism_of(const struct ms_config *config, bool consumer)
{
    const char *mechanism = passed_value(config, "sasl.mechanisms", consumer);
    if (strncasecmp(passed_value(config, "security.protocol", consumer), "sasl", 4) != 0)
        return "";
    if (!mechanism[0])
        mechanism = passed_value(config, "sasl.mechanism", consumer);
    return mechanism[0] ? mechanism : "GSSAPI";
}

/* Some ways to log in ask for a ticket or a token as soon as the client is made. */
static enum ms_status login_alone(struct alone *alone, const struct ms_config *config, bool consumer,
                                  struct ms_error *error)
{
    const char *mechanism = mechanism_of(config, consumer);
    if (strcasecmp(mechanism, "GSSAPI") == 0)
        return comment_out(alone, config, consumer, error);
    if (strcasecmp(mechanism, "OAUTHBEARER") == 0) {
        replace(alone, "sasl.mechanism", "PLAIN", false);
        replace(alone, "sasl.username", "check", false);
        replace(alone, "sasl.password", "check", false);
    }
    return MS_OK;
}

/* The caller frees *alone with alone_free, also on failure. It points into |config|. */
static enum ms_status alone_make(struct alone *alone, const struct ms_config *config, bool consumer,
                                 struct ms_error *error)
{
    *alone = (struct alone){.config = *config};
    alone->passthrough = calloc(config->passthrough_count + MOST_REPLACED, sizeof *alone->passthrough);
    if (!alone->passthrough)
        return ms_fail(error, MS_MEMORY, "no memory for the check of the settings");
    if (config->passthrough_count)
        memcpy(alone->passthrough, config->passthrough,
               config->passthrough_count * sizeof *alone->passthrough);
    alone->config.passthrough = alone->passthrough;
    alone->config.bootstrap_servers = "";
    alone->config.login = NULL;
    return login_alone(alone, config, consumer, error);
}

static enum ms_status check_consumer(const struct ms_config *config, struct ms_error *error)
{
    static const struct ms_consumer_callbacks none;
    struct alone alone;
    rd_kafka_t *consumer = NULL;
    enum ms_status status = alone_make(&alone, config, true, error);
    if (status == MS_OK)
        status = ms_consumer_new(&consumer, &alone.config, "mindstream-check",
                                 config->group_static ? "check" : NULL, &none, error);
    if (consumer)
        ms_client_destroy(consumer);
    alone_free(&alone);
    return status;
}

static enum ms_status check_topic(rd_kafka_t *producer, const char *name, struct ms_error *error)
{
    rd_kafka_topic_t *topic = name[0] ? rd_kafka_topic_new(producer, name, NULL) : NULL;
    if (name[0] && !topic)
        return ms_fail(error, MS_CONFIG, "topic %s: the producer's settings do not allow it: %s", name,
                       rd_kafka_err2str(rd_kafka_last_error()));
    if (topic)
        rd_kafka_topic_destroy(topic);
    return MS_OK;
}

/* |largest_record_bytes| 0: not known yet. */
static enum ms_status check_producer(const struct ms_config *config, size_t largest_record_bytes,
                                     struct ms_error *error)
{
    struct alone alone;
    rd_kafka_t *producer = NULL;
    const char *id = config->processing_guarantee == MS_EXACTLY_ONCE ? "mindstream-check" : NULL;
    enum ms_status status = alone_make(&alone, config, false, error);
    if (status == MS_OK)
        status = ms_producer_new(&producer, &alone.config, "mindstream-check", id, NULL, NULL, NULL, NULL, 0,
                                 error);
    if (status == MS_OK)
        status = check_topic(producer, config->output_topic, error);
    if (status == MS_OK)
        status = check_topic(producer, config->dead_letter_topic, error);
    if (status == MS_OK)
        status = ms_kafka_check_producer(producer, largest_record_bytes, error);
    if (producer)
        ms_client_destroy(producer);
    alone_free(&alone);
    return status;
}

static bool is_port(const char *text, size_t size)
{
    int port = 0;
    for (size_t i = 0; i < size && port <= 65535; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = 10 * port + text[i] - '0';
    }
    return size && port > 0 && port <= 65535;
}

/* [protocol://]host[:port]. Of more than one colon outside of brackets the client makes an IPv6 address. */
static bool is_server(const char *text, size_t size, const char *protocol)
{
    const char *end = text + size, *scheme = memmem(text, size, "://", 3);
    if (scheme && (strncasecmp(text, protocol, (size_t)(scheme - text)) != 0 ||
                   strlen(protocol) != (size_t)(scheme - text)))
        return false;
    text = scheme ? scheme + 3 : text;
    size = (size_t)(end - text);
    if (!size || memchr(text, '/', size) || memchr(text, ' ', size))
        return false;
    const char *bracket = text[0] == '[' ? memchr(text, ']', size) : NULL;
    if (text[0] == '[' && (!bracket || (bracket + 1 < end && bracket[1] != ':')))
        return false;
    const char *host_end = bracket ? bracket : text;
    const char *colon = memchr(host_end, ':', (size_t)(end - host_end));
    if (!colon || (!bracket && memrchr(text, ':', size) != colon))
        return true;
    return colon != text && is_port(colon + 1, (size_t)(end - colon - 1));
}

static enum ms_status check_servers(const struct ms_config *config, struct ms_error *error)
{
    const char *protocol = passed_value(config, "security.protocol", true);
    if (!protocol[0])
        protocol = "plaintext";
    for (const char *at = config->bootstrap_servers; *at;) {
        at += strspn(at, ", ");
        size_t size = strcspn(at, ","), shown = size;
        while (size && at[size - 1] == ' ')
            size--;
        if (!is_server(at, size, protocol))
            return ms_fail(
                error, MS_CONFIG,
                "bootstrap.servers: %.*s is no server: host:port, [IPv6]:port or, with the value of "
                "security.protocol, PROTOCOL://host:port is needed",
                (int)shown, at);
        at += strcspn(at, ",");
    }
    return MS_OK;
}

/* ---- logging in ---- */

#define TOKEN_COMMAND "kafka.sasl.oauthbearer.token.command"

/* Where tokens come from, when the consumer or the producer needs them. */
static enum ms_status check_tokens(const struct ms_config *config, bool consumer, struct ms_error *error)
{
    bool needed = strcasecmp(mechanism_of(config, consumer), "OAUTHBEARER") == 0;
    bool oidc = strcasecmp(passed_value(config, "sasl.oauthbearer.method", consumer), "oidc") == 0;
    bool unsigned_ones = strcmp(passed_value(config, "enable.sasl.oauthbearer.unsecure.jwt", consumer),
                                "true") == 0;
    if (!config->login && needed && !oidc && !unsigned_ones)
        return ms_fail(error, MS_CONFIG,
                       "kafka.sasl.mechanism=OAUTHBEARER needs " TOKEN_COMMAND
                       ", or kafka.sasl.oauthbearer.method=oidc");
    if (config->login && needed && (oidc || unsigned_ones))
        return ms_fail(error, MS_CONFIG, TOKEN_COMMAND " and %s exclude each other",
                       oidc ? "kafka.sasl.oauthbearer.method=oidc"
                            : "kafka.enable.sasl.oauthbearer.unsecure.jwt=true");
    if (config->login && !needed)
        return ms_fail(
            error, MS_CONFIG,
            TOKEN_COMMAND
            " is given, but kafka.security.protocol is no SASL_SSL or kafka.sasl.mechanism is not OAUTHBEARER");
    enum ms_status status = config->login ? ms_login_check(config->login, error) : MS_OK;
    return status == MS_OK ? status : ms_fail_in(error, status, TOKEN_COMMAND);
}

static bool is_own_machine(const char *host)
{
    size_t size = strcspn(host, ":, ");
    return (size == 9 && strncasecmp(host, "localhost", 9) == 0) || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

/* Whether all servers that are started from are this machine. */
static bool is_loopback(const char *servers)
{
    for (const char *at = servers; *at; at += strcspn(at, ",")) {
        at += strspn(at, ", ");
        const char *scheme = strstr(at, "://");
        const char *host = scheme && (size_t)(scheme - at) < strcspn(at, ",") ? scheme + 3 : at;
        if (*at && !is_own_machine(host))
            return false;
    }
    return true;
}

/* Passwords and tokens that the network could read. SCRAM does not send the password. */
static void warn_of_open_login(const struct ms_config *config)
{
    const char *mechanism = mechanism_of(config, true);
    bool sent = strcasecmp(mechanism, "PLAIN") == 0 || strcasecmp(mechanism, "OAUTHBEARER") == 0;
    if (sent && strcasecmp(passed_value(config, "security.protocol", true), "sasl_plaintext") == 0 &&
        !is_loopback(config->bootstrap_servers))
        ms_log(
            MS_LOG_WARN, "secret",
            "key=kafka.security.protocol reason=\"%s sends the %s, and without TLS the network can read it\" "
            "remedy=\"kafka.security.protocol=SASL_SSL\"",
            mechanism, strcasecmp(mechanism, "PLAIN") == 0 ? "password" : "token");
}

enum ms_status ms_kafka_check_login(const struct ms_config *config, struct ms_error *error)
{
    enum ms_status status = check_tokens(config, true, error);
    if (status == MS_OK)
        status = check_tokens(config, false, error);
    if (status == MS_OK)
        warn_of_open_login(config);
    return status;
}

/* The group's members are INSTANCE-NUMBER, and a broker takes names of at most 249 bytes. */
static enum ms_status check_members(const struct ms_config *config, struct ms_error *error)
{
    char last[32];
    int number = snprintf(last, sizeof last, "-%lld", (long long)config->workers - 1);
    size_t most = (size_t)(249 - number);
    if (config->group_static && strlen(config->instance_id) > most)
        return ms_fail(error, MS_CONFIG,
                       "instance.id is %zu bytes long; at most %zu are possible with workers=%lld",
                       strlen(config->instance_id), most, (long long)config->workers);
    return MS_OK;
}

enum ms_status ms_kafka_check_clients(const struct ms_config *config, struct ms_error *error)
{
    enum ms_status status = check_consumer(config, error);
    return status == MS_OK ? check_producer(config, 0, error) : status;
}

enum ms_status ms_kafka_check(const struct ms_config *config, struct ms_error *error)
{
    enum ms_status status = check_sources(config, error);
    if (status == MS_OK)
        status = check_members(config, error);
    if (status == MS_OK)
        status = check_servers(config, error);
    if (status == MS_OK)
        status = ms_kafka_check_login(config, error);
    if (status == MS_OK)
        status = ms_kafka_check_clients(config, error);
    return status;
}

enum ms_status ms_kafka_check_record(const struct ms_config *config, size_t largest_record_bytes,
                                     struct ms_error *error)
{
    return check_producer(config, largest_record_bytes, error);
}
