/* Edit distance with exchanged neighbours (optimal string alignment). */
#include "app/nearest.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters inserted, left out or replaced, and neighbours exchanged, between two words of at most
 * MS_NEAREST_MAX_BYTES. Row i of the table holds the distances of the first i letters of |a|; three rows are kept. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][MS_NEAREST_MAX_BYTES + 1], width = strlen(b), i = 0;
    for (size_t j = 0; j <= width; j++)
        rows[0][j] = j;
    for (; a[i]; i++) {
        const size_t *above = rows[i % 3], *above_that = rows[(i + 2) % 3];
        size_t *row = rows[(i + 1) % 3];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            row[j + 1] = smaller(above[j] + (a[i] != b[j]), smaller(above[j + 1], row[j]) + 1);
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
                row[j + 1] = smaller(row[j + 1], above_that[j - 1] + 1);
        }
    }
    return rows[i % 3][width];
}

struct ms_nearest ms_nearest_start(const char *word)
{
    return (struct ms_nearest){.word = word, .edits = strlen(word) / 4 + 2};
}

void ms_nearest_try(struct ms_nearest *nearest, const char *candidate)
{
    if (strlen(nearest->word) > MS_NEAREST_MAX_BYTES || strlen(candidate) > MS_NEAREST_MAX_BYTES)
        return;
    size_t edits = edit_distance(nearest->word, candidate);
    if (edits < nearest->edits && edits < strlen(candidate)) {
        nearest->edits = edits;
        nearest->best = candidate;
    }
}
