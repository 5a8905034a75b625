/* Records of comma-separated values (RFC 4180). Pure. */
#ifndef MS_TRAIN_CSV_H
#define MS_TRAIN_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_CSV_MAX_CELLS 4096 /* most cells of a record */

/* Whether |line| has an odd number of quotes: it opens a quoted cell without closing it, or closes a cell that an earlier line
 * has opened. A record ends with the line that closes such a cell. */
bool ms_csv_crosses(struct ms_bytes line);

/* Splits a whole record of |size| bytes without its newline. Quotes are removed in the buffer, "" in a quoted
 * cell becomes ". The first |max| cells are written; *count is how many there are. Cells lie in |record|. An
 * empty record is one empty cell. Returns NULL, or a static text that says what is wrong. */
const char *ms_csv_split(char *record, size_t size, struct ms_bytes *cells, size_t max, size_t *count);

#endif
