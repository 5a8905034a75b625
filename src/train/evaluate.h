/* What would the vectors have recalled? Each click of the second half of a history is predicted from those
 * before it, with the vectors that several ways of keeping them up to date would have had.
 *
 * Of a history of n clicks, half = n / 2 rounded down, clicks half + 1 .. n - 1 (from 0) are the targets. */
#ifndef MS_TRAIN_EVALUATE_H
#define MS_TRAIN_EVALUATE_H

#include "mindstream/extract.h"
#include "train/clicks.h"
#include "train/scorer.h"

enum ms_column_kind {
    MS_COLUMN_FULL,        /* full routing over the clicks before the target */
    MS_COLUMN_INCREMENTAL, /* those clicks folded one by one */
    MS_COLUMN_STALE,       /* full routing over clicks 0 .. half, for all targets */
    MS_COLUMN_LAST,        /* the last routable item before the target, as routing sees it: its projection, or
                              one for each interest where the map is per interest; no head */
};

struct ms_column {
    enum ms_column_kind kind;
    struct ms_decay decay; /* incremental */
    /* out: */
    struct ms_ranks ranks; /* of targets */
    double seconds;        /* CPU time of bringing vectors up to date, scoring left out */
    uint64_t steps;        /* how often that was done: once for each click from half + 1 on */
};

struct ms_evaluation {
    uint64_t targets; /* predicted, in each column */
    uint64_t skipped; /* clicks that would be targets, with items that the model does not know */
};

/* Whether a model can be evaluated at all (its vectors are as wide as the item embedding), and whether it has
 * the column |kind|. MS_CONFIG says why not. */
enum ms_status ms_column_supported(const struct ms_model *model, enum ms_column_kind kind,
                                   struct ms_error *error) MS_MUST_CHECK;

/* Fills the columns. The numbers do not depend on |threads| (1 or more), times excepted. A target without a
 * routable click before it is a miss. Writes its progress to stderr. MS_MEMORY. */
enum ms_status ms_evaluate(const struct ms_model *model, const struct ms_histories *histories,
                           struct ms_column *columns, int column_count, int threads,
                           struct ms_evaluation *evaluation, struct ms_error *error) MS_MUST_CHECK;

struct ms_metric {
    double value, standard_error;
};

/* The share of targets among the first |cut| <= MS_RANKS ranks; and the mean of 1 / log2(1 + rank) over them,
 * 0 beyond the cut. The standard error is sqrt(variance / n). 0 where there is no target. Pure. */
struct ms_metric ms_recall(const struct ms_ranks *ranks, int cut);
struct ms_metric ms_ndcg(const struct ms_ranks *ranks, int cut);

#endif
