/* The ids, sorted, and a binary search. */
#include "app/inspect/selection.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "train/input.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

static int by_bytes(const void *a, const void *b)
{
    const struct ms_bytes *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* The ids' bytes may move while they are read, so their places are found at the end. */
static enum ms_status take_line(struct ms_selection *selection, struct ms_bytes line, struct ms_error *error)
{
    if (!ms_array_reserve(&selection->ids, &selection->capacity, selection->count + 1,
                          sizeof *selection->ids) ||
        !ms_buffer_append(&selection->text, line.data, line.size))
        return ms_fail(error, MS_MEMORY, "no memory for %zu user ids", selection->count);
    selection->ids[selection->count++].size = line.size;
    return MS_OK;
}

enum ms_status ms_selection_read(struct ms_selection *selection, const char *path, struct ms_error *error)
{
    struct ms_line_file file = {0};
    struct ms_bytes line;
    enum ms_status status = ms_line_file_open(&file, path, LINE_MAX_BYTES, error);
    selection->limited = true;
    while (status == MS_OK && (status = ms_lines_next(&file.lines, &line, error)) == MS_OK && line.data) {
        if (ms_bytes_trim(line).size)
            status = take_line(selection, line, error);
    }
    ms_line_file_close(&file);
    const char *at = selection->text.data;
    for (size_t i = 0; i < selection->count; at += selection->ids[i++].size)
        selection->ids[i].data = at;
    if (selection->count)
        qsort(selection->ids, selection->count, sizeof *selection->ids, by_bytes);
    return status;
}

void ms_selection_free(struct ms_selection *selection)
{
    ms_buffer_free(&selection->text);
    free(selection->ids);
    *selection = (struct ms_selection){0};
}

bool ms_selection_has(const struct ms_selection *selection, struct ms_bytes id)
{
    return !selection->limited ||
           (selection->count && bsearch(&id, selection->ids, selection->count, sizeof id, by_bytes));
}
