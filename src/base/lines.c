/* A window over the stream that slides and, up to a ceiling, grows until a line or a value fits in. */
#include "base/lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)1 << 18)

static const char byte_order_mark[] = "\xef\xbb\xbf";

void ms_lines_init(struct ms_lines *lines, struct ms_byte_source source, size_t max_bytes)
{
    *lines = (struct ms_lines){.source = source, .max_bytes = max_bytes};
}

void ms_lines_free(struct ms_lines *lines)
{
    free(lines->data);
    *lines = (struct ms_lines){0};
}

/* The number of the line that is not given yet. */
static uint64_t current_line(const struct ms_lines *lines)
{
    return (lines->values ? lines->ended_lines : lines->number) + 1;
}

static enum ms_status too_long(const struct ms_lines *lines, struct ms_error *error)
{
    return ms_fail(error, MS_FORMAT, "%s: line %" PRIu64 ": longer than %zu bytes", lines->source.name,
                   current_line(lines), lines->max_bytes);
}

static enum ms_status grow(struct ms_lines *lines, struct ms_error *error)
{
    size_t room = lines->room ? 2 * lines->room : FIRST_ROOM, most = lines->max_bytes + FIRST_ROOM;
    if (lines->end > lines->max_bytes)
        return too_long(lines, error);
    if (room > most)
        room = most;
    char *data = realloc(lines->data, room);
    if (!data)
        return ms_fail(error, MS_MEMORY, "%s: line %" PRIu64 ": no memory for %zu bytes", lines->source.name,
                       current_line(lines), room);
    lines->data = data;
    lines->room = room;
    return MS_OK;
}

/* Reads on behind what is there, making room first. */
static enum ms_status fill(struct ms_lines *lines, struct ms_error *error)
{
    size_t got = 0;
    enum ms_status status = MS_OK;
    if (lines->begin > 0) {
        memmove(lines->data, lines->data + lines->begin, lines->end - lines->begin);
        lines->scanned -= lines->begin;
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end == lines->room)
        status = grow(lines, error);
    if (status == MS_OK)
        status = lines->source.read(lines->source.context, lines->data + lines->end, lines->room - lines->end,
                                    &got, error);
    if (status != MS_OK)
        return status;
    lines->end += got;
    lines->ended = got == 0;
    return MS_OK;
}

/* Passes over a byte order mark at the stream's begin. */
static enum ms_status start(struct ms_lines *lines, struct ms_error *error)
{
    while (!lines->ended && lines->end < 3) {
        enum ms_status status = fill(lines, error);
        if (status != MS_OK)
            return status;
    }
    if (lines->end >= 3 && memcmp(lines->data, byte_order_mark, 3) == 0)
        lines->begin = lines->scanned = 3;
    lines->started = true;
    return MS_OK;
}

/* Hands out [begin, stop); the next line begins at |next|. */
static enum ms_status give(struct ms_lines *lines, size_t stop, size_t next, struct ms_bytes *line,
                           struct ms_error *error)
{
    struct ms_bytes bytes = {lines->data + lines->begin, stop - lines->begin};
    if (bytes.size && bytes.data[bytes.size - 1] == '\r')
        bytes.size--;
    if (bytes.size > lines->max_bytes)
        return too_long(lines, error);
    lines->begin = lines->scanned = next;
    lines->number++;
    *line = bytes;
    return MS_OK;
}

enum ms_status ms_lines_next(struct ms_lines *lines, struct ms_bytes *line, struct ms_error *error)
{
    enum ms_status status = lines->started ? MS_OK : start(lines, error);
    while (status == MS_OK) {
        size_t left = lines->end - lines->scanned;
        char *newline = left ? memchr(lines->data + lines->scanned, '\n', left) : NULL;
        if (newline) {
            size_t stop = (size_t)(newline - lines->data);
            return give(lines, stop, stop + 1, line, error);
        }
        lines->scanned = lines->end;
        if (lines->ended) {
            if (lines->begin < lines->end)
                return give(lines, lines->end, lines->end, line, error);
            *line = (struct ms_bytes){NULL, 0};
            return MS_OK;
        }
        status = fill(lines, error);
    }
    return status;
}

enum ms_status ms_lines_peek(struct ms_lines *lines, size_t wanted, struct ms_bytes *bytes,
                             struct ms_error *error)
{
    enum ms_status status = lines->started ? MS_OK : start(lines, error);
    while (status == MS_OK && !lines->ended && lines->end - lines->begin < wanted)
        status = fill(lines, error);
    if (status == MS_OK)
        *bytes = (struct ms_bytes){lines->data + lines->begin, lines->end - lines->begin};
    return status;
}

/* ---- JSON values ---- */

/* How far a value has been looked at. */
struct scan {
    size_t depth;
    bool text, escaped; /* within a text; behind a backslash in it */
    bool scalar;        /* neither text nor bracket opened it */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Looks at the next byte of a value; true when the value ends, *taken whether the byte belongs to it. */
static bool ends_value(struct scan *scan, char c, bool *taken)
{
    *taken = true;
    if (scan->text) {
        scan->text = scan->escaped || c != '"';
        scan->escaped = !scan->escaped && c == '\\';
        return !scan->text && scan->depth == 0;
    }
    if (scan->scalar) {
        *taken = !(is_blank(c) || strchr(",[]{}\"", c));
        return !*taken;
    }
    if (c == '"')
        scan->text = true;
    else if (c == '{' || c == '[')
        scan->depth++;
    else if (c == '}' || c == ']')
        return scan->depth <= 1 || --scan->depth == 0;
    return false;
}

/* Moves |begin| to the next byte that is no blank, counting lines. *ended: there is none. */
static enum ms_status pass_blanks(struct ms_lines *lines, bool *ended, struct ms_error *error)
{
    for (;;) {
        for (; lines->begin < lines->end; lines->begin++) {
            if (!is_blank(lines->data[lines->begin])) {
                *ended = false;
                return MS_OK;
            }
            lines->ended_lines += lines->data[lines->begin] == '\n';
        }
        *ended = lines->ended;
        lines->scanned = lines->begin;
        enum ms_status status = lines->ended ? MS_OK : fill(lines, error);
        if (status != MS_OK || *ended)
            return status;
    }
}

static enum ms_status give_value(struct ms_lines *lines, size_t size, struct ms_bytes *value,
                                 struct ms_error *error)
{
    if (size > lines->max_bytes)
        return too_long(lines, error);
    *value = (struct ms_bytes){lines->data + lines->begin, size};
    for (size_t i = 0; i < size; i++)
        lines->ended_lines += value->data[i] == '\n';
    lines->begin += size;
    return MS_OK;
}

enum ms_status ms_lines_next_value(struct ms_lines *lines, bool list_level, struct ms_bytes *value,
                                   struct ms_error *error)
{
    bool ended = false, taken = false;
    lines->values = true;
    enum ms_status status = lines->started ? MS_OK : start(lines, error);
    if (status == MS_OK)
        status = pass_blanks(lines, &ended, error);
    if (status != MS_OK)
        return status;
    lines->number = lines->ended_lines + 1;
    if (ended) {
        *value = (struct ms_bytes){NULL, 0};
        return MS_OK;
    }
    char first = lines->data[lines->begin];
    if (first == ',' || first == ']' || (list_level && first == '['))
        return give_value(lines, 1, value, error);
    struct scan scan = {.scalar = first != '{' && first != '[' && first != '"'};
    for (size_t at = 0;;) {
        if (lines->begin + at == lines->end) {
            if (lines->ended)
                return give_value(lines, at, value, error);
            lines->scanned = lines->end;
            if ((status = fill(lines, error)))
                return status;
        } else if (ends_value(&scan, lines->data[lines->begin + at], &taken)) {
            return give_value(lines, taken || at == 0 ? at + 1 : at, value, error);
        } else {
            at++;
        }
    }
}

struct ms_bytes ms_bytes_trim(struct ms_bytes line)
{
    while (line.size && (*line.data == ' ' || *line.data == '\t')) {
        line.data++;
        line.size--;
    }
    while (line.size && (line.data[line.size - 1] == ' ' || line.data[line.size - 1] == '\t'))
        line.size--;
    return line;
}
