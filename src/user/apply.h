/* What an event does to a user: the one place where state changes.
 *
 * The state of a partition is a pure fold of its events under one fold id, whatever the batches, threads,
 * flushes and restarts. A fold context is made once per thread and model; it allocates only when a user's block
 * must grow. */
#ifndef MS_USER_APPLY_H
#define MS_USER_APPLY_H

#include "event/event.h"
#include "mindstream/extract.h"
#include "user/profile.h"
#include "user/user.h"

struct ms_fold_context {
    const struct ms_model *model;
    struct ms_extractor *extractor;
    struct ms_decay decay;
    bool incremental;
    uint32_t behaviors_max;
    uint64_t fold_id;
    uint32_t first_floats; /* of a new user's sums; 0 in full mode */
    uint32_t *rows;        /* scratch: item rows of a window */
    struct ms_json *json;  /* reads profiles; NULL where the model has none */
    float *profile;        /* scratch: [profile_dim] */
};

/* Readies a fold_context. |extractor| and |model| stay the caller's and outlive it. The fold id names the model's
 * content and the settings that change what a fold yields. */
enum ms_status ms_fold_context_init(struct ms_fold_context *fold_context, const struct ms_model *model,
                                    struct ms_extractor *extractor, bool incremental,
                                    const struct ms_decay *decay, uint32_t behaviors_max,
                                    struct ms_error *error) MS_MUST_CHECK;
void ms_fold_context_free(struct ms_fold_context *fold_context);

/* Whether this event can only be folded once the user's chunks are in memory (ms_user_decode_chunks). */
bool ms_fold_needs_history(const struct ms_fold_context *fold_context, const struct ms_user *user,
                           int64_t time_ms);

/* Whether the user may go without its chunks (ms_user_trim): events newer than them will not need them. */
bool ms_may_trim(const struct ms_fold_context *fold_context, const struct ms_user *user);

enum ms_folded {
    MS_FOLDED,    /* the version rose by one */
    MS_DUPLICATE, /* an exact duplicate of a kept behavior: nothing changed */
    MS_NO_MEMORY, /* the user is as it was */
};

/* Folds one event. |row| is its item's row or MS_NO_ITEM. The user has no need of its history (see above).
 * May move the user. Does not touch own_offset. */
enum ms_folded ms_fold(struct ms_fold_context *fold_context, struct ms_user **user,
                       const struct ms_event *event, uint32_t row);

/* Floats that the sums of a user of this fold id take: those of its interests. */
uint32_t ms_fold_context_floats(const struct ms_fold_context *fold_context, const struct ms_user *user);

/* A user stored under this fold id with its sums must have as many as its interests need, else MS_STATE. */
enum ms_status ms_fold_check(const struct ms_fold_context *fold_context, const struct ms_user *user,
                             struct ms_error *error) MS_MUST_CHECK;

/* Brings a complete user that was folded under another fold id to this one, or that was stored without its
 * sums: resolves its items, refolds the kept behaviors. The result equals a fresh user's with that history.
 * False when memory ended. */
bool ms_refold(struct ms_fold_context *fold_context, struct ms_user **user);

/* The user's interests now. They hold until the extractor's next call. */
struct ms_interests ms_user_interests(struct ms_fold_context *fold_context, const struct ms_user *user);

/* The rows of the user's routable behaviors in the window, oldest first, at most max_behaviors, and for each
 * which behavior it is (|places|, may be NULL). The user is complete and resolved. Returns how many. */
uint32_t ms_user_window(const struct ms_fold_context *fold_context, const struct ms_user *user,
                        uint32_t *rows, uint32_t *places);

#endif
