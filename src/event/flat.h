/* A quick reader of the documents that most click streams consist of: one object without nesting, of plain strings and whole
 * numbers. It says what src/base/json.h would say of such a document, at a quarter of the time. Of all others it says nothing. */
#ifndef MS_EVENT_FLAT_H
#define MS_EVENT_FLAT_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/bytes.h"

/* A member that is looked for. */
struct ms_flat_field {
    const char *key;
    size_t key_bytes;
};

/* Its value: the text between the quotes, or the digits. */
struct ms_flat_value {
    struct ms_bytes text; /* inside the document; data NULL: there is no such member */
    bool integer;         /* at most 18 digits behind a '-', so an int64_t holds it */
};

/* Reads a document and the first member of each name. False where it is not of the simple kind: it may be good or bad then, and
 * |values| are undefined. The simple kind is printable ASCII without a backslash in its texts; keys, strings and integers
 * alone. Pure. */
bool ms_flat_read(struct ms_bytes document, const struct ms_flat_field *fields, size_t count,
                  struct ms_flat_value *values);

#endif
