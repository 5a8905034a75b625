/* What is kept of a record in a dead letter, and its headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/dead_letter.h"

#define NOW_MS  INT64_C(1700000000000)
#define BATCH   128 /* what a batch of one record may have beside key, value and headers */
#define SOURCES 40

static char filler[70000];

struct source {
    struct ms_header headers[SOURCES];
    size_t count;
};

static void get(const void *context, size_t index, struct ms_header *header)
{
    *header = ((const struct source *)context)->headers[index];
}

/* What was handed out. */
struct got {
    struct ms_header headers[SOURCES + MS_DEAD_LETTER_OWN];
    char names[SOURCES + MS_DEAD_LETTER_OWN][64];
    size_t count, bytes;
};

static void take(void *context, const struct ms_header *header)
{
    struct got *got = context;
    snprintf(got->names[got->count], sizeof got->names[0], "%s", header->name);
    got->bytes += ms_header_bytes(header);
    got->headers[got->count] = *header;
    got->headers[got->count].name = got->names[got->count];
    got->count++;
}

static struct ms_bytes value_of(const struct got *got, const char *name)
{
    for (size_t i = got->count; i-- > 0;) {
        if (strcmp(got->headers[i].name, name) == 0)
            return got->headers[i].value;
    }
    return (struct ms_bytes){NULL, 0};
}

static void assert_text(struct ms_bytes found, const char *expected)
{
    assert_non_null(found.data);
    assert_int_equal(found.size, strlen(expected));
    assert_memory_equal(found.data, expected, found.size);
}

static struct ms_dead_letter_rules rules_of(size_t most_bytes)
{
    return (struct ms_dead_letter_rules){
        .headers = MS_HEADERS_BOTH, .most_bytes = most_bytes, .before_ms = INT64_MAX, .after_ms = INT64_MAX};
}

/* The letter of a record, and its headers. */
static void make(const struct ms_dead_letter_rules *rules, struct ms_bytes key, struct ms_bytes value,
                 int64_t time_ms, const char *reason, const struct source *source,
                 struct ms_dead_letter *letter, struct got *got)
{
    const struct ms_headers headers = {source, source->count, get};
    const struct ms_input input = {
        .partition = 7, .offset = 1234567890123, .time_ms = time_ms, .key = key, .value = value};
    const struct ms_output output = {
        .kind = MS_OUTPUT_DEAD_LETTER, .key = key, .value = value, .input = &input, .reason = reason};
    ms_dead_letter_make(letter, rules, &output, "clicks", &headers, NOW_MS);
    memset(got, 0, sizeof *got);
    ms_dead_letter_headers(letter, &headers, take, got);
}

/* Whatever a record is like, its letter fits, and what fits is not cut. */
static void test_fits(void **state)
{
    (void)state;
    struct ms_dead_letter letter;
    struct got got;
    struct source source;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
#define UP_TO(n) ((size_t)rand_r(&seed) % ((n) + 1))
        const size_t scale = (size_t)1 << UP_TO(16);
        struct ms_bytes key = {filler, UP_TO(scale)}, value = {filler, UP_TO(scale)};
        char reason[1024] = "";
        memset(reason, 'r', UP_TO(1000));
        struct ms_dead_letter_rules rules = rules_of(MS_DEAD_LETTER_LEAST + UP_TO(scale * 3));
        rules.headers = (int)UP_TO(2);
        source.count = UP_TO(SOURCES);
        size_t whole = BATCH + key.size + value.size;
        for (size_t i = 0; i < source.count; i++) {
            source.headers[i] = (struct ms_header){"name", {filler, UP_TO(scale / 8)}};
            whole += ms_header_bytes(&source.headers[i]);
        }
#undef UP_TO
        make(&rules, key, value, NOW_MS, reason, &source, &letter, &got);
        assert_true(BATCH + letter.key.size + letter.value.size + got.bytes <= rules.most_bytes);
        assert_true(letter.key.size <= key.size && letter.value.size <= value.size);
        if (whole + 4000 > rules.most_bytes) /* ours take less than that */
            continue;
        assert_int_equal(letter.key.size, key.size);
        assert_int_equal(letter.value.size, value.size);
        assert_null(value_of(&got, "cut-headers").data);
    }
}

/* Of what is too long, the part that is short is kept whole. */
static void test_shares(void **state)
{
    (void)state;
    struct ms_dead_letter letter;
    struct got got;
    struct source source = {.headers = {{"a", {filler, 30000}}, {"b", {"b", 1}}}, .count = 2};
    const struct ms_dead_letter_rules rules = rules_of(10000);
    make(&rules, (struct ms_bytes){filler, 60000}, (struct ms_bytes){"{}", 2}, NOW_MS, "bad", &source,
         &letter, &got);
    assert_int_equal(letter.value.size, 2);
    assert_in_range(letter.key.size, 3000, 5000);
    assert_text(value_of(&got, "b"), "b");
    assert_null(value_of(&got, "a").data);
    assert_text(value_of(&got, "cut-headers"), "1");
    assert_text(value_of(&got, "cut-key-bytes"), "60000");
    assert_text(value_of(&got, "cut-value-bytes"), "2");
    source.count = 0;
    make(&rules, (struct ms_bytes){"k", 1}, (struct ms_bytes){filler, 60000}, NOW_MS, "bad", &source, &letter,
         &got);
    assert_int_equal(letter.key.size, 1);
    assert_in_range(letter.value.size, 9000, 9500);
}

/* A reason is cut between characters. */
static void test_reason(void **state)
{
    (void)state;
    struct ms_dead_letter letter;
    struct got got;
    const struct source none = {.count = 0};
    for (size_t most = MS_DEAD_LETTER_LEAST; most < 700; most++) {
        const struct ms_dead_letter_rules rules = rules_of(most);
        make(&rules, (struct ms_bytes){"k", 1}, (struct ms_bytes){"v", 1}, NOW_MS,
             "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü", &none, &letter, &got);
        struct ms_bytes reason = value_of(&got, "error");
        assert_non_null(reason.data);
        assert_int_equal(reason.size % 2, 0);
    }
}

static void test_compacted(void **state)
{
    (void)state;
    struct ms_dead_letter letter;
    struct got got;
    const struct source none = {.count = 0};
    struct ms_dead_letter_rules rules = rules_of(10000);
    make(&rules, (struct ms_bytes){NULL, 0}, (struct ms_bytes){NULL, 0}, NOW_MS, "bad", &none, &letter, &got);
    assert_null(letter.key.data);
    assert_null(letter.value.data);
    rules.compacted = true;
    make(&rules, (struct ms_bytes){NULL, 0}, (struct ms_bytes){NULL, 0}, NOW_MS, "bad", &none, &letter, &got);
    assert_text(letter.key, "clicks-7-1234567890123");
    assert_non_null(letter.value.data);
    assert_int_equal(letter.value.size, 0);
    assert_text(value_of(&got, "source-key-null"), "true");
    assert_text(value_of(&got, "source-value-null"), "true");
}

/* A time that the topic would refuse or replace is told in a header. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        int64_t time_ms, before_ms, after_ms;
        bool append, kept;
    } rows[] = {
        {NOW_MS, INT64_MAX, INT64_MAX, false, true},
        {1, INT64_MAX, INT64_MAX, false, true},
        {0, INT64_MAX, INT64_MAX, false, false}, /* a producer takes it for none */
        {INT64_MAX - 1, INT64_MAX, INT64_MAX, false, true},
        {NOW_MS - 3000000, 3600000, INT64_MAX, false, true},
        {NOW_MS - 3600000, 3600000, INT64_MAX, false, false},
        {NOW_MS + 3000000, 3600000, 3600000, false, true},
        {NOW_MS + 3600000, INT64_MAX, 3600000, false, false},
        {NOW_MS, 0, 0, false, false},
        {NOW_MS, INT64_MAX, INT64_MAX, true, false},
    };
    struct ms_dead_letter letter;
    struct got got;
    const struct source none = {.count = 0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char digits[32];
        struct ms_dead_letter_rules rules = rules_of(10000);
        rules.before_ms = rows[i].before_ms;
        rules.after_ms = rows[i].after_ms;
        rules.append_time = rows[i].append;
        make(&rules, (struct ms_bytes){"k", 1}, (struct ms_bytes){"v", 1}, rows[i].time_ms, "bad", &none,
             &letter, &got);
        snprintf(digits, sizeof digits, "%lld", (long long)rows[i].time_ms);
        assert_int_equal(letter.time_ms, rows[i].kept ? rows[i].time_ms : 0);
        if (rows[i].kept)
            assert_null(value_of(&got, "source-timestamp").data);
        else
            assert_text(value_of(&got, "source-timestamp"), digits);
    }
    struct ms_dead_letter_rules rules = rules_of(10000);
    make(&rules, (struct ms_bytes){"k", 1}, (struct ms_bytes){"v", 1}, -1, "bad", &none, &letter, &got);
    assert_int_equal(letter.time_ms, 0);
    assert_null(value_of(&got, "source-timestamp").data);
}

int main(void)
{
    memset(filler, 'x', sizeof filler);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),      cmocka_unit_test(test_shares), cmocka_unit_test(test_reason),
        cmocka_unit_test(test_compacted), cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
