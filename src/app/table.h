/* Tables as text: columns as wide as their widest cell, and texts that cannot play with the terminal. */
#ifndef MS_APP_TABLE_H
#define MS_APP_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_TABLE_MAX_COLUMNS 80

/* Zeroed it is an empty one. Cells come row by row. Out of memory shows as MS_MEMORY when it is printed. */
struct ms_table {
    struct ms_buffer text; /* the cells, each ended by a NUL */
    size_t columns, cells;
    size_t width[MS_TABLE_MAX_COLUMNS]; /* in characters */
    bool right[MS_TABLE_MAX_COLUMNS];
    bool failed;
};

/* Adds a column; all columns come before the first cell. At most MS_TABLE_MAX_COLUMNS. */
void ms_table_column(struct ms_table *table, const char *title, bool right);
void ms_table_cell(struct ms_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A cell of bytes from outside, escaped as ms_escape does. */
void ms_table_bytes(struct ms_table *table, struct ms_bytes bytes);
/* A cell of text of any length that is harmless already. */
void ms_table_raw(struct ms_table *table, const char *text);
/* Prints titles and rows, each line after |indent| blanks, and frees the table. */
enum ms_status ms_table_print(struct ms_table *table, FILE *out, int indent,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_table_free(struct ms_table *table);

/* Appends |bytes| with control characters, backslashes and what is not UTF-8 as \xNN. False when memory
 * ended. */
bool ms_escape(struct ms_buffer *out, struct ms_bytes bytes);
/* The same straight to |out|. */
void ms_escape_print(FILE *out, struct ms_bytes bytes);

/* "2026-11-20T09:30:00.123Z", or "-" for INT64_MIN. */
#define MS_TIME_TEXT_BYTES 48
void ms_time_text(char text[MS_TIME_TEXT_BYTES], int64_t time_ms);

#endif
