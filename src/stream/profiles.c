/* The profiles: a compacted topic with the user as the key and a JSON object as the value, null for none. */
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "stream/source.h"

#define DECODE_RULES 1 /* raised with each change of what a record becomes */

static enum ms_status open_profiles(void **own, const struct ms_config *config, struct ms_error *error)
{
    (void)config;
    struct ms_json *json = ms_json_new();
    if (!json)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    *own = json;
    return MS_OK;
}

static uint64_t decode_id(const struct ms_config *config)
{
    uint64_t numbers[] = {DECODE_RULES, MS_PROFILE_MAX_BYTES, (uint64_t)config->input_id_max_bytes};
    return ms_digest(numbers, sizeof numbers);
}

static void close_profiles(void *own)
{
    ms_json_destroy(own);
}

static enum ms_status decode_profile(void *own, const struct ms_source_context *context,
                                     const struct ms_input *input, struct ms_decoded *decoded,
                                     struct ms_error *error)
{
    struct ms_json *json = own;
    struct ms_json_value root;
    const char *reason = NULL;
    if (!input->key.data || input->key.size == 0)
        reason = "a profile needs the user as its key";
    else if (input->key.size > (size_t)context->config->input_id_max_bytes ||
             !ms_utf8_valid(input->key.data, input->key.size))
        reason = "the key is longer than input.id.max.bytes or is not UTF-8";
    else if (input->value.size > MS_PROFILE_MAX_BYTES)
        reason = "the profile is longer than 65536 bytes";
    else if (input->value.data)
        reason = ms_json_read(json, input->value.data, input->value.size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a profile");
    if (!reason && input->value.data && ms_json_type(root) != MS_JSON_OBJECT)
        reason = "the profile is not a JSON object";
    decoded->reason = reason;
    decoded->event.user = input->key;
    decoded->needs_user = true; /* but not its history */
    return MS_OK;
}

/* A changed profile refreshes the user's interests. Of a user that has none yet it is only kept. */
static enum ms_status apply_profile(const struct ms_source_context *context, struct ms_position *position,
                                    uint32_t place, const struct ms_decoded *decoded,
                                    const struct ms_input *input, bool silent, struct ms_error *error)
{
    const struct ms_entry *entry = ms_overlay_entry(context->overlay, place);
    struct ms_bytes before = ms_user_profile(entry->user),
                    now = {input->value.data, input->value.data ? input->value.size : 0};
    (void)decoded;
    if (input->offset < entry->user->profile_offset ||
        (before.size == now.size && memcmp(before.data, now.data ? now.data : "", now.size) == 0))
        return MS_OK;
    uint16_t slots_shown = ms_slots_shown(entry);
    enum ms_status status = ms_overlay_set_profile(context->overlay, place, now, input->offset, error);
    if (status != MS_OK)
        return status;
    ms_count(&context->stats->profiles, 1);
    return ms_overlay_entry(context->overlay, place)->user->version > 0
               ? ms_publisher_changed(context->publisher, position, place, slots_shown, silent, error)
               : MS_OK;
}

/* Profiles wait while the clicks replay: a profile counts in the version of a user that has events, so a
 * user's version comes out no lower than the one that was published. */
const struct ms_source ms_source_profiles = {.name = "profiles",
                                             .option = "profile.topic",
                                             .topic = offsetof(struct ms_config, profile_topic),
                                             .waits_for_replay = 1u << MS_SOURCE_CLICKS,
                                             .compacted = true,
                                             .decode_id = decode_id,
                                             .open = open_profiles,
                                             .close = close_profiles,
                                             .decode = decode_profile,
                                             .apply = apply_profile};
