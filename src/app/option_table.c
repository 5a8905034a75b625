/* The settings, one row each, and how a text becomes a value. */
#include "app/option_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/nearest.h"
#include "base/duration.h"
#include "base/log.h"
#include "event/key.h"
#include "mindstream/record.h"

static_assert(MS_START_EARLIEST == 0 && MS_START_LATEST == 1, "the order of input.start's values");
static_assert(MS_RECORD_PROTOBUF == 0 && MS_RECORD_JSON == 1, "the order of output.format's values");
static_assert(MS_LAYOUT_USER == 0 && MS_LAYOUT_INTEREST == 1, "the order of output.layout's values");
static_assert(MS_PUBLISH_LATEST == 0 && MS_PUBLISH_EVERY == 1, "the order of publish.mode's values");
static_assert(MS_KEY_STRING == 0 && MS_KEY_JSON == 1 && MS_KEY_CONNECT == 2 && MS_KEY_LONG == 3 &&
                  MS_KEY_REGISTRY_JSON == 4,
              "the order of input.key.format's values");
static_assert(MS_HEADERS_BOTH == 0 && MS_HEADERS_MINDSTREAM == 1 && MS_HEADERS_STREAMS == 2,
              "the order of dead.letter.headers' values");
static_assert(MS_EXACTLY_ONCE == 0 && MS_AT_LEAST_ONCE == 1, "the order of processing.guarantee's values");
static_assert(MS_ROUTING_AUTO == 0 && MS_ROUTING_INCREMENTAL == 1 && MS_ROUTING_FULL == 2,
              "the order of routing.mode's values");
static_assert(MS_PROFILE_AS_MODEL == 0 && MS_PROFILE_BEFORE == 1 && MS_PROFILE_AFTER == 2,
              "the order of profile.order's values");

#define AT(field) .offset = offsetof(struct ms_config, field)
#define MIB       ((int64_t)1 << 20)

const struct ms_option ms_option_table[] = {
    {.key = "application.id",
     .group = "Identity",
     .type = MS_OPTION_NAME,
     .standard = "",
     .required_for = "run",
     AT(application_id),
     .description =
         "Group id of the consumers and prefix of the transactional ids. The same on every instance of one "
         "application, different between applications."},
    {.key = "instance.id",
     .group = "Identity",
     .type = MS_OPTION_NAME,
     .standard = "",
     AT(instance_id),
     .description =
         "Tells this instance from the others of its application. Empty: one is made at the first start "
         "and kept in the state directory."},
    {.key = "bootstrap.servers",
     .group = "Identity",
     .type = MS_OPTION_LIST,
     .standard = "",
     .required_for = "run topics",
     AT(bootstrap_servers),
     .description = "Brokers to start from, host:port, comma-separated."},

    {.key = "kafka.sasl.oauthbearer.token.command",
     .group = "Identity",
     .type = MS_OPTION_STRING,
     .standard = "",
     .secret = true,
     AT(token_command),
     .description =
         "For kafka.sasl.mechanism=OAUTHBEARER: the program that prints a token, by its absolute path, and its words, parted by "
         "blanks; no shell reads them. It prints a JWT, or JSON with token, expiry, principal, extensions. It is run again "
         "before the token expires."},

    {.key = "input.topic",
     .group = "Input",
     .type = MS_OPTION_NAME,
     .standard = "",
     .required_for = "run topics",
     AT(input_topic),
     .description = "Topic of click events, keyed by user."},
    {.key = "input.start",
     .group = "Input",
     .type = MS_OPTION_ENUM,
     .standard = "earliest",
     .values = "earliest|latest",
     AT(input_start),
     .description =
         "Where a group without offsets begins. A partition that is added later is read from its beginning."},
    {.key = "input.format",
     .group = "Input",
     .type = MS_OPTION_ENUM,
     .standard = "json",
     .values = "json",
     .text = true,
     AT(input_format),
     .description = "How an event is written."},
    {.key = "input.user.field",
     .group = "Input",
     .type = MS_OPTION_LIST,
     .standard = "user_id",
     AT(input_user_field),
     .description = "Path of the user id in an event, dotted, with [0] for array elements; several, "
                    "comma-separated: the first present counts. Without one, the record key is the user."},
    {.key = "input.item.field",
     .group = "Input",
     .type = MS_OPTION_LIST,
     .standard = "item_id",
     AT(input_item_field),
     .description = "Path of the item id, as above."},
    {.key = "input.time.field",
     .group = "Input",
     .type = MS_OPTION_LIST,
     .standard = "timestamp",
     AT(input_time_field),
     .description =
         "Path of the event time (s, ms, us or ns by magnitude, or ISO 8601). Without one, the record's "
         "timestamp counts."},
    {.key = "input.type.field",
     .group = "Input",
     .type = MS_OPTION_LIST,
     .standard = "event_type",
     AT(input_type_field),
     .description = "Path of the event type."},
    {.key = "input.types",
     .group = "Input",
     .type = MS_OPTION_LIST,
     .standard = "",
     AT(input_types),
     .description = "Accepted event types, comma-separated. Empty: all."},
    {.key = "input.key.format",
     .group = "Input",
     .type = MS_OPTION_ENUM,
     .standard = "string",
     .values = "string|json|connect|long|registry-json",
     AT(input_key_format),
     .description =
         "How a record key names a user: the bytes; a JSON text or integer; Kafka Connect's schema and payload; "
         "8 or 4 bytes big-endian; a schema registry's header before JSON. Also of the profiles."},
    {.key = "input.id.max.bytes",
     .group = "Input",
     .type = MS_OPTION_BYTES,
     .standard = "1024",
     .min = 1,
     .max = 32768,
     AT(input_id_max_bytes),
     .description = "Longest user or item id; a longer one is a bad event."},

    {.key = "output.topic",
     .group = "Output",
     .type = MS_OPTION_NAME,
     .standard = "",
     .required_for = "run topics",
     AT(output_topic),
     .description = "Topic that the interests are published to."},
    {.key = "output.format",
     .group = "Output",
     .type = MS_OPTION_ENUM,
     .standard = "protobuf",
     .values = "protobuf|json",
     AT(output_format),
     .description = "How an output record is written."},
    {.key = "output.layout",
     .group = "Output",
     .type = MS_OPTION_ENUM,
     .standard = "user",
     .values = "user|interest",
     AT(output_layout),
     .description = "One record with all interests of a user, or one flat record for each interest, with key "
                    "USER#SLOT."},
    {.key = "publish.mode",
     .group = "Output",
     .type = MS_OPTION_ENUM,
     .standard = "latest",
     .values = "latest|every",
     AT(publish_mode),
     .description = "At most one record for a user and commit, or one for each event."},
    {.key = "user.max.publish.rate",
     .group = "Output",
     .type = MS_OPTION_INT,
     .standard = "0",
     .min = 1,
     .max = 1000,
     .automatic = true,
     .reloadable = true,
     AT(user_max_publish_rate),
     .description =
         "How often a second a user is published at most, with publish.mode=latest. What is withheld is published when the "
         "rate allows, in one record, and before the service ends or gives up the partition. 0: at each commit."},
    {.key = "dead.letter.topic",
     .group = "Output",
     .type = MS_OPTION_NAME,
     .standard = "",
     AT(dead_letter_topic),
     .description = "Topic for events that cannot be decoded. Empty: they are counted and logged only."},
    {.key = "dead.letter.headers",
     .group = "Output",
     .type = MS_OPTION_ENUM,
     .standard = "both",
     .values = "both|mindstream|streams",
     AT(dead_letter_headers),
     .description = "Headers of a dead letter that say whence and why: error and source-*, those of Kafka "
                    "Streams (__streams.errors.*), or both."},

    {.key = "processing.guarantee",
     .group = "Processing",
     .type = MS_OPTION_ENUM,
     .standard = "exactly_once",
     .values = "exactly_once|at_least_once",
     AT(processing_guarantee),
     .description =
         "Output and offsets in one transaction, or output without transactions and offsets after it."},
    {.key = "commit.interval.ms",
     .group = "Processing",
     .type = MS_OPTION_DURATION,
     .standard = "100",
     .min = 1,
     .max = 10000,
     .reloadable = true,
     AT(commit_interval_ms),
     .description =
         "Longest time between commits while events come in; with none waiting the commit is at once."},
    {.key = "workers",
     .group = "Processing",
     .type = MS_OPTION_INT,
     .standard = "0",
     .min = 1,
     .max = 256,
     .automatic = true,
     AT(workers),
     .description = "Worker threads. 0: as many as the process may use cores."},
    {.key = "group.static",
     .group = "Processing",
     .type = MS_OPTION_BOOL,
     .standard = "true",
     AT(group_static),
     .description = "Static group membership by instance.id: a restart does not move partitions."},
    {.key = "standby.partitions",
     .group = "Processing",
     .type = MS_OPTION_STRING,
     .standard = "none",
     .only = "none",
     .description = "Partitions that an instance keeps warm for others."},

    {.key = "state.dir",
     .group = "State",
     .type = MS_OPTION_STRING,
     .standard = "",
     .required_for = "run inspect",
     AT(state_dir),
     .description = "Directory of the users' state, created with mode 0700; one process at a time."},
    {.key = "state.behaviors.max",
     .group = "State",
     .type = MS_OPTION_INT,
     .standard = "200",
     .min = 1,
     .max = 100000,
     AT(state_behaviors_max),
     .description = "Behaviors kept for each user, the newest."},
    {.key = "state.memory.bytes",
     .group = "State",
     .type = MS_OPTION_BYTES,
     .standard = "0",
     .min = MIB,
     .max = (int64_t)1 << 46,
     .automatic = true,
     .reloadable = true,
     AT(state_memory_bytes),
     .description =
         "Memory for users and for the database's caches. 0: a quarter of the machine's memory, or of the "
         "control group's limit."},
    {.key = "state.flush.interval.ms",
     .group = "State",
     .type = MS_OPTION_DURATION,
     .standard = "1000",
     .min = 1,
     .max = 600000,
     .reloadable = true,
     AT(state_flush_interval_ms),
     .description =
         "How long changed users stay in memory before they are written; five times as long while events "
         "wait in line. What is not yet written is folded again from the input after a crash."},
    {.key = "state.changelog",
     .group = "State",
     .type = MS_OPTION_BOOL,
     .standard = "false",
     .only = "false",
     .description = "Keep the state in a compacted topic, too."},
    {.key = "changelog.interval.ms",
     .group = "State",
     .type = MS_OPTION_DURATION,
     .standard = "0",
     .only = "0",
     .description = "How far the changelog trails."},
    {.key = "state.cleanup.ms",
     .group = "State",
     .type = MS_OPTION_DURATION,
     .standard = "0",
     .only = "0",
     .description = "When state of partitions that moved away is removed."},

    {.key = "model.dir",
     .group = "Model and routing",
     .type = MS_OPTION_STRING,
     .standard = "",
     .required_for = "run",
     AT(model_dir),
     .description = "Model directory."},
    {.key = "model.refresh",
     .group = "Model and routing",
     .type = MS_OPTION_STRING,
     .standard = "lazy",
     .only = "lazy",
     .description = "When users move to a new model."},
    {.key = "routing.mode",
     .group = "Model and routing",
     .type = MS_OPTION_ENUM,
     .standard = "auto",
     .values = "auto|incremental|full",
     AT(routing_mode),
     .description =
         "Fold each event into the interests, or route the whole window again. auto: incremental where the "
         "model's options allow it."},
    {.key = "routing.decay",
     .group = "Model and routing",
     .type = MS_OPTION_LIST,
     .standard = "auto",
     AT(routing_decay),
     .description =
         "What the incremental fold keeps of the past at each event: a number in (0, 1], or several, comma-separated, "
         "for interests of several time scales; or model: the decays that the model was trained with. auto: model where "
         "it has decays, else 0.9. Does not go together with routing.half.life."},
    {.key = "routing.half.life",
     .group = "Model and routing",
     .type = MS_OPTION_LIST,
     .standard = "",
     AT(routing_half_life),
     .description =
         "Instead of routing.decay: the event time after which half is kept, like 7d, or several."},
    {.key = "profile.topic",
     .group = "Model and routing",
     .type = MS_OPTION_NAME,
     .standard = "",
     AT(profile_topic),
     .description = "Compacted topic of user profiles, keyed by user. Empty: none."},
    {.key = "profile.order",
     .group = "Model and routing",
     .type = MS_OPTION_ENUM,
     .standard = "model",
     .values = "model|before-interest|after-interest",
     AT(profile_order),
     .description =
         "Whether the head sees the profile's embedding before or after the interest; model: as the model "
         "says."},

    {.key = "log.level",
     .group = "Observation",
     .type = MS_OPTION_ENUM,
     .standard = "info",
     .values = "error|warn|info|debug",
     .text = true,
     .reloadable = true,
     AT(log_level),
     .description = "Log lines of this level and above."},
    {.key = "http.listen",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(http_listen),
     .description =
         "Address and port of the HTTP server, like 127.0.0.1:8080 or [::1]:8080; port 0 is any. Empty: off. An address that "
         "can be reached from elsewhere needs http.token.file, http.tls.certificate.file and http.tls.key.file."},
    {.key = "http.advertise",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(http_advertise),
     .description =
         "Where other instances send clients for users of this one, like https://host:8080. Empty: they are not sent."},
    {.key = "http.token.file",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(http_token_file),
     .description =
         "File with a token of 16 characters or more, mode 0600. Clients show it as Authorization: Bearer TOKEN; only "
         "/healthz and /readyz need none."},
    {.key = "http.tls.certificate.file",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(http_tls_certificate_file),
     .description = "Certificate of the HTTP server with its chain, PEM. With it, it speaks HTTPS only."},
    {.key = "http.tls.key.file",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(http_tls_key_file),
     .description = "Key of that certificate, PEM, mode 0600."},
    {.key = "http.rate.max",
     .group = "Observation",
     .type = MS_OPTION_INT,
     .standard = "200",
     .min = 1,
     .max = 1000000,
     .automatic = true,
     AT(http_rate_max),
     .description =
         "Requests a second that a client may send, by its address; more are answered with 429. 0: any."},
    {.key = "http.connections.max",
     .group = "Observation",
     .type = MS_OPTION_INT,
     .standard = "1024",
     .min = 8,
     .max = 65536,
     AT(http_connections_max),
     .description = "Connections to the HTTP server at a time; more wait."},
    {.key = "items.meta",
     .group = "Observation",
     .type = MS_OPTION_STRING,
     .standard = "",
     AT(items_meta),
     .description =
         "File that says what items are called, for the page: JSON lines with item_id, title and image (the address of a "
         "picture). It is read at the start and held in memory."},
};

const size_t ms_option_count = sizeof ms_option_table / sizeof ms_option_table[0];

const struct ms_option *ms_option_find(const char *key)
{
    for (size_t i = 0; i < ms_option_count; i++) {
        if (strcmp(ms_option_table[i].key, key) == 0)
            return &ms_option_table[i];
    }
    return NULL;
}

const char *ms_option_nearest(const char *key)
{
    struct ms_nearest nearest = ms_nearest_start(key);
    for (size_t i = 0; i < ms_option_count; i++)
        ms_nearest_try(&nearest, ms_option_table[i].key);
    return nearest.best;
}

const char *ms_option_type_name(const struct ms_option *option)
{
    static const char *const names[] = {"string", "name", "list", "enum", "bool", "int", "bytes", "duration"};
    return names[option->type];
}

const char *ms_option_unit(const struct ms_option *option)
{
    if (option->type == MS_OPTION_DURATION)
        return "ms";
    return option->type == MS_OPTION_BYTES ? "bytes" : "";
}

bool ms_option_value_at(const struct ms_option *option, int i, const char **value, size_t *size)
{
    const char *at = option->type == MS_OPTION_BOOL ? "false|true" : option->values;
    for (; at && i > 0; i--) {
        at = strchr(at, '|');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return false;
    *value = at;
    *size = strcspn(at, "|");
    return true;
}

/* Which of its values |text| is; -1 when none. */
static int value_index(const struct ms_option *option, const char *text)
{
    const char *value;
    size_t size;
    for (int i = 0; ms_option_value_at(option, i, &value, &size); i++) {
        if (strlen(text) == size && memcmp(text, value, size) == 0)
            return i;
    }
    return -1;
}

static bool parse_bytes(const char *text, size_t size, int64_t *bytes)
{
    static const char units[] = "kKmMgG";
    const char *unit = size > 1 ? memchr(units, text[size - 1], sizeof units - 1) : NULL;
    int64_t number, factor = 1;
    if (unit) {
        factor = (int64_t)1 << (10 * ((unit - units) / 2 + 1));
        size--;
    }
    if (strspn(text, "0123456789") != size || !ms_duration_parse(text, size, &number))
        return false;
    return !__builtin_mul_overflow(number, factor, bytes);
}

static enum ms_status set_number(const struct ms_option *option, const char *value, const char *where,
                                 int64_t *field, struct ms_error *error)
{
    size_t size = strlen(value);
    int64_t number;
    bool good, negative = value[0] == '-' && value[1] && strspn(value + 1, "0123456789") == size - 1;
    const char *like = "a whole number";
    if (option->type == MS_OPTION_BYTES) {
        good = parse_bytes(value, size, &number);
        like = "a number of bytes, like 512k, 64M or 2G";
    } else if (option->type == MS_OPTION_DURATION) {
        good = ms_duration_parse(value, size, &number);
        like = "a time, like 500 (ms), 10s, 5m or 7d";
    } else {
        good = strspn(value, "0123456789") == size && ms_duration_parse(value, size, &number);
    }
    if (!good && !negative)
        return ms_fail(error, MS_CONFIG, "%s: %s=%s is not %s", where, option->key, value, like);
    if (negative || ((number < option->min || number > option->max) && !(option->automatic && number == 0)))
        return ms_fail(error, MS_CONFIG, "%s: %s=%s is out of range: %" PRId64 " to %" PRId64 "%s%s%s", where,
                       option->key, value, option->min, option->max, ms_option_unit(option)[0] ? " " : "",
                       ms_option_unit(option), option->automatic ? ", or 0" : "");
    *field = number;
    return MS_OK;
}

static enum ms_status check_text(const struct ms_option *option, const char *value, const char *where,
                                 struct ms_error *error)
{
    for (const char *at = value; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return ms_fail(error, MS_CONFIG, "%s: %s has a control character (0x%02x) at byte %td", where,
                           option->key, (unsigned)(unsigned char)*at, at - value);
    }
    if (option->type == MS_OPTION_NAME) {
        size_t size = strlen(value);
        size_t good = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
        if (good < size)
            return ms_fail(error, MS_CONFIG, "%s: %s=%s: only letters, digits, '.', '_' and '-' may be in it",
                           where, option->key, value);
        if (size > 249 || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
            return ms_fail(error, MS_CONFIG, "%s: %s=%.*s: %s", where, option->key, 64, value,
                           size > 249 ? "longer than 249 bytes" : "'.' and '..' are not names");
    }
    if (option->type == MS_OPTION_LIST && value[0] &&
        (value[0] == ',' || value[strlen(value) - 1] == ',' || strstr(value, ",,")))
        return ms_fail(error, MS_CONFIG, "%s: %s=%s has an empty element", where, option->key, value);
    return MS_OK;
}

enum ms_status ms_option_set(const struct ms_option *option, const char *value, const char *where,
                             struct ms_config *config, struct ms_error *error)
{
    if (option->only) {
        if (strcmp(value, option->only) == 0)
            return MS_OK;
        return ms_fail(error, MS_CONFIG, "%s: %s=%s is not supported by this version; it can only be '%s'",
                       where, option->key, value, option->only);
    }
    void *field = (char *)config + option->offset;
    switch (option->type) {
    case MS_OPTION_INT:
    case MS_OPTION_BYTES:
    case MS_OPTION_DURATION:
        return set_number(option, value, where, field, error);
    case MS_OPTION_ENUM:
    case MS_OPTION_BOOL: {
        int index = value_index(option, value);
        if (index < 0)
            return ms_fail(error, MS_CONFIG, "%s: %s=%s is not one of %s", where, option->key, value,
                           option->type == MS_OPTION_BOOL ? "true|false" : option->values);
        if (option->text)
            *(const char **)field = value;
        else if (option->type == MS_OPTION_BOOL)
            *(bool *)field = index == 1;
        else
            *(int *)field = index;
        return MS_OK;
    }
    case MS_OPTION_STRING:
    case MS_OPTION_NAME:
    case MS_OPTION_LIST:
        if (check_text(option, value, where, error) != MS_OK)
            return MS_CONFIG;
        *(const char **)field = value;
        return MS_OK;
    }
    return ms_fail(error, MS_CONFIG, "%s: %s has no type", where, option->key);
}
