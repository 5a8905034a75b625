/* mindstream inspect: what the state directory holds, while a service runs on it or not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/inspector.h"
#include "app/options.h"
#include "user/codec.h"
#include "view/escape.h"
#include "view/json.h"
#include "view/table.h"
#include "view/text.h"

/* The arguments of all commands here. Each command has rows for those that it uses. */
struct inspect_arguments {
    struct ms_options_sources sources;
    const char *id;
    int64_t partition, limit;
    bool json;
};

/* Writes what was made to stdout and frees it. main() looks whether the output failed. */
static void print_text(struct ms_buffer *text)
{
    if (text->size)
        fwrite(text->data, 1, text->size, stdout);
    ms_buffer_free(text);
}

/* Prints |root| on a line and releases it. */
static enum ms_status print_json(json_t *root, struct ms_error *error)
{
    struct ms_buffer text = {0};
    enum ms_status status = ms_view_json_text(root, &text, error);
    print_text(&text);
    if (status == MS_OK)
        fputc('\n', stdout);
    return status;
}

/* Prints the table and frees it. */
static enum ms_status print_table(struct ms_table *table, struct ms_error *error)
{
    struct ms_buffer text = {0};
    enum ms_status status = ms_table_text(table, 0, &text, error);
    print_text(&text);
    ms_table_free(table);
    return status;
}

/* ---- user ---- */

static enum ms_status show_user(const struct inspect_arguments *arguments, const struct ms_config *config,
                                struct ms_error *error)
{
    struct ms_inspector *inspector = NULL;
    struct ms_user_view *view = NULL;
    struct ms_buffer text = {0};
    struct ms_bytes id = {arguments->id, strlen(arguments->id)};
    if (id.size > MS_MAX_USER_ID)
        return ms_fail(error, MS_USAGE, "ID is longer than %d bytes", MS_MAX_USER_ID);
    enum ms_status status = ms_inspector_new(&inspector, config, error);
    if (status == MS_OK)
        status = ms_inspector_view(inspector, id, (int32_t)arguments->partition, &view, error);
    if (status == MS_OK && arguments->json)
        status = ms_user_view_json(view, &text, error);
    else if (status == MS_OK)
        status = ms_user_view_text(view, (size_t)arguments->limit, &text, error);
    print_text(&text);
    if (status == MS_OK && arguments->json)
        fputc('\n', stdout);
    ms_user_view_destroy(view);
    ms_inspector_destroy(inspector);
    return status;
}

/* ---- users ---- */

struct listing {
    struct ms_table table;
    bool json, more;
    size_t count, limit; /* limit 0: all */
};

static void list_json(struct listing *listing, const struct ms_user *user)
{
    json_t *one = json_pack("{s:o, s:i, s:I, s:I, s:i, s:I, s:I}", "user_id",
                            ms_view_json_bytes(ms_user_id(user)), "partition", (int)user->partition,
                            "version", (json_int_t)user->version, "behaviors", (json_int_t)user->kept,
                            "slots", (int)user->slots, "event_time", (json_int_t)user->last_time_ms,
                            "own_offset", (json_int_t)user->own_offset);
    fputs(listing->count ? ",\n" : "", stdout); /* one at a time: there may be millions */
    if (one)
        json_dumpf(one, stdout, JSON_COMPACT);
    json_decref(one);
}

static void list_text(struct listing *listing, const struct ms_user *user)
{
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, user->last_time_ms);
    ms_table_bytes(&listing->table, ms_user_id(user));
    ms_table_cell(&listing->table, "%u", user->partition);
    ms_table_cell(&listing->table, "%" PRIu64, user->version);
    ms_table_cell(&listing->table, "%" PRIu32, user->kept);
    ms_table_cell(&listing->table, "%u", user->slots);
    ms_table_cell(&listing->table, "%s", time);
}

static enum ms_status list_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                                struct ms_error *error)
{
    struct listing *listing = context;
    struct ms_user *user = NULL;
    if (listing->limit && listing->count == listing->limit) {
        listing->more = true;
        return MS_NOT_FOUND; /* this ends the walk */
    }
    enum ms_status status = ms_user_decode_head(&user, partition, id, value, error);
    if (status != MS_OK || user->version == 0) {
        free(user);
        return status;
    }
    if (listing->json)
        list_json(listing, user);
    else
        list_text(listing, user);
    listing->count++;
    free(user);
    return MS_OK;
}

static enum ms_status list_users(const struct inspect_arguments *arguments, struct ms_store *store,
                                 struct ms_error *error)
{
    struct listing listing = {.json = arguments->json, .limit = (size_t)arguments->limit};
    const struct ms_store_visitor visitor = {.context = &listing, .on_user = list_user};
    static const char *const numbers[] = {"partition", "version", "behaviors", "interests"};
    ms_table_column(&listing.table, "user", false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ms_table_column(&listing.table, numbers[i], true);
    ms_table_column(&listing.table, "last event", false);
    if (listing.json)
        fputs("{\"users\":[", stdout);
    enum ms_status status = ms_store_walk(store, &visitor, error);
    if (listing.more)
        status = MS_OK;
    if (listing.json) {
        printf("],\"more\":%s}\n", listing.more ? "true" : "false");
        ms_table_free(&listing.table);
        return status;
    }
    enum ms_status printed = print_table(&listing.table, status == MS_OK ? error : NULL);
    if (listing.more)
        fprintf(stderr, "(the first %zu users; --limit 0 lists all)\n", listing.limit);
    return status != MS_OK ? status : printed;
}

/* ---- partitions, stats ---- */

struct partition_sums {
    uint16_t partition;
    bool has_row;
    struct ms_partition_row row;
    uint64_t users, behaviors, head_bytes;
};

struct totals {
    struct partition_sums *list; /* in the order of the walk, which is by partition */
    size_t count;
};

static struct partition_sums *sums_of(struct totals *totals, uint16_t partition)
{
    if (totals->count == 0 || totals->list[totals->count - 1].partition != partition)
        totals->list[totals->count++] = (struct partition_sums){.partition = partition};
    return &totals->list[totals->count - 1];
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
        sums->behaviors += user->kept;
        sums->head_bytes += id.size + value.size;
    }
    free(user);
    return status;
}

static enum ms_status sum_up(struct totals *totals, struct ms_store *store, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {
        .context = totals, .on_partition = sum_partition, .on_user = sum_user};
    totals->list = calloc(MS_MAX_PARTITIONS, sizeof *totals->list);
    if (!totals->list)
        return ms_fail(error, MS_MEMORY, "no memory for %d partitions", MS_MAX_PARTITIONS);
    return ms_store_walk(store, &visitor, error);
}

static enum ms_status partitions_json(const struct totals *totals, struct ms_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < totals->count; i++) {
        const struct partition_sums *p = &totals->list[i];
        const struct ms_partition_row *row = &p->row;
        json_array_append_new(
            list,
            json_pack("{s:i, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "partition", (int)p->partition, "applied",
                      p->has_row ? json_integer(row->sources[0].applied) : json_null(), "origin",
                      p->has_row ? json_integer(row->sources[0].origin) : json_null(), "users",
                      (json_int_t)p->users, "fold_id",
                      p->has_row ? ms_view_json_fold_id(row->fold_id) : json_null(), "decode_id",
                      row->decode_id ? ms_view_json_fold_id(row->decode_id) : json_null(), "topic_partitions",
                      row->partitions_count ? json_integer(row->partitions_count) : json_null(), "owed_from",
                      p->has_row && row->owed_from >= 0 ? json_integer(row->owed_from) : json_null()));
    }
    return print_json(json_pack("{s:o}", "partitions", list), error);
}

static enum ms_status partitions_text(const struct totals *totals, struct ms_error *error)
{
    struct ms_table table = {0};
    static const char *const titles[] = {"partition", "applied (L)", "origin", "users"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        ms_table_column(&table, titles[i], true);
    ms_table_column(&table, "fold id", false);
    for (size_t i = 0; i < totals->count; i++) {
        const struct partition_sums *p = &totals->list[i];
        ms_table_cell(&table, "%u", p->partition);
        ms_table_cell(&table, "%" PRId64, p->row.sources[0].applied);
        ms_table_cell(&table, "%" PRId64, p->row.sources[0].origin);
        ms_table_cell(&table, "%" PRIu64, p->users);
        ms_table_cell(&table, "%016" PRIx64, p->row.fold_id);
    }
    return print_table(&table, error);
}

/* Bytes of the files in db/, as the file system counts them. Files that disappear meanwhile are skipped. */
static uint64_t disk_bytes(const char *state_dir)
{
    char path[4096];
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "%s/db", state_dir);
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat file;
        if (fstatat(dirfd(dir), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(file.st_mode))
            bytes += (uint64_t)file.st_blocks * 512;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static enum ms_status print_stats(const struct inspect_arguments *arguments, struct ms_store *store,
                                  const char *state_dir, const struct totals *totals, struct ms_error *error)
{
    uint64_t users = 0, behaviors = 0, head_bytes = 0, disk = disk_bytes(state_dir);
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < totals->count; i++) {
        users += totals->list[i].users;
        behaviors += totals->list[i].behaviors;
        head_bytes += totals->list[i].head_bytes;
    }
    char *rocksdb = ms_store_stats(store);
    if (arguments->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:s?}", "application_id",
                                 ms_store_application_id(store), "input_topic", ms_store_input_topic(store),
                                 "instance_id", ms_store_instance_id(store), "workers",
                                 ms_store_workers(store), "partitions", (json_int_t)totals->count, "users",
                                 (json_int_t)users, "behaviors", (json_int_t)behaviors, "head_bytes",
                                 (json_int_t)head_bytes, "disk_bytes", (json_int_t)disk, "rocksdb", rocksdb);
        status = print_json(root, error);
    } else {
        printf("application.id  %s\ninput.topic     %s\ninstance.id     %s\nworkers         %d\npartitions   "
               "   %zu\n",
               ms_store_application_id(store), ms_store_input_topic(store), ms_store_instance_id(store),
               ms_store_workers(store), totals->count);
        printf("users           %" PRIu64 "\nbehaviors       %" PRIu64 "\nhead rows       %" PRIu64
               " bytes\non disk         %" PRIu64 " bytes\n\n%s",
               users, behaviors, head_bytes, disk, rocksdb ? rocksdb : "");
    }
    free(rocksdb);
    return status;
}

/* ---- the commands ---- */

/* What a command shows of the settings' state directory. */
typedef enum ms_status show_fn(const struct inspect_arguments *arguments, const struct ms_config *config,
                               struct ms_error *error);

static enum ms_status load_and_show(struct inspect_arguments *arguments, show_fn *show,
                                    struct ms_error *error)
{
    struct ms_options *options = NULL;
    arguments->sources.environment = environ;
    enum ms_status status = ms_options_load(&options, &arguments->sources, error);
    if (status == MS_OK)
        status = show(arguments, ms_options_config(options), error);
    ms_options_destroy(options);
    return status;
}

static enum ms_status show_users(const struct inspect_arguments *arguments, const struct ms_config *config,
                                 struct ms_error *error)
{
    struct ms_store *store = NULL;
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = list_users(arguments, store, error);
    ms_store_close(store);
    return status;
}

static enum ms_status show_partitions(const struct inspect_arguments *arguments,
                                      const struct ms_config *config, struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct totals totals = {0};
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = sum_up(&totals, store, error);
    if (status == MS_OK)
        status = arguments->json ? partitions_json(&totals, error) : partitions_text(&totals, error);
    free(totals.list);
    ms_store_close(store);
    return status;
}

static enum ms_status show_stats(const struct inspect_arguments *arguments, const struct ms_config *config,
                                 struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct totals totals = {0};
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = sum_up(&totals, store, error);
    if (status == MS_OK)
        status = print_stats(arguments, store, config->state_dir, &totals, error);
    free(totals.list);
    ms_store_close(store);
    return status;
}

static enum ms_status run_user(void *context, struct ms_error *error)
{
    return load_and_show(context, show_user, error);
}

static enum ms_status run_users(void *context, struct ms_error *error)
{
    return load_and_show(context, show_users, error);
}

static enum ms_status run_partitions(void *context, struct ms_error *error)
{
    return load_and_show(context, show_partitions, error);
}

static enum ms_status run_stats(void *context, struct ms_error *error)
{
    return load_and_show(context, show_stats, error);
}

#define AT(field) .offset = offsetof(struct inspect_arguments, field)

/* Rows that every command here has. */
#define STATE_ROWS                                                                                                  \
    MS_SETTINGS_ROWS(struct inspect_arguments, sources),                                                            \
        {.name = "state-dir",                                                                                       \
         .kind = MS_ARGUMENT_DIRECTORY,                                                                             \
         .placeholder = "DIR",                                                                                      \
         .help = "the state directory, instead of state.dir of the settings",                                       \
         AT(sources.state_dir)},                                                                                    \
        {.name = "model",                                                                                           \
         .kind = MS_ARGUMENT_DIRECTORY,                                                                             \
         .placeholder = "DIR",                                                                                      \
         .help =                                                                                                    \
             "the model directory, instead of model.dir of the settings; inspect user works without one and shows " \
             "behaviors and counters only",                                                                         \
         AT(sources.model_dir)},                                                                                    \
    {                                                                                                               \
        .name = "json", .kind = MS_ARGUMENT_FLAG, .help = "one JSON object, see below", AT(json)                    \
    }

static const struct ms_argument rows_of_user[] = {
    {.name = "ID",
     .kind = MS_ARGUMENT_STRING,
     .positional = true,
     .required = true,
     .not_empty = true,
     .help = "the user; behind -- when it begins with a dash",
     AT(id)},
    STATE_ROWS,
    {.name = "partition",
     .kind = MS_ARGUMENT_INTEGER,
     .max = MS_MAX_PARTITIONS - 1,
     .absent = -1,
     .placeholder = "P",
     .help = "the user of that id in this partition",
     AT(partition)},
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "0",
     .placeholder = "N",
     .help = "the newest N behaviors, 0 for all; not with --json",
     AT(limit)},
    {0},
};

static const struct ms_argument rows_of_users[] = {
    STATE_ROWS,
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "50",
     .placeholder = "N",
     .help = "N users, 0 for all",
     AT(limit)},
    {0},
};

static const struct ms_argument rows_of_totals[] = {STATE_ROWS, {0}};

#define JSON_RULES                                                                                           \
    "JSON (keys may be added, none change; times in ms; fold and decode ids as 16 hexadecimal digits; null where there is none):\n"

static const char exit_status[] =
    "0 shown, 1 no such user or the state cannot be read, 2 bad usage or settings, 3 a damaged or newer state";

static const struct ms_command user_command = {
    .name = "user",
    .summary = "one user: counters, interests with their nearest items, kept behaviors",
    .description =
        "Shows one user: counters, interests with their nearest items, kept behaviors with their coupling to each\n"
        "interest. With routing.mode=incremental the coupling is that of full routing over the kept window. State that was\n"
        "folded under another model or other settings is folded again, in a copy. Works beside a running service (as of\n"
        "its last flush, state.flush.interval.ms ago at most while events come) and on the state of one that is stopped;\n"
        "changes nothing.\n",
    .rows = rows_of_user,
    .notes = JSON_RULES
    "  user_id, partition, partitions [all that have such a user], version, event_time, own_offset, kept,\n"
    "  slots (K'u), slots_max, fold_id, profile (its text as it came), model, behaviors [{item, time, type}];\n"
    "  with a model also routing_mode, refolded, model_fold_id, dim, window, coupling_by,\n"
    "  interests [{slot, weight, norm, vector [dim], nearest [{item, score}] or null}], and in each behavior\n"
    "  known (to the model) and coupling [by interest] (null: not in the window).\n",
    .examples =
        "mindstream inspect user u42 -c /etc/mindstream/mindstream.properties\n"
        "mindstream inspect user u42 --state-dir /var/lib/mindstream --model /srv/models/tmall --json | jq .interests\n",
    .exit_status = exit_status,
    .arguments_bytes = sizeof(struct inspect_arguments),
    .run = run_user,
};

static const struct ms_command users_command = {
    .name = "users",
    .summary = "users in the order of partition and id",
    .description = "Lists users in the order of partition and id.\n",
    .rows = rows_of_users,
    .notes = JSON_RULES
    "  users [{user_id, partition, version, behaviors, slots, event_time, own_offset}], more (true: cut)\n",
    .examples = "mindstream inspect users -c /etc/mindstream/mindstream.properties\n"
                "mindstream inspect users --state-dir /var/lib/mindstream --limit 0 | wc -l\n",
    .exit_status = exit_status,
    .arguments_bytes = sizeof(struct inspect_arguments),
    .run = run_users,
};

static const struct ms_command partitions_command = {
    .name = "partitions",
    .summary = "applied offset L, origin, fold id and number of users of each partition",
    .description =
        "Lists the partitions of the state. The applied offset L is the next event of the input topic that the state has\n"
        "not seen.\n",
    .rows = rows_of_totals,
    .notes = JSON_RULES
    "  partitions [{partition, applied, origin, users, fold_id, decode_id (what the decoder was told),\n"
    "  topic_partitions (as the input topic had), owed_from (from this offset on, users are owed a record that the\n"
    "  service is about to publish)}]\n",
    .examples = "mindstream inspect partitions --state-dir /var/lib/mindstream\n",
    .exit_status = exit_status,
    .arguments_bytes = sizeof(struct inspect_arguments),
    .run = run_partitions,
};

static const struct ms_command stats_command = {
    .name = "stats",
    .summary = "totals, bytes, and RocksDB's own statistics",
    .description = "Prints totals of the state, its bytes, and RocksDB's own statistics.\n",
    .rows = rows_of_totals,
    .notes = JSON_RULES
    "  application_id, input_topic, instance_id, workers, partitions, users, behaviors, head_bytes, disk_bytes,\n"
    "  rocksdb (text)\n",
    .examples = "mindstream inspect stats --state-dir /var/lib/mindstream --json | jq .users\n",
    .exit_status = exit_status,
    .arguments_bytes = sizeof(struct inspect_arguments),
    .run = run_stats,
};

static const struct ms_command diff_command = {.name = "diff", .refused = "diff is not in this version"};
static const struct ms_command verify_command = {.name = "verify",
                                                 .refused = "verify is not in this version"};
static const struct ms_command export_command = {.name = "export",
                                                 .refused = "export is not in this version"};

static const struct ms_command *const commands[] = {
    &user_command, &users_command,  &partitions_command, &stats_command,
    &diff_command, &verify_command, &export_command,     NULL,
};

const struct ms_command ms_command_inspect = {
    .name = "inspect",
    .summary = "show the state of a user, live or stopped",
    .description =
        "Shows what a state directory holds. Works beside a running service (as of its last flush, state.flush.interval.ms\n"
        "ago at most while events come) and on the state of one that is stopped; changes nothing. With --json each prints\n"
        "one JSON object, whose keys are in its help.\n",
    .commands = commands,
    .examples =
        "mindstream inspect user u42 -c /etc/mindstream/mindstream.properties\n"
        "mindstream inspect user u42 --state-dir /var/lib/mindstream --model /srv/models/tmall --json | jq .interests\n"
        "mindstream inspect users --state-dir /var/lib/mindstream --limit 0 | wc -l\n",
    .exit_status = exit_status,
};
