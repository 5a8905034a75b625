/* Records of separated values: RFC 4180, with other separators and other ways to write a quote. Pure. */
#ifndef MS_TRAIN_CSV_H
#define MS_TRAIN_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_CSV_MAX_CELLS 4096 /* most cells of a record */

enum ms_csv_quotes {
    MS_CSV_DOUBLED,   /* a quote in a quoted cell is written twice: RFC 4180, spreadsheets, pandas */
    MS_CSV_BACKSLASH, /* a backslash takes the next character of a quoted cell as it is: Spark, MySQL */
    MS_CSV_PLAIN,     /* quotes are characters like all others */
};

/* How records are written. */
struct ms_csv_style {
    char separator;
    enum ms_csv_quotes quotes;
    bool blank_follows; /* one blank behind each separator does not count: "a, b" */
};

/* A cell; as text, and how it was written. */
struct ms_csv_cell {
    struct ms_bytes text;
    bool quoted;
};

/* Whether a quoted cell is open at the end of |line|, where |open| says whether one was at its begin. */
bool ms_csv_crosses(struct ms_bytes line, const struct ms_csv_style *style, bool open);

/* Splits a whole record of |size| bytes without its newline. Quotes are removed in the buffer. The first |max| cells are written;
 * *count is how many there are. Cells lie in |record|. An empty record is one empty cell. A cell that spreadsheets write to keep
 * digits as they are, ="007", is the text in it. Returns NULL, or a static text that says what is wrong with cell *count (from
 * 1). */
const char *ms_csv_split(char *record, size_t size, const struct ms_csv_style *style,
                         struct ms_csv_cell *cells, size_t max, size_t *count);

#endif
