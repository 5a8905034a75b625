/* Finding a user in the database, and reading all of it. */
#include "app/inspector.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/service_setup.h"
#include "base/room.h"
#include "interest/decay.h"
#include "model/part.h"
#include "state/key.h"
#include "user/codec.h"
#include "view/escape.h"
#include "view/recommend.h"

/* What the model is read in beside the database: room for the threads of both, and as much again as the database asks for. */
#define BESIDE_THREADS 16
#define BESIDE_BYTES   ((size_t)128 << 20)
#define OPEN_TRIES     20

struct ms_inspector {
    const struct ms_config *config;
    struct ms_store *store;
    struct ms_model_part *part; /* the model for one user; NULL: none, or loaded whole */
    struct ms_model *whole;     /* the model for further ones */
    struct ms_viewer *viewer;   /* NULL without a model */
    uint16_t *partitions;       /* that have a row */
    size_t partition_count;
};

/* A user that was found, and all partitions that have one of that id. */
struct found_user {
    struct ms_user *user;
    uint16_t partitions[MS_VIEW_PARTITIONS];
    size_t partition_count;
};

/* ---- opening ---- */

enum ms_status ms_inspect_open(struct ms_store **store, const struct ms_config *config,
                               struct ms_error *error)
{
    if (!config->state_dir[0])
        return ms_fail(error, MS_CONFIG,
                       "which state? give --state-dir DIR, or -c FILE with state.dir in it");
    enum ms_status status = MS_OK;
    for (int i = 0; i < OPEN_TRIES; i++) {
        status = ms_store_open_reader(store, config->state_dir, error);
        /* A compaction of a running service may remove files while they are opened. */
        if (status != MS_STATE || !ms_store_in_use(config->state_dir))
            break;
        usleep(20000);
    }
    return status;
}

enum ms_status ms_inspect_viewer(struct ms_viewer **viewer, const struct ms_model *model,
                                 const struct ms_config *config, struct ms_error *error)
{
    struct ms_decay decay;
    enum ms_status status = ms_decay_parse(config->routing_decay, config->routing_half_life, model, &decay,
                                           error);
    return status != MS_OK ? status
                           : ms_viewer_new(viewer, model, (enum ms_routing_mode)config->routing_mode, &decay,
                                           (uint32_t)config->state_behaviors_max, error);
}

/* Reads the model's files. Where the items cannot stay in the file, or anything is wrong with it, the model is loaded whole
 * later, which tells what. */
static void *read_model(void *context)
{
    struct ms_inspector *inspector = context;
    struct ms_error error;
    if (ms_model_part_open(&inspector->part, inspector->config->model_dir, &error) != MS_OK)
        inspector->part = NULL;
    return NULL;
}

static enum ms_status open_state(struct ms_inspector *inspector, struct ms_error *error)
{
    enum ms_status status = ms_inspect_open(&inspector->store, inspector->config, error);
    inspector->partitions = malloc(MS_MAX_PARTITIONS * sizeof *inspector->partitions);
    if (status == MS_OK && !inspector->partitions)
        status = ms_fail(error, MS_MEMORY, "no memory for a list of partitions");
    return status == MS_OK ? ms_store_list_partitions(inspector->store, inspector->partitions,
                                                      &inspector->partition_count, error)
                           : status;
}

enum ms_status ms_inspector_new(struct ms_inspector **out, const struct ms_config *config,
                                struct ms_error *error)
{
    struct ms_inspector *inspector = calloc(1, sizeof *inspector);
    if (!inspector)
        return ms_fail(error, MS_MEMORY, "no memory");
    inspector->config = config;
    pthread_t reader;
    /* An allocator that cannot give a new thread its first memory ends the process. */
    bool beside = config->model_dir[0] && ms_has_room_for_threads(BESIDE_THREADS, BESIDE_BYTES) &&
                  pthread_create(&reader, NULL, read_model, inspector) == 0;
    enum ms_status status = open_state(inspector, error);
    if (beside)
        pthread_join(reader, NULL);
    else if (status == MS_OK && config->model_dir[0])
        read_model(inspector);
    if (status != MS_OK) {
        ms_inspector_destroy(inspector);
        return status;
    }
    *out = inspector;
    return MS_OK;
}

static void drop_model(struct ms_inspector *inspector)
{
    ms_viewer_destroy(inspector->viewer);
    ms_model_destroy(inspector->whole);
    ms_model_part_close(inspector->part);
    inspector->viewer = NULL;
    inspector->whole = NULL;
    inspector->part = NULL;
}

void ms_inspector_destroy(struct ms_inspector *inspector)
{
    if (!inspector)
        return;
    drop_model(inspector);
    ms_store_close(inspector->store);
    free(inspector->partitions);
    free(inspector);
}

/* ---- the model ---- */

/* The items of the user's behaviors, to be freed. NULL when memory ended. */
static struct ms_bytes *items_of(const struct ms_user *user)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    struct ms_bytes *items = malloc(((size_t)user->count + 1) * sizeof *items);
    for (uint32_t i = 0; items && i < user->count; i++)
        items[i] = ms_behavior_item(user, &behaviors[i]);
    return items;
}

/* A viewer with the model of the items that the user has. */
static enum ms_status view_by_part(struct ms_inspector *inspector, const struct ms_user *user,
                                   struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct ms_bytes *items = items_of(user);
    enum ms_status status = items ? ms_model_part_pick(inspector->part, items, user->count, &model, error)
                                  : ms_fail(error, MS_MEMORY, "no memory for the items of a history");
    free(items);
    if (status == MS_OK) {
        ms_setup_profile_order(model, inspector->config);
        status = ms_inspect_viewer(&inspector->viewer, model, inspector->config, error);
    }
    if (status == MS_OK)
        ms_viewer_set_catalogue(inspector->viewer, ms_model_part_catalogue(inspector->part));
    return status;
}

/* Makes the viewer for a complete user: with the part that is there, once, or else with the whole model. */
static enum ms_status make_viewer(struct ms_inspector *inspector, const struct ms_user *user,
                                  struct ms_error *error)
{
    if (!inspector->config->model_dir[0] || inspector->whole)
        return MS_OK;
    if (inspector->part && !inspector->viewer && view_by_part(inspector, user, error) == MS_OK)
        return MS_OK;
    drop_model(inspector);
    enum ms_status status = ms_setup_model(&inspector->whole, inspector->config, error);
    return status != MS_OK
               ? status
               : ms_inspect_viewer(&inspector->viewer, inspector->whole, inspector->config, error);
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

/* Completes the user with its chunks. May move it. */
static enum ms_status read_chunks(struct ms_inspector *inspector, struct ms_user **user,
                                  struct ms_error *error)
{
    struct ms_key_list keys = {0};
    struct ms_store_values values = {0};
    bool good = true;
    if ((*user)->complete)
        return MS_OK;
    for (uint32_t chunk = (*user)->first_chunk; good && chunk != (*user)->sealed;
         chunk = ms_chunk_number(chunk + 1))
        good = ms_key_list_add_chunk(&keys, (*user)->partition, ms_user_id(*user), chunk);
    const struct ms_bytes *list = good ? ms_key_list_keys(&keys) : NULL;
    enum ms_status status = list ? ms_store_get(inspector->store, list, keys.count, &values, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for the keys of a history");
    if (status == MS_OK)
        status = ms_user_decode_chunks(user, values.values, keys.count, error);
    ms_store_values_free(&values);
    ms_key_list_free(&keys);
    return status;
}

static enum ms_status fail_not_found(const struct ms_inspector *inspector, struct ms_bytes id,
                                     int32_t partition, struct ms_error *error)
{
    char where[64] = "";
    struct ms_buffer text = {0};
    if (partition >= 0)
        snprintf(where, sizeof where, " in partition %" PRId32, partition);
    bool escaped = ms_escape(&text, (struct ms_bytes){id.data, id.size < 200 ? id.size : 200});
    enum ms_status status = ms_fail(error, MS_NOT_FOUND,
                                    "user \"%.*s\" is not%s in %s (%zu partitions looked through)",
                                    escaped ? (int)text.size : 0, text.data, where,
                                    inspector->config->state_dir, inspector->partition_count);
    ms_buffer_free(&text);
    return status;
}

/* Looks the user up in every partition. Keeps the one asked for, or the first. */
static enum ms_status find_user(struct ms_inspector *inspector, struct ms_bytes id, int32_t partition,
                                struct found_user *found, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < inspector->partition_count; i++) {
        struct ms_user *user = NULL;
        uint16_t at = inspector->partitions[i];
        status = read_head(inspector, at, id, &user, error);
        if (!user)
            continue;
        bool known = user->version > 0 || user->profile_bytes > 0;
        if (known && found->partition_count < MS_VIEW_PARTITIONS)
            found->partitions[found->partition_count++] = at;
        if (known && !found->user && (partition < 0 || partition == at))
            found->user = user;
        else
            free(user);
    }
    if (status == MS_OK && !found->user)
        status = fail_not_found(inspector, id, partition, error);
    return status;
}

/* Replaces the user by what it was at the moment. */
static enum ms_status go_back(struct ms_inspector *inspector, struct ms_user **user,
                              const struct ms_moment *moment, struct ms_error *error)
{
    struct ms_user *then = NULL;
    if (!inspector->viewer)
        return ms_fail(
            error, MS_CONFIG,
            "--at: the interests of then need the model: give --model DIR, or -c FILE with model.dir in it");
    enum ms_status status = ms_user_as_of(&then, inspector->viewer, *user, moment, error);
    if (status == MS_OK) {
        free(*user);
        *user = then;
    }
    return status;
}

enum ms_status ms_inspector_view(struct ms_inspector *inspector, struct ms_bytes id,
                                 const struct ms_inspected *inspected, struct ms_user_view **view,
                                 struct ms_error *error)
{
    struct found_user found = {0};
    struct ms_user_view *made = NULL;
    enum ms_status status = find_user(inspector, id, inspected->partition, &found, error);
    if (status == MS_OK)
        status = read_chunks(inspector, &found.user, error);
    if (status == MS_OK)
        status = make_viewer(inspector, found.user, error);
    uint64_t version = found.user ? found.user->version : 0;
    if (status == MS_OK && inspected->moment)
        status = go_back(inspector, &found.user, inspected->moment, error);
    if (status == MS_OK)
        status = ms_user_view_new(&made, inspector->viewer, found.user, error);
    if (status == MS_OK && inspected->recommend)
        status = ms_user_view_recommend(made, inspector->viewer, inspected->recommend, error);
    free(found.user);
    if (status != MS_OK) {
        ms_user_view_destroy(made);
        return status;
    }
    memcpy(made->partitions, found.partitions, sizeof found.partitions);
    made->partition_count = found.partition_count;
    made->as_of = made->version != version;
    *view = made;
    return MS_OK;
}
