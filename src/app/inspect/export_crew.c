/* A ring of batches. The caller fills one after the other, threads take them in that order, and the caller takes the text
 * of the oldest before it fills it again: so the order stays, and what is held has a bound. */
#include "app/inspect/export_crew.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH_USERS      256
#define BATCHES_A_THREAD 3

enum batch_state { EMPTY, FULL, TAKEN, DONE };

struct batch {
    enum batch_state state;
    struct ms_user *users[BATCH_USERS];
    size_t count;
    struct ms_export_text text;
    enum ms_status status;
    struct ms_error error;
};

struct ms_export_crew {
    pthread_mutex_t lock; /* guards the states of batches, |next| and |stop| */
    pthread_cond_t filled, done;
    struct batch *batches;
    size_t batch_count;
    size_t filling; /* the caller's: this batch is filled, and what text it had was the oldest */
    size_t given;   /* the caller's: users in it */
    size_t next;    /* this batch is taken next */
    bool stop;
    ms_export_take *take;
    void *context;
    struct member {
        struct ms_export_crew *crew;
        struct ms_exporter *exporter;
        pthread_t thread;
    } * members;
    size_t running;
};

/* ---- a thread ---- */

static void work_on(struct ms_exporter *exporter, struct batch *batch)
{
    batch->status = MS_OK;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->status == MS_OK)
            batch->status = ms_export_user(exporter, &batch->users[i], &batch->text, &batch->error);
        free(batch->users[i]);
    }
    batch->count = 0;
}

/* The next batch; NULL: there will be none. */
static struct batch *take_batch(struct ms_export_crew *crew)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&crew->lock);
    while (!crew->stop && crew->batches[crew->next].state != FULL)
        pthread_cond_wait(&crew->filled, &crew->lock);
    if (!crew->stop) {
        batch = &crew->batches[crew->next];
        batch->state = TAKEN;
        crew->next = (crew->next + 1) % crew->batch_count;
    }
    pthread_mutex_unlock(&crew->lock);
    return batch;
}

static void *work(void *context)
{
    struct member *member = context;
    struct ms_export_crew *crew = member->crew;
    for (struct batch *batch; (batch = take_batch(crew)) != NULL;) {
        work_on(member->exporter, batch);
        pthread_mutex_lock(&crew->lock);
        batch->state = DONE;
        pthread_cond_signal(&crew->done);
        pthread_mutex_unlock(&crew->lock);
    }
    return NULL;
}

/* ---- the caller ---- */

enum ms_status ms_export_crew_start(struct ms_export_crew **out, struct ms_exporter *exporters, size_t count,
                                    ms_export_take *take, void *context, struct ms_error *error)
{
    struct ms_export_crew *crew = calloc(1, sizeof *crew);
    if (!crew)
        return ms_fail(error, MS_MEMORY, "no memory for %zu threads", count);
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->filled, NULL);
    pthread_cond_init(&crew->done, NULL);
    crew->take = take;
    crew->context = context;
    crew->batch_count = count * BATCHES_A_THREAD;
    crew->batches = calloc(crew->batch_count, sizeof *crew->batches);
    crew->members = calloc(count, sizeof *crew->members);
    for (size_t i = 0; crew->batches && crew->members && i < count; i++) {
        struct member *member = &crew->members[i];
        *member = (struct member){.crew = crew, .exporter = &exporters[i]};
        if (pthread_create(&member->thread, NULL, work, member) != 0)
            break;
        crew->running++;
    }
    if (crew->running < count) {
        ms_export_crew_end(crew);
        return ms_fail(error, MS_MEMORY, "no memory for %zu threads", count);
    }
    *out = crew;
    return MS_OK;
}

void ms_export_crew_end(struct ms_export_crew *crew)
{
    if (!crew)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->stop = true;
    pthread_cond_broadcast(&crew->filled);
    pthread_mutex_unlock(&crew->lock);
    for (size_t i = 0; i < crew->running; i++)
        pthread_join(crew->members[i].thread, NULL);
    if (crew->given)
        crew->batches[crew->filling].count = crew->given;
    for (size_t i = 0; crew->batches && i < crew->batch_count; i++) {
        struct batch *batch = &crew->batches[i];
        for (size_t u = 0; u < batch->count; u++)
            free(batch->users[u]);
        ms_buffer_free(&batch->text.text);
        ms_buffer_free(&batch->text.ids);
    }
    pthread_mutex_destroy(&crew->lock);
    pthread_cond_destroy(&crew->filled);
    pthread_cond_destroy(&crew->done);
    free(crew->batches);
    free(crew->members);
    free(crew);
}

/* Takes the text of the batch that is to be filled next, if it has any. It is empty then. */
static enum ms_status empty_batch(struct ms_export_crew *crew, struct batch *batch, struct ms_error *error)
{
    pthread_mutex_lock(&crew->lock);
    while (batch->state == FULL || batch->state == TAKEN)
        pthread_cond_wait(&crew->done, &crew->lock);
    bool has_text = batch->state == DONE;
    batch->state = EMPTY;
    pthread_mutex_unlock(&crew->lock);
    if (!has_text)
        return MS_OK;
    enum ms_status status = batch->status;
    if (status != MS_OK && error)
        *error = batch->error;
    if (status == MS_OK)
        status = crew->take(crew->context, &batch->text, error);
    batch->text.text.size = batch->text.ids.size = 0;
    batch->text.rows = 0;
    return status;
}

static void pass_on(struct ms_export_crew *crew, struct batch *batch)
{
    batch->count = crew->given;
    crew->given = 0;
    pthread_mutex_lock(&crew->lock);
    batch->state = FULL;
    pthread_cond_signal(&crew->filled);
    pthread_mutex_unlock(&crew->lock);
    crew->filling = (crew->filling + 1) % crew->batch_count;
}

enum ms_status ms_export_crew_give(struct ms_export_crew *crew, struct ms_user *user, struct ms_error *error)
{
    struct batch *batch = &crew->batches[crew->filling];
    enum ms_status status = crew->given == 0 ? empty_batch(crew, batch, error) : MS_OK;
    if (status != MS_OK) {
        free(user);
        return status;
    }
    batch->users[crew->given++] = user;
    if (crew->given == BATCH_USERS)
        pass_on(crew, batch);
    return MS_OK;
}

enum ms_status ms_export_crew_finish(struct ms_export_crew *crew, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    if (crew->given)
        pass_on(crew, &crew->batches[crew->filling]);
    for (size_t i = 0; status == MS_OK && i < crew->batch_count; i++)
        status = empty_batch(crew, &crew->batches[(crew->filling + i) % crew->batch_count], error);
    return status;
}
