/* Opening files, telling what they hold, JSON records, and what becomes of bad ones. */
#include "train/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "mindstream/model.h"
#include "train/input.h"
#include "train/sheet.h"

#define PEEK_BYTES ((size_t)1 << 16) /* what is looked at to tell what a file holds */

/* How the records of a file follow one another. */
enum mode {
    LINES,     /* a JSON object a line */
    VALUES,    /* JSON objects over several lines */
    ARRAY,     /* one JSON array of objects */
    SHEET,     /* separated values */
    NO_RECORD, /* no file is open */
};

struct ms_events {
    const struct ms_events_options *options;
    struct ms_decoder *decoder;
    struct ms_arena texts;
    size_t next_path;
    struct ms_input *input;
    struct ms_lines lines;
    enum mode mode;
    bool array_began, array_ended, comma; /* in ARRAY; a comma came last */
    bool any;                             /* a record of the open file was met */
    bool timed, timed_known;
    uint64_t line; /* where the record begins */
    struct ms_passed_counts passed;
    uint64_t told;             /* bad records that somebody was told of */
    uint64_t bytes_before;     /* of the files that are closed */
    struct ms_error bad_paths; /* the fields are no paths of JSON; status MS_OK where they are */
    struct ms_sheet sheet;
};

/* ---- reasons ---- */

static const struct {
    const char *name, *text;
    bool always;
} reasons[] = {
#define MS_PASSED_ROW(code, name, what, always) {name, what, always},
    MS_PASSED_MAP(MS_PASSED_ROW)
#undef MS_PASSED_ROW
};

const char *ms_passed_name(enum ms_passed reason)
{
    return reasons[reason].name;
}

const char *ms_passed_text(enum ms_passed reason)
{
    return reasons[reason].text;
}

enum ms_status ms_passed_parse(const char *list, uint32_t *mask, struct ms_error *error)
{
    uint32_t made = 0;
    for (unsigned reason = 0; reason < MS_PASSED_COUNT; reason++)
        made |= reasons[reason].always ? 1u << reason : 0;
    for (const char *at = list; at && *at;) {
        at += strspn(at, " ,");
        size_t bytes = strcspn(at, " ,");
        unsigned found = 0;
        while (found < MS_PASSED_COUNT &&
               (strlen(reasons[found].name) != bytes || memcmp(reasons[found].name, at, bytes) != 0))
            found++;
        bool all = bytes == 3 && memcmp(at, "all", 3) == 0;
        if (bytes && found == MS_PASSED_COUNT && !all)
            return ms_fail(error, MS_USAGE, "'%.*s' is none of shape, user, item, untimed, time, all",
                           (int)bytes, at);
        made |= !bytes ? 0 : all ? (1u << MS_PASSED_COUNT) - 1 : 1u << found;
        at += bytes;
    }
    *mask = made;
    return MS_OK;
}

/* ---- files ---- */

/* Makes "--user" of "input.user.field" at the begin of a decoder's error. */
static void name_option(struct ms_error *error)
{
    static const char prefix[] = "input.", suffix[] = ".field";
    char *end = strstr(error->text, suffix);
    if (strncmp(error->text, prefix, strlen(prefix)) != 0 || !end ||
        strcspn(error->text, ": ") < (size_t)(end - error->text))
        return;
    char *rest = end + strlen(suffix), *name = error->text + strlen(prefix);
    size_t bytes = (size_t)(end - name);
    memmove(error->text + 2, name, bytes);
    memcpy(error->text, "--", 2);
    memmove(error->text + 2 + bytes, rest, strlen(rest) + 1);
}

enum ms_status ms_events_open(struct ms_events **events, const struct ms_events_options *options,
                              struct ms_error *error)
{
    struct ms_events *made = calloc(1, sizeof *made);
    bool filters = options->types && *options->types;
    struct ms_event_fields fields = {.user = options->user ? options->user : "user_id",
                                     .item = options->item ? options->item : "item_id",
                                     .time = options->time ? options->time : "timestamp",
                                     .type = options->type ? options->type
                                             : filters     ? "event_type"
                                                           : "",
                                     .types = filters ? options->types : "",
                                     .id_max_bytes = ms_events_id_max(options)};
    /* Names of columns need not be paths. */
    static const struct ms_event_fields none = {.user = "", .item = "item_id", .time = "", .type = ""};
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory to read a log");
    made->options = options;
    made->mode = NO_RECORD;
    enum ms_status status = ms_decoder_new(&made->decoder, &fields, &made->bad_paths);
    name_option(&made->bad_paths);
    if (status != MS_OK && error)
        *error = made->bad_paths;
    if (status == MS_CONFIG && options->format != MS_EVENTS_JSON) {
        struct ms_event_fields types_alone = none;
        types_alone.types = fields.types;
        status = ms_decoder_new(&made->decoder, &types_alone, error);
    }
    if (status == MS_OK)
        *events = made;
    else
        ms_events_close(made);
    return status;
}

static void close_file(struct ms_events *events)
{
    ms_lines_free(&events->lines);
    events->bytes_before += ms_input_bytes(events->input);
    ms_input_close(events->input);
    events->input = NULL;
    events->mode = NO_RECORD;
}

void ms_events_close(struct ms_events *events)
{
    if (!events)
        return;
    close_file(events);
    ms_sheet_free(&events->sheet);
    ms_decoder_destroy(events->decoder);
    ms_arena_free(&events->texts);
    free(events);
}

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

/* Puts file and line in front of an error. */
static enum ms_status placed(const struct ms_events *events, enum ms_status status, struct ms_error *error)
{
    status = ms_fail_in(error, status, "%s: line %" PRIu64, events->lines.source.name, events->line);
    clean_text(error);
    return status;
}

/* Refuses what holds neither JSON nor separated values, by its first bytes. */
static enum ms_status check_content(const char *name, struct ms_bytes bytes, struct ms_error *error)
{
    static const struct {
        size_t at;
        const char *magic, *what;
    } kinds[] = {
        {0, "PAR1", "is Parquet; convert it to CSV or JSON lines in a pipe, and give - as the file"},
        {0, "PK\3\4", "is a zip archive or a spreadsheet; unzip it, or save it as CSV"},
        {0, "\xd0\xcf\x11\xe0", "is an old spreadsheet; save it as CSV"},
        {0, "\xfd\x37zXZ",
         "is compressed by xz; pipe it in: xz -dc FILE | mindstream ..., and give - as the file"},
        {0, "BZh",
         "is compressed by bzip2; pipe it in: bzip2 -dc FILE | mindstream ..., and give - as the file"},
        {0, "\x04\x22\x4d\x18",
         "is compressed by lz4; pipe it in: lz4 -dc FILE | mindstream ..., and give - as the file"},
        {0, "Obj\1", "is Avro; convert it to JSON lines"},
        {0, "ORC", "is ORC; convert it to CSV or JSON lines"},
        {0, "\x89HDF", "is HDF5; convert it to CSV or JSON lines"},
        {0, "\xff\xfe", "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8"},
        {0, "\xfe\xff", "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8"},
        {257, "ustar", "is a tar archive; unpack it"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t size = strlen(kinds[i].magic), at = kinds[i].at;
        bool text = kinds[i].magic[size - 1] >= ' ' && size < 4; /* a header may begin with ORC or BZh */
        if (bytes.size >= at + size && memcmp(bytes.data + at, kinds[i].magic, size) == 0 &&
            !(text && !memchr(bytes.data, '\0', bytes.size)))
            return ms_fail(error, MS_FORMAT, "%s: the log %s", name, kinds[i].what);
    }
    const char *zero = bytes.size ? memchr(bytes.data, '\0', bytes.size) : NULL;
    if (zero)
        return ms_fail(error, MS_FORMAT,
                       "%s: byte %zu is zero: the log is neither CSV nor JSON (UTF-16 or binary data?)", name,
                       (size_t)(zero - bytes.data) + 1);
    return MS_OK;
}

/* Whether the object that |bytes| begin with ends on its line, as far as one can see. */
static bool ends_on_its_line(struct ms_bytes bytes)
{
    size_t depth = 0;
    bool text = false;
    for (size_t i = 0; i < bytes.size && bytes.data[i] != '\n'; i++) {
        char c = bytes.data[i];
        if (text && c == '\\')
            i++;
        else if (c == '"')
            text = !text;
        else if (!text && (c == '{' || c == '['))
            depth++;
        else if (!text && (c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return !memchr(bytes.data, '\n', bytes.size);
}

/* Tells from the first bytes how the records follow one another. */
static enum ms_status find_mode(struct ms_events *events, struct ms_error *error)
{
    const struct ms_events_options *options = events->options;
    struct ms_bytes bytes;
    enum ms_status status = ms_lines_peek(&events->lines, PEEK_BYTES, &bytes, error);
    if (status == MS_OK)
        status = check_content(events->lines.source.name, bytes, error);
    if (status != MS_OK)
        return status;
    while (bytes.size && strchr(" \t\r\n", *bytes.data) && *bytes.data) {
        bytes.data++;
        bytes.size--;
    }
    if (!bytes.size)
        return ms_fail(error, MS_FORMAT, "%s: the log is empty", events->lines.source.name);
    bool json = options->format == MS_EVENTS_JSON ||
                (options->format == MS_EVENTS_BY_CONTENT && (*bytes.data == '{' || *bytes.data == '['));
    events->mode = !json ? SHEET : *bytes.data == '[' ? ARRAY : ends_on_its_line(bytes) ? LINES : VALUES;
    if (json && events->bad_paths.status != MS_OK)
        return ms_fail(error, MS_CONFIG, "%s: the log is JSON: %s", events->lines.source.name,
                       events->bad_paths.text);
    if (json && options->columns)
        return ms_fail(error, MS_USAGE, "%s: the log is JSON, and --columns is for CSV",
                       events->lines.source.name);
    return MS_OK;
}

static enum ms_status open_file(struct ms_events *events, struct ms_error *error)
{
    const char *path = events->options->paths[events->next_path++];
    enum ms_status status = ms_input_open(&events->input, path, error);
    if (status != MS_OK)
        return status;
    ms_lines_init(&events->lines, ms_input_source(events->input), MS_RECORD_MAX_BYTES);
    events->any = events->array_began = events->array_ended = events->comma = false;
    status = find_mode(events, error);
    if (status != MS_OK || events->mode != SHEET)
        return status;
    bool is_placed;
    struct ms_sheet *sheet = &events->sheet;
    status = ms_sheet_begin(sheet, events->options, &events->lines, events->decoder, &is_placed, error);
    events->line = sheet->line;
    if (status != MS_OK)
        return is_placed || status == MS_MEMORY ? status : placed(events, status, error);
    bool timed = sheet->time < sheet->columns;
    if (events->timed_known && timed != events->timed)
        return placed(events,
                      ms_fail(error, MS_FORMAT, "the log has %s times, and what came before it has %s",
                              timed ? "" : "no", timed ? "none" : "some"),
                      error);
    events->timed = timed;
    events->timed_known = true;
    return MS_OK;
}

/* ---- JSON ---- */

/* Which field a decoder's error is about: it begins with it. */
static enum ms_passed fault_of(const struct ms_error *error)
{
    return strncmp(error->text, "user:", 5) == 0                                     ? MS_PASSED_USER
           : strncmp(error->text, "item:", 5) == 0                                   ? MS_PASSED_ITEM
           : strncmp(error->text, "time:", 5) != 0                                   ? MS_PASSED_SHAPE
           : strstr(error->text, " is \"\"") || strstr(error->text, "time: none in") ? MS_PASSED_UNTIMED
                                                                                     : MS_PASSED_TIME;
}

/* Without --time the first event tells whether the log has times. Where events without one are to be passed over, it has. */
static void learn_timed(struct ms_events *events, bool has_time)
{
    const char *time = events->options->time;
    if (events->timed_known)
        return;
    events->timed = time ? *time != '\0' : has_time || (events->options->passed & 1u << MS_PASSED_UNTIMED);
    events->timed_known = true;
}

static enum ms_status read_json(struct ms_events *events, struct ms_bytes text, struct ms_event *event,
                                enum ms_passed *fault, struct ms_error *error)
{
    static const struct ms_bytes no_key = {NULL, 0};
    enum ms_event_kind kind;
    struct ms_event_notes notes;
    ms_arena_reset(&events->texts);
    enum ms_status status = ms_decode_event(events->decoder, &events->texts, no_key, text, 0, event, &kind,
                                            &notes, error);
    if (status == MS_EVENT) {
        *fault = fault_of(error);
        return ms_fail_in(error, MS_EVENT, "not an event");
    }
    if (status != MS_OK)
        return status;
    if (kind == MS_EVENT_FILTERED) {
        *fault = MS_PASSED_TYPE;
        return MS_EVENT;
    }
    learn_timed(events, !notes.no_time);
    if (events->timed && notes.no_time) {
        *fault = MS_PASSED_UNTIMED;
        return ms_fail(
            error, MS_EVENT,
            "not an event: time: none in the event (looked for \"%s\"); --skip untimed goes on and counts such "
            "events",
            events->options->time ? events->options->time : "timestamp");
    }
    *fault = MS_PASSED_COUNT;
    if (!events->timed && !notes.no_time)
        return ms_fail(
            error, MS_EVENT,
            "it has a time, but the log's first event has none (--skip untimed passes over those without)");
    return MS_OK;
}

static enum ms_status next_line(struct ms_events *events, struct ms_event *event, enum ms_passed *fault,
                                struct ms_error *error)
{
    struct ms_bytes line;
    enum ms_status status = ms_lines_next(&events->lines, &line, error);
    events->line = events->lines.number;
    if (status != MS_OK)
        return status;
    if (!line.data) {
        *event = (struct ms_event){0};
        return MS_OK;
    }
    *fault = MS_PASSED_BLANK;
    if (!ms_bytes_trim(line).size)
        return MS_EVENT;
    return read_json(events, line, event, fault, error);
}

static enum ms_status next_value(struct ms_events *events, struct ms_event *event, enum ms_passed *fault,
                                 struct ms_error *error)
{
    struct ms_bytes value;
    enum ms_status status = ms_lines_next_value(&events->lines, false, &value, error);
    events->line = events->lines.number;
    if (status != MS_OK)
        return status;
    if (value.data)
        return read_json(events, value, event, fault, error);
    *event = (struct ms_event){0};
    return MS_OK;
}

/* Whether |value| may stand where the array is; true also takes note of it. */
static bool fits_array(struct ms_events *events, struct ms_bytes value)
{
    char mark = value.data && value.size == 1 ? *value.data : 0;
    if (!events->array_began)
        return events->array_began = mark == '[';
    if (!value.data || events->array_ended)
        return !value.data && events->array_ended;
    bool element = mark != ',' && mark != ']';
    bool good = element       ? events->comma || !events->any
                : mark == ',' ? events->any && !events->comma
                              : !events->comma;
    events->comma = mark == ',';
    events->array_ended = mark == ']';
    events->any |= element;
    return good;
}

static enum ms_status next_element(struct ms_events *events, struct ms_event *event, enum ms_passed *fault,
                                   struct ms_error *error)
{
    for (;;) {
        struct ms_bytes value;
        enum ms_status status = ms_lines_next_value(&events->lines, !events->array_began, &value, error);
        events->line = events->lines.number;
        *fault = MS_PASSED_COUNT;
        if (status != MS_OK)
            return status;
        bool ended = events->array_ended;
        if (!fits_array(events, value))
            return ms_fail(error, MS_EVENT, "%s",
                           ended         ? "something follows the end of the array"
                           : !value.data ? "the array does not end: is the file cut off?"
                                         : "the elements of the array are not separated by single commas");
        if (!value.data) {
            *event = (struct ms_event){0};
            return MS_OK;
        }
        if (value.size > 1 || !strchr("[,]", *value.data))
            return read_json(events, value, event, fault, error);
    }
}

/* ---- records ---- */

static enum ms_status next_record(struct ms_events *events, struct ms_event *event, enum ms_passed *fault,
                                  struct ms_error *error)
{
    enum ms_status status = MS_OK;
    switch (events->mode) {
    case LINES:
        return next_line(events, event, fault, error);
    case VALUES:
        return next_value(events, event, fault, error);
    case ARRAY:
        return next_element(events, event, fault, error);
    case SHEET:
        status = ms_sheet_next(&events->sheet, event, fault, error);
        events->line = events->sheet.line;
        return status;
    case NO_RECORD:
        break;
    }
    *event = (struct ms_event){0};
    return MS_OK;
}

/* Counts a record that is passed over and keeps the first of its kind, or makes an error of it. */
static enum ms_status pass_over(struct ms_events *events, enum ms_passed fault, struct ms_error *error)
{
    bool silent = fault < MS_PASSED_COUNT && reasons[fault].always;
    if (fault == MS_PASSED_COUNT || !(events->options->passed & 1u << fault)) {
        if (silent)
            ms_fail(error, MS_FORMAT, "%s are not passed over with --strict", reasons[fault].text);
        return placed(events, MS_FORMAT, error);
    }
    bool first = events->passed.count[fault]++ == 0;
    bool tell = events->options->told && !silent && events->told < events->options->told_most;
    if (!first && !tell)
        return MS_OK;
    if (silent)
        error->text[0] = '\0';
    placed(events, MS_EVENT, error);
    events->told += tell;
    if (tell)
        events->options->told(events->options->told_context, error->text);
    if (!first)
        return MS_OK;
    snprintf(events->passed.first[fault], MS_PASSED_FIRST_BYTES, "%.*s", MS_PASSED_FIRST_BYTES - 1,
             error->text);
    return MS_OK;
}

enum ms_status ms_events_next(struct ms_events *events, struct ms_log_event *event, struct ms_error *error)
{
    struct ms_error local, *why = error ? error : &local; /* its text tells what is wrong with a record */
    for (;;) {
        struct ms_event made;
        enum ms_passed fault = MS_PASSED_COUNT;
        enum ms_status status = MS_OK;
        if (events->mode == NO_RECORD && events->next_path < events->options->path_count)
            status = open_file(events, why);
        bool opened = events->mode != NO_RECORD;
        if (status == MS_OK)
            status = next_record(events, &made, &fault, why);
        if (status == MS_EVENT)
            status = pass_over(events, fault, why);
        else if (status == MS_OK && (made.user.data || !opened)) {
            *event = (struct ms_log_event){made, opened ? events->lines.source.name : "", events->line};
            return MS_OK;
        } else if (status == MS_OK) {
            close_file(events);
        }
        if (status != MS_OK)
            return status;
    }
}

bool ms_events_timed(const struct ms_events *events)
{
    return events->timed;
}

bool ms_events_csv(const struct ms_events *events)
{
    return events->sheet.columns > 0;
}

uint64_t ms_events_bytes(const struct ms_events *events)
{
    return events->bytes_before + ms_input_bytes(events->input);
}

const struct ms_passed_counts *ms_events_passed(const struct ms_events *events)
{
    return &events->passed;
}
