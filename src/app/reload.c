/* Comparing the settings as they are with those of the start. */
#include "app/reload.h"

#include <string.h>

#include "base/log.h"
#include "stream/kafka/check.h"

struct changes {
    int taken, waiting; /* settings that changed now; that need a restart */
};

/* Whether both have the same value. "1s" and "1000" are. */
static bool same_value(const struct ms_option *option, const struct ms_config *a, const struct ms_config *b)
{
    const void *one = (const char *)a + option->offset, *other = (const char *)b + option->offset;
    switch (option->type) {
    case MS_OPTION_INT:
    case MS_OPTION_BYTES:
    case MS_OPTION_DURATION:
        return *(const int64_t *)one == *(const int64_t *)other;
    case MS_OPTION_BOOL:
        return *(const bool *)one == *(const bool *)other;
    case MS_OPTION_ENUM:
        if (!option->text)
            return *(const int *)one == *(const int *)other;
        break;
    case MS_OPTION_STRING:
    case MS_OPTION_NAME:
    case MS_OPTION_LIST:
        break;
    }
    return strcmp(*(const char *const *)one, *(const char *const *)other) == 0;
}

static void tell(const struct ms_option_text *old, const struct ms_option_text *new, bool reloadable)
{
    ms_log(reloadable ? MS_LOG_INFO : MS_LOG_WARN, "setting_changed",
           "key=%s old=\"%s\" new=\"%s\" from=\"%s\"%s", old->key, old->value, new->value, new->where,
           reloadable ? "" : " needs=restart");
}

/* The value of a key that passes through to librdkafka, NULL where it has none. */
static const char *passed(const struct ms_config *config, const char *name)
{
    for (size_t i = 0; i < config->passthrough_count; i++) {
        if (strcmp(config->passthrough[i].name, name) == 0)
            return config->passthrough[i].value;
    }
    return NULL;
}

/* The keys of |some| that differ in |others|, or, where |missing|, that it does not have. No value is shown. */
static int tell_passed(const struct ms_config *some, const struct ms_config *others, bool missing)
{
    int count = 0;
    for (size_t i = 0; i < some->passthrough_count; i++) {
        const struct ms_passthrough *entry = &some->passthrough[i];
        const char *other = passed(others, entry->name);
        if (missing ? other != NULL : other && strcmp(other, entry->value) == 0)
            continue;
        ms_log(MS_LOG_WARN, "setting_changed", "key=%s needs=restart", entry->name);
        count++;
    }
    return count;
}

static struct changes tell_changes(const struct ms_reload *reload, const struct ms_options *next)
{
    struct changes changes = {0};
    const struct ms_options *now = reload->now ? reload->now : reload->started;
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        const struct ms_options *before = option->reloadable ? now : reload->started;
        if (option->only || same_value(option, ms_options_config(before), ms_options_config(next)))
            continue;
        const struct ms_option_text old = ms_options_text(before, option),
                                    new = ms_options_text(next, option);
        tell(&old, &new, option->reloadable);
        changes.taken += option->reloadable;
        changes.waiting += !option->reloadable;
    }
    const struct ms_config *started = ms_options_config(reload->started), *config = ms_options_config(next);
    changes.waiting += tell_passed(config, started, false) + tell_passed(started, config, true);
    return changes;
}

/* All that 'config --check' looks at, but for the model: a new one needs a restart, which looks at it. */
static enum ms_status read_again(const struct ms_reload *reload, struct ms_options **next,
                                 struct ms_error *error)
{
    enum ms_status status = ms_options_load(next, reload->sources, error);
    if (status != MS_OK)
        return status;
    status = ms_options_require(*next, "run", error);
    if (status == MS_OK)
        status = ms_kafka_check(ms_options_config(*next), error);
    if (status != MS_OK)
        ms_options_destroy(*next);
    return status;
}

/* What changes is told at the more talkative of both levels. */
static void take_level(const char *text, bool only_up)
{
    enum ms_log_level level;
    if (ms_log_parse_level(text, &level) && !(only_up && ms_log_enabled(level)))
        ms_log_set_level(level);
}

const struct ms_config *ms_reload_read(struct ms_reload *reload)
{
    struct ms_options *next = NULL;
    struct ms_error error;
    if (read_again(reload, &next, &error) != MS_OK) {
        ms_log(MS_LOG_ERROR, "reload", "error=\"%s\" text=\"all settings stay as they were\"", error.text);
        return NULL;
    }
    const struct ms_config *config = ms_options_config(next);
    take_level(config->log_level, true);
    struct changes changes = tell_changes(reload, next);
    ms_log(MS_LOG_INFO, "reloaded", "changed=%d need_restart=%d", changes.taken, changes.waiting);
    take_level(config->log_level, false);
    ms_options_destroy(reload->now);
    reload->now = next;
    return config;
}

void ms_reload_free(struct ms_reload *reload)
{
    ms_options_destroy(reload->now);
    reload->now = NULL;
}
