/* How a number is spread over users: counts by bucket, shown as bars or as JSON. */
#ifndef MS_APP_INSPECT_SPREAD_H
#define MS_APP_INSPECT_SPREAD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "view/palette.h"

#define MS_SPREAD_BOUNDS 64

/* How a bound is written. */
enum ms_spread_unit { MS_SPREAD_WHOLE, MS_SPREAD_NUMBER, MS_SPREAD_BYTES, MS_SPREAD_MS };

/* Bucket i holds what is at least bounds[i] and less than bounds[i + 1]; the last one has no end. */
struct ms_spread {
    const char *key, *title;
    enum ms_spread_unit unit;
    size_t buckets;
    double bounds[MS_SPREAD_BOUNDS];
    uint64_t counts[MS_SPREAD_BOUNDS];
    uint64_t count;
    double sum;
};

/* Bounds 0, |first|, twice that, and so on up to |most|. */
void ms_spread_double(struct ms_spread *spread, double first, double most);
/* |buckets| of |width| from |first| on. */
void ms_spread_even(struct ms_spread *spread, double first, double width, size_t buckets);
/* Less than the first bound counts as the first bucket. */
void ms_spread_add(struct ms_spread *spread, double value);
/* The value below which |share| of all lie, as the upper bound of a bucket; 0 of none. */
double ms_spread_quantile(const struct ms_spread *spread, double share);

/* Appends the title and a line a bucket, from the first that has any to the last, at most |columns| wide. False when memory
 * ended. */
bool ms_spread_text(const struct ms_spread *spread, int columns, const struct ms_palette *palette,
                    struct ms_buffer *out);
/* {users, mean, buckets [{from, to (null: no end), count}]}; NULL when memory ended. */
json_t *ms_spread_json(const struct ms_spread *spread);

#endif
