/* Profiles joined to clicks: an engine between arrays, one partition, two topics. The broker is a pair of
 * committed offsets; what a transaction brings becomes visible when it commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "model/model_writer.h"
#include "state/fixture.h"
#include "mindstream/record.h"
#include "stream/engine.h"
#include "stream/source.h"

enum topic { CLICKS = MS_SOURCE_CLICKS, PROFILES = MS_SOURCE_PROFILES };
#define LOG 256

struct shown {
    enum ms_output_kind kind;
    char key[32], reason[128];
    bool null, profile;
    uint64_t version;
    int64_t offset; /* of a dead letter's source */
    int interests;
    float vectors[2][5];
};

struct rig {
    struct ms_config config;
    struct ms_model *model;
    struct ms_extractor *extractor;
    char *dir;
    struct ms_store *store;
    struct ms_engine *engine;
    struct ms_stats stats;
    size_t memory_bytes;
    bool incremental;
    struct {
        struct ms_input records[LOG];
        int64_t end, next; /* next: what the consumer would fetch */
        int64_t committed;
        char note[MS_NOTE_BYTES];
        size_t note_bytes;
    } log[2];
    struct shown open[LOG], visible[LOG];
    size_t open_count, visible_count;
};

/* ---- the model ---- */

static const float genders[3][2] = {{1, 2}, {3, 4}, {5, 6}}; /* f, m, anything else */
static char *model_dir;

static void write_model(void)
{
    static const float items[4][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, -1}};
    static const float map[3][3] = {{1, 0.5f, 0}, {0, 1, 0}, {0.25f, 0, 1}};
    static const char *const ids[] = {"i0", "i1", "i2", "i3"};
    const struct writer_tensor tensors[] = {{"item_embedding", items[0], 2, {4, 3}, false},
                                            {"routing.bilinear", map[0], 2, {3, 3}, false},
                                            {"profile.gender", genders[0], 2, {3, 2}, false}};
    static const char config[] =
        "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":"
        "\"mind\",\"dim\":5,\"interests\":2,\"max_behaviors\":50,\"profile\":{\"order\":"
        "\"before-interest\"}}";
    model_dir = writer_temp_dir();
    writer_model(model_dir, config, ids, 4, tensors, 3);
    writer_file(model_dir, "profile_gender.txt", "f\nm\n", 4);
}

/* ---- the broker and the worker ---- */

static enum ms_status take_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct rig *rig = context;
    struct shown *shown = &rig->open[rig->open_count++];
    struct ms_decoded *decoded = NULL;
    assert_true(rig->open_count < LOG);
    *shown = (struct shown){
        .kind = output->kind, .version = output->version, .null = output->value.data == NULL};
    snprintf(shown->key, sizeof shown->key, "%.*s", (int)output->key.size,
             output->key.data ? output->key.data : "");
    if (output->kind == MS_OUTPUT_DEAD_LETTER) {
        snprintf(shown->reason, sizeof shown->reason, "%s", output->reason);
        shown->offset = output->input->offset;
        shown->profile = output->input->source == PROFILES;
        return MS_OK;
    }
    if (shown->null)
        return MS_OK;
    assert_int_equal(ms_decode_user(&decoded, MS_RECORD_PROTOBUF, output->value, error), MS_OK);
    const struct ms_record *record = ms_decoded_record(decoded);
    assert_int_equal(record->version, output->version);
    shown->interests = record->interests.count;
    assert_true(shown->interests == 0 || record->interests.dim == 5);
    memcpy(shown->vectors, record->interests.vectors, (size_t)shown->interests * sizeof shown->vectors[0]);
    ms_decoded_destroy(decoded);
    return MS_OK;
}

static void put(struct rig *rig, enum topic topic, const char *key, const char *value)
{
    int64_t offset = rig->log[topic].end++;
    assert_true(offset < LOG);
    rig->log[topic].records[offset] = (struct ms_input){.offset = offset,
                                                        .time_ms = 1000 + offset,
                                                        .key = {key, key ? strlen(key) : 0},
                                                        .value = {value, value ? strlen(value) : 0},
                                                        .source = (int)topic};
}

/* A click on item |item| (0 .. 3); no two of one user at the same time. */
static void click(struct rig *rig, const char *user, int item)
{
    static const char *const values[] = {"{\"item_id\":\"i0\"}", "{\"item_id\":\"i1\"}",
                                         "{\"item_id\":\"i2\"}", "{\"item_id\":\"i3\"}"};
    put(rig, CLICKS, user, values[item]);
}

static void assign(struct rig *rig, enum topic topic)
{
    struct ms_known known = {
        .source = (int)topic, .committed = rig->log[topic].committed, .high = rig->log[topic].end};
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(rig->engine),
                                       .decode_id = ms_engine_decode_id(rig->engine)};
    struct ms_error error;
    struct ms_partition_row row;
    struct ms_position position;
    int64_t gap;
    assert_int_equal(ms_engine_claim(rig->engine, 0, &row, &error), MS_OK);
    known.row = row.sources[topic];
    known.ours = ms_offset_note_read(rig->log[topic].note, rig->log[topic].note_bytes, &known.note);
    assert_int_equal(ms_decide(&known, &rule, &position, &gap), MS_FITS);
    ms_engine_open(rig->engine, &position);
    rig->log[topic].next = position.next;
}

static bool is_open(struct rig *rig, enum topic topic)
{
    return ms_positions_find(ms_engine_positions(rig->engine), 0, (int)topic) != NULL;
}

/* The position of a topic that is open. */
static struct ms_position *position_of(struct rig *rig, enum topic topic)
{
    struct ms_position *position = ms_positions_find(ms_engine_positions(rig->engine), 0, (int)topic);
    assert_non_null(position);
    if (!position)
        abort(); /* not reached: tells the compiler */
    return position;
}

static void start(struct rig *rig)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    const struct ms_engine_options options = {.config = &rig->config,
                                              .model = rig->model,
                                              .store = rig->store,
                                              .decay = &decay,
                                              .incremental = rig->incremental,
                                              .memory_bytes = rig->memory_bytes,
                                              .pay_records = 1,
                                              .owner = 1,
                                              .sink = {rig, take_output},
                                              .stats = &rig->stats};
    struct ms_error error;
    assert_int_equal(ms_engine_new(&rig->engine, &options, &error), MS_OK);
    assign(rig, CLICKS);
    assign(rig, PROFILES);
}

static void crash(struct rig *rig)
{
    ms_engine_destroy(rig->engine);
    rig->engine = NULL;
    rig->open_count = 0;
    ms_store_close(rig->store);
    rig->store = state_open(rig->dir);
}

/* After a crash: another machine. */
static void lose_state(struct rig *rig)
{
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
}

/* At most |most| records of a topic, as one batch; where that is its end, the engine is told. */
static void feed(struct rig *rig, enum topic topic, size_t most)
{
    struct ms_error error;
    int64_t from = rig->log[topic].next, left = rig->log[topic].end - from;
    size_t count = (size_t)left < most ? (size_t)left : most;
    assert_int_equal(ms_engine_process(rig->engine, rig->log[topic].records + from, count, &error), MS_OK);
    rig->log[topic].next += (int64_t)count;
    if (rig->log[topic].next == rig->log[topic].end)
        ms_engine_reached(rig->engine, (int)topic, 0, rig->log[topic].end);
}

/* What the worker does between batches: sources that wait are not fetched, what was passed over is read
 * again. */
static bool may_feed(struct rig *rig, enum topic topic)
{
    struct ms_position *position = position_of(rig, topic);
    if (ms_engine_waits(rig->engine, position))
        return false;
    if (position->passed_over)
        rig->log[topic].next = position->next;
    position->passed_over = false;
    return true;
}

static void commit(struct rig *rig)
{
    struct ms_error error;
    bool sent = false, replays = false;
    assert_int_equal(ms_engine_before_commit(rig->engine, INFINITY, &error), MS_OK);
    for (int topic = CLICKS; topic <= PROFILES; topic++) {
        const struct ms_position *position = position_of(rig, (enum topic)topic);
        replays |= ms_position_replays(position);
        if (!ms_position_to_send(position))
            continue;
        assert_true(position->next >= rig->log[topic].committed);
        rig->log[topic].committed = position->next;
        rig->log[topic].note_bytes = ms_engine_note(rig->engine, position, rig->log[topic].note);
        sent = true;
    }
    assert_true(sent || rig->open_count == 0); /* no record without an offset */
    assert_true(!replays || rig->open_count == 0);
    memcpy(rig->visible + rig->visible_count, rig->open, rig->open_count * sizeof *rig->open);
    rig->visible_count += rig->open_count;
    rig->open_count = 0;
    ms_engine_committed(rig->engine);
}

static void flush(struct rig *rig)
{
    struct ms_error error;
    bool lost = true;
    assert_int_equal(ms_engine_flush(rig->engine, &lost, &error), MS_OK);
    assert_false(lost);
    assert_false(ms_engine_dirty(rig->engine));
}

/* All of a debt that can be paid now. */
static void pay(struct rig *rig)
{
    struct ms_error error;
    while (ms_engine_owes(rig->engine)) {
        commit(rig);
        if (!ms_engine_debt_stored(rig->engine))
            flush(rig);
        assert_int_equal(ms_engine_pay(rig->engine, &error), MS_OK);
        commit(rig);
    }
}

/* Everything there is, turn and turn about, |first| first. */
static void feed_all(struct rig *rig, enum topic first)
{
    for (int i = 0; i < 8; i++) {
        pay(rig);
        enum topic topic = i % 2 ? !first : first;
        if (may_feed(rig, topic))
            feed(rig, topic, LOG);
    }
    assert_int_equal(position_of(rig, CLICKS)->next, rig->log[CLICKS].end);
    assert_int_equal(position_of(rig, PROFILES)->next, rig->log[PROFILES].end);
}

static struct ms_partition_row stored_row(struct rig *rig)
{
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    assert_int_equal(ms_store_partition(rig->store, 0, &row, &found, &error), MS_OK);
    assert_true(found);
    return row;
}

/* ---- what was published ---- */

/* The next visible record is |key|'s with |version|, of |gender| ('f', 'm', 0: the default row) and the
 * interests of a history of |items|. */
static void saw(struct rig *rig, size_t at, const char *key, uint64_t version, char gender, const char *items)
{
    assert_true(at < rig->visible_count);
    const struct shown *shown = &rig->visible[at];
    const float *row = genders[gender == 'f' ? 0 : gender == 'm' ? 1 : 2];
    uint32_t rows[LOG];
    size_t count = strlen(items);
    assert_int_equal(shown->kind, MS_OUTPUT_RECORD);
    assert_string_equal(shown->key, key);
    assert_int_equal(shown->version, version);
    assert_false(shown->null);
    for (size_t i = 0; i < count; i++)
        rows[i] = (uint32_t)(items[i] - '0');
    ms_extractor_set_profile(rig->extractor, row);
    struct ms_interests expected = ms_extract_full(rig->extractor, rows, count, NULL, 0, NULL);
    assert_int_equal(shown->interests, expected.count);
    for (int i = 0; i < shown->interests; i++) {
        assert_memory_equal(shown->vectors[i], row, 2 * sizeof(float));
        assert_memory_equal(shown->vectors[i], expected.vectors + i * 5, 5 * sizeof(float));
    }
}

static void saw_null(struct rig *rig, size_t at, const char *key)
{
    assert_true(at < rig->visible_count);
    assert_true(rig->visible[at].null);
    assert_string_equal(rig->visible[at].key, key);
}

static void saw_no_more(struct rig *rig, size_t count)
{
    assert_int_equal(rig->visible_count, count);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct ms_error error;
    rig->config = (struct ms_config){.application_id = "app",
                                     .input_topic = "clicks",
                                     .profile_topic = "profiles",
                                     .input_user_field = "user_id",
                                     .input_item_field = "item_id",
                                     .input_time_field = "timestamp",
                                     .input_type_field = "event_type",
                                     .input_types = "",
                                     .input_id_max_bytes = 31,
                                     .output_format = MS_RECORD_PROTOBUF,
                                     .output_layout = MS_LAYOUT_USER,
                                     .publish_mode = MS_PUBLISH_EVERY,
                                     .dead_letter_topic = "bad",
                                     .state_behaviors_max = 100};
    rig->memory_bytes = 1 << 20;
    rig->log[CLICKS].committed = rig->log[PROFILES].committed = -1;
    assert_int_equal(ms_model_load(&rig->model, model_dir, &error), MS_OK);
    assert_int_equal(ms_extractor_new(&rig->extractor, rig->model, &error), MS_OK);
    pthread_mutex_init(&rig->stats.lock, NULL);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    ms_engine_destroy(rig->engine);
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    ms_extractor_destroy(rig->extractor);
    ms_model_destroy(rig->model);
    pthread_mutex_destroy(&rig->stats.lock);
    free(rig);
    return 0;
}

/* ---- tests ---- */

#define F "{\"gender\":\"f\"}"
#define M "{\"gender\":\"m\"}"

/* Before the clicks, after them, changed, the same again, unknown, gone; somebody without clicks. */
static void join(void **state)
{
    struct rig *rig = *state;
    start(rig);
    put(rig, PROFILES, "before", F);
    put(rig, PROFILES, "nobody", M);
    feed_all(rig, PROFILES);
    click(rig, "before", 0);
    click(rig, "after", 1);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 0, "before", 1, 'f', "0");
    saw(rig, 1, "after", 1, 0, "1");
    saw_no_more(rig, 2);
    put(rig, PROFILES, "after", M);
    put(rig, PROFILES, "after", M); /* unchanged */
    put(rig, PROFILES, "before", "{\"gender\":\"x\"}");
    put(rig, PROFILES, "before", NULL); /* gone: no change of the vectors, but of the profile */
    put(rig, PROFILES, "before", NULL);
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 2, "after", 2, 'm', "1");
    saw(rig, 3, "before", 2, 0, "0");
    saw(rig, 4, "before", 3, 0, "0");
    saw_no_more(rig, 5);
    assert_int_equal(ms_counted(&rig->stats.profiles), 5);
    click(rig, "nobody", 2);
    click(rig, "after", 3);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 5, "nobody", 1, 'm', "2");
    saw(rig, 6, "after", 3, 'm', "13");
    saw_no_more(rig, 7);
}

/* publish.mode=latest: once a commit, with all that has happened to the user in both topics. */
static void once_a_commit(void **state)
{
    struct rig *rig = *state;
    rig->config.publish_mode = MS_PUBLISH_LATEST;
    start(rig);
    click(rig, "u", 0);
    feed_all(rig, CLICKS);
    put(rig, PROFILES, "u", F);
    feed_all(rig, PROFILES);
    click(rig, "u", 1);
    put(rig, PROFILES, "u", M);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 0, "u", 4, 'm', "01");
    saw_no_more(rig, 1);
    put(rig, PROFILES, "u", F);
    feed_all(rig, PROFILES);
    assert_true(ms_engine_pending(rig->engine));
    commit(rig);
    saw(rig, 1, "u", 5, 'f', "01");
    saw_no_more(rig, 2);
    assert_int_equal(rig->log[PROFILES].committed, 3);
    assert_false(ms_engine_pending(rig->engine));
}

/* Bad profiles become dead letters of their topic, once, and change nobody. */
static void bad_profiles(void **state)
{
    struct rig *rig = *state;
    static char large[65536 + 32], fits[65536 + 1];
    memset(large, ' ', sizeof large - 1);
    large[0] = '{', large[sizeof large - 2] = '}';
    memset(fits, ' ', sizeof fits - 1);
    fits[0] = '{', fits[sizeof fits - 2] = '}';
    const struct {
        const char *key, *value, *reason;
    } bad[] = {{NULL, F, "the user as its key"},
               {"", F, "the record key is empty"},
               {"u", "{", NULL},
               {"u", "", NULL},
               {"u", "[]", "not a JSON object"},
               {"u", "null", "not a JSON object"},
               {"u", large, "longer than 65536 bytes"},
               {"0123456789012345678901234567890u", F, "bytes long, at most"},
               {"\xff", F, "UTF-8"}};
    size_t count = sizeof bad / sizeof *bad;
    start(rig);
    put(rig, PROFILES, "u", F);
    click(rig, "u", 0);
    feed_all(rig, PROFILES);
    for (size_t i = 0; i < count; i++)
        put(rig, PROFILES, bad[i].key, bad[i].value);
    put(rig, CLICKS, "u", "{");
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 0, "u", 1, 'f', "0");
    for (size_t i = 0; i < count; i++) {
        const struct shown *shown = &rig->visible[1 + i];
        assert_int_equal(shown->kind, MS_OUTPUT_DEAD_LETTER);
        assert_true(shown->profile && shown->offset == (int64_t)i + 1 && shown->reason[0]);
        assert_true(!bad[i].reason || strstr(shown->reason, bad[i].reason));
    }
    assert_false(rig->visible[1 + count].profile); /* the click's */
    saw_no_more(rig, count + 2);
    flush(rig);
    crash(rig);
    start(rig);
    feed_all(rig, PROFILES);
    put(rig, PROFILES, "u", fits); /* the longest */
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, count + 2, "u", 2, 0, "0");
    saw_no_more(rig, count + 3);
}

/* The two topics have their own L and C, and a crash at any of them loses and doubles nothing. */
static void replay(void **state)
{
    struct rig *rig = *state;
    start(rig);
    for (int i = 0; i < 3; i++)
        put(rig, PROFILES, "v", i % 2 ? F : M);
    put(rig, PROFILES, "u", F);
    click(rig, "u", 0);
    feed_all(rig, PROFILES);
    commit(rig);
    flush(rig);
    struct ms_partition_row row = stored_row(rig);
    assert_int_equal(row.sources[0].applied, 1);
    assert_int_equal(row.sources[1].applied, 4);
    assert_int_equal(row.sources[1].origin, 0);
    put(rig, PROFILES, "u", M); /* committed, not flushed */
    click(rig, "u", 1);
    click(rig, "u", 2);
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 0, "u", 1, 'f', "0");
    saw(rig, 1, "u", 2, 'm', "0");
    saw(rig, 2, "u", 3, 'm', "01");
    saw(rig, 3, "u", 4, 'm', "012");
    click(rig, "u", 3); /* folded, not committed */
    put(rig, PROFILES, "u", F);
    feed_all(rig, CLICKS);
    assert_int_equal(rig->open_count, 2);
    crash(rig);
    start(rig);
    assert_int_equal(position_of(rig, CLICKS)->next, 1);
    assert_int_equal(position_of(rig, CLICKS)->replay_until, 3);
    assert_int_equal(position_of(rig, PROFILES)->next, 4);
    assert_int_equal(position_of(rig, PROFILES)->replay_until, 5);
    feed_all(rig, PROFILES); /* profiles are offered first, beyond their C */
    commit(rig);
    saw_no_more(rig, 6);
    assert_int_equal(rig->visible[4].version, 5);
    saw(rig, 5, "u", 6, 'f', "0123");
    flush(rig);
    crash(rig);
    start(rig);
    feed_all(rig, CLICKS);
    assert_false(ms_engine_pending(rig->engine));
    click(rig, "v", 0);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 6, "v", 1, 'm', "0");
    saw_no_more(rig, 7);
}

/* Records beyond C that come in one batch with the last of the replay are not folded into half a state. */
static void passed_over(void **state)
{
    struct rig *rig = *state;
    start(rig);
    for (int i = 0; i < 4; i++)
        click(rig, "u", i);
    feed_all(rig, CLICKS);
    commit(rig); /* nothing is flushed: all four are replayed */
    put(rig, PROFILES, "u", F);
    crash(rig);
    start(rig);
    feed(rig, CLICKS, 2);
    feed(rig, PROFILES, LOG);
    assert_int_equal(rig->open_count, 0);
    assert_true(position_of(rig, PROFILES)->passed_over);
    assert_int_equal(position_of(rig, PROFILES)->next, 0);
    assert_int_equal(position_of(rig, PROFILES)->wait_until, 1); /* its end was not its end */
    click(rig, "u", 0);
    feed(rig, CLICKS, LOG); /* the last two of the replay, and one that has to wait for the profile */
    assert_int_equal(rig->open_count, 0);
    assert_int_equal(position_of(rig, CLICKS)->next, 4);
    assert_true(position_of(rig, CLICKS)->passed_over);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 4, "u", 5, 'f', "0123");
    saw(rig, 5, "u", 6, 'f', "01230");
    saw_no_more(rig, 6);
}

/* A batch in which a source stops waiting: what comes of it after records that were passed over is passed
 * over, too, until the worker has gone back. */
static void passed_over_until_read_again(void **state)
{
    struct rig *rig = *state;
    struct ms_error error;
    put(rig, PROFILES, "u", F);
    put(rig, PROFILES, "v", M);
    start(rig);
    click(rig, "u", 0);
    click(rig, "v", 1);
    const struct ms_input batch[] = {rig->log[CLICKS].records[0], rig->log[PROFILES].records[0],
                                     rig->log[PROFILES].records[1], rig->log[CLICKS].records[1]};
    assert_int_equal(ms_engine_process(rig->engine, batch, 4, &error), MS_OK);
    ms_engine_reached(rig->engine, CLICKS, 0, 2);
    assert_false(ms_engine_waits(rig->engine, position_of(rig, CLICKS)));
    assert_int_equal(rig->open_count, 0);
    assert_int_equal(position_of(rig, CLICKS)->next, 0);
    assert_true(position_of(rig, CLICKS)->passed_over);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 0, "u", 1, 'f', "0");
    saw(rig, 1, "v", 1, 'm', "1");
    saw_no_more(rig, 2);
}

/* The end of a topic that was polled together with the end of another's replay is no end, where records
 * before it were passed over. */
static void passed_over_before_the_end(void **state)
{
    struct rig *rig = *state;
    struct ms_error error;
    start(rig);
    click(rig, "u", 0);
    feed_all(rig, CLICKS);
    put(rig, PROFILES, "u", F);
    feed_all(rig, PROFILES);
    commit(rig);
    crash(rig);
    start(rig);
    const struct ms_input batch[] = {rig->log[PROFILES].records[0], rig->log[CLICKS].records[0]};
    assert_int_equal(ms_engine_process(rig->engine, batch, 2, &error), MS_OK);
    ms_engine_reached(rig->engine, PROFILES, 0, 1);
    assert_true(ms_position_replays(position_of(rig, PROFILES)));
    assert_int_equal(position_of(rig, PROFILES)->next, 0);
    click(rig, "u", 1);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 2, "u", 3, 'f', "01");
    saw_no_more(rig, 3);
}

/* In a log with transactions, C is behind a control record: the first click beyond it ends the replay, and waits for the
 * profiles like any other. */
static void passed_over_behind_a_marker(void **state)
{
    struct rig *rig = *state;
    struct ms_error error;
    start(rig);
    click(rig, "u", 0);
    rig->log[CLICKS].end++; /* the control record */
    const struct ms_input before = rig->log[CLICKS].records[0];
    assert_int_equal(ms_engine_process(rig->engine, &before, 1, &error), MS_OK);
    ms_engine_reached(rig->engine, CLICKS, 0, 2);
    put(rig, PROFILES, "u", F);
    feed(rig, PROFILES, LOG);
    commit(rig);
    saw(rig, 1, "u", 2, 'f', "0");
    crash(rig);
    start(rig);
    click(rig, "u", 1);
    const struct ms_input batch[] = {rig->log[CLICKS].records[0], rig->log[CLICKS].records[2]};
    assert_int_equal(ms_engine_process(rig->engine, batch, 2, &error), MS_OK);
    assert_int_equal(rig->open_count, 0);
    assert_int_equal(position_of(rig, CLICKS)->next, 2);
    assert_true(position_of(rig, CLICKS)->passed_over);
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 2, "u", 3, 'f', "01");
    saw_no_more(rig, 3);
}

/* Whatever order the topics were met in, a version never comes out lower than the one that was published. (It
 * may be one higher where a profile was first and the state had not been flushed since.) */
static void versions_after_replay(void **state)
{
    struct rig *rig = *state;
    start(rig);
    click(rig, "u", 0);
    feed_all(rig, CLICKS);
    put(rig, PROFILES, "u", F);
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 1, "u", 2, 'f', "0");
    for (int i = 0; i < 2; i++) {
        crash(rig);
        start(rig);
        feed_all(rig, i ? CLICKS : PROFILES);
    }
    click(rig, "u", 1);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 2, "u", 3, 'f', "01");
    put(rig, PROFILES, "w", M);
    feed_all(rig, PROFILES);
    click(rig, "w", 0);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 3, "w", 1, 'm', "0");
    crash(rig);
    start(rig);
    click(rig, "w", 1);
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 4, "w", 3, 'm', "01");
    saw_no_more(rig, 5);
}

/* Two users without anything flushed: u with a profile (two records), w with none (one). */
static void publish_three(struct rig *rig)
{
    start(rig);
    click(rig, "u", 0);
    click(rig, "w", 1);
    put(rig, PROFILES, "u", F);
    feed_all(rig, CLICKS);
    commit(rig);
    saw_no_more(rig, 3);
}

/* Under another fold id, users of [L, C) are published once, when both topics are at C. */
static void republished(void **state)
{
    struct rig *rig = *state;
    publish_three(rig);
    crash(rig);
    rig->config.state_behaviors_max = 99;
    start(rig);
    feed(rig, CLICKS, LOG);
    assert_int_equal(rig->open_count, 0); /* clicks are at C, profiles are not */
    assert_false(ms_engine_owes(rig->engine));
    feed_all(rig, PROFILES);
    commit(rig);
    saw(rig, 3, "u", 2, 'f', "0");
    saw(rig, 4, "w", 1, 0, "1");
    saw_no_more(rig, 5);
    flush(rig);
}

/* What was published under another fold id is so by the word of both topics' notes: a crash right after it
 * publishes nobody again. A return to the settings of before, with the state lost, publishes all. */
static void republished_once(void **state)
{
    struct rig *rig = *state;
    publish_three(rig);
    for (int round = 0; round < 2; round++) {
        rig->config.state_behaviors_max = round ? 100 : 99; /* 100 at first */
        for (int again = 0; again < 2; again++) {
            crash(rig);
            if (round == 1 && again == 0)
                lose_state(rig);
            start(rig);
            feed_all(rig, CLICKS);
            commit(rig);
            saw_no_more(rig, 5 + 2 * (size_t)round);
        }
    }
}

/* Forgetting takes the profile along, also from the disk. */
static void forget(void **state)
{
    struct rig *rig = *state;
    rig->incremental = true;
    start(rig);
    for (int i = 0; i < 40; i++) /* a sealed chunk and more */
        click(rig, "u", i % 4);
    put(rig, PROFILES, "u", F);
    put(rig, PROFILES, "only", M);
    feed_all(rig, CLICKS);
    commit(rig);
    size_t seen = rig->visible_count;
    flush(rig);
    struct row_counts counts = count_rows(rig->store);
    assert_true(counts.users == 2 && counts.chunks == 1);
    put(rig, CLICKS, "u", NULL);
    put(rig, CLICKS, "only", NULL);
    feed_all(rig, CLICKS);
    commit(rig);
    saw_null(rig, seen, "u");
    saw_no_more(rig, seen + 1); /* nobody has heard of the other one */
    flush(rig);
    counts = count_rows(rig->store);
    assert_true(counts.users == 0 && counts.chunks == 0 && counts.orphans == 0);
    crash(rig);
    start(rig);
    click(rig, "u", 0);
    click(rig, "only", 1);
    feed_all(rig, CLICKS);
    commit(rig);
    assert_memory_equal(rig->visible[seen + 1].vectors[0], genders[2], sizeof genders[2]);
    assert_int_equal(rig->visible[seen + 1].version, 1);
    assert_memory_equal(rig->visible[seen + 2].vectors[0], genders[2], sizeof genders[2]);
    /* forgotten, then a profile: it is kept, for whoever comes back */
    put(rig, CLICKS, "u", NULL);
    feed_all(rig, CLICKS);
    put(rig, PROFILES, "u", M);
    feed_all(rig, PROFILES);
    commit(rig);
    flush(rig);
    crash(rig);
    start(rig);
    click(rig, "u", 2);
    feed_all(rig, CLICKS);
    commit(rig);
    saw_null(rig, seen + 3, "u");
    assert_memory_equal(rig->visible[seen + 4].vectors[0], genders[1], sizeof genders[1]);
    saw_no_more(rig, seen + 5);
}

/* A user whom nothing but a profile has been heard of is written, read, and deleted with it; a state that
 * knows no more room than for one user evicts and finds it again. */
static void profile_only(void **state)
{
    struct rig *rig = *state;
    rig->memory_bytes = 1;
    start(rig);
    put(rig, PROFILES, "a", F);
    put(rig, PROFILES, "b", M);
    feed_all(rig, CLICKS);
    commit(rig);
    flush(rig);
    assert_int_equal(count_rows(rig->store).users, 2);
    put(rig, PROFILES, "c", M);
    feed_all(rig, CLICKS);
    put(rig, PROFILES, "a", NULL);
    feed_all(rig, CLICKS);
    commit(rig);
    flush(rig);
    assert_int_equal(count_rows(rig->store).users, 2);
    click(rig, "a", 0);
    click(rig, "b", 0);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 0, "a", 1, 0, "0");
    saw(rig, 1, "b", 1, 'm', "0");
    saw_no_more(rig, 2);
}

/* Profiles of a topic that is given later are read from its beginning, before the next click. */
static void topic_later(void **state)
{
    struct rig *rig = *state;
    start(rig);
    click(rig, "u", 0);
    feed_all(rig, CLICKS);
    ms_engine_close(rig->engine, 0);
    crash(rig);
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    rig->log[PROFILES].committed = -1;
    assert_int_equal(ms_store_partition(rig->store, 0, &row, &found, &error), MS_OK);
    assert_false(found);
    put(rig, PROFILES, "u", F);
    start(rig);
    assert_true(ms_engine_waits(rig->engine, position_of(rig, CLICKS)));
    feed(rig, CLICKS, LOG);
    assert_int_equal(rig->open_count, 0);
    feed_all(rig, CLICKS);
    commit(rig);
    saw(rig, 0, "u", 1, 'f', "0");
    saw_no_more(rig, 1);
}

/* Which source waits when. */
static void waits(void **state)
{
    struct rig *rig = *state;
    /* clicks replay, profiles replay, profiles there at the assignment: clicks wait, profiles wait */
    const struct {
        bool clicks_replay, profiles_replay, unread, clicks_wait, profiles_wait;
    } table[] = {{false, false, false, false, false}, {false, false, true, true, false},
                 {false, true, false, true, false},   {false, true, true, true, false},
                 {true, false, false, false, true},   {true, false, true, false, true},
                 {true, true, false, false, true},    {true, true, true, false, true}};
    start(rig);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ms_position *clicks = position_of(rig, CLICKS), *profiles = position_of(rig, PROFILES);
        clicks->next = profiles->next = 5;
        clicks->replay_until = table[i].clicks_replay ? 9 : 5;
        profiles->replay_until = table[i].profiles_replay ? 9 : 5;
        profiles->wait_until = table[i].unread ? 12 : 0;
        assert_int_equal(ms_engine_waits(rig->engine, clicks), table[i].clicks_wait);
        assert_int_equal(ms_engine_waits(rig->engine, profiles), table[i].profiles_wait);
        assert_false(table[i].clicks_wait && table[i].profiles_wait); /* somebody goes on */
    }
    ms_engine_close(rig->engine, 0);
    assert_false(is_open(rig, CLICKS));
    assert_false(is_open(rig, PROFILES));
    struct ms_partition_row row;
    struct ms_error error;
    assert_int_equal(ms_engine_claim(rig->engine, 0, &row, &error), MS_OK);
    ms_engine_open(rig->engine, &(struct ms_position){.wait_until = 12, .replay_until = 5});
    assert_false(ms_engine_waits(rig->engine, position_of(rig, CLICKS))); /* of no other source */
}

/* ---- random lives ---- */

#ifdef MINDSTREAM_SANITIZED
#define LIVES 30
#else
#define LIVES 120
#endif
#define LIFE_USERS  3
#define LIFE_CLICKS 60

/* What the topics say of a user. */
struct told {
    char items[LIFE_CLICKS + 1];
    char gender;
};

static const char *const life_users[LIFE_USERS] = {"a", "b", "c"};

static void write_something(struct rig *rig, struct told *told, uint64_t *random)
{
    static const struct {
        const char *value;
        char gender;
    } profiles[] = {{F, 'f'}, {M, 'm'}, {"{}", 0}, {NULL, 0}};
    size_t user = life_random(random) % LIFE_USERS;
    if (life_random(random) % 3 == 0) {
        size_t i = life_random(random) % (sizeof profiles / sizeof *profiles);
        put(rig, PROFILES, life_users[user], profiles[i].value);
        told[user].gender = profiles[i].gender;
    } else if (rig->log[CLICKS].end < LIFE_CLICKS) {
        int item = (int)(life_random(random) % 4);
        click(rig, life_users[user], item);
        told[user].items[strlen(told[user].items)] = (char)('0' + item);
    }
}

/* A consumer that has not heard yet that it should pause: some records come though their source waits. */
static void feed_some(struct rig *rig, uint64_t *random)
{
    enum topic topic = life_random(random) % 2 ? CLICKS : PROFILES;
    bool may = may_feed(rig, topic);
    if (may || life_random(random) % 4 == 0)
        feed(rig, topic, life_random(random) % 4);
}

/* Versions of a user never go down, and its last record is that of its clicks and its last profile. */
static void check_told(struct rig *rig, const struct told *told)
{
    for (size_t user = 0; user < LIFE_USERS; user++) {
        size_t last = LOG;
        uint64_t version = 0;
        for (size_t i = 0; i < rig->visible_count; i++) {
            if (strcmp(rig->visible[i].key, life_users[user]) != 0)
                continue;
            assert_true(rig->visible[i].version >= version);
            version = rig->visible[i].version;
            last = i;
        }
        assert_int_equal(last == LOG, told[user].items[0] == '\0');
        if (last != LOG)
            saw(rig, last, life_users[user], version, told[user].gender, told[user].items);
    }
}

/* Crashes, commits and flushes whenever; some lives change a setting that asks for a refold. */
static void live(uint64_t seed)
{
    void *state;
    uint64_t random = seed * 7919;
    struct told told[LIFE_USERS] = {0};
    assert_int_equal(setup(&state), 0);
    struct rig *rig = state;
    rig->config.publish_mode = seed % 2 ? MS_PUBLISH_LATEST : MS_PUBLISH_EVERY;
    rig->memory_bytes = seed % 3 ? 1 << 20 : 2000;
    start(rig);
    for (uint64_t steps = 40 + life_random(&random) % 120; steps > 0 && rig->visible_count < LOG / 2;
         steps--) {
        uint64_t what = life_random(&random) % 20;
        if (what < 7) {
            if (rig->log[PROFILES].end < LOG / 4)
                write_something(rig, told, &random);
        } else if (what < 15) {
            feed_some(rig, &random);
        } else if (what < 16) {
            commit(rig);
        } else if (what < 17) {
            pay(rig);
        } else if (what < 18) {
            commit(rig);
            if (ms_engine_dirty(rig->engine))
                flush(rig);
        } else {
            crash(rig);
            rig->config.state_behaviors_max ^= seed % 5 == 0 &&
                                               life_random(&random) % 2; /* another fold id */
            start(rig);
        }
    }
    feed_all(rig, seed % 2 ? CLICKS : PROFILES);
    commit(rig);
    check_told(rig, told);
    teardown(&state);
}

static void random_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= LIVES; seed++)
        live(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(join, setup, teardown),
        cmocka_unit_test_setup_teardown(once_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_profiles, setup, teardown),
        cmocka_unit_test_setup_teardown(replay, setup, teardown),
        cmocka_unit_test_setup_teardown(passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(passed_over_until_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(passed_over_before_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(passed_over_behind_a_marker, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_after_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(republished, setup, teardown),
        cmocka_unit_test_setup_teardown(republished_once, setup, teardown),
        cmocka_unit_test_setup_teardown(forget, setup, teardown),
        cmocka_unit_test_setup_teardown(profile_only, setup, teardown),
        cmocka_unit_test_setup_teardown(topic_later, setup, teardown),
        cmocka_unit_test_setup_teardown(waits, setup, teardown),
        cmocka_unit_test(random_lives),
    };
    ms_log_set_level(MS_LOG_ERROR);
    if (access("/dev/shm", W_OK) == 0) /* hundreds of databases, none of which outlives the machine */
        setenv("TMPDIR", "/dev/shm", 0);
    write_model();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    writer_remove(model_dir);
    free(model_dir);
    return failed;
}
