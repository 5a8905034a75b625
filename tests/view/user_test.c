/* Views of users: what they say equals what the user and the model say, and the user is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "user/lives.h"
#include "view/user.h"

#define INTERESTS     3
#define DIM           6 /* as wide as the items, so that there are inner products */
#define WINDOW        20
#define BEHAVIORS_MAX 64

static const struct ms_decay usual_decay = {.count = 1, .per_event = {0.9}};
static struct life_model life;

static int open_model(void **state)
{
    (void)state;
    life_model_open(&life, 11, INTERESTS, DIM);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    life_model_close(&life);
    return 0;
}

static struct ms_viewer *make_viewer(enum ms_routing_mode mode, const struct ms_decay *decay)
{
    struct ms_viewer *viewer = NULL;
    struct ms_error error;
    assert_int_equal(ms_viewer_new(&viewer, life.model, mode, decay, BEHAVIORS_MAX, &error), MS_OK);
    return viewer;
}

/* A user of |count| events with increasing times; of items that the model knows, or does not from |unknown| on. */
static struct ms_user *make_user(struct ms_fold_context *context, uint32_t count, uint32_t unknown)
{
    const struct ms_bytes id = {"the user", 8};
    struct ms_user *user = ms_user_new(5, id, context->first_floats);
    assert_non_null(user);
    user->fold_id = context->fold_id;
    for (uint32_t i = 0; i < count; i++) {
        char item[32];
        size_t size = (size_t)snprintf(item, sizeof item, i < unknown ? "item-%u" : "nowhere-%u", i % 3);
        const struct ms_event event = {.item = {item, size}, .type = {"click", 5}, .time_ms = 1000 + i};
        uint32_t number = ms_model_find(life.model, item, size);
        assert_int_equal(ms_fold(context, &user, &event, number), MS_FOLDED);
    }
    user->own_offset = 40;
    return user;
}

static struct ms_user_view *make_view(struct ms_viewer *viewer, const struct ms_user *user)
{
    struct ms_user_view *view = NULL;
    struct ms_error error;
    if (ms_user_view_new(&view, viewer, user, &error) != MS_OK)
        fail_msg("%s", error.text);
    return view;
}

/* Vectors, weights and norms are those of the fold context, bit for bit. */
static void check_interests(const struct ms_user_view *view, struct ms_fold_context *context,
                            const struct ms_user *user)
{
    struct ms_interests expected = ms_user_interests(context, user);
    assert_int_equal(view->interest_count, expected.count);
    assert_int_equal(view->dim, expected.dim);
    for (int k = 0; k < expected.count; k++) {
        const struct ms_view_interest *interest = &view->interests[k];
        double square = 0;
        for (int i = 0; i < DIM; i++)
            square += (double)interest->vector[i] * (double)interest->vector[i];
        assert_memory_equal(interest->vector, expected.vectors + k * DIM, DIM * sizeof(float));
        assert_memory_equal(&interest->weight, &expected.weights[k], sizeof(float));
        assert_true(interest->norm == sqrt(square));
    }
}

static double score_of(const float *vector, uint32_t item)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++)
        sum += (double)vector[i] * (double)ms_model_item_embedding(life.model, item)[i];
    return sum;
}

/* The nearest items are in order, and no other item is nearer. */
static void check_nearest(const struct ms_user_view *view)
{
    assert_true(view->has_nearest);
    for (int k = 0; k < view->interest_count; k++) {
        const struct ms_view_interest *interest = &view->interests[k];
        assert_int_equal(interest->nearest_count, MS_VIEW_NEAREST);
        int better = 0;
        for (uint32_t item = 0; item < ms_model_item_count(life.model); item++)
            better += score_of(interest->vector, item) > interest->nearest[MS_VIEW_NEAREST - 1].score;
        assert_int_equal(better, MS_VIEW_NEAREST - 1);
        for (size_t i = 0; i < MS_VIEW_NEAREST; i++) {
            const struct ms_view_item *near = &interest->nearest[i];
            uint32_t item = ms_model_find(life.model, near->item.data, near->item.size);
            assert_int_not_equal(item, MS_NO_ITEM);
            assert_true(near->score == score_of(interest->vector, item));
            assert_true(i == 0 || near->score <= near[-1].score);
        }
    }
}

/* Couplings of the behaviors in the window are those of full routing over it. */
static void check_couplings(const struct ms_user_view *view, struct ms_fold_context *context)
{
    uint32_t items[WINDOW];
    float expected[WINDOW * INTERESTS];
    size_t count = 0, seen = 0;
    for (size_t i = 0; i < view->behavior_count; i++) {
        const struct ms_view_behavior *behavior = &view->behaviors[i];
        if (behavior->coupling)
            items[count++] = ms_model_find(life.model, behavior->item.data, behavior->item.size);
    }
    assert_int_equal(count, view->window);
    memset(expected, 0, sizeof expected);
    ms_extract_full(context->extractor, items, count, NULL, 0, expected);
    for (size_t i = 0; i < view->behavior_count; i++) {
        if (view->behaviors[i].coupling)
            assert_memory_equal(view->behaviors[i].coupling, expected + INTERESTS * seen++,
                                INTERESTS * sizeof(float));
    }
}

/* The view works on copies. The spare room of a block has no value, so that not all of it is compared. */
static void assert_left_alone(const struct ms_user *user, const struct ms_user *before)
{
    assert_int_equal(user->version, before->version);
    assert_int_equal(user->fold_id, before->fold_id);
    assert_int_equal(user->events_folded, before->events_folded);
    assert_int_equal(user->kept, before->kept);
    assert_int_equal(user->slots, before->slots);
    assert_int_equal(user->count, before->count);
    assert_int_equal(user->floats, before->floats);
    assert_int_equal(user->text_used, before->text_used);
    assert_memory_equal(ms_user_sums(user), ms_user_sums(before), user->floats * sizeof(float));
    assert_memory_equal(ms_user_text(user), ms_user_text(before), user->text_used);
    for (uint32_t i = 0; i < user->count; i++) {
        const struct ms_behavior *a = &ms_user_behaviors(user)[i], *b = &ms_user_behaviors(before)[i];
        assert_int_equal(a->time_ms, b->time_ms);
        assert_int_equal(a->arrival, b->arrival);
        assert_int_equal(a->item, b->item);
        assert_int_equal(a->text, b->text);
    }
}

static void check_mode(bool incremental)
{
    struct ms_fold_context context;
    life_folder(&context, &life, incremental, BEHAVIORS_MAX);
    struct ms_user *user = make_user(&context, 40, 40), *before = ms_user_copy(user);
    struct ms_viewer *viewer = make_viewer(MS_ROUTING_AUTO, &usual_decay);
    struct ms_user_view *view = make_view(viewer, user);
    assert_non_null(before);
    assert_left_alone(user, before);
    assert_int_equal(view->incremental, incremental);
    assert_false(view->refolded);
    assert_true(view->fold_id == context.fold_id && view->model_fold_id == context.fold_id);
    assert_string_equal(view->model, ms_model_config(life.model)->id);
    assert_memory_equal(view->id.data, "the user", 8);
    assert_int_equal(view->partition, 5);
    assert_int_equal(view->partition_count, 1);
    assert_int_equal(view->partitions[0], 5);
    assert_int_equal(view->version, 40);
    assert_int_equal(view->last_time_ms, 1039);
    assert_int_equal(view->own_offset, 40);
    assert_int_equal(view->kept, 40);
    assert_int_equal(view->behavior_count, 40);
    assert_int_equal(view->slots_max, user->slots_max);
    assert_int_equal(view->max_behaviors, WINDOW);
    assert_int_equal(view->window, WINDOW);
    assert_int_equal(view->profile.size, 0);
    for (size_t i = 0; i < 40; i++) {
        const struct ms_view_behavior *behavior = &view->behaviors[i];
        assert_int_equal(behavior->time_ms, 1000 + i);
        assert_memory_equal(behavior->type.data, "click", 5);
        assert_true(behavior->known);
        assert_int_equal(behavior->coupling != NULL, i >= 40 - WINDOW);
    }
    check_interests(view, &context, user);
    check_nearest(view);
    check_couplings(view, &context);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    free(before);
    free(user);
}

static void incremental_user(void **state)
{
    (void)state;
    check_mode(true);
}

static void full_user(void **state)
{
    (void)state;
    check_mode(false);
}

/* Another decay: a copy is folded again, from what is kept. */
static void refolded_user(void **state)
{
    (void)state;
    const struct ms_decay other_decay = {.count = 1, .per_event = {0.5}};
    struct ms_fold_context context;
    struct ms_error error;
    life_folder(&context, &life, true, BEHAVIORS_MAX);
    struct ms_user *user = make_user(&context, 30, 30), *before = ms_user_copy(user);
    struct ms_viewer *viewer = make_viewer(MS_ROUTING_INCREMENTAL, &other_decay);
    struct ms_user_view *view = make_view(viewer, user);
    assert_non_null(before);
    assert_left_alone(user, before);
    assert_true(view->refolded && view->incremental);
    assert_true(view->fold_id == context.fold_id);
    assert_true(view->model_fold_id != context.fold_id);
    ms_fold_context_free(&context);
    assert_int_equal(
        ms_fold_context_init(&context, life.model, life.extractor, true, &other_decay, BEHAVIORS_MAX, &error),
        MS_OK);
    assert_true(view->model_fold_id == context.fold_id);
    assert_true(ms_refold(&context, &before));
    check_interests(view, &context, before);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    free(before);
    free(user);
}

/* A viewer of one mode folds a user of the other mode again; with auto it knows both (see above). */
static void user_of_the_other_mode(void **state)
{
    (void)state;
    struct ms_fold_context context;
    life_folder(&context, &life, true, BEHAVIORS_MAX);
    struct ms_user *user = make_user(&context, 8, 8);
    struct ms_viewer *viewer = make_viewer(MS_ROUTING_FULL, &usual_decay);
    struct ms_user_view *view = make_view(viewer, user);
    assert_true(view->refolded && !view->incremental);
    assert_int_equal(view->window, 8);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    free(user);
}

static void unknown_items(void **state)
{
    (void)state;
    struct ms_fold_context context;
    life_folder(&context, &life, false, BEHAVIORS_MAX);
    struct ms_viewer *viewer = make_viewer(MS_ROUTING_FULL, &usual_decay);
    struct ms_user *user = make_user(&context, 6, 4);
    struct ms_user_view *view = make_view(viewer, user);
    assert_int_equal(view->window, 4);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(view->behaviors[i].known, i < 4);
        assert_int_equal(view->behaviors[i].coupling != NULL, i < 4);
    }
    check_couplings(view, &context);
    ms_user_view_destroy(view);
    free(user);
    /* None known at all: no interest, and nothing to couple to. */
    user = make_user(&context, 3, 0);
    view = make_view(viewer, user);
    assert_int_equal(view->interest_count, 0);
    assert_int_equal(view->window, 0);
    assert_int_equal(view->coupling_count, 0);
    assert_int_equal(view->behavior_count, 3);
    assert_false(view->behaviors[2].known);
    assert_null(view->behaviors[2].coupling);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    free(user);
}

/* A user that has a profile and no events, and one that was forgotten. */
static void user_without_events(void **state)
{
    (void)state;
    struct ms_fold_context context;
    life_folder(&context, &life, true, BEHAVIORS_MAX);
    struct ms_viewer *viewer = make_viewer(MS_ROUTING_AUTO, &usual_decay);
    struct ms_user *user = make_user(&context, 0, 0);
    assert_true(ms_user_set_profile(&user, (struct ms_bytes){"{\"a\":1}", 7}));
    struct ms_user_view *view = make_view(viewer, user);
    assert_int_equal(view->version, 0);
    assert_true(view->last_time_ms == INT64_MIN);
    assert_int_equal(view->profile.size, 7);
    assert_memory_equal(view->profile.data, "{\"a\":1}", 7);
    assert_int_equal(view->interest_count, 0);
    assert_int_equal(view->behavior_count, 0);
    ms_user_view_destroy(view);
    free(user);
    user = make_user(&context, 12, 12);
    ms_user_clear(user);
    view = make_view(viewer, user);
    assert_int_equal(view->version, 0);
    assert_true(view->last_time_ms == INT64_MIN);
    assert_int_equal(view->behavior_count, 0);
    assert_int_equal(view->interest_count, 0);
    assert_int_equal(view->slots_max, 0);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    free(user);
}

static void without_a_model(void **state)
{
    (void)state;
    struct ms_fold_context context;
    life_folder(&context, &life, true, BEHAVIORS_MAX);
    struct ms_user *user = make_user(&context, 7, 7);
    struct ms_user_view *view = make_view(NULL, user);
    free(user); /* the view has a copy */
    assert_null(view->model);
    assert_null(view->interests);
    assert_int_equal(view->version, 7);
    assert_int_equal(view->interest_count, ms_interest_count(life.model, 7));
    assert_true(view->fold_id == context.fold_id);
    assert_int_equal(view->behavior_count, 7);
    assert_int_equal(view->behaviors[6].time_ms, 1006);
    assert_memory_equal(view->behaviors[6].item.data, "item-0", 6);
    assert_null(view->behaviors[6].coupling);
    ms_user_view_destroy(view);
    ms_fold_context_free(&context);
}

/* Items of another width than the vectors: there is nothing to take inner products with. */
static void no_inner_products(void **state)
{
    (void)state;
    struct life_model narrow;
    struct ms_fold_context context;
    struct ms_viewer *viewer = NULL;
    struct ms_error error;
    life_model_open(&narrow, 12, 2, DIM - 1);
    life_folder(&context, &narrow, true, BEHAVIORS_MAX);
    assert_int_equal(
        ms_viewer_new(&viewer, narrow.model, MS_ROUTING_AUTO, &usual_decay, BEHAVIORS_MAX, &error), MS_OK);
    struct ms_user *user = make_user(&context, 9, 9);
    struct ms_user_view *view = make_view(viewer, user);
    assert_int_equal(view->dim, DIM - 1);
    assert_false(view->has_nearest);
    assert_true(view->interest_count > 0);
    assert_int_equal(view->interests[0].nearest_count, 0);
    ms_user_view_destroy(view);
    ms_viewer_destroy(viewer);
    ms_fold_context_free(&context);
    life_model_close(&narrow);
    free(user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incremental_user), cmocka_unit_test(full_user),
        cmocka_unit_test(refolded_user),    cmocka_unit_test(user_of_the_other_mode),
        cmocka_unit_test(unknown_items),    cmocka_unit_test(user_without_events),
        cmocka_unit_test(without_a_model),  cmocka_unit_test(no_inner_products),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
