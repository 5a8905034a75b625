/* The files of a replay: which are given, what is in them, and folding them. */
#ifndef MS_APP_REPLAY_FILES_H
#define MS_APP_REPLAY_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/arguments.h"
#include "base/config.h"
#include "stream/feed.h"
#include "stream/kafka/replay.h"
#include "train/events.h"

#define MS_REPLAY_FILES_MAX 256

struct ms_replay_file_arguments {
    const char *files[MS_REPLAY_FILES_MAX];
    size_t count;
    const char *profiles;
    int format, quotes, separator, partitioner;
    int64_t partitions;
    const char *user, *item, *time, *type, *columns;
    bool strict;
};

/* The files as a replay wants them, and what reading them has counted. */
struct ms_replay_file_set {
    const struct ms_replay_file_arguments *arguments;
    const struct ms_config *config;
    struct ms_replay_files files;
    struct ms_replay_file list[MS_REPLAY_FILES_MAX + 1];
    struct ms_events_options options;
    double rate;
    const atomic_int *stop;
    uint64_t bytes; /* of all files of events; 0 where a pipe is among them */
    struct ms_passed_counts passed;
    uint64_t records;                       /* in this run, bad ones too */
    uint64_t profile_lines, bad_profiles;   /* lines of the profiles, and those that are none */
    struct ms_feed_counts counts, profiles; /* what became of the events, and of the profiles */
    uint64_t told;
};

/* Looks at the files that |arguments| name; their count may be 0 and there may be no profiles: then set->files.sources is 0. MS_IO
 * names a file that cannot be read, MS_USAGE arguments that exclude each other. All pointers outlive the set. */
enum ms_status ms_replay_file_set_make(struct ms_replay_file_set *set,
                                       const struct ms_replay_file_arguments *arguments,
                                       const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

/* Folds the files that |replay| still waits for, profiles first, and shows how far it is. MS_KAFKA_RETRY where |stop| was set
 * before the end. What was folded is on disk then, and also where it fails. */
enum ms_status ms_replay_files_fold(struct ms_replay_file_set *set, struct ms_replay *replay,
                                    struct ms_error *error) MS_MUST_CHECK;

/* What was read, and would be (--dry-run), as text on standard output and as members of |root|. */
void ms_replay_files_print(const struct ms_replay_file_set *set);
bool ms_replay_files_json(const struct ms_replay_file_set *set, json_t *root);
uint64_t ms_replay_files_bad(const struct ms_replay_file_set *set);

/* The rows, for a |structure| of arguments that has them in |member|. */
/* clang-format off */
#define MS_REPLAY_FILE_ROWS(structure, member) \
    {.name = "from-file", \
     .kind = MS_ARGUMENT_FILE, \
     .placeholder = "FILE", \
     .group = "Files in place of the log", \
     .repeatable = true, \
     .max = MS_REPLAY_FILES_MAX, \
     .help = \
         "clicks as JSON or separated values, compressed by gzip or zstd or not; several are read one after the other, - " \
         "is standard input", \
     .offset = offsetof(structure, member.files), \
     .count_offset = offsetof(structure, member.count)}, \
    {.name = "profiles-file", \
     .kind = MS_ARGUMENT_FILE, \
     .placeholder = "FILE", \
     .help = "profiles, a JSON object with its user a line; they come before the clicks, and before profile.topic", \
     .offset = offsetof(structure, member.profiles)}, \
    {.name = "partitioner", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "murmur2|crc32", \
     .standard = "murmur2", \
     .placeholder = "P", \
     .help = "how producers choose the partition of a user: murmur2 (Java), crc32 (librdkafka: kcat, Python, Go)", \
     .offset = offsetof(structure, member.partitioner)}, \
    {.name = "partitions", \
     .kind = MS_ARGUMENT_INTEGER, \
     .min = 1, \
     .max = 32768, \
     .placeholder = "N", \
     .standard_text = "those of the input topic", \
     .help = "partitions of the input topic, where no broker tells", \
     .offset = offsetof(structure, member.partitions)}, \
    {.name = "format", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "auto|json|csv", \
     .standard = "auto", \
     .placeholder = "F", \
     .help = "how files are written; auto: json where one begins with '{' or '['", \
     .offset = offsetof(structure, member.format)}, \
    {.name = "user", \
     .kind = MS_ARGUMENT_STRING, \
     .not_empty = true, \
     .standard_text = "input.user.field", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the user id", \
     .offset = offsetof(structure, member.user)}, \
    {.name = "item", \
     .kind = MS_ARGUMENT_STRING, \
     .not_empty = true, \
     .standard_text = "input.item.field", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the item id", \
     .offset = offsetof(structure, member.item)}, \
    {.name = "time", \
     .kind = MS_ARGUMENT_STRING, \
     .not_empty = true, \
     .standard_text = "input.time.field", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the time; an event without one is bad", \
     .offset = offsetof(structure, member.time)}, \
    {.name = "type", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "input.type.field", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the event type, where it is there", \
     .offset = offsetof(structure, member.type)}, \
    {.name = "separator", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "auto|comma|tab|semicolon|pipe|colon", \
     .standard = "auto", \
     .placeholder = "C", \
     .help = "what separates the values; auto: the first line tells", \
     .offset = offsetof(structure, member.separator)}, \
    {.name = "columns", \
     .kind = MS_ARGUMENT_STRING, \
     .placeholder = "NAMES", \
     .help = "separated values without a header: the names of the columns, separated by commas", \
     .offset = offsetof(structure, member.columns)}, \
    {.name = "quotes", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "double|backslash|none", \
     .standard = "double", \
     .placeholder = "Q", \
     .help = "how a quote in a quoted value is written; none: quotes are characters like all others", \
     .offset = offsetof(structure, member.quotes)}, \
    {.name = "strict", \
     .kind = MS_ARGUMENT_FLAG, \
     .help = "end at the first bad line of a file, in place of counting it", \
     .offset = offsetof(structure, member.strict)}
/* clang-format on */

#endif
