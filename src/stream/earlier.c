/* Every user that a record can have been of. */
#include "stream/earlier.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/json.h"
#include "base/log.h"

struct ms_earlier {
    const struct ms_config *config;
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
    *out = earlier;
    return MS_OK;
}

void ms_earlier_destroy(struct ms_earlier *earlier)
{
    if (!earlier)
        return;
    free(earlier->wanted);
    free(earlier);
}

static enum ms_status add(struct ms_earlier *earlier, const struct ms_input *input, struct ms_bytes id,
                          struct ms_error *error)
{
    if (!ms_array_reserve(&earlier->wanted, &earlier->capacity, earlier->count + 1, sizeof *earlier->wanted))
        return ms_fail(error, MS_MEMORY, "no memory for a batch");
    earlier->wanted[earlier->count++] = (struct ms_wanted){
        .partition = (uint16_t)input->partition,
        .id = id,
        .hash = ms_overlay_hash((uint16_t)input->partition, id),
        .time_ms = INT64_MAX};
    return MS_OK;
}

/* The user that the key names. */
static enum ms_status add_key(struct ms_earlier *earlier, const struct ms_input *input,
                              struct ms_error *error)
{
    size_t size = input->key.size;
    return input->key.data && size > 0 && size <= (size_t)earlier->config->input_id_max_bytes &&
                   ms_utf8_valid(input->key.data, size)
               ? add(earlier, input, input->key, error)
               : MS_OK;
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
                              const struct ms_decoded *decoded, struct ms_error *error)
{
    enum ms_status status = add_key(earlier, input, error);
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
