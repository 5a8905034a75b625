/* What diff and verify compare of users. Pure. */
#ifndef MS_APP_INSPECT_COMPARE_H
#define MS_APP_INSPECT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "user/user.h"

/* Negative: |a| comes first in a walk over users (state/user_walk.h). NULL comes behind all others; not both are. */
int ms_user_order(const struct ms_user *a, const struct ms_user *b);

/* Whether two complete users have the same behaviors in the same order, and the same profile. */
bool ms_same_history(const struct ms_user *a, const struct ms_user *b);
/* The same without the profile, and the profile alone. */
bool ms_same_behaviors(const struct ms_user *a, const struct ms_user *b);
bool ms_same_profile(const struct ms_user *a, const struct ms_user *b);

/* The largest difference of two numbers of the same place, NaN where there is one on one side alone; *place, where not NULL, is its
 * place. */
double ms_largest_difference(const float *a, const float *b, size_t count, size_t *place);

#endif
