/* A model directory as a whole: the three files read, held against one another, and what routing needs
 * computed once. */
#include "mindstream/model.h"

#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "model/config.h"
#include "model/file.h"
#include "model/items.h"
#include "model/safetensors.h"
#include "model/tensors.h"

#define MAX_TENSOR_FILE ((size_t)1 << 40)
/* Rows of one product; fixed, so that results do not hang on anything else. */
#define PROJECT_ROWS      4096u
#define PROJECT_WIDE_ROWS 512u

struct ms_model {
    struct ms_model_config config;
    struct ms_arena strings;
    struct ms_safetensors tensors;
    struct ms_items items;
    const float *embedding;                   /* in tensors */
    float *projected;                         /* own block, or NULL: the embedding is used as it is */
    float *item_logits;                       /* own block, or NULL */
    float *projected_rest, *item_logits_rest; /* own blocks, or NULL */
    float *item_lengths;                      /* own block, or NULL */
    bool outgrows_float32;
    struct ms_items profile_values[MS_MAX_PROFILE]; /* profile_<field>.txt */
    const float *profile_rows[MS_MAX_PROFILE];      /* in tensors */
    uint32_t profile_default[MS_MAX_PROFILE];
    uint64_t hash;
};

static size_t table_bytes(const struct ms_model *model, int width)
{
    return (size_t)model->items.count * (size_t)width * sizeof(float);
}

static enum ms_status read_config(struct ms_model *model, const char *path, XXH64_state_t *hash,
                                  struct ms_error *error)
{
    char *text = NULL;
    size_t size = 0;
    enum ms_status status = ms_file_read_all(&text, &size, path, MS_MODEL_CONFIG_MAX_BYTES, hash, error);
    if (status == MS_OK)
        status = ms_model_config_read(&model->config, &model->strings, path, text, size, error);
    free(text);
    return status;
}

/* Shapes are checked between the header and the data: a wrong file is refused before gigabytes are read. */
static enum ms_status read_tensors(struct ms_model *model, const char *path, XXH64_state_t *hash,
                                   struct ms_error *error)
{
    struct ms_file file = {.fd = -1};
    enum ms_status status = ms_file_open(&file, path, MAX_TENSOR_FILE, error);
    if (status == MS_OK)
        status = ms_safetensors_open(&model->tensors, &file, error);
    if (status == MS_OK)
        status = ms_tensors_check(&model->config, &model->tensors, path, error);
    if (status == MS_OK)
        status = ms_safetensors_load(&model->tensors, &file, hash, error);
    if (status == MS_OK)
        model->embedding = ms_tensors_find(&model->tensors, "item_embedding")->data;
    ms_file_close(&file);
    return status;
}

static enum ms_status read_items(struct ms_model *model, const char *path, XXH64_state_t *hash,
                                 struct ms_error *error)
{
    enum ms_status status = ms_items_load(&model->items, path, hash, error);
    if (status != MS_OK)
        return status;
    int64_t rows = ms_tensors_find(&model->tensors, "item_embedding")->shape[0];
    if (model->items.count != rows)
        return ms_fail(error, MS_MODEL, "%s: %u lines, but tensor item_embedding has %lld rows", path,
                       model->items.count, (long long)rows);
    return MS_OK;
}

/* profile_<field>.txt for each field: one value a line, line n is row n. */
static enum ms_status read_profile(struct ms_model *model, const char *dir, XXH64_state_t *hash,
                                   struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; status == MS_OK && i < model->config.profile_fields; i++) {
        char path[4096], name[80];
        snprintf(name, sizeof name, "profile.%s", model->config.profile_field[i]);
        if ((size_t)snprintf(path, sizeof path, "%s/profile_%s.txt", dir, model->config.profile_field[i]) >=
            sizeof path)
            return ms_fail(error, MS_MODEL, "the model directory's path is longer than %zu bytes",
                           sizeof path);
        status = ms_items_load(&model->profile_values[i], path, hash, error);
        if (status != MS_OK)
            break;
        const struct ms_safetensor *tensor = ms_tensors_find(&model->tensors, name);
        int64_t lines = model->profile_values[i].count, rows = tensor->shape[0];
        if (lines != rows && lines + 1 != rows)
            return ms_fail(
                error, MS_MODEL,
                "%s: %lld lines, but tensor %s has %lld rows (as many, or one more for all other values)",
                path, (long long)lines, name, (long long)rows);
        model->profile_rows[i] = tensor->data;
        model->profile_default[i] = lines == rows ? 0 : (uint32_t)lines;
    }
    return status;
}

/* item_embedding times S, plus the bias, by blocks of rows. */
static enum ms_status project(struct ms_model *model, const char *dir, struct ms_error *error)
{
    const struct ms_safetensor *bias = ms_tensors_find(&model->tensors, "routing.bilinear_bias");
    const float *map = ms_tensors_find(&model->tensors, "routing.bilinear")->data;
    int in = model->config.item_dim, out = model->config.capsule_dim;
    model->projected = ms_block_alloc(table_bytes(model, out));
    if (!model->projected)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of projected items", dir,
                       table_bytes(model, out));
    for (uint32_t row = 0; row < model->items.count; row += PROJECT_ROWS) {
        uint32_t left = model->items.count - row, rows = left < PROJECT_ROWS ? left : PROJECT_ROWS;
        float *block = model->projected + (size_t)row * (size_t)out;
        for (uint32_t i = 0; bias && i < rows; i++)
            memcpy(block + (size_t)i * (size_t)out, bias->data, (size_t)out * sizeof(float));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, out, in, 1.0f,
                    model->embedding + (size_t)row * (size_t)in, in, map, out, bias ? 1.0f : 0.0f, block,
                    out);
        for (size_t i = 0; i < (size_t)rows * (size_t)out; i++)
            if (!isfinite(block[i]))
                return ms_fail(error, MS_MODEL,
                               "%s: item row %zu times tensor routing.bilinear overflows float32", dir,
                               row + i / (size_t)out);
    }
    return MS_OK;
}

/* Output j+1 of SplitMix64 started at |state| (Steele, Lea, Flood 2014), made normal by Box and Muller. */
static double normal(uint64_t state, int j, double stddev)
{
    uint64_t x = state + ((uint64_t)j + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    double u1 = ((double)(x >> 32) + 0.5) / 4294967296.0,
           u2 = ((double)(x & UINT32_MAX) + 0.5) / 4294967296.0;
    return stddev * sqrt(-2.0 * log(u1)) * cos(2.0 * M_PI * u2);
}

void ms_model_draw_logits(const struct ms_model *model, uint32_t row, double *logits)
{
    const struct ms_routing *routing = &model->config.routing;
    size_t size;
    const char *id = ms_items_id(&model->items, row, &size);
    uint64_t state = XXH64(id, size, routing->seed);
    for (int j = 0; j < model->config.interests; j++)
        logits[j] = normal(state, j, routing->stddev);
}

static enum ms_status draw_item_logits(struct ms_model *model, const char *dir, struct ms_error *error)
{
    int K = model->config.interests;
    model->item_logits = ms_block_alloc(table_bytes(model, K));
    if (!model->item_logits)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of item logits", dir,
                       table_bytes(model, K));
    for (uint32_t row = 0; row < model->items.count; row++) {
        double drawn[MS_MAX_INTERESTS];
        ms_model_draw_logits(model, row, drawn);
        for (int j = 0; j < K; j++)
            model->item_logits[(size_t)row * (size_t)K + (size_t)j] = (float)drawn[j];
    }
    return MS_OK;
}

/* Large scales multiply rounding as they multiply agreements. */
#define LARGEST_SCALE 4.0f

bool ms_routing_fits_float32(const struct ms_model_config *config)
{
    const struct ms_routing *routing = &config->routing;
    return config->extractor == MS_EXTRACTOR_MIND && routing->softmax == MS_SOFTMAX_INTERESTS &&
           (routing->bilinear == MS_BILINEAR_SHARED || routing->bilinear == MS_BILINEAR_NONE) &&
           fabsf(routing->softmax_scale * routing->agreement_scale) <= LARGEST_SCALE;
}

static double largest_of(const float *numbers, size_t n)
{
    double largest = 0.0;
    for (size_t i = 0; numbers && i < n; i++)
        largest = fmax(largest, fabs((double)numbers[i]));
    return largest;
}

static enum ms_status make_block(float **block, size_t bytes, const char *what, const char *dir,
                                 struct ms_error *error)
{
    *block = ms_block_alloc(bytes);
    return *block ? MS_OK : ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of %s", dir, bytes, what);
}

static enum ms_status measure_items(struct ms_model *model, const char *dir, struct ms_error *error)
{
    size_t width = (size_t)ms_model_projected_dim(model);
    const float *row = ms_model_projected(model);
    enum ms_status status = make_block(&model->item_lengths, table_bytes(model, 1), "item lengths", dir,
                                       error);
    for (uint32_t i = 0; status == MS_OK && i < model->items.count; i++, row += width) {
        double norm = 0.0;
        for (size_t c = 0; c < width; c++)
            norm += (double)row[c] * (double)row[c];
        model->item_lengths[i] = (float)fmin(sqrt(norm), (double)FLT_MAX);
    }
    return status;
}

/* A bound on softmax_scale * logit, by the lengths of what is multiplied: a squashed interest is no longer
 * than squash_scale. */
static double logit_bound(const struct ms_model *model)
{
    const struct ms_routing *routing = &model->config.routing;
    const struct ms_safetensor *table = ms_tensors_find(&model->tensors, "routing.initial_logits");
    double first = fmax(
        largest_of(table ? table->data : NULL, table ? table->count : 0),
        largest_of(model->item_logits, (size_t)model->items.count * (size_t)model->config.interests));
    double longest = largest_of(model->item_lengths, model->items.count), interest = 1.0;
    if (routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every)
        interest = (double)fabsf(routing->squash_scale);
    else if (routing->agreement_interest != MS_AGREEMENT_UNIT)
        interest = longest * (double)model->config.max_behaviors;
    double agreement = (double)fabsf(routing->agreement_scale) * interest *
                       (routing->agreement_item_unit ? 1.0 : longest);
    double steps = routing->update == MS_UPDATE_ACCUMULATE ? (double)(routing->iterations - 1) : 1.0;
    double before = routing->update == MS_UPDATE_PROBABILITY ? fmax(first, 1.0) : first;
    return (double)fabsf(routing->softmax_scale) * (before + steps * agreement);
}

static void widen(const float *from, size_t n, double *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (double)from[i];
}

/* What the products in double have beyond those in float32. */
static enum ms_status project_rest(struct ms_model *model, const char *dir, struct ms_error *error)
{
    const struct ms_safetensor *bias = ms_tensors_find(&model->tensors, "routing.bilinear_bias");
    size_t in = (size_t)model->config.item_dim, out = (size_t)model->config.capsule_dim;
    size_t numbers = in * out + PROJECT_WIDE_ROWS * (in + out);
    double *map = malloc(numbers * sizeof *map), *items, *products;
    enum ms_status status = make_block(&model->projected_rest, table_bytes(model, (int)out),
                                       "projected items", dir, error);
    if (status == MS_OK && !map)
        status = ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of a product", dir,
                         numbers * sizeof *map);
    if (status != MS_OK)
        goto done;
    items = map + in * out;
    products = items + PROJECT_WIDE_ROWS * in;
    widen(ms_tensors_find(&model->tensors, "routing.bilinear")->data, in * out, map);
    for (uint32_t row = 0; row < model->items.count; row += PROJECT_WIDE_ROWS) {
        uint32_t left = model->items.count - row, rows = left < PROJECT_WIDE_ROWS ? left : PROJECT_WIDE_ROWS;
        widen(model->embedding + row * in, rows * in, items);
        for (size_t i = 0; bias && i < rows; i++)
            widen(bias->data, out, products + i * out);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)out, (int)in, 1.0, items,
                    (int)in, map, (int)out, bias ? 1.0 : 0.0, products, (int)out);
        for (size_t i = 0; i < rows * out; i++)
            model->projected_rest[row * out + i] = (float)(products[i] -
                                                           (double)model->projected[row * out + i]);
    }
done:
    free(map);
    return status;
}

static enum ms_status draw_item_logits_rest(struct ms_model *model, const char *dir, struct ms_error *error)
{
    size_t K = (size_t)model->config.interests;
    enum ms_status status = make_block(&model->item_logits_rest, table_bytes(model, (int)K), "item logits",
                                       dir, error);
    for (uint32_t row = 0; status == MS_OK && row < model->items.count; row++) {
        double drawn[MS_MAX_INTERESTS];
        ms_model_draw_logits(model, row, drawn);
        for (size_t j = 0; j < K; j++)
            model->item_logits_rest[row * K + j] = (float)(drawn[j] -
                                                           (double)model->item_logits[row * K + j]);
    }
    return status;
}

/* The tables for routing in double, where they may be wanted and are not too large. */
static enum ms_status make_rests(struct ms_model *model, const char *dir, struct ms_error *error)
{
    size_t bytes = 0;
    enum ms_status status = measure_items(model, dir, error);
    if (status != MS_OK)
        return status;
    model->outgrows_float32 = !ms_routing_fits_float32(&model->config) ||
                              !(logit_bound(model) <= (double)MS_FLOAT32_LOGITS);
    if (model->projected)
        bytes += table_bytes(model, model->config.capsule_dim);
    if (model->item_logits)
        bytes += table_bytes(model, model->config.interests);
    if (!model->outgrows_float32) {
        ms_block_free(model->item_lengths, table_bytes(model, 1));
        model->item_lengths = NULL;
    }
    if (!model->outgrows_float32 || bytes > MS_MAX_REST_BYTES)
        return MS_OK;
    if (model->projected)
        status = project_rest(model, dir, error);
    if (status == MS_OK && model->item_logits)
        status = draw_item_logits_rest(model, dir, error);
    return status;
}

static enum ms_status load(struct ms_model *model, const char *dir, XXH64_state_t *hash,
                           struct ms_error *error)
{
    static const struct {
        const char *name;
        enum ms_status (*read)(struct ms_model *model, const char *path, XXH64_state_t *hash,
                               struct ms_error *error);
    } files[] = {
        {"config.json", read_config}, {"model.safetensors", read_tensors}, {"items.txt", read_items}};
    struct stat st;
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return ms_fail(error, MS_MODEL, "%s: not a directory", dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, files[i].name) >= sizeof path)
            return ms_fail(error, MS_MODEL, "the model directory's path is longer than %zu bytes",
                           sizeof path);
        enum ms_status status = files[i].read(model, path, hash, error);
        if (status != MS_OK)
            return status;
    }
    const struct ms_model_config *config = &model->config;
    enum ms_status status = read_profile(model, dir, hash, error);
    if (status != MS_OK || config->extractor != MS_EXTRACTOR_MIND)
        return status;
    if (config->routing.bilinear == MS_BILINEAR_SHARED)
        status = project(model, dir, error);
    if (status == MS_OK && config->routing.initial_logits == MS_LOGITS_ITEM_NORMAL)
        status = draw_item_logits(model, dir, error);
    return status == MS_OK ? make_rests(model, dir, error) : status;
}

/* Names in a bad file are anybody's bytes; the text must stay one line of UTF-8, fit for a log and for JSON.
 */
static void clean_text(struct ms_error *error)
{
    bool utf8 = ms_utf8_valid(error->text, strlen(error->text));
    for (char *at = error->text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || (!utf8 && (unsigned char)*at >= 0x80))
            *at = '?';
}

enum ms_status ms_model_load(struct ms_model **out, const char *dir, struct ms_error *error)
{
    XXH64_state_t *hash = XXH64_createState();
    struct ms_model *model = calloc(1, sizeof *model);
    enum ms_status status;
    if (!hash || !model) {
        status = ms_fail(error, MS_MEMORY, "%s: no memory", dir);
    } else {
        XXH64_reset(hash, 0);
        status = load(model, dir, hash, error);
    }
    if (status == MS_OK) {
        model->hash = XXH64_digest(hash);
        *out = model;
        model = NULL;
    } else if (error) {
        clean_text(error);
    }
    XXH64_freeState(hash);
    ms_model_destroy(model);
    return status;
}

void ms_model_destroy(struct ms_model *model)
{
    if (!model)
        return;
    ms_block_free(model->projected, table_bytes(model, model->config.capsule_dim));
    ms_block_free(model->item_logits, table_bytes(model, model->config.interests));
    ms_block_free(model->item_lengths, table_bytes(model, 1));
    ms_block_free(model->projected_rest, table_bytes(model, model->config.capsule_dim));
    ms_block_free(model->item_logits_rest, table_bytes(model, model->config.interests));
    ms_safetensors_free(&model->tensors);
    ms_items_free(&model->items);
    for (int i = 0; i < MS_MAX_PROFILE; i++)
        ms_items_free(&model->profile_values[i]);
    ms_arena_free(&model->strings);
    free(model);
}

const struct ms_model_config *ms_model_config(const struct ms_model *model)
{
    return &model->config;
}

uint64_t ms_model_hash(const struct ms_model *model)
{
    return model->hash;
}

uint32_t ms_model_item_count(const struct ms_model *model)
{
    return model->items.count;
}

uint32_t ms_model_find(const struct ms_model *model, const char *id, size_t id_bytes)
{
    return ms_items_find(&model->items, id, id_bytes);
}

void ms_model_find_many(const struct ms_model *model, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *rows)
{
    ms_items_find_many(&model->items, ids, id_bytes, count, rows);
}

const char *ms_model_item_id(const struct ms_model *model, uint32_t row, size_t *id_bytes)
{
    assert(row < model->items.count);
    return ms_items_id(&model->items, row, id_bytes);
}

const float *ms_model_item_embedding(const struct ms_model *model, uint32_t row)
{
    assert(row < model->items.count);
    return model->embedding + (size_t)row * (size_t)model->config.item_dim;
}

const float *ms_model_projected(const struct ms_model *model)
{
    return model->projected ? model->projected : model->embedding;
}

int ms_model_projected_dim(const struct ms_model *model)
{
    return model->projected ? model->config.capsule_dim : model->config.item_dim;
}

const float *ms_model_item_logits(const struct ms_model *model)
{
    return model->item_logits;
}

const float *ms_model_projected_rest(const struct ms_model *model)
{
    return model->projected_rest;
}

const float *ms_model_item_logits_rest(const struct ms_model *model)
{
    return model->item_logits_rest;
}

const float *ms_model_item_lengths(const struct ms_model *model)
{
    return model->item_lengths;
}

bool ms_model_outgrows_float32(const struct ms_model *model)
{
    return model->outgrows_float32;
}

const float *ms_model_profile_row(const struct ms_model *model, int field, const char *value,
                                  size_t value_bytes)
{
    assert(field >= 0 && field < model->config.profile_fields);
    uint32_t row = value ? ms_items_find(&model->profile_values[field], value, value_bytes) : MS_NO_ITEM;
    if (row == MS_NO_ITEM)
        row = model->profile_default[field];
    return model->profile_rows[field] + (size_t)row * (size_t)model->config.profile_width[field];
}

void ms_model_set_profile_order(struct ms_model *model, enum ms_profile_order order)
{
    model->config.profile_order = order;
}

static struct ms_tensor view(const struct ms_safetensor *from)
{
    struct ms_tensor tensor = {.data = from->data, .rank = from->rank};
    static_assert(sizeof tensor.shape == sizeof from->shape, "both hold four dimensions");
    memcpy(tensor.shape, from->shape, sizeof tensor.shape);
    return tensor;
}

struct ms_tensor ms_model_tensor(const struct ms_model *model, const char *name)
{
    const struct ms_safetensor *tensor = ms_tensors_find(&model->tensors, name);
    return tensor ? view(tensor) : (struct ms_tensor){0};
}

struct ms_tensor ms_model_tensor_at(const struct ms_model *model, size_t i, const char **name)
{
    if (i >= model->tensors.count)
        return (struct ms_tensor){0};
    *name = model->tensors.tensors[i].name;
    return view(&model->tensors.tensors[i]);
}

size_t ms_model_bytes(const struct ms_model *model)
{
    size_t bytes = sizeof *model + model->tensors.block_bytes + model->tensors.data_start;
    bytes += model->items.starts[model->items.count] + (model->items.count + 1) * sizeof *model->items.starts;
    bytes += ((size_t)model->items.index.mask + 1) * sizeof *model->items.index.slots;
    if (model->projected)
        bytes += table_bytes(model, model->config.capsule_dim);
    if (model->item_logits)
        bytes += table_bytes(model, model->config.interests);
    if (model->item_lengths)
        bytes += table_bytes(model, 1);
    if (model->projected_rest)
        bytes += table_bytes(model, model->config.capsule_dim);
    if (model->item_logits_rest)
        bytes += table_bytes(model, model->config.interests);
    return bytes;
}

/* The smallest n with ln n >= k: e^k rounded up. n never passes MS_MAX_BEHAVIORS. */
static int ln_floor(size_t n)
{
    static const size_t least[] = {1, 3, 8, 21, 55, 149, 404, 1097, 2981, 8104, 22027, 59875, 162755};
    static_assert(MS_MAX_BEHAVIORS < 162755, "the table covers every window");
    int k = 0;
    while (n >= least[k + 1])
        k++;
    return k;
}

static int log2_floor(size_t n)
{
    return 63 - __builtin_clzll(n);
}

int ms_interest_count(const struct ms_model_config *config, size_t n)
{
    int count = config->interests;
    if (n == 0)
        return 0;
    if (config->extractor == MS_EXTRACTOR_SINE && !config->sine_interests)
        return 1; /* the K interests are aggregated to one vector */
    if (n > (size_t)config->max_behaviors)
        n = (size_t)config->max_behaviors;
    switch (config->interest_count) {
    case MS_COUNT_FIXED:
        break;
    case MS_COUNT_LOG2_FLOOR:
        count = log2_floor(n);
        break;
    case MS_COUNT_LOG2_CEIL:
        count = n == 1 ? 0 : log2_floor(n - 1) + 1;
        break;
    case MS_COUNT_LOG2_PLUS_ONE_FLOOR:
        count = log2_floor(n + 1);
        break;
    case MS_COUNT_LN_FLOOR:
        count = ln_floor(n);
        break;
    }
    count = count < config->interests ? count : config->interests;
    return count > 1 ? count : 1;
}
