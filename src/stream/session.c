/* Commit and flush, and the end of a session. */
#include "stream/session.h"

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

void ms_session_break(struct ms_session *session, enum ms_status status, const struct ms_error *error)
{
    if (!session->broken) {
        session->broken = true;
        session->status = status;
        session->error = *error;
    }
}

/* ---- a batch ---- */

static void note_read(struct ms_session *session, double at_s, uint64_t events)
{
    if (session->reads_count < MS_READS)
        session->reads[session->reads_count++] = (struct ms_read){.at_s = at_s, .events = events};
    else
        session->reads[MS_READS - 1].events += events;
}

void ms_session_process(struct ms_session *session, const struct ms_input *inputs, size_t count,
                        struct ms_end end)
{
    struct ms_error error;
    double now_s = ms_monotonic_s();
    enum ms_status status = count ? ms_engine_process(session->engine, inputs, count, &error) : MS_OK;
    if (status == MS_OK && end.partition >= 0)
        ms_engine_reached(session->engine, end.source, end.partition, end.offset);
    if (status != MS_OK)
        ms_session_break(session, status, &error);
    if (count)
        note_read(session, now_s, count);
}

/* ---- commit ---- */

static void count_commit(struct ms_session *session, double began_s)
{
    double now_s = ms_monotonic_s();
    ms_count(&session->stats->commits, 1);
    ms_count(&session->stats->commit_us, (uint64_t)((now_s - began_s) * 1e6));
    pthread_mutex_lock(&session->stats->lock);
    for (size_t i = 0; i < session->reads_count; i++)
        ms_histogram_add(&session->stats->publish_us, (uint64_t)((now_s - session->reads[i].at_s) * 1e6),
                         session->reads[i].events);
    pthread_mutex_unlock(&session->stats->lock);
}

void ms_session_commit(struct ms_session *session)
{
    struct ms_error error;
    if (session->broken)
        return;
    double began_s = ms_monotonic_s();
    enum ms_status status = ms_engine_before_commit(session->engine, &error);
    bool pending = status == MS_OK && ms_engine_pending(session->engine);
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
    bool pending = ms_engine_pending(session->engine);
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
    return ms_pace_wait_ms(&session->pace, ms_engine_pending(session->engine),
                           ms_engine_dirty(session->engine), session->flushing, lagging, ms_monotonic_s());
}

void ms_session_release(struct ms_session *session, bool lost)
{
    ms_engine_flush_hurry(session->engine, true);
    if (!lost) {
        ms_session_commit(session);
        ms_session_flush_begin(session);
    }
    ms_session_flush_end(session, true);
    ms_engine_close_all(session->engine);
    ms_engine_flush_hurry(session->engine, false);
    ms_pace_committed(&session->pace);
}
