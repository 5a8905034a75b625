/* Tables as text: every column is as wide as its widest cell. */
#ifndef MS_VIEW_TABLE_H
#define MS_VIEW_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"
#include "view/palette.h"

#define MS_TABLE_MAX_COLUMNS 80

/* A zeroed table is empty. Cells are added row by row. When memory ends, ms_table_text says so. */
struct ms_table {
    struct ms_buffer text; /* the cells, each ended by a NUL */
    size_t columns, cells;
    size_t width[MS_TABLE_MAX_COLUMNS]; /* in characters */
    bool right[MS_TABLE_MAX_COLUMNS];   /* aligned to the right */
    bool failed;
    const struct ms_palette *palette; /* NULL: no colours */
};

/* Adds a column, at most MS_TABLE_MAX_COLUMNS. All columns are added before the first cell. */
void ms_table_column(struct ms_table *table, const char *title, bool right);

/* Adds a cell of at most 511 bytes; longer text is cut. */
void ms_table_cell(struct ms_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a cell of bytes from outside, escaped (view/escape.h). */
void ms_table_bytes(struct ms_table *table, struct ms_bytes bytes);

/* Adds a cell of text of any length that needs no escaping. */
void ms_table_raw(struct ms_table *table, const char *text);

/* The same of text that warns. */
void ms_table_warning(struct ms_table *table, const char *text);

/* Appends the titles and the rows to |out|, with the palette's colours for titles, warnings and the characters of bars, each
 * line after |indent| blanks and without blanks at its end. Every
 * character of UTF-8 counts as one column. MS_MEMORY. */
enum ms_status ms_table_text(const struct ms_table *table, size_t indent, struct ms_buffer *out,
                             struct ms_error *error) MS_MUST_CHECK;

/* Frees the cells; the table is empty again. */
void ms_table_free(struct ms_table *table);

#endif
