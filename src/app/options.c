/* Gathering the settings. Every value is kept as text, with the source that it came from; struct ms_config points there. */
#include "app/options.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/machine.h"
#include "app/passthrough.h"
#include "app/secrets.h"
#include "base/log.h"
#include "base/properties.h"
#include "interest/decay.h"
#include "stream/login.h"

#define TOKEN_COMMAND      "kafka.sasl.oauthbearer.token.command"
#define ENVIRONMENT_PREFIX "MINDSTREAM_"
#define MAX_OPTIONS        64  /* rows that ms_option_table may have */
#define MAX_PASSTHROUGH    512 /* keys for librdkafka */
#define MAX_KEY_BYTES      255

/* A value that was given, and its source ("file:3"). Both are copies. A default stays in the table. */
struct setting {
    char *value;
    char *where;
};

struct passed {
    char *key; /* with its prefix */
    struct setting setting;
    const char *exposed; /* why others can read this secret; NULL: they cannot, or it is none */
};

struct ms_options {
    struct ms_config config;
    struct setting settings[MAX_OPTIONS]; /* by row of the table; value NULL: the default */
    struct passed passed[MAX_PASSTHROUGH];
    size_t passed_count;
    struct ms_passthrough passthrough[MAX_PASSTHROUGH];
    /* While sources are read: */
    bool in_file;        /* the source is the file */
    const char *exposed; /* why others can read what comes now; NULL: they cannot */
};

static enum ms_status keep_setting(struct setting *setting, const char *value, const char *where,
                                   struct ms_error *error)
{
    char *value_copy = strdup(value), *where_copy = strdup(where);
    if (!value_copy || !where_copy) {
        free(value_copy);
        free(where_copy);
        return ms_fail(error, MS_MEMORY, "out of memory while settings were read");
    }
    free(setting->value);
    free(setting->where);
    *setting = (struct setting){value_copy, where_copy};
    return MS_OK;
}

/* The place of a key for librdkafka, a new one where it has none. */
static struct passed *place_for(struct ms_options *options, const char *key, const char *where,
                                struct ms_error *error)
{
    struct passed *end = options->passed + options->passed_count;
    for (struct passed *passed = options->passed; passed < end; passed++) {
        if (strcmp(passed->key, key) == 0)
            return passed;
    }
    if (options->passed_count == MAX_PASSTHROUGH) {
        ms_fail(error, MS_CONFIG, "%s: more than %d keys for librdkafka", where, MAX_PASSTHROUGH);
        return NULL;
    }
    end->key = strdup(key);
    if (!end->key) {
        ms_fail(error, MS_MEMORY, "out of memory while settings were read");
        return NULL;
    }
    options->passed_count++;
    return end;
}

/* |exposed|: why others can read the value; NULL: they cannot. */
static enum ms_status pass_value(struct ms_options *options, const char *key, const char *value,
                                 const char *where, const char *exposed, struct ms_error *error)
{
    struct ms_passthrough entry = {.value = value};
    struct ms_error local = {0};
    bool split = ms_passthrough_split(key, &entry);
    assert(split);
    if (ms_passthrough_check(&entry, key, where, error) != MS_OK)
        return MS_CONFIG;
    struct passed *passed = place_for(options, key, where, &local);
    if (!passed)
        return ms_fail(error, local.status, "%s", local.text);
    passed->exposed = ms_secret_is_named(entry.key) ? exposed : NULL;
    return keep_setting(&passed->setting, value, where, error);
}

/* A key for librdkafka: its value, or the file that holds it. */
static enum ms_status pass_through(struct ms_options *options, const char *key, const char *value,
                                   const char *where, struct ms_error *error)
{
    char base[MAX_KEY_BYTES + 1], from[512], *content = NULL;
    if (!ms_secret_from_file(key, base, sizeof base))
        return pass_value(options, key, value, where, options->exposed, error);
    enum ms_status status = ms_secret_read(&content, value, key, where, error);
    if (status != MS_OK)
        return status;
    snprintf(from, sizeof from, "%s (%s)", where, key);
    status = pass_value(options, base, content, from,
                        ms_secret_is_open(value) ? "every user of this machine can read the file" : NULL,
                        error);
    explicit_bzero(content, strlen(content));
    free(content);
    return status;
}

/* Whether the name of an unknown key may be shown. It may be part of a secret: a line of a key in PEM that lacks its backslash, a
 * password with '=' in it. A line of a file must look more like a setting than a name that stands before a '='. */
static bool is_name(const struct ms_options *options, const char *key, const char *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t size = strlen(key);
    bool shaped = size && size <= 64 && strchr(letters, key[0]) &&
                  strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == size;
    return shaped && (!options->in_file || (strchr(key, '.') && value[0]));
}

static enum ms_status fail_unknown_key(const struct ms_options *options, const char *key, const char *value,
                                       const char *where, struct ms_error *error)
{
    const char *nearest = ms_option_nearest(key);
    if (nearest && (!options->in_file || value[0]))
        return ms_fail(error, MS_CONFIG, "%s: unknown key %s; did you mean %s?", where, key, nearest);
    bool shown = is_name(options, key, value);
    return ms_fail(error, MS_CONFIG,
                   "%s: unknown key%s%s%s; 'mindstream config' lists the keys, and librdkafka's take the "
                   "prefix kafka., "
                   "consumer. or producer.",
                   where, shown ? " " : "", shown ? key : "",
                   shown ? "" : " (not shown: it may be part of a secret)");
}

/* Blanks behind a number, a name or a word of a list are never meant; files keep them. In a directory's name they count. */
static void cut_trailing_blanks(const struct ms_option *option, char *value)
{
    size_t size = strlen(value);
    while (option->type != MS_OPTION_STRING && size && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';
}

/* Applies one key and value from any source. The value is checked even when a later source replaces it: only here is its
 * own source known for the message. */
static enum ms_status apply_setting(void *context, const char *key, const char *value, const char *where,
                                    struct ms_error *error)
{
    struct ms_options *options = context;
    struct ms_passthrough entry;
    const struct ms_option *option = ms_option_find(key);
    if (!option && ms_passthrough_split(key, &entry))
        return pass_through(options, key, value, where, error);
    if (!option)
        return fail_unknown_key(options, key, value, where, error);
    struct setting *setting = &options->settings[option - ms_option_table];
    enum ms_status status = keep_setting(setting, value, where, error);
    if (status != MS_OK)
        return status;
    cut_trailing_blanks(option, setting->value);
    return ms_option_set(option, setting->value, where, &options->config, error);
}

/* Kubernetes puts such variables into every container beside a Service named mindstream. */
static bool is_service_link(const char *name)
{
    return strcmp(name, "PORT") == 0 || strncmp(name, "PORT_", 5) == 0 || strncmp(name, "SERVICE_", 8) == 0;
}

static enum ms_status apply_environment(struct ms_options *options, char *const *environment,
                                        struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (; status == MS_OK && *environment; environment++) {
        if (strncmp(*environment, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) != 0)
            continue;
        char key[MAX_KEY_BYTES + 1], name[MAX_KEY_BYTES + 1], where[MAX_KEY_BYTES + 32];
        const char *suffix = *environment + strlen(ENVIRONMENT_PREFIX);
        size_t size = strcspn(suffix, "=");
        if (!suffix[size])
            continue;
        if (size > MAX_KEY_BYTES)
            return ms_fail(error, MS_CONFIG, "environment: the name of %.64s... is too long", *environment);
        for (size_t i = 0; i < size; i++)
            key[i] = (char)(suffix[i] == '_' ? '.' : tolower((unsigned char)suffix[i]));
        key[size] = '\0';
        memcpy(name, suffix, size);
        name[size] = '\0';
        snprintf(where, sizeof where, "environment " ENVIRONMENT_PREFIX "%s", name);
        if (!is_service_link(name))
            status = apply_setting(options, key, suffix + size + 1, where, error);
    }
    return status;
}

static enum ms_status apply_set(struct ms_options *options, const char *set, struct ms_error *error)
{
    char key[MAX_KEY_BYTES + 1];
    size_t size = strcspn(set, "=");
    if (!set[size] || size == 0)
        return ms_fail(error, MS_USAGE, "--set: KEY=VALUE is needed");
    if (size > MAX_KEY_BYTES)
        return ms_fail(error, MS_USAGE, "--set: the key is longer than %d bytes", MAX_KEY_BYTES);
    memcpy(key, set, size);
    key[size] = '\0';
    return apply_setting(options, key, set + size + 1, "--set", error);
}

static const char *where_given(const struct ms_options *options, const char *key)
{
    const struct ms_option *option = ms_option_find(key);
    assert(option);
    const struct setting *setting = &options->settings[option - ms_option_table];
    return setting->where ? setting->where : "default";
}

/* All topics must differ: a service that reads what it writes would never end. */
static enum ms_status check_topics(const struct ms_options *options, struct ms_error *error)
{
    const struct ms_config *config = &options->config;
    const struct {
        const char *key, *topic;
    } topics[] = {{"input.topic", config->input_topic},
                  {"output.topic", config->output_topic},
                  {"dead.letter.topic", config->dead_letter_topic},
                  {"profile.topic", config->profile_topic}};
    const size_t count = sizeof topics / sizeof topics[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (topics[i].topic[0] && strcmp(topics[i].topic, topics[j].topic) == 0)
                return ms_fail(error, MS_CONFIG, "%s: %s and %s are both '%s'; they must differ",
                               where_given(options, topics[j].key), topics[i].key, topics[j].key,
                               topics[i].topic);
        }
    }
    return MS_OK;
}

/* Rules about several keys. */
static enum ms_status check_together(struct ms_options *options, struct ms_error *error)
{
    struct ms_config *config = &options->config;
    struct ms_decay decay;
    const struct ms_option *row = ms_option_find("routing.decay");
    assert(row);
    /* The default gives way to a half-life; one that was asked for does not. */
    if (config->routing_half_life[0] && !options->settings[row - ms_option_table].value)
        config->routing_decay = "";
    enum ms_status status = ms_decay_parse(config->routing_decay, config->routing_half_life, NULL, &decay,
                                           error);
    if (status != MS_OK)
        return ms_fail_in(
            error, status, "%s",
            where_given(options, config->routing_half_life[0] ? "routing.half.life" : "routing.decay"));
    if (config->user_max_publish_rate > 0 && config->publish_mode == MS_PUBLISH_EVERY)
        return ms_fail(
            error, MS_CONFIG,
            "%s: user.max.publish.rate=%lld does not go together with publish.mode=every (%s), which "
            "publishes a record for each event",
            where_given(options, "user.max.publish.rate"), (long long)config->user_max_publish_rate,
            where_given(options, "publish.mode"));
    status = check_topics(options, error);
    if (status != MS_OK || !config->token_command[0])
        return status;
    status = ms_login_new(&config->login, config->token_command, error);
    return status == MS_OK
               ? status
               : ms_fail_in(error, status, "%s: " TOKEN_COMMAND, where_given(options, TOKEN_COMMAND));
}

static void resolve_automatic(struct ms_config *config)
{
    if (config->workers == 0)
        config->workers = ms_machine_cores();
    if (config->state_memory_bytes == 0)
        config->state_memory_bytes = ms_machine_memory_bytes() / 4;
}

/* Fills the passthrough entries of the config, kafka.* first (see ms_options_config). */
static void gather_passthrough(struct ms_options *options)
{
    size_t count = 0;
    for (int both = 1; both >= 0; both--) {
        for (size_t i = 0; i < options->passed_count; i++) {
            const struct passed *passed = &options->passed[i];
            struct ms_passthrough entry = {
                .value = passed->setting.value, .name = passed->key, .where = passed->setting.where};
            if (ms_passthrough_split(passed->key, &entry) && (entry.consumer && entry.producer) == both)
                options->passthrough[count++] = entry;
        }
    }
    options->config.passthrough = options->passthrough;
    options->config.passthrough_count = count;
}

/* Every source in turn; a later one replaces what an earlier one gave. */
static enum ms_status apply_sources(struct ms_options *options, const struct ms_options_sources *sources,
                                    struct ms_error *error)
{
    enum ms_status status = MS_OK;
    if (sources->file) {
        options->in_file = true;
        options->exposed = ms_secret_is_open(sources->file) ? "every user of this machine can read the file"
                                                            : NULL;
        status = ms_properties_read(sources->file, apply_setting, options, error);
        options->in_file = false;
        options->exposed = NULL;
    }
    if (status == MS_OK && sources->environment)
        status = apply_environment(options, sources->environment, error);
    options->exposed = "every user of this machine can read the command line";
    for (size_t i = 0; status == MS_OK && i < sources->set_count; i++)
        status = apply_set(options, sources->set[i], error);
    if (status == MS_OK && sources->state_dir)
        status = apply_setting(options, "state.dir", sources->state_dir, "--state-dir", error);
    if (status == MS_OK && sources->model_dir)
        status = apply_setting(options, "model.dir", sources->model_dir, "--model", error);
    return status;
}

static void warn_of_exposed(const struct ms_options *options)
{
    for (size_t i = 0; i < options->passed_count; i++) {
        const struct passed *passed = &options->passed[i];
        if (passed->exposed && strcmp(options->config.log_level, "error") != 0)
            ms_log(MS_LOG_WARN, "secret",
                   "key=%s from=\"%s\" reason=\"%s\" remedy=\"a file with mode 0600, named by %s.file\"",
                   passed->key, passed->setting.where, passed->exposed, passed->key);
    }
}

enum ms_status ms_options_load(struct ms_options **options, const struct ms_options_sources *sources,
                               struct ms_error *error)
{
    assert(ms_option_count <= MAX_OPTIONS);
    struct ms_options *loaded = calloc(1, sizeof *loaded);
    if (!loaded)
        return ms_fail(error, MS_MEMORY, "out of memory while settings were read");
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < ms_option_count; i++)
        status = ms_option_set(&ms_option_table[i], ms_option_table[i].standard, "default", &loaded->config,
                               error);
    if (status == MS_OK)
        status = apply_sources(loaded, sources, error);
    if (status == MS_OK)
        status = check_together(loaded, error);
    if (status != MS_OK) {
        ms_options_destroy(loaded);
        return status;
    }
    loaded->config.fail_fast = sources->fail_fast;
    loaded->config.accept_gap = sources->accept_gap;
    loaded->config.accept_holes = sources->accept_holes;
    loaded->config.accept_repartition = sources->accept_repartition;
    resolve_automatic(&loaded->config);
    gather_passthrough(loaded);
    warn_of_exposed(loaded);
    *options = loaded;
    return MS_OK;
}

void ms_options_destroy(struct ms_options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < MAX_OPTIONS; i++) {
        free(options->settings[i].value);
        free(options->settings[i].where);
    }
    for (size_t i = 0; i < options->passed_count; i++) {
        free(options->passed[i].key);
        free(options->passed[i].setting.value);
        free(options->passed[i].setting.where);
    }
    ms_login_destroy(options->config.login);
    free(options);
}

const struct ms_config *ms_options_config(const struct ms_options *options)
{
    return &options->config;
}

/* Whether |word| is one of the blank-separated |words|. */
static bool has_word(const char *words, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += size) {
        if ((at == words || at[-1] == ' ') && (at[size] == ' ' || !at[size]))
            return true;
    }
    return false;
}

enum ms_status ms_options_require(const struct ms_options *options, const char *command,
                                  struct ms_error *error)
{
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        if (!option->required_for || !has_word(option->required_for, command))
            continue;
        if (!ms_options_text(options, option).value[0])
            return ms_fail(error, MS_CONFIG,
                           "%s is not set, and %s needs it: put it into the -c file or give --set %s=...",
                           option->key, command, option->key);
    }
    return MS_OK;
}

struct ms_option_text ms_options_text(const struct ms_options *options, const struct ms_option *option)
{
    const struct setting *setting = &options->settings[option - ms_option_table];
    struct ms_option_text text = {option->key, option->standard, "default"};
    if (setting->value)
        text = (struct ms_option_text){option->key, setting->value, setting->where};
    else if (strcmp(option->key, "routing.decay") == 0)
        text.value = options->config.routing_decay;
    if (option->secret && text.value[0])
        text.value = "****";
    return text;
}

bool ms_options_passthrough_text(const struct ms_options *options, size_t i, struct ms_option_text *text)
{
    struct ms_passthrough entry;
    if (i >= options->passed_count)
        return false;
    const struct passed *passed = &options->passed[i];
    bool secret = ms_passthrough_split(passed->key, &entry) && entry.secret;
    *text = (struct ms_option_text){passed->key, secret ? "****" : passed->setting.value,
                                    passed->setting.where};
    return true;
}

void ms_options_differences(const struct ms_options *options, ms_option_fn *fn, void *context)
{
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct setting *setting = &options->settings[i];
        if (!setting->value || strcmp(setting->value, ms_option_table[i].standard) == 0)
            continue;
        struct ms_option_text text = ms_options_text(options, &ms_option_table[i]);
        fn(context, text.key, text.value, text.where);
    }
    for (size_t i = 0; i < options->passed_count; i++)
        fn(context, options->passed[i].key, "****", options->passed[i].setting.where);
}
