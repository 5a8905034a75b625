/* Users side by side. */
#include "app/inspect/compare.h"

#include <math.h>
#include <string.h>

static int order_of_bytes(struct ms_bytes a, struct ms_bytes b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int ms_user_order(const struct ms_user *a, const struct ms_user *b)
{
    if (!a || !b)
        return a ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return order_of_bytes(ms_user_id(a), ms_user_id(b));
}

static bool same_bytes(struct ms_bytes a, struct ms_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool ms_same_behaviors(const struct ms_user *a, const struct ms_user *b)
{
    if (a->count != b->count)
        return false;
    const struct ms_behavior *left = ms_user_behaviors(a), *right = ms_user_behaviors(b);
    for (uint32_t i = 0; i < a->count; i++) {
        if (left[i].time_ms != right[i].time_ms ||
            !same_bytes(ms_behavior_item(a, &left[i]), ms_behavior_item(b, &right[i])) ||
            !same_bytes(ms_behavior_type(a, &left[i]), ms_behavior_type(b, &right[i])))
            return false;
    }
    return true;
}

bool ms_same_profile(const struct ms_user *a, const struct ms_user *b)
{
    return same_bytes(ms_user_profile(a), ms_user_profile(b));
}

bool ms_same_history(const struct ms_user *a, const struct ms_user *b)
{
    return ms_same_behaviors(a, b) && ms_same_profile(a, b);
}

double ms_largest_difference(const float *a, const float *b, size_t count, size_t *place)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double one = fabs((double)a[i] - (double)b[i]);
        if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))
            continue;
        if (!(one <= largest) && !isnan(largest)) { /* also not a number */
            largest = one;
            if (place)
                *place = i;
        }
    }
    return largest;
}
