/* The extractors as a library: the same results from every instruction set's kernels, the same bits on every
 * run, and couplings and weights that hold together. What the numbers should be is for the tests against the
 * reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "interest/mind/mind.h"
#include "model/model_writer.h"

#define ITEMS 40
#define MOST  130 /* events of a history */

static const char *const ids[ITEMS] = {"0",  "1",  "2",  "3",  "4",  "5",  "6",  "7",  "8",  "9",
                                       "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
                                       "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
                                       "30", "31", "32", "33", "34", "35", "36", "37", "38", "39"};

/* About N(0, 1). */
static float normal(uint64_t *state)
{
    float sum = 0.0f;
    for (int i = 0; i < 4; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (float)(*state >> 40) / 16777216.0f - 0.5f;
    }
    return sum * 1.7320508f;
}

static float *normals(uint64_t seed, size_t n, float scale)
{
    float *v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = scale * normal(&seed);
    return v;
}

/* What one option set is tried on. */
struct shape {
    const char *extractor, *options; /* further members of config.json, with a leading comma */
    int d, dim, K, L;
    const char *map; /* "shared", "per-interest", "per-position", "attention" */
    float scale;     /* of the item embedding */
    bool foldable;
};

static const struct shape shapes[] = {
    {"mind", "", 24, 64, 4, 50, "shared", 0.5f, true},
    {"mind", ", \"interest_count\": \"log2-floor\"", 16, 16, 3, 128, "shared", 0.3f, true},
    {"mind", "", 31, 37, 7, 65, "shared", 0.4f, true},
    {"mind", ", \"normalize\": true", 8, 100, 16, 20, "shared", 0.4f, true},
    {"mind", "", 24, 64, 4, 50, "shared", 40.0f, false}, /* beyond float32: routed in double */
    {"mind", "", 24, 64, 4, 50, "shared", 3.0f, false},  /* and within what the kernel for it can hold */
    {"mind", ", \"interest_count\": \"log2-floor\"", 31, 37, 7, 128, "shared", 3.0f, false},
    {"mind",
     ", \"routing\": {\"update\": \"replace\", \"agreement_item\": \"unit\", \"agreement_scale\": 50.0}", 16,
     20, 5, 65, "shared", 0.5f, false},
    {"mind",
     ", \"routing\": {\"update\": \"probability\", \"agreement_interest\": \"raw\", \"softmax_scale\": 0.01}",
     16, 20, 5, 50, "shared", 3.0f, false},
    {"mind",
     ", \"routing\": {\"update\": \"replace\", \"agreement_interest\": \"unit\", \"agreement_item\": "
     "\"unit\"}",
     16, 20, 5, 50, "shared", 0.5f, true},
    {"mind", ", \"routing\": {\"update\": \"probability\", \"squash\": {\"when\": \"last\"}}", 16, 20, 5, 50,
     "shared", 0.5f, false},
    {"mind", ", \"routing\": {\"softmax\": \"behaviors\", \"padded_softmax\": true}", 16, 20, 5, 50, "shared",
     0.5f, false},
    {"mind", ", \"routing\": {\"bilinear\": \"per-interest\", \"initial_logits\": \"zeros\"}", 16, 19, 5, 50,
     "per-interest", 0.5f, true},
    {"comirec-dr", "", 16, 19, 3, 20, "per-position", 0.5f, false},
    {"comirec-sa", "", 20, 20, 5, 50, "attention", 0.5f, true},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void write_tensors(const char *dir, const struct shape *s, const char *config)
{
    int64_t d = s->d, dim = s->dim, K = s->K, L = s->L;
    struct writer_tensor map = {.name = "routing.bilinear", .rank = 2, .shape = {d, dim}};
    if (strcmp(s->map, "per-interest") == 0)
        map = (struct writer_tensor){.name = "routing.bilinear", .rank = 3, .shape = {K, d, dim}};
    if (strcmp(s->map, "per-position") == 0)
        map = (struct writer_tensor){.name = "routing.bilinear", .rank = 4, .shape = {L, K, d, dim}};
    bool attention = strcmp(s->map, "attention") == 0;
    float *items = normals(1, (size_t)(ITEMS * d), s->scale), *w1 = normals(2, (size_t)(d * 30), 0.5f);
    float *w2 = normals(3, (size_t)(30 * K), 0.5f), *maps = normals(4, (size_t)(L * K * d * dim), 0.3f);
    map.data = maps;
    const struct writer_tensor tensors[] = {
        {.name = "item_embedding", .data = items, .rank = 2, .shape = {ITEMS, d}},
        attention ? (struct writer_tensor){.name = "attention.w1", .data = w1, .rank = 2, .shape = {d, 30}}
                  : map,
        {.name = "attention.w2", .data = w2, .rank = 2, .shape = {30, K}}};
    writer_model(dir, config, ids, ITEMS, tensors, attention ? 3 : 2);
    free(maps);
    free(w2);
    free(w1);
    free(items);
}

static struct ms_model *make_model(const struct shape *s)
{
    char config[600];
    struct ms_error error;
    struct ms_model *model = NULL;
    bool counted = strstr(s->options, "interest_count") != NULL;
    int size = snprintf(
        config, sizeof config,
        "{\"format\": \"mindstream-model/1\", \"name\": \"t\", \"version\": \"1\", \"extractor\": \"%s\", "
        "\"dim\": %d, \"interests\": %d, \"max_behaviors\": %d%s%s}",
        s->extractor, s->dim, s->K, s->L, counted ? "" : ", \"interest_count\": \"fixed\"", s->options);
    assert_true(size < (int)sizeof config);
    char *dir = writer_temp_dir();
    write_tensors(dir, s, config);
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    writer_remove(dir);
    free(dir);
    return model;
}

static struct ms_extractor *make_extractor(const struct ms_model *model, const struct ms_kernels *kernels)
{
    struct ms_extractor *extractor = NULL;
    struct ms_error error;
    assert_int_equal(ms_extractor_new_on(&extractor, model, kernels, &error), MS_OK);
    return extractor;
}

static void draw(uint32_t *rows, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        rows[i] = (uint32_t)(seed >> 33) % ITEMS;
    }
}

static struct ms_interests fold_all(struct ms_extractor *x, const struct ms_model *model,
                                    const struct ms_decay *decay, float *state, const uint32_t *rows,
                                    size_t n)
{
    memset(state, 0, ms_fold_floats(model) * sizeof *state);
    for (size_t i = 0; i < n; i++)
        ms_fold_event(x, decay, state, i + 1, rows[i], i % 3 ? 40 : 0, i % 3 ? 0 : 25, 1.0);
    return ms_fold_interests(x, state, n);
}

static void assert_near(const struct ms_interests *a, const struct ms_interests *b, float tolerance)
{
    float largest = 0.0f;
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->dim, b->dim);
    for (int i = 0; i < a->count * a->dim; i++)
        largest = fmaxf(largest, fabsf(a->vectors[i]));
    for (int i = 0; i < a->count * a->dim; i++)
        assert_true(fabsf(a->vectors[i] - b->vectors[i]) <= tolerance * largest);
    for (int j = 0; j < a->count; j++)
        assert_true(fabsf(a->weights[j] - b->weights[j]) <= tolerance);
}

static void assert_same(const struct ms_interests *a, const struct ms_interests *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->vectors, b->vectors, (size_t)(a->count * a->dim) * sizeof(float));
    assert_memory_equal(a->weights, b->weights, (size_t)a->count * sizeof(float));
}

static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 16, 17, 49, 50, 63, 64, 65, MOST};

/* Instruction sets differ by the rounding of fused multiply-adds. */
static void test_kernels_agree(void **unused)
{
    (void)unused;
    const struct ms_decay decays[] = {
        {.count = 1, .per_event = {0.9}},
        {.count = 3, .half_life_ms = {100, 1000, 10000}, .per_event = {1, 1, 1}}};
    uint32_t rows[MOST];
    for (int shape = 0; shape < SHAPES; shape++) {
        struct ms_model *model = make_model(&shapes[shape]);
        float *state = calloc(ms_fold_floats(model), sizeof *state),
              *again = calloc(ms_fold_floats(model), sizeof *again);
        struct ms_extractor *plain = make_extractor(model, ms_kernels_at(0));
        assert_true(state && again);
        for (int k = 1; ms_kernels_at(k); k++) {
            struct ms_extractor *other = make_extractor(model, ms_kernels_at(k));
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
                draw(rows, lengths[l], l);
                struct ms_interests a = ms_extract_full(plain, rows, lengths[l], NULL, 0, NULL);
                struct ms_interests b = ms_extract_full(other, rows, lengths[l], NULL, 0, NULL);
                assert_near(&a, &b, 1e-5f);
                for (int d = 0; d < 2 && shapes[shape].foldable; d++) {
                    a = fold_all(plain, model, &decays[d], state, rows, lengths[l]);
                    b = fold_all(other, model, &decays[d], again, rows, lengths[l]);
                    assert_near(&a, &b, 2e-5f);
                }
            }
            ms_extractor_destroy(other);
        }
        ms_extractor_destroy(plain);
        free(again);
        free(state);
        ms_model_destroy(model);
    }
}

/* Nothing of one user is left for the next, and a second extractor gives the same bits. */
static void test_same_bits(void **unused)
{
    (void)unused;
    const struct ms_decay decay = {.count = 1, .per_event = {0.8}};
    uint32_t rows[MOST], noise[MOST];
    draw(noise, MOST, 77);
    for (int shape = 0; shape < SHAPES; shape++) {
        struct ms_model *model = make_model(&shapes[shape]);
        float *state = calloc(ms_fold_floats(model), sizeof *state),
              *again = calloc(ms_fold_floats(model), sizeof *again);
        struct ms_extractor *one = make_extractor(model, ms_kernels_best()),
                            *two = make_extractor(model, ms_kernels_best());
        assert_true(state && again);
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            draw(rows, lengths[l], l + 100);
            struct ms_interests a = ms_extract_full(one, rows, lengths[l], NULL, 0, NULL);
            ms_extract_full(two, noise, MOST, NULL, 0, NULL);
            struct ms_interests b = ms_extract_full(two, rows, lengths[l], NULL, 0, NULL);
            assert_same(&a, &b);
            if (!shapes[shape].foldable)
                continue;
            a = fold_all(one, model, &decay, state, rows, lengths[l]);
            ms_extract_full(two, noise, MOST, NULL, 0, NULL);
            b = fold_all(two, model, &decay, again, rows, lengths[l]);
            assert_same(&a, &b);
            assert_memory_equal(state, again, ms_fold_floats(model) * sizeof *state);
        }
        ms_extractor_destroy(two);
        ms_extractor_destroy(one);
        free(again);
        free(state);
        ms_model_destroy(model);
    }
}

/* Asking for the coupling changes no vector; its columns' shares are the weights; nothing beyond K'u or the
 * window. */
static void test_coupling(void **unused)
{
    (void)unused;
    uint32_t rows[MOST];
    static float coupling[MOST * MS_MAX_INTERESTS + 1];
    for (int shape = 0; shape < SHAPES; shape++) {
        const struct shape *s = &shapes[shape];
        struct ms_model *model = make_model(s);
        struct ms_extractor *one = make_extractor(model, ms_kernels_best()),
                            *two = make_extractor(model, ms_kernels_best());
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            size_t n = lengths[l] < (size_t)s->L ? lengths[l] : (size_t)s->L, K = (size_t)s->K;
            draw(rows, lengths[l], l + 200);
            for (size_t i = 0; i < sizeof coupling / sizeof *coupling; i++)
                coupling[i] = -7.0f;
            struct ms_interests a = ms_extract_full(one, rows, lengths[l], NULL, 0, NULL);
            struct ms_interests b = ms_extract_full(two, rows, lengths[l], NULL, 0, coupling);
            assert_same(&a, &b);
            assert_int_equal(a.count, ms_interest_count(model, n));
            double sums[MS_MAX_INTERESTS] = {0}, total = 0.0;
            for (size_t i = 0; i < n * K; i++) {
                bool used = i % K < (size_t)a.count;
                assert_true(used ? coupling[i] >= 0.0f && coupling[i] <= 1.00001f : coupling[i] == 0.0f);
                sums[i % K] += (double)coupling[i];
                total += (double)coupling[i];
            }
            for (size_t j = 0; j < (size_t)a.count; j++)
                assert_true(fabs(sums[j] / total - (double)a.weights[j]) < 1e-5);
            assert_true(coupling[n * K] == -7.0f);
        }
        ms_extractor_destroy(two);
        ms_extractor_destroy(one);
        ms_model_destroy(model);
    }
}

static void assert_close(const double *a, const double *b, size_t n)
{
    double largest = 0.0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(b[i]));
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(a[i] - b[i]) <= 1e-8 * largest);
}

/* Routing in double on the kernel for it is routing in double, on every instruction set, with the model's
 * tables and without. Returns how many of the windows the kernel could hold. */
static int compare_double(const struct ms_model *model, const struct ms_kernels *kernels, const float *logits)
{
    uint32_t rows[MOST];
    int held = 0;
    struct ms_extractor *steps = make_extractor(model, kernels),
                        *exact = make_extractor(model, ms_kernels_at(0));
    struct ms_mind *without = exact->context;
    without->items_residual = without->item_logits_residual = NULL;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths && ((struct ms_mind *)steps->context)->fits_f64;
         l++) {
        size_t n = lengths[l] < steps->L ? lengths[l] : steps->L;
        draw(rows, n, l + 300);
        struct ms_window window = {.items = rows,
                                   .n = n,
                                   .interests = (size_t)ms_interest_count(model, n),
                                   .logits = logits,
                                   .logit_rows = logits ? n : 0};
        if (!ms_mind_route_f64(steps, &window))
            continue;
        held++;
        ms_mind_route_exact(exact, &window);
        assert_close(steps->z64, exact->z64, window.interests * steps->stride);
        assert_close(steps->mass64, exact->mass64, window.interests);
    }
    ms_extractor_destroy(exact);
    ms_extractor_destroy(steps);
    return held;
}

static void test_double(void **unused)
{
    (void)unused;
    float *logits = normals(9, (size_t)MOST * MS_MAX_INTERESTS, 40.0f);
    int held = 0, with_residual = 0;
    for (int shape = 0; shape < SHAPES; shape++) {
        struct ms_model *model = make_model(&shapes[shape]);
        for (int k = 0; ms_kernels_at(k) && ms_kind_of(model)->fold == &ms_mind_fold; k++) {
            int of_shape = compare_double(model, ms_kernels_at(k), NULL);
            held += of_shape;
            with_residual += ((const struct ms_mind_tables *)ms_model_tables(model))->items_residual
                                 ? of_shape
                                 : 0;
            held += compare_double(model, ms_kernels_at(k), logits);
        }
        ms_model_destroy(model);
    }
    free(logits);
    assert_true(with_residual > 20 && held > with_residual + 20);
}

static void test_nobody(void **unused)
{
    (void)unused;
    struct ms_model *model = make_model(&shapes[0]);
    struct ms_extractor *x = make_extractor(model, ms_kernels_best());
    float *state = calloc(ms_fold_floats(model), sizeof *state), coupling = -7.0f;
    assert_non_null(state);
    assert_int_equal(ms_extract_full(x, NULL, 0, NULL, 0, &coupling).count, 0);
    assert_true(coupling == -7.0f);
    assert_int_equal(ms_fold_interests(x, state, 0).count, 0);
    ms_extractor_destroy(NULL);
    ms_extractor_destroy(x);
    free(state);
    ms_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels_agree), cmocka_unit_test(test_same_bits),
                                       cmocka_unit_test(test_coupling), cmocka_unit_test(test_double),
                                       cmocka_unit_test(test_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
