/* From behaviors to interests: capsule routing over a window (full), or one event at a time (incremental).
 *
 * An extractor holds the scratch memory of one thread; nothing here allocates once it is made, reads a clock,
 * or fails. Items are given by their numbers (ms_model_find), unknown items already left out, oldest first. */
#ifndef MINDSTREAM_EXTRACT_H
#define MINDSTREAM_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/api.h"
#include "mindstream/model.h"

MS_API_BEGIN

/* The interests of one user. The arrays belong to the extractor that made them and hold until its next call.
 */
struct ms_interests {
    int count;            /* K'u; 0 when no behavior is routable, or when a number overflowed float32 */
    int dim;              /* floats of a vector */
    const float *vectors; /* [count][dim] after head and normalize */
    const float *weights; /* [count] share of the routing mass, summing to 1 */
};

#define MS_MAX_DECAYS 8

/* How the incremental fold forgets. Either decays by event (half_lives all 0) or half-lives in event time, or as the model
 * says (ms_fold_has_decays). */
struct ms_decay {
    int count; /* decays given; interest j takes decay j mod count. 0: the model's own */
    double per_event[MS_MAX_DECAYS];     /* in (0, 1] */
    int64_t half_life_ms[MS_MAX_DECAYS]; /* > 0 when decay goes by event time */
};

struct ms_extractor;

/* Makes an extractor on |model|, which must outlive it. Fails with MS_MEMORY only. */
enum ms_status ms_extractor_new(struct ms_extractor **extractor, const struct ms_model *model,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_extractor_destroy(struct ms_extractor *extractor);

/* Whether the interests that it made last have overflowed float32 on their way: they have count 0 then. Embeddings, or the
 * weights of a head, are too large. */
bool ms_extractor_overflowed(const struct ms_extractor *extractor);

/* The profile that is concatenated to every interest before the head, from now on: profile_dim floats, the
 * fields' embeddings in their order (several values of a field: their mean); copied. NULL, and a new
 * extractor: every field's default row. Without profile fields in the model it does nothing. */
void ms_extractor_set_profile(struct ms_extractor *extractor, const float *profile);

/* K'u = max(1, min(K, r(n))) for n >= 1 routable behaviors in the window (n beyond max_behaviors counts as that), 0 for
 * n = 0. */
int ms_interest_count(const struct ms_model *model, size_t n);

/* Extraction from the last max_behaviors of items[0..n). |initial_logits|, when not NULL, is [n][K] (or more rows: see
 * |logit_rows|) and replaces the model's initial logits: row i belongs to items[i]; rows n .. logit_rows-1 are those of
 * the window's empty slots (ms_extract_logit_rows). |coupling|, when not NULL, receives the last iteration's weights
 * [min(n, max_behaviors)][K], K'u used per row, the others 0. (MIND, CIKM'19, Algorithm 1.) For comirec-sa the coupling
 * is its attention; for sine the product that pools the items. */
struct ms_interests ms_extract_full(struct ms_extractor *extractor, const uint32_t *items, size_t n,
                                    const float *initial_logits, size_t logit_rows, float *coupling);

/* How many rows of initial logits a call with |items| items may bring: |items|, or max_behaviors where the window's
 * empty slots take part. 0: the model's extractor has no initial logits. */
size_t ms_extract_logit_rows(const struct ms_model *model, size_t items);

/* One item alone, as the extractor takes it where it is behavior number |position| of its window: *count vectors of
 * ms_item_vector_dim floats, one or one for each interest. They belong to the model or the extractor, and hold until
 * the extractor's next call. */
const float *ms_item_vectors(struct ms_extractor *extractor, uint32_t item, size_t position, int *count);
int ms_item_vector_dim(const struct ms_model *model);

/* Whether the model can be folded one event at a time; if not, MS_CONFIG and what stands against it. */
enum ms_status ms_fold_supported(const struct ms_model *model, struct ms_error *error) MS_MUST_CHECK;

/* Whether the model has decays of its own: g_j(x) = sigmoid(routing.decay_j + <column j of routing.decay_gate, e_x>) for
 * interest j at an event with item x. With them the softmax of an event runs over all K'u interests. */
bool ms_fold_has_decays(const struct ms_model *model);

/* Floats of one user's fold state: what the extractor keeps of each interest, and the sums. All zeros is a user without
 * events. 0 where the extractor cannot be folded at all. */
size_t ms_fold_floats(const struct ms_model *model);

/* How many of them, from the front, a state needs with |events_folded| events in it: the sums of interests that it does
 * not have yet (K'u < K) come last, are zeros and may be missing. Never falls as |events_folded| rises; 0 counts as 1. */
size_t ms_fold_floats_at(const struct ms_model *model, uint64_t events_folded);

/* Folds one event with item |item| into |state| (ms_fold_floats_at(model, events_folded) floats, fastest on a boundary
 * of 64 bytes). |events_folded| is the number of routable events folded so far, this one included. |age_ms| is how far
 * the newest event time moved (>= 0), |late_ms| how far this event lies behind it (>= 0); both matter only where decay
 * goes by event time. |mass| is what the event counts: 1, or ms_model_event_weight of its type. Only where
 * ms_fold_supported. */
void ms_fold_event(struct ms_extractor *extractor, const struct ms_decay *decay, float *state,
                   uint64_t events_folded, uint32_t item, int64_t age_ms, int64_t late_ms, double mass);

/* Brings what folding item |item| reads towards the cache, some events ahead of it. Changes nothing. */
void ms_fold_prefetch(const struct ms_extractor *extractor, uint32_t item);

/* The interests of a fold state; weights are the decayed shares of routing mass. Only where ms_fold_supported. */
struct ms_interests ms_fold_interests(struct ms_extractor *extractor, const float *state,
                                      uint64_t events_folded);

MS_API_END

#endif
