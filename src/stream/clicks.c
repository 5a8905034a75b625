/* The clicks: events of users with items, the source that makes users. A null value forgets a user. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "stream/source.h"

#define SHOWN_BYTES 100 /* of a key or a user in a log line */

/* What decoding needs of its own. */
struct clicks {
    struct ms_decoder *decoder;
    struct ms_log_limit key_limit;
};

static void close_clicks(void *own)
{
    struct clicks *clicks = own;
    if (clicks)
        ms_decoder_destroy(clicks->decoder);
    free(clicks);
}

static enum ms_status open_clicks(void **own, const struct ms_config *config, struct ms_error *error)
{
    const struct ms_event_fields fields = {.user = config->input_user_field,
                                           .item = config->input_item_field,
                                           .time = config->input_time_field,
                                           .type = config->input_type_field,
                                           .types = config->input_types,
                                           .id_max_bytes = (uint32_t)config->input_id_max_bytes};
    struct clicks *clicks = calloc(1, sizeof *clicks);
    if (!clicks)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    enum ms_status status = ms_decoder_new(&clicks->decoder, &fields, error);
    if (status != MS_OK) {
        close_clicks(clicks);
        return status;
    }
    *own = clicks;
    return MS_OK;
}

static uint64_t decode_id(const struct ms_config *config)
{
    const char *const texts[] = {config->input_format,     config->input_user_field, config->input_item_field,
                                 config->input_time_field, config->input_type_field, config->input_types};
    uint64_t numbers[] = {MS_DECODE_RULES, (uint64_t)config->input_id_max_bytes};
    uint64_t id = ms_digest(numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        id = ms_digest_next(id, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) + 1 : 1);
    return id;
}

static int shown(struct ms_bytes bytes)
{
    return bytes.size < SHOWN_BYTES ? (int)bytes.size : SHOWN_BYTES;
}

static void tell_key_differs(struct clicks *clicks, const struct ms_source_context *context,
                             const struct ms_input *input, struct ms_bytes user)
{
    unsigned long long held_back;
    ms_count(&context->stats->key_differs, 1);
    if (ms_log_allow(&clicks->key_limit, &held_back))
        ms_log(MS_LOG_WARN, "key_differs",
               "topic=%s partition=%d offset=%lld key=\"%.*s\" user=\"%.*s\" not_shown=%llu: the topic is "
               "not keyed by user, so a user's events may be split over partitions",
               context->config->input_topic, input->partition, (long long)input->offset, shown(input->key),
               input->key.data, shown(user), user.data, held_back);
}

static enum ms_status decode_click(void *own, const struct ms_source_context *context,
                                   const struct ms_input *input, struct ms_decoded *decoded,
                                   struct ms_error *error)
{
    struct clicks *clicks = own;
    struct ms_event_notes notes = {false};
    struct ms_error why;
    enum ms_status status = ms_decode_event(clicks->decoder, context->arena, input->key, input->value,
                                            input->time_ms, &decoded->event, &decoded->kind, &notes, &why);
    if (status == MS_EVENT) {
        decoded->reason = ms_arena_copy(context->arena, why.text, strlen(why.text) + 1);
        return decoded->reason ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a batch");
    }
    if (status != MS_OK)
        return ms_fail(error, status, "%s", why.text);
    if (notes.key_differs)
        tell_key_differs(clicks, context, input, decoded->event.user);
    decoded->needs_user = decoded->kind != MS_EVENT_FILTERED;
    if (decoded->kind == MS_EVENT_ACCEPTED)
        decoded->history_time_ms = decoded->event.time_ms;
    return MS_OK;
}

static enum ms_status forget(const struct ms_source_context *context, struct ms_position *position,
                             uint32_t place, const struct ms_input *input, bool silent,
                             struct ms_error *error)
{
    const struct ms_user *user = ms_overlay_entry(context->overlay, place)->user;
    /* No such user, or forgotten already: whether a row is still on disk must not matter. */
    if (user->version == 0 && user->profile_bytes == 0)
        return MS_OK;
    enum ms_status status = ms_publisher_forget(context->publisher, position, place, silent, error);
    if (status != MS_OK)
        return status;
    ms_overlay_forget(context->overlay, place, input->offset);
    ms_count(&context->stats->forgotten, 1);
    return MS_OK;
}

static enum ms_status fold(const struct ms_source_context *context, struct ms_position *position,
                           uint32_t place, uint16_t slots_shown, const struct ms_decoded *decoded,
                           const struct ms_input *input, bool silent, struct ms_error *error)
{
    enum ms_folded folded;
    enum ms_status status = ms_overlay_fold(context->overlay, place, &decoded->event, decoded->row,
                                            input->offset, &folded, error);
    if (status != MS_OK)
        return status;
    if (folded == MS_DUPLICATE) {
        ms_count(&context->stats->duplicates, 1);
        return MS_OK;
    }
    ms_count(silent ? &context->stats->replayed : &context->stats->accepted, 1);
    if (decoded->row == MS_NO_ITEM)
        ms_count(&context->stats->unknown_items, 1);
    return ms_publisher_changed(context->publisher, position, place, slots_shown, silent, error);
}

static enum ms_status apply_click(const struct ms_source_context *context, struct ms_position *position,
                                  uint32_t place, const struct ms_decoded *decoded,
                                  const struct ms_input *input, bool silent, struct ms_error *error)
{
    if (decoded->kind == MS_EVENT_FILTERED) {
        ms_count(&context->stats->filtered, 1);
        return MS_OK;
    }
    const struct ms_entry *entry = ms_overlay_entry(context->overlay, place);
    if (input->offset < entry->user->own_offset)
        return MS_OK; /* a replay meets users that are further than L */
    return decoded->kind == MS_EVENT_FORGET
               ? forget(context, position, place, input, silent, error)
               : fold(context, position, place, ms_slots_shown(entry), decoded, input, silent, error);
}

/* Once at C, clicks wait for the profiles, so that nothing is published without the profile that the user
 * had. */
const struct ms_source ms_source_clicks = {.name = "clicks",
                                           .option = "input.topic",
                                           .topic = offsetof(struct ms_config, input_topic),
                                           .waits_to_catch_up = 1u << MS_SOURCE_PROFILES,
                                           .input_start = true,
                                           .decode_id = decode_id,
                                           .open = open_clicks,
                                           .close = close_clicks,
                                           .decode = decode_click,
                                           .apply = apply_click};
