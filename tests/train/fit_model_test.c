/* A small training: the vectors that the trainer believed in are those of the written model, and the number of threads changes
 * nothing. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/extract.h"
#include "model/model_writer.h"
#include "train/fit/engine.h"
#include "train/fit/output.h"

enum { USERS = 60, ITEMS = 40, DIM = 12 };

/* A log of users who walk around a circle of items. */
static char *write_log(const char *dir)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/log.csv", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("user_id,item_id,timestamp\n", file);
    for (unsigned u = 0; u < USERS; u++)
        for (unsigned i = 0; i < 3 + u % 30; i++)
            fprintf(file, "u%u,i%u,%u\n", u, (u * 7 + i + (unsigned)ms_draw_below(u, i, 3)) % ITEMS,
                    1700000000 + i * 60);
    fclose(file);
    return path;
}

struct training {
    struct ms_fit_clicks clicks;
    struct ms_fit_plan plan;
    struct ms_fit_learned learned;
    struct ms_fit_engine engine;
    struct ms_pool *pool;
};

static void free_training(struct training *t)
{
    ms_fit_engine_free(&t->engine);
    ms_pool_destroy(t->pool);
    ms_fit_learned_free(&t->learned);
    ms_fit_plan_free(&t->plan);
    ms_fit_clicks_free(&t->clicks);
}

static enum ms_status make_training(struct training *t, const char *log, const struct ms_fit_shape *shape,
                                    bool gated, int threads)
{
    const struct ms_events_options events = {.paths = &log, .path_count = 1};
    const struct ms_fit_split split = {.buckets = 1000};
    const struct ms_fit_plan_options plan = {
        .seed = 3, .targets = 64, .window = 8, .context = 3, .negatives = 30};
    struct ms_fit_start start = {.seed = 3,
                                 .gated = gated,
                                 .decays_learned = true,
                                 .logits_learned = true,
                                 .scale_learned = true,
                                 .scale = 10,
                                 .rate = 0.01,
                                 .decays = {0.7, 0.8, 0.9}};
    enum ms_status status;
    *t = (struct training){0};
    if ((status = ms_fit_clicks_read(&t->clicks, &events, &split, NULL, NULL)) ||
        (status = ms_fit_plan_new(&t->plan, &t->clicks, &plan, NULL)) ||
        (status = ms_fit_learned_new(&t->learned, shape, t->clicks.item_count, &start, NULL)) ||
        (status = ms_pool_new(&t->pool, threads, NULL)) ||
        (status = ms_fit_engine_new(&t->engine, &t->learned, &t->plan, t->pool, threads, NULL)))
        return status;
    return MS_OK;
}

/* Some passes; *loss is that of the last batch. */
static enum ms_status train(struct training *t, size_t passes, double *loss)
{
    enum ms_status status = MS_OK;
    for (size_t pass = 1; pass <= passes && status == MS_OK; pass++) {
        status = ms_fit_plan_epoch(&t->plan, pass, NULL);
        while (status == MS_OK && ms_fit_plan_next(&t->plan))
            status = ms_fit_engine_step(&t->engine, loss, NULL);
    }
    return status == MS_OK ? ms_fit_engine_settle(&t->engine, NULL) : status;
}

static void compare_user(struct training *t, struct ms_fit_shard_f32 *shard, const struct ms_model *model,
                         uint32_t user)
{
    const struct ms_decay decay = {.count = 0}; /* the model's own */
    size_t first = t->clicks.first[user], count = t->clicks.first[user + 1] - first;
    size_t K = t->learned.shape.interests, D = t->learned.shape.stride;
    float *vectors = aligned_alloc(64, count * K * D * sizeof *vectors);
    float *state = aligned_alloc(64, 4096);
    struct ms_extractor *extractor = NULL;
    assert_non_null(vectors);
    assert_non_null(state);
    assert_true(ms_fold_floats(model) * sizeof *state <= 4096);
    memset(state, 0, 4096);
    assert_int_equal(ms_extractor_new(&extractor, model, NULL), MS_OK);
    t->engine.functions->fold(&t->engine.step, shard, t->clicks.events + first, count, vectors);
    for (size_t i = 0; i < count; i++) {
        const struct ms_bytes *id = &t->clicks.ids[t->clicks.events[first + i]];
        ms_fold_event(extractor, &decay, state, i + 1, ms_model_find(model, id->data, id->size), 0, 0, 1.0);
        struct ms_interests interests = ms_fold_interests(extractor, state, i + 1);
        assert_int_equal(interests.count, K);
        for (size_t j = 0; j < K; j++)
            for (size_t c = 0; c < DIM; c++)
                assert_true(fabs((double)interests.vectors[j * DIM + c] -
                                 (double)vectors[(i * K + j) * D + c]) < 1e-5);
    }
    ms_extractor_destroy(extractor);
    free(state);
    free(vectors);
}

static void believes_what_is_served(bool own_maps, bool gated)
{
    char *dir = writer_temp_dir(), out[512];
    const struct ms_fit_shape shape = {.dim = DIM,
                                       .stride = 16,
                                       .interests = 3,
                                       .maps = own_maps ? 3 : 1,
                                       .by_max = true,
                                       .dropout = 0.2,
                                       .iterations = 3};
    struct training t;
    struct ms_fit_shard_f32 shard;
    struct ms_model *model = NULL;
    double loss = 0.0;
    assert_int_equal(make_training(&t, write_log(dir), &shape, gated, 2), MS_OK);
    assert_int_equal(train(&t, 1, &loss), MS_OK);
    double begun = loss;
    assert_int_equal(train(&t, 12, &loss), MS_OK);
    assert_true(loss < begun - 0.5);
    snprintf(out, sizeof out, "%s/model", dir);
    const struct ms_fit_options options = {.out = out,
                                           .dim = DIM,
                                           .interests = 3,
                                           .decay = gated ? MS_FIT_DECAY_ITEM : MS_FIT_DECAY_LEARNED,
                                           .map_per_interest = own_maps,
                                           .window = 8};
    const struct ms_fit_result result = {.epochs = 13, .best_epoch = 13};
    assert_int_equal(ms_fit_write(&options, &t.clicks, &t.learned, &result, NULL), MS_OK);
    assert_int_equal(ms_model_load(&model, out, NULL), MS_OK);
    const struct ms_fit_limits limits = {.window_events = 64, .negatives = 1};
    assert_true(t.engine.functions->shard_new(&shard, &shape, &limits));
    for (uint32_t user = 0; user < t.clicks.user_count; user++)
        compare_user(&t, &shard, model, user);
    /* Numbers that are not finite are never written. */
    t.learned.items.values[5] = NAN;
    assert_int_equal(ms_fit_write(&options, &t.clicks, &t.learned, &result, NULL), MS_MODEL);
    ms_model_destroy(model);
    t.engine.functions->shard_free(&shard);
    free_training(&t);
    writer_remove(out);
    writer_remove(dir);
    free(dir);
}

static void shared_map(void **state)
{
    (void)state;
    believes_what_is_served(false, true);
}

static void map_per_interest(void **state)
{
    (void)state;
    believes_what_is_served(true, false);
}

/* The same numbers to the last bit. */
static void threads_change_nothing(void **state)
{
    char *dir = writer_temp_dir();
    const struct ms_fit_shape shape = {
        .dim = DIM, .stride = 16, .interests = 3, .maps = 1, .by_max = true, .dropout = 0.2, .iterations = 3};
    struct training one, three;
    double loss;
    (void)state;
    const char *log = write_log(dir);
    assert_int_equal(make_training(&one, log, &shape, true, 1), MS_OK);
    assert_int_equal(make_training(&three, log, &shape, true, 3), MS_OK);
    assert_int_equal(train(&one, 3, &loss), MS_OK);
    assert_int_equal(train(&three, 3, &loss), MS_OK);
    assert_memory_equal(one.learned.items.values, three.learned.items.values,
                        one.clicks.item_count * 16 * sizeof(float));
    assert_memory_equal(one.learned.logits.values, three.learned.logits.values,
                        one.clicks.item_count * 16 * sizeof(float));
    assert_memory_equal(one.learned.dense.values, three.learned.dense.values,
                        one.learned.dense_count * sizeof(float));
    free_training(&one);
    free_training(&three);
    writer_remove(dir);
    free(dir);
}

/* Every event of a user but the first is a target once in a pass, with what is before it. */
static void every_event_is_a_target(void **state)
{
    char *dir = writer_temp_dir();
    const struct ms_fit_shape shape = {.dim = DIM, .stride = 16, .interests = 1, .maps = 1, .iterations = 3};
    struct training t;
    (void)state;
    assert_int_equal(make_training(&t, write_log(dir), &shape, false, 1), MS_OK);
    size_t *seen = calloc(t.clicks.event_count, sizeof *seen), targets = 0, drawn = 0;
    assert_non_null(seen);
    assert_int_equal(ms_fit_plan_epoch(&t.plan, 1, NULL), MS_OK);
    for (size_t i = 0; i < t.plan.stretch_count; i++) {
        const struct ms_fit_stretch *stretch = &t.plan.stretches[i];
        assert_in_range(stretch->context, 1, 3);
        for (size_t e = stretch->first; e < stretch->first + stretch->count; e++)
            seen[e]++;
    }
    for (uint32_t u = 0; u < t.clicks.user_count; u++)
        for (size_t e = t.clicks.first[u]; e < t.clicks.first[u + 1]; e++) {
            assert_int_equal(seen[e], t.clicks.trained[u] > 0 && e > t.clicks.first[u]);
            targets += seen[e];
        }
    assert_int_equal(targets, t.plan.epoch_targets);
    while (ms_fit_plan_next(&t.plan))
        drawn += t.plan.batch.target_count;
    assert_int_equal(drawn, targets);
    free(seen);
    free_training(&t);
    writer_remove(dir);
    free(dir);
}

/* A split by time: every click from then on is predicted, and none is trained on. */
static void split_by_time(void **state)
{
    char *dir = writer_temp_dir();
    const char *log = write_log(dir);
    const struct ms_events_options events = {.paths = &log, .path_count = 1};
    const struct ms_fit_split split = {.by_time = true, .time_ms = (INT64_C(1700000000) + 10 * 60) * 1000};
    struct ms_fit_clicks clicks = {0};
    (void)state;
    assert_int_equal(ms_fit_clicks_read(&clicks, &events, &split, NULL, NULL), MS_OK);
    for (uint32_t u = 0; u < clicks.user_count; u++) {
        struct ms_fit_targets targets;
        size_t count = clicks.first[u + 1] - clicks.first[u];
        assert_int_equal(clicks.trained[u], count < 10 ? count : 10);
        assert_int_equal(ms_fit_clicks_targets(&clicks, u, 0, 200, &targets), count > 10);
        if (count <= 10)
            continue;
        assert_int_equal(targets.begin, 0);
        assert_int_equal(targets.from, 10);
        assert_int_equal(targets.end, count);
        /* Of a long history the last events before the first target are folded. */
        assert_true(ms_fit_clicks_targets(&clicks, u, 0, 8, &targets));
        assert_int_equal(targets.begin, 6);
        assert_int_equal(targets.from, 10);
        assert_int_equal(targets.end, count < 14 ? count : 14);
    }
    ms_fit_clicks_free(&clicks);
    writer_remove(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_map),
        cmocka_unit_test(map_per_interest),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(every_event_is_a_target),
        cmocka_unit_test(split_by_time),
    };
    return cmocka_run_group_tests_name("train_fit_model", tests, NULL, NULL);
}
