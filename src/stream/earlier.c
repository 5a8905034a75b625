/* Every user that a record can have been of. */
#include "stream/earlier.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json.h"
#include "base/log.h"
#include "event/key.h"

struct ms_earlier {
    const struct ms_config *config;
    struct ms_key_reader *readers[MS_KEY_FORMAT_COUNT];
    struct ms_wanted *wanted;
    size_t count, capacity;
    struct ms_log_limit unknown_limit;
};

enum ms_status ms_earlier_new(struct ms_earlier **out, const struct ms_config *config, struct ms_error *error)
{
    struct ms_earlier *earlier = calloc(1, sizeof *earlier);
    if (!earlier)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    earlier->config = config;
    enum ms_status status = MS_OK;
    for (int format = 0; status == MS_OK && format < MS_KEY_FORMAT_COUNT; format++)
        status = ms_key_reader_new(&earlier->readers[format], (enum ms_key_format)format,
                                   config->input_user_field, (uint32_t)config->input_id_max_bytes, error);
    if (status != MS_OK) {
        ms_earlier_destroy(earlier);
        return status;
    }
    *out = earlier;
    return MS_OK;
}

void ms_earlier_destroy(struct ms_earlier *earlier)
{
    if (!earlier)
        return;
    for (int format = 0; format < MS_KEY_FORMAT_COUNT; format++)
        ms_key_reader_destroy(earlier->readers[format]);
    free(earlier->wanted);
    free(earlier);
}

/* Whether the last that was added is this one: two formats may read the same. */
static bool is_last(const struct ms_earlier *earlier, const struct ms_input *input, struct ms_bytes id)
{
    const struct ms_wanted *last = earlier->count ? &earlier->wanted[earlier->count - 1] : NULL;
    return last && last->partition == (uint16_t)input->partition && last->id.size == id.size &&
           memcmp(last->id.data, id.data, id.size) == 0;
}

static enum ms_status add(struct ms_earlier *earlier, const struct ms_input *input, struct ms_bytes id,
                          struct ms_error *error)
{
    if (is_last(earlier, input, id))
        return MS_OK;
    if (!ms_array_reserve(&earlier->wanted, &earlier->capacity, earlier->count + 1, sizeof *earlier->wanted))
        return ms_fail(error, MS_MEMORY, "no memory for a batch");
    earlier->wanted[earlier->count++] = (struct ms_wanted){
        .partition = (uint16_t)input->partition,
        .id = id,
        .hash = ms_overlay_hash((uint16_t)input->partition, id),
        .time_ms = INT64_MAX};
    return MS_OK;
}

/* Eight letters are a number, too: not where nobody says that keys are numbers. */
static bool may_have_format(const struct ms_earlier *earlier, struct ms_bytes key, enum ms_key_format format)
{
    return format != MS_KEY_LONG || earlier->config->input_key_format == MS_KEY_LONG ||
           !ms_utf8_valid(key.data, key.size);
}

static enum ms_status add_key(struct ms_earlier *earlier, const struct ms_input *input,
                              enum ms_key_format format, struct ms_arena *arena, struct ms_error *error)
{
    struct ms_bytes id;
    struct ms_error why;
    if (!may_have_format(earlier, input->key, format))
        return MS_OK;
    enum ms_status status = ms_key_read(earlier->readers[format], input->key, &id, &why);
    if (status == MS_MEMORY)
        return ms_fail(error, status, "%s", why.text);
    if (status != MS_OK || !id.data)
        return MS_OK;
    char *copy = ms_arena_copy(arena, id.data, id.size);
    return copy ? add(earlier, input, (struct ms_bytes){copy, id.size}, error)
                : ms_fail(error, MS_MEMORY, "no memory for a batch");
}

static void tell_unknown(struct ms_earlier *earlier, const struct ms_input *input)
{
    unsigned long long held_back;
    if (ms_log_allow(&earlier->unknown_limit, &held_back))
        ms_log(
            MS_LOG_WARN, "user_unknown",
            "topic=%s partition=%d offset=%lld not_shown=%llu text=\"the record has no key, so whose it was under the "
            "settings before is not known: what was published of that user stays\"",
            ms_source_topic(input->source, earlier->config), input->partition, (long long)input->offset,
            held_back);
}

enum ms_status ms_earlier_add(struct ms_earlier *earlier, const struct ms_input *input,
                              const struct ms_decoded *decoded, struct ms_arena *arena,
                              struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int format = 0; status == MS_OK && input->key.data && format < MS_KEY_FORMAT_COUNT; format++)
        status = add_key(earlier, input, (enum ms_key_format)format, arena, error);
    if (status == MS_OK && decoded->event.user.data)
        status = add(earlier, input, decoded->event.user, error);
    if (!input->key.data)
        tell_unknown(earlier, input);
    return status;
}

struct ms_wanted *ms_earlier_take(struct ms_earlier *earlier, size_t *count)
{
    *count = earlier->count;
    earlier->count = 0;
    return earlier->wanted;
}
