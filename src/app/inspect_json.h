/* What the JSON outputs of inspect share. */
#ifndef MS_APP_INSPECT_JSON_H
#define MS_APP_INSPECT_JSON_H

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "app/table.h"

/* A string of bytes from outside; what is not UTF-8 (no event can bring it) is escaped as in the tables. */
static inline json_t *ms_json_text(struct ms_bytes bytes)
{
    json_t *text = json_stringn(bytes.data, bytes.size);
    if (!text) {
        struct ms_buffer escaped = {0};
        if (ms_escape(&escaped, bytes))
            text = json_stringn(escaped.data, escaped.size);
        ms_buffer_free(&escaped);
    }
    return text;
}

/* 16 hexadecimal digits: more than a double holds. */
static inline json_t *ms_json_fold_id(uint64_t fold_id)
{
    return json_sprintf("%016" PRIx64, fold_id);
}

/* Prints |root| on one line, numbers with the digits of a float, and lets it go. */
static inline enum ms_status ms_json_print(json_t *root, FILE *out, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    if (!root || json_dumpf(root, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
        status = ms_fail(error, root ? MS_IO : MS_MEMORY, "the JSON text cannot be %s",
                         root ? "written" : "made");
    else
        fputc('\n', out);
    json_decref(root);
    return status;
}

#endif
