/* State directories and crowds. */
#include "fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/codec.h"

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

char *state_dir_new(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/ms-state-XXXXXX", base ? base : "/tmp");
    check(mkdtemp(path) != NULL, path);
    return strdup(path);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void state_dir_remove(char *dir)
{
    check(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, dir);
    free(dir);
}

struct ms_store *state_open(const char *dir)
{
    const struct ms_store_options options = {.dir = dir,
                                             .application_id = "app",
                                             .input_topic = "clicks",
                                             .instance_id = "",
                                             .block_cache_bytes = 8 << 20};
    struct ms_store *store;
    struct ms_error error;
    check(ms_store_open(&store, &options, &error) == MS_OK, error.text);
    return store;
}

/* ---- crowds ---- */

void crowd_start(struct crowd *crowd, uint16_t partition, uint32_t count, uint64_t seed)
{
    *crowd = (struct crowd){.partition = partition, .count = count, .random = seed};
    crowd->users = calloc(count, sizeof *crowd->users);
    check(crowd->users != NULL, "no memory");
    for (uint32_t i = 0; i < count; i++) {
        struct crowd_user *user = &crowd->users[i];
        if (i % 5 == 4) { /* the one before, and more */
            memcpy(user->id, user[-1].id, user[-1].id_bytes);
            memcpy(user->id + user[-1].id_bytes, "\0\0\0\0\1", 5);
            user->id_bytes = user[-1].id_bytes + 4 + i % 2;
        } else {
            user->id_bytes = (size_t)snprintf(user->id, sizeof user->id, "%x:user", i * 2654435761u % 100003);
            user->id[i % user->id_bytes] = i % 3 ? user->id[i % user->id_bytes] : '\0';
            user->id_bytes += (size_t)snprintf(user->id + user->id_bytes, 12, "%u", i);
        }
        life_source_start(&user->source, seed * 1000003 + i);
    }
}

void crowd_free(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->count; i++)
        naive_free(&crowd->users[i].naive);
    free(crowd->users);
}

struct ms_bytes crowd_id(const struct crowd *crowd, uint32_t user)
{
    return (struct ms_bytes){crowd->users[user].id, crowd->users[user].id_bytes};
}

bool crowd_next(struct crowd *crowd, uint32_t *user, struct ms_event *event)
{
    uint64_t r = life_random(&crowd->random);
    uint32_t range = r % 8 < 5 ? 1 + crowd->count / 20 : crowd->count;
    *user = (uint32_t)((r >> 8) % range);
    *event = life_next(&crowd->users[*user].source);
    event->user = crowd_id(crowd, *user);
    crowd->offset++;
    return (r >> 40) % 400 == 0;
}

struct pending {
    uint32_t user;
    bool forget;
    struct ms_event event;
    int64_t offset;
};

static void fold_one(struct crowd *crowd, struct ms_overlay *overlay, struct ms_fold_context *fold_context,
                     const struct pending *p, uint32_t place, bool doubles)
{
    struct naive_user *naive = &crowd->users[p->user].naive;
    struct ms_error error;
    enum ms_folded folded;
    uint32_t row = ms_model_find(fold_context->model, p->event.item.data, p->event.item.size);
    if (p->forget) {
        ms_overlay_forget(overlay, place, p->offset);
        if (doubles)
            naive_forget(naive);
        return;
    }
    check(ms_overlay_fold(overlay, place, &p->event, row, p->offset, &folded, &error) == MS_OK, error.text);
    check(!doubles || naive_fold(naive, fold_context, &p->event, row) == (folded == MS_FOLDED),
          "a duplicate to one, not to the other");
    check(ms_overlay_entry(overlay, place)->user->own_offset == p->offset + 1, "own offset");
}

void crowd_fold(struct crowd *crowd, struct ms_overlay *overlay, struct ms_fold_context *fold_context,
                uint32_t events, uint32_t batch, bool doubles)
{
    struct ms_wanted *wanted = calloc(batch, sizeof *wanted);
    struct pending *pending = calloc(batch, sizeof *pending);
    struct ms_error error;
    check(wanted && pending, "no memory");
    while (events) {
        uint32_t n = events < batch ? events : batch;
        for (uint32_t i = 0; i < n; i++) {
            struct pending *p = &pending[i];
            p->offset = crowd->offset;
            p->forget = crowd_next(crowd, &p->user, &p->event);
            wanted[i] = (struct ms_wanted){.partition = crowd->partition,
                                           .id = p->event.user,
                                           .hash = ms_overlay_hash(crowd->partition, p->event.user),
                                           .time_ms = p->event.time_ms};
        }
        check(ms_overlay_find(overlay, wanted, n, &error) == MS_OK, error.text);
        for (uint32_t i = 0; i < n; i++)
            fold_one(crowd, overlay, fold_context, &pending[i], wanted[i].entry, doubles);
        events -= n;
    }
    free(wanted);
    free(pending);
}

void crowd_flush_begin(struct crowd *const *crowds, size_t count, struct ms_overlay *overlay)
{
    struct ms_flush_row rows[8];
    struct ms_error error;
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct ms_flush_row){
            .partition = crowds[i]->partition,
            .row = {.sources = {{crowds[i]->offset, 5}, {-1, -1}}, .owed_from = -1, .fold_id = 11}};
    check(ms_overlay_flush_begin(overlay, rows, count, &error) == MS_OK, error.text);
}

bool crowd_flush_end(struct ms_overlay *overlay)
{
    struct ms_error error;
    bool lost;
    check(ms_overlay_flush_end(overlay, &lost, &error) == MS_OK, error.text);
    return lost;
}

bool crowd_flush(struct crowd *const *crowds, size_t count, struct ms_overlay *overlay)
{
    crowd_flush_begin(crowds, count, overlay);
    return crowd_flush_end(overlay);
}

void crowd_compare(struct crowd *crowd, struct ms_overlay *overlay, struct ms_fold_context *fold_context)
{
    struct ms_error error;
    for (uint32_t i = 0; i < crowd->count; i++) {
        char where[64];
        struct ms_wanted want = {
            .partition = crowd->partition, .id = crowd_id(crowd, i), .time_ms = INT64_MIN};
        want.hash = ms_overlay_hash(want.partition, want.id);
        snprintf(where, sizeof where, "partition %u user %u", crowd->partition, i);
        check(ms_overlay_find(overlay, &want, 1, &error) == MS_OK, error.text);
        const struct ms_user *user = ms_overlay_entry(overlay, want.entry)->user;
        check(user->complete, "asked for whole, came in part");
        check(user->id_bytes == want.id.size &&
                  memcmp(ms_user_id_bytes(user), want.id.data, want.id.size) == 0,
              "another user");
        naive_compare(&crowd->users[i].naive, user, fold_context, where);
    }
}

/* ---- rows ---- */

struct counting {
    struct row_counts counts;
    struct ms_store *store;
};

static enum ms_status on_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                   struct ms_error *error)
{
    struct counting *counting = context;
    (void)partition;
    (void)row;
    (void)error;
    counting->counts.partitions++;
    return MS_OK;
}

static enum ms_status on_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                              struct ms_error *error)
{
    struct counting *counting = context;
    struct ms_user *user;
    check(ms_user_decode_head(&user, partition, id, value, error) == MS_OK, error->text);
    counting->counts.users++;
    free(user);
    return MS_OK;
}

static enum ms_status on_chunk(void *context, uint16_t partition, struct ms_bytes id, uint32_t number,
                               struct ms_bytes value, struct ms_error *error)
{
    struct counting *counting = context;
    struct ms_buffer key = {0};
    struct ms_store_values values = {0};
    check(ms_key_user(&key, partition, id), "no memory");
    struct ms_bytes bytes = {key.data, key.size};
    check(ms_store_get(counting->store, &bytes, 1, &values, error) == MS_OK, error->text);
    bool alive = false;
    if (values.values[0].data) {
        struct ms_user *user;
        check(ms_user_decode_head(&user, partition, id, values.values[0], error) == MS_OK, error->text);
        alive = ms_chunk_number(number - user->first_chunk) < ms_user_live_chunks(user);
        free(user);
    }
    counting->counts.chunks++;
    counting->counts.chunk_bytes += value.size;
    counting->counts.orphans += !alive;
    ms_store_values_free(&values);
    ms_buffer_free(&key);
    return MS_OK;
}

struct row_counts count_rows(struct ms_store *store)
{
    struct counting counting = {.store = store};
    struct ms_store_visitor visitor = {&counting, on_partition, on_user, on_chunk};
    struct ms_error error;
    check(ms_store_walk(store, &visitor, &error) == MS_OK, error.text);
    return counting.counts;
}
