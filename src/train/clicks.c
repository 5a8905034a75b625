/* Reading logs, choosing users, sorting what they clicked. */
#include "train/clicks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/index.h"
#include "base/progress.h"
#include "train/input.h"

#define USER_LINE_MAX_BYTES ((size_t)1 << 20)
#define PROGRESS_CLICKS     4096

struct user {
    const char *id;
    uint32_t id_bytes;
    uint32_t clicks;
    uint64_t hash;
};

/* A click of the log, in the order of the file. */
struct raw_click {
    int64_t time_ms;
    uint32_t user;
    uint32_t item; /* index, or MS_NO_ITEM */
};

struct reader {
    const struct ms_click_log *log;
    const struct ms_model *model;
    uint64_t clicks_read;

    struct ms_arena ids;
    struct ms_index index; /* of users by id */
    struct user *users;
    size_t user_count, user_room;
    struct raw_click *clicks;
    float *weights; /* of the clicks, where the model weighs events */
    size_t click_count, click_room, weight_room;
};

uint32_t ms_holdout_buckets(double share)
{
    /* In binary, 0.07 * 10000 is a little more than 700: rounding up must not count that as 701. */
    return share > 0 ? (uint32_t)ceil(share * MS_HOLDOUT_BUCKETS - 1e-7) : MS_HOLDOUT_BUCKETS;
}

/* ---- users and clicks ---- */

static uint64_t hash_of_user(void *context, uint32_t value)
{
    return ((struct reader *)context)->users[value].hash;
}

static bool find_user(const struct reader *reader, struct ms_bytes id, uint64_t hash, uint32_t *user)
{
    uint32_t cursor = ms_index_start(&reader->index, hash);
    while (ms_index_next(&reader->index, hash, &cursor, user)) {
        const struct user *found = &reader->users[*user];
        if (found->id_bytes == id.size && memcmp(found->id, id.data, id.size) == 0)
            return true;
    }
    return false;
}

static enum ms_status add_user(struct reader *reader, struct ms_bytes id, uint64_t hash, uint32_t *user,
                               struct ms_error *error)
{
    uint32_t number = (uint32_t)reader->user_count;
    char *copy = ms_arena_copy(&reader->ids, id.data, id.size);
    if (!copy ||
        !ms_array_reserve(&reader->users, &reader->user_room, reader->user_count + 1, sizeof *reader->users))
        return ms_fail(error, MS_MEMORY, "no memory for %zu users", reader->user_count + 1);
    reader->users[number] = (struct user){copy, (uint32_t)id.size, 0, hash};
    if (!ms_index_add(&reader->index, hash, number, hash_of_user, reader))
        return ms_fail(error, MS_MEMORY, "no memory for %zu users", reader->user_count + 1);
    reader->user_count++;
    *user = number;
    return MS_OK;
}

/* Keeps the click when its user is among the chosen. */
static enum ms_status add_click(struct reader *reader, const struct ms_event *event, struct ms_error *error)
{
    struct ms_bytes user_id = event->user, item = event->item;
    uint64_t hash = XXH64(user_id.data, user_id.size, 0);
    bool listed = reader->log->users_path != NULL;
    uint32_t user;
    reader->clicks_read++;
    if (!listed && hash % MS_HOLDOUT_BUCKETS >= reader->log->buckets)
        return MS_OK;
    if (!find_user(reader, user_id, hash, &user)) {
        enum ms_status status = listed ? MS_OK : add_user(reader, user_id, hash, &user, error);
        if (listed || status != MS_OK)
            return status;
    }
    if (reader->users[user].clicks == UINT32_MAX ||
        !ms_array_reserve(&reader->clicks, &reader->click_room, reader->click_count + 1,
                          sizeof *reader->clicks) ||
        (ms_model_weighs_events(reader->model) &&
         !ms_array_reserve(&reader->weights, &reader->weight_room, reader->click_count + 1,
                           sizeof *reader->weights)))
        return ms_fail(error, MS_MEMORY, "no memory for %zu clicks", reader->click_count + 1);
    uint32_t item_index = ms_model_find(reader->model, item.data, item.size);
    if (reader->weights)
        reader->weights[reader->click_count] = (float)ms_model_event_weight(reader->model, event->type.data,
                                                                            event->type.size);
    reader->clicks[reader->click_count++] = (struct raw_click){event->time_ms, user, item_index};
    reader->users[user].clicks++;
    return MS_OK;
}

/* Adds the user that a line of the list names. */
static enum ms_status add_listed(struct reader *reader, struct ms_bytes line, struct ms_error *error)
{
    struct ms_bytes id = line;
    uint32_t user;
    uint64_t hash = XXH64(id.data, id.size, 0);
    if (!ms_bytes_trim(line).size || find_user(reader, id, hash, &user))
        return MS_OK;
    const char *fault = ms_id_fault(id, MS_MAX_ITEM_ID);
    return fault ? ms_fail(error, MS_FORMAT, "the user is %s", fault)
                 : add_user(reader, id, hash, &user, error);
}

static enum ms_status read_user_list(struct reader *reader, struct ms_error *error)
{
    struct ms_line_file file;
    struct ms_bytes line;
    enum ms_status status = ms_line_file_open(&file, reader->log->users_path, USER_LINE_MAX_BYTES, error);
    if (status != MS_OK)
        return status;
    while ((status = ms_lines_next(&file.lines, &line, error)) == MS_OK && line.data) {
        status = add_listed(reader, line, error);
        if (status == MS_FORMAT)
            status = ms_fail_in(error, status, "%s: line %" PRIu64, file.lines.source.name,
                                file.lines.number);
        if (status != MS_OK)
            break;
    }
    ms_line_file_close(&file);
    return status;
}

/* ---- the log ---- */

static enum ms_status read_events(struct reader *reader, struct ms_events *events, struct ms_error *error)
{
    struct ms_progress progress;
    ms_progress_start(&progress, "clicks read", 0);
    for (;;) {
        struct ms_log_event click;
        enum ms_status status = ms_events_next(events, &click, error);
        if (status != MS_OK)
            return status;
        if (!click.event.user.data)
            break;
        status = add_click(reader, &click.event, error);
        if (status != MS_OK)
            return status;
        if (reader->clicks_read % PROGRESS_CLICKS == 0)
            ms_progress_update(&progress, reader->clicks_read);
    }
    if (progress.terminal)
        ms_progress_end(&progress, reader->clicks_read);
    return MS_OK;
}

static enum ms_status read_log(struct reader *reader, struct ms_histories *made, struct ms_error *error)
{
    struct ms_events *events = NULL;
    enum ms_status status = ms_events_open(&events, &reader->log->events, error);
    if (status == MS_OK)
        status = read_events(reader, events, error);
    if (status == MS_OK) {
        made->csv = ms_events_csv(events);
        made->timed = ms_events_timed(events);
        made->passed = *ms_events_passed(events);
        made->clicks_read = reader->clicks_read;
    }
    ms_events_close(events);
    return status;
}

/* ---- histories ---- */

static int by_time(const void *a, const void *b)
{
    const struct ms_click *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort_history(struct ms_click *clicks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        clicks[i].order = (uint32_t)i;
    for (size_t i = 1; i < count; i++) {
        if (clicks[i - 1].time_ms > clicks[i].time_ms) {
            qsort(clicks, count, sizeof *clicks, by_time);
            return;
        }
    }
}

/* Gives each user with enough clicks a stretch of the array; users[u].clicks of the others becomes 0. Returns
 * the clicks in all. */
static size_t lay_out(struct reader *reader, struct ms_histories *made)
{
    size_t total = 0;
    for (size_t u = 0; u < reader->user_count; u++) {
        struct user *user = &reader->users[u];
        made->users_met += user->clicks > 0;
        if (user->clicks == 0 || user->clicks < reader->log->min_events) {
            user->clicks = 0;
            continue;
        }
        made->users[made->user_count++] = (struct ms_history){total, user->clicks};
        total += user->clicks;
    }
    return total;
}

static enum ms_status make_histories(struct reader *reader, struct ms_histories *made, struct ms_error *error)
{
    made->users = calloc(reader->user_count + 1, sizeof *made->users);
    size_t *next = calloc(reader->user_count + 1, sizeof *next);
    size_t total = made->users && next ? lay_out(reader, made) : 0;
    made->clicks = calloc(total + 1, sizeof *made->clicks);
    made->weights = reader->weights ? calloc(total + 1, sizeof *made->weights) : NULL;
    if (!made->users || !next || !made->clicks || (reader->weights && !made->weights)) {
        free(next);
        return ms_fail(error, MS_MEMORY, "no memory for the histories of %zu users, %zu clicks",
                       reader->user_count, total);
    }
    for (size_t u = 0, kept = 0; u < reader->user_count; u++)
        next[u] = reader->users[u].clicks ? made->users[kept++].first : 0;
    for (size_t i = 0; i < reader->click_count; i++) {
        const struct raw_click *click = &reader->clicks[i];
        if (reader->users[click->user].clicks == 0)
            continue;
        if (made->weights)
            made->weights[next[click->user]] = reader->weights[i];
        made->clicks[next[click->user]++] = (struct ms_click){click->time_ms, 0, click->item};
    }
    for (uint32_t u = 0; u < made->user_count; u++) {
        struct ms_history *history = &made->users[u];
        sort_history(made->clicks + history->first, history->count);
        if (history->count > reader->log->max_events)
            history->count = reader->log->max_events;
    }
    free(next);
    return MS_OK;
}

static void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    ms_arena_free(&reader->ids);
    ms_index_free(&reader->index);
    free(reader->users);
    free(reader->clicks);
    free(reader->weights);
    free(reader);
}

enum ms_status ms_histories_read(struct ms_histories *histories, const struct ms_click_log *log,
                                 const struct ms_model *model, struct ms_error *error)
{
    struct ms_histories made = {0};
    enum ms_status status = MS_OK;
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader || !ms_index_init(&reader->index, 1024))
        status = ms_fail(error, MS_MEMORY, "no memory to read a log");
    if (status == MS_OK) {
        reader->log = log;
        reader->model = model;
        if (log->users_path)
            status = read_user_list(reader, error);
    }
    if (status == MS_OK)
        status = read_log(reader, &made, error);
    if (status == MS_OK)
        status = make_histories(reader, &made, error);
    reader_free(reader);
    if (status == MS_OK)
        *histories = made;
    else
        ms_histories_free(&made);
    return status;
}

void ms_histories_free(struct ms_histories *histories)
{
    free(histories->users);
    free(histories->clicks);
    free(histories->weights);
    *histories = (struct ms_histories){0};
}
