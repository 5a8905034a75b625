/* Whether the numbers of a model may leave float32, and which tensor lets them. Vectors that do are not published. */
#ifndef MS_INTEREST_OVERFLOW_H
#define MS_INTEREST_OVERFLOW_H

#include <stdbool.h>

#include "mindstream/model.h"

struct ms_overflow {
    char tensor[64];  /* whose numbers are too large */
    double largest;   /* of its numbers, by size */
    const char *what; /* what it makes overflow */
    double bound;     /* how large that may become */
};

/* Looks at all tensors, with the worst user and the worst signs. True and *found where a number may exceed float32. It is
 * a bound: real users may stay far below. */
bool ms_overflow_possible(const struct ms_model *model, struct ms_overflow *found);

/* ---- for the kinds ---- */

/* The largest number of a tensor, by size; 0 where there is none. */
double ms_largest_of(const struct ms_model *model, const char *tensor);
/* The most that a row vector of numbers up to |most| may become through the tensor's matrices [in, out] (the last two of its
 * dimensions). */
double ms_product_bound(const struct ms_model *model, const char *tensor, double most);
/* How many items a sum may hold: a window, or the events that the decay of 0.9 leaves. */
double ms_items_in_sum(const struct ms_model *model);
/* True and *found where |bound| exceeds float32. */
bool ms_overflows(const struct ms_model *model, const char *tensor, const char *what, double bound,
                  struct ms_overflow *found);

#endif
