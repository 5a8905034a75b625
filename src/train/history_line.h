/* One line of `mindstream extract`: a history as JSON in, a layout-user record as JSON out. */
#ifndef MS_TRAIN_HISTORY_LINE_H
#define MS_TRAIN_HISTORY_LINE_H

#include "base/buffer.h"
#include "mindstream/extract.h"

struct ms_history_options {
    bool incremental;      /* fold event by event; else full routing */
    struct ms_decay decay; /* of the fold */
};

struct ms_history_line;

/* A reader of lines; one thread each. |model| and |options| must outlive it. MS_CONFIG where the model cannot
 * be folded and that is asked for; MS_MEMORY. */
enum ms_status ms_history_line_new(struct ms_history_line **reader, const struct ms_model *model,
                                   const struct ms_history_options *options,
                                   struct ms_error *error) MS_MUST_CHECK;
void ms_history_line_destroy(struct ms_history_line *reader);

/* Extracts one line of |size| bytes (without its newline) and appends the record and a newline to |out|,
 * which is untouched on failure. MS_FORMAT says what is wrong with the line and where; MS_MEMORY. */
enum ms_status ms_history_line_extract(struct ms_history_line *reader, const char *line, size_t size,
                                       struct ms_buffer *out, struct ms_error *error) MS_MUST_CHECK;

#endif
