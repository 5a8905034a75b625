/* The known word most like one that is not known, for "did you mean". */
#ifndef MS_APP_NEAREST_H
#define MS_APP_NEAREST_H

#include <stddef.h>

#define MS_NEAREST_MAX_BYTES 64 /* of longer words nothing is near */

struct ms_nearest {
    const char *word; /* what was written; not owned */
    const char *best; /* the nearest so far; NULL: none is near */
    size_t edits;     /* a candidate must be nearer than this */
};

/* Begins a search: a candidate is near when at most a quarter of the letters and one more are wrong. */
struct ms_nearest ms_nearest_start(const char *word);
/* Looks at one known word, which must outlive the search. Of equally near ones the first stays. */
void ms_nearest_try(struct ms_nearest *nearest, const char *candidate);

#endif
