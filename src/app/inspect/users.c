/* mindstream inspect users: a list of users from their head rows, or the hot ones that a running service tells of. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/shared.h"
#include "app/inspect/where.h"
#include "app/inspector.h"
#include "base/array.h"
#include "serve/ask.h"
#include "stream/hot.h"
#include "user/codec.h"
#include "view/escape.h"
#include "view/json.h"

/* A user that is kept until all have been seen, because they are to be sorted. */
struct kept {
    struct ms_user *user;
    int64_t rank; /* by what is sorted, the greatest first */
    size_t seen;  /* its place in the order of the state */
    uint64_t bytes;
};

enum { SORT_NONE, SORT_VERSION, SORT_TIME, SORT_BYTES };

struct listing {
    struct ms_table table;
    struct ms_where where;
    struct ms_bytes prefix;
    bool json, more, only_count;
    int sort;
    size_t count, limit; /* limit 0: all */
    struct kept *kept;   /* a heap with the last of them on top, at most |limit| */
    size_t kept_count, kept_capacity;
};

/* ---- what is printed of a user ---- */

static void print_json(struct listing *listing, const struct ms_user *user, uint64_t bytes)
{
    json_t *one = json_pack("{s:o, s:i, s:I, s:I, s:i, s:I, s:I, s:I}", "user_id",
                            ms_view_json_bytes(ms_user_id(user)), "partition", (int)user->partition,
                            "version", (json_int_t)user->version, "behaviors", (json_int_t)user->kept,
                            "slots", (int)user->slots, "event_time", (json_int_t)user->last_time_ms,
                            "own_offset", (json_int_t)user->own_offset, "head_bytes", (json_int_t)bytes);
    fputs(listing->count ? ",\n" : "", stdout); /* one at a time: there may be millions */
    if (one)
        json_dumpf(one, stdout, JSON_COMPACT);
    json_decref(one);
}

static void print_row(struct listing *listing, const struct ms_user *user, uint64_t bytes)
{
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, user->last_time_ms);
    ms_table_bytes(&listing->table, ms_user_id(user));
    ms_table_cell(&listing->table, "%u", user->partition);
    ms_table_cell(&listing->table, "%" PRIu64, user->version);
    ms_table_cell(&listing->table, "%" PRIu32, user->kept);
    ms_table_cell(&listing->table, "%u", user->slots);
    ms_table_cell(&listing->table, "%" PRIu64, bytes);
    ms_table_cell(&listing->table, "%s", time);
}

static void print_user(struct listing *listing, const struct ms_user *user, uint64_t bytes)
{
    if (listing->json)
        print_json(listing, user, bytes);
    else if (!listing->only_count)
        print_row(listing, user, bytes);
    listing->count++;
}

/* ---- sorting ---- */

/* Whether |a| comes behind |b|. */
static bool comes_behind(const struct kept *a, const struct kept *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->seen > b->seen;
}

static void sift_down(struct kept *heap, size_t count)
{
    for (size_t at = 0, child = 1; child < count; at = child, child = 2 * at + 1) {
        if (child + 1 < count && comes_behind(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_behind(&heap[child], &heap[at]))
            return;
        struct kept swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

static void sift_up(struct kept *heap, size_t at)
{
    for (; at > 0 && comes_behind(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2) {
        struct kept swapped = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = swapped;
    }
}

/* Takes the user, which is freed where others come before it. */
static enum ms_status keep(struct listing *listing, const struct kept *user, struct ms_error *error)
{
    if (listing->limit && listing->kept_count == listing->limit) {
        listing->more = true;
        if (comes_behind(user, &listing->kept[0])) {
            free(user->user);
            return MS_OK;
        }
        free(listing->kept[0].user);
        listing->kept[0] = *user;
        sift_down(listing->kept, listing->kept_count);
        return MS_OK;
    }
    if (!ms_array_reserve(&listing->kept, &listing->kept_capacity, listing->kept_count + 1,
                          sizeof *listing->kept)) {
        free(user->user);
        return ms_fail(error, MS_MEMORY, "no memory to sort %zu users; --limit N keeps N",
                       listing->kept_count);
    }
    listing->kept[listing->kept_count++] = *user;
    sift_up(listing->kept, listing->kept_count - 1);
    return MS_OK;
}

static int in_order(const void *a, const void *b)
{
    return comes_behind(a, b) ? 1 : -1;
}

static void print_kept(struct listing *listing)
{
    if (listing->kept_count)
        qsort(listing->kept, listing->kept_count, sizeof *listing->kept, in_order);
    for (size_t i = 0; i < listing->kept_count; i++) {
        print_user(listing, listing->kept[i].user, listing->kept[i].bytes);
        free(listing->kept[i].user);
    }
    free(listing->kept);
}

/* ---- the walk ---- */

static struct ms_where_values values_of(const struct ms_user *user, uint64_t bytes)
{
    return (struct ms_where_values){{
        [MS_WHERE_VERSION] = (int64_t)user->version,
        [MS_WHERE_TIME] = user->last_time_ms,
        [MS_WHERE_BYTES] = (int64_t)bytes,
        [MS_WHERE_BEHAVIORS] = user->kept,
        [MS_WHERE_INTERESTS] = user->slots,
        [MS_WHERE_PARTITION] = user->partition,
    }};
}

/* Takes the user. */
static enum ms_status list_selected(struct listing *listing, struct ms_user *user, uint64_t bytes,
                                    const struct ms_where_values *values, struct ms_error *error)
{
    static const enum ms_where_field ranks[] = {
        [SORT_VERSION] = MS_WHERE_VERSION, [SORT_TIME] = MS_WHERE_TIME, [SORT_BYTES] = MS_WHERE_BYTES};
    if (listing->sort != SORT_NONE && !listing->only_count) {
        const struct kept one = {
            .user = user, .rank = values->of[ranks[listing->sort]], .seen = listing->count++, .bytes = bytes};
        return keep(listing, &one, error);
    }
    if (listing->limit && listing->count == listing->limit && !listing->only_count) {
        listing->more = true;
        free(user);
        return MS_NOT_FOUND; /* this ends the walk */
    }
    if (!listing->only_count)
        print_user(listing, user, bytes);
    else
        listing->count++;
    free(user);
    return MS_OK;
}

static enum ms_status list_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                                struct ms_error *error)
{
    struct listing *listing = context;
    struct ms_user *user = NULL;
    if (id.size < listing->prefix.size || memcmp(id.data, listing->prefix.data, listing->prefix.size) != 0)
        return MS_OK;
    enum ms_status status = ms_user_decode_head(&user, partition, id, value, error);
    if (status != MS_OK)
        return status;
    uint64_t bytes = 2 + id.size + value.size;
    const struct ms_where_values values = values_of(user, bytes);
    if (user->version > 0 && ms_where_holds(&listing->where, &values))
        return list_selected(listing, user, bytes, &values, error);
    free(user);
    return MS_OK;
}

static void begin_table(struct ms_table *table)
{
    static const char *const numbers[] = {"partition", "version", "behaviors", "interests", "head bytes"};
    ms_table_column(table, "user", false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ms_table_column(table, numbers[i], true);
    ms_table_column(table, "last event", false);
}

/* Prints what the walk found and what is behind it. */
static enum ms_status end_listing(struct listing *listing, struct ms_error *error)
{
    if (listing->only_count) {
        printf(listing->json ? "{\"count\":%zu}\n" : "%zu\n", listing->count);
        ms_table_free(&listing->table);
        return MS_OK;
    }
    if (listing->json) {
        printf("],\"more\":%s}\n", listing->more ? "true" : "false");
        ms_table_free(&listing->table);
        return MS_OK;
    }
    enum ms_status status = ms_inspect_print_table(&listing->table, error);
    if (listing->more)
        fprintf(stderr, "(the first %zu users; --limit 0 lists all)\n", listing->limit);
    return status;
}

static enum ms_status list_users(struct listing *listing, struct ms_store *store, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {.context = listing, .on_user = list_user};
    begin_table(&listing->table);
    if (listing->json && !listing->only_count)
        fputs("{\"users\":[", stdout);
    enum ms_status status = ms_store_walk(store, &visitor, error);
    if (status == MS_NOT_FOUND && listing->more)
        status = MS_OK;
    if (listing->sort != SORT_NONE && !listing->only_count) {
        listing->count = 0;
        print_kept(listing);
    }
    enum ms_status ended = end_listing(listing, status == MS_OK ? error : NULL);
    return status != MS_OK ? status : ended;
}

/* ---- the users that are hot now ---- */

static enum ms_status print_hot(const struct ms_inspect_arguments *arguments, json_t *root,
                                struct ms_error *error)
{
    struct ms_table table = {.palette = ms_inspect_palette(arguments)};
    size_t index;
    json_t *row;
    ms_table_column(&table, "user", false);
    ms_table_column(&table, "partition", true);
    ms_table_column(&table, "events", true);
    ms_table_column(&table, "error", true);
    json_array_foreach (json_object_get(root, "users"), index, row) {
        struct ms_bytes id = {json_string_value(json_object_get(row, "user_id")),
                              json_string_length(json_object_get(row, "user_id"))};
        ms_table_bytes(&table, id);
        ms_table_cell(&table, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "partition")));
        ms_table_cell(&table, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "count")));
        ms_table_cell(&table, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "error")));
    }
    enum ms_status status = ms_inspect_print_table(&table, error);
    if (status == MS_OK)
        printf("\n(by the running service: events that fade with a half-life of %" JSON_INTEGER_FORMAT
               " s, too high by the error at most)\n",
               json_integer_value(json_object_get(root, "half_life_s")));
    return status;
}

/* Asks the service that runs on the state who is hot now. *asked: it has answered, and the answer is printed. */
static enum ms_status ask_hot(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                              bool *asked, struct ms_error *error)
{
    char path[64];
    struct ms_buffer body = {0};
    json_t *root = NULL;
    enum ms_status status = MS_OK;
    int64_t most = arguments->hottest < MS_HOT_USERS ? arguments->hottest : MS_HOT_USERS;
    snprintf(path, sizeof path, "/v1/hot?limit=%" PRId64, most);
    *asked = false;
    if (!arguments->hottest || arguments->count || arguments->prefix || arguments->where ||
        !config->state_dir[0])
        return MS_OK; /* it counts whole ids, and no more of them */
    if (ms_ask(config->state_dir, path, "application/json", &body) == 200)
        root = json_loadb(body.data, body.size, 0, NULL);
    *asked = root != NULL;
    if (root && arguments->json) {
        struct ms_buffer text = {0};
        json_object_set_new(root, "source", json_string("service"));
        status = ms_view_json_text(json_incref(root), &text, error);
        if (status == MS_OK)
            printf("%.*s\n", (int)text.size, text.data);
        ms_buffer_free(&text);
    } else if (root) {
        status = print_hot(arguments, root, error);
    }
    json_decref(root);
    ms_buffer_free(&body);
    return status;
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct ms_store *store = NULL;
    const char *prefix = arguments->prefix ? arguments->prefix : "";
    struct listing listing = {.table.palette = ms_inspect_palette(arguments),
                              .json = arguments->json,
                              .prefix = {prefix, strlen(prefix)},
                              .only_count = arguments->count,
                              .sort = arguments->hottest ? SORT_VERSION : arguments->sort,
                              .limit = (size_t)(arguments->hottest ? arguments->hottest : arguments->limit)};
    bool asked;
    enum ms_status status = ask_hot(arguments, config, &asked, error);
    if (asked || status != MS_OK)
        return status;
    if (arguments->where)
        status = ms_where_parse(&listing.where, arguments->where, error);
    if (status == MS_OK)
        status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = list_users(&listing, store, error);
    ms_store_close(store);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    MS_INSPECT_STATE_ROWS,
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "50",
     .placeholder = "N",
     .help = "N users, 0 for all",
     MS_INSPECT_AT(limit)},
    {.name = "prefix",
     .kind = MS_ARGUMENT_STRING,
     .placeholder = "TEXT",
     .help = "only users whose id begins so",
     MS_INSPECT_AT(prefix)},
    {.name = "where",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "CONDITION",
     .help =
         "only users for whom it holds: version, time, bytes, behaviors, interests or partition, compared with a "
         "number by > >= < <= = or !=; several with \" and \" between them",
     MS_INSPECT_AT(where)},
    {.name = "sort",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "id|version|time|bytes",
     .standard = "id",
     .placeholder = "BY",
     .help = "by partition and id, or the most events, the newest event, the largest head row first",
     MS_INSPECT_AT(sort)},
    {.name = "hottest",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = INT32_MAX,
     .placeholder = "N",
     .help = "a running service: the N users with the most events now; else the N of most events ever",
     MS_INSPECT_AT(hottest)},
    {.name = "count", .kind = MS_ARGUMENT_FLAG, .help = "only how many there are", MS_INSPECT_AT(count)},
    {0},
};

const struct ms_command ms_inspect_users = {
    .name = "users",
    .summary = "users in the order of partition and id, or sorted; filtered",
    .description =
        "Lists users in the order of partition and id, or the first by another order. Reads head rows only and holds\n"
        "no more than --limit users; with --limit 0 and --sort it holds all. With --hottest alone it asks the service that\n"
        "runs on the state who is hot now, and shows the most active of all time where none runs.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  users [{user_id, partition, version, behaviors, slots, event_time, own_offset, head_bytes}], more (true: cut);\n"
    "  with --count: count; with --hottest of a running service: users [{user_id, partition, count, error}], half_life_s,\n"
    "  source\n",
    .examples =
        "mindstream inspect users -c /etc/mindstream/mindstream.properties\n"
        "mindstream inspect users --state-dir /var/lib/mindstream --limit 0 | wc -l\n"
        "mindstream inspect users --state-dir /var/lib/mindstream --where 'version>1000 and interests<2' --count\n"
        "mindstream inspect users --state-dir /var/lib/mindstream --hottest 20\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
