/* Splitting records. */
#include "train/csv.h"

#include <string.h>

/* A quote stands at the edges of quoted cells and doubled within them, never elsewhere: so inside means odd.
 */
bool ms_csv_crosses(struct ms_bytes line)
{
    size_t quotes = 0;
    for (const char *at = line.data, *end = line.data + line.size; at < end; at++) {
        at = memchr(at, '"', (size_t)(end - at));
        if (!at)
            break;
        quotes++;
    }
    return quotes % 2 == 1;
}

/* Reads a quoted cell whose first quote is at |at|; returns where it stopped, behind the last quote, or NULL.
 */
static char *quoted(char *at, const char *end, struct ms_bytes *cell)
{
    char *to = ++at;
    cell->data = to;
    for (; at < end; at++) {
        if (*at == '"' && (at + 1 == end || at[1] != '"')) {
            cell->size = (size_t)(to - cell->data);
            return at + 1;
        }
        if (*at == '"')
            at++;
        *to++ = *at;
    }
    return NULL;
}

const char *ms_csv_split(char *record, size_t size, struct ms_bytes *cells, size_t max, size_t *count)
{
    char *at = record, *end = record + size;
    size_t n = 0;
    for (;;) {
        struct ms_bytes cell;
        if (at < end && *at == '"') {
            at = quoted(at, end, &cell);
            if (!at)
                return "a quoted cell does not end";
            if (at < end && *at != ',')
                return "text follows the end of a quoted cell";
        } else {
            char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
            cell = (struct ms_bytes){at, (size_t)((comma ? comma : end) - at)};
            if (cell.size && memchr(cell.data, '"', cell.size))
                return "a quote stands in a cell that does not begin with one";
            at += cell.size;
        }
        if (n < max)
            cells[n] = cell;
        n++;
        if (at == end)
            break;
        at++; /* the comma */
    }
    if (n > MS_CSV_MAX_CELLS)
        return "too many cells";
    *count = n;
    return NULL;
}
