/* Views made by hand, for tests of their text and JSON. */
#ifndef TESTS_SAMPLE_VIEWS_H
#define TESTS_SAMPLE_VIEWS_H

#include "view/user.h"

#define BYTES(text) ((struct ms_bytes){text, sizeof text - 1})

/* Two interests of two numbers, three behaviors: in the window, before it, unknown. In incremental mode. */
struct sample_view {
    struct ms_user_view view;
    struct ms_view_interest interests[2];
    struct ms_view_behavior behaviors[3];
    float vectors[4], coupling[2];
};

/* Fills |sample|; the view points into it. */
static inline void sample_view_init(struct sample_view *sample)
{
    *sample = (struct sample_view){
        .vectors = {3, 4, 0.5f, 0},
        .coupling = {0.25f, 0.75f},
        .interests = {{.weight = 0.75f,
                       .norm = 5,
                       .nearest = {{BYTES("near"), 1.5}, {BYTES("less near"), -0.25}},
                       .nearest_count = 2},
                      {.weight = 0.25f, .norm = 0.5}},
        .behaviors = {{.item = BYTES("old"), .type = BYTES("click"), .time_ms = 1000, .known = true},
                      {.item = BYTES("gone"), .type = BYTES(""), .time_ms = 2000},
                      {.item = BYTES("new"), .type = BYTES("view"), .time_ms = 3000, .known = true}},
    };
    sample->interests[0].vector = sample->vectors;
    sample->interests[1].vector = sample->vectors + 2;
    sample->behaviors[2].coupling = sample->coupling;
    sample->view = (struct ms_user_view){.id = BYTES("u1"),
                                         .partition = 3,
                                         .partitions = {3},
                                         .partition_count = 1,
                                         .version = 9,
                                         .last_time_ms = 3000,
                                         .own_offset = 77,
                                         .fold_id = 0xabc,
                                         .slots_max = 2,
                                         .kept = 3,
                                         .behaviors = sample->behaviors,
                                         .behavior_count = 3,
                                         .interest_count = 2,
                                         .model = "m@1",
                                         .incremental = true,
                                         .model_fold_id = 0xabc,
                                         .dim = 2,
                                         .max_behaviors = 20,
                                         .window = 1,
                                         .coupling_count = 2,
                                         .has_nearest = true,
                                         .interests = sample->interests};
}

#endif
