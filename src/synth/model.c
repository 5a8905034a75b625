/* The embedding of an item is the centre of its cluster plus a part of its own. The bilinear map is close to the
 * identity, so that the interests found are the clusters that the user follows. */
#include "synth/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/write.h"
#include "synth/random.h"

/* Centres are long against the items' own parts, and both are long enough to outweigh the random initial
 * logits. */
#define CENTRE_LENGTH 2.5
#define OWN_LENGTH    1.0
#define MAP_NOISE     0.02

enum kind { KIND_CENTRE = 1, KIND_ITEM, KIND_MAP };

/* What the rows of the tensors are made from. */
struct rows {
    const struct ms_generator *generator;
    double *centres; /* [clusters][dim] */
    double *sum;     /* [dim], a row before it is rounded */
    double *normals; /* [dim] */
    char item[16];   /* the id asked for last */
};

/* About N(0, 1): the sum of four uniform 16-bit numbers, the same on every machine. */
static double normal(uint64_t *state)
{
    uint64_t x = ms_random_next(state);
    int sum = (int)(x & 0xFFFF) + (int)(x >> 16 & 0xFFFF) + (int)(x >> 32 & 0xFFFF) + (int)(x >> 48);
    return (sum - 2 * 65535) * (1.0 / 37837.2);
}

/* Adds a vector of the given length to |vector| [dim]. Its random direction depends on (seed, kind, number). */
static void add_direction(const struct rows *rows, double *vector, enum kind kind, uint64_t number,
                          double length)
{
    const struct ms_generator_settings *settings = ms_generator_settings(rows->generator);
    uint64_t state = settings->seed * 0x9E3779B97F4A7C15U + (uint64_t)kind * 0xD6E8FEB86659FD93U +
                     number * 0xC2B2AE3D27D4EB4FU;
    state = ms_random_next(&state);
    double square = 0;
    for (int i = 0; i < settings->dim; i++) {
        rows->normals[i] = normal(&state);
        square += rows->normals[i] * rows->normals[i];
    }
    double scale = square > 0 ? length / sqrt(square) : 0;
    for (int i = 0; i < settings->dim; i++)
        vector[i] += scale * rows->normals[i];
}

static void round_sum(const struct rows *rows, float *values)
{
    int dim = ms_generator_settings(rows->generator)->dim;
    for (int i = 0; i < dim; i++)
        values[i] = (float)rows->sum[i];
}

static void item_row(void *context, uint64_t item, float *values)
{
    const struct rows *rows = context;
    size_t dim = (size_t)ms_generator_settings(rows->generator)->dim;
    uint32_t cluster = ms_generator_cluster(rows->generator, (uint32_t)item);
    memcpy(rows->sum, rows->centres + cluster * dim, dim * sizeof *rows->sum);
    add_direction(rows, rows->sum, KIND_ITEM, item, OWN_LENGTH);
    round_sum(rows, values);
}

static void map_row(void *context, uint64_t number, float *values)
{
    const struct rows *rows = context;
    size_t dim = (size_t)ms_generator_settings(rows->generator)->dim;
    memset(rows->sum, 0, dim * sizeof *rows->sum);
    rows->sum[number] = 1.0;
    add_direction(rows, rows->sum, KIND_MAP, number, MAP_NOISE);
    round_sum(rows, values);
}

static struct ms_bytes item_id(void *context, uint64_t item)
{
    struct rows *rows = context;
    int size = snprintf(rows->item, sizeof rows->item, "i%" PRIu32, (uint32_t)item);
    return (struct ms_bytes){rows->item, (size_t)size};
}

static enum ms_status rows_init(struct rows *rows, const struct ms_generator *generator,
                                struct ms_error *error)
{
    size_t dim = (size_t)ms_generator_settings(generator)->dim;
    uint32_t clusters = ms_generator_clusters(generator);
    *rows = (struct rows){.generator = generator,
                          .centres = calloc(clusters * dim, sizeof *rows->centres),
                          .sum = calloc(dim, sizeof *rows->sum),
                          .normals = calloc(dim, sizeof *rows->normals)};
    if (!rows->centres || !rows->sum || !rows->normals)
        return ms_fail(error, MS_MEMORY, "no memory for a model of %" PRIu32 " clusters", clusters);
    for (uint32_t c = 0; c < clusters; c++)
        add_direction(rows, rows->centres + c * dim, KIND_CENTRE, c, CENTRE_LENGTH);
    return MS_OK;
}

static void rows_free(struct rows *rows)
{
    free(rows->centres);
    free(rows->sum);
    free(rows->normals);
}

enum ms_status ms_generator_write_model(const struct ms_generator *generator, const char *dir, bool replace,
                                        struct ms_error *error)
{
    const struct ms_generator_settings *settings = ms_generator_settings(generator);
    struct rows rows;
    char config[512];
    snprintf(config, sizeof config,
             "{\n"
             "  \"format\": \"mindstream-model/1\",\n"
             "  \"name\": \"generated\",\n"
             "  \"version\": \"%" PRIu64 "\",\n"
             "  \"extractor\": \"mind\",\n"
             "  \"dim\": %d,\n"
             "  \"interests\": %d,\n"
             "  \"max_behaviors\": %d,\n"
             "  \"interest_count\": \"log2-floor\"\n"
             "}\n",
             settings->seed, settings->dim, settings->interests, settings->max_behaviors);
    const struct ms_write_tensor tensors[] = {
        {.name = "item_embedding",
         .rank = 2,
         .shape = {settings->items, settings->dim},
         .row = item_row,
         .context = &rows},
        {.name = "routing.bilinear",
         .rank = 2,
         .shape = {settings->dim, settings->dim},
         .row = map_row,
         .context = &rows},
    };
    const struct ms_write_model model = {.config = config,
                                         .items = {settings->items, item_id, &rows},
                                         .tensors = tensors,
                                         .tensor_count = sizeof tensors / sizeof tensors[0],
                                         .replace = replace};
    enum ms_status status = rows_init(&rows, generator, error);
    if (status == MS_OK)
        status = ms_model_write(dir, &model, error);
    rows_free(&rows);
    return status;
}
