/* For tests of users and of their storage: a small model, a source of random events, and a naive user to hold
 * the real one against. The naive user keeps every accepted event in one sorted array and derives all else
 * from it. Whatever fails ends the test program. */
#ifndef TESTS_USER_LIVES_H
#define TESTS_USER_LIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/apply.h"

#define LIFE_ITEMS 48 /* ids the source draws from; the model knows the first 40 */

struct life_model {
    struct ms_model *model;
    struct ms_extractor *extractor;
};

/* A mind model of |interests| capsules of |dim| floats over a window of 20 behaviors, its values drawn from
 * |seed|. */
void life_model_open(struct life_model *life, uint64_t seed, int interests, int dim);
void life_model_close(struct life_model *life);
void life_folder(struct ms_fold_context *fold_context, const struct life_model *life, bool incremental,
                 uint32_t behaviors_max);

uint64_t life_random(uint64_t *state);

/* Events as they come: in order, at equal times, late by a little or a lot, repeated, far ahead. */
struct life_source {
    uint64_t random;
    int64_t now_ms;
    uint32_t late_percent; /* how disorderly */
    uint32_t ahead_per_mille;
    struct ms_event recent[32];
    uint32_t count;
};
void life_source_start(struct life_source *source, uint64_t seed);
/* The strings in the event live as long as the program. The user is the caller's to set. */
struct ms_event life_next(struct life_source *source);

struct naive_behavior {
    int64_t time_ms;
    uint64_t arrival;
    uint32_t row;
    struct ms_bytes item, type;
};

struct naive_user {
    struct naive_behavior *all; /* every accepted event since the user began, by (time, arrival) */
    size_t count, capacity;
    uint64_t version, events_folded, arrivals;
    int64_t last_time_ms, sums_time_ms;
    uint16_t slots, slots_max;
    float *sums;
};

void naive_free(struct naive_user *user);
void naive_forget(struct naive_user *user);
/* The kept behaviors: the last of all. */
const struct naive_behavior *naive_kept(const struct naive_user *user, uint32_t behaviors_max, size_t *count);
/* Folds one event; false when it is a duplicate. */
bool naive_fold(struct naive_user *user, struct ms_fold_context *fold_context, const struct ms_event *event,
                uint32_t row);
/* Starts anew from the kept behaviors, as a change of model or settings does. |before_max| is what bounded
 * them. */
void naive_refold(struct naive_user *user, struct ms_fold_context *fold_context, uint32_t before_max);

/* Whether a complete user equals the naive one in everything; ends the test, saying |where|, when not. */
void naive_compare(const struct naive_user *naive, const struct ms_user *user,
                   const struct ms_fold_context *fold_context, const char *where);
/* The counters and sums alone, which an incomplete user has too. */
void naive_compare_counters(const struct naive_user *naive, const struct ms_user *user,
                            const struct ms_fold_context *fold_context, const char *where);

#endif
