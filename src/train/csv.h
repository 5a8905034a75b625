/* Records of comma-separated values (RFC 4180). Pure. */
#ifndef MS_TRAIN_CSV_H
#define MS_TRAIN_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_CSV_MAX_CELLS 4096 /* most cells of a record */

/* Whether |line| opens a quoted cell that it does not close, or closes one that it does not open: the record
 * goes on with the next line until a second such line ends it. */
bool ms_csv_crosses(struct ms_bytes line);

/* Splits a whole record of |size| bytes without its newline. Quotes are taken off in place, "" in a quoted
 * cell becomes ". The first |max| cells are written; *count is how many there are. Cells lie in |record|. An
 * empty record is one empty cell. Returns NULL, or a static text that says what is wrong. */
const char *ms_csv_split(char *record, size_t size, struct ms_bytes *cells, size_t max, size_t *count);

#endif
