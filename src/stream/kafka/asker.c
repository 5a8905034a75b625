/* The thread that asks. It works on one batch of questions at a time, broker by broker, and hands out each answer
 * as soon as it is complete. */
#include "stream/kafka/asker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stream/kafka/clients.h"
#include "stream/kafka/record_reader.h"
#include "stream/source.h"

#define NOBODY   (-1)
#define SLOW_MAX 16
#define QUICK_MS 1000 /* for a broker that has not failed to answer */
#define READ_MS  5000 /* for records that a broker that answers has */

struct ms_asker {
    rd_kafka_t *consumer;
    const struct ms_config *config;
    const struct ms_input_logs *logs;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    bool ending, dropped, working;
    struct ms_inquiry *first, **last; /* answers that are to be taken */
    /* The thread's while it works. */
    struct ms_inquiry *batch;
    size_t count;
    int32_t slow[SLOW_MAX]; /* brokers that did not answer last time: they are asked last */
    size_t slow_count;
    rd_kafka_t *reader; /* of single records, NULL: none was to be read yet */
};

/* ---- talking with the worker ---- */

static bool given_up(struct ms_asker *asker)
{
    pthread_mutex_lock(&asker->lock);
    bool given_up = asker->ending || asker->dropped;
    pthread_mutex_unlock(&asker->lock);
    return given_up;
}

static void post(struct ms_asker *asker, struct ms_inquiry *inquiry)
{
    inquiry->answered = true;
    inquiry->next = NULL;
    pthread_mutex_lock(&asker->lock);
    *asker->last = inquiry;
    asker->last = &inquiry->next;
    pthread_mutex_unlock(&asker->lock);
}

/* Under the lock. */
static void forget_answers(struct ms_asker *asker)
{
    asker->first = NULL;
    asker->last = &asker->first;
}

bool ms_asker_busy(struct ms_asker *asker)
{
    pthread_mutex_lock(&asker->lock);
    bool busy = asker->working || asker->first;
    pthread_mutex_unlock(&asker->lock);
    return busy;
}

void ms_asker_ask(struct ms_asker *asker, struct ms_inquiry *questions, size_t count)
{
    pthread_mutex_lock(&asker->lock);
    free(asker->batch);
    asker->batch = questions;
    asker->count = count;
    asker->working = true;
    asker->dropped = false;
    pthread_cond_signal(&asker->changed);
    pthread_mutex_unlock(&asker->lock);
}

bool ms_asker_take(struct ms_asker *asker, struct ms_inquiry *answer)
{
    pthread_mutex_lock(&asker->lock);
    struct ms_inquiry *first = asker->first;
    if (first) {
        *answer = *first;
        asker->first = first->next;
        if (!asker->first)
            asker->last = &asker->first;
    }
    pthread_mutex_unlock(&asker->lock);
    return first != NULL;
}

void ms_asker_drop(struct ms_asker *asker)
{
    if (!asker)
        return;
    pthread_mutex_lock(&asker->lock);
    asker->dropped = true;
    forget_answers(asker);
    pthread_mutex_unlock(&asker->lock);
}

/* ---- what an inquiry has come to ---- */

static const char *topic_of(const struct ms_asker *asker, int source)
{
    return ms_source_topic(source, asker->config);
}

/* An inquiry that has failed stays so. */
static void failed(struct ms_asker *asker, size_t i, int source, rd_kafka_resp_err_t code, const char *what)
{
    struct ms_inquiry *inquiry = &asker->batch[i];
    if (inquiry->status != MS_OK)
        return;
    inquiry->status = ms_kafka_failed_code(code, &inquiry->error, what);
    inquiry->status = ms_fail_in(&inquiry->error, inquiry->status, "topic %s partition %d",
                                 topic_of(asker, source), inquiry->partition);
}

static bool open_question(const struct ms_asker *asker, size_t i)
{
    return !asker->batch[i].answered && asker->batch[i].status == MS_OK;
}

/* Hands out what is answered, for better or worse. */
static void post_complete(struct ms_asker *asker)
{
    for (size_t i = 0; i < asker->count; i++) {
        bool complete = true;
        for (int source = 0; source < MS_SOURCES; source++)
            complete = complete && (!topic_of(asker, source)[0] || asker->batch[i].targets[source].known);
        if (!asker->batch[i].answered && (complete || asker->batch[i].status != MS_OK))
            post(asker, &asker->batch[i]);
    }
}

static void all_failed(struct ms_asker *asker, int source, rd_kafka_resp_err_t code, const char *what)
{
    for (size_t i = 0; i < asker->count; i++)
        failed(asker, i, source, code, what);
}

/* ---- the group's offsets ---- */

static void note_committed(struct ms_known *known, const rd_kafka_topic_partition_t *at)
{
    known->committed = at->offset >= 0 ? at->offset : -1;
    known->ours = ms_offset_note_read(at->metadata, at->metadata_size, &known->note);
    if (known->ours && known->note.mark.upto > 0)
        known->mark = known->note.mark;
}

static void ask_committed(struct ms_asker *asker)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)asker->count);
    for (int source = 0; source < MS_SOURCES; source++) {
        for (size_t i = 0; topic_of(asker, source)[0] && i < asker->count; i++)
            rd_kafka_topic_partition_list_add(list, topic_of(asker, source), asker->batch[i].partition);
    }
    rd_kafka_resp_err_t code = rd_kafka_committed(asker->consumer, list, MS_ASK_MS);
    if (code)
        all_failed(asker, 0, code, "committed offset");
    int next = 0;
    for (int source = 0; source < MS_SOURCES; source++) {
        for (size_t i = 0; topic_of(asker, source)[0] && i < asker->count; i++) {
            const rd_kafka_topic_partition_t *at = &list->elems[next++];
            if (at->err)
                failed(asker, i, source, at->err, "committed offset");
            else if (!code)
                note_committed(&asker->batch[i].known[source], at);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- the group as a whole ---- */

/* What the notes of all partitions of a topic tell together. */
struct group_notes {
    int began;      /* partitions that the topic had when the group was new, 0: none tells */
    int partitions; /* that it had later: a number that differs from today's where there is one, 0: none tells */
};

/* |count|: partitions that the topic has now. Where no partition has an offset, the group is new now. Another
 * member may have committed its first offsets already, so whether one partition has an offset tells nothing. */
static rd_kafka_resp_err_t read_notes(struct ms_asker *asker, const char *topic, int count,
                                      struct group_notes *notes)
{
    bool new_group = true;
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_add_range(all, topic, 0, count - 1);
    rd_kafka_resp_err_t code = rd_kafka_committed(asker->consumer, all, MS_ASK_MS);
    *notes = (struct group_notes){.began = 0};
    for (int i = 0; !code && i < all->cnt; i++) {
        struct ms_offset_note note;
        const rd_kafka_topic_partition_t *at = &all->elems[i];
        code = at->err;
        new_group &= at->offset < 0;
        if (at->offset < 0 || !ms_offset_note_read(at->metadata, at->metadata_size, &note))
            continue;
        if (note.began > notes->began)
            notes->began = note.began;
        if (note.partitions && (!notes->partitions || note.partitions != count))
            notes->partitions = note.partitions;
    }
    if (new_group)
        notes->began = count;
    rd_kafka_topic_partition_list_destroy(all);
    return code;
}

/* Whether a partition's own note does not tell all that there is to know of the group. */
static bool needs_notes(const struct ms_known *known)
{
    return known->committed < 0 || !known->ours || !known->note.partitions;
}

/* Reads them once for all that need them; |count| is the topic's number of partitions. */
static void ask_notes(struct ms_asker *asker, int source, int count)
{
    bool asked = false;
    struct group_notes notes = {.began = 0};
    rd_kafka_resp_err_t code = 0;
    for (size_t i = 0; i < asker->count; i++) {
        struct ms_known *known = &asker->batch[i].known[source];
        if (!open_question(asker, i))
            continue;
        known->partitions = count;
        if (!needs_notes(known))
            continue;
        if (!asked)
            code = read_notes(asker, topic_of(asker, source), count, &notes);
        asked = true;
        if (code)
            failed(asker, i, source, code, "committed offsets of the group");
        bool starts_latest = ms_sources[source]->input_start && asker->config->input_start == MS_START_LATEST;
        known->began = starts_latest ? notes.began : 0;
        known->noted_partitions = notes.partitions;
    }
}

/* ---- holes ---- */

/* Whether the log can give a partition everything that it has to replay: asked for once for all that have to. */
static void ask_holes(struct ms_asker *asker, int source)
{
    bool asked = false, holed = false;
    for (size_t i = 0; i < asker->count; i++) {
        struct ms_known *known = &asker->batch[i].known[source];
        int64_t start = known->row.applied >= 0 ? known->row.applied
                        : known->ours           ? known->note.origin
                                                : known->committed;
        if (!open_question(asker, i) || start >= known->committed)
            continue;
        if (!asked)
            holed = ms_input_log_holed(asker->logs, asker->consumer, asker->config, source);
        asked = true;
        known->holed = holed;
    }
}

/* ---- leaders ---- */

static void note_leader(struct ms_asker *asker, size_t i, int source,
                        const struct rd_kafka_metadata_topic *topic)
{
    const struct rd_kafka_metadata_partition *found = NULL;
    for (int p = 0; p < topic->partition_cnt; p++) {
        if (topic->partitions[p].id == asker->batch[i].partition)
            found = &topic->partitions[p];
    }
    if (!found)
        failed(asker, i, source, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "the brokers do not know it yet");
    else if (found->leader < 0)
        failed(asker, i, source, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "it has no leader");
    else
        asker->batch[i].targets[source].leader = found->leader;
}

static void ask_leaders(struct ms_asker *asker, int source)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(asker->consumer, topic_of(asker, source), NULL);
    rd_kafka_resp_err_t code = handle ? rd_kafka_metadata(asker->consumer, 0, handle, &metadata, MS_ASK_MS)
                                      : rd_kafka_last_error();
    if (handle)
        rd_kafka_topic_destroy(handle);
    if (code) {
        all_failed(asker, source, code, "leader");
        return;
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (code)
        all_failed(asker, source, code, "leader");
    for (size_t i = 0; !code && i < asker->count; i++)
        note_leader(asker, i, source, &metadata->topics[0]);
    if (!code)
        ask_notes(asker, source, metadata->topics[0].partition_cnt);
    rd_kafka_metadata_destroy(metadata);
}

/* ---- ends of the logs ---- */

/* The special times of the protocol's ListOffsets, which the client passes on. */
static rd_kafka_resp_err_t offsets_at(rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *partitions,
                                      int64_t when, int64_t *offsets, int timeout_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(partitions);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = when;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(consumer, list, timeout_ms);
    for (int i = 0; !code && i < list->cnt; i++) {
        code = list->elems[i].err;
        offsets[i] = list->elems[i].offset;
        if (!code && offsets[i] < 0) /* it was not in the answer */
            code = RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* Not rd_kafka_query_watermark_offsets: before 2.3 it does not heed its time-out when the leader is down. */
rd_kafka_resp_err_t ms_ask_ends(rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *partitions,
                                int64_t *low, int64_t *high, int timeout_ms)
{
    rd_kafka_resp_err_t code = offsets_at(consumer, partitions, RD_KAFKA_OFFSET_BEGINNING, low, timeout_ms);
    return code ? code : offsets_at(consumer, partitions, RD_KAFKA_OFFSET_END, high, timeout_ms);
}

static bool is_slow(const struct ms_asker *asker, int32_t leader)
{
    for (size_t i = 0; i < asker->slow_count; i++) {
        if (asker->slow[i] == leader)
            return true;
    }
    return false;
}

static void note_slow(struct ms_asker *asker, int32_t leader, bool slow)
{
    bool was = is_slow(asker, leader);
    if (slow && !was && asker->slow_count < SLOW_MAX)
        asker->slow[asker->slow_count++] = leader;
    for (size_t i = 0; was && !slow && i < asker->slow_count; i++) {
        if (asker->slow[i] == leader)
            asker->slow[i] = asker->slow[--asker->slow_count];
    }
}

/* What a question of a list is about. */
struct place {
    size_t inquiry;
    int source;
};

/* Asks for the ends of places[from, to), and notes the answer. */
static rd_kafka_resp_err_t ask_places(struct ms_asker *asker, const struct place *places, size_t count,
                                      int64_t *low, int64_t *high, int timeout_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic_of(asker, places[i].source),
                                          asker->batch[places[i].inquiry].partition);
    rd_kafka_resp_err_t code = ms_ask_ends(asker->consumer, list, low, high, timeout_ms);
    rd_kafka_topic_partition_list_destroy(list);
    for (size_t i = 0; !code && i < count; i++) {
        struct ms_known *known = &asker->batch[places[i].inquiry].known[places[i].source];
        known->low = low[i];
        known->high = high[i];
        asker->batch[places[i].inquiry].targets[places[i].source].known = true;
    }
    return code;
}

/* ---- is it still the same log ---- */

static bool goes_on(void *asker)
{
    return !given_up(asker);
}

/* What the log has in place of the record that was marked. */
static void take_spot(struct ms_asker *asker, const struct place *place, const struct ms_spot *spot)
{
    struct ms_inquiry *inquiry = &asker->batch[place->inquiry];
    struct ms_known *known = &inquiry->known[place->source];
    /* Elsewhere compaction may have removed it. A leader that is new may not know its end, if it was not asked. */
    bool whole = asker->logs->kind[place->source] == MS_INPUT_WHOLE;
    bool none = spot->found == MS_SPOT_NO_RECORD || (spot->found == MS_SPOT_END && !inquiry->only_mark);
    if (spot->found == MS_SPOT_UNREAD) {
        failed(asker, place->inquiry, place->source, RD_KAFKA_RESP_ERR__TIMED_OUT, "the record read last");
        return;
    }
    known->anew = (spot->found == MS_SPOT_RECORD && spot->digest != known->mark.digest) || (none && whole);
    inquiry->targets[place->source].known = spot->found != MS_SPOT_END || !inquiry->only_mark;
}

/* Whether there is a mark, and the log is known to reach it, or is not known. */
static bool has_mark(const struct ms_inquiry *inquiry, int source)
{
    const struct ms_known *known = &inquiry->known[source];
    int64_t upto = known->mark.upto;
    return upto > 0 && (inquiry->only_mark || (known->low < upto && upto <= known->high));
}

static void look_at_marks(struct ms_asker *asker, struct place *places, size_t count)
{
    size_t n = 0;
    struct ms_spot *spots = calloc(count + 1, sizeof *spots);
    for (size_t i = 0; spots && i < count; i++) {
        const struct ms_inquiry *inquiry = &asker->batch[places[i].inquiry];
        if (!open_question(asker, places[i].inquiry) || !has_mark(inquiry, places[i].source))
            continue;
        spots[n] = (struct ms_spot){.topic = topic_of(asker, places[i].source),
                                    .partition = inquiry->partition,
                                    .offset = inquiry->known[places[i].source].mark.upto - 1};
        places[n++] = places[i];
    }
    struct ms_error error;
    if (n > 0 && (asker->reader || ms_record_reader_new(&asker->reader, asker->config, &error) == MS_OK))
        ms_record_reader_read(asker->reader, spots, n, READ_MS, goes_on, asker);
    for (size_t i = 0; i < n; i++)
        take_spot(asker, &places[i], &spots[i]);
    free(spots);
}

/* ---- broker by broker ---- */

static bool no_answer(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
}

/* The partitions that one broker leads: in one question, and where it refuses one of them, one by one. */
static void ask_leader(struct ms_asker *asker, int32_t leader, struct place *places, int64_t *offsets)
{
    size_t count = 0;
    for (int source = 0; source < MS_SOURCES; source++) {
        for (size_t i = 0; i < asker->count; i++) {
            if (open_question(asker, i) && asker->batch[i].targets[source].leader == leader &&
                !asker->batch[i].targets[source].known)
                places[count++] = (struct place){i, source};
        }
    }
    if (count == 0)
        return;
    int timeout_ms = is_slow(asker, leader) ? MS_ASK_MS : QUICK_MS;
    rd_kafka_resp_err_t code = ask_places(asker, places, count, offsets, offsets + count, timeout_ms);
    for (size_t i = 0; code && i < count; i++) {
        rd_kafka_resp_err_t one = code;
        if (count > 1 && !no_answer(code) && !given_up(asker))
            one = ask_places(asker, &places[i], 1, offsets, offsets + 1, QUICK_MS);
        if (one)
            failed(asker, places[i].inquiry, places[i].source, one, "ends of the log");
        if (no_answer(one))
            code = one; /* of the rest, too */
    }
    note_slow(asker, leader, no_answer(code));
    look_at_marks(asker, places, count);
    post_complete(asker);
}

/* Broker by broker; with |slow| those that did not answer last time, else the others. */
static void ask_ends(struct ms_asker *asker, bool slow, struct place *places, int64_t *offsets)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        for (size_t i = 0; i < asker->count && !given_up(asker); i++) {
            const struct ms_target *target = &asker->batch[i].targets[source];
            if (open_question(asker, i) && !target->known && target->leader != NOBODY &&
                is_slow(asker, target->leader) == slow)
                ask_leader(asker, target->leader, places, offsets);
        }
    }
}

/* ---- the thread ---- */

static void ask_all(struct ms_asker *asker, struct place *places, int64_t *offsets)
{
    if (asker->batch[0].only_mark) {
        for (size_t i = 0; i < asker->count * MS_SOURCES; i++)
            places[i] = (struct place){i / MS_SOURCES, (int)(i % MS_SOURCES)};
        look_at_marks(asker, places, asker->count * MS_SOURCES);
        return;
    }
    ask_committed(asker);
    for (int source = 0; source < MS_SOURCES && !given_up(asker); source++) {
        if (!topic_of(asker, source)[0])
            continue;
        ask_holes(asker, source);
        ask_leaders(asker, source);
    }
    post_complete(asker);
    ask_ends(asker, false, places, offsets);
    ask_ends(asker, true, places, offsets);
}

/* Works on a batch. */
static void work(struct ms_asker *asker)
{
    size_t places_max = asker->count * MS_SOURCES;
    struct place *places = calloc(places_max, sizeof *places);
    int64_t *offsets = calloc(2 * places_max, sizeof *offsets);
    for (size_t i = 0; i < asker->count; i++) {
        asker->batch[i].answered = false;
        for (int source = 0; source < MS_SOURCES; source++)
            asker->batch[i].targets[source] = (struct ms_target){.leader = NOBODY};
    }
    if (places && offsets)
        ask_all(asker, places, offsets);
    for (size_t i = 0; i < asker->count && !given_up(asker); i++) {
        struct ms_inquiry *inquiry = &asker->batch[i];
        if (!inquiry->answered && inquiry->status == MS_OK && !inquiry->only_mark)
            inquiry->status = ms_fail(&inquiry->error, MS_KAFKA_RETRY, "no memory to ask");
        if (!inquiry->answered)
            post(asker, inquiry);
    }
    free(places);
    free(offsets);
}

static void *run(void *context)
{
    struct ms_asker *asker = context;
    pthread_mutex_lock(&asker->lock);
    while (!asker->ending) {
        if (!asker->working) {
            pthread_cond_wait(&asker->changed, &asker->lock);
            continue;
        }
        pthread_mutex_unlock(&asker->lock);
        work(asker);
        pthread_mutex_lock(&asker->lock);
        asker->working = false;
        if (asker->dropped)
            forget_answers(asker);
    }
    pthread_mutex_unlock(&asker->lock);
    return NULL;
}

enum ms_status ms_asker_new(struct ms_asker **out, rd_kafka_t *consumer, const struct ms_config *config,
                            const struct ms_input_logs *logs, struct ms_error *error)
{
    struct ms_asker *asker = calloc(1, sizeof *asker);
    if (!asker)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    asker->consumer = consumer;
    asker->config = config;
    asker->logs = logs;
    forget_answers(asker);
    pthread_mutex_init(&asker->lock, NULL);
    pthread_cond_init(&asker->changed, NULL);
    if (pthread_create(&asker->thread, NULL, run, asker) != 0) {
        pthread_mutex_destroy(&asker->lock);
        pthread_cond_destroy(&asker->changed);
        free(asker);
        return ms_fail(error, MS_MEMORY, "cannot start a thread");
    }
    *out = asker;
    return MS_OK;
}

void ms_asker_destroy(struct ms_asker *asker)
{
    if (!asker)
        return;
    pthread_mutex_lock(&asker->lock);
    asker->ending = true;
    pthread_cond_signal(&asker->changed);
    pthread_mutex_unlock(&asker->lock);
    pthread_join(asker->thread, NULL);
    if (asker->reader)
        ms_client_destroy(asker->reader);
    free(asker->batch);
    pthread_mutex_destroy(&asker->lock);
    pthread_cond_destroy(&asker->changed);
    free(asker);
}
