/* The table of tensors: name, when it is asked for, and its shape in symbols. A symbol that the config does
 * not give is bound by the first tensor that has it, and all later ones must agree. */
#include "model/tensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTENTION (4 * MS_MAX_DIM) /* ComiRec has 4 d */

enum symbol {
    SYM_NONE,
    SYM_N,
    SYM_D,
    SYM_2D,
    SYM_C,
    SYM_K,
    SYM_L,
    SYM_A,
    SYM_T,
    SYM_H,
    SYM_IN,
    SYM_OUT,
    SYM_V,
    SYM_DP,
    SYMBOLS
};

static const struct {
    const char *name;
    int64_t max;
} symbols[SYMBOLS] = {
    [SYM_N] = {"items", (int64_t)1 << 30},  [SYM_D] = {"d", MS_MAX_DIM},
    [SYM_C] = {"dim", MS_MAX_DIM},          [SYM_K] = {"K", MS_MAX_INTERESTS},
    [SYM_L] = {"L", MS_MAX_BEHAVIORS},      [SYM_A] = {"a", MAX_ATTENTION},
    [SYM_IN] = {"in", 2 * MS_MAX_DIM},      [SYM_OUT] = {"out", 2 * MS_MAX_DIM},
    [SYM_2D] = {"2d", 2 * MS_MAX_DIM},      [SYM_H] = {"heads", 16},
    [SYM_T] = {"topics", (int64_t)1 << 20}, [SYM_V] = {"V", (int64_t)1 << 30},
    [SYM_DP] = {"dp", MS_MAX_DIM},
};

typedef bool when_fn(const struct ms_model_config *config);

static bool always(const struct ms_model_config *c)
{
    return c != NULL;
}

static bool has_bilinear(const struct ms_model_config *c)
{
    return c->extractor == MS_EXTRACTOR_MIND && c->routing.bilinear != MS_BILINEAR_NONE;
}

static bool bilinear_shared(const struct ms_model_config *c)
{
    return has_bilinear(c) && c->routing.bilinear == MS_BILINEAR_SHARED;
}

static bool bilinear_per_interest(const struct ms_model_config *c)
{
    return has_bilinear(c) && c->routing.bilinear == MS_BILINEAR_PER_INTEREST;
}

static bool bilinear_per_position(const struct ms_model_config *c)
{
    return has_bilinear(c) && c->routing.bilinear == MS_BILINEAR_PER_POSITION;
}

static bool logits_table(const struct ms_model_config *c)
{
    return c->extractor == MS_EXTRACTOR_MIND && c->routing.initial_logits == MS_LOGITS_TABLE;
}

static bool attention(const struct ms_model_config *c)
{
    return c->extractor == MS_EXTRACTOR_COMIREC_SA;
}

static bool sine(const struct ms_model_config *c)
{
    return c->extractor == MS_EXTRACTOR_SINE;
}

/* One head needs no query to weigh it against others. */
static bool sine_heads(const struct ms_model_config *c)
{
    return sine(c) && c->sine_heads > 1;
}

struct spec {
    const char *name;
    bool required;
    when_fn *when;
    int rank;
    enum symbol shape[MS_SAFETENSORS_MAX_RANK];
};

/* A new extractor adds its rows here (and its symbols above). item_embedding stays first: it binds N and d.
 */
static const struct spec specs[] = {
    {"item_embedding", true, always, 2, {SYM_N, SYM_D}},
    {"routing.bilinear", true, bilinear_shared, 2, {SYM_D, SYM_C}},
    {"routing.bilinear", true, bilinear_per_interest, 3, {SYM_K, SYM_D, SYM_C}},
    {"routing.bilinear", true, bilinear_per_position, 4, {SYM_L, SYM_K, SYM_D, SYM_C}},
    {"routing.bilinear_bias", false, has_bilinear, 1, {SYM_C}},
    {"routing.initial_logits", true, logits_table, 2, {SYM_L, SYM_K}},
    {"attention.position", false, attention, 2, {SYM_L, SYM_D}},
    {"attention.w1", true, attention, 2, {SYM_D, SYM_A}},
    {"attention.b1", false, attention, 1, {SYM_A}},
    {"attention.w2", true, attention, 2, {SYM_A, SYM_K}},
    {"attention.b2", false, attention, 1, {SYM_K}},
    {"sine.topics", true, sine, 2, {SYM_T, SYM_D}},
    {"sine.position", false, sine, 2, {SYM_L, SYM_D}},
    {"sine.select.w1", true, sine, 2, {SYM_D, SYM_A}},
    {"sine.select.b1", false, sine, 1, {SYM_A}},
    {"sine.select.w2", true, sine, 1, {SYM_A}},
    {"sine.pool.w1", true, sine, 2, {SYM_D, SYM_A}},
    {"sine.pool.b1", false, sine, 1, {SYM_A}},
    {"sine.pool.w2", true, sine, 3, {SYM_A, SYM_K, SYM_H}},
    {"sine.pool.b2", false, sine, 2, {SYM_K, SYM_H}},
    {"sine.pool.query", true, sine_heads, 2, {SYM_D, SYM_D}},
    {"sine.pool.query_bias", false, sine_heads, 1, {SYM_D}},
    {"sine.concept.w1", true, sine, 2, {SYM_D, SYM_A}},
    {"sine.concept.b1", false, sine, 1, {SYM_A}},
    {"sine.concept.w2", true, sine, 2, {SYM_A, SYM_H}},
    {"sine.concept.query", true, sine_heads, 2, {SYM_D, SYM_D}},
    {"sine.concept.query_bias", false, sine_heads, 1, {SYM_D}},
    {"sine.aggregate.query", true, sine, 2, {SYM_2D, SYM_D}},
    {"sine.aggregate.query_bias", false, sine, 1, {SYM_D}},
};

struct checker {
    const struct ms_safetensors *st;
    const char *path;
    struct ms_error *error;
    int64_t bound[SYMBOLS]; /* 0: not yet */
    bool known[MS_SAFETENSORS_MAX_TENSORS];
};

const struct ms_safetensor *ms_tensors_find(const struct ms_safetensors *st, const char *name)
{
    for (size_t i = 0; i < st->count; i++)
        if (strcmp(st->tensors[i].name, name) == 0)
            return &st->tensors[i];
    return NULL;
}

/* "[L=20, K=4, d, 64]" */
static void expected_text(char *text, size_t size, const struct checker *checker, const struct spec *spec)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < spec->rank && used < size; i++) {
        enum symbol symbol = spec->shape[i];
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", symbols[symbol].name);
        if (checker->bound[symbol] && used < size)
            used += (size_t)snprintf(text + used, size - used, "=%" PRId64, checker->bound[symbol]);
    }
    if (used < size)
        snprintf(text + used, size - used, "]");
}

static void found_text(char *text, size_t size, const struct ms_safetensor *tensor)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < tensor->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", tensor->shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

static enum ms_status check_one(struct checker *checker, const struct spec *spec)
{
    char expected[200], found[200];
    const struct ms_safetensor *tensor = ms_tensors_find(checker->st, spec->name);
    expected_text(expected, sizeof expected, checker, spec);
    if (!tensor)
        return spec->required
                   ? ms_fail(checker->error, MS_MODEL, "%s: tensor %s is missing, expected with shape %s",
                             checker->path, spec->name, expected)
                   : MS_OK;
    checker->known[tensor - checker->st->tensors] = true;
    bool good = tensor->rank == spec->rank;
    for (int i = 0; good && i < spec->rank; i++) {
        enum symbol symbol = spec->shape[i];
        int64_t bound = checker->bound[symbol];
        good = bound ? tensor->shape[i] == bound
                     : tensor->shape[i] >= 1 && tensor->shape[i] <= symbols[symbol].max;
    }
    found_text(found, sizeof found, tensor);
    if (!good)
        return ms_fail(checker->error, MS_MODEL, "%s: tensor %s has shape %s, expected %s", checker->path,
                       spec->name, found, expected);
    for (int i = 0; i < spec->rank; i++)
        checker->bound[spec->shape[i]] = tensor->shape[i];
    return MS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Fields that the config does not list are those that have a tensor, by name. */
static enum ms_status find_profile(struct checker *checker, struct ms_model_config *config)
{
    const size_t prefix = strlen("profile.");
    if (config->profile_fields)
        return MS_OK;
    for (size_t i = 0; i < checker->st->count; i++) {
        const char *name = checker->st->tensors[i].name;
        if (strncmp(name, "profile.", prefix) != 0)
            continue;
        if (config->profile_fields == MS_MAX_PROFILE || !name[prefix] || strlen(name + prefix) > 64 ||
            strpbrk(name + prefix, "/."))
            return ms_fail(checker->error, MS_MODEL,
                           "%s: tensor %s: at most %d profile fields, named by 1 to 64 bytes without / and .",
                           checker->path, name, MS_MAX_PROFILE);
        config->profile_field[config->profile_fields++] = name + prefix;
    }
    qsort(config->profile_field, (size_t)config->profile_fields, sizeof *config->profile_field, by_name);
    return MS_OK;
}

static enum ms_status check_profile(struct checker *checker, struct ms_model_config *config)
{
    enum ms_status status = find_profile(checker, config);
    for (int i = 0; status == MS_OK && i < config->profile_fields; i++) {
        char name[80];
        snprintf(name, sizeof name, "profile.%s", config->profile_field[i]);
        const struct spec field = {name, true, always, 2, {SYM_V, SYM_DP}};
        checker->bound[SYM_V] = checker->bound[SYM_DP] = 0;
        status = check_one(checker, &field);
        config->profile_width[i] = (int)checker->bound[SYM_DP];
        config->profile_dim += config->profile_width[i];
    }
    if (status == MS_OK && config->profile_dim > MS_MAX_DIM)
        return ms_fail(checker->error, MS_MODEL,
                       "%s: the profile's embeddings are %d wide together, at most %d is allowed",
                       checker->path, config->profile_dim, MS_MAX_DIM);
    return status;
}

/* Layer 0 takes the capsule (and the profile), each further one what came before, and the last gives dim. */
static enum ms_status check_head(struct checker *checker, const struct ms_model_config *config)
{
    checker->bound[SYM_IN] = checker->bound[SYM_C] + config->profile_dim;
    for (int n = 0; n < config->head_layers; n++) {
        char weight[32], bias[32];
        snprintf(weight, sizeof weight, "head.%d.weight", n);
        snprintf(bias, sizeof bias, "head.%d.bias", n);
        checker->bound[SYM_OUT] = n == config->head_layers - 1 ? config->dim : 0;
        const struct spec layer[] = {{weight, true, always, 2, {SYM_OUT, SYM_IN}},
                                     {bias, false, always, 1, {SYM_OUT}}};
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
            enum ms_status status = check_one(checker, &layer[i]);
            if (status != MS_OK)
                return status;
        }
        checker->bound[SYM_IN] = checker->bound[SYM_OUT];
    }
    return MS_OK;
}

enum ms_status ms_tensors_check(struct ms_model_config *config, const struct ms_safetensors *st,
                                const char *path, struct ms_error *error)
{
    struct checker checker = {.st = st, .path = path, .error = error};
    enum ms_status status;
    checker.bound[SYM_K] = config->interests;
    checker.bound[SYM_L] = config->max_behaviors;
    checker.bound[SYM_H] = config->sine_heads;
    if ((status = check_profile(&checker, config)) != MS_OK)
        return status;
    /* Without a head the capsule (and the profile) is what is published; with one, the bilinear map may give
     * another width. */
    if (config->head_layers == 0 && config->dim <= config->profile_dim)
        return ms_fail(error, MS_MODEL, "%s: dim=%d leaves no room beside a profile of %d (no head)", path,
                       config->dim, config->profile_dim);
    if (config->head_layers == 0)
        checker.bound[SYM_C] = config->dim - config->profile_dim;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        if (!specs[i].when(config))
            continue;
        if ((status = check_one(&checker, &specs[i])) != MS_OK)
            return status;
        checker.bound[SYM_2D] = 2 * checker.bound[SYM_D];
        if (i == 0 && !has_bilinear(config)) { /* capsules are sums of the embeddings themselves */
            if (checker.bound[SYM_C] && checker.bound[SYM_C] != checker.bound[SYM_D])
                return ms_fail(error, MS_MODEL,
                               "%s: tensor item_embedding is %" PRId64
                               " wide, expected dim=%d (no bilinear map, no head)",
                               path, checker.bound[SYM_D], config->dim);
            checker.bound[SYM_C] = checker.bound[SYM_D];
        }
    }
    config->sine_topics = (int)checker.bound[SYM_T];
    if (sine(config) && config->sine_topics < config->interests)
        return ms_fail(error, MS_MODEL, "%s: tensor sine.topics has %d rows, expected interests=%d or more",
                       path, config->sine_topics, config->interests);
    if ((status = check_head(&checker, config)) != MS_OK)
        return status;
    for (size_t i = 0; i < st->count; i++)
        if (!checker.known[i])
            return ms_fail(error, MS_MODEL, "%s: tensor %s is not one that this config asks for", path,
                           st->tensors[i].name);
    config->item_dim = (int)checker.bound[SYM_D];
    config->capsule_dim = (int)checker.bound[SYM_C];
    return MS_OK;
}
