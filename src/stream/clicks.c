/* The clicks: events of users with items, the source that makes users. A null value forgets a user. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "stream/source.h"

#define SHOWN_BYTES    100 /* of a user in a log line */
#define NO_KEY_EVERY_S 60  /* where one record has no key, all may have none, for good */

/* What decoding needs of its own. */
struct clicks {
    struct ms_decoder *decoder;
    struct ms_log_limit key_limit, no_key_limit, nobody_limit;
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
                                           .id_max_bytes = (uint32_t)config->input_id_max_bytes,
                                           .key_format = (enum ms_key_format)config->input_key_format};
    struct clicks *clicks = calloc(1, sizeof *clicks);
    if (!clicks)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    clicks->no_key_limit.every_s = NO_KEY_EVERY_S;
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
    uint64_t numbers[] = {MS_DECODE_RULES, (uint64_t)config->input_id_max_bytes,
                          (uint64_t)config->input_key_format};
    uint64_t id = ms_digest(numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        id = ms_digest_next(id, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) + 1 : 1);
    return id;
}

static int shown(struct ms_bytes bytes)
{
    return bytes.size < SHOWN_BYTES ? (int)bytes.size : SHOWN_BYTES;
}

/* Warns of a record with its key, and says which format the key may be in; at a bounded rate. */
static void tell(struct ms_log_limit *limit, const struct ms_source_context *context, const char *event,
                 const struct ms_input *input, struct ms_bytes user, const char *text)
{
    char key[MS_KEY_SHOWN];
    unsigned long long held_back;
    if (!ms_log_allow(limit, &held_back))
        return;
    const char *like = ms_key_looks_like(input->key, (enum ms_key_format)context->config->input_key_format);
    ms_log(MS_LOG_WARN, event,
           "topic=%s partition=%d offset=%lld key=%s%s%s user=\"%.*s\" not_shown=%llu text=\"%s%s%s\"",
           context->config->input_topic, input->partition, (long long)input->offset,
           input->key.data ? "\"" : "", input->key.data ? ms_key_show(key, input->key) : "null",
           input->key.data ? "\"" : "", shown(user), user.data, held_back, text,
           like ? "; the key looks like input.key.format=" : "", like ? like : "");
}

/* What the keys say of how the topic is written. */
static void tell_keys(struct clicks *clicks, const struct ms_source_context *context,
                      const struct ms_input *input, const struct ms_event_notes *notes, struct ms_bytes user)
{
    if (notes->key_differs) {
        ms_count(&context->stats->key_differs, 1);
        tell(&clicks->key_limit, context, "key_differs", input, user,
             "the topic is not keyed by user, so a user's events may be split over partitions");
    }
    if (notes->no_key) {
        ms_count(&context->stats->no_key, 1);
        tell(
            &clicks->no_key_limit, context, "no_key", input, user,
            "records without a key are spread over the partitions, and so are a user's events: each partition "
            "has a user of its own; write the user as the key");
    }
}

static enum ms_status decode_click(void *own, const struct ms_source_context *context,
                                   const struct ms_input *input, struct ms_decoded *decoded,
                                   struct ms_error *error)
{
    struct clicks *clicks = own;
    struct ms_event_notes notes = {false};
    if (input->event) {
        decoded->event = *input->event;
        decoded->kind = MS_EVENT_ACCEPTED;
        decoded->needs_user = true;
        decoded->history_time_ms = input->event->time_ms;
        return MS_OK;
    }
    struct ms_error why;
    enum ms_status status = ms_decode_event(clicks->decoder, context->arena, input->key, input->value,
                                            input->time_ms, &decoded->event, &decoded->kind, &notes, &why);
    if (status == MS_EVENT) {
        decoded->reason = ms_arena_copy(context->arena, why.text, strlen(why.text) + 1);
        return decoded->reason ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a batch");
    }
    if (status != MS_OK)
        return ms_fail(error, status, "%s", why.text);
    if (notes.key_differs || notes.no_key)
        tell_keys(clicks, context, input, &notes, decoded->event.user);
    decoded->needs_user = decoded->kind != MS_EVENT_FILTERED;
    if (decoded->kind == MS_EVENT_ACCEPTED)
        decoded->history_time_ms = decoded->event.time_ms;
    return MS_OK;
}

static enum ms_status forget(struct clicks *clicks, const struct ms_source_context *context,
                             struct ms_position *position, uint32_t place, const struct ms_input *input,
                             bool silent, struct ms_error *error)
{
    const struct ms_user *user = ms_overlay_entry(context->overlay, place)->user;
    /* No such user, or forgotten already: whether a row is still on disk must not matter. Someone asked for it. */
    if (user->version == 0 && user->profile_bytes == 0) {
        if (silent)
            return MS_OK;
        ms_count(&context->stats->forgot_nobody, 1);
        tell(&clicks->nobody_limit, context, "forgot_nobody", input, ms_user_id(user),
             "there is no such user in this partition, so nothing was forgotten");
        return MS_OK;
    }
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
    bool late = decoded->event.time_ms < ms_overlay_entry(context->overlay, place)->user->last_time_ms;
    int64_t offset = input->event ? -1 : input->offset;
    enum ms_status status = ms_overlay_fold(context->overlay, place, &decoded->event, decoded->row, offset,
                                            &folded, error);
    if (status != MS_OK)
        return status;
    if (folded == MS_DUPLICATE) {
        ms_count(&context->stats->duplicates, 1);
        return MS_OK;
    }
    ms_count(silent ? &context->stats->replayed : &context->stats->accepted, 1);
    if (late)
        ms_count(&context->stats->late, 1);
    if (decoded->row == MS_NO_ITEM)
        ms_count(&context->stats->unknown_items, 1);
    return ms_publisher_changed(context->publisher, position, place, slots_shown, silent, error);
}

static enum ms_status apply_click(void *own, const struct ms_source_context *context,
                                  struct ms_position *position, uint32_t place,
                                  const struct ms_decoded *decoded, const struct ms_input *input, bool silent,
                                  struct ms_error *error)
{
    if (decoded->kind == MS_EVENT_FILTERED) {
        ms_count(&context->stats->filtered, 1);
        return MS_OK;
    }
    const struct ms_entry *entry = ms_overlay_entry(context->overlay, place);
    if (input->offset < entry->user->own_offset)
        return MS_OK; /* a replay meets users that are further than L */
    return decoded->kind == MS_EVENT_FORGET
               ? forget(own, context, position, place, input, silent, error)
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
