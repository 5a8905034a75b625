/* Finding a user, reading all of it, and asking the model about it. */
#include "app/inspect_user.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/service_setup.h"
#include "app/table.h"
#include "interest/decay.h"
#include "interest/mode.h"
#include "stream/kafka/service.h"
#include "user/apply.h"
#include "user/codec.h"

#define OPEN_TRIES 20
#define KEY_BATCH  512 /* partition rows looked up at a time */

struct ms_inspector {
    const struct ms_config *config;
    struct ms_store *store;
    struct ms_model *model;
    struct ms_extractor *extractor;
    struct ms_fold_context fold_contexts[2]; /* as configured, and the other mode */
    size_t fold_context_count;
    uint16_t *partitions; /* that have a row */
    size_t partition_count;
};

enum ms_status ms_inspect_open(struct ms_store **store, const struct ms_config *config,
                               struct ms_error *error)
{
    if (!config->state_dir[0])
        return ms_fail(error, MS_CONFIG,
                       "which state? give --state-dir DIR, or -c FILE with state.dir in it");
    enum ms_status status = MS_OK;
    for (int i = 0; i < OPEN_TRIES; i++) {
        status = ms_store_open_reader(store, config->state_dir, error);
        if (status !=
            MS_STATE) /* a compaction of the running service may take files away while they are opened */
            break;
        usleep(20000);
    }
    return status;
}

/* Lists the partitions that have a row: point look-ups, because walking would read every user. */
static enum ms_status find_partitions(struct ms_inspector *inspector, struct ms_error *error)
{
    struct ms_bytes keys[KEY_BATCH];
    char text[KEY_BATCH][2];
    struct ms_store_values values = {0};
    enum ms_status status = MS_OK;
    inspector->partitions = malloc(MS_MAX_PARTITIONS * sizeof *inspector->partitions);
    if (!inspector->partitions)
        return ms_fail(error, MS_MEMORY, "no memory for a list of partitions");
    for (unsigned from = 0; status == MS_OK && from < MS_MAX_PARTITIONS; from += KEY_BATCH) {
        for (unsigned i = 0; i < KEY_BATCH; i++) {
            text[i][0] = (char)((from + i) >> 8);
            text[i][1] = (char)(from + i);
            keys[i] = (struct ms_bytes){text[i], 2};
        }
        status = ms_store_get(inspector->store, keys, KEY_BATCH, &values, error);
        for (unsigned i = 0; status == MS_OK && i < KEY_BATCH; i++) {
            if (values.values[i].data)
                inspector->partitions[inspector->partition_count++] = (uint16_t)(from + i);
        }
        ms_store_values_release(&values);
    }
    ms_store_values_free(&values);
    return status;
}

/* The configured mode and, where `auto` left it open, the other one: it may be the one the state was folded
 * under. */
static enum ms_status load_model(struct ms_inspector *inspector, struct ms_error *error)
{
    const struct ms_config *config = inspector->config;
    struct ms_decay decay;
    struct ms_error ignored;
    char reason[512];
    bool incremental = false;
    enum ms_status status = ms_decay_parse(config->routing_decay, config->routing_half_life, &decay, error);
    if (status == MS_OK)
        status = ms_setup_model(&inspector->model, config, error);
    if (status == MS_OK)
        status = ms_extractor_new(&inspector->extractor, inspector->model, error);
    if (status == MS_OK)
        status = ms_routing_mode_resolve(inspector->model, (enum ms_routing_mode)config->routing_mode,
                                         &incremental, reason, sizeof reason, error);
    bool both = status == MS_OK && config->routing_mode == MS_ROUTING_AUTO &&
                ms_fold_supported(inspector->model, &ignored) == MS_OK;
    for (int i = 0; status == MS_OK && i < (both ? 2 : 1); i++) {
        status = ms_fold_context_init(&inspector->fold_contexts[i], inspector->model, inspector->extractor,
                                      i ? !incremental : incremental, &decay,
                                      (uint32_t)config->state_behaviors_max, error);
        inspector->fold_context_count += status == MS_OK;
    }
    return status;
}

enum ms_status ms_inspector_new(struct ms_inspector **out, const struct ms_config *config,
                                struct ms_error *error)
{
    struct ms_inspector *inspector = calloc(1, sizeof *inspector);
    if (!inspector)
        return ms_fail(error, MS_MEMORY, "no memory");
    inspector->config = config;
    enum ms_status status = ms_inspect_open(&inspector->store, config, error);
    if (status == MS_OK)
        status = find_partitions(inspector, error);
    if (status == MS_OK && config->model_dir[0])
        status = load_model(inspector, error);
    if (status != MS_OK) {
        ms_inspector_destroy(inspector);
        return status;
    }
    *out = inspector;
    return MS_OK;
}

void ms_inspector_destroy(struct ms_inspector *inspector)
{
    if (!inspector)
        return;
    for (size_t i = 0; i < inspector->fold_context_count; i++)
        ms_fold_context_free(&inspector->fold_contexts[i]);
    ms_extractor_destroy(inspector->extractor);
    ms_model_destroy(inspector->model);
    ms_store_close(inspector->store);
    free(inspector->partitions);
    free(inspector);
}

struct ms_store *ms_inspector_store(struct ms_inspector *inspector)
{
    return inspector->store;
}

/* ---- reading ---- */

/* The head row in |partition|; *user stays as it is where there is none. */
static enum ms_status read_head(struct ms_inspector *inspector, uint16_t partition, struct ms_bytes id,
                                struct ms_user **user, struct ms_error *error)
{
    struct ms_buffer key = {0};
    struct ms_store_values values = {0};
    enum ms_status status = MS_MEMORY;
    if (ms_key_user(&key, partition, id))
        status = ms_store_get(inspector->store, &(struct ms_bytes){key.data, key.size}, 1, &values, error);
    else
        ms_fail(error, MS_MEMORY, "no memory for a key");
    if (status == MS_OK && values.values[0].data)
        status = ms_user_decode_head(user, partition, id, values.values[0], error);
    ms_store_values_free(&values);
    ms_buffer_free(&key);
    return status;
}

static enum ms_status read_chunks(struct ms_inspector *inspector, struct ms_user **user, struct ms_bytes id,
                                  struct ms_error *error)
{
    size_t count = (*user)->sealed - (*user)->first_chunk, key_bytes = 2 + id.size + 4;
    struct ms_store_values values = {0};
    struct ms_buffer key = {0};
    if ((*user)->complete || count == 0)
        return MS_OK;
    struct ms_bytes *keys = calloc(count, sizeof *keys);
    char *text = malloc(count * key_bytes);
    enum ms_status status = keys && text ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for %zu keys", count);
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        if (!ms_key_chunk(&key, (*user)->partition, id, (*user)->first_chunk + (uint32_t)i))
            status = ms_fail(error, MS_MEMORY, "no memory for a key");
        else
            keys[i] = (struct ms_bytes){memcpy(text + i * key_bytes, key.data, key_bytes), key_bytes};
    }
    if (status == MS_OK)
        status = ms_store_get(inspector->store, keys, count, &values, error);
    if (status == MS_OK)
        status = ms_user_decode_chunks(user, values.values, count, error);
    ms_store_values_free(&values);
    ms_buffer_free(&key);
    free(text);
    free(keys);
    return status;
}

/* Looks the user up in every partition; keeps the one asked for, or the first. */
static enum ms_status find_user(struct ms_inspector *inspector, struct ms_bytes id, int32_t partition,
                                struct ms_user_view *view, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < inspector->partition_count; i++) {
        struct ms_user *user = NULL;
        uint16_t at = inspector->partitions[i];
        status = read_head(inspector, at, id, &user, error);
        if (!user)
            continue;
        bool known = user->version > 0 || user->profile_bytes > 0;
        if (known && view->partition_count < MS_VIEW_PARTITIONS)
            view->partitions[view->partition_count++] = at;
        if (known && !view->user && (partition < 0 || partition == at))
            view->user = user;
        else
            free(user);
    }
    if (status != MS_OK || view->user)
        return status;
    char place[64] = "";
    if (partition >= 0)
        snprintf(place, sizeof place, " in partition %" PRId32, partition);
    struct ms_buffer text = {0};
    bool escaped = ms_escape(&text, (struct ms_bytes){id.data, id.size < 200 ? id.size : 200});
    status = ms_fail(error, MS_NOT_FOUND, "user \"%.*s\" is not%s in %s (%zu partitions looked through)",
                     escaped ? (int)text.size : 0, text.data, place, inspector->config->state_dir,
                     inspector->partition_count);
    ms_buffer_free(&text);
    return status;
}

/* ---- the model's part ---- */

static struct ms_fold_context *fold_context_of(struct ms_inspector *inspector, const struct ms_user *user)
{
    for (size_t i = 0; i < inspector->fold_context_count; i++) {
        if (inspector->fold_contexts[i].fold_id == user->fold_id)
            return &inspector->fold_contexts[i];
    }
    return &inspector->fold_contexts[0];
}

static enum ms_status take_interests(struct ms_user_view *view, struct ms_fold_context *fold_context,
                                     struct ms_error *error)
{
    struct ms_interests interests = ms_user_interests(fold_context, view->user);
    size_t count = (size_t)interests.count, dim = (size_t)interests.dim;
    view->dim = ms_model_config(view->model)->dim;
    view->vectors = malloc((count * dim + 1) * sizeof *view->vectors);
    view->weights = malloc((count + 1) * sizeof *view->weights);
    if (!view->vectors || !view->weights)
        return ms_fail(error, MS_MEMORY, "no memory for %zu interests", count);
    if (count) {
        memcpy(view->vectors, interests.vectors, count * dim * sizeof *view->vectors);
        memcpy(view->weights, interests.weights, count * sizeof *view->weights);
    }
    view->count = interests.count;
    return MS_OK;
}

/* Full routing over the kept window, for what each behavior gave to each interest. */
static enum ms_status take_coupling(struct ms_user_view *view, struct ms_fold_context *fold_context,
                                    struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(view->model);
    size_t window = (size_t)config->max_behaviors, count = view->user->count;
    const struct ms_behavior *behaviors = ms_user_behaviors(view->user);
    view->stride = config->interests;
    view->place = malloc((count + 1) * sizeof *view->place);
    view->coupling = calloc(window * (size_t)view->stride, sizeof *view->coupling);
    uint32_t *places = malloc(window * sizeof *places);
    if (!view->place || !view->coupling || !places) {
        free(places);
        return ms_fail(error, MS_MEMORY, "no memory for a window of %zu behaviors", window);
    }
    view->window = ms_user_window(fold_context, view->user, fold_context->items, places);
    for (size_t i = 0; i < count; i++)
        view->place[i] = behaviors[i].item == MS_NO_ITEM ? -2 : -1;
    for (uint32_t i = 0; i < view->window; i++)
        view->place[places[i]] = i;
    free(places);
    if (view->window > 0) {
        struct ms_interests full = ms_extract_full(fold_context->extractor, fold_context->items, view->window,
                                                   NULL, 0, view->coupling);
        view->columns = full.count > view->count ? full.count : view->count;
    }
    return MS_OK;
}

static void keep_near(struct ms_near_item *list, size_t *count, uint32_t row, double score)
{
    if (*count == MS_VIEW_NEAREST && score <= list[*count - 1].score)
        return;
    size_t at = *count < MS_VIEW_NEAREST ? (*count)++ : *count - 1;
    for (; at > 0 && list[at - 1].score < score; at--)
        list[at] = list[at - 1];
    list[at] = (struct ms_near_item){row, score};
}

static double inner(const float *a, const float *b, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The items that retrieval by inner product would bring: one pass over the table for each interest. */
static enum ms_status take_nearest(struct ms_user_view *view, struct ms_error *error)
{
    uint32_t items = ms_model_item_count(view->model);
    if (view->count == 0 || ms_model_config(view->model)->item_dim != view->dim)
        return MS_OK;
    view->nearest = calloc((size_t)view->count * MS_VIEW_NEAREST, sizeof *view->nearest);
    if (!view->nearest)
        return ms_fail(error, MS_MEMORY, "no memory for the nearest items");
    for (int k = 0; k < view->count; k++) {
        size_t found = 0;
        for (uint32_t row = 0; row < items; row++)
            keep_near(view->nearest + k * MS_VIEW_NEAREST, &found, row,
                      inner(view->vectors + (size_t)k * (size_t)view->dim,
                            ms_model_item_embedding(view->model, row), view->dim));
        view->nearest_count = found;
    }
    return MS_OK;
}

static enum ms_status ask_model(struct ms_inspector *inspector, struct ms_user_view *view,
                                struct ms_error *error)
{
    struct ms_fold_context *fold_context = fold_context_of(inspector, view->user);
    view->model = inspector->model;
    view->fold_id = fold_context->fold_id;
    view->incremental = fold_context->incremental;
    view->refolded = view->user->fold_id != fold_context->fold_id;
    enum ms_status status = ms_fold_check(fold_context, view->user, error);
    if (status != MS_OK)
        return status;
    if ((view->refolded || view->user->sums_left_out) && !ms_refold(fold_context, &view->user))
        return ms_fail(error, MS_MEMORY, "no memory to fold the user again");
    ms_user_resolve(view->user, view->model);
    status = take_interests(view, fold_context, error);
    if (status == MS_OK)
        status = take_coupling(view, fold_context, error);
    return status == MS_OK ? take_nearest(view, error) : status;
}

enum ms_status ms_user_view_new(struct ms_user_view **out, struct ms_inspector *inspector, struct ms_bytes id,
                                int32_t partition, struct ms_error *error)
{
    struct ms_user_view *view = calloc(1, sizeof *view);
    if (!view)
        return ms_fail(error, MS_MEMORY, "no memory");
    enum ms_status status = find_user(inspector, id, partition, view, error);
    if (status == MS_OK) {
        view->stored_fold_id = view->user->fold_id;
        view->stored_slots = view->user->slots;
        status = read_chunks(inspector, &view->user, id, error);
    }
    if (status == MS_OK && inspector->model)
        status = ask_model(inspector, view, error);
    if (status != MS_OK) {
        ms_user_view_destroy(view);
        return status;
    }
    *out = view;
    return MS_OK;
}

void ms_user_view_destroy(struct ms_user_view *view)
{
    if (!view)
        return;
    free(view->user);
    free(view->vectors);
    free(view->weights);
    free(view->nearest);
    free(view->coupling);
    free(view->place);
    free(view);
}
