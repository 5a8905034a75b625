/* The forms in which users are exported. */
#ifndef MS_APP_INSPECT_EXPORT_TEXT_H
#define MS_APP_INSPECT_EXPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "user/user.h"
#include "view/viewer.h"

enum ms_export_format { MS_EXPORT_JSONL, MS_EXPORT_CSV, MS_EXPORT_NPY };

/* What one thread writes users with. */
struct ms_exporter {
    enum ms_export_format format;
    struct ms_viewer *viewer; /* NULL: no interests, which only JSON lines go without */
    uint32_t *places;         /* scratch: of behaviors in the order of arrival */
    size_t places_capacity;
};

/* What some users came to. */
struct ms_export_text {
    struct ms_buffer text;
    struct ms_buffer ids; /* of the rows, with npy */
    uint64_t rows;        /* with npy */
};

/* Appends a complete user, which may move. Users that have a profile and no event yet have no interests. MS_MEMORY,
 * MS_STATE. */
enum ms_status ms_export_user(struct ms_exporter *exporter, struct ms_user **user, struct ms_export_text *out,
                              struct ms_error *error) MS_MUST_CHECK;
/* The first line of CSV. False when memory ended. */
bool ms_export_titles(struct ms_buffer *out, int dim);
void ms_exporter_free(struct ms_exporter *exporter);

#endif
