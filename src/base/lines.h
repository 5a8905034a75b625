/* Lines of a file of any size, one after the other, with their numbers. */
#ifndef MS_TRAIN_LINES_H
#define MS_TRAIN_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_LINE_MAX_BYTES ((size_t)16 << 20) /* longest line that is read */

struct ms_lines {
    const char *name; /* for errors: the path, or "standard input" */
    FILE *file;
    char *data;
    size_t begin, scanned, end, room;
    uint64_t number; /* of the line given last, from 1 */
    bool ended;
};

/* Opens |path|, "-" for standard input; |path| must outlive the reader. MS_IO names the file. Close it with
 * ms_lines_close, which is legal on a zeroed one. One thread a reader. */
enum ms_status ms_lines_open(struct ms_lines *lines, const char *path, struct ms_error *error) MS_MUST_CHECK;
void ms_lines_close(struct ms_lines *lines);

/* The next line, without its newline and the carriage return before it, and without a byte order mark at the
 * file's begin; its bytes may be changed and hold until the next call. Its data is NULL at the end of the
 * file. MS_IO, MS_MEMORY, or MS_FORMAT where a line is too long. */
enum ms_status ms_lines_next(struct ms_lines *lines, struct ms_bytes *line,
                             struct ms_error *error) MS_MUST_CHECK;

#endif
