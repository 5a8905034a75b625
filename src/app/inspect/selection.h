/* A set of user ids, one a line of a file. */
#ifndef MS_APP_INSPECT_SELECTION_H
#define MS_APP_INSPECT_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

/* Zeroed, it holds every user. */
struct ms_selection {
    bool limited; /* to the ids below */
    struct ms_buffer text;
    struct ms_bytes *ids; /* in order */
    size_t count, capacity;
};

/* Reads ids from |path|, "-" for standard input; empty lines are passed over. MS_IO, MS_MEMORY, MS_FORMAT. */
enum ms_status ms_selection_read(struct ms_selection *selection, const char *path,
                                 struct ms_error *error) MS_MUST_CHECK;
void ms_selection_free(struct ms_selection *selection);

bool ms_selection_has(const struct ms_selection *selection, struct ms_bytes id);

#endif
