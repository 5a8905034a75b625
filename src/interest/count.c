/* How many interests a user has. */
#include <assert.h>

#include "interest/kind.h"

/* The smallest n with ln n >= k: e^k rounded up. n never passes MS_MAX_BEHAVIORS. */
static int ln_floor(size_t n)
{
    static const size_t least[] = {1, 3, 8, 21, 55, 149, 404, 1097, 2981, 8104, 22027, 59875, 162755};
    static_assert(MS_MAX_BEHAVIORS < 162755, "the table covers every window");
    int k = 0;
    while (n >= least[k + 1])
        k++;
    return k;
}

static int log2_floor(size_t n)
{
    return 63 - __builtin_clzll(n);
}

int ms_count_by_rule(const struct ms_model_spec *spec, size_t n)
{
    const struct ms_model_config *config = &spec->config;
    int count = config->interests;
    if (n > (size_t)config->max_behaviors)
        n = (size_t)config->max_behaviors;
    switch (spec->interest_count) {
    case MS_COUNT_FIXED:
        break;
    case MS_COUNT_LOG2_FLOOR:
        count = log2_floor(n);
        break;
    case MS_COUNT_LOG2_CEIL:
        count = n == 1 ? 0 : log2_floor(n - 1) + 1;
        break;
    case MS_COUNT_LOG2_PLUS_ONE_FLOOR:
        count = log2_floor(n + 1);
        break;
    case MS_COUNT_LN_FLOOR:
        count = ln_floor(n);
        break;
    }
    count = count < config->interests ? count : config->interests;
    return count > 1 ? count : 1;
}

int ms_interest_count(const struct ms_model *model, size_t n)
{
    const struct ms_model_spec *spec = ms_model_spec(model);
    return n ? ms_kind_at(spec->kind)->count(spec, n) : 0;
}
