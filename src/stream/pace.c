/* The rules of pace.h. */
#include "stream/pace.h"

void ms_pace_begin(struct ms_pace *pace, const struct ms_config *config, double now_s)
{
    *pace = (struct ms_pace){.flushed_s = now_s};
    ms_pace_set(pace, config);
}

void ms_pace_set(struct ms_pace *pace, const struct ms_config *config)
{
    pace->commit_interval_s = (double)config->commit_interval_ms / 1000;
    pace->flush_interval_s = (double)config->state_flush_interval_ms / 1000;
}

void ms_pace_pending(struct ms_pace *pace, double now_s)
{
    if (pace->pending_since_s <= 0)
        pace->pending_since_s = now_s;
}

void ms_pace_committed(struct ms_pace *pace)
{
    pace->pending_since_s = 0;
}

void ms_pace_flushed(struct ms_pace *pace, double now_s)
{
    pace->flushed_s = now_s;
}

static double flush_interval_s(const struct ms_pace *pace, bool lagging)
{
    return lagging ? MS_LAGGING_FLUSHES * pace->flush_interval_s : pace->flush_interval_s;
}

bool ms_pace_commit_due(const struct ms_pace *pace, bool idle, bool full, double now_s)
{
    return idle || full || now_s - pace->pending_since_s >= pace->commit_interval_s;
}

bool ms_pace_flush_due(const struct ms_pace *pace, bool full, bool flushing, bool lagging, double now_s)
{
    return full || (!flushing && now_s - pace->flushed_s >= flush_interval_s(pace, lagging));
}

int ms_pace_wait_ms(const struct ms_pace *pace, bool pending, bool dirty, bool flushing, bool lagging,
                    double now_s)
{
    if (pending)
        return MS_IDLE_MS;
    if (!dirty)
        return MS_WAIT_MS;
    if (flushing)
        return MS_FLUSHING_MS;
    double left_ms = (flush_interval_s(pace, lagging) - (now_s - pace->flushed_s)) * 1000;
    return left_ms < 1 ? 1 : left_ms < MS_WAIT_MS ? (int)left_ms : MS_WAIT_MS;
}
