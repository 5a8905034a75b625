/* Commit and flush, and the end of a session. */
#include "stream/session.h"

#include <math.h>
#include <time.h>

#include "base/progress.h"

void ms_session_begin(struct ms_session *session, const struct ms_config *config, struct ms_stats *stats,
                      struct ms_committer committer)
{
    session->engine = NULL;
    session->stats = stats;
    session->committer = committer;
    ms_pace_begin(&session->pace, config, ms_monotonic_s());
    session->broken = false;
    session->status = MS_OK;
    session->flushing = false;
    session->reads_count = 0;
}

void ms_session_reload(struct ms_session *session, const struct ms_config *config, size_t memory_bytes)
{
    ms_pace_set(&session->pace, config);
    ms_engine_set_memory(session->engine, memory_bytes);
}

void ms_session_break(struct ms_session *session, enum ms_status status, const struct ms_error *error)
{
    if (!session->broken) {
        session->broken = true;
        session->status = status;
        session->error = *error;
    }
}

/* ---- a batch ---- */

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Counts how old the events of some runs are. A clock that is behind makes them new, not negative. */
static void count_ages(struct ms_buckets *buckets, const struct ms_read *reads, size_t count)
{
    int64_t now_ms = wall_ms();
    for (size_t i = 0; i < count; i++) {
        int64_t age_ms = now_ms - reads[i].time_ms;
        if (reads[i].time_ms >= 0)
            ms_buckets_add(buckets, &ms_bounds_latency, age_ms > 0 ? (double)age_ms / 1e3 : 0,
                           reads[i].events);
    }
}

/* Notes a batch as runs of about the same timestamp. Where there are too many, the last run takes the rest. */
static void note_reads(struct ms_session *session, double at_s, const struct ms_input *inputs, size_t count)
{
    struct ms_read *reads = session->reads;
    size_t n = session->reads_count, first = n;
    for (size_t i = 0; i < count; i++) {
        int64_t time_ms = inputs[i].time_ms;
        if (n == MS_READS || (n > first && time_ms - reads[n - 1].time_ms <= MS_READ_MS &&
                              reads[n - 1].time_ms - time_ms <= MS_READ_MS))
            reads[n - 1].events++;
        else
            reads[n++] = (struct ms_read){.at_s = at_s, .time_ms = time_ms, .events = 1};
    }
    session->reads_count = n;
    count_ages(&session->stats->event_to_fold, reads + first, n - first);
}

void ms_session_process(struct ms_session *session, const struct ms_input *inputs, size_t count,
                        struct ms_end end)
{
    struct ms_error error;
    double now_s = ms_monotonic_s();
    uint64_t replayed = ms_counted(&session->stats->replayed);
    enum ms_status status = count ? ms_engine_process(session->engine, inputs, count, &error) : MS_OK;
    if (status == MS_OK && end.partition >= 0)
        ms_engine_reached(session->engine, end.source, end.partition, end.offset);
    if (status != MS_OK)
        ms_session_break(session, status, &error);
    if (count && ms_counted(&session->stats->replayed) == replayed) /* what is replayed is visible already */
        note_reads(session, now_s, inputs, count);
}

/* ---- commit ---- */

static void count_commit(struct ms_session *session, double began_s)
{
    double now_s = ms_monotonic_s();
    ms_count(&session->stats->commits, 1);
    ms_count(&session->stats->commit_us, (uint64_t)((now_s - began_s) * 1e6));
    ms_buckets_add(&session->stats->commit_seconds, &ms_bounds_duration, now_s - began_s, 1);
    count_ages(&session->stats->event_to_visible, session->reads, session->reads_count);
    pthread_mutex_lock(&session->stats->lock);
    for (size_t i = 0; i < session->reads_count; i++)
        ms_histogram_add(&session->stats->publish_us, (uint64_t)((now_s - session->reads[i].at_s) * 1e6),
                         session->reads[i].events);
    pthread_mutex_unlock(&session->stats->lock);
}

/* Users may be withheld as of |withhold_s|. */
static void commit(struct ms_session *session, double withhold_s)
{
    struct ms_error error;
    if (session->broken)
        return;
    double began_s = ms_monotonic_s();
    enum ms_status status = ms_engine_before_commit(session->engine, withhold_s, &error);
    bool pending = status == MS_OK && ms_engine_pending(session->engine);
    if (pending)
        count_ages(&session->stats->event_to_commit, session->reads, session->reads_count);
    if (pending)
        status = session->committer.commit(session->committer.context, &error);
    if (status != MS_OK) {
        ms_session_break(session, status, &error);
        return;
    }
    if (pending) {
        ms_engine_committed(session->engine);
        count_commit(session, began_s);
    }
    ms_pace_committed(&session->pace);
    session->reads_count = 0;
}

void ms_session_commit(struct ms_session *session)
{
    commit(session, ms_monotonic_s());
}

void ms_session_commit_all(struct ms_session *session)
{
    commit(session, INFINITY);
}

/* ---- flush ---- */

void ms_session_flush_end(struct ms_session *session, bool wait)
{
    struct ms_error error;
    bool lost;
    if (!session->flushing || (!wait && !ms_engine_flush_arrived(session->engine)))
        return;
    enum ms_status status = ms_engine_flush_end(session->engine, &lost, &error);
    if (status == MS_OK && lost)
        status = ms_fail(&error, MS_KAFKA_ABORT, "another worker has taken a partition");
    if (status != MS_OK)
        ms_session_break(session, status, &error);
    double now_s = ms_monotonic_s();
    session->flushing = false;
    ms_pace_flushed(&session->pace, now_s);
    ms_count(&session->stats->flushes, 1);
    ms_count(&session->stats->flush_us, (uint64_t)((now_s - session->flush_began_s) * 1e6));
    ms_buckets_add(&session->stats->flush_seconds, &ms_bounds_duration, now_s - session->flush_began_s, 1);
}

void ms_session_flush_begin(struct ms_session *session)
{
    struct ms_error error;
    ms_session_flush_end(session, true);
    if (session->broken || !ms_engine_dirty(session->engine))
        return;
    session->flush_began_s = ms_monotonic_s();
    enum ms_status status = ms_engine_flush_begin(session->engine, &error);
    if (status != MS_OK)
        ms_session_break(session, status, &error);
    else
        session->flushing = true;
}

void ms_session_flush_now(struct ms_session *session)
{
    ms_engine_flush_hurry(session->engine, true);
    ms_session_flush_begin(session);
    ms_session_flush_end(session, true);
    ms_engine_flush_hurry(session->engine, false);
}

/* ---- the loop's step, and its end ---- */

/* Publishes and commits the next part of a debt, after what others have pending. All of its users have to be on
 * disk first: while their flush is on its way, others go on. */
static void pay(struct ms_session *session)
{
    struct ms_error error;
    if (!ms_engine_debt_stored(session->engine) && session->flushing)
        return;
    ms_session_commit(session);
    if (!ms_engine_debt_stored(session->engine)) {
        ms_session_flush_begin(session);
        return;
    }
    if (session->broken)
        return;
    enum ms_status status = ms_engine_pay(session->engine, &error);
    if (status != MS_OK)
        ms_session_break(session, status, &error);
    else
        ms_session_commit(session);
}

void ms_session_maintain(struct ms_session *session, bool idle, bool lagging)
{
    double now_s = ms_monotonic_s();
    bool pending = ms_engine_pending(session->engine) || ms_engine_due_s(session->engine) <= now_s;
    bool full = ms_engine_flush_due(session->engine);
    ms_session_flush_end(session, false);
    if (pending)
        ms_pace_pending(&session->pace, now_s);
    if (pending && ms_pace_commit_due(&session->pace, idle, full, now_s)) {
        ms_session_commit(session);
        pending = false;
    }
    if (!pending && ms_pace_flush_due(&session->pace, full, session->flushing, lagging, now_s))
        ms_session_flush_begin(session);
    if (!session->broken && ms_engine_owes(session->engine))
        pay(session);
}

int ms_session_wait_ms(const struct ms_session *session, bool lagging)
{
    if (ms_engine_owes(session->engine))
        return ms_engine_debt_stored(session->engine) || !session->flushing ? 0 : MS_FLUSHING_MS;
    double now_s = ms_monotonic_s(), due_ms = (ms_engine_due_s(session->engine) - now_s) * 1000;
    int wait_ms = ms_pace_wait_ms(&session->pace, ms_engine_pending(session->engine),
                                  ms_engine_dirty(session->engine), session->flushing, lagging, now_s);
    return due_ms < 1 ? (wait_ms < 1 ? wait_ms : 1) : due_ms < wait_ms ? (int)due_ms : wait_ms;
}

void ms_session_release(struct ms_session *session, bool lost)
{
    ms_engine_flush_hurry(session->engine, true);
    if (!lost) {
        ms_session_commit_all(session);
        ms_session_flush_begin(session);
    }
    ms_session_flush_end(session, true);
    ms_engine_close_all(session->engine);
    ms_engine_flush_hurry(session->engine, false);
    ms_pace_committed(&session->pace);
}
