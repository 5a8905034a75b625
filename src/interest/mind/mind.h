/* MIND's capsule routing (Li et al., CIKM'19) and its variants, ComiRec-DR among them: options, tables, context. Private
 * to this folder. */
#ifndef MS_INTEREST_MIND_H
#define MS_INTEREST_MIND_H

#include "interest/kind.h"

#define MS_MAX_RESIDUAL_BYTES ((size_t)1 << 30) /* of both residual tables together */

enum ms_softmax { MS_SOFTMAX_INTERESTS, MS_SOFTMAX_BEHAVIORS, MS_SOFTMAX_BEHAVIORS_THEN_INTERESTS };
enum ms_initial_logits { MS_LOGITS_ITEM_NORMAL, MS_LOGITS_ZEROS, MS_LOGITS_TABLE, MS_LOGITS_ITEM };
enum ms_update { MS_UPDATE_ACCUMULATE, MS_UPDATE_REPLACE, MS_UPDATE_PROBABILITY };
enum ms_agreement { MS_AGREEMENT_SQUASHED, MS_AGREEMENT_UNIT, MS_AGREEMENT_RAW };
enum ms_bilinear { MS_BILINEAR_SHARED, MS_BILINEAR_PER_INTEREST, MS_BILINEAR_PER_POSITION, MS_BILINEAR_NONE };

/* The keys routing.* of config.json. */
struct ms_routing {
    int iterations;
    enum ms_softmax softmax;
    bool padded_softmax;
    float softmax_scale;
    enum ms_initial_logits initial_logits;
    uint64_t seed;
    double stddev;
    enum ms_update update;
    enum ms_agreement agreement_interest;
    bool agreement_item_unit; /* false: raw */
    float agreement_scale;
    enum ms_bilinear bilinear;
    bool squash_every; /* false: in the last iteration only */
    float squash_power;
    float squash_scale;
    struct ms_numbers
        decay; /* of each interest's sums; the tensors routing.decay and routing.decay_gate go before it */
};

/* What is computed once from a model and shared by all threads. */
struct ms_mind_tables {
    /* Items as routing takes them, [items][capsule_dim]: e S + bias where the map is shared, e where there is none;
     * NULL where each interest or position has a map of its own. |projected| is the block of the first. */
    const float *items;
    float *projected;
    /* Initial logits by item, [items][K]: the tensor routing.item_logits, or where they are item-normal the normal numbers
     * b_ij drawn from (seed, item id, j); else NULL. |drawn_logits| is the block of the latter. */
    const float *item_logits;
    float *drawn_logits;
    /* Where the model has decays: what the sums of interest j lose at an event with the item, 1 - g_j(item), [items][K].
     * Float32 is exact enough of this, but not of a g close to 1. NULL: it has none. */
    float *forgets;
    /* Residuals: what the float32 tables lack of the numbers in double. The sums of both are within 1e-13 of these. Made
     * where routing may outgrow float32 and both take no more than MS_MAX_RESIDUAL_BYTES; else NULL. */
    float *items_residual, *item_logits_residual;
    /* Where routing may outgrow float32: the length of each item, [items]; else NULL. */
    float *item_lengths;
    bool outgrows_float32;
};

struct ms_mind {
    const struct ms_routing *routing;
    bool fits_f32; /* ms_mind_route_f32 knows the options */
    bool fits_f64; /* ms_mind_route_f64 knows them */

    const float *items; /* these are the tables' */
    const float *item_logits;
    bool logits_drawn; /* item_logits are numbers that were rounded to float32 */
    const float *forgets;
    const float *items_residual, *item_logits_residual;
    const float *item_lengths; /* NULL: no window's logits can outgrow float32 */
    double logit_per_length;   /* logits may grow to so many times the longest item's length; 0: not known */
    const float *bilinear, *bilinear_bias, *slot_logits;
    size_t fold_header; /* floats of a fold state before its sums */

    /* Scratch of routing in float32: items, logits, weights, factors of rows, agreement vectors, capsules, masses. */
    float *x32, *b32, *w32, *row_scale, *u32, *z32, *mass32;
    /* And in double: embeddings, items, logits, weights, agreements, factors of rows, agreement vectors. */
    double *e64, *x64, *b64, *w64, *a64, *norm64, *u64;
    /* One item for each interest, [K][capsule_dim], where the map is per interest. */
    float *item_by_interest;
};

/* Making the tables, and their size. See struct ms_model_kind. */
enum ms_status ms_mind_make_tables(const struct ms_model *model, void *tables, const char *dir,
                                   struct ms_error *error) MS_MUST_CHECK;
void ms_mind_free_tables(const struct ms_model *model, void *tables);
size_t ms_mind_bytes_of_tables(const struct ms_model *model, const void *tables);
/* The item-normal logits of an item before they were rounded to float32, drawn anew: K doubles, in about K * 60 ns. */
void ms_mind_draw_logits(const struct ms_model *model, uint32_t item, double *logits);

/* Whether the model has decays of its own, and the table that they make: g_j(x) = sigmoid(routing.decay_j + <column j of
 * routing.decay_gate, e_x>), or the list routing.decay of config.json. See tables->forgets. */
bool ms_mind_has_decays(const struct ms_model *model);
enum ms_status ms_mind_make_forgets(const struct ms_model *model, struct ms_mind_tables *tables,
                                    const char *dir, struct ms_error *error) MS_MUST_CHECK;
/* Refuses a list of decays that does not fit the interests. See check_config of struct ms_model_kind. */
enum ms_status ms_mind_check_decay_list(const struct ms_model_config *config, const void *options,
                                        const char *config_path, struct ms_error *error) MS_MUST_CHECK;

/* The factors of squash and agreement, vectorized where the power is 1. |norms| and |factors| may be one array, and have
 * room for a multiple of 8. Pure. */
void ms_squash_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors);
void ms_agreement_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors);
/* What z_j is multiplied with to give the vector that the agreement is taken with. Pure. */
double ms_agreement_factor(const struct ms_routing *routing, double n);

/* Routing in float32, for shared maps and a softmax over the interests. False when the numbers grow beyond what float32
 * can hold exactly enough; then nothing is known of the outputs. On success z32 holds the last iteration's sums and
 * mass32 the routing mass. */
bool ms_mind_route_f32(struct ms_extractor *x, const struct ms_window *window);

/* Routing in double for the same options (with scales of any size), on the same kind of kernel. False when a logit
 * passes MS_FLOAT64_LOGITS. Results as ms_mind_route_exact's, with z64 padded to a whole tile. */
bool ms_mind_route_f64(struct ms_extractor *x, const struct ms_window *window);

/* Routing in double, for every option: z64 [K'u][stride] and mass64 [K'u]. */
void ms_mind_route_exact(struct ms_extractor *x, const struct ms_window *window);

/* The window's items to x64: [n, padded to 4 with zero rows][stride] where all interests see the same, [K'u][L][stride]
 * where each has its own. */
void ms_window_items_f64(struct ms_extractor *x, const struct ms_window *window);
/* Where logit (i, j) stands in the pairs of rows that the kernel in double works on. */
static inline double *ms_logit_in_pairs(double *b, size_t i, size_t j, size_t tiles)
{
    return b + (i / 2 * tiles + j / MS_TILE) * 2 * MS_TILE + i % 2 * MS_TILE + j % MS_TILE;
}

/* An item as routing takes it alone: see ms_item_vectors. */
const float *ms_mind_item_vectors(struct ms_extractor *x, uint32_t item, size_t position, int *count);

extern const struct ms_fold_ops ms_mind_fold;

#endif
