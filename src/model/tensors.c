/* Tensors against tables of rules: name, when it is asked for, and its shape in symbols. A symbol that the config does
 * not give takes the value of the first tensor that has it, and all later ones must agree. */
#include "model/tensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS (MS_SYM_OWN + MS_KIND_SYMBOLS_MAX)

static const struct ms_symbol_rule common_symbols[MS_SYM_OWN] = {
    [MS_SYM_ITEMS] = {"items", (int64_t)1 << 30}, [MS_SYM_D] = {"d", MS_MAX_DIM},
    [MS_SYM_TWICE_D] = {"2d", 2 * MS_MAX_DIM},    [MS_SYM_DIM] = {"dim", MS_MAX_DIM},
    [MS_SYM_K] = {"K", MS_MAX_INTERESTS},         [MS_SYM_L] = {"L", MS_MAX_BEHAVIORS},
    [MS_SYM_IN] = {"in", 2 * MS_MAX_DIM},         [MS_SYM_OUT] = {"out", 2 * MS_MAX_DIM},
    [MS_SYM_V] = {"V", (int64_t)1 << 30},         [MS_SYM_DP] = {"dp", MS_MAX_DIM},
};

/* Every model has it, and it is checked first: it gives the values of items and d. */
static const struct ms_tensor_rule item_embedding = {
    "item_embedding", true, NULL, 2, {MS_SYM_ITEMS, MS_SYM_D}};

struct checker {
    const struct ms_safetensors *st;
    const char *path;
    struct ms_error *error;
    const struct ms_symbol_rule *own_symbols;
    int64_t bound[SYMBOLS]; /* 0: no value yet */
    bool known[MS_SAFETENSORS_MAX_TENSORS];
};

const struct ms_safetensor *ms_tensors_find(const struct ms_safetensors *st, const char *name)
{
    for (size_t i = 0; i < st->count; i++)
        if (strcmp(st->tensors[i].name, name) == 0)
            return &st->tensors[i];
    return NULL;
}

bool ms_tensors_is_by_item(const struct ms_model_spec *spec, const char *name)
{
    const struct ms_tensor_rule *rule = spec->kind->tensors;
    if (strcmp(name, item_embedding.name) == 0)
        return true;
    while (rule && rule->name &&
           (strcmp(rule->name, name) != 0 || (rule->when && !rule->when(spec->options))))
        rule++;
    return rule && rule->name && rule->shape[0] == MS_SYM_ITEMS;
}

static const struct ms_symbol_rule *symbol_rule(const struct checker *checker, int symbol)
{
    return symbol < MS_SYM_OWN ? &common_symbols[symbol] : &checker->own_symbols[symbol - MS_SYM_OWN];
}

/* "[L=20, K=4, d, 64]" */
static void expected_text(char *text, size_t size, const struct checker *checker,
                          const struct ms_tensor_rule *rule)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rule->rank && used < size; i++) {
        int symbol = rule->shape[i];
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 symbol_rule(checker, symbol)->name);
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

static enum ms_status check_one(struct checker *checker, const struct ms_tensor_rule *rule)
{
    char expected[200], found[200];
    const struct ms_safetensor *tensor = ms_tensors_find(checker->st, rule->name);
    expected_text(expected, sizeof expected, checker, rule);
    if (!tensor)
        return rule->required
                   ? ms_fail(checker->error, MS_MODEL, "%s: tensor %s is missing, expected with shape %s",
                             checker->path, rule->name, expected)
                   : MS_OK;
    checker->known[tensor - checker->st->tensors] = true;
    bool good = tensor->rank == rule->rank;
    for (int i = 0; good && i < rule->rank; i++) {
        int symbol = rule->shape[i];
        int64_t bound = checker->bound[symbol];
        good = bound ? tensor->shape[i] == bound
                     : tensor->shape[i] >= 1 && tensor->shape[i] <= symbol_rule(checker, symbol)->max;
    }
    found_text(found, sizeof found, tensor);
    if (!good)
        return ms_fail(checker->error, MS_MODEL, "%s: tensor %s has shape %s, expected %s", checker->path,
                       rule->name, found, expected);
    for (int i = 0; i < rule->rank; i++)
        checker->bound[rule->shape[i]] = tensor->shape[i];
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
        const struct ms_tensor_rule field = {name, true, NULL, 2, {MS_SYM_V, MS_SYM_DP}};
        checker->bound[MS_SYM_V] = checker->bound[MS_SYM_DP] = 0;
        status = check_one(checker, &field);
        config->profile_width[i] = (int)checker->bound[MS_SYM_DP];
        config->profile_dim += config->profile_width[i];
    }
    if (status == MS_OK && config->profile_dim > MS_MAX_DIM)
        return ms_fail(checker->error, MS_MODEL,
                       "%s: the profile's embeddings are %d wide together, at most %d is allowed",
                       checker->path, config->profile_dim, MS_MAX_DIM);
    return status;
}

/* Layer 0 takes the capsule (and the profile), each further one what came before, and the last gives dim. */
static enum ms_status check_head(struct checker *checker, const struct ms_model_spec *spec)
{
    checker->bound[MS_SYM_IN] = checker->bound[MS_SYM_DIM] + spec->config.profile_dim;
    for (int n = 0; n < spec->head_layers; n++) {
        char weight[32], bias[32];
        snprintf(weight, sizeof weight, "head.%d.weight", n);
        snprintf(bias, sizeof bias, "head.%d.bias", n);
        checker->bound[MS_SYM_OUT] = n == spec->head_layers - 1 ? spec->config.dim : 0;
        const struct ms_tensor_rule layer[] = {{weight, true, NULL, 2, {MS_SYM_OUT, MS_SYM_IN}},
                                               {bias, false, NULL, 1, {MS_SYM_OUT}}};
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
            enum ms_status status = check_one(checker, &layer[i]);
            if (status != MS_OK)
                return status;
        }
        checker->bound[MS_SYM_IN] = checker->bound[MS_SYM_OUT];
    }
    return MS_OK;
}

/* Without a head, capsule and profile are what is published. With one, a map may give another width. */
static enum ms_status check_width(struct checker *checker, const struct ms_model_spec *spec)
{
    const struct ms_model_config *config = &spec->config;
    if (spec->head_layers)
        return MS_OK;
    if (config->dim <= config->profile_dim)
        return ms_fail(checker->error, MS_MODEL, "%s: dim=%d leaves no room beside a profile of %d (no head)",
                       checker->path, config->dim, config->profile_dim);
    checker->bound[MS_SYM_DIM] = config->dim - config->profile_dim;
    return MS_OK;
}

/* item_embedding, and with it the width of capsules that are sums of the embeddings themselves. */
static enum ms_status check_items(struct checker *checker, const struct ms_model_spec *spec)
{
    const struct ms_model_kind *kind = spec->kind;
    int64_t *bound = checker->bound;
    enum ms_status status = check_one(checker, &item_embedding);
    if (status != MS_OK)
        return status;
    bound[MS_SYM_TWICE_D] = 2 * bound[MS_SYM_D];
    if (kind->maps_items && kind->maps_items(spec->options))
        return MS_OK;
    if (bound[MS_SYM_DIM] && bound[MS_SYM_DIM] != bound[MS_SYM_D])
        return ms_fail(checker->error, MS_MODEL,
                       "%s: tensor item_embedding is %" PRId64
                       " wide, expected dim=%d (no bilinear map, no head)",
                       checker->path, bound[MS_SYM_D], spec->config.dim);
    bound[MS_SYM_DIM] = bound[MS_SYM_D];
    return MS_OK;
}

/* The tensors of the model's kind. */
static enum ms_status check_own(struct checker *checker, struct ms_model_spec *spec)
{
    const struct ms_model_kind *kind = spec->kind;
    enum ms_status status = MS_OK;
    if (kind->give_symbols)
        kind->give_symbols(spec->options, checker->bound + MS_SYM_OWN);
    for (const struct ms_tensor_rule *rule = kind->tensors; status == MS_OK && rule && rule->name; rule++)
        if (!rule->when || rule->when(spec->options))
            status = check_one(checker, rule);
    if (status == MS_OK && kind->take_symbols)
        kind->take_symbols(spec->options, checker->bound + MS_SYM_OWN);
    if (status == MS_OK && kind->check_tensors)
        status = kind->check_tensors(&spec->config, spec->options, checker->path, checker->error);
    return status;
}

enum ms_status ms_tensors_check(struct ms_model_spec *spec, const struct ms_safetensors *st, const char *path,
                                struct ms_error *error)
{
    struct checker checker = {.st = st, .path = path, .error = error, .own_symbols = spec->kind->symbols};
    enum ms_status status;
    checker.bound[MS_SYM_K] = spec->config.interests;
    checker.bound[MS_SYM_L] = spec->config.max_behaviors;
    if ((status = check_profile(&checker, &spec->config)) != MS_OK ||
        (status = check_width(&checker, spec)) != MS_OK || (status = check_items(&checker, spec)) != MS_OK ||
        (status = check_own(&checker, spec)) != MS_OK || (status = check_head(&checker, spec)) != MS_OK)
        return status;
    for (size_t i = 0; i < st->count; i++)
        if (!checker.known[i])
            return ms_fail(error, MS_MODEL, "%s: tensor %s is not one that this config asks for", path,
                           st->tensors[i].name);
    spec->config.item_dim = (int)checker.bound[MS_SYM_D];
    spec->capsule_dim = (int)checker.bound[MS_SYM_DIM];
    return MS_OK;
}
