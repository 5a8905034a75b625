/* A batch from bytes to published records. */
#include "stream/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define MS_PROFILE_MAX_BYTES 65536 /* longest profile */
#define AHEAD                6     /* events whose users are brought towards the cache ahead of their fold */
#define PREFETCHED_LINES     8     /* cache lines of sums that are brought so; the hardware sees to more */
#define ITEMS_TOGETHER       64    /* looked up at a time */

/* What decoding made of an input. */
struct decoded {
    struct ms_event event;
    enum ms_event_kind kind;
    bool bad;
    const char *reason; /* bad */
    uint32_t row;       /* of its item */
    uint32_t wanted;    /* its place among the wanted */
};

struct ms_engine {
    const struct ms_config *config;
    const struct ms_model *model;
    struct ms_store *store;
    struct ms_sink sink;
    struct ms_stats *stats;
    uint32_t owner;
    size_t memory_bytes;
    struct ms_extractor *extractor;
    struct ms_encoder *encoder;
    struct ms_decoder *decoder;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
    struct ms_part *parts;
    size_t parts_count;
    struct ms_part **by_number; /* [2 * MS_MAX_PARTITIONS]: clicks, then profiles */
    struct ms_json *json;       /* checks profiles */
    bool joins;                 /* there are profile parts */
    struct ms_arena arena;
    struct decoded *decoded;
    struct ms_wanted *wanted;
    size_t batch_capacity;
    uint32_t *touched; /* places of users to publish at the commit (publish.mode=latest) */
    size_t touched_count, touched_capacity;
    uint32_t *owed; /* places of users to publish when their partition reaches C */
    size_t owed_count, owed_capacity;
    struct ms_log_limit bad_limit, key_limit;
};

enum ms_status ms_engine_new(struct ms_engine **out, const struct ms_engine_options *options,
                             struct ms_error *error)
{
    const struct ms_config *config = options->config;
    struct ms_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    engine->config = config;
    engine->model = options->model;
    engine->store = options->store;
    engine->sink = options->sink;
    engine->stats = options->stats;
    engine->owner = options->owner;
    engine->memory_bytes = options->memory_bytes;
    struct ms_event_fields fields = {.user = config->input_user_field,
                                     .item = config->input_item_field,
                                     .time = config->input_time_field,
                                     .type = config->input_type_field,
                                     .types = config->input_types,
                                     .id_max_bytes = (uint32_t)config->input_id_max_bytes};
    engine->by_number = calloc(2 * MS_MAX_PARTITIONS, sizeof *engine->by_number);
    engine->json = ms_json_new();
    engine->parts = calloc(2 * MS_MAX_PARTITIONS,
                           sizeof *engine->parts); /* pages are taken as they are touched */
    enum ms_status status = engine->by_number && engine->parts && engine->json
                                ? MS_OK
                                : ms_fail(error, MS_MEMORY, "no memory for a worker");
    if (status == MS_OK)
        status = ms_extractor_new(&engine->extractor, engine->model, error);
    if (status == MS_OK)
        status = ms_encoder_new(&engine->encoder, (enum ms_record_format)config->output_format, error);
    if (status == MS_OK)
        status = ms_decoder_new(&engine->decoder, &fields, error);
    if (status == MS_OK)
        status = ms_fold_context_init(&engine->fold_context, engine->model, engine->extractor,
                                      options->incremental, options->decay,
                                      (uint32_t)config->state_behaviors_max, error);
    if (status == MS_OK)
        status = ms_overlay_new(&engine->overlay, engine->store, &engine->fold_context, options->memory_bytes,
                                engine->owner, error);
    if (status != MS_OK) {
        ms_engine_destroy(engine);
        return status;
    }
    *out = engine;
    return MS_OK;
}

void ms_engine_destroy(struct ms_engine *engine)
{
    if (!engine)
        return;
    ms_overlay_destroy(engine->overlay); /* waits for a flush on its way: it needs the partitions still */
    for (size_t i = 0; i < engine->parts_count; i++) {
        if (engine->parts[i].open)
            ms_store_release(engine->store, (uint16_t)engine->parts[i].partition, engine->owner);
    }
    ms_fold_context_free(&engine->fold_context);
    ms_decoder_destroy(engine->decoder);
    ms_encoder_destroy(engine->encoder);
    ms_extractor_destroy(engine->extractor);
    ms_arena_free(&engine->arena);
    ms_json_destroy(engine->json);
    free(engine->by_number);
    free(engine->parts);
    free(engine->decoded);
    free(engine->wanted);
    free(engine->touched);
    free(engine->owed);
    free(engine);
}

uint64_t ms_engine_fold_id(const struct ms_engine *engine)
{
    return engine->fold_context.fold_id;
}

/* ---- partitions ---- */

struct ms_part *ms_engine_parts(struct ms_engine *engine, size_t *count)
{
    *count = engine->parts_count;
    return engine->parts;
}

static struct ms_part *open_part(struct ms_engine *engine, int32_t number)
{
    struct ms_part *part = engine->by_number[number];
    return part && part->open ? part : NULL;
}

struct ms_part *ms_engine_part(struct ms_engine *engine, int32_t partition)
{
    return partition >= 0 && partition < MS_MAX_PARTITIONS ? open_part(engine, partition) : NULL;
}

enum ms_status ms_engine_claim_part(struct ms_engine *engine, int32_t partition, struct ms_partition_row *row,
                                    bool *stored, struct ms_error *error)
{
    if (partition < 0 || partition >= MS_MAX_PARTITIONS)
        return ms_fail(error, MS_KAFKA, "partition %d of topic %s: partitions above %d are not supported",
                       partition, engine->config->input_topic, MS_MAX_PARTITIONS - 1);
    ms_store_acquire(engine->store, (uint16_t)partition, engine->owner);
    *row = MS_EMPTY_ROW;
    return ms_store_partition(engine->store, (uint16_t)partition, row, stored, error);
}

void ms_engine_open_part(struct ms_engine *engine, const struct ms_part *part)
{
    struct ms_part **at = &engine->by_number[part->partition + (part->profile ? MS_MAX_PARTITIONS : 0)];
    if (!*at)
        *at = &engine->parts[engine->parts_count++];
    assert(!(*at)->open);
    **at = *part;
    (*at)->open = true;
    engine->joins |= part->profile;
    if (!part->profile && part->flushed < 0 && part->row.sources[1].applied < 0)
        ms_overlay_whole(engine->overlay, (uint16_t)part->partition);
}

struct ms_part *ms_engine_profile_part(struct ms_engine *engine, int32_t partition)
{
    return partition >= 0 && partition < MS_MAX_PARTITIONS ? open_part(engine, partition + MS_MAX_PARTITIONS)
                                                           : NULL;
}

static struct ms_part *part_of(struct ms_engine *engine, const struct ms_input *input)
{
    return input->profile ? ms_engine_profile_part(engine, input->partition)
                          : ms_engine_part(engine, input->partition);
}

static bool replays(const struct ms_part *part)
{
    return part->folded < part->replay_until;
}

/* In replays the clicks come first, whatever the order was: a profile counts in the version of a user who
 * has events, so a user's version comes out no lower than the one that was published. */
bool ms_engine_rests(struct ms_engine *engine, const struct ms_part *part)
{
    const struct ms_part *clicks = ms_engine_part(engine, part->partition),
                         *profiles = ms_engine_profile_part(engine, part->partition);
    if (!clicks || !profiles)
        return false;
    if (part->profile)
        return replays(clicks);
    return !replays(clicks) && (replays(profiles) || profiles->folded < profiles->wait_until);
}

/* Takes the places of a partition's users out of a list. */
static size_t list_drop(struct ms_engine *engine, uint32_t *list, size_t count, int32_t partition)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (ms_overlay_entry(engine->overlay, list[i])->user->partition != partition)
            list[kept++] = list[i];
    }
    return kept;
}

void ms_engine_close_part(struct ms_engine *engine, int32_t partition)
{
    struct ms_part *clicks = ms_engine_part(engine, partition),
                   *profiles = ms_engine_profile_part(engine, partition);
    if (!clicks && !profiles)
        return;
    engine->touched_count = list_drop(engine, engine->touched, engine->touched_count, partition);
    engine->owed_count = list_drop(engine, engine->owed, engine->owed_count, partition);
    ms_overlay_drop(engine->overlay, (uint16_t)partition);
    ms_store_release(engine->store, (uint16_t)partition, engine->owner);
    if (clicks)
        clicks->open = false;
    if (profiles)
        profiles->open = false;
}

/* ---- publishing ---- */

static enum ms_status emit(struct ms_engine *engine, struct ms_part *part, const struct ms_output *output,
                           struct ms_error *error)
{
    part->must_send = true;
    if (output->kind == MS_OUTPUT_RECORD)
        ms_count(&engine->stats->records, 1);
    return engine->sink.emit(engine->sink.context, output, error);
}

static enum ms_status emit_null(struct ms_engine *engine, struct ms_part *part, const struct ms_user *user,
                                int slot, struct ms_error *error)
{
    struct ms_bytes id = ms_user_id(user);
    struct ms_output output = {.kind = MS_OUTPUT_RECORD, .version = user->version};
    output.key = slot < 0 ? id : ms_encode_interest_key(engine->encoder, id, slot);
    if (!output.key.data)
        return ms_fail(error, MS_MEMORY, "no memory for a record");
    return emit(engine, part, &output, error);
}

static enum ms_status publish_interests(struct ms_engine *engine, struct ms_part *part,
                                        const struct ms_record *record, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; i < record->interests.count && status == MS_OK; i++) {
        struct ms_output output = {.kind = MS_OUTPUT_RECORD, .version = record->version};
        output.value = ms_encode_interest(engine->encoder, record, i);
        output.key = ms_encode_interest_key(engine->encoder, record->user_id, i);
        if (!output.value.data || !output.key.data)
            return ms_fail(error, MS_MEMORY, "no memory for a record");
        status = emit(engine, part, &output, error);
    }
    return status;
}

/* The user's record, or its records in layout interest with null values for slots that it no longer has. */
static enum ms_status publish(struct ms_engine *engine, struct ms_part *part, struct ms_entry *entry,
                              struct ms_error *error)
{
    const struct ms_user *user = entry->user;
    const char *model = ms_model_config(engine->model)->id;
    struct ms_record record = {.user_id = ms_user_id(user),
                               .version = user->version,
                               .event_time_ms = user->last_time_ms,
                               .model = {model, strlen(model)},
                               .interests = ms_user_interests(&engine->fold_context, user)};
    enum ms_status status;
    if (engine->config->output_layout == MS_LAYOUT_USER) {
        struct ms_output output = {
            .kind = MS_OUTPUT_RECORD, .key = record.user_id, .version = record.version};
        output.value = ms_encode_user(engine->encoder, &record);
        status = output.value.data ? emit(engine, part, &output, error)
                                   : ms_fail(error, MS_MEMORY, "no memory for a record");
    } else {
        status = publish_interests(engine, part, &record, error);
        for (int slot = record.interests.count; slot < entry->slots_before && status == MS_OK; slot++)
            status = emit_null(engine, part, user, slot, error);
    }
    entry->slots_before = user->slots;
    return status;
}

/* Null values under every key that the user ever had. */
static enum ms_status publish_forgotten(struct ms_engine *engine, struct ms_part *part,
                                        const struct ms_user *user, struct ms_error *error)
{
    if (engine->config->output_layout == MS_LAYOUT_USER)
        return emit_null(engine, part, user, -1, error);
    enum ms_status status = MS_OK;
    for (int slot = 0; slot < user->slots_max && status == MS_OK; slot++)
        status = emit_null(engine, part, user, slot, error);
    return status;
}

static bool list_push(uint32_t **list, size_t *count, size_t *capacity, uint32_t place)
{
    if (*count == *capacity) {
        size_t next = *capacity ? *capacity * 2 : 1024;
        uint32_t *bigger = realloc(*list, next * sizeof *bigger);
        if (!bigger)
            return false;
        *list = bigger;
        *capacity = next;
    }
    (*list)[(*count)++] = place;
    return true;
}

/* Publishes a user now, or notes it to be published at the commit, once however much happens to it. */
static enum ms_status publish_or_touch(struct ms_engine *engine, struct ms_part *part, uint32_t place,
                                       struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(engine->overlay, place);
    if (engine->config->publish_mode == MS_PUBLISH_EVERY)
        return publish(engine, part, entry, error);
    if (entry->marks & MS_MARK_TOUCHED)
        return MS_OK;
    entry->marks |= MS_MARK_TOUCHED;
    part->must_send = true;
    return list_push(&engine->touched, &engine->touched_count, &engine->touched_capacity, place)
               ? MS_OK
               : ms_fail(error, MS_MEMORY, "no memory for the users to publish");
}

/* A user has changed: publish now, at the commit, at the end of the replay, or not at all. */
static enum ms_status changed(struct ms_engine *engine, struct ms_part *part, uint32_t place, bool silent,
                              struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(engine->overlay, place);
    if (silent) {
        if (!part->republish) {
            entry->slots_before = entry->user->slots;
            return MS_OK;
        }
        /* What the other fold showed of this user up to C is not known: at most this. */
        if (entry->slots_before < part->shown_slots)
            entry->slots_before = (uint16_t)part->shown_slots;
        if (entry->user->slots_max < part->shown_slots)
            entry->user->slots_max = (uint16_t)part->shown_slots;
        if (entry->marks & MS_MARK_OWED)
            return MS_OK;
        entry->marks |= MS_MARK_OWED;
        part->owed++;
        return list_push(&engine->owed, &engine->owed_count, &engine->owed_capacity, place)
                   ? MS_OK
                   : ms_fail(error, MS_MEMORY, "no memory for the users to publish");
    }
    return publish_or_touch(engine, part, place, error);
}

/* The replay of a partition has reached C: whoever was folded under a new fold id is published once. */
static enum ms_status end_replay(struct ms_engine *engine, struct ms_part *part, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t kept = 0;
    for (size_t i = 0; i < engine->owed_count; i++) {
        struct ms_entry *entry = ms_overlay_entry(engine->overlay, engine->owed[i]);
        if (entry->user->partition != part->partition) {
            engine->owed[kept++] = engine->owed[i];
            continue;
        }
        entry->marks &= (uint16_t)~MS_MARK_OWED;
        if (status == MS_OK && entry->user->version > 0)
            status = publish_or_touch(engine, part, engine->owed[i], error);
    }
    engine->owed_count = kept;
    struct ms_part *twins[] = {ms_engine_part(engine, part->partition),
                               ms_engine_profile_part(engine, part->partition)};
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        if (twins[i]) {
            /* From now on the note beside its offset names this fold. */
            twins[i]->must_send |= twins[i]->republish;
            twins[i]->owed = 0;
            twins[i]->republish = false;
        }
    }
    return status;
}

static enum ms_status reached(struct ms_engine *engine, struct ms_part *part, int64_t offset,
                              struct ms_error *error)
{
    if (part->folded >= part->replay_until || offset < part->replay_until)
        return MS_OK;
    part->folded = part->replay_until;
    ms_log(MS_LOG_INFO, "replayed", "topic=%s partition=%d until=%lld republished=%u",
           part->profile ? engine->config->profile_topic : engine->config->input_topic, part->partition,
           (long long)part->replay_until, part->owed);
    const struct ms_part *twin = part->profile ? ms_engine_part(engine, part->partition)
                                               : ms_engine_profile_part(engine, part->partition);
    /* The later of the two publishes what both owe. */
    return twin && replays(twin) ? MS_OK : end_replay(engine, part, error);
}

enum ms_status ms_engine_reached(struct ms_engine *engine, int32_t partition, int64_t offset,
                                 struct ms_error *error)
{
    struct ms_part *part = ms_engine_part(engine, partition);
    return part ? reached(engine, part, offset, error) : MS_OK;
}

enum ms_status ms_engine_profile_reached(struct ms_engine *engine, int32_t partition, int64_t offset,
                                         struct ms_error *error)
{
    struct ms_part *part = ms_engine_profile_part(engine, partition);
    if (!part)
        return MS_OK;
    if (ms_engine_rests(engine, part)) { /* it has passed records over: this is not its end yet */
        part->passed_over = true;
        return MS_OK;
    }
    if (offset >= part->wait_until)
        part->wait_until = 0;
    return reached(engine, part, offset, error);
}

/* ---- a batch ---- */

static bool batch_reserve(struct ms_engine *engine, size_t count)
{
    if (engine->batch_capacity >= count)
        return true;
    struct decoded *decoded = realloc(engine->decoded, count * sizeof *decoded);
    if (decoded)
        engine->decoded = decoded;
    struct ms_wanted *wanted = realloc(engine->wanted, count * sizeof *wanted);
    if (wanted)
        engine->wanted = wanted;
    if (!decoded || !wanted)
        return false;
    engine->batch_capacity = count;
    return true;
}

static enum ms_status decode(struct ms_engine *engine, const struct ms_input *input, struct decoded *decoded,
                             struct ms_error *error)
{
    struct ms_event_notes notes = {false};
    struct ms_error why;
    *decoded = (struct decoded){.row = MS_NO_ITEM, .wanted = UINT32_MAX};
    enum ms_status status = ms_decode_event(engine->decoder, &engine->arena, input->key, input->value,
                                            input->time_ms, &decoded->event, &decoded->kind, &notes, &why);
    if (status == MS_EVENT) {
        decoded->bad = true;
        decoded->reason = ms_arena_copy(&engine->arena, why.text, strlen(why.text) + 1);
        return decoded->reason ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a batch");
    }
    if (status != MS_OK)
        return ms_fail(error, status, "%s", why.text);
    if (notes.key_differs) {
        unsigned long long held_back;
        ms_count(&engine->stats->key_differs, 1);
        if (ms_log_allow(&engine->key_limit, &held_back))
            ms_log(MS_LOG_WARN, "key_differs",
                   "topic=%s partition=%d offset=%lld key=\"%.*s\" user=\"%.*s\" not_shown=%llu: the topic "
                   "is not keyed by user, so "
                   "a user's events may be split over partitions",
                   engine->config->input_topic, input->partition, (long long)input->offset,
                   (int)(input->key.size < 100 ? input->key.size : 100), input->key.data,
                   (int)(decoded->event.user.size < 100 ? decoded->event.user.size : 100),
                   decoded->event.user.data, held_back);
    }
    return MS_OK;
}

/* A profile: the user is the key, the value a JSON object, null for none. */
static enum ms_status decode_profile(struct ms_engine *engine, const struct ms_input *input,
                                     struct decoded *decoded, struct ms_error *error)
{
    struct ms_json_value root;
    const char *reason = NULL;
    *decoded = (struct decoded){.row = MS_NO_ITEM, .wanted = UINT32_MAX};
    if (!input->key.data || input->key.size == 0)
        reason = "a profile needs the user as its key";
    else if (input->key.size > (size_t)engine->config->input_id_max_bytes ||
             !ms_utf8_valid(input->key.data, input->key.size))
        reason = "the key is longer than input.id.max.bytes or is not UTF-8";
    else if (input->value.size > MS_PROFILE_MAX_BYTES)
        reason = "the profile is longer than 65536 bytes";
    else if (input->value.data)
        reason = ms_json_read(engine->json, input->value.data, input->value.size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a profile");
    if (!reason && input->value.data && ms_json_type(root) != MS_JSON_OBJECT)
        reason = "the profile is not a JSON object";
    decoded->bad = reason != NULL;
    decoded->reason = reason;
    decoded->event.user = input->key;
    return MS_OK;
}

/* The item rows of the accepted events among decoded[from..to), at most ITEMS_TOGETHER. */
static void find_items(struct ms_engine *engine, size_t from, size_t to)
{
    const char *ids[ITEMS_TOGETHER];
    size_t sizes[ITEMS_TOGETHER], whose[ITEMS_TOGETHER], n = 0;
    uint32_t rows[ITEMS_TOGETHER];
    for (size_t i = from; i < to; i++) {
        const struct decoded *d = &engine->decoded[i];
        if (d->wanted == UINT32_MAX || d->kind != MS_EVENT_ACCEPTED || !d->event.item.data)
            continue;
        ids[n] = d->event.item.data;
        sizes[n] = d->event.item.size;
        whose[n++] = i;
    }
    if (n == 0)
        return;
    ms_model_find_many(engine->model, ids, sizes, n, rows);
    for (size_t i = 0; i < n; i++)
        engine->decoded[whose[i]].row = rows[i];
}

/* Decodes a batch and gathers the users that it wants. */
static enum ms_status decode_all(struct ms_engine *engine, const struct ms_input *inputs, size_t count,
                                 size_t *wanted, struct ms_error *error)
{
    size_t n = 0;
    ms_arena_reset(&engine->arena);
    for (size_t i = 0; i < count; i++) {
        struct decoded *d = &engine->decoded[i];
        enum ms_status status = inputs[i].profile ? decode_profile(engine, &inputs[i], d, error)
                                                  : decode(engine, &inputs[i], d, error);
        if (status != MS_OK)
            return status;
        if (d->bad || d->kind == MS_EVENT_FILTERED || !part_of(engine, &inputs[i]))
            continue;
        d->wanted = (uint32_t)n;
        engine->wanted[n++] = (struct ms_wanted){
            .partition = (uint16_t)inputs[i].partition,
            .id = d->event.user,
            .hash = ms_overlay_hash((uint16_t)inputs[i].partition, d->event.user),
            /* neither forgetting nor a profile needs the user's history */
            .time_ms = d->kind == MS_EVENT_FORGET || inputs[i].profile ? INT64_MAX : d->event.time_ms};
    }
    for (size_t i = 0; i < count; i += ITEMS_TOGETHER)
        find_items(engine, i, i + ITEMS_TOGETHER < count ? i + ITEMS_TOGETHER : count);
    *wanted = n;
    return MS_OK;
}

static enum ms_status dead_letter(struct ms_engine *engine, struct ms_part *part,
                                  const struct ms_input *input, const char *reason, bool silent,
                                  struct ms_error *error)
{
    unsigned long long held_back;
    if (silent)
        return MS_OK;
    ms_count(&engine->stats->dead_letters, 1);
    if (ms_log_allow(&engine->bad_limit, &held_back))
        ms_log(MS_LOG_WARN, "bad_event", "topic=%s partition=%d offset=%lld error=\"%s\" not_shown=%llu",
               input->profile ? engine->config->profile_topic : engine->config->input_topic, input->partition,
               (long long)input->offset, reason, held_back);
    if (!engine->config->dead_letter_topic[0])
        return MS_OK;
    struct ms_output output = {.kind = MS_OUTPUT_DEAD_LETTER,
                               .key = input->key,
                               .value = input->value,
                               .input = input,
                               .reason = reason};
    return emit(engine, part, &output, error);
}

static enum ms_status forget(struct ms_engine *engine, struct ms_part *part, uint32_t place,
                             const struct ms_input *input, bool silent, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(engine->overlay, place);
    /* Nobody, or forgotten already: whether a row is still on disk must not matter. */
    if (entry->user->version == 0 && entry->user->profile_bytes == 0)
        return MS_OK;
    enum ms_status status = silent || entry->user->version == 0
                                ? MS_OK
                                : publish_forgotten(engine, part, entry->user, error);
    if (status != MS_OK)
        return status;
    ms_overlay_forget(engine->overlay, place, input->offset);
    entry->slots_before = 0;
    ms_count(&engine->stats->forgotten, 1);
    return MS_OK;
}

static enum ms_status fold(struct ms_engine *engine, struct ms_part *part, const struct decoded *d,
                           const struct ms_input *input, bool silent, struct ms_error *error)
{
    uint32_t place = engine->wanted[d->wanted].entry;
    if (input->offset < ms_overlay_entry(engine->overlay, place)->user->own_offset)
        return MS_OK; /* a replay meets users that are further than L */
    if (d->kind == MS_EVENT_FORGET)
        return forget(engine, part, place, input, silent, error);
    enum ms_folded folded;
    enum ms_status status = ms_overlay_fold(engine->overlay, place, &d->event, d->row, input->offset, &folded,
                                            error);
    if (status != MS_OK)
        return status;
    if (folded == MS_DUPLICATE) {
        ms_count(&engine->stats->duplicates, 1);
        return MS_OK;
    }
    ms_count(silent ? &engine->stats->replayed : &engine->stats->accepted, 1);
    if (d->row == MS_NO_ITEM)
        ms_count(&engine->stats->unknown_items, 1);
    return changed(engine, part, place, silent, error);
}

/* A changed profile refreshes the user's interests; of one who has none yet it is only kept. */
static enum ms_status take_profile(struct ms_engine *engine, struct ms_part *part, const struct decoded *d,
                                   const struct ms_input *input, bool silent, struct ms_error *error)
{
    uint32_t place = engine->wanted[d->wanted].entry;
    const struct ms_user *user = ms_overlay_entry(engine->overlay, place)->user;
    struct ms_bytes before = ms_user_profile(user),
                    now = {input->value.data, input->value.data ? input->value.size : 0};
    if (input->offset < user->profile_offset ||
        (before.size == now.size && memcmp(before.data, now.data ? now.data : "", now.size) == 0))
        return MS_OK;
    enum ms_status status = ms_overlay_set_profile(engine->overlay, place, now, input->offset, error);
    if (status != MS_OK)
        return status;
    ms_count(&engine->stats->profiles, 1);
    return ms_overlay_entry(engine->overlay, place)->user->version > 0
               ? changed(engine, part, place, silent, error)
               : MS_OK;
}

static enum ms_status process_one(struct ms_engine *engine, const struct ms_input *input,
                                  const struct decoded *d, struct ms_error *error)
{
    struct ms_part *part = part_of(engine, input);
    if (!part || input->offset < part->folded)
        return MS_OK;
    if (engine->joins && ms_engine_rests(engine, part)) {
        part->passed_over = true;
        return MS_OK;
    }
    enum ms_status status = reached(engine, part, input->offset, error);
    bool silent = input->offset < part->replay_until;
    if (status != MS_OK)
        return status;
    if (d->bad)
        status = dead_letter(engine, part, input, d->reason, silent, error);
    else if (input->profile)
        status = take_profile(engine, part, d, input, silent, error);
    else if (d->kind == MS_EVENT_FILTERED)
        ms_count(&engine->stats->filtered, 1);
    else
        status = fold(engine, part, d, input, silent, error);
    if (status == MS_OK) {
        part->folded = input->offset + 1;
        if (silent && part->folded >= part->replay_until) {
            part->folded = part->replay_until - 1; /* the last one: let reached() see the crossing */
            status = reached(engine, part, part->replay_until, error);
        }
    }
    return status;
}

/* Brings what an event's fold will touch of its user towards the cache; the user's front is there since the
 * look-up. */
static void prefetch(struct ms_engine *engine, size_t i)
{
    const struct decoded *d = &engine->decoded[i];
    if (d->wanted == UINT32_MAX)
        return;
    const struct ms_user *user = ms_overlay_entry(engine->overlay, engine->wanted[d->wanted].entry)->user;
    const char *sums = (const char *)ms_user_sums(user),
               *end = (const char *)(ms_user_behaviors(user) + user->count);
    for (int line = 0; line < PREFETCHED_LINES && sums + 64 * line < end; line++)
        __builtin_prefetch(sums + 64 * line, 1);
    __builtin_prefetch(end, 1);
    if (d->row != MS_NO_ITEM)
        ms_fold_prefetch(engine->extractor, d->row);
}

enum ms_status ms_engine_process(struct ms_engine *engine, const struct ms_input *inputs, size_t count,
                                 struct ms_error *error)
{
    size_t wanted;
    if (!batch_reserve(engine, count))
        return ms_fail(error, MS_MEMORY, "no memory for a batch of %zu records", count);
    enum ms_status status = decode_all(engine, inputs, count, &wanted, error);
    if (status == MS_OK)
        status = ms_overlay_find(engine->overlay, engine->wanted, wanted, error);
    for (size_t i = 0; status == MS_OK && i < count && i < AHEAD; i++)
        prefetch(engine, i);
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        if (i + AHEAD < count)
            prefetch(engine, i + AHEAD);
        status = process_one(engine, &inputs[i], &engine->decoded[i], error);
    }
    ms_count(&engine->stats->events, count);
    return status;
}

/* ---- commit and flush ---- */

bool ms_engine_pending(const struct ms_engine *engine)
{
    for (size_t i = 0; i < engine->parts_count; i++) {
        const struct ms_part *part = &engine->parts[i];
        if (part->open && part->folded >= part->replay_until &&
            (part->must_send || part->folded != part->committed))
            return true;
    }
    return false;
}

enum ms_status ms_engine_before_commit(struct ms_engine *engine, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < engine->touched_count && status == MS_OK; i++) {
        struct ms_entry *entry = ms_overlay_entry(engine->overlay, engine->touched[i]);
        entry->marks &= (uint16_t)~MS_MARK_TOUCHED;
        if (entry->user->version > 0)
            status = publish(engine, ms_engine_part(engine, entry->user->partition), entry, error);
    }
    engine->touched_count = 0;
    return status;
}

void ms_engine_committed(struct ms_engine *engine)
{
    for (size_t i = 0; i < engine->parts_count; i++) {
        struct ms_part *part = &engine->parts[i];
        if (part->open && part->folded >= part->replay_until) {
            part->committed = part->folded;
            part->must_send = false;
        }
    }
    ms_gauge(&engine->stats->users, ms_overlay_users(engine->overlay));
    ms_gauge(&engine->stats->user_bytes, ms_overlay_bytes(engine->overlay));
}

static bool owes(const struct ms_engine *engine)
{
    for (size_t i = 0; i < engine->parts_count; i++) {
        if (engine->parts[i].open && engine->parts[i].republish)
            return true;
    }
    return false;
}

bool ms_engine_flush_due(const struct ms_engine *engine)
{
    return !owes(engine) && ms_overlay_dirty_bytes(engine->overlay) > engine->memory_bytes / 2;
}

bool ms_engine_dirty(const struct ms_engine *engine)
{
    if (owes(engine))
        return false;
    if (ms_overlay_dirty_users(engine->overlay))
        return true;
    for (size_t i = 0; i < engine->parts_count; i++) {
        const struct ms_part *part = &engine->parts[i];
        int64_t applied = part->folded < part->committed ? part->folded : part->committed;
        if (part->open && applied >= 0 && applied != part->flushed)
            return true;
    }
    return false;
}

enum ms_status ms_engine_flush_begin(struct ms_engine *engine, struct ms_error *error)
{
    struct ms_flush_row *rows = malloc((engine->parts_count + 1) * sizeof *rows);
    size_t count = 0;
    if (!rows)
        return ms_fail(error, MS_MEMORY, "no memory to flush");
    for (size_t i = 0; i < engine->parts_count; i++) {
        const struct ms_part *part = &engine->parts[i];
        int64_t applied = part->folded < part->committed ? part->folded : part->committed;
        if (!part->open || applied < 0 || part->profile)
            continue;
        /* Only what a committed transaction has published reaches the disk, so L <= C and no user is beyond
         * C. */
        assert(part->committed >= 0 &&
               (part->folded == part->committed || part->folded < part->replay_until));
        rows[count++] = (struct ms_flush_row){
            .partition = (uint16_t)part->partition,
            .row = {.sources = {{applied, part->origin}, part->row.sources[1]},
                    .changelog = -1,
                    .fold_id = engine->fold_context.fold_id}};
        const struct ms_part *profiles = ms_engine_profile_part(engine, part->partition);
        if (profiles && profiles->committed >= 0) {
            rows[count - 1].row.sources[1].applied = profiles->folded < profiles->committed
                                                         ? profiles->folded
                                                         : profiles->committed;
            rows[count - 1].row.sources[1].origin = profiles->origin;
        }
    }
    size_t users = ms_overlay_dirty_users(engine->overlay);
    enum ms_status status = ms_overlay_flush_begin(engine->overlay, rows, count, error);
    free(rows);
    if (status != MS_OK)
        return status;
    for (size_t i = 0; i < engine->parts_count; i++) {
        struct ms_part *part = &engine->parts[i];
        if (part->open)
            part->flushed = part->folded < part->committed ? part->folded : part->committed;
    }
    ms_count(&engine->stats->flushed_users, users);
    return MS_OK;
}

bool ms_engine_flush_arrived(const struct ms_engine *engine)
{
    return ms_overlay_flush_arrived(engine->overlay);
}

enum ms_status ms_engine_flush_end(struct ms_engine *engine, bool *lost, struct ms_error *error)
{
    return ms_overlay_flush_end(engine->overlay, lost, error);
}

enum ms_status ms_engine_flush(struct ms_engine *engine, bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_engine_flush_begin(engine, error);
    return status == MS_OK ? ms_engine_flush_end(engine, lost, error) : status;
}
