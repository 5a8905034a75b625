/* Sessions at random. */
#include "fake_worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stream/source.h"

static enum ms_status take_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct fake_worker *worker = context;
    (void)error;
    published_add(worker->world, &worker->open, output);
    return MS_OK;
}

static void start(struct fake_worker *worker)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    struct world *world = worker->world;
    struct ms_engine_options options = {.config = &world->config,
                                        .model = world->models[world->variant]->model,
                                        .store = world->store,
                                        .decay = &decay,
                                        .incremental = world->incremental[world->variant],
                                        .memory_bytes = draw(&worker->random, 2) ? 1 << 20 : 3000,
                                        .pay_records = 1 + draw(&worker->random, 4),
                                        .owner = worker->number,
                                        .sink = {worker, take_output},
                                        .stats = &worker->stats};
    struct ms_error error;
    CHECK(world, ms_engine_new(&worker->engine, &options, &error) == MS_OK, "%s", error.text);
}

void fake_open(struct fake_worker *worker, struct world *world, uint32_t number, uint64_t seed)
{
    *worker = (struct fake_worker){.world = world, .number = number, .random = seed};
    worker->restless = draw(&worker->random, 4) == 0;
    pthread_mutex_init(&worker->stats.lock, NULL);
    folders_open(&worker->fold_contexts, world);
    start(worker);
}

/* What the broker does when a member is gone. */
static void leave(struct fake_worker *worker, int p)
{
    struct world *world = worker->world;
    pthread_mutex_lock(&world->lock);
    if (world->part[p].owner == worker->number)
        world->part[p].owner = 0;
    pthread_mutex_unlock(&world->lock);
    oracle_free(&worker->oracle[p]);
    worker->holds[p] = false;
}

void fake_drop(struct fake_worker *worker)
{
    ms_engine_destroy(worker->engine);
    worker->engine = NULL;
    worker->flushing = false;
    published_clear(&worker->open);
    for (int p = 0; p < worker->world->parts; p++) {
        if (worker->holds[p])
            leave(worker, p);
    }
}

void fake_close(struct fake_worker *worker)
{
    fake_drop(worker);
    folders_close(&worker->fold_contexts);
    free(worker->open.items);
    pthread_mutex_destroy(&worker->stats.lock);
}

static void restart(struct fake_worker *worker)
{
    fake_drop(worker);
    start(worker);
}

/* ---- partitions ---- */

/* Where the clicks of a partition stand; NULL when it is not held. */
static const struct ms_position *position_of(struct fake_worker *worker, int p)
{
    return ms_positions_find(ms_engine_positions(worker->engine), p, MS_SOURCE_CLICKS);
}

static const struct ms_debt *debt_of(struct fake_worker *worker, int p)
{
    return &ms_positions_partition(ms_engine_positions(worker->engine), p)->debt;
}

/* The next record to poll is the first one at or after |offset|. */
static void go_to(struct fake_worker *worker, int p, int64_t offset)
{
    const struct part *broker = &worker->world->part[p];
    worker->next[p] = 0;
    while (worker->next[p] < broker->count && broker->records[worker->next[p]].input.offset < offset)
        worker->next[p]++;
}

/* What was passed over while a debt was paid is read again. */
static void go_back(struct fake_worker *worker)
{
    struct ms_position *position;
    const struct ms_positions *positions = ms_engine_positions(worker->engine);
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        if (position->passed_over && !ms_engine_waits(worker->engine, position)) {
            go_to(worker, position->partition, position->next);
            position->passed_over = false;
        }
    }
}

static void assign(struct fake_worker *worker, int p)
{
    struct world *world = worker->world;
    struct part *broker = &world->part[p];
    struct ms_known known = {
        .partition = p, .committed = broker->committed, .low = broker->low, .high = world_end(broker)};
    struct ms_error error;
    struct ms_partition_row row;
    struct ms_position position;
    int64_t gap;
    CHECK(world, ms_engine_claim(worker->engine, p, &row, &error) == MS_OK, "%s", error.text);
    known.row = row.sources[MS_SOURCE_CLICKS];
    if (known.committed > known.high) /* markers behind the last record */
        known.high = known.committed;
    known.ours = ms_offset_note_read(broker->note, broker->note_bytes, &known.note);
    known.began = MS_MAX_PARTITIONS; /* the group began with all of them */
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(worker->engine),
                                       .decode_id = ms_engine_decode_id(worker->engine),
                                       .start_latest = world->config.input_start == MS_START_LATEST};
    enum ms_misfit misfit = ms_decide(&known, &rule, &position, &gap);
    CHECK(world, misfit == MS_FITS, "partition %d: misfit %d: C %lld, L %lld", p, misfit,
          (long long)known.committed, (long long)known.row.applied);
    ms_engine_open(worker->engine, &position);
    if (broker->committed < 0)
        broker->origin = position.next;
    CHECK(world, part_origin_fits(broker, position.origin), "partition %d: origin %lld, not %lld", p,
          (long long)position.origin, (long long)broker->origin);
    world_begin(world, p, position.next);
    static const struct ms_debt none = {.owed_from = -1};
    const struct ms_debt *found = debt_of(worker, p), *debt = found ? found : &none;
    bool owes = ms_debt_is_open(debt);
    CHECK(world, owes || !position.republish, "partition %d: another fold, and nobody is owed", p);
    oracle_start(&worker->oracle[p], world, &worker->fold_contexts, p,
                 owes && debt->owed_from < position.next ? debt->owed_from : position.next);
    oracle_replay(&worker->oracle[p], position.replay_until, owes);
    oracle_take_off_paid(&worker->oracle[p], debt->number);
    go_to(worker, p, position.next);
    worker->holds[p] = true;
}

/* From nobody, or from somebody who does not know yet. */
static void take(struct fake_worker *worker, int p, bool steal)
{
    struct world *world = worker->world;
    if (worker->holds[p])
        return;
    pthread_mutex_lock(&world->lock);
    if (world->part[p].owner == 0 || steal) {
        world->part[p].owner = worker->number;
        assign(worker, p);
    }
    pthread_mutex_unlock(&world->lock);
}

/* Whether somebody else has one of its partitions, and it does not know. */
static bool holds_stolen(struct fake_worker *worker)
{
    struct world *world = worker->world;
    bool stolen = false;
    pthread_mutex_lock(&world->lock);
    for (int p = 0; p < world->parts; p++)
        stolen |= worker->holds[p] && world->part[p].owner != worker->number && world->part[p].owner != 0;
    pthread_mutex_unlock(&world->lock);
    return stolen;
}

/* ---- the way of the events ---- */

static bool process(struct fake_worker *worker, size_t most)
{
    enum { BATCH = 64 };
    struct world *world = worker->world;
    struct ms_input inputs[BATCH];
    struct ms_error error;
    size_t count = 0, seen[PARTS];
    go_back(worker);
    pthread_mutex_lock(&world->lock);
    for (int p = 0; p < world->parts; p++)
        seen[p] = world->part[p].seen;
    pthread_mutex_unlock(&world->lock);
    int p = (int)draw(&worker->random, (uint64_t)world->parts);
    for (int i = 0; i < world->parts && count < most; i++, p = (p + 1) % world->parts) {
        size_t stretch = 1 + draw(&worker->random, most);
        while (worker->holds[p] && worker->next[p] < seen[p] && count < most && count < BATCH && stretch--)
            inputs[count++] = world->part[p].records[worker->next[p]++].input;
    }
    enum ms_status status = ms_engine_process(worker->engine, inputs, count, &error);
    if (status ==
        MS_KAFKA_ABORT) { /* it needed what a lost flush did not bring to disk, or met its successor */
        bool lost = false;
        CHECK(world, !worker->flushing || ms_engine_flush_end(worker->engine, &lost, &error) == MS_OK, "%s",
              error.text);
        CHECK(world, lost || holds_stolen(worker), "%s", error.text);
        restart(worker);
        return false;
    }
    CHECK(world, status == MS_OK, "%s", error.text);
    for (p = 0; p < world->parts; p++) {
        if (worker->holds[p] && worker->next[p] >= seen[p]) {
            pthread_mutex_lock(&world->lock);
            int64_t end = world_end(&world->part[p]);
            if (world->part[p].committed > end) /* markers behind the last record */
                end = world->part[p].committed;
            bool still = worker->next[p] >= world->part[p].seen;
            pthread_mutex_unlock(&world->lock);
            if (still)
                ms_engine_reached(worker->engine, MS_SOURCE_CLICKS, p, end);
        }
    }
    return count > 0;
}

/* The transaction at the broker: all or nothing. False when it is refused. */
static bool transact(struct fake_worker *worker)
{
    struct world *world = worker->world;
    const struct ms_positions *positions = ms_engine_positions(worker->engine);
    const struct ms_position *position;
    bool sent[PARTS] = {false}, all = true;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        if (!ms_position_to_send(position))
            continue;
        sent[position->partition] = true;
        all = all && world->part[position->partition].owner == worker->number;
    }
    for (size_t i = 0; i < worker->open.count; i++)
        CHECK(world, sent[worker->open.items[i].partition],
              "a record of partition %d rides without its offset", worker->open.items[i].partition);
    if (!all)
        return false;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        struct part *broker = &world->part[position->partition];
        if (!sent[position->partition])
            continue;
        CHECK(world, position->next >= broker->committed, "offset %lld sent, below %lld",
              (long long)position->next, (long long)broker->committed);
        oracle_check(&worker->oracle[position->partition], position->next,
                     debt_of(worker, position->partition), &worker->open);
        broker->committed = position->next;
        broker->note_bytes = ms_engine_note(worker->engine, position, broker->note);
    }
    return true;
}

/* False when the session is over. */
static bool commit(struct fake_worker *worker, bool trouble)
{
    struct world *world = worker->world;
    struct ms_error error;
    CHECK(world, ms_engine_before_commit(worker->engine, INFINITY, &error) == MS_OK, "%s", error.text);
    uint64_t fate = trouble ? draw(&worker->random, 24) : 2;
    if (!ms_engine_pending(worker->engine)) {
        CHECK(world, worker->open.count == 0, "records wait but nothing is pending");
        return true;
    }
    pthread_mutex_lock(&world->lock);
    bool done = fate != 0 && transact(worker);
    pthread_mutex_unlock(&world->lock);
    if (!done || fate == 1) { /* refused, lost on the way, or done without our knowing */
        restart(worker);
        return false;
    }
    ms_engine_committed(worker->engine);
    published_clear(&worker->open);
    return true;
}

/* What came of the flush on its way. False when the session is over. */
static bool flush_end(struct fake_worker *worker)
{
    struct world *world = worker->world;
    struct ms_error error;
    bool lost;
    if (!worker->flushing)
        return true;
    CHECK(world, ms_engine_flush_end(worker->engine, &lost, &error) == MS_OK, "%s", error.text);
    CHECK(world, lost || !worker->stolen, "a flush went through for a partition of another worker");
    worker->flushing = false;
    if (lost)
        restart(worker);
    return !lost;
}

/* False when the session is over. */
static bool flush_begin(struct fake_worker *worker)
{
    struct world *world = worker->world;
    struct ms_error error;
    if (ms_engine_pending(worker->engine) || !ms_engine_dirty(worker->engine))
        return true;
    if (!flush_end(worker))
        return false;
    worker->stolen = holds_stolen(worker);
    CHECK(world, ms_engine_flush_begin(worker->engine, &error) == MS_OK, "%s", error.text);
    worker->flushing = true;
    return true;
}

static bool flush(struct fake_worker *worker)
{
    return flush_begin(worker) && flush_end(worker);
}

/* The next part of a debt. False when the session is over. */
static bool pay(struct fake_worker *worker, bool trouble)
{
    struct world *world = worker->world;
    struct ms_error error;
    if (!ms_engine_owes(worker->engine))
        return true;
    if (!commit(worker, trouble) || (!ms_engine_debt_stored(worker->engine) && !flush(worker)))
        return false;
    CHECK(world, ms_engine_pay(worker->engine, &error) == MS_OK, "%s", error.text);
    return commit(worker, trouble);
}

/* The rows on disk of what it owns, of which none is on its way: they are read one after the other. */
static void check(struct fake_worker *worker, int p)
{
    struct world *world = worker->world;
    if (!flush_end(worker))
        return;
    pthread_mutex_lock(&world->lock);
    if (worker->holds[p] && world->part[p].owner == worker->number) {
        int64_t applied = world_check_state(world, &worker->fold_contexts, p);
        CHECK(world, applied <= world->part[p].committed, "partition %d: L %lld is beyond C %lld", p,
              (long long)applied, (long long)world->part[p].committed);
    }
    pthread_mutex_unlock(&world->lock);
}

/* Commit and flush while it is ours, then let go. False when the session was over before. */
static bool release(struct fake_worker *worker, int p)
{
    if (!worker->holds[p] || !commit(worker, true) || !flush(worker))
        return false;
    ms_engine_close(worker->engine, p);
    leave(worker, p);
    return true;
}

/* The group has thrown it out: nothing may be committed or flushed any more. */
static void lose_all(struct fake_worker *worker)
{
    if (worker->open.count) { /* a transaction never outlives an assignment */
        restart(worker);
        return;
    }
    for (int p = 0; p < worker->world->parts; p++) {
        if (worker->holds[p]) {
            ms_engine_close(worker->engine, p);
            leave(worker, p);
        }
    }
}

/* Records that come again. */
static void rewind_some(struct fake_worker *worker, int p)
{
    size_t back = draw(&worker->random, 8);
    if (worker->holds[p])
        worker->next[p] -= back < worker->next[p] ? back : worker->next[p];
}

void fake_step(struct fake_worker *worker)
{
    struct world *world = worker->world;
    int p = (int)draw(&worker->random, (uint64_t)world->parts);
    uint64_t what = draw(&worker->random, 100);
    if (worker->restless && draw(&worker->random, 2))
        what = draw(&worker->random, 16);
    if (what < 12)
        take(worker, p, false);
    else if (what < 13)
        take(worker, p, true);
    else if (what < 15)
        release(worker, p);
    else if (what < 16)
        lose_all(worker);
    else if (what < 17)
        rewind_some(worker, p);
    else if (what < 60)
        process(worker,
                1 + (draw(&worker->random, 3) ? draw(&worker->random, 6) : draw(&worker->random, 64)));
    else if (what < 76)
        commit(worker, true);
    else if (what < 83)
        pay(worker, true);
    else if (what < 87)
        flush(worker);
    else if (what < 93)
        flush_begin(worker);
    else if (what < 95)
        flush_end(worker);
    else if (what < 97)
        check(worker, p);
    else if (what < 99)
        restart(worker);
}

void fake_finish(struct fake_worker *worker)
{
    struct world *world = worker->world;
    for (int p = 0; p < world->parts; p++)
        take(worker, p, false);
    while (process(worker, 50) || ms_engine_owes(worker->engine)) {
        if (draw(&worker->random, 2))
            commit(worker, false);
        CHECK(world, pay(worker, false), "could not pay");
    }
    CHECK(world, commit(worker, false) && flush(worker), "could not finish");
    for (int p = 0; p < world->parts; p++) {
        if (!worker->holds[p])
            continue;
        check(worker, p);
        const struct ms_position *part = position_of(worker, p);
        CHECK(world,
              part && part->flushed == part->committed && part->committed >= world_end(&world->part[p]),
              "partition %d did not reach its end", p);
        CHECK(world, release(worker, p) || !worker->holds[p], "could not let go");
    }
}
