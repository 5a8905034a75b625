/* The kinds mind and comirec-dr: MIND's capsule routing, with the defaults of either paper's code. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "interest/mind/float32.h"

static const char *const softmax_names[] = {"interests", "behaviors", "behaviors-then-interests", NULL};
static const char *const logits_names[] = {"item-normal", "zeros", "table", "item", NULL};
static const char *const update_names[] = {"accumulate", "replace", "probability", NULL};
static const char *const agreement_names[] = {"squashed", "unit", "raw", NULL};
static const char *const item_names[] = {"raw", "unit", NULL};
static const char *const bilinear_names[] = {"shared", "per-interest", "per-position", "none", NULL};
static const char *const when_names[] = {"last", "every", NULL};

#define AT(field) offsetof(struct ms_routing, field)
#define BIG       1e6

static const struct ms_key keys[] = {
    {"routing.iterations", MS_KEY_INT, AT(iterations), 1, 100, NULL, false},
    {"routing.softmax", MS_KEY_ENUM, AT(softmax), 0, 0, softmax_names, false},
    {"routing.padded_softmax", MS_KEY_BOOL, AT(padded_softmax), 0, 0, NULL, false},
    {"routing.softmax_scale", MS_KEY_FLOAT, AT(softmax_scale), -BIG, BIG, NULL, false},
    {"routing.initial_logits", MS_KEY_ENUM, AT(initial_logits), 0, 0, logits_names, false},
    {"routing.seed", MS_KEY_SEED, AT(seed), 0, 0, NULL, false},
    {"routing.stddev", MS_KEY_DOUBLE, AT(stddev), 0, BIG, NULL, false},
    {"routing.update", MS_KEY_ENUM, AT(update), 0, 0, update_names, false},
    {"routing.agreement_interest", MS_KEY_ENUM, AT(agreement_interest), 0, 0, agreement_names, false},
    {"routing.agreement_item", MS_KEY_CHOICE, AT(agreement_item_unit), 0, 0, item_names, false},
    {"routing.agreement_scale", MS_KEY_FLOAT, AT(agreement_scale), -BIG, BIG, NULL, false},
    {"routing.bilinear", MS_KEY_ENUM, AT(bilinear), 0, 0, bilinear_names, false},
    {"routing.squash.when", MS_KEY_CHOICE, AT(squash_every), 0, 0, when_names, false},
    {"routing.squash.power", MS_KEY_FLOAT, AT(squash_power), 0, 100, NULL, false},
    {"routing.squash.scale", MS_KEY_FLOAT, AT(squash_scale), -BIG, BIG, NULL, false},
    {"routing.decay", MS_KEY_NUMBERS, AT(decay), 0, 1, NULL, false},
    {NULL, MS_KEY_INT, 0, 0, 0, NULL, false},
};

static bool mapped(const void *options)
{
    return ((const struct ms_routing *)options)->bilinear != MS_BILINEAR_NONE;
}

static bool mapped_by_all(const void *options)
{
    return ((const struct ms_routing *)options)->bilinear == MS_BILINEAR_SHARED;
}

static bool mapped_by_interest(const void *options)
{
    return ((const struct ms_routing *)options)->bilinear == MS_BILINEAR_PER_INTEREST;
}

static bool mapped_by_position(const void *options)
{
    return ((const struct ms_routing *)options)->bilinear == MS_BILINEAR_PER_POSITION;
}

static bool logits_by_slot(const void *options)
{
    return ((const struct ms_routing *)options)->initial_logits == MS_LOGITS_TABLE;
}

static bool logits_by_item(const void *options)
{
    return ((const struct ms_routing *)options)->initial_logits == MS_LOGITS_ITEM;
}

static const struct ms_tensor_rule tensors[] = {
    {"routing.bilinear", true, mapped_by_all, 2, {MS_SYM_D, MS_SYM_DIM}},
    {"routing.bilinear", true, mapped_by_interest, 3, {MS_SYM_K, MS_SYM_D, MS_SYM_DIM}},
    {"routing.bilinear", true, mapped_by_position, 4, {MS_SYM_L, MS_SYM_K, MS_SYM_D, MS_SYM_DIM}},
    {"routing.bilinear_bias", false, mapped, 1, {MS_SYM_DIM}},
    {"routing.initial_logits", true, logits_by_slot, 2, {MS_SYM_L, MS_SYM_K}},
    {"routing.item_logits", true, logits_by_item, 2, {MS_SYM_ITEMS, MS_SYM_K}},
    {"routing.decay", false, NULL, 1, {MS_SYM_K}},
    {"routing.decay_gate", false, NULL, 2, {MS_SYM_D, MS_SYM_K}},
    {NULL, false, NULL, 0, {0}},
};

static void bind_context(struct ms_extractor *x)
{
    struct ms_mind *m = x->context;
    const struct ms_mind_tables *tables = ms_model_tables(x->model);
    const void *options = x->spec->options;
    m->routing = options;
    m->fits_f32 = ms_float32_knows(m->routing);
    m->fits_f64 = ms_float_steps_know(m->routing);
    m->items = tables->items;
    m->item_logits = tables->item_logits;
    m->logits_drawn = tables->drawn_logits != NULL;
    m->forgets = tables->forgets;
    m->items_residual = tables->items_residual;
    m->item_logits_residual = tables->item_logits_residual;
    m->item_lengths = tables->item_lengths;
    m->logit_per_length = ms_float32_logit_per_length(m->routing);
    m->bilinear = ms_model_tensor(x->model, "routing.bilinear").data;
    m->bilinear_bias = ms_model_tensor(x->model, "routing.bilinear_bias").data;
    m->fold_header = ms_fold_header_floats(x->model, 1);
    m->slot_logits = ms_model_tensor(x->model, "routing.initial_logits").data;
}

static void carve_f32(struct ms_extractor *x, struct ms_carver *carver)
{
    struct ms_mind *m = x->context;
    size_t rows = ms_round_up(x->L, MS_TILE), lanes = ms_round_up(x->K, MS_TILE);
    m->u32 = ms_carve(carver, lanes, x->stride, sizeof(float));
    m->z32 = ms_carve(carver, lanes, x->stride, sizeof(float));
    m->mass32 = ms_carve(carver, lanes, 1, sizeof(float));
    m->x32 = ms_carve(carver, rows, x->stride, sizeof(float));
    m->b32 = ms_carve(carver, rows, lanes, sizeof(float));
    m->w32 = ms_carve(carver, MS_BLOCK_ROWS, lanes, sizeof(float));
    m->row_scale = ms_carve(carver, rows, MS_TILE, sizeof(float));
}

static void carve(struct ms_extractor *x, struct ms_carver *carver)
{
    struct ms_mind *m = x->context;
    bool own = m->routing->bilinear == MS_BILINEAR_PER_INTEREST ||
               m->routing->bilinear == MS_BILINEAR_PER_POSITION;
    size_t rows = ms_round_up(x->L, MS_TILE), lanes = ms_round_up(x->K, MS_TILE),
           blocks = ms_round_up(x->L, MS_BLOCK_ROWS);
    if (m->fits_f32)
        carve_f32(x, carver);
    m->item_by_interest = ms_carve(carver, x->K, x->capsule_dim, sizeof(float));
    m->e64 = ms_carve(carver, x->L, x->item_dim, sizeof(double));
    m->b64 = ms_carve(carver, blocks, lanes, sizeof(double));
    m->w64 = ms_carve(carver, blocks, lanes, sizeof(double));
    m->x64 = ms_carve(carver, own ? x->K * x->L : rows, x->stride, sizeof(double));
    m->norm64 = ms_carve(carver, rows, lanes, sizeof(double));
    m->a64 = ms_carve(carver, x->L, x->K, sizeof(double));
    m->u64 = ms_carve(carver, lanes, x->stride, sizeof(double));
}

/* Where a capsule is this short, its items have all but cancelled out, and float32 has no digits left of it.
 */
#define SHORTEST 1e-12f

/* The capsules of a float32 run; false when they are not exact enough. */
static bool capsule_factors(const struct ms_extractor *x, size_t count, float *factors)
{
    const struct ms_mind *m = x->context;
    float norms[MS_MAX_INTERESTS];
    _Alignas(64) double doubles[MS_MAX_INTERESTS] = {0};
    bool exact_enough = true;
    x->kernels->norms_f32(m->z32, ms_round_up(count, MS_TILE), x->stride, norms);
    for (size_t j = 0; j < count; j++) {
        exact_enough = exact_enough && isfinite(norms[j]) && norms[j] > SHORTEST;
        doubles[j] = (double)norms[j];
    }
    ms_squash_factors(x, doubles, count, doubles);
    for (size_t j = 0; j < count; j++)
        factors[j] = (float)doubles[j];
    return exact_enough;
}

/* Float32 where it is exact enough, else double: by the vectorized steps where they know the options and the numbers
 * allow it, else by the plain ones. */
static struct ms_interests route(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    _Alignas(64) double doubles[MS_MAX_INTERESTS] = {0};
    float factors[MS_MAX_INTERESTS];
    size_t count = window->interests, padded = ms_round_up(count, MS_TILE);
    if (m->fits_f32 && !ms_float32_likely_beyond(m, window) && ms_mind_route_f32(x, window) &&
        capsule_factors(x, count, factors))
        return ms_finish_f32(x, m->z32, x->stride, factors, m->mass32, count);
    if (!m->fits_f64 || !ms_mind_route_f64(x, window))
        ms_mind_route_exact(x, window);
    memset(x->z64 + count * x->stride, 0, (padded - count) * x->stride * sizeof *x->z64);
    x->kernels->norms_f64(x->z64, padded, x->stride, doubles);
    ms_squash_factors(x, doubles, count, doubles);
    x->kernels->scale_f64(x->z64, count, x->stride, doubles, x->z64);
    return ms_finish_f64(x, x->z64, x->mass64, count);
}

/* With padded_softmax the empty slots of the window have rows, too. */
static size_t logit_rows(const struct ms_model *model, size_t items)
{
    const struct ms_routing *routing = (const void *)ms_model_spec(model)->options;
    size_t window = (size_t)ms_model_config(model)->max_behaviors;
    return routing->padded_softmax && window > items ? window : items;
}

/* Items as they are projected, their sums, and capsules that the squash keeps short. */
static bool overflows(const struct ms_model *model, double *capsule, struct ms_overflow *found)
{
    const struct ms_routing *routing = (const void *)ms_model_spec(model)->options;
    double items = ms_items_in_sum(model), item = *capsule;
    const char *tensor = "item_embedding";
    *capsule = (double)routing->squash_scale;
    if (routing->bilinear != MS_BILINEAR_NONE && item * items <= (double)FLT_MAX) {
        tensor = "routing.bilinear";
        item = ms_product_bound(model, tensor, item) + ms_largest_of(model, "routing.bilinear_bias");
    }
    return ms_overflows(model, tensor, "the sum of a user's items", item * items, found);
}

static const struct ms_routing mind_defaults = {
    .iterations = 3,
    .softmax = MS_SOFTMAX_INTERESTS,
    .softmax_scale = 1,
    .initial_logits = MS_LOGITS_ITEM_NORMAL,
    .stddev = 1,
    .update = MS_UPDATE_ACCUMULATE,
    .agreement_interest = MS_AGREEMENT_SQUASHED,
    .agreement_scale = 1,
    .bilinear = MS_BILINEAR_SHARED,
    .squash_every = true,
    .squash_power = 1,
    .squash_scale = 1,
};

static const struct ms_routing comirec_dr_defaults = {
    .iterations = 3,
    .softmax = MS_SOFTMAX_INTERESTS,
    .softmax_scale = 1,
    .initial_logits = MS_LOGITS_ZEROS,
    .stddev = 1,
    .update = MS_UPDATE_ACCUMULATE,
    .agreement_interest = MS_AGREEMENT_SQUASHED,
    .agreement_scale = 1,
    .bilinear = MS_BILINEAR_PER_POSITION,
    .squash_every = true,
    .squash_power = 1,
    .squash_scale = 1,
};

/* Both kinds, but for name and defaults. */
#define ROUTING_KIND(kind_name, kind_defaults, kind_count)                                                   \
    {                                                                                                        \
        .model = {.name = (kind_name),                                                                       \
                  .keys = keys,                                                                              \
                  .options_bytes = sizeof(struct ms_routing),                                                \
                  .defaults = &(kind_defaults),                                                              \
                  .interest_count = (kind_count),                                                            \
                  .tensors = tensors,                                                                        \
                  .check_config = ms_mind_check_decay_list,                                                  \
                  .maps_items = mapped,                                                                      \
                  .tables_bytes = sizeof(struct ms_mind_tables),                                             \
                  .make_tables = ms_mind_make_tables,                                                        \
                  .free_tables = ms_mind_free_tables,                                                        \
                  .bytes_of_tables = ms_mind_bytes_of_tables},                                               \
        .count = ms_count_by_rule, .context_bytes = sizeof(struct ms_mind), .bind = bind_context,            \
        .carve = carve, .extract = route, .fold = &ms_mind_fold, .logit_rows = logit_rows,                   \
        .item_vectors = ms_mind_item_vectors, .overflows = overflows                                         \
    }

const struct ms_kind ms_kind_mind = ROUTING_KIND("mind", mind_defaults, MS_COUNT_LOG2_FLOOR);
const struct ms_kind ms_kind_comirec_dr = ROUTING_KIND("comirec-dr", comirec_dr_defaults, MS_COUNT_FIXED);
