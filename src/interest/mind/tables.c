/* MIND's tables: items projected, initial logits drawn, and what float32 lacks of both. */
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include <stdlib.h>

#include <xxhash.h>

#include "interest/blas.h"
#include "interest/mind/float32.h"
#include "model/file.h"

/* Rows of one product; fixed, so that results depend on nothing else. */
#define PROJECT_ROWS     4080u
#define PROJECT_ROWS_F64 512u
#define PROJECT_TILE                                                                                         \
    48u /* rows: a multiple of what OpenBLAS's kernels take at once; blocks are whole tiles */

static size_t table_bytes(const struct ms_model *model, int width)
{
    return (size_t)ms_model_item_count(model) * (size_t)width * sizeof(float);
}

static const struct ms_routing *routing_of(const struct ms_model *model)
{
    return (const struct ms_routing *)(const void *)ms_model_spec(model)->options;
}

static int capsule_dim(const struct ms_model *model)
{
    return ms_model_spec(model)->capsule_dim;
}

static int interests(const struct ms_model *model)
{
    return ms_model_config(model)->interests;
}

static enum ms_status make_block(float **block, size_t bytes, const char *what, const char *dir,
                                 struct ms_error *error)
{
    *block = ms_block_alloc(bytes);
    return *block ? MS_OK : ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of %s", dir, bytes, what);
}

/* |rows| rows of |items| times S, plus the bias. */
static void multiply_rows(const struct ms_model *model, const float *items, size_t rows, float *products)
{
    const float *bias = ms_model_tensor(model, "routing.bilinear_bias").data;
    const float *map = ms_model_tensor(model, "routing.bilinear").data;
    size_t in = (size_t)ms_model_config(model)->item_dim, out = (size_t)capsule_dim(model);
    for (size_t i = 0; bias && i < rows; i++)
        memcpy(products + i * out, bias, out * sizeof *products);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)out, (int)in, 1.0f, items, (int)in,
                map, (int)out, bias ? 1.0f : 0.0f, products, (int)out);
}

/* As multiply_rows for up to PROJECT_TILE rows, the first at row |at| of a tile whose other rows are zeros. |tile| has room
 * for a tile of items and one of products. */
static void multiply_in_tile(const struct ms_model *model, const float *items, size_t rows, size_t at,
                             float *products, float *tile)
{
    size_t in = (size_t)ms_model_config(model)->item_dim, out = (size_t)capsule_dim(model);
    float *made = tile + PROJECT_TILE * in;
    memset(tile, 0, PROJECT_TILE * in * sizeof *tile);
    memcpy(tile + at * in, items, rows * in * sizeof *tile);
    multiply_rows(model, tile, PROJECT_TILE, made);
    memcpy(products, made + at * out, rows * out * sizeof *tile);
}

/* OpenBLAS adds in an order that depends on a row's place in a tile, and on whether the tile is whole. Tiles are filled up,
 * and the items of a part of a model are put where they stand in the whole: the projections are the same then. */
static enum ms_status multiply_block(const struct ms_model *model, uint32_t first, size_t rows,
                                     float *products, struct ms_error *error)
{
    size_t in = (size_t)ms_model_config(model)->item_dim, out = (size_t)capsule_dim(model),
           whole = rows / PROJECT_TILE * PROJECT_TILE;
    const float *items = ms_model_item_embedding(model, first);
    const uint32_t *places = ms_model_places(model);
    float *tile = malloc(PROJECT_TILE * (in + out) * sizeof *tile);
    if (!tile)
        return ms_fail(error, MS_MEMORY, "no memory for a product of %u items", PROJECT_TILE);
    for (size_t i = 0; places && i < rows; i++)
        multiply_in_tile(model, items + i * in, 1, places[first + i] % PROJECT_TILE, products + i * out,
                         tile);
    if (!places && whole)
        multiply_rows(model, items, whole, products);
    if (!places && rows > whole)
        multiply_in_tile(model, items + whole * in, rows - whole, 0, products + whole * out, tile);
    free(tile);
    return MS_OK;
}

/* item_embedding times S, plus the bias, by blocks of rows. */
static enum ms_status project_items(const struct ms_model *model, struct ms_mind_tables *tables,
                                    const char *dir, struct ms_error *error)
{
    size_t out = (size_t)capsule_dim(model);
    enum ms_status status = make_block(&tables->projected, table_bytes(model, (int)out), "projected items",
                                       dir, error);
    if (status == MS_OK)
        status = ms_blas_ready(error);
    uint32_t count = ms_model_item_count(model);
    for (uint32_t first = 0; status == MS_OK && first < count; first += PROJECT_ROWS) {
        uint32_t left = count - first, rows = left < PROJECT_ROWS ? left : PROJECT_ROWS;
        float *block = tables->projected + (size_t)first * out;
        status = multiply_block(model, first, rows, block, error);
        for (size_t i = 0; status == MS_OK && i < (size_t)rows * out; i++)
            if (!isfinite(block[i]))
                return ms_fail(error, MS_MODEL,
                               "%s: item row %zu times tensor routing.bilinear overflows float32", dir,
                               first + i / out);
    }
    return status;
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

void ms_mind_draw_logits(const struct ms_model *model, uint32_t item, double *logits)
{
    const struct ms_routing *routing = routing_of(model);
    size_t size;
    const char *id = ms_model_item_id(model, item, &size);
    uint64_t state = XXH64(id, size, routing->seed);
    for (int j = 0; j < interests(model); j++)
        logits[j] = normal(state, j, routing->stddev);
}

static enum ms_status draw_item_logits(const struct ms_model *model, struct ms_mind_tables *tables,
                                       const char *dir, struct ms_error *error)
{
    int K = interests(model);
    enum ms_status status = make_block(&tables->drawn_logits, table_bytes(model, K), "item logits", dir,
                                       error);
    if (status != MS_OK)
        return status;
    for (uint32_t item = 0; item < ms_model_item_count(model); item++) {
        double drawn[MS_MAX_INTERESTS];
        ms_mind_draw_logits(model, item, drawn);
        for (int j = 0; j < K; j++)
            tables->drawn_logits[(size_t)item * (size_t)K + (size_t)j] = (float)drawn[j];
    }
    tables->item_logits = tables->drawn_logits;
    return MS_OK;
}

static double largest_of(const float *numbers, size_t n)
{
    double largest = 0.0;
    for (size_t i = 0; numbers && i < n; i++)
        largest = fmax(largest, fabs((double)numbers[i]));
    return largest;
}

static enum ms_status measure_items(const struct ms_model *model, struct ms_mind_tables *tables,
                                    const char *dir, struct ms_error *error)
{
    size_t width = (size_t)(tables->projected ? capsule_dim(model) : ms_model_config(model)->item_dim);
    const float *item = tables->items;
    enum ms_status status = make_block(&tables->item_lengths, table_bytes(model, 1), "item lengths", dir,
                                       error);
    for (uint32_t i = 0; status == MS_OK && i < ms_model_item_count(model); i++, item += width) {
        double norm = 0.0;
        for (size_t c = 0; c < width; c++)
            norm += (double)item[c] * (double)item[c];
        tables->item_lengths[i] = (float)fmin(sqrt(norm), (double)FLT_MAX);
    }
    return status;
}

static void to_doubles(const float *from, size_t n, double *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (double)from[i];
}

/* What the products in double have beyond those in float32. */
static enum ms_status project_residual(const struct ms_model *model, struct ms_mind_tables *tables,
                                       const char *dir, struct ms_error *error)
{
    const float *bias = ms_model_tensor(model, "routing.bilinear_bias").data;
    size_t in = (size_t)ms_model_config(model)->item_dim, out = (size_t)capsule_dim(model);
    size_t doubles = in * out + PROJECT_ROWS_F64 * (in + out);
    double *map = malloc(doubles * sizeof *map), *items, *products;
    enum ms_status status = make_block(&tables->items_residual, table_bytes(model, (int)out),
                                       "projected items", dir, error);
    if (status == MS_OK && !map)
        status = ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of a product", dir,
                         doubles * sizeof *map);
    if (status != MS_OK)
        goto done;
    items = map + in * out;
    products = items + PROJECT_ROWS_F64 * in;
    to_doubles(ms_model_tensor(model, "routing.bilinear").data, in * out, map);
    for (uint32_t first = 0, count = ms_model_item_count(model); first < count; first += PROJECT_ROWS_F64) {
        uint32_t left = count - first, rows = left < PROJECT_ROWS_F64 ? left : PROJECT_ROWS_F64;
        to_doubles(ms_model_item_embedding(model, first), rows * in, items);
        for (size_t i = 0; bias && i < rows; i++)
            to_doubles(bias, out, products + i * out);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)out, (int)in, 1.0, items,
                    (int)in, map, (int)out, bias ? 1.0 : 0.0, products, (int)out);
        for (size_t i = 0; i < rows * out; i++)
            tables->items_residual[first * out + i] = (float)(products[i] -
                                                              (double)tables->projected[first * out + i]);
    }
done:
    free(map);
    return status;
}

static enum ms_status draw_logits_residual(const struct ms_model *model, struct ms_mind_tables *tables,
                                           const char *dir, struct ms_error *error)
{
    size_t K = (size_t)interests(model);
    enum ms_status status = make_block(&tables->item_logits_residual, table_bytes(model, (int)K),
                                       "item logits", dir, error);
    for (uint32_t item = 0; status == MS_OK && item < ms_model_item_count(model); item++) {
        double drawn[MS_MAX_INTERESTS];
        ms_mind_draw_logits(model, item, drawn);
        for (size_t j = 0; j < K; j++)
            tables->item_logits_residual[item * K + j] = (float)(drawn[j] -
                                                                 (double)tables->item_logits[item * K + j]);
    }
    return status;
}

/* Whether routing with this model may pass MS_FLOAT32_LOGITS, or has options that always want double. */
static bool outgrows_float32(const struct ms_model *model, const struct ms_mind_tables *tables)
{
    const struct ms_routing *routing = routing_of(model);
    struct ms_tensor by_slot = ms_model_tensor(model, "routing.initial_logits");
    size_t items = ms_model_item_count(model), K = (size_t)interests(model);
    double largest_logit = fmax(
        largest_of(by_slot.data, by_slot.data ? (size_t)by_slot.shape[0] * (size_t)by_slot.shape[1] : 0),
        largest_of(tables->item_logits, items * K));
    return !ms_float32_knows(routing) ||
           !(ms_float32_logit_bound(routing, largest_of(tables->item_lengths, items), largest_logit,
                                    ms_model_config(model)->max_behaviors) <= (double)MS_FLOAT32_LOGITS);
}

/* The tables for routing in double, where they may be wanted and are not too large. */
static enum ms_status make_residuals(const struct ms_model *model, struct ms_mind_tables *tables,
                                     const char *dir, struct ms_error *error)
{
    size_t bytes = 0;
    enum ms_status status = measure_items(model, tables, dir, error);
    if (status != MS_OK)
        return status;
    tables->outgrows_float32 = outgrows_float32(model, tables);
    if (tables->projected)
        bytes += table_bytes(model, capsule_dim(model));
    if (tables->drawn_logits)
        bytes += table_bytes(model, interests(model));
    if (!tables->outgrows_float32) {
        ms_block_free(tables->item_lengths, table_bytes(model, 1));
        tables->item_lengths = NULL;
    }
    if (!tables->outgrows_float32 || bytes > MS_MAX_RESIDUAL_BYTES)
        return MS_OK;
    if (tables->projected)
        status = project_residual(model, tables, dir, error);
    if (status == MS_OK && tables->drawn_logits)
        status = draw_logits_residual(model, tables, dir, error);
    return status;
}

enum ms_status ms_mind_make_tables(const struct ms_model *model, void *out, const char *dir,
                                   struct ms_error *error)
{
    const struct ms_routing *routing = routing_of(model);
    struct ms_mind_tables *tables = out;
    enum ms_status status = MS_OK;
    if (routing->bilinear == MS_BILINEAR_SHARED)
        status = project_items(model, tables, dir, error);
    tables->items = tables->projected ? tables->projected : ms_model_item_embedding(model, 0);
    if (routing->initial_logits == MS_LOGITS_ITEM)
        tables->item_logits = ms_model_tensor(model, "routing.item_logits").data;
    if (status == MS_OK && routing->initial_logits == MS_LOGITS_ITEM_NORMAL)
        status = draw_item_logits(model, tables, dir, error);
    if (status == MS_OK && ms_mind_has_decays(model))
        status = ms_mind_make_forgets(model, tables, dir, error);
    return status == MS_OK ? make_residuals(model, tables, dir, error) : status;
}

void ms_mind_free_tables(const struct ms_model *model, void *made)
{
    struct ms_mind_tables *tables = made;
    ms_block_free(tables->projected, table_bytes(model, capsule_dim(model)));
    ms_block_free(tables->drawn_logits, table_bytes(model, interests(model)));
    ms_block_free(tables->forgets, table_bytes(model, interests(model)));
    ms_block_free(tables->item_lengths, table_bytes(model, 1));
    ms_block_free(tables->items_residual, table_bytes(model, capsule_dim(model)));
    ms_block_free(tables->item_logits_residual, table_bytes(model, interests(model)));
}

size_t ms_mind_bytes_of_tables(const struct ms_model *model, const void *made)
{
    const struct ms_mind_tables *tables = made;
    size_t items = table_bytes(model, capsule_dim(model)), logits = table_bytes(model, interests(model));
    return (tables->projected ? items : 0) + (tables->items_residual ? items : 0) +
           (tables->drawn_logits ? logits : 0) + (tables->item_logits_residual ? logits : 0) +
           (tables->forgets ? logits : 0) + (tables->item_lengths ? table_bytes(model, 1) : 0);
}
