/* The events of click logs, one after the other: JSON or separated values, compressed or not, one file or several.
 *
 * It streams: memory is bounded by the longest record, whatever the size of the log. Ids and times are read as the service
 * reads them (event/event.h, event/time.h). */
#ifndef MS_TRAIN_EVENTS_H
#define MS_TRAIN_EVENTS_H

#include "event/event.h"
#include "mindstream/model.h"
#include "mindstream/status.h"
#include "train/csv.h"

#define MS_RECORD_MAX_BYTES ((size_t)16 << 20) /* longest line, JSON value or record of cells */

/* What may be passed over and counted. X(code, name, what it is, whether it is passed over without being asked for). */
#define MS_PASSED_MAP(X)                                                                                     \
    X(BLANK, "blank", "blank lines", true)                                                                   \
    X(HEADER, "header", "repeated headers", true)                                                            \
    X(TYPE, "type", "events of other types", true)                                                           \
    X(SHAPE, "shape", "records that are no JSON object, or whose cells are not those of the header", false)  \
    X(USER, "user", "events without a legal user", false)                                                    \
    X(ITEM, "item", "events without a legal item", false)                                                    \
    X(UNTIMED, "untimed", "events without a time", false)                                                    \
    X(TIME, "time", "events whose time cannot be read", false)

enum ms_passed {
#define MS_PASSED_ENUM(code, name, what, always) MS_PASSED_##code,
    MS_PASSED_MAP(MS_PASSED_ENUM)
#undef MS_PASSED_ENUM
        MS_PASSED_COUNT
};

/* The reason's name, and what it counts. */
const char *ms_passed_name(enum ms_passed reason);
const char *ms_passed_text(enum ms_passed reason);

#define MS_PASSED_FIRST_BYTES 320

/* How many records were passed over, and file, line and cause of the first of each kind ("" where there is none). */
struct ms_passed_counts {
    uint64_t count[MS_PASSED_COUNT];
    char first[MS_PASSED_COUNT][MS_PASSED_FIRST_BYTES];
};

/* A list of reasons, separated by commas ("untimed,time"), or "all", as a mask of bits 1 << reason. Blank lines, repeated headers
 * and other types are in it always. NULL stands for no more than these. MS_USAGE names the reason that is not one. */
enum ms_status ms_passed_parse(const char *list, uint32_t *mask, struct ms_error *error) MS_MUST_CHECK;
/* Nothing but events of other types. */
#define MS_PASSED_STRICT (1u << MS_PASSED_TYPE)

enum ms_events_format { MS_EVENTS_BY_CONTENT, MS_EVENTS_JSON, MS_EVENTS_CSV };

struct ms_events_options {
    const char *const *paths; /* "-" is standard input */
    size_t path_count;
    enum ms_events_format
        format; /* by content: JSON where the first byte that is no blank is '{' or '[', else CSV */
    /* JSON: lists of paths as in event/event.h; CSV: names of columns. NULL: user_id, item_id, and timestamp if it is there. A
     * time of "" (or none there): the log has no times. */
    const char *user, *item, *time;
    const char *type,
        *types;     /* "" or NULL: no types, all events count; |type| is event_type where |types| is given */
    char separator; /* CSV; 0: the first record tells */
    enum ms_csv_quotes quotes; /* CSV */
    const char
        *columns; /* CSV without a header: the names, separated by commas; NULL: the first record has them */
    uint32_t passed;       /* mask of what is passed over; what else is bad ends the reading */
    bool type_if_there;    /* separated values: events have no type where the column |type| is not there */
    uint32_t id_max_bytes; /* longest user or item id, 0: MS_MAX_ITEM_ID */
    /* Told of the first |told_most| bad records that are passed over: "FILE: line N: reason". NULL: nobody is. Blank lines,
     * repeated headers and other types are not bad. */
    void (*told)(void *context, const char *text);
    void *told_context;
    uint64_t told_most;
};

/* Longest id that a reader with these options takes. */
static inline uint32_t ms_events_id_max(const struct ms_events_options *options)
{
    return options->id_max_bytes ? options->id_max_bytes : MS_MAX_ITEM_ID;
}

struct ms_log_event {
    struct ms_event event; /* its texts hold until the next call; time_ms is 0 where the log has no times */
    const char *file;      /* for messages */
    uint64_t line;         /* where its record begins, from 1 */
};

struct ms_events;

/* A reader; |options| and what it points to must outlive it. Nothing is opened yet. MS_CONFIG for paths that do not parse,
 * MS_MEMORY. One thread a reader. Closing NULL is legal. */
enum ms_status ms_events_open(struct ms_events **events, const struct ms_events_options *options,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_events_close(struct ms_events *events);

/* The next event; its user's data is NULL at the end of the last file. MS_FORMAT names file, line and, in CSV, the column of what
 * cannot be read and is not to be passed over; MS_USAGE a column that is not there; MS_IO, MS_MEMORY. A file without anything but
 * blanks is MS_FORMAT. */
enum ms_status ms_events_next(struct ms_events *events, struct ms_log_event *event,
                              struct ms_error *error) MS_MUST_CHECK;

/* Of what was read so far: whether events have times, whether a file was CSV, and what was passed over. */
bool ms_events_timed(const struct ms_events *events);
bool ms_events_csv(const struct ms_events *events);
/* Bytes of the files that were read, as they are on disk. */
uint64_t ms_events_bytes(const struct ms_events *events);
const struct ms_passed_counts *ms_events_passed(const struct ms_events *events);

#endif
