/* The gradient of a training step against central differences, in double, for every kind of parameter; and draws by weight. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/fit/draw.h"
#include "train/fit/step.h"

#define ITEMS     23
#define NEGATIVES 11
#define DIM       6
#define STRIDE    16
#define EVENTS    32
#define STEP      1e-5

/* A small model with random numbers, and a batch of four windows, one of them with context. */
struct small {
    struct ms_fit_step_f64 step;
    struct ms_fit_shard_f64 shard;
    double *numbers; /* all parameters */
    size_t count;
    double *items, *logits, *maps, *decay, *gates;
    uint32_t events[EVENTS], negatives[NEGATIVES];
    float log_share[ITEMS];
    struct ms_fit_window windows[4];
};

static void make_batch(struct small *s)
{
    static const struct ms_fit_window windows[4] = {{0, 9, 1}, {9, 2, 1}, {11, 12, 5}, {23, 6, 1}};
    memcpy(s->windows, windows, sizeof windows);
    for (size_t i = 0; i < EVENTS; i++)
        s->events[i] = (uint32_t)ms_draw_below(5, i, ITEMS);
    for (size_t i = 0; i < NEGATIVES; i++)
        s->negatives[i] = (uint32_t)ms_draw_below(6, i, ITEMS);
    s->negatives[3] = s->events[4]; /* hit by accident */
    for (size_t i = 0; i < ITEMS; i++)
        s->log_share[i] = -(float)i / ITEMS;
    s->step.log_share = s->log_share;
    s->step.batch = (struct ms_fit_batch){.windows = s->windows,
                                          .window_count = 4,
                                          .items = s->events,
                                          .event_count = 29,
                                          .target_count = 8 + 1 + 7 + 5,
                                          .negatives = s->negatives,
                                          .negative_count = NEGATIVES,
                                          .seed = 17};
}

/* |count| rows of |width| random numbers. */
static void fill(double *rows, size_t count, size_t width, double size, uint64_t seed)
{
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < width; i++)
            rows[r * STRIDE + i] = size * ms_draw_normal(seed, r * width + i);
}

static void make_small(struct small *s, size_t interests, bool own_maps, bool gated, bool by_max)
{
    const struct ms_fit_shape shape = {.dim = DIM,
                                       .stride = STRIDE,
                                       .interests = interests,
                                       .maps = own_maps ? interests : 1,
                                       .by_max = by_max,
                                       .dropout = 0.3,
                                       .iterations = 3};
    const struct ms_fit_limits limits = {
        .events = EVENTS, .window_events = 12, .negatives = NEGATIVES, .gates = gated};
    const struct ms_fit_functions_f64 *functions = &ms_fit_functions_double;
    memset(s, 0, sizeof *s);
    assert_true(functions->step_new(&s->step, &shape, &limits));
    assert_true(functions->shard_new(&s->shard, &shape, &limits));
    s->count = (2 * ITEMS + shape.maps * STRIDE + interests + 1) * STRIDE;
    s->numbers = aligned_alloc(64, s->count * sizeof *s->numbers);
    assert_non_null(s->numbers);
    memset(s->numbers, 0, s->count * sizeof *s->numbers);
    s->items = s->numbers;
    s->logits = s->items + ITEMS * STRIDE;
    s->maps = s->logits + ITEMS * STRIDE;
    s->gates = s->maps + shape.maps * STRIDE * STRIDE;
    s->decay = s->gates + interests * STRIDE;
    fill(s->items, ITEMS, DIM, 0.7, 1);
    fill(s->logits, ITEMS, interests, 0.5, 2);
    for (size_t m = 0; m < shape.maps; m++)
        fill(s->maps + m * STRIDE * STRIDE, DIM, DIM, 0.6, 3 + m);
    fill(s->gates, interests, DIM, 0.4, 91);
    fill(s->decay, 1, interests, 1.0, 92);
    s->step.parameters = (struct ms_fit_parameters_f64){.items = s->items,
                                                        .logits = s->logits,
                                                        .logit_stride = STRIDE,
                                                        .maps = s->maps,
                                                        .decay = s->decay,
                                                        .gates = gated ? s->gates : NULL,
                                                        .log_scale = 0.4};
    make_batch(s);
}

static void free_small(struct small *s)
{
    ms_fit_functions_double.step_free(&s->step);
    ms_fit_functions_double.shard_free(&s->shard);
    free(s->numbers);
}

static double loss_of(struct small *s)
{
    ms_fit_functions_double.prepare(&s->step);
    ms_fit_functions_double.shard(&s->step, &s->shard, 0, s->step.batch.window_count);
    return s->shard.loss / (double)s->step.batch.target_count;
}

/* The gradient of all numbers, laid out as they are, and that of the scale. */
static double *gradient_of(struct small *s, double *scale)
{
    const struct ms_fit_shape *shape = &s->step.shape;
    double *d = calloc(s->count, sizeof *d);
    assert_non_null(d);
    loss_of(s);
    *scale = s->shard.d_scale;
    for (size_t i = 0; i < s->step.batch.event_count; i++) {
        for (size_t c = 0; c < STRIDE; c++)
            d[s->events[i] * STRIDE + c] += s->step.d_items[i * STRIDE + c];
        for (size_t j = 0; j < shape->interests; j++)
            d[(ITEMS + s->events[i]) * STRIDE + j] += s->step.d_logits[i * shape->interests + j];
    }
    for (size_t i = 0; i < NEGATIVES; i++)
        for (size_t c = 0; c < STRIDE; c++)
            d[s->negatives[i] * STRIDE + c] += s->shard.d_negatives[i * STRIDE + c];
    memcpy(d + (s->maps - s->numbers), s->shard.d_maps, shape->maps * STRIDE * STRIDE * sizeof *d);
    memcpy(d + (s->gates - s->numbers), s->shard.d_gates, shape->interests * STRIDE * sizeof *d);
    memcpy(d + (s->decay - s->numbers), s->shard.d_decay, shape->interests * sizeof *d);
    return d;
}

static void expect_close(double found, double expected, const char *what, size_t i)
{
    double size = fmax(fabs(found), fabs(expected));
    if (fabs(found - expected) > 1e-5 * size + 1e-10)
        fail_msg("%s %zu: gradient %.12g, central difference %.12g", what, i, found, expected);
}

static double difference(struct small *s, double *number)
{
    double before = *number;
    *number = before + STEP;
    double above = loss_of(s);
    *number = before - STEP;
    double below = loss_of(s);
    *number = before;
    return (above - below) / (2 * STEP);
}

/* Compares all of |count| numbers; at least one must have a gradient. */
static void compare(struct small *s, double *numbers, size_t count, const double *d, const char *what)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        double found = d[numbers - s->numbers + (ptrdiff_t)i];
        expect_close(found, difference(s, &numbers[i]), what, i);
        largest = fmax(largest, fabs(found));
    }
    assert_true(largest > 1e-4);
}

static void check(size_t interests, bool own_maps, bool gated, bool by_max)
{
    struct small s;
    double d_scale;
    make_small(&s, interests, own_maps, gated, by_max);
    double *d = gradient_of(&s, &d_scale);
    s.step.frozen = true; /* the agreements count as constants */
    compare(&s, s.items, ITEMS * STRIDE, d, "embedding");
    if (interests > 1)
        compare(&s, s.logits, ITEMS * STRIDE, d, "initial logit");
    compare(&s, s.maps, s.step.shape.maps * STRIDE * STRIDE, d, "map");
    if (gated)
        compare(&s, s.gates, interests * STRIDE, d, "gate");
    compare(&s, s.decay, interests, d, "decay");
    expect_close(d_scale, difference(&s, &s.step.parameters.log_scale), "scale", 0);
    free(d);
    free_small(&s);
}

static void shared_map_with_gates(void **state)
{
    (void)state;
    check(3, false, true, true);
    check(1, false, true, true);
}

static void map_per_interest(void **state)
{
    (void)state;
    check(4, true, false, true);
}

static void negatives_by_the_chosen_interest(void **state)
{
    (void)state;
    check(3, false, true, false);
    check(2, true, false, false);
}

/* Full routing: the last event of a window is its target, and decays do nothing. */
static void full_routing(void **state)
{
    (void)state;
    for (int own_maps = 0; own_maps < 2; own_maps++) {
        struct small s;
        double d_scale;
        make_small(&s, 3, own_maps, false, own_maps);
        s.step.shape.window = true;
        for (size_t i = 0; i < 4; i++)
            s.windows[i].context = s.windows[i].count - 1;
        s.step.batch.target_count = 4;
        ms_fit_functions_double.shard_free(&s.shard);
        const struct ms_fit_limits limits = {.events = EVENTS, .window_events = 12, .negatives = NEGATIVES};
        assert_true(ms_fit_functions_double.shard_new(&s.shard, &s.step.shape, &limits));
        double *d = gradient_of(&s, &d_scale);
        s.step.frozen = true;
        compare(&s, s.items, ITEMS * STRIDE, d, "embedding");
        compare(&s, s.logits, ITEMS * STRIDE, d, "initial logit");
        compare(&s, s.maps, s.step.shape.maps * STRIDE * STRIDE, d, "map");
        expect_close(d_scale, difference(&s, &s.step.parameters.log_scale), "scale", 0);
        free(d);
        free_small(&s);
    }
}

/* What float32 finds is what double finds, but for rounding. */
static void in_float32(void **state)
{
    const struct ms_fit_functions_f32 *functions = ms_fit_functions();
    struct ms_fit_step_f32 step;
    struct ms_fit_shard_f32 shard;
    struct small s;
    (void)state;
    make_small(&s, 3, false, true, true);
    double loss = loss_of(&s);
    const struct ms_fit_limits limits = {
        .events = EVENTS, .window_events = 12, .negatives = NEGATIVES, .gates = true};
    assert_true(functions->step_new(&step, &s.step.shape, &limits));
    assert_true(functions->shard_new(&shard, &s.step.shape, &limits));
    float *numbers = aligned_alloc(64, s.count * sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < s.count; i++)
        numbers[i] = (float)s.numbers[i];
    step.log_share = s.log_share;
    step.batch = s.step.batch;
    step.parameters = (struct ms_fit_parameters_f32){.items = numbers,
                                                     .logits = numbers + (s.logits - s.numbers),
                                                     .logit_stride = STRIDE,
                                                     .maps = numbers + (s.maps - s.numbers),
                                                     .decay = numbers + (s.decay - s.numbers),
                                                     .gates = numbers + (s.gates - s.numbers),
                                                     .log_scale = 0.4f};
    functions->prepare(&step);
    functions->shard(&step, &shard, 0, 4);
    assert_true(fabs(shard.loss / (double)step.batch.target_count - loss) < 1e-5 * loss);
    for (size_t i = 0; i < step.batch.event_count * STRIDE; i++)
        assert_true(fabs((double)step.d_items[i] - s.step.d_items[i]) < 2e-5);
    for (size_t i = 0; i < NEGATIVES * STRIDE; i++)
        assert_true(fabs((double)shard.d_negatives[i] - s.shard.d_negatives[i]) < 2e-5);
    free(numbers);
    functions->step_free(&step);
    functions->shard_free(&shard);
    free_small(&s);
}

/* The alias table draws by weight. */
static void draws_by_weight(void **state)
{
    const double weights[5] = {1, 7, 0.5, 3, 0.5};
    struct ms_alias alias;
    size_t counts[5] = {0};
    (void)state;
    assert_true(ms_alias_init(&alias, weights, 5));
    for (size_t i = 0; i < 120000; i++)
        counts[ms_alias_draw(&alias, 9, i)]++;
    for (size_t i = 0; i < 5; i++)
        assert_true(fabs((double)counts[i] / 10000.0 - weights[i]) < 0.1);
    ms_alias_free(&alias);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_map_with_gates),
        cmocka_unit_test(map_per_interest),
        cmocka_unit_test(negatives_by_the_chosen_interest),
        cmocka_unit_test(full_routing),
        cmocka_unit_test(in_float32),
        cmocka_unit_test(draws_by_weight),
    };
    return cmocka_run_group_tests_name("train_fit_gradient", tests, NULL, NULL);
}
