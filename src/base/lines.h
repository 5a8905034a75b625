/* Lines and JSON values of a stream of bytes of any size, one after the other, with their line numbers.
 *
 * A window slides over the stream. It grows until the line fits in, up to a ceiling that is checked before memory is taken. */
#ifndef MS_BASE_LINES_H
#define MS_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

/* Where the bytes come from. */
struct ms_byte_source {
    const char *name; /* for errors; must outlive the reader */
    void *context;
    /* Writes 1 to |room| bytes to |into| and sets *got; 0 at the end of the stream. An error names the stream. */
    enum ms_status (*read)(void *context, char *into, size_t room, size_t *got, struct ms_error *error);
};

struct ms_lines {
    struct ms_byte_source source;
    size_t max_bytes; /* of a line or value */
    char *data;
    size_t begin, scanned, end, room;
    uint64_t number;      /* of the line given last, or where the value given last begins; from 1 */
    uint64_t ended_lines; /* lines that end before |begin|; values only */
    bool started, ended, values;
};

/* Lines of |source| of up to |max_bytes| bytes. Nothing is allocated or read yet. One thread a reader. */
void ms_lines_init(struct ms_lines *lines, struct ms_byte_source source, size_t max_bytes);
/* Frees the window. Legal on a zeroed one. */
void ms_lines_free(struct ms_lines *lines);

/* The next line, without its newline and the carriage return before it, and without a byte order mark at the stream's begin;
 * its bytes may be changed and hold until the next call. Its data is NULL at the end of the stream. MS_MEMORY, MS_FORMAT where a
 * line is too long, and what the source fails with. */
enum ms_status ms_lines_next(struct ms_lines *lines, struct ms_bytes *line,
                             struct ms_error *error) MS_MUST_CHECK;

/* What comes next, without taking it and without the byte order mark: at least |wanted| bytes where the stream has them. It
 * holds until the next call. */
enum ms_status ms_lines_peek(struct ms_lines *lines, size_t wanted, struct ms_bytes *bytes,
                             struct ms_error *error) MS_MUST_CHECK;

/* The next JSON value or separator: an object, list or text with all that is in it, or what stands there up to the next blank,
 * comma or bracket. A separator (',', ']', '[' at |list_level|) is given as a value of one byte. Only brackets and quotes are
 * looked at: whether it is JSON, the reader of the value decides. For the rest as ms_lines_next; not to be mixed with it. */
enum ms_status ms_lines_next_value(struct ms_lines *lines, bool list_level, struct ms_bytes *value,
                                   struct ms_error *error) MS_MUST_CHECK;

/* The line without blanks and tabs at both ends. */
struct ms_bytes ms_bytes_trim(struct ms_bytes line);

#endif
