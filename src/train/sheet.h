/* Separated values with a header as events: which column is what, and what its cells mean. Used by events.c alone. */
#ifndef MS_TRAIN_SHEET_H
#define MS_TRAIN_SHEET_H

#include "base/buffer.h"
#include "base/lines.h"
#include "train/events.h"

struct ms_sheet {
    const struct ms_events_options *options;
    struct ms_lines *lines;
    const struct ms_decoder *decoder; /* which types count */
    struct ms_csv_style style;
    struct ms_buffer record; /* of several lines */
    struct ms_csv_cell cells[MS_CSV_MAX_CELLS];
    size_t columns, user, item, time, type; /* numbers of columns; |columns| where there is none */
    uint64_t line;                          /* where the record begins */
    struct ms_bytes ahead;                  /* a line that is read and not used yet */
};

/* Begins with the sheet that |lines| stand before, whose first line is no blank one: finds the separator and the columns. Errors
 * do not name the place: sheet->line is it. MS_FORMAT, MS_USAGE for a column that is not there, MS_MEMORY, and what |lines| fail
 * with (*placed is true then: the error names the place already). */
enum ms_status ms_sheet_begin(struct ms_sheet *sheet, const struct ms_events_options *options,
                              struct ms_lines *lines, const struct ms_decoder *decoder, bool *placed,
                              struct ms_error *error) MS_MUST_CHECK;

/* The next record. *event's user is NULL at the end of the sheet. MS_EVENT says what is wrong with the record and sets *fault, to
 * MS_PASSED_COUNT where reading cannot go on. Blank lines, headers and other types are told this way as well, without a text.
 * MS_MEMORY, and what lines fail with. */
enum ms_status ms_sheet_next(struct ms_sheet *sheet, struct ms_event *event, enum ms_passed *fault,
                             struct ms_error *error) MS_MUST_CHECK;

void ms_sheet_free(struct ms_sheet *sheet);

#endif
