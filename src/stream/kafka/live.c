/* Asking the workers, then the database. */
#include "stream/kafka/live.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/progress.h"
#include "state/reader.h"
#include "stream/kafka/observe.h"
#include "stream/kafka/service_inside.h"

#define IMAGES_MS 10000 /* for which images are kept after a question */
#define AGAIN_US  2000  /* until it is looked again for what was not committed, or was being written */

/* What a look through all workers has found. */
struct search {
    struct ms_bytes id;
    int32_t partition; /* negative: any */
    struct ms_live_user *found;
    uint16_t *stored; /* partitions whose users in memory do not have it */
    size_t stored_count, stored_capacity;
    int32_t not_read; /* a partition that is not read yet, -1: none */
    bool uncommitted; /* wait for the commit */
    bool absent;      /* a worker has no partitions yet */
    bool no_memory;
};

static void add_found(struct search *search, uint16_t partition)
{
    struct ms_live_user *found = search->found;
    if (found->partition_count < MS_LIVE_PARTITIONS)
        found->partitions[found->partition_count++] = partition;
}

static bool exists(const struct ms_user *user)
{
    return user->version > 0 || user->profile_bytes > 0;
}

static void look_at_partition(struct search *search, const struct ms_engine *engine,
                              const struct ms_partition *partition)
{
    const struct ms_user *user;
    enum ms_sight sight = partition->open ? ms_engine_peek(engine, partition, search->id, &user)
                                          : MS_SIGHT_REPLAYING;
    switch (sight) {
    case MS_SIGHT_STORED:
        if (ms_array_reserve(&search->stored, &search->stored_capacity, search->stored_count + 1,
                             sizeof *search->stored))
            search->stored[search->stored_count++] = (uint16_t)partition->number;
        else
            search->no_memory = true;
        break;
    case MS_SIGHT_COMMITTED:
        if (!exists(user))
            break;
        add_found(search, (uint16_t)partition->number);
        if (!search->found->user)
            search->no_memory |= !(search->found->user = ms_user_copy(user));
        break;
    case MS_SIGHT_UNCOMMITTED:
        search->uncommitted = true;
        break;
    case MS_SIGHT_REPLAYING:
        search->not_read = partition->number;
        break;
    }
}

/* The look through the gate: of one worker. */
static void look(void *context, struct ms_engine *engine)
{
    struct search *search = context;
    if (!engine) {
        search->absent = true;
        return;
    }
    const struct ms_positions *positions = ms_engine_positions(engine);
    for (size_t i = 0; i < positions->count; i++) {
        const struct ms_partition *partition = &positions->partitions[i];
        if (partition->claimed && (search->partition < 0 || search->partition == partition->number))
            look_at_partition(search, engine, partition);
    }
}

/* Looks the user up in the partitions of which memory did not have it. */
static enum ms_status look_in_store(struct ms_service *service, struct search *search, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < search->stored_count; i++) {
        struct ms_user *user;
        status = ms_store_read_head(service->store, search->stored[i], search->id, &user, error);
        if (status != MS_OK || !user)
            continue;
        if (exists(user))
            add_found(search, search->stored[i]);
        if (exists(user) && !search->found->user)
            search->found->user = user;
        else
            free(user);
    }
    return status;
}

static enum ms_status ask_workers(struct ms_service *service, struct search *search, struct ms_error *error)
{
    int64_t until_ms = (int64_t)(ms_monotonic_s() * 1000) + IMAGES_MS;
    search->not_read = -1;
    search->stored_count = 0;
    search->uncommitted = search->absent = search->no_memory = false;
    for (int i = 0; i < service->count; i++) {
        search->absent |= !ms_service_worker(service, i).assigned; /* before it is asked: partitions move */
        struct ms_gate *gate = &service->workers[i].gate;
        atomic_store_explicit(&gate->images_until_ms, until_ms, memory_order_relaxed);
        if (!ms_gate_ask(gate, look, search, MS_LIVE_WAIT_MS))
            return ms_fail(error, MS_KAFKA_RETRY, "worker %d does not answer", i);
    }
    return search->no_memory ? ms_fail(error, MS_MEMORY, "no memory for a user") : MS_OK;
}

/* One look everywhere. *again tells that the user is about to be committed, or that its history is being written. */
static enum ms_status look_once(struct ms_service *service, struct search *search, bool *again,
                                struct ms_error *error)
{
    struct ms_live_user *found = search->found;
    free(found->user);
    *found = (struct ms_live_user){.user = NULL};
    *again = false;
    enum ms_status status = ask_workers(service, search, error);
    if (status == MS_OK && search->uncommitted) {
        *again = true;
        return ms_fail(error, MS_KAFKA_RETRY, "the user has changed, and the commit of that does not end");
    }
    if (status == MS_OK)
        status = look_in_store(service, search, error);
    if (status == MS_OK && found->user)
        status = ms_store_read_chunks(service->store, &found->user, error);
    if (status == MS_STATE) { /* written meanwhile, or damaged: a newer copy tells */
        *again = true;
        return ms_fail_in(error, MS_KAFKA_RETRY, "the user's history is not readable now");
    }
    return status;
}

static enum ms_status none(const struct search *search, struct ms_error *error)
{
    if (search->not_read >= 0)
        return ms_fail(error, MS_KAFKA_RETRY,
                       "partition %d is not read yet, and may have the user; see /readyz", search->not_read);
    if (search->absent)
        return ms_fail(error, MS_KAFKA_RETRY,
                       "a worker waits for its partitions, and may get the user's; see /readyz");
    return ms_fail(error, MS_NOT_FOUND, "no partition of this instance has the user");
}

enum ms_status ms_service_find_user(struct ms_service *service, struct ms_bytes id, int32_t partition,
                                    struct ms_live_user *out, struct ms_error *error)
{
    struct ms_live_user found = {.user = NULL};
    struct search search = {.id = id, .partition = partition, .found = &found};
    double until_s = ms_monotonic_s() + MS_LIVE_WAIT_MS / 1e3;
    bool again;
    enum ms_status status = look_once(service, &search, &again, error);
    while (again && ms_monotonic_s() < until_s) {
        usleep(AGAIN_US);
        status = look_once(service, &search, &again, error);
    }
    free(search.stored);
    if (status == MS_OK && !found.user)
        status = none(&search, error);
    if (status == MS_OK)
        *out = found;
    else
        free(found.user);
    return status;
}

/* ---- lists of all workers ---- */

/* Rows that each worker adds to. */
struct gathering {
    void *rows;
    size_t count, limit; /* |limit| for each worker */
};

static void gather_hot(void *context, struct ms_engine *engine)
{
    struct gathering *gathering = context;
    if (engine)
        gathering->count += ms_engine_hot(engine, (struct ms_hot_user *)gathering->rows + gathering->count,
                                          gathering->limit);
}

static void gather_recent(void *context, struct ms_engine *engine)
{
    struct gathering *gathering = context;
    if (engine)
        gathering->count += ms_engine_recent(
            engine, (struct ms_recent_event *)gathering->rows + gathering->count, gathering->limit);
}

/* Has each worker add its rows of |bytes|. The caller frees them, also after a failure. */
static enum ms_status gather(struct ms_service *service, ms_gate_look *add, size_t bytes,
                             struct gathering *gathering, struct ms_error *error)
{
    gathering->rows = calloc((size_t)service->count * gathering->limit + 1, bytes);
    if (!gathering->rows)
        return ms_fail(error, MS_MEMORY, "no memory for a list");
    for (int i = 0; i < service->count; i++) {
        if (!ms_gate_ask(&service->workers[i].gate, add, gathering, MS_LIVE_WAIT_MS))
            return ms_fail(error, MS_KAFKA_RETRY, "worker %d does not answer", i);
    }
    return MS_OK;
}

enum ms_status ms_service_hot(struct ms_service *service, size_t limit, struct ms_hot_user **users,
                              size_t *count, struct ms_error *error)
{
    struct gathering gathering = {.limit = limit};
    enum ms_status status = gather(service, gather_hot, sizeof **users, &gathering, error);
    if (status != MS_OK) {
        free(gathering.rows);
        return status;
    }
    qsort(gathering.rows, gathering.count, sizeof **users, ms_hot_order);
    *users = gathering.rows;
    *count = gathering.count < limit ? gathering.count : limit;
    return MS_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct ms_recent_event *x = a, *y = b;
    if (x->noted_ms != y->noted_ms)
        return x->noted_ms < y->noted_ms ? -1 : 1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

enum ms_status ms_service_recent(struct ms_service *service, size_t limit, struct ms_recent_event **events,
                                 size_t *count, struct ms_error *error)
{
    struct gathering gathering = {.limit = limit};
    enum ms_status status = gather(service, gather_recent, sizeof **events, &gathering, error);
    if (status != MS_OK) {
        free(gathering.rows);
        return status;
    }
    struct ms_recent_event *rows = gathering.rows;
    qsort(rows, gathering.count, sizeof *rows, by_time);
    size_t kept = gathering.count < limit ? gathering.count : limit;
    memmove(rows, rows + (gathering.count - kept), kept * sizeof *rows);
    *events = rows;
    *count = kept;
    return MS_OK;
}
