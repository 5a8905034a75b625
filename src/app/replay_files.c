/* Reading files into the feed of a replay. */
#include "app/replay_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "event/path.h"
#include "stream/source.h"
#include "train/input.h"
#include "user/profile.h"

#define LOOK_EVENTS 1024                /* between two looks at clock and signals */
#define EDGE_BYTES  ((uint64_t)1 << 16) /* of a file's begin and end, which its digest is of */
#define TOLD_MOST   10                  /* bad lines that are named */
#define PLAIN_S     10.0                /* between two lines of progress where there is no terminal */
#define TERMINAL_S  0.2
#define BAR         24

/* ---- which files ---- */

static enum ms_status digest_of(int fd, const char *path, uint64_t size, uint64_t *digest,
                                struct ms_error *error)
{
    uint64_t begin, end, edge = size < EDGE_BYTES ? size : EDGE_BYTES;
    if (!ms_digest_file(fd, 0, edge, &begin) || !ms_digest_file(fd, size - edge, size, &end))
        return ms_fail(error, MS_IO, "%s: %s", path, errno ? strerror(errno) : "becomes shorter");
    *digest = ms_digest_next(begin, &end, sizeof end) | 1;
    return MS_OK;
}

/* What tells a file from others. */
static enum ms_status look_at(const char *path, struct ms_replay_file *file, struct ms_error *error)
{
    struct stat info;
    *file = (struct ms_replay_file){.path = (char *)(uintptr_t)path};
    if (strcmp(path, "-") == 0)
        return MS_OK;
    if (strchr(path, '\n'))
        return ms_fail(error, MS_USAGE, "a file whose name has a line break cannot be replayed");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    enum ms_status status = MS_OK;
    if (fstat(fd, &info) != 0)
        status = ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(info.st_mode))
        status = ms_fail(error, MS_IO, "%s: is a directory", path);
    else if (S_ISREG(info.st_mode)) {
        file->size = (uint64_t)info.st_size;
        status = digest_of(fd, path, file->size, &file->digest, error);
    }
    close(fd);
    return status;
}

static const char *or_else(const char *given, const char *setting)
{
    return given ? given : setting;
}

static void set_options(struct ms_replay_file_set *set)
{
    static const char separators[] = {0, ',', '\t', ';', '|', ':'};
    const struct ms_replay_file_arguments *arguments = set->arguments;
    const struct ms_config *config = set->config;
    set->options = (struct ms_events_options){.paths = arguments->files,
                                              .path_count = arguments->count,
                                              .format = (enum ms_events_format)arguments->format,
                                              .user = or_else(arguments->user, config->input_user_field),
                                              .item = or_else(arguments->item, config->input_item_field),
                                              .time = or_else(arguments->time, config->input_time_field),
                                              .type = or_else(arguments->type, config->input_type_field),
                                              .types = config->input_types,
                                              .separator = separators[arguments->separator],
                                              .quotes = (enum ms_csv_quotes)arguments->quotes,
                                              .columns = arguments->columns,
                                              .passed = (1u << MS_PASSED_COUNT) - 1,
                                              .type_if_there = !arguments->type,
                                              .id_max_bytes = (uint32_t)config->input_id_max_bytes};
    if (arguments->strict)
        set->options.passed = 1u << MS_PASSED_TYPE | 1u << MS_PASSED_BLANK | 1u << MS_PASSED_HEADER;
}

/* Reads each file up to its first event, so that a column that is not there, a path that does not parse or a file of another kind
 * is found before anything is made. */
static enum ms_status look_into(const struct ms_replay_file_set *set, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < set->arguments->count; i++) {
        struct ms_events_options options = set->options;
        struct ms_events *events = NULL;
        struct ms_log_event event;
        options.paths = &set->arguments->files[i];
        options.path_count = 1;
        if (!set->list[i].digest)
            continue;
        status = ms_events_open(&events, &options, error);
        if (status == MS_OK)
            status = ms_events_next(events, &event, error);
        ms_events_close(events);
    }
    return status;
}

/* All that decides which events files give. */
static uint64_t reading_of(const struct ms_replay_file_set *set)
{
    const struct ms_events_options *options = &set->options;
    const uint64_t numbers[] = {(uint64_t)options->format, (uint64_t)options->separator,
                                (uint64_t)options->quotes, options->id_max_bytes,
                                (uint64_t)set->config->input_key_format};
    const char *const texts[] = {options->user, options->item,  options->time,
                                 options->type, options->types, options->columns};
    uint64_t id = ms_digest(numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        id = ms_digest_next(id, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) + 1 : 1);
    return id;
}

static enum ms_status check_arguments(const struct ms_replay_file_set *set, struct ms_error *error)
{
    const struct ms_replay_file_arguments *arguments = set->arguments;
    size_t standard_input = arguments->profiles && strcmp(arguments->profiles, "-") == 0;
    int format = set->config->input_key_format;
    for (size_t i = 0; i < arguments->count; i++)
        standard_input += strcmp(arguments->files[i], "-") == 0;
    if (standard_input > 1)
        return ms_fail(error, MS_USAGE, "standard input (-) can be read once");
    if (format != MS_KEY_STRING && format != MS_KEY_LONG)
        return ms_fail(
            error, MS_USAGE,
            "files do not tell the keys that producers write under this input.key.format, so the "
            "partitions of their users are not known: only string and long can be replayed from files");
    return MS_OK;
}

enum ms_status ms_replay_file_set_make(struct ms_replay_file_set *set,
                                       const struct ms_replay_file_arguments *arguments,
                                       const struct ms_config *config, struct ms_error *error)
{
    *set = (struct ms_replay_file_set){.arguments = arguments, .config = config};
    if (!arguments->count && !arguments->profiles)
        return MS_OK;
    enum ms_status status = check_arguments(set, error);
    bool pipe = false;
    set_options(set);
    for (size_t i = 0; status == MS_OK && i < arguments->count; i++) {
        status = look_at(arguments->files[i], &set->list[i], error);
        set->bytes += set->list[i].size;
        pipe |= !set->list[i].digest;
    }
    if (status == MS_OK && arguments->profiles)
        status = look_at(arguments->profiles, &set->list[arguments->count], error);
    if (pipe)
        set->bytes = 0;
    if (status == MS_OK)
        status = look_into(set, error);
    set->files = (struct ms_replay_files){.sources = (arguments->count ? 1u << MS_SOURCE_CLICKS : 0) |
                                                     (arguments->profiles ? 1u << MS_SOURCE_PROFILES : 0),
                                          .list = set->list,
                                          .count = arguments->count + (arguments->profiles ? 1 : 0),
                                          .reading = reading_of(set),
                                          .partitioner = (enum ms_partitioner)arguments->partitioner,
                                          .partitions = (int32_t)arguments->partitions};
    return status;
}

/* ---- progress ---- */

struct watch {
    uint64_t total; /* bytes, 0: not known */
    double started_s, told_s;
    bool terminal;
    const char *what;
};

static void begin_watch(struct watch *watch, const char *what, uint64_t total)
{
    *watch = (struct watch){
        .total = total, .started_s = ms_monotonic_s(), .terminal = isatty(STDERR_FILENO) == 1, .what = what};
    watch->told_s = watch->started_s;
}

static void tell(const struct watch *watch, uint64_t bytes, uint64_t events, double now_s)
{
    double seconds = now_s - watch->started_s, rate = seconds > 0 ? (double)events / seconds : 0;
    double share = watch->total ? (double)bytes / (double)watch->total : 0;
    char bar[BAR + 4] = "";
    for (int i = 0; watch->terminal && watch->total && i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    fprintf(stderr, "%s", watch->terminal ? "\r\033[K" : "replay: ");
    if (watch->total)
        fprintf(stderr, "%s%s%s%5.1f %%  ", bar[0] ? "[" : "", bar, bar[0] ? "] " : "", share * 100);
    fprintf(stderr, "%" PRIu64 " %s  %.0f/s  %.0f MB", events, watch->what, rate, (double)bytes / 1e6);
    if (watch->total && bytes && bytes <= watch->total)
        fprintf(stderr, "  %.0f s left", seconds * (double)(watch->total - bytes) / (double)bytes);
    fputs(watch->terminal ? "" : "\n", stderr);
    fflush(stderr);
}

static void tell_when_due(struct watch *watch, uint64_t bytes, uint64_t events)
{
    double now_s = ms_monotonic_s();
    if (now_s - watch->told_s < (watch->terminal ? TERMINAL_S : PLAIN_S))
        return;
    watch->told_s = now_s;
    tell(watch, bytes, events, now_s);
}

static void end_watch(const struct watch *watch, uint64_t bytes, uint64_t events)
{
    if (!watch->terminal)
        return;
    tell(watch, bytes, events, ms_monotonic_s());
    fputc('\n', stderr);
}

/* Sleeps where more was read than the rate allows. */
static void keep_to_rate(const struct ms_replay_file_set *set, const struct watch *watch, uint64_t events)
{
    if (set->rate <= 0)
        return;
    double ahead_s = (double)events / set->rate - (ms_monotonic_s() - watch->started_s);
    if (ahead_s > 0.001)
        usleep((useconds_t)((ahead_s < 1 ? ahead_s : 1) * 1e6));
}

/* How many events pass before the next look; few where the rate is low. */
static uint64_t look_after(const struct ms_replay_file_set *set)
{
    double tenth = set->rate / 10;
    return set->rate <= 0 || tenth > LOOK_EVENTS ? LOOK_EVENTS : tenth < 1 ? 1 : (uint64_t)tenth;
}

/* Between bars, a line begins at the left. */
static void tell_bad(void *context, const char *text)
{
    struct ms_replay_file_set *set = context;
    fprintf(stderr, "%sbad: %s%s\n", isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "", text,
            ++set->told == TOLD_MOST ? " (the others are counted)" : "");
}

/* ---- events ---- */

/* The partition of a user. An id that is no number where keys are numbers has none. */
static enum ms_status find_partition(const struct ms_replay_file_set *set, struct ms_bytes user,
                                     int32_t partitions, int32_t *partition, struct ms_error *error)
{
    char room[MS_LONG_KEY_BYTES];
    struct ms_bytes key;
    if (!ms_key_of_user((enum ms_key_format)set->config->input_key_format, user, room, &key))
        return ms_fail(error, MS_FORMAT,
                       "user \"%.*s\" is no number, and input.key.format=long says that keys are",
                       (int)(user.size < 64 ? user.size : 64), user.data);
    *partition = ms_partition_of_key(set->files.partitioner, key, partitions);
    return MS_OK;
}

static enum ms_status feed_event(const struct ms_replay_file_set *set, struct ms_feed *feed,
                                 int32_t partitions, const struct ms_log_event *event, struct ms_error *error)
{
    int32_t partition;
    enum ms_status status = find_partition(set, event->event.user, partitions, &partition, error);
    if (status != MS_OK)
        return ms_fail_in(error, status, "%s: line %" PRIu64, event->file, event->line);
    return ms_feed_add(feed, partition, &event->event, (struct ms_bytes){NULL, 0}, error);
}

static uint64_t records_of(const struct ms_passed_counts *passed, uint64_t events)
{
    for (int reason = 0; reason < MS_PASSED_COUNT; reason++)
        events += reason == MS_PASSED_BLANK || reason == MS_PASSED_HEADER ? 0 : passed->count[reason];
    return events;
}

/* Reads all events into |feed|; *whole when none is left. */
static enum ms_status read_events(struct ms_replay_file_set *set, struct ms_feed *feed, int32_t partitions,
                                  bool *whole, struct ms_error *error)
{
    struct ms_events *events = NULL;
    struct ms_log_event event;
    struct watch watch;
    uint64_t count = 0, look = look_after(set);
    enum ms_status status = ms_events_open(&events, &set->options, error);
    begin_watch(&watch, "events", set->bytes);
    while (status == MS_OK) {
        status = ms_events_next(events, &event, error);
        if (status != MS_OK || (*whole = !event.event.user.data))
            break;
        status = feed_event(set, feed, partitions, &event, error);
        if (++count % look)
            continue;
        tell_when_due(&watch, ms_events_bytes(events), count);
        keep_to_rate(set, &watch, count);
        if (atomic_load(set->stop))
            break;
    }
    if (events) {
        end_watch(&watch, ms_events_bytes(events), count);
        set->passed = *ms_events_passed(events);
    }
    set->records = records_of(&set->passed, count);
    ms_events_close(events);
    return status;
}

/* ---- profiles ---- */

struct profile_reader {
    struct ms_replay_file_set *set;
    struct ms_line_file file;
    struct ms_json *json;
    struct ms_paths user;
};

/* The user of a profile: MS_EVENT says why it has none. */
static enum ms_status profile_user(struct profile_reader *reader, struct ms_bytes line,
                                   char digits[MS_JSON_DIGITS_MAX], struct ms_bytes *user,
                                   struct ms_error *error)
{
    struct ms_json_value root, value;
    if (line.size > MS_PROFILE_MAX_BYTES)
        return ms_fail(error, MS_EVENT, "the profile is longer than %d bytes", (int)MS_PROFILE_MAX_BYTES);
    const char *reason = ms_json_read(reader->json, line.data, line.size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a profile");
    if (reason)
        return ms_fail(error, MS_EVENT, "not JSON: %s", reason);
    if (ms_json_type(root) != MS_JSON_OBJECT)
        return ms_fail(error, MS_EVENT, "the profile is no JSON object");
    if (!ms_paths_find(&reader->user, root, &value))
        return ms_fail(error, MS_EVENT, "user: none in the profile (looked for \"%s\")",
                       reader->set->options.user);
    user->data = ms_json_id(value, digits, &user->size);
    const char *fault = user->data ? ms_id_fault(*user, reader->set->options.id_max_bytes)
                                   : "neither a string nor a whole number";
    return fault ? ms_fail(error, MS_EVENT, "user: is %s", fault) : MS_OK;
}

/* A line that is no profile is named and counted, or ends the reading. */
static enum ms_status pass_over(struct profile_reader *reader, struct ms_error *error)
{
    struct ms_replay_file_set *set = reader->set;
    ms_fail_in(error, MS_FORMAT, "%s: line %" PRIu64, reader->file.lines.source.name,
               reader->file.lines.number);
    if (set->arguments->strict)
        return MS_FORMAT;
    if (set->bad_profiles++ < TOLD_MOST)
        tell_bad(set, error->text);
    return MS_OK;
}

static enum ms_status feed_profile(struct profile_reader *reader, struct ms_feed *feed, int32_t partitions,
                                   struct ms_bytes line, struct ms_error *error)
{
    char digits[MS_JSON_DIGITS_MAX];
    struct ms_event event = {.time_ms = 0};
    int32_t partition = 0;
    enum ms_status status = profile_user(reader, line, digits, &event.user, error);
    if (status == MS_OK)
        status = find_partition(reader->set, event.user, partitions, &partition, error);
    if (status == MS_EVENT || status == MS_FORMAT)
        return pass_over(reader, error);
    return status == MS_OK ? ms_feed_add(feed, partition, &event, line, error) : status;
}

static enum ms_status read_lines(struct profile_reader *reader, struct ms_feed *feed, int32_t partitions,
                                 bool *whole, struct ms_error *error)
{
    struct ms_bytes line;
    struct watch watch;
    struct ms_error why = {0};
    uint64_t *count = &reader->set->profile_lines;
    enum ms_status status = MS_OK;
    begin_watch(&watch, "profiles", reader->set->list[reader->set->arguments->count].size);
    while (status == MS_OK) {
        status = ms_lines_next(&reader->file.lines, &line, &why);
        if (status != MS_OK || (*whole = !line.data))
            break;
        line = ms_bytes_trim(line);
        if (!line.size)
            continue;
        status = feed_profile(reader, feed, partitions, line, &why);
        if (++*count % LOOK_EVENTS)
            continue;
        tell_when_due(&watch, ms_input_bytes(reader->file.input), *count);
        if (atomic_load(reader->set->stop))
            break;
    }
    end_watch(&watch, ms_input_bytes(reader->file.input), *count);
    if (status != MS_OK && error)
        *error = why;
    return status;
}

static enum ms_status read_profiles(struct ms_replay_file_set *set, struct ms_feed *feed, int32_t partitions,
                                    bool *whole, struct ms_error *error)
{
    struct profile_reader reader = {.set = set, .json = ms_json_new()};
    enum ms_status status = reader.json ? ms_paths_parse(&reader.user, "--user", set->options.user, error)
                                        : ms_fail(error, MS_MEMORY, "no memory to read profiles");
    if (status == MS_OK)
        status = ms_line_file_open(&reader.file, set->arguments->profiles, MS_RECORD_MAX_BYTES, error);
    if (status == MS_OK)
        status = read_lines(&reader, feed, partitions, whole, error);
    ms_line_file_close(&reader.file);
    ms_paths_free(&reader.user);
    ms_json_destroy(reader.json);
    return status;
}

/* ---- folding ---- */

/* Folds the files of one source. What was folded before a failure of reading is good, and is kept. */
static enum ms_status fold_source(struct ms_replay_file_set *set, struct ms_replay *replay, int source,
                                  struct ms_error *error)
{
    struct ms_feed *feed = NULL;
    struct ms_error ended = {0};
    bool whole = false, clicks = source == MS_SOURCE_CLICKS;
    int32_t partitions = ms_replay_partition_count(replay);
    enum ms_status status = ms_replay_feed_begin(replay, source, &feed, error);
    if (status != MS_OK)
        return status;
    status = clicks ? read_events(set, feed, partitions, &whole, error)
                    : read_profiles(set, feed, partitions, &whole, error);
    enum ms_status finished = ms_replay_feed_end(replay, source, feed, whole && status == MS_OK,
                                                 clicks ? &set->counts : &set->profiles, &ended);
    if (status == MS_OK && finished != MS_OK) {
        *error = ended;
        return finished;
    }
    if (status == MS_OK && !whole)
        return ms_fail(error, MS_KAFKA_RETRY, "stopped before the end; %s",
                       set->bytes || !clicks ? "the same command goes on from here"
                                             : "what comes through a pipe cannot be read twice: begin again "
                                               "with --restart");
    return status;
}

enum ms_status ms_replay_files_fold(struct ms_replay_file_set *set, struct ms_replay *replay,
                                    struct ms_error *error)
{
    enum ms_status status = MS_OK;
    set->options.told = tell_bad;
    set->options.told_context = set;
    set->options.told_most = TOLD_MOST;
    for (int source = MS_SOURCES - 1; status == MS_OK && source >= 0; source--) {
        if (ms_replay_waits_for_files(replay, source))
            status = fold_source(set, replay, source, error);
    }
    return status;
}

/* ---- the summary ---- */

static bool is_bad(int reason)
{
    return reason != MS_PASSED_BLANK && reason != MS_PASSED_HEADER && reason != MS_PASSED_TYPE;
}

uint64_t ms_replay_files_bad(const struct ms_replay_file_set *set)
{
    uint64_t bad = set->bad_profiles;
    for (int reason = 0; reason < MS_PASSED_COUNT; reason++)
        bad += is_bad(reason) ? set->passed.count[reason] : 0;
    return bad;
}

static void print_count(uint64_t count, const char *text)
{
    if (count)
        printf("  %" PRIu64 " %s\n", count, text);
}

void ms_replay_files_print(const struct ms_replay_file_set *set)
{
    for (int reason = 0; reason < MS_PASSED_COUNT; reason++) {
        if (set->passed.count[reason] && reason != MS_PASSED_BLANK)
            printf("  %" PRIu64 " %s (%s)%s%s\n", set->passed.count[reason],
                   ms_passed_text((enum ms_passed)reason), ms_passed_name((enum ms_passed)reason),
                   is_bad(reason) ? "; the first: " : "", is_bad(reason) ? set->passed.first[reason] : "");
    }
    print_count(set->bad_profiles, "lines that are no profile");
    print_count(set->profiles.profiles, "profiles");
    print_count(set->counts.passed_over, "events were in the state already");
    print_count(set->counts.duplicates, "exact duplicates of kept behaviors, which do not count");
    print_count(
        set->counts.late,
        "events are older than one of their user before them; they were folded in the order of the file");
    print_count(set->counts.unknown_items, "events have an item that the model does not know");
}

/* Reasons in the names of the reader, as an object. */
static json_t *reasons_json(const struct ms_replay_file_set *set)
{
    json_t *reasons = json_object();
    for (int reason = 0; reason < MS_PASSED_COUNT; reason++) {
        if (is_bad(reason) && set->passed.count[reason])
            json_object_set_new(reasons, ms_passed_name((enum ms_passed)reason),
                                json_integer((json_int_t)set->passed.count[reason]));
    }
    if (set->bad_profiles)
        json_object_set_new(reasons, "profile", json_integer((json_int_t)set->bad_profiles));
    return reasons;
}

bool ms_replay_files_json(const struct ms_replay_file_set *set, json_t *root)
{
    json_t *files = json_array();
    for (size_t i = 0; i < set->files.count; i++)
        json_array_append_new(files, json_pack("{s:s, s:I}", "file", set->list[i].path, "bytes",
                                               (json_int_t)set->list[i].size));
    json_t *more = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", files, "profiles",
        (json_int_t)set->profiles.profiles, "already", (json_int_t)set->counts.passed_over, "duplicates",
        (json_int_t)set->counts.duplicates, "late", (json_int_t)set->counts.late, "unknown_items",
        (json_int_t)set->counts.unknown_items, "filtered", (json_int_t)set->passed.count[MS_PASSED_TYPE],
        "blank", (json_int_t)(set->passed.count[MS_PASSED_BLANK] + set->passed.count[MS_PASSED_HEADER]));
    bool good = more && json_object_update(root, more) == 0;
    json_decref(more);
    if (good && set->files.sources & 1u << MS_SOURCE_CLICKS)
        good = json_object_set_new(root, "bad_by_reason", reasons_json(set)) == 0 &&
               json_object_set_new(root, "records", json_integer((json_int_t)set->records)) == 0 &&
               json_object_set_new(root, "events", json_integer((json_int_t)set->counts.folded)) == 0 &&
               json_object_set_new(root, "bad", json_integer((json_int_t)ms_replay_files_bad(set))) == 0;
    return good;
}
