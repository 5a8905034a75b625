/* mindstream inspect partitions: how far each is folded, and where the group and the log stand. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "stream/kafka/standing.h"
#include "user/codec.h"
#include "view/escape.h"
#include "view/json.h"

#define ASK_MS 5000

struct partition_sums {
    uint16_t partition;
    bool has_row;
    struct ms_partition_row row;
    uint64_t users, bytes;
    int64_t newest_ms; /* event time, INT64_MIN: none */
};

struct listing {
    struct partition_sums *list; /* in the order of the heads, which is by partition */
    size_t count;
    size_t last;                   /* the one that the row before belonged to */
    struct ms_standing *standings; /* of each; NULL: not asked for */
    char left_out[1200];           /* why Kafka's part is not told, or not whole; "": it is */
};

/* ---- the state ---- */

/* Chunks come after all heads, in the same order. */
static struct partition_sums *sums_of(struct listing *listing, uint16_t partition)
{
    for (size_t i = 0; i < listing->count; i++) {
        size_t at = (listing->last + i) % listing->count;
        if (listing->list[at].partition == partition)
            return &listing->list[listing->last = at];
    }
    listing->last = listing->count++;
    listing->list[listing->last] = (struct partition_sums){.partition = partition, .newest_ms = INT64_MIN};
    return &listing->list[listing->last];
}

static enum ms_status sum_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                    struct ms_error *error)
{
    struct partition_sums *sums = sums_of(context, partition);
    (void)error;
    sums->has_row = true;
    sums->row = *row;
    return MS_OK;
}

static enum ms_status sum_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                               struct ms_error *error)
{
    struct partition_sums *sums = sums_of(context, partition);
    struct ms_user *user = NULL;
    enum ms_status status = ms_user_decode_head(&user, partition, id, value, error);
    if (status == MS_OK && user->version > 0) {
        sums->users++;
        if (user->last_time_ms > sums->newest_ms)
            sums->newest_ms = user->last_time_ms;
    }
    sums->bytes += 2 + id.size + value.size;
    free(user);
    return status;
}

static enum ms_status sum_chunk(void *context, uint16_t partition, struct ms_bytes id, uint32_t number,
                                struct ms_bytes value, struct ms_error *error)
{
    (void)number, (void)error;
    sums_of(context, partition)->bytes += 2 + id.size + 4 + value.size;
    return MS_OK;
}

static enum ms_status sum_up(struct listing *listing, struct ms_store *store, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {
        .context = listing, .on_partition = sum_partition, .on_user = sum_user, .on_chunk = sum_chunk};
    listing->list = calloc(MS_MAX_PARTITIONS, sizeof *listing->list);
    if (!listing->list)
        return ms_fail(error, MS_MEMORY, "no memory for %d partitions", MS_MAX_PARTITIONS);
    return ms_store_walk(store, &visitor, error);
}

/* ---- Kafka ---- */

static void leave_out(struct listing *listing, const char *reason)
{
    snprintf(listing->left_out, sizeof listing->left_out, "%s", reason);
}

/* What Kafka does not tell is left out, and the command shows the rest. */
static enum ms_status ask_kafka(struct listing *listing, const struct ms_inspect_arguments *arguments,
                                const struct ms_config *config, struct ms_error *error)
{
    struct ms_error failure;
    if (arguments->offline)
        return leave_out(listing, "--offline"), MS_OK;
    if (!config->bootstrap_servers[0] || !config->input_topic[0])
        return leave_out(listing, "no bootstrap.servers and input.topic: give -c FILE"), MS_OK;
    listing->standings = calloc(listing->count + 1, sizeof *listing->standings);
    if (!listing->standings)
        return ms_fail(error, MS_MEMORY, "no memory for %zu partitions", listing->count);
    for (size_t i = 0; i < listing->count; i++) {
        const struct partition_sums *sums = &listing->list[i];
        listing->standings[i].partition = sums->partition;
        listing->standings[i].applied = sums->has_row ? sums->row.sources[0].applied : -1;
    }
    if (ms_standing_ask(config, listing->standings, listing->count, ASK_MS, &failure) != MS_OK)
        leave_out(listing, failure.text);
    return MS_OK;
}

/* Events that the state has not seen; -1: unknown. */
static int64_t lag_of(const struct partition_sums *sums, const struct ms_standing *standing)
{
    int64_t applied = sums->row.sources[0].applied;
    if (standing->end < 0 || !sums->has_row)
        return -1;
    if (applied < standing->begin)
        applied = standing->begin;
    return standing->end > applied ? standing->end - applied : 0;
}

/* From the last folded record to the last one, by the times of the log; -1: unknown. */
static int64_t lag_ms_of(const struct partition_sums *sums, const struct ms_standing *standing)
{
    if (lag_of(sums, standing) == 0)
        return 0;
    if (standing->read_ms == INT64_MIN || standing->end_ms == INT64_MIN)
        return -1;
    return standing->end_ms > standing->read_ms ? standing->end_ms - standing->read_ms : 0;
}

/* ---- JSON ---- */

static json_t *number_or_null(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static json_t *owner_json(const struct ms_standing_owner *owner)
{
    return owner->member ? json_pack("{s:s, s:s, s:s, s:s?}", "member", owner->member, "client",
                                     owner->client, "host", owner->host, "instance", owner->instance)
                         : json_null();
}

static void add_standing(json_t *one, const struct partition_sums *sums, const struct ms_standing *standing)
{
    if (!standing)
        return;
    if (standing->committed != MS_STANDING_UNKNOWN)
        json_object_set_new(one, "committed", number_or_null(standing->committed));
    if (standing->end >= 0) {
        json_object_set_new(one, "begin", json_integer(standing->begin));
        json_object_set_new(one, "end", json_integer(standing->end));
        json_object_set_new(one, "lag", number_or_null(lag_of(sums, standing)));
        json_object_set_new(one, "lag_ms", number_or_null(lag_ms_of(sums, standing)));
    }
    if (standing->owners_known)
        json_object_set_new(one, "owner", owner_json(&standing->owner));
}

static enum ms_status print_json(const struct listing *listing, struct ms_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < listing->count; i++) {
        const struct partition_sums *p = &listing->list[i];
        const struct ms_partition_row *row = &p->row;
        json_t *one = json_pack(
            "{s:i, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "partition", (int)p->partition, "applied",
            p->has_row ? json_integer(row->sources[0].applied) : json_null(), "origin",
            p->has_row ? json_integer(row->sources[0].origin) : json_null(), "users", (json_int_t)p->users,
            "bytes", (json_int_t)p->bytes, "event_time", ms_view_json_time(p->newest_ms), "fold_id",
            p->has_row ? ms_view_json_fold_id(row->fold_id) : json_null(), "decode_id",
            row->decode_id ? ms_view_json_fold_id(row->decode_id) : json_null(), "topic_partitions",
            row->partitions_count ? json_integer(row->partitions_count) : json_null(), "owed_from",
            p->has_row && row->owed_from >= 0 ? json_integer(row->owed_from) : json_null());
        add_standing(one, p, listing->standings ? &listing->standings[i] : NULL);
        json_array_append_new(list, one);
    }
    return ms_inspect_print_json(
        json_pack("{s:o, s:o}", "partitions", list, "left_out",
                  listing->left_out[0] ? json_string(listing->left_out) : json_null()),
        error);
}

/* ---- text ---- */

static void number_cell(struct ms_table *table, int64_t number)
{
    if (number >= 0)
        ms_table_cell(table, "%" PRId64, number);
    else
        ms_table_cell(table, "-");
}

static void bytes_cell(struct ms_table *table, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit < 4; unit++)
        size /= 1024;
    ms_table_cell(table, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static void fold_id_cell(struct ms_table *table, uint64_t id)
{
    if (id)
        ms_table_cell(table, "%016" PRIx64, id);
    else
        ms_table_cell(table, "-");
}

/* A partition that nobody has warns where others have an owner, or where there is something to do. */
static void owner_cell(struct ms_table *table, const struct ms_standing *standing, bool lags)
{
    struct ms_buffer text = {0};
    const struct ms_standing_owner *owner = &standing->owner;
    if (!owner->member) {
        if (standing->owners_known && lags)
            ms_table_warning(table, "nobody");
        else
            ms_table_raw(table, standing->owners_known ? "nobody" : "-");
        return;
    }
    /* "/10.0.0.1", as the coordinator gives it */
    if (ms_buffer_printf(&text, "%s %s", owner->instance ? owner->instance : owner->client,
                         owner->host + (owner->host[0] == '/')))
        ms_table_bytes(table, (struct ms_bytes){text.data, text.size});
    else
        table->failed = true;
    ms_buffer_free(&text);
}

static void standing_cells(struct ms_table *table, const struct partition_sums *sums,
                           const struct ms_standing *standing)
{
    int64_t lag = lag_of(sums, standing), lag_ms = lag_ms_of(sums, standing);
    number_cell(table, standing->committed);
    number_cell(table, standing->begin);
    number_cell(table, standing->end);
    number_cell(table, lag);
    if (lag_ms >= 0)
        ms_table_cell(table, "%.1f", (double)lag_ms / 1e3);
    else
        ms_table_cell(table, "-");
    owner_cell(table, standing, lag > 0);
}

static void columns(struct ms_table *table, bool asked)
{
    static const char *const state[] = {"partition", "users", "bytes", "origin", "applied (L)"},
                             *const log[] = {"committed (C)", "log begins", "log ends", "lag", "lag s"};
    for (size_t i = 0; i < sizeof state / sizeof *state; i++)
        ms_table_column(table, state[i], true);
    for (size_t i = 0; asked && i < sizeof log / sizeof *log; i++)
        ms_table_column(table, log[i], true);
    if (asked)
        ms_table_column(table, "owner", false);
    ms_table_column(table, "fold id", false);
    ms_table_column(table, "decode id", false);
}

static enum ms_status print_text(const struct listing *listing, const struct ms_palette *palette,
                                 struct ms_error *error)
{
    struct ms_table table = {.palette = palette};
    columns(&table, listing->standings);
    for (size_t i = 0; i < listing->count; i++) {
        const struct partition_sums *p = &listing->list[i];
        ms_table_cell(&table, "%u", p->partition);
        ms_table_cell(&table, "%" PRIu64, p->users);
        bytes_cell(&table, p->bytes);
        number_cell(&table, p->has_row ? p->row.sources[0].origin : -1);
        number_cell(&table, p->has_row ? p->row.sources[0].applied : -1);
        if (listing->standings)
            standing_cells(&table, p, &listing->standings[i]);
        fold_id_cell(&table, p->row.fold_id);
        fold_id_cell(&table, p->row.decode_id);
    }
    enum ms_status status = ms_inspect_print_table(&table, error);
    if (listing->left_out[0]) {
        fflush(stdout);
        fprintf(stderr, "(%s left out: %s)\n",
                listing->standings ? "what shows as - is" : "committed offset, log, lag and owner are",
                listing->left_out);
    }
    return status;
}

/* ---- the command ---- */

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct listing listing = {0};
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = sum_up(&listing, store, error);
    if (status == MS_OK)
        status = ask_kafka(&listing, arguments, config, error);
    if (status == MS_OK)
        status = arguments->json ? print_json(&listing, error)
                                 : print_text(&listing, ms_inspect_palette(arguments), error);
    if (listing.standings)
        ms_standing_free(listing.standings, listing.count);
    free(listing.standings);
    free(listing.list);
    ms_store_close(store);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    MS_INSPECT_STATE_ROWS,
    {.name = "offline", .kind = MS_ARGUMENT_FLAG, .help = "do not ask Kafka", MS_INSPECT_AT(offline)},
    {0},
};

const struct ms_command ms_inspect_partitions = {
    .name = "partitions",
    .summary = "how far each partition is folded, its lag, users, bytes and owner",
    .description =
        "Lists the partitions of the state. The applied offset L is the next event of the input topic that the state on\n"
        "disk has not seen. With -c FILE the brokers are asked for the group's committed offset C, where the log begins\n"
        "and ends, and who in the group has the partition. The lag is from L to the end of the log, in events, and in\n"
        "seconds from the last folded record to the last one of the log, by the times that the log has. A broker that\n"
        "does not answer within five seconds is left out, which is said.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  partitions [{partition, applied (L), origin, users, bytes (of their rows), event_time (the newest), fold_id,\n"
    "  decode_id (what the decoder was told), topic_partitions (as the input topic had), owed_from (from this offset\n"
    "  on, users are owed a record that the service is about to publish); as far as Kafka told: committed (C), begin,\n"
    "  end, lag, lag_ms, owner {member, client, host, instance} (null: nobody)}], left_out (why Kafka told less; null:\n"
    "  it told all)\n",
    .examples = "mindstream inspect partitions --state-dir /var/lib/mindstream\n"
                "mindstream inspect partitions -c /etc/mindstream/mindstream.properties\n"
                "mindstream inspect partitions -c FILE --json | jq '[.partitions[].lag] | add'\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
