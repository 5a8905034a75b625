/* A batch from bytes to published records. */
#include "stream/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "state/ingest.h"
#include "stream/earlier.h"
#include "stream/gate.h"
#include "stream/hot.h"
#include "stream/images.h"
#include "stream/offsets.h"
#include "stream/pay.h"
#include "stream/publish.h"
#include "stream/recent.h"
#include "stream/source.h"

#define AHEAD            6  /* events whose users are brought towards the cache ahead of their fold */
#define PREFETCHED_LINES 8  /* cache lines of sums that are brought so; the hardware sees to more */
#define ITEMS_TOGETHER   64 /* looked up at a time */

struct ms_engine {
    const struct ms_config *config;
    const struct ms_model *model;
    struct ms_store *store;
    struct ms_stats *stats;
    struct ms_gate *gate;
    struct ms_images images;
    struct ms_hot hot; /* this and the next are kept where others look */
    struct ms_recent recent;
    uint32_t owner;
    size_t memory_bytes;
    struct ms_extractor *extractor;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
    struct ms_overlay_reads counted; /* of the overlay's, in the stats */
    struct ms_publisher *publisher;
    struct ms_payer *payer;
    struct ms_earlier *earlier;
    struct ms_positions positions;
    uint64_t decode_id;
    void *own[MS_SOURCES]; /* what a source's decoding needs */
    struct ms_source_context context;
    struct ms_arena arena;
    struct ms_decoded *decoded;
    struct ms_wanted *wanted;
    size_t batch_capacity;
    void (*on_bad)(void *context, const struct ms_input *input, const char *reason);
    void *on_bad_context;
};

/* Opens the sources whose topics are configured, and those of files. */
static enum ms_status open_sources(struct ms_engine *engine, unsigned files, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    engine->context = (struct ms_source_context){.config = engine->config,
                                                 .arena = &engine->arena,
                                                 .overlay = engine->overlay,
                                                 .publisher = engine->publisher,
                                                 .stats = engine->stats};
    for (int source = 0; source < MS_SOURCES && status == MS_OK; source++) {
        if (ms_source_topic(source, engine->config)[0] || files & 1u << source)
            status = ms_sources[source]->open(&engine->own[source], engine->config, error);
    }
    return status;
}

static enum ms_status open_publisher(struct ms_engine *engine, const struct ms_sink *sink,
                                     struct ms_error *error)
{
    const struct ms_publisher_options options = {.config = engine->config,
                                                 .model = engine->model,
                                                 .fold_context = &engine->fold_context,
                                                 .overlay = engine->overlay,
                                                 .positions = &engine->positions,
                                                 .sink = *sink,
                                                 .stats = engine->stats};
    return ms_publisher_new(&engine->publisher, &options, error);
}

static void serve_gate(void *gate)
{
    ms_gate_serve(gate);
}

enum ms_status ms_engine_new(struct ms_engine **out, const struct ms_engine_options *options,
                             struct ms_error *error)
{
    struct ms_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    engine->config = options->config;
    engine->model = options->model;
    engine->store = options->store;
    engine->stats = options->stats;
    engine->owner = options->owner;
    engine->gate = options->gate;
    engine->memory_bytes = options->memory_bytes;
    engine->decode_id = ms_sources_decode_id(engine->config);
    engine->on_bad = options->on_bad;
    engine->on_bad_context = options->on_bad_context;
    enum ms_status status = ms_positions_init(&engine->positions)
                                ? MS_OK
                                : ms_fail(error, MS_MEMORY, "no memory for a worker");
    if (status == MS_OK && engine->gate && (!ms_hot_init(&engine->hot) || !ms_recent_init(&engine->recent)))
        status = ms_fail(error, MS_MEMORY, "no memory for a worker");
    if (status == MS_OK)
        status = ms_extractor_new(&engine->extractor, engine->model, error);
    if (status == MS_OK)
        status = ms_fold_context_init(&engine->fold_context, engine->model, engine->extractor,
                                      options->incremental, options->decay,
                                      (uint32_t)engine->config->state_behaviors_max, error);
    if (status == MS_OK)
        status = ms_overlay_new(&engine->overlay, engine->store, &engine->fold_context, options->memory_bytes,
                                engine->owner, error);
    if (status == MS_OK && engine->gate)
        ms_overlay_flush_pause(engine->overlay, serve_gate, engine->gate);
    if (status == MS_OK)
        status = open_publisher(engine, &options->sink, error);
    if (status == MS_OK)
        status = ms_payer_new(&engine->payer, engine->store, engine->overlay, engine->publisher,
                              options->pay_records, error);
    if (status == MS_OK)
        status = ms_earlier_new(&engine->earlier, engine->config, error);
    if (status == MS_OK)
        status = open_sources(engine, options->files, error);
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
    ms_overlay_destroy(engine->overlay); /* waits for a running flush, which needs the partitions still */
    for (size_t i = 0; i < engine->positions.count; i++) {
        if (engine->positions.partitions[i].claimed)
            ms_store_release(engine->store, (uint16_t)engine->positions.partitions[i].number, engine->owner);
    }
    for (int source = 0; source < MS_SOURCES; source++)
        ms_sources[source]->close(engine->own[source]);
    ms_earlier_destroy(engine->earlier);
    ms_payer_destroy(engine->payer);
    ms_publisher_destroy(engine->publisher);
    ms_fold_context_free(&engine->fold_context);
    ms_extractor_destroy(engine->extractor);
    ms_positions_free(&engine->positions);
    ms_images_free(&engine->images);
    ms_hot_free(&engine->hot);
    ms_recent_free(&engine->recent);
    ms_arena_free(&engine->arena);
    free(engine->decoded);
    free(engine->wanted);
    free(engine);
}

void ms_engine_set_memory(struct ms_engine *engine, size_t memory_bytes)
{
    engine->memory_bytes = memory_bytes;
    ms_overlay_set_memory(engine->overlay, memory_bytes);
}

uint64_t ms_engine_fold_id(const struct ms_engine *engine)
{
    return engine->fold_context.fold_id;
}

uint64_t ms_engine_decode_id(const struct ms_engine *engine)
{
    return engine->decode_id;
}

/* ---- partitions ---- */

struct ms_positions *ms_engine_positions(struct ms_engine *engine)
{
    return &engine->positions;
}

enum ms_status ms_engine_claim(struct ms_engine *engine, int32_t partition, struct ms_partition_row *row,
                               struct ms_error *error)
{
    bool stored;
    if (!ms_partition_number_valid(partition))
        return ms_fail(error, MS_OFFSETS, "partition %d of topic %s: partitions above %d are not supported",
                       partition, engine->config->input_topic, MS_MAX_PARTITIONS - 1);
    struct ms_partition *claimed = ms_positions_add(&engine->positions, partition);
    ms_store_acquire(engine->store, (uint16_t)partition, engine->owner);
    claimed->claimed = true;
    *row = MS_EMPTY_ROW;
    enum ms_status status = ms_store_partition(engine->store, (uint16_t)partition, row, &stored, error);
    claimed->row = *row;
    return status;
}

/* Whether nothing of the partition is on disk. A row without offsets has a fold id where users came from files. */
static bool nothing_stored(const struct ms_partition_row *row)
{
    if (row->fold_id)
        return false;
    for (int source = 0; source < MS_SOURCES; source++) {
        if (row->sources[source].applied >= 0)
            return false;
    }
    return true;
}

void ms_engine_open(struct ms_engine *engine, const struct ms_position *position)
{
    struct ms_partition *partition = ms_positions_partition(&engine->positions, position->partition);
    unsigned bit = 1u << position->source;
    assert(partition && partition->claimed && !(partition->open & bit));
    if (!partition->open && nothing_stored(&partition->row))
        ms_overlay_nothing_stored(engine->overlay, (uint16_t)partition->number);
    partition->positions[position->source] = *position;
    partition->open |= bit;
    partition->positions[position->source].withheld = NULL;
    if (position->source == MS_SOURCE_CLICKS && position->withheld && position->withheld[0]) {
        snprintf(partition->withheld, sizeof partition->withheld, "%s", position->withheld);
        engine->positions.withheld++;
    }
    ms_partition_begin_debt(&engine->positions, partition);
}

/* Gives up a partition whose users are dropped. */
static void give_up(struct ms_engine *engine, struct ms_partition *partition)
{
    ms_store_release(engine->store, (uint16_t)partition->number, engine->owner);
    ms_payer_leave(engine->payer, partition->number);
    ms_partition_end_debt(&engine->positions, partition);
    engine->positions.withheld -= partition->withheld[0] != '\0';
    partition->withheld[0] = '\0';
    partition->withheld_bytes = 0;
    partition->open = 0;
    partition->claimed = false;
}

void ms_engine_close(struct ms_engine *engine, int32_t number)
{
    struct ms_partition *partition = ms_positions_partition(&engine->positions, number);
    if (!partition || !partition->claimed)
        return;
    ms_publisher_drop(engine->publisher, number);
    ms_overlay_drop(engine->overlay, (uint16_t)number);
    give_up(engine, partition);
}

void ms_engine_close_all(struct ms_engine *engine)
{
    ms_publisher_drop_all(engine->publisher);
    ms_overlay_drop_all(engine->overlay);
    ms_images_begin(&engine->images, false);
    for (size_t i = 0; i < engine->positions.count; i++) {
        if (engine->positions.partitions[i].claimed)
            give_up(engine, &engine->positions.partitions[i]);
    }
}

bool ms_engine_waits(const struct ms_engine *engine, const struct ms_position *position)
{
    return ms_partition_waits(ms_positions_partition(&engine->positions, position->partition),
                              position->source);
}

size_t ms_engine_note(const struct ms_engine *engine, const struct ms_position *position,
                      char text[MS_NOTE_BYTES])
{
    struct ms_offset_note note = {.origin = position->origin,
                                  .mark = position->mark,
                                  .fold_id = engine->fold_context.fold_id,
                                  .decode_id = engine->decode_id,
                                  .partitions = position->partitions,
                                  .slots = ms_model_config(engine->model)->interests,
                                  .began = position->began,
                                  .before = position->before};
    const struct ms_partition *partition = ms_positions_partition(&engine->positions, position->partition);
    if (position->source == MS_SOURCE_CLICKS) {
        note.debt = ms_debt_note(&partition->debt);
        ms_publisher_note(engine->publisher, position->partition, note.withheld);
        strcat(note.withheld, partition->withheld); /* there is room: see withhold() in publish.c */
    }
    note.decoded_otherwise = position->decoded_otherwise && ms_debt_is_open(&partition->debt);
    return ms_offset_note_write(text, &note);
}

/* Whether what comes of a source is passed over: because it has to wait, or because earlier records were
 * passed over and the consumer has not gone back to them yet. */
static bool passes_over(const struct ms_partition *partition, struct ms_position *position)
{
    position->passed_over = position->passed_over || ms_partition_waits(partition, position->source);
    return position->passed_over;
}

/* Says that a replay has ended. Offsets without a record are nothing where transactions were written: their
 * marks and what they aborted have some. Where the log is compacted they may have been events. */
static void tell_replayed(const struct ms_engine *engine, const struct ms_position *position)
{
    int64_t holes = ms_sources[position->source]->compacted ? 0 : position->holes;
    bool suspicious = position->holed && holes > 0;
    ms_count(&engine->stats->replay_holes, (uint64_t)holes);
    ms_log(suspicious ? MS_LOG_WARN : MS_LOG_INFO, "replayed",
           "topic=%s partition=%d until=%lld republish=%d holes=%lld%s",
           ms_source_topic(position->source, engine->config), position->partition,
           (long long)position->replay_until, position->owes > 0, (long long)holes,
           suspicious ? " text=\"the log is compacted: events are missing from the state\"" : "");
}

/* Where |offset| is C or beyond, the replay has ended. */
static void reached(const struct ms_engine *engine, struct ms_position *position, int64_t offset)
{
    if (!ms_position_replays(position) || offset < position->replay_until)
        return;
    position->next = position->replay_until;
    tell_replayed(engine, position);
}

void ms_engine_reached(struct ms_engine *engine, int source, int32_t number, int64_t offset)
{
    struct ms_position *position = ms_positions_find(&engine->positions, number, source);
    if (!position)
        return;
    struct ms_partition *partition = ms_positions_partition(&engine->positions, number);
    if (passes_over(partition, position)) /* this is not its end yet */
        return;
    if (offset >= position->wait_until)
        position->wait_until = 0;
    reached(engine, position, offset);
    if (!ms_position_replays(position) && position->next < offset && !passes_over(partition, position)) {
        if (position->origin == position->next)
            position->origin = offset; /* nothing was there to be folded */
        position->next = offset;
    }
}

/* ---- a batch ---- */

static bool batch_reserve(struct ms_engine *engine, size_t count)
{
    if (engine->batch_capacity >= count)
        return true;
    struct ms_decoded *decoded = realloc(engine->decoded, count * sizeof *decoded);
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

/* Looks up the items of decoded[from..to), at most ITEMS_TOGETHER. */
static void find_items(struct ms_engine *engine, size_t from, size_t to)
{
    const char *ids[ITEMS_TOGETHER];
    size_t sizes[ITEMS_TOGETHER], whose[ITEMS_TOGETHER], n = 0;
    uint32_t rows[ITEMS_TOGETHER];
    for (size_t i = from; i < to; i++) {
        const struct ms_decoded *d = &engine->decoded[i];
        if (d->wanted == UINT32_MAX || !d->event.item.data)
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
        const struct ms_input *input = &inputs[i];
        struct ms_decoded *d = &engine->decoded[i];
        *d = (struct ms_decoded){.history_time_ms = INT64_MAX, .row = MS_NO_ITEM, .wanted = UINT32_MAX};
        if (!ms_positions_find(&engine->positions, input->partition, input->source))
            continue;
        enum ms_status status = ms_sources[input->source]->decode(engine->own[input->source],
                                                                  &engine->context, input, d, error);
        if (status != MS_OK)
            return status;
        if (d->reason || !d->needs_user)
            continue;
        d->wanted = (uint32_t)n;
        engine->wanted[n++] = (struct ms_wanted){
            .partition = (uint16_t)input->partition,
            .id = d->event.user,
            .hash = ms_overlay_hash((uint16_t)input->partition, d->event.user),
            .time_ms = d->history_time_ms};
    }
    for (size_t i = 0; i < count; i += ITEMS_TOGETHER)
        find_items(engine, i, i + ITEMS_TOGETHER < count ? i + ITEMS_TOGETHER : count);
    *wanted = n;
    return MS_OK;
}

/* Whether a user of a partition has nothing that is not committed. */
static bool is_committed(const struct ms_partition *partition, const struct ms_user *user)
{
    assert(partition); /* it is held */
    const struct ms_position *positions = partition->positions;
    return user->own_offset <= positions[MS_SOURCE_CLICKS].committed &&
           (!(partition->open & 1u << MS_SOURCE_PROFILES) ||
            user->profile_offset <= positions[MS_SOURCE_PROFILES].committed);
}

/* Keeps what a user was before this transaction. */
static void keep_image(struct ms_engine *engine, int32_t partition, const struct ms_wanted *wanted)
{
    const struct ms_user *user = ms_overlay_entry(engine->overlay, wanted->entry)->user;
    const struct ms_partition *of = ms_positions_partition(&engine->positions, partition);
    if (of && is_committed(of, user))
        ms_images_keep(&engine->images, wanted->hash, user);
}

enum ms_sight ms_engine_peek(const struct ms_engine *engine, const struct ms_partition *partition,
                             struct ms_bytes id, const struct ms_user **user)
{
    uint16_t number = (uint16_t)partition->number;
    uint64_t hash = ms_overlay_hash(number, id);
    const struct ms_user *found = ms_overlay_peek(engine->overlay, number, id, hash);
    if (ms_partition_replays(partition))
        return MS_SIGHT_REPLAYING;
    if (!found)
        return MS_SIGHT_STORED;
    if (!is_committed(partition, found))
        found = ms_images_find(&engine->images, hash, number, id);
    if (!found)
        return MS_SIGHT_UNCOMMITTED;
    *user = found;
    return MS_SIGHT_COMMITTED;
}

/* Applies a record, good or bad, that its source has come to. */
static enum ms_status apply(struct ms_engine *engine, struct ms_position *position,
                            const struct ms_input *input, const struct ms_decoded *d, bool silent,
                            struct ms_error *error)
{
    if (engine->images.on && !silent && d->wanted != UINT32_MAX && !d->reason)
        keep_image(engine, input->partition, &engine->wanted[d->wanted]);
    if (!d->reason)
        return ms_sources[input->source]->apply(
            engine->own[input->source], &engine->context, position,
            d->wanted == UINT32_MAX ? UINT32_MAX : engine->wanted[d->wanted].entry, d, input, silent, error);
    if (engine->on_bad)
        engine->on_bad(engine->on_bad_context, input, d->reason);
    return silent || engine->on_bad ? MS_OK
                                    : ms_publisher_dead_letter(engine->publisher, position,
                                                               ms_source_topic(input->source, engine->config),
                                                               input, d->reason, error);
}

/* Whether |source| may have to wait: beside others, or for a debt. */
static bool may_wait(const struct ms_partition *partition, int source)
{
    return partition->open != 1u << source || ms_debt_is_open(&partition->debt);
}

static enum ms_status process_one(struct ms_engine *engine, const struct ms_input *input,
                                  const struct ms_decoded *d, struct ms_error *error)
{
    struct ms_partition *partition = ms_positions_partition(&engine->positions, input->partition);
    struct ms_position *position = ms_positions_find(&engine->positions, input->partition, input->source);
    if (!position || input->offset < position->next)
        return MS_OK;
    if (may_wait(partition, input->source) && passes_over(partition, position))
        return MS_OK;
    if (input->offset > position->next && position->origin == position->next)
        position->origin = input->offset; /* the first record that is there */
    reached(engine, position, input->offset);
    if (may_wait(partition, input->source) &&
        passes_over(partition, position)) /* its replay has just ended */
        return MS_OK;
    bool silent = input->offset < position->replay_until;
    enum ms_status status = apply(engine, position, input, d, silent, error);
    if (status != MS_OK)
        return status;
    position->holes -= silent;
    if (silent && input->offset + 1 >= position->replay_until)
        reached(engine, position, position->replay_until);
    else
        position->next = input->offset + 1;
    return MS_OK;
}

/* Brings what an event's fold will touch of its user towards the cache. The look-up has brought the user's
 * front. */
static void prefetch(struct ms_engine *engine, size_t i)
{
    const struct ms_decoded *d = &engine->decoded[i];
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

/* Of a batch of one source: owes a record to all users that records of [L, C) may have been of under other settings of
 * the decoder. */
static enum ms_status owe_earlier(struct ms_engine *engine, int source, const struct ms_input *inputs,
                                  size_t count, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t users;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        const struct ms_position *position = ms_positions_find(&engine->positions, inputs[i].partition,
                                                               source);
        if (inputs[i].source == source && position && position->decoded_otherwise &&
            inputs[i].offset < position->replay_until)
            status = ms_earlier_add(engine->earlier, &inputs[i], &engine->decoded[i], &engine->arena, error);
    }
    struct ms_wanted *wanted = ms_earlier_take(engine->earlier, &users);
    if (status == MS_OK && users > 0)
        status = ms_overlay_find(engine->overlay, wanted, users, error);
    for (size_t i = 0; status == MS_OK && i < users; i++)
        ms_publisher_owe(engine->publisher,
                         ms_positions_find(&engine->positions, wanted[i].partition, source), wanted[i].entry);
    return status;
}

/* Notes what others may want to see of a batch: hot users and the last events. Of a full batch only a part. */
static void note_batch(struct ms_engine *engine, const struct ms_input *inputs, size_t count)
{
    size_t step = count < MS_HOT_FULL ? 1 : MS_HOT_SAMPLE;
    for (size_t i = engine->hot.turn++ % step; i < count; i += step) {
        const struct ms_decoded *d = &engine->decoded[i];
        if (inputs[i].source == MS_SOURCE_CLICKS && d->wanted != UINT32_MAX)
            ms_hot_add(&engine->hot, (uint16_t)inputs[i].partition, d->event.user,
                       engine->wanted[d->wanted].hash, step);
    }
    ms_recent_note(&engine->recent, inputs, engine->decoded, count);
}

size_t ms_engine_hot(const struct ms_engine *engine, struct ms_hot_user *out, size_t limit)
{
    return engine->gate ? ms_hot_top(&engine->hot, ms_monotonic_s(), out, limit) : 0;
}

size_t ms_engine_recent(const struct ms_engine *engine, struct ms_recent_event *out, size_t limit)
{
    return engine->gate ? ms_recent_copy(&engine->recent, out, limit) : 0;
}

/* Marks the last record of each partition of the batch that was folded. */
static void take_marks(struct ms_engine *engine, const struct ms_input *inputs, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        const struct ms_input *input = &inputs[i];
        struct ms_position *position = ms_positions_find(&engine->positions, input->partition, input->source);
        if (!position || input->event || input->offset < position->mark.upto ||
            input->offset >= position->next)
            continue;
        position->mark = (struct ms_landmark){
            .upto = input->offset + 1,
            .digest = ms_landmark_digest(input->time_ms, input->key, input->value)};
        position->time_ms = input->time_ms;
        if (position->anchor.upto == 0)
            position->anchor = position->mark;
    }
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
    for (int source = 0; status == MS_OK && engine->positions.debts > 0 && source < MS_SOURCES; source++)
        status = owe_earlier(engine, source, inputs, count, error);
    if (status == MS_OK)
        take_marks(engine, inputs, count);
    if (status == MS_OK && engine->gate)
        note_batch(engine, inputs, count);
    ms_count(&engine->stats->events, count);
    return status;
}

/* ---- commit and flush ---- */

bool ms_engine_pending(const struct ms_engine *engine)
{
    return ms_positions_pending(&engine->positions);
}

/* Whether the users that the partition's note named can be published now. Those of a debt are its own. */
static bool can_resume(const struct ms_partition *partition)
{
    return partition->withheld[0] && !ms_partition_replays(partition) && !ms_debt_is_open(&partition->debt);
}

/* Hands the users that the note of a partition named to the publisher. */
static enum ms_status resume_withheld(struct ms_engine *engine, struct ms_partition *partition,
                                      struct ms_error *error)
{
    enum { TOGETHER = 32 };
    char ids[MS_WITHHELD_BYTES];
    const char *at = partition->withheld;
    enum ms_status status = MS_OK;
    while (status == MS_OK && *at) {
        struct ms_wanted wanted[TOGETHER];
        size_t count = 0, used = 0;
        for (; *at && count < TOGETHER; count++) {
            struct ms_bytes id = {ids + used, ms_withheld_read(&at, ids + used)};
            used += id.size;
            wanted[count] = (struct ms_wanted){.partition = (uint16_t)partition->number,
                                               .id = id,
                                               .hash = ms_overlay_hash((uint16_t)partition->number, id),
                                               .time_ms = INT64_MAX};
        }
        status = ms_overlay_find(engine->overlay, wanted, count, error);
        for (size_t i = 0; status == MS_OK && i < count; i++)
            status = ms_publisher_withheld(engine->publisher, partition, wanted[i].entry, error);
    }
    if (status == MS_OK) {
        partition->withheld[0] = '\0';
        engine->positions.withheld--;
    }
    return status;
}

enum ms_status ms_engine_before_commit(struct ms_engine *engine, double now_s, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && engine->positions.withheld > 0 && i < engine->positions.count;
         i++) {
        struct ms_partition *partition = &engine->positions.partitions[i];
        if (can_resume(partition))
            status = resume_withheld(engine, partition, error);
    }
    return status == MS_OK ? ms_publisher_commit(engine->publisher, now_s, error) : status;
}

double ms_engine_due_s(const struct ms_engine *engine)
{
    for (size_t i = 0; engine->positions.withheld > 0 && i < engine->positions.count; i++) {
        if (can_resume(&engine->positions.partitions[i]))
            return 0;
    }
    return ms_publisher_due_s(engine->publisher);
}

static void measure(struct ms_engine *engine)
{
    ms_gauge(&engine->stats->users, ms_overlay_users(engine->overlay));
    ms_gauge(&engine->stats->user_bytes, ms_overlay_bytes(engine->overlay));
    struct ms_overlay_reads reads = ms_overlay_reads(engine->overlay);
    ms_count(&engine->stats->user_reads, reads.users - engine->counted.users);
    ms_count(&engine->stats->users_found, reads.found - engine->counted.found);
    ms_count(&engine->stats->chunk_reads, reads.chunks - engine->counted.chunks);
    engine->counted = reads;
}

void ms_engine_committed(struct ms_engine *engine)
{
    ms_positions_committed(&engine->positions);
    if (engine->gate) {
        double now_s = ms_monotonic_s();
        ms_images_begin(&engine->images,
                        (int64_t)(now_s * 1000) < atomic_load(&engine->gate->images_until_ms));
        ms_hot_age(&engine->hot, now_s);
    }
    measure(engine);
}

bool ms_engine_flush_due(const struct ms_engine *engine)
{
    return ms_overlay_dirty_bytes(engine->overlay) > engine->memory_bytes / 2;
}

bool ms_engine_dirty(const struct ms_engine *engine)
{
    return ms_overlay_dirty_users(engine->overlay) > 0 || ms_positions_unflushed(&engine->positions);
}

enum ms_status ms_engine_flush_begin(struct ms_engine *engine, struct ms_error *error)
{
    struct ms_flush_row *rows = malloc((engine->positions.count + 1) * sizeof *rows);
    if (!rows)
        return ms_fail(error, MS_MEMORY, "no memory to flush");
    size_t count = ms_positions_rows(&engine->positions, engine->fold_context.fold_id, engine->decode_id,
                                     rows);
    size_t users = ms_overlay_dirty_users(engine->overlay);
    enum ms_status status = ms_overlay_flush_begin(engine->overlay, rows, count, error);
    free(rows);
    if (status != MS_OK)
        return status;
    ms_positions_flushed(&engine->positions);
    measure(engine);
    ms_count(&engine->stats->flushed_users, users);
    return MS_OK;
}

void ms_engine_flush_hurry(struct ms_engine *engine, bool hurry)
{
    ms_overlay_flush_hurry(engine->overlay, hurry);
}

bool ms_engine_flush_arrived(const struct ms_engine *engine)
{
    return ms_overlay_flush_arrived(engine->overlay);
}

enum ms_status ms_engine_flush_end(struct ms_engine *engine, bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_overlay_flush_end(engine->overlay, lost, error);
    if (status == MS_OK && !*lost)
        ms_positions_stored(&engine->positions);
    return status;
}

enum ms_status ms_engine_flush(struct ms_engine *engine, bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_engine_flush_begin(engine, error);
    return status == MS_OK ? ms_engine_flush_end(engine, lost, error) : status;
}

/* ---- debts ---- */

/* A partition whose debt can be paid now: one that is stored, or the first. NULL where there is none. */
static struct ms_partition *debtor(const struct ms_engine *engine)
{
    struct ms_partition *first = NULL;
    for (size_t i = 0; engine->positions.debts > 0 && i < engine->positions.count; i++) {
        struct ms_partition *partition = &engine->positions.partitions[i];
        if (!ms_partition_pays(partition))
            continue;
        if (partition->debt_stored)
            return partition;
        if (!first)
            first = partition;
    }
    return first;
}

bool ms_engine_owes(const struct ms_engine *engine)
{
    return debtor(engine) != NULL;
}

bool ms_engine_debt_stored(const struct ms_engine *engine)
{
    const struct ms_partition *partition = debtor(engine);
    return partition && partition->debt_stored;
}

enum ms_status ms_engine_pay(struct ms_engine *engine, struct ms_error *error)
{
    bool paid = false;
    struct ms_partition *partition = debtor(engine);
    assert(partition && partition->debt_stored);
    enum ms_status status = ms_payer_step(engine->payer, partition, &paid, error);
    if (status == MS_OK && paid)
        ms_partition_end_debt(&engine->positions, partition);
    return status;
}
