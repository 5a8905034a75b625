/* A window over the file that slides and, up to a ceiling, grows until a line fits in. */
#include "train/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)1 << 16)

static const char byte_order_mark[] = "\xef\xbb\xbf";

enum ms_status ms_lines_open(struct ms_lines *lines, const char *path, struct ms_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file)
        return ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    *lines = (struct ms_lines){.name = standard ? "standard input" : path, .file = file};
    return MS_OK;
}

void ms_lines_close(struct ms_lines *lines)
{
    if (lines->file && lines->file != stdin)
        fclose(lines->file);
    free(lines->data);
    *lines = (struct ms_lines){0};
}

/* Reads on behind what is there, making room first. */
static enum ms_status fill(struct ms_lines *lines, struct ms_error *error)
{
    if (lines->begin > 0) {
        memmove(lines->data, lines->data + lines->begin, lines->end - lines->begin);
        lines->scanned -= lines->begin;
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end == lines->room) {
        size_t room = lines->room ? 2 * lines->room : FIRST_ROOM;
        if (lines->end > MS_LINE_MAX_BYTES)
            return ms_fail(error, MS_FORMAT, "%s: line %" PRIu64 ": longer than %zu bytes", lines->name,
                           lines->number + 1, MS_LINE_MAX_BYTES);
        char *data = realloc(lines->data, room);
        if (!data)
            return ms_fail(error, MS_MEMORY, "%s: line %" PRIu64 ": no memory for %zu bytes", lines->name,
                           lines->number + 1, room);
        lines->data = data;
        lines->room = room;
    }
    errno = 0;
    size_t got = fread(lines->data + lines->end, 1, lines->room - lines->end, lines->file);
    lines->end += got;
    if (ferror(lines->file))
        return ms_fail(error, MS_IO, "%s: %s", lines->name, strerror(errno));
    lines->ended = got == 0;
    return MS_OK;
}

/* Hands out [begin, stop); the next line begins at |next|. */
static void give(struct ms_lines *lines, size_t stop, size_t next, struct ms_bytes *line)
{
    struct ms_bytes bytes = {lines->data + lines->begin, stop - lines->begin};
    if (lines->number == 0 && bytes.size >= 3 && memcmp(bytes.data, byte_order_mark, 3) == 0)
        bytes = (struct ms_bytes){bytes.data + 3, bytes.size - 3};
    if (bytes.size && bytes.data[bytes.size - 1] == '\r')
        bytes.size--;
    lines->begin = lines->scanned = next;
    lines->number++;
    *line = bytes;
}

enum ms_status ms_lines_next(struct ms_lines *lines, struct ms_bytes *line, struct ms_error *error)
{
    for (;;) {
        size_t left = lines->end - lines->scanned;
        char *newline = left ? memchr(lines->data + lines->scanned, '\n', left) : NULL;
        if (newline) {
            size_t stop = (size_t)(newline - lines->data);
            give(lines, stop, stop + 1, line);
            return MS_OK;
        }
        lines->scanned = lines->end;
        if (lines->ended) {
            if (lines->begin < lines->end)
                give(lines, lines->end, lines->end, line);
            else
                *line = (struct ms_bytes){NULL, 0};
            return MS_OK;
        }
        enum ms_status status = fill(lines, error);
        if (status != MS_OK)
            return status;
    }
}
