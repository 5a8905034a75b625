/* mindstream inspect: what the state directory holds, while a service runs on it or not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands.h"
#include "app/inspect_json.h"
#include "app/inspect_user.h"
#include "app/options.h"
#include "app/table.h"
#include "user/codec.h"

extern char **environ;

static const char help[] =
    "usage: mindstream inspect user ID   [--partition P] [--limit N]\n"
    "       mindstream inspect users      [--limit N]\n"
    "       mindstream inspect partitions\n"
    "       mindstream inspect stats\n"
    "\n"
    "Shows what a state directory holds. Works beside a running service (as of its last flush, "
    "state.flush.interval.ms\n"
    "ago at most while events come) and on the state of one that is stopped; changes nothing.\n"
    "\n"
    "  user        one user: counters, interests with their nearest items, kept behaviors with their "
    "coupling to each\n"
    "              interest. With routing.mode=incremental the coupling is that of full routing over the "
    "kept window.\n"
    "              State that was folded under another model or other settings is folded again, in a copy.\n"
    "  users       users in the order of partition and id (--limit, 50; 0: all)\n"
    "  partitions  applied offset L, origin, fold id and number of users of each partition\n"
    "  stats       totals, bytes, and RocksDB's own statistics\n"
    "\n"
    "  --state-dir DIR    the state directory (state.dir of the settings)\n"
    "  --model DIR        the model directory (model.dir of the settings); without one, behaviors and "
    "counters only\n"
    "  --partition P      user: the one in this partition\n"
    "  --limit N          user: the newest N behaviors (default all); users: N users\n"
    "  --json             one JSON object, see below\n" MS_OPTIONS_HELP "\n"
    "JSON (keys may be added, none change; times in ms; fold ids as 16 hexadecimal digits; null where there "
    "is none):\n"
    "  user        user_id, partition, partitions [all that have such a user], version, event_time, "
    "own_offset, kept,\n"
    "              slots (K'u), slots_max, fold_id, profile (its text as it came), model,\n"
    "              behaviors [{item, time, type}];\n"
    "              with a model also routing_mode, refolded, model_fold_id, dim, window, coupling_by,\n"
    "              interests [{slot, weight, norm, vector [dim], nearest [{item, score}] or null}], and in "
    "each behavior\n"
    "              known (to the model) and coupling [by interest] (null: not in the window). --limit does "
    "not apply.\n"
    "  users       users [{user_id, partition, version, behaviors, slots, event_time, own_offset}], more "
    "(true: cut)\n"
    "  partitions  partitions [{partition, applied, origin, users, fold_id}]\n"
    "  stats       application_id, input_topic, instance_id, workers, partitions, users, behaviors, "
    "head_bytes,\n"
    "              disk_bytes, rocksdb (text)\n"
    "\n"
    "Exit code: 0 shown, 1 no such user or the state cannot be read, 2 bad usage or settings.\n"
    "\n"
    "examples:\n"
    "  mindstream inspect user u42 -c /etc/mindstream/mindstream.properties\n"
    "  mindstream inspect user u42 --state-dir /var/lib/mindstream --model /srv/models/tmall --json | jq "
    ".interests\n"
    "  mindstream inspect users --state-dir /var/lib/mindstream --limit 0 | wc -l\n";

struct arguments {
    struct ms_options_sources sources;
    const char *verb, *id;
    char *state_dir, *model_dir; /* "state.dir=...": settings above all others */
    long partition, limit;       /* -1: not given */
    bool json, help;
};

/* ---- arguments ---- */

static bool parse_number(const char *text, long max, long *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (!*text || *end || errno || value < 0 || value > max)
        return false;
    *number = value;
    return true;
}

static enum ms_status take_setting(char **setting, const char *key, const char *value, struct ms_error *error)
{
    free(*setting);
    if (asprintf(setting, "%s=%s", key, value) >= 0)
        return MS_OK;
    *setting = NULL;
    return ms_fail(error, MS_MEMORY, "no memory for the arguments");
}

/* An option with a value: *known tells whether it is one. */
static enum ms_status take(struct arguments *arguments, const char *name, const char *value, bool *known,
                           struct ms_error *error)
{
    *known = true;
    if (strcmp(name, "--state-dir") == 0)
        return take_setting(&arguments->state_dir, "state.dir", value, error);
    if (strcmp(name, "--model") == 0)
        return take_setting(&arguments->model_dir, "model.dir", value, error);
    if (strcmp(name, "--partition") == 0)
        return parse_number(value, MS_MAX_PARTITIONS - 1, &arguments->partition)
                   ? MS_OK
                   : ms_fail(error, MS_USAGE, "--partition %s: a number from 0 to %d is needed", value,
                             MS_MAX_PARTITIONS - 1);
    if (strcmp(name, "--limit") == 0)
        return parse_number(value, INT32_MAX, &arguments->limit)
                   ? MS_OK
                   : ms_fail(error, MS_USAGE, "--limit %s: a whole number is needed", value);
    *known = false;
    return MS_OK;
}

static enum ms_status take_any(struct arguments *arguments, int argc, char **argv, int *at,
                               struct ms_error *error)
{
    static const char *const valued[] = {"--state-dir", "--model", "--partition", "--limit"};
    const char *name = argv[*at];
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
        size_t size = strlen(valued[i]);
        bool known;
        if (strncmp(name, valued[i], size) != 0 || (name[size] && name[size] != '='))
            continue;
        if (!name[size] && *at + 1 >= argc)
            return ms_fail(error, MS_USAGE, "%s needs a value", valued[i]);
        const char *value = name[size] ? name + size + 1 : argv[++*at];
        ++*at;
        return take(arguments, valued[i], value, &known, error);
    }
    if (strcmp(name, "--json") == 0)
        arguments->json = true;
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        arguments->help = true;
    else if (name[0] == '-' && name[1] && strcmp(name, "--") != 0)
        return ms_fail(error, MS_USAGE, "unknown option '%s'; see mindstream inspect --help", name);
    else if (strcmp(name, "--") == 0 && *at + 1 < argc && arguments->verb && !arguments->id)
        arguments->id = argv[++*at]; /* an id that begins with '-' */
    else if (!arguments->verb)
        arguments->verb = name;
    else if (strcmp(arguments->verb, "user") == 0 && !arguments->id)
        arguments->id = name;
    else
        return ms_fail(error, MS_USAGE, "one argument too many: '%s'", name);
    ++*at;
    return MS_OK;
}

static enum ms_status check_verb(const struct arguments *arguments, struct ms_error *error)
{
    static const char *const verbs[] = {"user", "users", "partitions", "stats"};
    static const char *const later[] = {"diff", "verify", "export"};
    const char *verb = arguments->verb;
    if (!verb)
        return ms_fail(error, MS_USAGE, "user ID, users, partitions or stats? see mindstream inspect --help");
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (strcmp(verb, later[i]) == 0)
            return ms_fail(error, MS_USAGE, "%s is not in this version", verb);
    }
    size_t i = 0;
    while (i < sizeof verbs / sizeof *verbs && strcmp(verb, verbs[i]) != 0)
        i++;
    if (i == sizeof verbs / sizeof *verbs)
        return ms_fail(error, MS_USAGE, "unknown verb '%s'; see mindstream inspect --help", verb);
    if (i == 0 && (!arguments->id || !arguments->id[0]))
        return ms_fail(error, MS_USAGE, "which user? mindstream inspect user ID");
    return MS_OK;
}

static enum ms_status parse(struct arguments *arguments, int argc, char **argv, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 1; status == MS_OK && i < argc && !arguments->help;) {
        bool taken;
        /* What is not built yet is named before its arguments are looked at. */
        if (i == 2 && arguments->verb &&
            (status = check_verb(&(struct arguments){.verb = arguments->verb, .id = "-"}, error)) != MS_OK)
            break;
        status = ms_options_argument(&arguments->sources, argc, argv, &i, &taken, error);
        if (status == MS_OK && !taken)
            status = take_any(arguments, argc, argv, &i, error);
    }
    if (status != MS_OK || arguments->help)
        return status;
    const char *own[] = {arguments->state_dir, arguments->model_dir};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (own[i] && arguments->sources.set_count == MS_OPTIONS_MAX_SET)
            return ms_fail(error, MS_USAGE, "more than %d settings", MS_OPTIONS_MAX_SET);
        if (own[i])
            arguments->sources.set[arguments->sources.set_count++] = own[i];
    }
    return check_verb(arguments, error);
}

/* ---- user ---- */

static enum ms_status show_user(const struct arguments *arguments, const struct ms_config *config,
                                struct ms_error *error)
{
    struct ms_inspector *inspector = NULL;
    struct ms_user_view *view = NULL;
    struct ms_bytes id = {arguments->id, strlen(arguments->id)};
    if (id.size > MS_MAX_USER_ID)
        return ms_fail(error, MS_USAGE, "the id is longer than %d bytes", MS_MAX_USER_ID);
    enum ms_status status = ms_inspector_new(&inspector, config, error);
    if (status == MS_OK)
        status = ms_user_view_new(&view, inspector, id, (int32_t)arguments->partition, error);
    if (status == MS_OK && arguments->json)
        status = ms_user_view_json(view, stdout, error);
    else if (status == MS_OK)
        status = ms_user_view_text(view, stdout, arguments->limit > 0 ? (size_t)arguments->limit : 0, error);
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
    json_t *one = json_pack("{s:o, s:i, s:I, s:I, s:i, s:I, s:I}", "user_id", ms_json_text(ms_user_id(user)),
                            "partition", (int)user->partition, "version", (json_int_t)user->version,
                            "behaviors", (json_int_t)user->kept, "slots", (int)user->slots, "event_time",
                            (json_int_t)user->last_time_ms, "own_offset", (json_int_t)user->own_offset);
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
        return MS_NOT_FOUND; /* ends the walk */
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

static enum ms_status show_users(const struct arguments *arguments, struct ms_store *store,
                                 struct ms_error *error)
{
    struct listing listing = {.json = arguments->json,
                              .limit = arguments->limit < 0 ? 50 : (size_t)arguments->limit};
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
    enum ms_status printed = ms_table_print(&listing.table, stdout, 0, status == MS_OK ? error : NULL);
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
    struct partition_sums *list; /* in key order: the walk comes by them one after another */
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
        json_array_append_new(
            list, json_pack("{s:i, s:o, s:o, s:I, s:o}", "partition", (int)p->partition, "applied",
                            p->has_row ? json_integer(p->row.sources[0].applied) : json_null(), "origin",
                            p->has_row ? json_integer(p->row.sources[0].origin) : json_null(), "users",
                            (json_int_t)p->users, "fold_id",
                            p->has_row ? ms_json_fold_id(p->row.fold_id) : json_null()));
    }
    return ms_json_print(json_pack("{s:o}", "partitions", list), stdout, error);
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
    return ms_table_print(&table, stdout, 0, error);
}

/* Bytes of the files in db/, as the file system counts them. Files that go while this looks are passed over.
 */
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

static enum ms_status show_stats(const struct arguments *arguments, struct ms_store *store,
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
        status = ms_json_print(root, stdout, error);
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

static enum ms_status show(const struct arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct totals totals = {0};
    if (strcmp(arguments->verb, "user") == 0)
        return show_user(arguments, config, error);
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK && strcmp(arguments->verb, "users") == 0) {
        status = show_users(arguments, store, error);
    } else if (status == MS_OK) {
        status = sum_up(&totals, store, error);
        if (status == MS_OK && strcmp(arguments->verb, "stats") == 0)
            status = show_stats(arguments, store, config->state_dir, &totals, error);
        else if (status == MS_OK)
            status = arguments->json ? partitions_json(&totals, error) : partitions_text(&totals, error);
    }
    free(totals.list);
    ms_store_close(store);
    return status;
}

int ms_cmd_inspect(int argc, char **argv)
{
    struct arguments arguments = {.sources = {.environment = environ}, .partition = -1, .limit = -1};
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    enum ms_status status = parse(&arguments, argc, argv, &error);
    if (status == MS_OK && arguments.help)
        fputs(help, stdout);
    if (status == MS_OK && !arguments.help)
        status = ms_options_load(&options, &arguments.sources, &error);
    if (status == MS_OK && options)
        status = show(&arguments, ms_options_config(options), &error);
    ms_options_destroy(options);
    free(arguments.state_dir);
    free(arguments.model_dir);
    if (status != MS_OK)
        fprintf(stderr, "mindstream inspect: %s\n", error.text);
    return ms_status_exit_code(status);
}
