/* Conditions on a listed user: "version>1000 and behaviors<5". */
#ifndef MS_APP_INSPECT_WHERE_H
#define MS_APP_INSPECT_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_WHERE_MAX 8 /* conditions, all of which must hold */

/* What can be asked for. The order is that of the names in where.c and of --sort. */
enum ms_where_field {
    MS_WHERE_VERSION,
    MS_WHERE_TIME, /* of the last event, ms */
    MS_WHERE_BYTES,
    MS_WHERE_BEHAVIORS,
    MS_WHERE_INTERESTS,
    MS_WHERE_PARTITION,
    MS_WHERE_FIELDS,
};

/* The numbers of one user, by field. */
struct ms_where_values {
    int64_t of[MS_WHERE_FIELDS];
};

struct ms_where {
    struct ms_condition {
        enum ms_where_field field;
        int below, equal, above; /* whether a value below, equal to or above |number| holds */
        int64_t number;
    } conditions[MS_WHERE_MAX];
    int count;
};

/* Parses FIELD OP NUMBER [and FIELD OP NUMBER ...], OP one of > >= < <= = !=; a time may be ISO 8601. MS_USAGE quotes what
 * was not understood. Pure. */
enum ms_status ms_where_parse(struct ms_where *where, const char *text, struct ms_error *error) MS_MUST_CHECK;

/* Whether all conditions hold; those of an empty one do. Pure. */
bool ms_where_holds(const struct ms_where *where, const struct ms_where_values *values);

#endif
