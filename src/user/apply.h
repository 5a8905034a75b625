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
    bool weighs; /* events by their types */
    uint32_t behaviors_max;
    uint64_t fold_id;
    uint32_t first_floats; /* of a new user's sums; 0 in full mode */
    uint32_t *items;       /* scratch: the items of a window */
    struct ms_json *json;  /* reads profiles; NULL where the model has none */
    float *profile;        /* scratch: [profile_dim] */
};

/* Readies a fold context. |extractor| and |model| stay the caller's and outlive it. The fold id names the model's
 * content and the settings that change what a fold yields. */
enum ms_status ms_fold_context_init(struct ms_fold_context *fold_context, const struct ms_model *model,
                                    struct ms_extractor *extractor, bool incremental,
                                    const struct ms_decay *decay, uint32_t behaviors_max,
                                    struct ms_error *error) MS_MUST_CHECK;
void ms_fold_context_free(struct ms_fold_context *fold_context);

/* Whether an event at this time needs the user's chunks in memory (ms_user_decode_chunks). */
bool ms_fold_needs_history(const struct ms_fold_context *fold_context, const struct ms_user *user,
                           int64_t time_ms);

/* Whether the user may do without its chunks (ms_user_trim): events newer than them will not need them. */
bool ms_may_trim(const struct ms_fold_context *fold_context, const struct ms_user *user);

enum ms_folded {
    MS_FOLDED,    /* the version rose by one */
    MS_DUPLICATE, /* an exact duplicate of a kept behavior: nothing changed */
    MS_NO_MEMORY, /* the user is as it was */
};

/* Folds one event. |item| is the model's number of its item, or MS_NO_ITEM. The event must not need the user's
 * history (ms_fold_needs_history). May move the user. Leaves own_offset as it is. */
enum ms_folded ms_fold(struct ms_fold_context *fold_context, struct ms_user **user,
                       const struct ms_event *event, uint32_t item);

/* How many floats the sums of a user of this fold id take: those of its interests. */
uint32_t ms_fold_context_floats(const struct ms_fold_context *fold_context, const struct ms_user *user);

/* MS_STATE when a user that was stored under this fold id with its sums has fewer than its interests need. */
enum ms_status ms_fold_check(const struct ms_fold_context *fold_context, const struct ms_user *user,
                             struct ms_error *error) MS_MUST_CHECK;

/* Resolves the items of all behaviors in memory and counts the routable ones. */
void ms_user_resolve(struct ms_user *user, const struct ms_model *model);

/* Resolves and refolds the kept behaviors of a complete user: one that was folded under another fold id, or
 * that was stored without its sums. The result equals that of a new user with this history. False when memory
 * ended. */
bool ms_refold(struct ms_fold_context *fold_context, struct ms_user **user);

/* The user's interests now. They hold until the extractor's next call. */
struct ms_interests ms_user_interests(struct ms_fold_context *fold_context, const struct ms_user *user);

/* The items of the user's routable behaviors in the window, oldest first, at most max_behaviors, and for each
 * the index of its behavior (|indices|, may be NULL). The user is complete and resolved. Returns how many. */
uint32_t ms_user_window(const struct ms_fold_context *fold_context, const struct ms_user *user,
                        uint32_t *items, uint32_t *indices);

#endif
