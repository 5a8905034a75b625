/* Levenshtein's edit distance, one row at a time. */
#include "app/nearest.h"

#include <string.h>

/* Inserted, left out and exchanged letters between two words; |b| has at most MS_NEAREST_MAX_BYTES. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[MS_NEAREST_MAX_BYTES + 1], width = strlen(b);
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j + 1] = corner + 1 < best ? corner + 1 : best;
        }
    }
    return row[width];
}

struct ms_nearest ms_nearest_start(const char *word)
{
    return (struct ms_nearest){.word = word, .edits = strlen(word) / 3 + 2};
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
