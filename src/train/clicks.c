/* Reading logs, choosing users, sorting what they clicked. */
#include "train/clicks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/buffer.h"
#include "base/index.h"
#include "base/json.h"
#include "base/progress.h"
#include "event/event.h"
#include "event/time.h"
#include "train/csv.h"
#include "train/lines.h"

#define PROGRESS_LINES 4096
#define SHOWN_MAX      64 /* bytes of a cell that an error shows */

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
    struct ms_lines lines;
    struct ms_progress progress;
    bool timed;
    uint64_t clicks_read;

    struct ms_arena ids;
    struct ms_index index; /* of users by id */
    struct user *users;
    size_t user_count, user_room;
    struct raw_click *clicks;
    size_t click_count, click_room;

    /* JSON */
    struct ms_decoder *decoder;
    struct ms_arena texts;
    /* CSV */
    struct ms_buffer record;
    struct ms_bytes cells[MS_CSV_MAX_CELLS];
    size_t columns, user_column, item_column, time_column;
    uint64_t record_line; /* where the record begins */
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
static enum ms_status add_click(struct reader *reader, struct ms_bytes user_id, struct ms_bytes item,
                                int64_t time_ms, struct ms_error *error)
{
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
                          sizeof *reader->clicks))
        return ms_fail(error, MS_MEMORY, "no memory for %zu clicks", reader->click_count + 1);
    uint32_t item_index = ms_model_find(reader->model, item.data, item.size);
    reader->clicks[reader->click_count++] = (struct raw_click){time_ms, user, item_index};
    reader->users[user].clicks++;
    return MS_OK;
}

static enum ms_status read_user_list(struct reader *reader, struct ms_error *error)
{
    struct ms_lines lines;
    enum ms_status status = ms_lines_open(&lines, reader->log->users_path, error);
    if (status != MS_OK)
        return status;
    for (;;) {
        struct ms_bytes id;
        uint32_t user;
        status = ms_lines_next(&lines, &id, error);
        if (status != MS_OK || !id.data)
            break;
        uint64_t hash = XXH64(id.data, id.size, 0);
        if (id.size && !find_user(reader, id, hash, &user))
            status = add_user(reader, id, hash, &user, error);
        if (status != MS_OK)
            break;
    }
    ms_lines_close(&lines);
    return status;
}

/* ---- JSON lines ---- */

static enum ms_status new_decoder(struct reader *reader, const char *time, struct ms_error *error)
{
    const struct ms_click_log *log = reader->log;
    struct ms_event_fields fields = {.user = log->user ? log->user : "user_id",
                                     .item = log->item ? log->item : "item_id",
                                     .time = time,
                                     .type = "",
                                     .types = "",
                                     .id_max_bytes = MS_MAX_ITEM_ID};
    ms_decoder_destroy(reader->decoder);
    reader->decoder = NULL;
    return ms_decoder_new(&reader->decoder, &fields, error);
}

static enum ms_status decode(struct reader *reader, struct ms_bytes line, int64_t missing_time_ms,
                             struct ms_event *event, struct ms_error *error)
{
    enum ms_event_kind kind;
    struct ms_event_notes notes;
    struct ms_bytes no_key = {NULL, 0};
    ms_arena_reset(&reader->texts);
    return ms_decode_event(reader->decoder, &reader->texts, no_key, line, missing_time_ms, event, &kind,
                           &notes, error);
}

/* Without --time, the first line tells whether the log has times. */
static enum ms_status look_for_times(struct reader *reader, struct ms_bytes line, struct ms_error *error)
{
    struct ms_event event;
    const char *time = reader->log->time ? reader->log->time : "timestamp";
    enum ms_status status = new_decoder(reader, time, error);
    reader->timed = time[0] != '\0';
    if (status != MS_OK || reader->log->time)
        return status;
    /* A line without a time can be decoded with a substitute time only. */
    status = decode(reader, line, -1, &event, error);
    if (status != MS_OK && status != MS_MEMORY) {
        status = decode(reader, line, 0, &event, error);
        reader->timed = status != MS_OK;
    }
    return status == MS_MEMORY ? status : MS_OK;
}

static enum ms_status read_json_line(struct reader *reader, struct ms_bytes line, struct ms_error *error)
{
    struct ms_event event;
    enum ms_status status = MS_OK;
    if (!reader->decoder && (status = look_for_times(reader, line, error)))
        return status;
    status = decode(reader, line, reader->timed ? -1 : 0, &event, error);
    if (status == MS_OK && !reader->timed && event.time_ms != 0)
        status = ms_fail(error, MS_FORMAT, "it has a time, but the log's first line has none");
    if (status == MS_OK)
        status = add_click(reader, event.user, event.item, event.time_ms, error);
    return status == MS_EVENT ? ms_fail_in(error, MS_FORMAT, "not an event") : status;
}

/* ---- CSV ---- */

/* Joins the lines of the record that begins with |line|, and splits it. */
static enum ms_status split_record(struct reader *reader, struct ms_bytes line, size_t *count,
                                   struct ms_error *error)
{
    struct ms_buffer *record = &reader->record;
    record->size = 0;
    record->max = MS_LINE_MAX_BYTES;
    reader->record_line = reader->lines.number;
    bool open = false;
    for (;;) {
        open ^= ms_csv_crosses(line);
        if (line.size >= MS_LINE_MAX_BYTES - record->size)
            return ms_fail(error, MS_FORMAT, "the record is longer than %zu bytes: does a quoted cell end?",
                           MS_LINE_MAX_BYTES);
        if (!ms_buffer_append(record, line.data, line.size) || !ms_buffer_append(record, "\n", 1))
            return ms_fail(error, MS_MEMORY, "no memory for a record of %zu bytes", record->size + line.size);
        if (!open)
            break;
        enum ms_status status = ms_lines_next(&reader->lines, &line, error);
        if (status != MS_OK)
            return status;
        if (!line.data)
            break;
    }
    const char *reason = ms_csv_split(record->data, record->size - 1, reader->cells, MS_CSV_MAX_CELLS, count);
    return reason ? ms_fail(error, MS_FORMAT, "%s", reason) : MS_OK;
}

/* The number of the column |name|, or of |fallback| when no name is given; |columns| when it is not there. */
static enum ms_status find_column(const struct reader *reader, const char *option, const char *name,
                                  const char *fallback, bool needed, size_t *column, struct ms_error *error)
{
    const char *wanted = name ? name : fallback;
    size_t found = reader->columns;
    for (size_t i = 0; i < reader->columns; i++) {
        if (reader->cells[i].size != strlen(wanted) ||
            memcmp(reader->cells[i].data, wanted, reader->cells[i].size) != 0)
            continue;
        if (found < reader->columns)
            return ms_fail(error, MS_FORMAT, "the header has column '%s' twice", wanted);
        found = i;
    }
    if (found == reader->columns && needed)
        return ms_fail(error, MS_USAGE, "the header has no column '%s'; name it with %s", wanted, option);
    *column = found;
    return MS_OK;
}

static enum ms_status read_csv_header(struct reader *reader, struct ms_bytes line, struct ms_error *error)
{
    const struct ms_click_log *log = reader->log;
    size_t count;
    enum ms_status status = split_record(reader, line, &count, error);
    if (status != MS_OK)
        return status;
    bool times = !log->time || log->time[0];
    reader->columns = reader->time_column = count;
    if ((status = find_column(reader, "--user", log->user, "user_id", true, &reader->user_column, error)) ||
        (status = find_column(reader, "--item", log->item, "item_id", true, &reader->item_column, error)) ||
        (times && (status = find_column(reader, "--time", log->time, "timestamp", log->time != NULL,
                                        &reader->time_column, error))))
        return status;
    reader->timed = reader->time_column < count;
    return MS_OK;
}

static enum ms_status check_id(const char *role, struct ms_bytes id, struct ms_error *error)
{
    if (id.size == 0)
        return ms_fail(error, MS_FORMAT, "%s: the cell is empty", role);
    if (id.size > MS_MAX_ITEM_ID)
        return ms_fail(error, MS_FORMAT, "%s: the cell is %zu bytes long, at most %d are taken", role,
                       id.size, MS_MAX_ITEM_ID);
    if (!ms_utf8_valid(id.data, id.size))
        return ms_fail(error, MS_FORMAT, "%s: the cell is not UTF-8", role);
    return MS_OK;
}

static enum ms_status read_csv_line(struct reader *reader, struct ms_bytes line, struct ms_error *error)
{
    size_t count;
    int64_t time_ms = 0;
    enum ms_status status = split_record(reader, line, &count, error);
    if (status != MS_OK)
        return status;
    if (count != reader->columns)
        return ms_fail(error, MS_FORMAT, "%zu cells, the header has %zu", count, reader->columns);
    struct ms_bytes user = reader->cells[reader->user_column], item = reader->cells[reader->item_column];
    if ((status = check_id("user", user, error)) || (status = check_id("item", item, error)))
        return status;
    if (reader->timed) {
        struct ms_bytes cell = reader->cells[reader->time_column];
        const char *reason = ms_time_from_text(cell.data, cell.size, &time_ms);
        if (reason)
            return ms_fail(error, MS_FORMAT, "time: the cell is '%.*s': %s",
                           (int)(cell.size < SHOWN_MAX ? cell.size : SHOWN_MAX), cell.data, reason);
    }
    return add_click(reader, user, item, time_ms, error);
}

/* ---- the file ---- */

/* A log may hold any bytes. An error stays one line of printable text. */
static void clean_text(struct ms_error *error)
{
    if (!error)
        return;
    bool utf8 = ms_utf8_valid(error->text, strlen(error->text));
    for (char *at = error->text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || (!utf8 && (unsigned char)*at >= 0x80))
            *at = '?';
}

static bool is_blank(struct ms_bytes line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t')
            return false;
    return true;
}

static bool is_json(struct ms_bytes line)
{
    size_t at = 0;
    while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'))
        at++;
    return at < line.size && line.data[at] == '{';
}

static enum ms_status read_log(struct reader *reader, bool *csv, struct ms_error *error)
{
    const struct ms_click_log *log = reader->log;
    enum ms_status status = ms_lines_open(&reader->lines, log->path, error);
    bool first = true;
    *csv = log->format == MS_LOG_CSV;
    ms_progress_start(&reader->progress, "clicks read", 0);
    while (status == MS_OK) {
        struct ms_bytes line;
        status = ms_lines_next(&reader->lines, &line, error);
        if (status != MS_OK || !line.data)
            break;
        if (is_blank(line))
            continue;
        if (first && log->format == MS_LOG_BY_CONTENT)
            *csv = !is_json(line);
        reader->record_line = reader->lines.number;
        status = !*csv   ? read_json_line(reader, line, error)
                 : first ? read_csv_header(reader, line, error)
                         : read_csv_line(reader, line, error);
        first = false;
        if (status != MS_OK && status != MS_MEMORY) {
            status = ms_fail_in(error, status, "%s: line %" PRIu64, reader->lines.name, reader->record_line);
            clean_text(error);
        }
        if (reader->lines.number % PROGRESS_LINES == 0)
            ms_progress_update(&reader->progress, reader->clicks_read);
    }
    if (status == MS_OK && first)
        status = ms_fail(error, MS_FORMAT, "%s: the log is empty", reader->lines.name);
    if (status == MS_OK && reader->progress.terminal)
        ms_progress_end(&reader->progress, reader->clicks_read);
    ms_lines_close(&reader->lines);
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
    if (!made->users || !next || !made->clicks) {
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
    ms_decoder_destroy(reader->decoder);
    ms_arena_free(&reader->texts);
    ms_arena_free(&reader->ids);
    ms_index_free(&reader->index);
    ms_buffer_free(&reader->record);
    free(reader->users);
    free(reader->clicks);
    free(reader);
}

enum ms_status ms_histories_read(struct ms_histories *histories, const struct ms_click_log *log,
                                 const struct ms_model *model, struct ms_error *error)
{
    struct ms_histories made = {0};
    enum ms_status status = MS_OK;
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader || !ms_index_init(&reader->index, 1024))
        status = ms_fail(error, MS_MEMORY, "%s: no memory to read it", log->path);
    if (status == MS_OK) {
        reader->log = log;
        reader->model = model;
        if (log->users_path)
            status = read_user_list(reader, error);
    }
    if (status == MS_OK)
        status = read_log(reader, &made.csv, error);
    if (status == MS_OK) {
        made.timed = reader->timed;
        made.clicks_read = reader->clicks_read;
        status = make_histories(reader, &made, error);
    }
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
    *histories = (struct ms_histories){0};
}
