/* The profiles: a compacted topic with the user as the key and a JSON object as the value, null for none. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "stream/source.h"

#define DECODE_RULES 1 /* raised with each change of what a record becomes */

/* What decoding needs of its own. */
struct profiles {
    struct ms_json *json;
    struct ms_key_reader *key;
};

static uint64_t decode_id(const struct ms_config *config)
{
    uint64_t numbers[] = {DECODE_RULES, MS_PROFILE_MAX_BYTES, (uint64_t)config->input_id_max_bytes,
                          (uint64_t)config->input_key_format};
    const char *user = config->input_user_field; /* where a key is an object */
    uint64_t id = ms_digest(numbers, sizeof numbers);
    return config->input_key_format == MS_KEY_STRING ? id : ms_digest_next(id, user, strlen(user) + 1);
}

static void close_profiles(void *own)
{
    struct profiles *profiles = own;
    if (!profiles)
        return;
    ms_json_destroy(profiles->json);
    ms_key_reader_destroy(profiles->key);
    free(profiles);
}

static enum ms_status open_profiles(void **own, const struct ms_config *config, struct ms_error *error)
{
    struct profiles *profiles = calloc(1, sizeof *profiles);
    if (profiles)
        profiles->json = ms_json_new();
    if (!profiles || !profiles->json) {
        close_profiles(profiles);
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    }
    enum ms_status status = ms_key_reader_new(&profiles->key, (enum ms_key_format)config->input_key_format,
                                              config->input_user_field, (uint32_t)config->input_id_max_bytes,
                                              error);
    if (status != MS_OK) {
        close_profiles(profiles);
        return status;
    }
    *own = profiles;
    return MS_OK;
}

/* The user of a profile, copied where it does not lie in the record itself. A key that names none is a reason. */
static enum ms_status read_user(struct profiles *profiles, const struct ms_source_context *context,
                                struct ms_bytes key, struct ms_decoded *decoded, struct ms_error *error)
{
    struct ms_error why;
    struct ms_bytes user;
    enum ms_status status = ms_key_read(profiles->key, key, &user, &why);
    if (status == MS_EVENT) {
        decoded->reason = ms_arena_copy(context->arena, why.text, strlen(why.text) + 1);
        return decoded->reason ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a batch");
    }
    if (status != MS_OK)
        return ms_fail(error, status, "%s", why.text);
    if (!user.data) {
        decoded->reason = "a profile needs the user as its key";
        return MS_OK;
    }
    if (user.data != key.data)
        user.data = ms_arena_copy(context->arena, user.data, user.size);
    decoded->event.user = user;
    return user.data ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a batch");
}

static enum ms_status decode_profile(void *own, const struct ms_source_context *context,
                                     const struct ms_input *input, struct ms_decoded *decoded,
                                     struct ms_error *error)
{
    struct profiles *profiles = own;
    struct ms_json_value root;
    const char *reason = NULL;
    decoded->event.user = input->event ? input->event->user : (struct ms_bytes){NULL, 0};
    enum ms_status status = input->event ? MS_OK : read_user(profiles, context, input->key, decoded, error);
    if (status != MS_OK || decoded->reason)
        return status;
    if (input->value.size > MS_PROFILE_MAX_BYTES)
        reason = "the profile is longer than 65536 bytes";
    else if (input->value.data)
        reason = ms_json_read(profiles->json, input->value.data, input->value.size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a profile");
    if (!reason && input->value.data && ms_json_type(root) != MS_JSON_OBJECT)
        reason = "the profile is not a JSON object";
    decoded->reason = reason;
    decoded->needs_user = true; /* but not its history */
    return MS_OK;
}

/* A changed profile refreshes the user's interests. Of a user that has none yet it is only kept. */
static enum ms_status apply_profile(void *own, const struct ms_source_context *context,
                                    struct ms_position *position, uint32_t place,
                                    const struct ms_decoded *decoded, const struct ms_input *input,
                                    bool silent, struct ms_error *error)
{
    const struct ms_entry *entry = ms_overlay_entry(context->overlay, place);
    struct ms_bytes before = ms_user_profile(entry->user),
                    now = {input->value.data, input->value.data ? input->value.size : 0};
    (void)own;
    (void)decoded;
    if (input->offset < entry->user->profile_offset ||
        (before.size == now.size && memcmp(before.data, now.data ? now.data : "", now.size) == 0))
        return MS_OK;
    uint16_t slots_shown = ms_slots_shown(entry);
    int64_t offset = input->event ? -1 : input->offset;
    enum ms_status status = ms_overlay_set_profile(context->overlay, place, now, offset, error);
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
