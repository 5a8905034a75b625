/* The engine of a replay, and the positions it folds from. */
#include <string.h>

#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

static enum ms_status send_record(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct ms_replay_reader *reader = context;
    return ms_replay_send(&reader->sender, output->key, output->value, output->version, error);
}

static enum ms_status drop_record(void *context, const struct ms_output *output, struct ms_error *error)
{
    (void)context;
    (void)output;
    (void)error;
    return MS_OK;
}

/* Counts by the words before the reason's first colon; what finds no room counts as the last. */
static void count_bad(void *context, const struct ms_input *input, const char *reason)
{
    struct ms_replay_reader *reader = context;
    size_t size = strcspn(reason, ":"), i = 0;
    (void)input;
    if (size >= sizeof reader->reasons[0].what)
        size = sizeof reader->reasons[0].what - 1;
    while (i + 1 < MS_REPLAY_REASONS && reader->reasons[i].count &&
           (strncmp(reader->reasons[i].what, reason, size) != 0 || reader->reasons[i].what[size]))
        i++;
    if (!reader->reasons[i].count)
        memcpy(reader->reasons[i].what, reason, size);
    reader->reasons[i].count++;
    ms_count(&reader->stats.dead_letters, 1);
}

enum ms_status ms_replay_engine(struct ms_replay *replay, struct ms_engine **engine, struct ms_stats *stats,
                                size_t memory_bytes, uint32_t owner, struct ms_replay_reader *reader,
                                struct ms_error *error)
{
    const struct ms_engine_options options = {
        .config = &replay->config,
        .model = replay->options.model,
        .store = replay->store,
        .decay = &replay->options.decay,
        .incremental = replay->options.incremental,
        .memory_bytes = memory_bytes,
        .owner = owner,
        .sink = {.context = reader, .emit = reader && reader->sender.producer ? send_record : drop_record},
        .stats = stats,
        .on_bad = reader ? count_bad : NULL,
        .on_bad_context = reader};
    return ms_engine_new(engine, &options, error);
}

size_t ms_replay_memory(const struct ms_replay *replay)
{
    size_t memory = (size_t)replay->config.state_memory_bytes;
    return memory > 2 * MS_REPLAY_BLOCK_CACHE ? memory - MS_REPLAY_BLOCK_CACHE : memory / 2;
}

int ms_replay_partitions(const struct ms_replay_plan *plan, int source)
{
    int count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->parts[i].source == source;
    return count;
}

/* Folded in silence up to the end. L is where it has come to. */
static struct ms_position silent_position(const struct ms_replay *replay, const struct ms_replay_part *part,
                                          int64_t applied)
{
    int64_t until = ms_replay_end(replay, part);
    return (struct ms_position){
        .committed = until, .next = applied >= 0 ? applied : part->from, .replay_until = until};
}

/* Published from C on, which is where the replay's group says it has come to; folded in silence between L and C. */
static struct ms_position loud_position(const struct ms_replay *replay, const struct ms_replay_part *part,
                                        int64_t applied)
{
    int64_t committed = replay->committed[part->partition];
    return (struct ms_position){.committed = committed,
                                .next = applied >= 0 ? applied : part->from,
                                .replay_until = committed >= 0 ? committed : part->from,
                                .must_send = committed < 0};
}

int64_t ms_replay_end(const struct ms_replay *replay, const struct ms_replay_part *part)
{
    bool follows = replay->options.follow && part->source == MS_SOURCE_CLICKS &&
                   replay->plan.stage == MS_REPLAY_READING;
    return follows ? INT64_MAX : part->to;
}

static struct ms_position position_of(const struct ms_replay *replay, const struct ms_replay_part *part,
                                      const struct ms_partition_row *row)
{
    int64_t applied = row->sources[part->source].applied;
    bool loud = ms_replay_publishes_every(replay) && part->source == MS_SOURCE_CLICKS;
    struct ms_position position = loud ? loud_position(replay, part, applied)
                                       : silent_position(replay, part, applied);
    position.source = part->source;
    position.partition = part->partition;
    position.origin = part->from;
    position.flushed = applied;
    position.holes = position.replay_until > position.next ? position.replay_until - position.next : 0;
    position.partitions = ms_replay_partitions(&replay->plan, part->source);
    position.began = position.partitions;
    position.before = ms_replay_of_files(replay) && part->source == MS_SOURCE_CLICKS;
    return position;
}

enum ms_status ms_replay_open_part(const struct ms_replay *replay, struct ms_engine *engine,
                                   const struct ms_replay_part *part, struct ms_position *position,
                                   struct ms_error *error)
{
    const struct ms_partition *claimed = ms_positions_partition(ms_engine_positions(engine), part->partition);
    struct ms_partition_row row;
    enum ms_status status = MS_OK;
    if (claimed && claimed->claimed) /* by another source of it */
        row = claimed->row;
    else
        status = ms_engine_claim(engine, part->partition, &row, error);
    if (status != MS_OK)
        return status;
    *position = position_of(replay, part, &row);
    ms_engine_open(engine, position);
    return MS_OK;
}
