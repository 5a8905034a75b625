/* Rows lose their padding here; the rest is text. */
#include "train/fit/output.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/json_text.h"
#include "model/write.h"

/* A table of learned numbers with padded rows. */
struct table {
    const float *values;
    size_t width, stride;
};

static void table_row(void *context, uint64_t number, float *values)
{
    const struct table *table = context;
    memcpy(values, table->values + number * table->stride, table->width * sizeof *values);
}

static struct ms_bytes item_line(void *context, uint64_t number)
{
    return ((const struct ms_fit_clicks *)context)->ids[number];
}

/* ---- config.json ---- */

static bool put_text(struct ms_buffer *out, const char *key, const char *value)
{
    return ms_buffer_printf(out, "\"%s\": ", key) &&
           ms_json_text_string(out, (struct ms_bytes){value, strlen(value)}) &&
           ms_buffer_append(out, ", ", 2);
}

static bool put_number(struct ms_buffer *out, const char *key, double value, const char *end)
{
    char text[400];
    size_t bytes = ms_print_double(text, sizeof text, value);
    return ms_buffer_printf(out, "\"%s\": %.*s%s", key, bytes ? (int)bytes : 1, bytes ? text : "0", end);
}

static bool put_count(struct ms_buffer *out, const char *key, uint64_t value)
{
    return ms_buffer_printf(out, "\"%s\": %" PRIu64 ", ", key, value);
}

/* The last part of a path. */
static const char *base_of(const char *path, char *base, size_t size)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t first = length;
    while (first > 0 && path[first - 1] != '/')
        first--;
    snprintf(base, size, "%.*s", (int)(length - first), path + first);
    return base;
}

static bool put_split(struct ms_buffer *out, const struct ms_fit_options *o)
{
    return o->split_by_time ? ms_buffer_printf(out, "\"split_ms\": %" PRId64 ", ", o->split_ms)
                            : put_number(out, "holdout", o->holdout, ", ");
}

static bool put_options(struct ms_buffer *out, const struct ms_fit_options *o)
{
    static const char *const decays[] = {"item", "learned", "given"};
    return ms_buffer_printf(out, "\"options\": {") &&
           put_text(out, "objective", o->full_routing ? "window" : "fold") &&
           put_text(out, "decay", o->full_routing ? "none" : decays[o->decay]) &&
           put_text(out, "negatives_by", o->by_max ? "max" : "chosen") &&
           put_text(out, "maps", o->map_per_interest ? "per-interest" : "shared") &&
           put_text(out, "logits", o->logits_drawn ? "drawn" : "learned") &&
           put_count(out, "batch", o->batch) && put_count(out, "negatives", o->negatives) &&
           put_count(out, "window", o->window) && put_count(out, "context", o->context) &&
           put_split(out, o) && (!o->from || put_text(out, "from", o->from)) &&
           put_number(out, "dropout", o->dropout, ", ") && put_number(out, "learning_rate", o->rate, "}, ");
}

static bool put_logs(struct ms_buffer *out, const struct ms_fit_options *o)
{
    bool good = ms_buffer_printf(out, "\"log\": [");
    for (size_t i = 0; good && i < o->events.path_count; i++) {
        char base[PATH_MAX];
        base_of(o->events.paths[i], base, sizeof base);
        good = (i == 0 || ms_buffer_append(out, ", ", 2)) &&
               ms_json_text_string(out, (struct ms_bytes){base, strlen(base)});
    }
    return good && ms_buffer_printf(out, "], ");
}

static bool put_tried(struct ms_buffer *out, const struct ms_fit_result *result)
{
    char key[24];
    bool good = result->tried_count == 0 || ms_buffer_printf(out, "\"recall@50_by_interests\": {");
    for (size_t i = 0; good && i < result->tried_count; i++) {
        snprintf(key, sizeof key, "%zu", result->tried[i]);
        good = put_number(out, key, result->tried_recall[i], i + 1 < result->tried_count ? ", " : "}, ");
    }
    return good;
}

static bool put_training(struct ms_buffer *out, const struct ms_fit_options *o,
                         const struct ms_fit_clicks *clicks, const struct ms_fit_result *result)
{
    size_t judged = 0;
    struct ms_fit_targets targets;
    for (uint32_t u = 0; u < clicks->user_count; u++)
        judged += ms_fit_clicks_targets(clicks, u, 0, SIZE_MAX / 2, &targets);
    return ms_buffer_printf(out, "\"training\": {") && put_logs(out, o) &&
           ms_buffer_printf(out, "\"log_hash\": \"%016" PRIx64 "\", ", clicks->digest) &&
           put_count(out, "events", clicks->event_count) && put_count(out, "users", clicks->user_count) &&
           put_count(out, "held_out_users", judged) && put_count(out, "seed", o->seed) &&
           put_options(out, o) && put_count(out, "epochs", result->epochs) &&
           put_count(out, "best_epoch", result->best_epoch) && put_count(out, "targets", result->targets) &&
           put_number(out, "last_learning_rate", result->rate, ", ") &&
           put_number(out, "scale", result->scale, ", ") && put_tried(out, result) &&
           put_count(out, "judged_targets", result->recall.targets) &&
           put_number(out, "recall@20", result->recall.at_20, ", ") &&
           put_number(out, "recall@50", result->recall.at_50, "}");
}

uint64_t ms_fit_identity(const struct ms_fit_options *o, const struct ms_fit_clicks *clicks)
{
    struct ms_buffer text = {0};
    uint64_t digest = clicks->digest;
    if (put_options(&text, o))
        digest = ms_digest_next(digest, text.data, text.size);
    ms_buffer_free(&text);
    const uint64_t more[3] = {o->seed, o->dim, o->interests};
    digest = ms_digest_next(digest, more, sizeof more);
    if (o->decay == MS_FIT_DECAY_GIVEN)
        digest = ms_digest_next(digest, o->decays, o->interests * sizeof *o->decays);
    return o->logits_drawn ? ms_digest_next(digest, &o->stddev, sizeof o->stddev) : digest;
}

/* A version for a model that was given none: the same log and options have the same. */
static void digest_version(char version[17], const struct ms_fit_options *o,
                           const struct ms_fit_clicks *clicks)
{
    const uint64_t more[2] = {o->epochs, o->patience};
    uint64_t digest = ms_digest_next(ms_fit_identity(o, clicks), more, sizeof more);
    snprintf(version, 17, "%08" PRIx32, (uint32_t)digest);
}

static bool put_logits(struct ms_buffer *out, const struct ms_fit_options *o)
{
    if (!o->logits_drawn)
        return ms_buffer_printf(out, "\"initial_logits\": \"item\"");
    return ms_buffer_printf(out, "\"initial_logits\": \"item-normal\", \"seed\": %" PRIu64 ", ",
                            o->logit_seed) &&
           put_number(out, "stddev", o->stddev, "");
}

static bool put_config(struct ms_buffer *out, const struct ms_fit_options *o,
                       const struct ms_fit_clicks *clicks, const struct ms_fit_result *result)
{
    char base[PATH_MAX], version[17];
    digest_version(version, o, clicks);
    return ms_buffer_printf(out, "{\"format\": \"mindstream-model/1\", ") &&
           put_text(out, "name", o->name ? o->name : base_of(o->out, base, sizeof base)) &&
           put_text(out, "version", o->version ? o->version : version) &&
           ms_buffer_printf(
               out,
               "\"extractor\": \"mind\", \"dim\": %zu, \"interests\": %zu, \"max_behaviors\": %zu,\n"
               " \"interest_count\": \"fixed\",\n \"routing\": {\"iterations\": 3, \"bilinear\": \"%s\", ",
               o->dim, o->interests, o->window, o->map_per_interest ? "per-interest" : "shared") &&
           put_logits(out, o) && ms_buffer_printf(out, "},\n ") && put_training(out, o, clicks, result) &&
           ms_buffer_printf(out, "}\n");
}

/* ---- tensors ---- */

static bool is_finite(const struct table *table, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < table->width; i++)
            if (!isfinite(table->values[r * table->stride + i]))
                return false;
    return true;
}

/* routing.decay_gate is [d, K]: column j is a_j. */
struct turned {
    const float *values;
    size_t stride, columns;
};

static void turned_row(void *context, uint64_t number, float *values)
{
    const struct turned *turned = context;
    for (size_t j = 0; j < turned->columns; j++)
        values[j] = turned->values[j * turned->stride + number];
}

enum ms_status ms_fit_write(const struct ms_fit_options *o, const struct ms_fit_clicks *clicks,
                            const struct ms_fit_learned *l, const struct ms_fit_result *result,
                            struct ms_error *error)
{
    size_t D = l->shape.stride, d = l->shape.dim, K = l->shape.interests, maps = l->shape.maps;
    struct table items = {l->items.values, d, D}, logits = {l->logits.values, K, l->logit_stride},
                 map = {l->dense.values, d, D}, rest = {l->dense.values, l->dense_count, 0};
    struct turned gates = {l->dense.values + l->gates, D, K};
    /* Maps are written row by row, d rows of each: their padding is at the end of each. */
    float *packed = malloc(maps * d * d * sizeof *packed);
    struct ms_buffer config = {0};
    if (!packed || !put_config(&config, o, clicks, result)) {
        free(packed);
        ms_buffer_free(&config);
        return ms_fail(error, MS_MEMORY, "%s: no memory for the model", o->out);
    }
    for (size_t m = 0; m < maps; m++)
        for (size_t i = 0; i < d; i++)
            memcpy(packed + (m * d + i) * d, map.values + (m * D + i) * D, d * sizeof *packed);
    /* clang-format off */
    int64_t N = l->item_count, dim = (int64_t)d, interests = (int64_t)K;
    struct ms_write_tensor tensors[5] = {
        {.name = "item_embedding", .rank = 2, .shape = {N, dim}, .row = table_row, .context = &items},
        {.name = "routing.bilinear", .rank = 2, .shape = {dim, dim}, .data = packed},
    };
    const struct ms_write_tensor per_interest = {
        .name = "routing.bilinear", .rank = 3, .shape = {interests, dim, dim}, .data = packed},
    decay = {.name = "routing.decay", .rank = 1, .shape = {interests}, .data = l->dense.values + l->decay},
    gate = {.name = "routing.decay_gate", .rank = 2, .shape = {dim, interests}, .row = turned_row, .context = &gates},
    item_logits = {.name = "routing.item_logits", .rank = 2, .shape = {N, interests}, .row = table_row, .context = &logits};
    /* clang-format on */
    size_t count = 2;
    if (o->map_per_interest)
        tensors[1] = per_interest;
    if (!o->full_routing)
        tensors[count++] = decay;
    if (l->gated)
        tensors[count++] = gate;
    if (!o->logits_drawn)
        tensors[count++] = item_logits;
    const struct ms_write_model model = {.config = config.data,
                                         .items = {clicks->item_count, item_line, (void *)(uintptr_t)clicks},
                                         .tensors = tensors,
                                         .tensor_count = count,
                                         .replace = o->force};
    enum ms_status status =
        is_finite(&items, l->item_count) && is_finite(&logits, l->item_count) && is_finite(&rest, 1)
            ? ms_model_write(o->out, &model, error)
            : ms_fail(error, MS_MODEL, "%s is not written: what was learned has numbers that are not finite",
                      o->out);
    free(packed);
    ms_buffer_free(&config);
    return status;
}
