/* Ids become numbers through two indices, then the events are sorted by user and time. */
#include "train/fit/clicks.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"
#include "base/digest.h"
#include "base/index.h"
#include "base/progress.h"
#include "train/clicks.h"

#define PROGRESS_EVENTS 4096

/* Ids and their numbers. */
struct names {
    struct ms_bytes *ids;
    uint64_t *hashes;
    size_t count, room, hash_room;
    struct ms_index index;
    struct ms_arena *arena;
};

/* An event as it was read. */
struct raw {
    int64_t time_ms;
    uint32_t user, item;
};

struct reader {
    struct names users, items;
    struct ms_arena user_ids;
    struct raw *raw;
    size_t count, room;
    uint64_t digest;
};

static uint64_t hash_of(void *context, uint32_t value)
{
    return ((const struct names *)context)->hashes[value];
}

/* The number of an id, which is new if need be. */
static enum ms_status number_of(struct names *names, struct ms_bytes id, uint32_t *number,
                                struct ms_error *error)
{
    uint64_t hash = XXH64(id.data, id.size, 0);
    uint32_t cursor = ms_index_start(&names->index, hash);
    while (ms_index_next(&names->index, hash, &cursor, number))
        if (names->ids[*number].size == id.size && memcmp(names->ids[*number].data, id.data, id.size) == 0)
            return MS_OK;
    *number = (uint32_t)names->count;
    char *copy = ms_arena_copy(names->arena, id.data, id.size);
    if (!copy || names->count >= UINT32_MAX - 1 ||
        !ms_array_reserve(&names->ids, &names->room, names->count + 1, sizeof *names->ids) ||
        !ms_array_reserve(&names->hashes, &names->hash_room, names->count + 1, sizeof *names->hashes))
        return ms_fail(error, MS_MEMORY, "no memory for %zu ids", names->count + 1);
    names->ids[*number] = (struct ms_bytes){copy, id.size};
    names->hashes[*number] = hash;
    if (!ms_index_add(&names->index, hash, *number, hash_of, names))
        return ms_fail(error, MS_MEMORY, "no memory for %zu ids", names->count + 1);
    names->count++;
    return MS_OK;
}

static enum ms_status add_event(struct reader *reader, const struct ms_event *event, struct ms_error *error)
{
    struct raw raw = {.time_ms = event->time_ms};
    enum ms_status status = number_of(&reader->users, event->user, &raw.user, error);
    if (status == MS_OK)
        status = number_of(&reader->items, event->item, &raw.item, error);
    if (status != MS_OK)
        return status;
    if (!ms_array_reserve(&reader->raw, &reader->room, reader->count + 1, sizeof *reader->raw))
        return ms_fail(error, MS_MEMORY, "no memory for %zu events", reader->count + 1);
    reader->raw[reader->count++] = raw;
    /* The numbers stand for the ids in the order of the file, so these three tell one log from another. */
    const uint64_t words[4] = {reader->users.hashes[raw.user], reader->items.hashes[raw.item],
                               (uint64_t)raw.time_ms, reader->count};
    reader->digest = ms_digest_next(reader->digest, words, sizeof words);
    return MS_OK;
}

static enum ms_status read_events(struct reader *reader, struct ms_events *events, struct ms_error *error)
{
    struct ms_progress progress;
    ms_progress_start(&progress, "events read", 0);
    for (;;) {
        struct ms_log_event event;
        enum ms_status status = ms_events_next(events, &event, error);
        if (status != MS_OK)
            return status;
        if (!event.event.user.data)
            break;
        status = add_event(reader, &event.event, error);
        if (status != MS_OK)
            return status;
        if (reader->count % PROGRESS_EVENTS == 0)
            ms_progress_update(&progress, reader->count);
    }
    if (progress.terminal)
        ms_progress_end(&progress, reader->count);
    return MS_OK;
}

/* ---- sorting ---- */

/* An event among those of its user; |order| is its place in the file among them. */
struct timed {
    int64_t time_ms;
    uint32_t order, item;
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort_user(struct timed *events, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (events[i - 1].time_ms > events[i].time_ms) {
            qsort(events, count, sizeof *events, by_time);
            return;
        }
    }
}

/* Fills first[], and gives back where each user's next event goes. */
static void count_users(const struct reader *reader, struct ms_fit_clicks *made)
{
    for (size_t i = 0; i < reader->count; i++)
        made->first[reader->raw[i].user + 1]++;
    for (uint32_t u = 0; u < made->user_count; u++)
        made->first[u + 1] += made->first[u];
}

static void place_events(struct reader *reader, struct ms_fit_clicks *made, struct timed *timed, size_t *next)
{
    memcpy(next, made->first, made->user_count * sizeof *next);
    for (size_t i = 0; i < reader->count; i++) {
        const struct raw *raw = &reader->raw[i];
        size_t at = next[raw->user]++;
        timed[at] = (struct timed){raw->time_ms, (uint32_t)(at - made->first[raw->user]), raw->item};
    }
    for (uint32_t u = 0; u < made->user_count; u++)
        sort_user(timed + made->first[u], made->first[u + 1] - made->first[u]);
}

/* How many of a user's events are trained on. */
static uint32_t count_trained(const struct ms_fit_split *split, uint64_t hash, const struct timed *events,
                              size_t count)
{
    size_t before = 0;
    if (!split->by_time)
        return hash % MS_HOLDOUT_BUCKETS < split->buckets ? 0 : (uint32_t)count;
    while (before < count && events[before].time_ms < split->time_ms)
        before++;
    return (uint32_t)before;
}

static enum ms_status sort_events(struct reader *reader, struct ms_fit_clicks *made,
                                  const struct ms_fit_split *split, struct ms_error *error)
{
    size_t n = reader->count ? reader->count : 1;
    struct timed *timed = malloc(n * sizeof *timed);
    size_t *next = malloc((made->user_count + (size_t)1) * sizeof *next);
    if (timed && next) {
        count_users(reader, made);
        place_events(reader, made, timed, next);
        free(reader->raw);
        reader->raw = NULL;
        made->events = malloc(n * sizeof *made->events);
    }
    for (uint32_t u = 0; made->events && u < made->user_count; u++)
        made->trained[u] = count_trained(split, reader->users.hashes[u], timed + made->first[u],
                                         made->first[u + 1] - made->first[u]);
    for (size_t i = 0; made->events && i < reader->count; i++)
        made->events[i] = timed[i].item;
    free(timed);
    free(next);
    return made->events ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for %zu events", reader->count);
}

static void count_items(struct ms_fit_clicks *made)
{
    for (uint32_t u = 0; u < made->user_count; u++)
        for (size_t i = made->first[u]; i < made->first[u] + made->trained[u]; i++)
            made->counts[made->events[i]]++;
}

static enum ms_status make_clicks(struct reader *reader, struct ms_fit_clicks *made,
                                  const struct ms_fit_split *split, struct ms_error *error)
{
    made->user_count = (uint32_t)reader->users.count;
    made->item_count = (uint32_t)reader->items.count;
    made->event_count = reader->count;
    made->digest = reader->digest;
    made->first = calloc((size_t)made->user_count + 1, sizeof *made->first);
    made->trained = calloc((size_t)made->user_count + 1, sizeof *made->trained);
    made->counts = calloc((size_t)made->item_count + 1, sizeof *made->counts);
    if (!made->first || !made->trained || !made->counts)
        return ms_fail(error, MS_MEMORY, "no memory for %u users and %u items", made->user_count,
                       made->item_count);
    enum ms_status status = sort_events(reader, made, split, error);
    if (status != MS_OK)
        return status;
    count_items(made);
    made->split_by_time = split->by_time;
    made->ids = reader->items.ids;
    reader->items.ids = NULL;
    return MS_OK;
}

static void names_free(struct names *names)
{
    free(names->ids);
    free(names->hashes);
    ms_index_free(&names->index);
}

/* The items of a model get the numbers that they have in it. */
static enum ms_status take_items(struct reader *reader, const struct ms_model *model, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (uint32_t i = 0; model && status == MS_OK && i < ms_model_item_count(model); i++) {
        struct ms_bytes id;
        uint32_t number;
        id.data = ms_model_item_id(model, i, &id.size);
        status = number_of(&reader->items, id, &number, error);
    }
    return status;
}

static enum ms_status read_log(struct reader *reader, struct ms_fit_clicks *made,
                               const struct ms_events_options *options, const struct ms_fit_split *split,
                               struct ms_error *error)
{
    struct ms_events *events = NULL;
    enum ms_status status = ms_events_open(&events, options, error);
    if (status == MS_OK)
        status = read_events(reader, events, error);
    if (status == MS_OK) {
        made->timed = ms_events_timed(events);
        made->csv = ms_events_csv(events);
        made->passed = *ms_events_passed(events);
    }
    ms_events_close(events);
    if (status == MS_OK && split->by_time && !made->timed)
        status = ms_fail(error, MS_USAGE,
                         "a split by time needs times, and the log has none; name them with --time");
    return status;
}

enum ms_status ms_fit_clicks_read(struct ms_fit_clicks *clicks, const struct ms_events_options *options,
                                  const struct ms_fit_split *split, const struct ms_model *first,
                                  struct ms_error *error)
{
    struct ms_fit_clicks made = {0};
    struct reader reader = {.users.arena = &reader.user_ids, .items.arena = &made.strings};
    enum ms_status status = MS_OK;
    if (!ms_index_init(&reader.users.index, 1024) || !ms_index_init(&reader.items.index, 1024))
        status = ms_fail(error, MS_MEMORY, "no memory to read a log");
    if (status == MS_OK)
        status = take_items(&reader, first, error);
    if (status == MS_OK)
        status = read_log(&reader, &made, options, split, error);
    if (status == MS_OK)
        status = make_clicks(&reader, &made, split, error);
    names_free(&reader.users);
    names_free(&reader.items);
    ms_arena_free(&reader.user_ids);
    free(reader.raw);
    if (status == MS_OK)
        *clicks = made;
    else
        ms_fit_clicks_free(&made);
    return status;
}

bool ms_fit_clicks_targets(const struct ms_fit_clicks *clicks, uint32_t user, size_t least, size_t most,
                           struct ms_fit_targets *targets)
{
    size_t count = clicks->first[user + 1] - clicks->first[user], trained = clicks->trained[user],
           half = most / 2;
    if (!clicks->split_by_time) {
        size_t end = count < most ? count : most;
        *targets = (struct ms_fit_targets){0, end / 2 + 1, end};
        return trained == 0 && count >= least;
    }
    size_t begin = trained > half ? trained - half : 0, end = count - begin < most ? count : begin + most;
    *targets = (struct ms_fit_targets){begin, trained > begin ? trained : begin + 1, end};
    return targets->from < end;
}

void ms_fit_clicks_free(struct ms_fit_clicks *clicks)
{
    free(clicks->events);
    free(clicks->first);
    free(clicks->trained);
    free(clicks->ids);
    free(clicks->counts);
    ms_arena_free(&clicks->strings);
    *clicks = (struct ms_fit_clicks){0};
}
