/* mindstream bench routing: what an event costs, by full routing and by the incremental fold, over the length
 * of the history, the number of interests and the dimension, next to the bare SGEMMs of the same shapes.
 *
 * All measures of a row take turns, so that a busy machine disturbs them alike. The best turn is shown,
 * because other work on the machine can only add time. */
#include <cblas.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/progress.h"
#include "base/scratch.h"
#include "mindstream/extract.h"
#include "synth/generator.h"
#include "synth/model.h"

#define ITEMS      2000 /* their rows stay in the cache: this times arithmetic, not memory */
#define HISTORIES  16
#define MOST       5000 /* behaviors */
#define TURNS      15
#define ITERATIONS 3

static const int lengths[] = {10, 50, 200, 1000, 5000}, interests[] = {1, 2, 4, 8, 16},
                 dims[] = {16, 32, 64, 128, 256};
enum { LENGTHS = 5, INTERESTS = 5, DIMS = 5 };

enum measure { FULL, SGEMM, FOLD, VECTORS, MEASURES };
static const char *const measure_names[MEASURES] = {"full_us", "sgemm_us", "fold_us", "interests_us"};

struct row {
    int m, K, dim;
    double us[MEASURES];
};

/* Everything one row is timed on. */
struct bench {
    const struct ms_model *model;
    struct ms_extractor *extractor;
    struct ms_decay decay;
    struct row *row;
    uint32_t *histories;  /* [HISTORIES][MOST] item rows */
    float *x, *w, *u, *z; /* the products' operands */
    float *state;
    uint64_t folded;
    float sink; /* keeps the compiler from leaving work out */
};

static void run_once(struct bench *b, enum measure measure, int i)
{
    const struct row *row = b->row;
    const uint32_t *history = b->histories + (size_t)(i % HISTORIES) * MOST;
    switch (measure) {
    case FULL:
        b->sink += ms_extract_full(b->extractor, history, (size_t)row->m, NULL, 0, NULL).vectors[0];
        break;
    case SGEMM:
        for (int iteration = 0; iteration < ITERATIONS; iteration++) {
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, row->K, row->dim, row->m, 1.0f, b->w, row->K,
                        b->x, row->dim, 0.0f, b->z, row->dim);
            if (iteration + 1 < ITERATIONS)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, row->m, row->K, row->dim, 1.0f, b->x,
                            row->dim, b->u, row->dim, 0.0f, b->w, row->K);
        }
        b->sink += b->z[0];
        break;
    case FOLD:
        ms_fold_event(b->extractor, &b->decay, b->state, ++b->folded, history[i % row->m], 0, 0, 1.0);
        break;
    case VECTORS:
        b->sink += ms_fold_interests(b->extractor, b->state, b->folded).vectors[0];
        break;
    case MEASURES:
        break;
    }
}

static double time_turn(struct bench *b, enum measure measure, int times)
{
    double begin_s = ms_monotonic_s();
    for (int i = 0; i < times; i++)
        run_once(b, measure, i);
    return (ms_monotonic_s() - begin_s) / times * 1e6;
}

static void time_row(struct bench *b)
{
    int times[MEASURES];
    for (int measure = 0; measure < MEASURES;
         measure++) { /* a turn is two milliseconds, and two events at least */
        double us = time_turn(b, measure, 4);
        times[measure] = 2000.0 / us < 2.0 ? 2 : (int)(2000.0 / us);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        for (int measure = 0; measure < MEASURES; measure++) {
            double us = time_turn(b, measure, times[measure]);
            if (turn == 0 || us < b->row->us[measure])
                b->row->us[measure] = us;
        }
    }
}

static float *floats(size_t n)
{
    float *at = aligned_alloc(64, (n * sizeof *at + 63) / 64 * 64);
    for (size_t i = 0; at && i < n; i++)
        at[i] = 0.01f * (float)(i % 7);
    return at;
}

static enum ms_status bench_row(const struct ms_model *model, uint32_t *histories, struct row *row,
                                struct ms_error *error)
{
    size_t m = (size_t)row->m, K = (size_t)row->K, dim = (size_t)row->dim;
    struct bench b = {.model = model,
                      .decay = {.count = 1, .per_event = {0.9}},
                      .row = row,
                      .histories = histories,
                      .x = floats(m * dim),
                      .w = floats(m * K),
                      .u = floats(K * dim),
                      .z = floats(K * dim),
                      .state = calloc(ms_fold_floats(model), sizeof(float))};
    enum ms_status status = ms_extractor_new(&b.extractor, model, error);
    if (status == MS_OK && !(b.x && b.w && b.u && b.z && b.state))
        status = ms_fail(error, MS_MEMORY, "no memory");
    if (status == MS_OK) {
        for (int i = 0; i < row->m; i++)
            ms_fold_event(b.extractor, &b.decay, b.state, ++b.folded, histories[i], 0, 0, 1.0);
        time_row(&b);
    }
    ms_extractor_destroy(b.extractor);
    free(b.state);
    free(b.z);
    free(b.u);
    free(b.w);
    free(b.x);
    return status;
}

/* A generated model with all K interests from the first event on. */
static enum ms_status make_model(struct ms_model **model, const char *dir, int K, int dim,
                                 struct ms_error *error)
{
    struct ms_generator *generator = NULL;
    char path[PATH_MAX + 32];
    struct ms_generator_settings settings = ms_generator_defaults();
    settings.users = 1;
    settings.items = ITEMS;
    settings.dim = dim;
    settings.interests = K;
    settings.max_behaviors = MOST;
    enum ms_status status = ms_generator_new(&generator, &settings, error);
    if (status == MS_OK)
        status = ms_generator_write_model(generator, dir, true, error);
    ms_generator_destroy(generator);
    if (status != MS_OK)
        return status;
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *file = fopen(path, "w");
    if (!file)
        return ms_fail(error, MS_IO, "%s: cannot be written", path);
    fprintf(file,
            "{\"format\": \"mindstream-model/1\", \"name\": \"bench\", \"version\": \"1\", \"extractor\": "
            "\"mind\", "
            "\"dim\": %d, \"interests\": %d, \"max_behaviors\": %d, \"interest_count\": \"fixed\"}",
            dim, K, MOST);
    if (fclose(file) != 0)
        return ms_fail(error, MS_IO, "%s: cannot be written", path);
    return ms_model_load(model, dir, error);
}

/* Whether a row belongs to the short run: one of the three differs from m=50, K=4, dim=64 at most. */
static bool in_short_run(const struct row *row)
{
    return (row->m != 50) + (row->K != 4) + (row->dim != 64) <= 1;
}

static size_t plan_rows(struct row *rows, bool all)
{
    size_t count = 0;
    for (int k = 0; k < INTERESTS; k++)
        for (int d = 0; d < DIMS; d++)
            for (int l = 0; l < LENGTHS; l++) {
                struct row row = {.m = lengths[l], .K = interests[k], .dim = dims[d]};
                if (all || in_short_run(&row))
                    rows[count++] = row;
            }
    return count;
}

static enum ms_status bench_all(struct row *rows, size_t count, uint32_t *histories, const char *dir,
                                struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct ms_progress progress;
    enum ms_status status = MS_OK;
    ms_progress_start(&progress, "rows", count);
    for (size_t i = 0; i < count && status == MS_OK; i++) {
        if (i == 0 || rows[i].K != rows[i - 1].K || rows[i].dim != rows[i - 1].dim) {
            ms_model_destroy(model);
            model = NULL;
            status = make_model(&model, dir, rows[i].K, rows[i].dim, error);
        }
        if (status == MS_OK)
            status = bench_row(model, histories, &rows[i], error);
        if (progress.terminal)
            ms_progress_update(&progress, i + 1);
    }
    if (progress.terminal)
        ms_progress_end(&progress, count);
    ms_model_destroy(model);
    return status;
}

static void print_table(const struct row *rows, size_t count)
{
    printf("%6s %4s %5s %10s %10s %10s %9s %12s %12s %16s\n", "m", "K", "dim", "full us", "sgemm us",
           "full/sgemm", "fold us", "interests us", "incremental", "incremental/full");
    for (size_t i = 0; i < count; i++) {
        const double *us = rows[i].us;
        double incremental = us[FOLD] + us[VECTORS];
        printf("%6d %4d %5d %10.2f %10.2f %10.2f %9.3f %12.3f %12.3f %16.3f\n", rows[i].m, rows[i].K,
               rows[i].dim, us[FULL], us[SGEMM], us[FULL] / us[SGEMM], us[FOLD], us[VECTORS], incremental,
               incremental / us[FULL]);
    }
}

static enum ms_status write_json(const struct row *rows, size_t count, const char *path,
                                 struct ms_error *error)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_pack("{s:i,s:i,s:i}", "m", rows[i].m, "K", rows[i].K, "dim", rows[i].dim);
        for (int measure = 0; measure < MEASURES; measure++)
            json_object_set_new(object, measure_names[measure], json_real(rows[i].us[measure]));
        json_object_set_new(object, "incremental_us", json_real(rows[i].us[FOLD] + rows[i].us[VECTORS]));
        json_array_append_new(array, object);
    }
    bool standard = strcmp(path, "-") == 0;
    size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(6);
    int failed = standard ? json_dumpf(array, stdout, flags) : json_dump_file(array, path, flags);
    if (standard)
        putchar('\n');
    json_decref(array);
    return failed ? ms_fail(error, MS_IO, "%s: cannot be written", path) : MS_OK;
}

static enum ms_status bench_routing(bool all, const char *json, struct ms_error *error)
{
    struct row *rows = calloc((size_t)LENGTHS * INTERESTS * DIMS, sizeof *rows);
    struct ms_scratch scratch;
    uint64_t random = 1;
    uint32_t *histories = malloc(sizeof *histories * HISTORIES * MOST);
    if (!rows || !histories) {
        free(histories);
        free(rows);
        return ms_fail(error, MS_MEMORY, "no memory");
    }
    size_t count = plan_rows(rows, all);
    for (size_t i = 0; i < (size_t)HISTORIES * MOST; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        histories[i] = (uint32_t)(random >> 33) % ITEMS;
    }
    enum ms_status status = ms_scratch_make_in_tmp(&scratch, "/mindstream-bench", ms_scratch_remove_all,
                                                   error);
    if (status == MS_OK)
        status = bench_all(rows, count, histories, scratch.path, error);
    ms_scratch_remove(&scratch);
    free(histories);
    if (status == MS_OK && !(json && strcmp(json, "-") == 0))
        print_table(rows, count);
    if (status == MS_OK && json)
        status = write_json(rows, count, json, error);
    free(rows);
    return status;
}

/* ---- the command ---- */

struct bench_arguments {
    bool all;
    const char *json;
};

static const struct ms_argument rows_of_routing[] = {
    {.name = "all",
     .kind = MS_ARGUMENT_FLAG,
     .help = "every combination of m, K and dim, a minute or more, instead of one at a time (about 10 s)",
     .offset = offsetof(struct bench_arguments, all)},
    {.name = "json",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "FILE",
     .help = "also write the rows as a JSON array; - is standard output, instead of the table",
     .offset = offsetof(struct bench_arguments, json)},
    {0},
};

static enum ms_status run_routing(void *context, struct ms_error *error)
{
    const struct bench_arguments *arguments = context;
    return bench_routing(arguments->all, arguments->json, error);
}

static const struct ms_command routing = {
    .name = "routing",
    .summary = "what one event costs by full routing and by the incremental fold",
    .description =
        "Prints what one event costs on one core, in microseconds:\n"
        "  full         full routing over a window of m behaviors, 3 iterations\n"
        "  sgemm        the bare products of these shapes by OpenBLAS: 3 times W^T X, 2 times X U^T\n"
        "  fold         the incremental fold of one event into the user's sums, after m events\n"
        "  interests    the vectors of these sums\n"
        "incremental is fold + interests. Models are made up; nothing is read, and what is written goes to TMPDIR and\n"
        "away.\n",
    .rows = rows_of_routing,
    .examples = "mindstream bench routing\n"
                "mindstream bench routing --all --json rows.json\n",
    .exit_status = "0 done, 1 no room for a model in TMPDIR or FILE not written, 2 bad usage",
    .arguments_bytes = sizeof(struct bench_arguments),
    .run = run_routing,
};

static const struct ms_command *const benches[] = {&routing, NULL};

const struct ms_command ms_command_bench = {
    .name = "bench",
    .summary = "time the routing kernels",
    .description = "Times the kernels on this machine.\n",
    .commands = benches,
    .examples = "mindstream bench routing\n",
};
