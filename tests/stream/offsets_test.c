/* Every row of the table of beginnings, and the note beside a committed offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "stream/offsets.h"
#include "stream/stats.h"

#define FOLD   77
#define DECODE 66

static enum ms_misfit decide(const struct ms_known *known, bool latest, bool accept_gap,
                             struct ms_position *position, int64_t *gap)
{
    const struct ms_begin_rule rule = {
        .fold_id = FOLD, .decode_id = DECODE, .start_latest = latest, .accept_gap = accept_gap};
    memset(position, 0xAA, sizeof *position);
    *gap = -7;
    return ms_decide(known, &rule, position, gap);
}

static struct ms_known known_of(int64_t committed, int64_t applied)
{
    return (struct ms_known){
        .partition = 3,
        .committed = committed,
        .ours = committed >= 0,
        .note = {.origin = 20, .fold_id = FOLD, .decode_id = DECODE, .slots = 4, .partitions = 6},
        .partitions = 6,
        .began = 4,
        .low = 10,
        .high = 100,
        .row = {applied, 15}};
}

static void new_group(void **state)
{
    struct ms_known known = known_of(-1, -1);
    struct ms_position position;
    int64_t gap;
    (void)state;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.partition, 3);
    assert_int_equal(position.next, 10);
    assert_int_equal(position.replay_until, 10);
    assert_int_equal(position.origin, 10);
    assert_int_equal(position.committed, -1);
    assert_int_equal(position.flushed, -1);
    assert_true(position.must_send); /* the origin is pinned by the first commit */
    assert_false(position.republish);
    assert_int_equal(gap, -1);
    assert_int_equal(decide(&known, true, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 100);
    assert_int_equal(position.origin, 100);
    assert_true(position.must_send);
}

/* input.start=latest is for the partitions that the topic had when the group was new. */
static void partition_added_later(void **state)
{
    struct ms_known known = known_of(-1, -1);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.began = 3; /* this is number 3: the fourth */
    assert_int_equal(decide(&known, true, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 10);
    assert_int_equal(position.origin, 10);
    assert_int_equal(position.began, 3); /* goes into the note */
    known.began = 0;                     /* the group has offsets that tell nothing */
    assert_int_equal(decide(&known, true, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 10);
    known = known_of(60, 30); /* later it comes from the note */
    known.note.began = 8;
    assert_int_equal(decide(&known, true, false, &position, &gap), MS_FITS);
    assert_int_equal(position.began, 8);
}

static void no_state(void **state)
{
    struct ms_known known = known_of(60, -1);
    struct ms_position position;
    int64_t gap;
    (void)state;
    assert_int_equal(decide(&known, true, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 20); /* the origin, whatever input.start says */
    assert_int_equal(position.replay_until, 60);
    assert_int_equal(position.origin, 20);
    assert_int_equal(position.committed, 60);
    assert_false(position.must_send || position.republish);
    known.ours = false; /* set by hand: begin there */
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 60);
    assert_int_equal(position.replay_until, 60);
    assert_int_equal(position.origin, 60);
    known = known_of(19, -1); /* before the origin that is noted beside it */
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_ORIGIN);
    known = known_of(20, -1);
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
}

static void both(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 40);
    assert_int_equal(position.replay_until, 60);
    assert_int_equal(position.flushed, 40);
    assert_int_equal(position.origin, 15); /* the state's */
    assert_false(position.must_send);
    known = known_of(40, 40);
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, position.replay_until);
    known = known_of(39, 40);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_BEHIND);
    known = known_of(-1, 40);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_NO_COMMIT);
    known = known_of(100, 100);
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    known = known_of(101, 100);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_BEYOND_END);
    known = known_of(101, -1);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_BEYOND_END);
}

/* The log begins after what is due. */
static void gaps(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.low = 41;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_STATE);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_FITS);
    assert_int_equal(gap, 40);
    assert_int_equal(position.next, 41);
    assert_int_equal(position.replay_until, 60);
    known.low = 70; /* C is gone too: nothing to replay, and 70 is what will be sent */
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 70);
    assert_true(position.next >= position.replay_until);
    assert_int_equal(position.committed, 60);
    known = known_of(60, -1);
    known.low = 21;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_ORIGIN);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_FITS);
    assert_int_equal(gap, 20);
    assert_int_equal(position.origin, 21);
    known.low = 20;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(gap, -1);
}

/* The state held events of files: no log brings it back. */
static void from_files(void **state)
{
    struct ms_known known = known_of(60, -1);
    struct ms_position position;
    struct ms_offset_note note;
    char text[MS_NOTE_BYTES];
    int64_t gap;
    (void)state;
    known.note.before = true;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_BEFORE);
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_FITS);
    known = known_of(60, 60);
    known.note.before = true;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(position.before); /* and the next note says so again */
    size_t size = ms_offset_note_write(text, &known.note);
    assert_non_null(strstr(text, " before=1"));
    assert_true(ms_offset_note_read(text, size, &note));
    assert_true(note.before);
}

/* The log is compacted: what is on disk cannot be had from it again. */
static void holes(void **state)
{
    struct ms_known known = known_of(60, -1);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.holed = true;
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_HOLES);
    const struct ms_begin_rule accepted = {.fold_id = FOLD, .accept_holes = true};
    assert_int_equal(ms_decide(&known, &accepted, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 20);
    assert_int_equal(position.holes, 40); /* until its records come */
    assert_true(position.holed);
    known.note.origin = 60; /* nothing was ever folded */
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.holes, 0);
    known.note.origin = 20;
    known.ours = false; /* set by hand: what is left is published anew */
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    known = known_of(60, 40); /* the state is there: [L, C) is replayed, and counted */
    known.holed = true;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.holes, 20);
    known = known_of(-1, -1); /* a new group folds what the log has */
    known.holed = true;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
}

static void other_fold(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.note.fold_id = FOLD + 1;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(position.republish);
    assert_int_equal(position.shown_slots, 4);
    known.ours = false;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_false(position.republish);
    known = known_of(40, 40); /* nothing to replay, so nobody is owed */
    known.note.fold_id = FOLD + 1;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_false(position.republish);
}

/* What the decoder was told is other than for [L, C): it is owed anew, as under another fold id. */
static void other_decoding(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.note.decode_id = DECODE + 1;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(position.republish && position.decoded_otherwise);
    assert_true(position.must_send); /* from C on the note tells the new one */
    known.note.fold_id = FOLD + 1;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(position.republish && position.decoded_otherwise);
    known.note.decode_id = DECODE;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(position.republish && !position.decoded_otherwise);
    known = known_of(60, 40); /* an earlier version's: not told */
    known.note.decode_id = 0;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(!position.republish && !position.decoded_otherwise && position.must_send);
    known = known_of(40, 40); /* nothing was published under the other one */
    known.note.decode_id = DECODE + 1;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(!position.republish && position.must_send);
    known = known_of(60, -1); /* a debt that is not paid, and the state is lost */
    known.note.decoded_otherwise = true;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_true(!position.republish && position.decoded_otherwise);
    known = known_of(40, 40);
    known.ours = false;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_false(position.must_send);
}

/* Expects that a topic of now 6 partitions is refused because it had |had|; 0: that it fits. */
static void expect_partitions(struct ms_known *known, int had)
{
    struct ms_position position;
    int64_t gap;
    assert_int_equal(ms_other_partitions(known), had);
    assert_int_equal(decide(known, false, false, &position, &gap), had ? MS_MISFIT_PARTITIONS : MS_FITS);
    const struct ms_begin_rule accepted = {.fold_id = FOLD, .decode_id = DECODE, .accept_repartition = true};
    assert_int_equal(ms_decide(known, &accepted, &position, &gap), MS_FITS);
    assert_int_equal(position.partitions, known->partitions);
    assert_int_equal(position.must_send, known->committed < 0 || known->note.partitions != known->partitions);
}

/* The topic has another number of partitions than it had. */
static void other_partitions(void **state)
{
    struct ms_known known = known_of(60, 40);
    (void)state;
    expect_partitions(&known, 0);
    known.row_partitions = known.noted_partitions =
        4; /* others have not accepted it yet, and the row is older */
    expect_partitions(&known, 0);
    known.note.partitions = 4; /* the partition's own note says so */
    expect_partitions(&known, 4);
    known.note.partitions = 9; /* made anew with less */
    expect_partitions(&known, 9);
    known = known_of(60, 40); /* an earlier version's note: the row tells, then others do */
    known.note.partitions = 0;
    expect_partitions(&known, 0);
    known.row_partitions = 6;
    known.noted_partitions = 4;
    expect_partitions(&known, 0);
    known.row_partitions = 4;
    known.noted_partitions = 6;
    expect_partitions(&known, 4);
    known.row_partitions = 0;
    known.noted_partitions = 4;
    expect_partitions(&known, 4);
    known = known_of(-1, -1); /* a partition that was added */
    known.noted_partitions = 6;
    expect_partitions(&known, 0);
    known.noted_partitions = 3;
    expect_partitions(&known, 3);
    known.partitions = 0; /* nobody tells how many there are */
    expect_partitions(&known, 0);
}

/* Behind the last record up to C there is nothing to fold again, so nothing can be missing there: control records,
 * or what was aborted. What the log has lost behind C nobody knows. */
static void nothing_read_before_c(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.low = 55;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_STATE);
    known.note.mark.upto = 41; /* a record at 40 */
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_STATE);
    known.note.mark.upto = 40;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 60);
    assert_int_equal(position.replay_until, 60);
    assert_int_equal(position.flushed, 40); /* a flush moves L */
    assert_int_equal(position.origin, 15);
    assert_int_equal(position.mark.upto, 40);
    known.low = 61;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_STATE);
    known = known_of(60, -1); /* without state, from the origin on */
    known.low = 55;
    known.note.mark.upto = 20;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_FITS);
    assert_int_equal(position.next, 60);
    known.note.mark.upto = 30;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_ORIGIN);
    known.note.mark.upto = 20;
    known.ours = false; /* set by hand */
    known.committed = 54;
    assert_int_equal(decide(&known, false, false, &position, &gap), MS_MISFIT_GAP_ORIGIN);
}

/* No setting makes another log the one that was read. */
static void made_anew(void **state)
{
    struct ms_known known = known_of(60, 40);
    struct ms_position position;
    int64_t gap;
    (void)state;
    known.anew = true;
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_ANEW);
    known = known_of(60, -1);
    known.anew = true;
    assert_int_equal(decide(&known, false, true, &position, &gap), MS_MISFIT_ANEW);
}

/* Time, key and value tell a record from another; null is not empty. */
static void landmarks(void **state)
{
    static const struct ms_bytes none = {NULL, 0}, empty = {"", 0}, a = {"a", 1}, ab = {"ab", 2},
                                 b = {"b", 1};
    const uint64_t digests[] = {ms_landmark_digest(1, a, b),       ms_landmark_digest(2, a, b),
                                ms_landmark_digest(-1, a, b),      ms_landmark_digest(1, b, a),
                                ms_landmark_digest(1, ab, none),   ms_landmark_digest(1, none, ab),
                                ms_landmark_digest(1, ab, empty),  ms_landmark_digest(1, empty, ab),
                                ms_landmark_digest(1, none, none), ms_landmark_digest(1, empty, empty)};
    size_t count = sizeof digests / sizeof *digests;
    (void)state;
    assert_true(ms_landmark_digest(1, a, b) == digests[0]);
    for (size_t i = 0; i < count; i++) {
        assert_true(digests[i] != 0);
        for (size_t j = 0; j < i; j++)
            assert_true(digests[i] != digests[j]);
    }
}

static void note_there_and_back(void **state)
{
    static struct ms_offset_note notes[] = {
        {.fold_id = 1},
        {.origin = INT64_MAX,
         .fold_id = UINT64_MAX,
         .decode_id = UINT64_MAX,
         .slots = 65535,
         .partitions = INT32_MAX,
         .began = 32768,
         .mark = {INT64_MAX, UINT64_MAX},
         .debt = {INT64_MAX, true, 65535, {.users = INT64_MAX, .bytes = MS_PAID_PREFIX}, INT64_MAX}},
        {.origin = 1234567890123, .fold_id = UINT64_C(0x00ab00cd12345678), .slots = 4},
        {.origin = 5, .fold_id = 6, .decode_id = 0xabc, .slots = 4, .partitions = 12},
        {.origin = 5, .fold_id = 6, .partitions = 1},
        {.origin = 5, .fold_id = 6, .slots = 4, .mark = {77, 0xabcdef}},
        {.fold_id = 1, .withheld = "u1,%ff,u-2,"},
        {.fold_id = 1, .debt = {.number = 7}}, /* paid */
        {.fold_id = 1, .debt = {.number = 1, .open = true, .shown_slots = 5}},
        {.fold_id = 1,
         .debt = {.number = 1, .open = true, .paid = {.users = 1, .bytes = 3, .prefix = "u\xff"}}}};
    memset(notes[1].debt.paid.prefix, 0x80, MS_PAID_PREFIX);
    memset(notes[1].withheld, 'u', MS_WITHHELD_BYTES - 1); /* as much as there can be of all */
    notes[1].withheld[MS_WITHHELD_BYTES - 2] = ',';
    (void)state;
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        char text[MS_NOTE_BYTES];
        struct ms_offset_note back = {.origin = -1, .slots = -1, .partitions = -1, .began = -1};
        size_t size = ms_offset_note_write(text, &notes[i]);
        assert_true(size < MS_NOTE_BYTES && size == strlen(text));
        assert_true(ms_offset_note_read(text, size, &back));
        assert_int_equal(back.origin, notes[i].origin);
        assert_int_equal(back.fold_id, notes[i].fold_id);
        assert_int_equal(back.slots, notes[i].slots);
        assert_int_equal(back.began, notes[i].began);
        assert_int_equal(back.partitions, notes[i].partitions);
        assert_true(back.decode_id == notes[i].decode_id);
        assert_int_equal(back.decoded_otherwise, notes[i].decoded_otherwise);
        assert_memory_equal(&back.debt.paid, &notes[i].debt.paid, sizeof back.debt.paid);
        assert_true(back.debt.number == notes[i].debt.number && back.debt.open == notes[i].debt.open &&
                    back.debt.shown_slots == notes[i].debt.shown_slots &&
                    back.debt.from == notes[i].debt.from);
        assert_string_equal(back.withheld, notes[i].withheld);
        assert_int_equal(back.mark.upto, notes[i].mark.upto);
        assert_true(back.mark.digest == notes[i].mark.digest);
        for (size_t cut = 0; cut + 7 < size; cut++) /* cut before its last number, it may lack the slots */
            if (ms_offset_note_read(text, cut, &back))
                assert_int_equal(back.origin, notes[i].origin);
    }
    assert_int_equal(ms_offset_note_write((char[MS_NOTE_BYTES]){0}, &notes[2]),
                     strlen("mindstream/1 origin=1234567890123 fold=00ab00cd12345678 slots=4"));
}

static void notes_of_others(void **state)
{
    static const char *const bad[] = {"",
                                      "mindstream/1",
                                      "mindstream/1 origin=",
                                      "mindstream/1 origin=-5 fold=0000000000000001",
                                      "mindstream/1 origin=5",
                                      "mindstream/1 origin=5 fold=",
                                      "mindstream/1 origin=5 fold=xyz",
                                      "mindstream/1 origin= 5 fold=1",
                                      "mindstream/1 origin=+5 fold=1",
                                      "mindstream/1 origin=5fold=1",
                                      "mindstream/1 origin=99999999999999999999 fold=1",
                                      "mindstream/1 origin=9999999999999999999 fold=1",
                                      "mindstream/1 origin=5 fold=11112222333344445",
                                      "mindstream/1 origin=5 fold=1 slots=x",
                                      "mindstream/1 origin=5 fold=1 slots=70000",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=-1",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=70000 paid=0:",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=1",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=1 paid=1",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=1 paid=:00",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=1 paid=1:0",
                                      "mindstream/1 origin=5 fold=1 slots=1 debt=1 shown=1 paid=1:0g",
                                      "mindstream/1 origin=5 fold=1 withheld=",
                                      "mindstream/1 origin=5 fold=1 withheld=a",
                                      "mindstream/1 origin=5 fold=1 withheld=a, slots=1 withheld=%0,",
                                      "mindstream/2 origin=5 fold=1",
                                      "reset by hand",
                                      " mindstream/1 origin=5 fold=1",
                                      "mindstream/1 origin=5 fold=1junk"};
    struct ms_offset_note note = {.origin = -1, .fold_id = 2, .slots = 3};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ms_offset_note_read(bad[i], strlen(bad[i]), &note))
            fail_msg("read: %s", bad[i]);
    }
    static const char zero[] = "mindstream/1 origin=5\0 fold=1";
    char huge[MS_NOTE_BYTES + 1000];
    memset(huge, ' ', sizeof huge);
    memcpy(huge, "mindstream/1 origin=5 fold=1", 28);
    assert_false(ms_offset_note_read(zero, sizeof zero - 1, &note));
    assert_false(ms_offset_note_read(huge, sizeof huge, &note));
    assert_false(ms_offset_note_read(NULL, 0, &note));
    assert_int_equal(note.origin, -1); /* untouched */
    /* an earlier version's, and a later one's */
    assert_true(ms_offset_note_read("mindstream/1 origin=5 fold=1f", 29, &note));
    assert_int_equal(note.origin, 5);
    assert_int_equal(note.fold_id, 0x1f);
    assert_int_equal(note.slots, 0);
    assert_true(ms_offset_note_read("mindstream/1 origin=5 fold=1 slots=3 more=1", 43, &note));
    assert_int_equal(note.slots, 3);
    static const char reordered[] = "mindstream/1 origin=5 fold=1 more=1 partitions=7 slots=3",
                      damaged[] = "mindstream/1 origin=5 fold=1 partitions=x";
    assert_true(ms_offset_note_read(reordered, sizeof reordered - 1, &note));
    assert_int_equal(note.slots, 3);
    assert_int_equal(note.partitions, 7);
    assert_int_equal(note.decode_id, 0);
    assert_false(ms_offset_note_read(damaged, sizeof damaged - 1, &note));
}

static void counting(void **state)
{
    struct ms_stats stats = {0};
    (void)state;
    ms_count(&stats.events, 3);
    ms_count(&stats.events, 4);
    ms_gauge(&stats.lag, 9);
    ms_gauge(&stats.lag, 2);
    assert_int_equal(ms_counted(&stats.events), 7);
    assert_int_equal(ms_counted(&stats.lag), 2);
    int named = 0; /* every counter has a help text, and starts at zero */
#define MS_LOOK(name, help)                                                                                  \
    named++;                                                                                                 \
    assert_true(help[0] != '\0');                                                                            \
    if (&stats.name != &stats.events && &stats.name != &stats.lag)                                           \
        assert_int_equal(ms_counted(&stats.name), 0);
    MS_COUNTERS(MS_LOOK)
#undef MS_LOOK
    assert_true(named > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_group),
        cmocka_unit_test(partition_added_later),
        cmocka_unit_test(no_state),
        cmocka_unit_test(both),
        cmocka_unit_test(gaps),
        cmocka_unit_test(holes),
        cmocka_unit_test(from_files),
        cmocka_unit_test(other_fold),
        cmocka_unit_test(other_decoding),
        cmocka_unit_test(other_partitions),
        cmocka_unit_test(nothing_read_before_c),
        cmocka_unit_test(made_anew),
        cmocka_unit_test(landmarks),
        cmocka_unit_test(note_there_and_back),
        cmocka_unit_test(notes_of_others),
        cmocka_unit_test(counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
