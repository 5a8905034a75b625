/* What becomes of one record: ids, types, keys, tombstones, and everything that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event_check.h"

#define ROWS(rows)       (rows), sizeof(rows) / sizeof *(rows)
#define OK(u, i, ty, ti) .kind = MS_EVENT_ACCEPTED, .user = (u), .item = (i), .type = (ty), .time = (ti)
#define U                "\"user_id\":\"u\""
#define I                "\"item_id\":\"i\""
#define T                "\"timestamp\":1700000000123"
#define DIGITS_40        "1234567890123456789012345678901234567890"

static void test_ids(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.value = "{\"user_id\": \"u1\", \"item_id\": \"i9\", \"timestamp\": 1700000000123, \"event_type\": "
                  "\"click\"}",
         OK("u1", "i9", "click", 1700000000123)},
        {.value = " \n\t{" U "," I "," T "}\r\n ", OK("u", "i", "", 1700000000123)},
        {.value = "{\"user_id\":0,\"item_id\":-7," T "}", OK("0", "-7", "", 1700000000123)},
        {.value = "{\"user_id\":-0,\"item_id\":1," T "}", OK("0", "1", "", 1700000000123)},
        /* every digit, through all the widths a number can have */
        {.value = "{\"user_id\":9007199254740993,\"item_id\":9223372036854775807," T "}",
         OK("9007199254740993", "9223372036854775807", "", 1700000000123)},
        {.value = "{\"user_id\":-9223372036854775808,\"item_id\":9223372036854775808," T "}",
         OK("-9223372036854775808", "9223372036854775808", "", 1700000000123)},
        {.value = "{\"user_id\":18446744073709551615,\"item_id\":18446744073709551616," T "}",
         OK("18446744073709551615", "18446744073709551616", "", 1700000000123)},
        {.value = "{\"user_id\":-9223372036854775809,\"item_id\":" DIGITS_40 "," T "}",
         OK("-9223372036854775809", DIGITS_40, "", 1700000000123)},
        {.value = "{\"user_id\" : " DIGITS_40 "\n,\"item_id\":-" DIGITS_40 "," T ",\"event_type\":" DIGITS_40
                  "}",
         OK(DIGITS_40, "-" DIGITS_40, DIGITS_40, 1700000000123)},
        /* a long integer elsewhere, and text that looks like one inside strings and names */
        {.value = "{" U "," I "," T ",\"a\":[" DIGITS_40 "," DIGITS_40 "],\"" DIGITS_40 "\":\"\\\"" DIGITS_40
                  ":\"}",
         OK("u", "i", "", 1700000000123)},
        /* escapes, other scripts, the first of two */
        {.value = "{\"user_id\":\"\\u00e9\\n\\\"\\\\\\/\\ud83d\\ude00\",\"item_id\":\"пїЅж\"," T "}",
         OK("\xc3\xa9\n\"\\/\xf0\x9f\x98\x80", "пїЅж", "", 1700000000123)},
        {.value = "{\"user_id\":\"first\",\"user_id\":\"second\"," I "," T "}",
         OK("first", "i", "", 1700000000123)},
        {.value = "{\"user\\u005fid\":\"u\"," I "," T "}", OK("u", "i", "", 1700000000123)},
        {.value = "{\"user_id\":\"\"," I "," T "}", .error = "user: \"user_id\" is empty"},
        {.value = "{" U ",\"item_id\":\"\"," T "}", .error = "item: \"item_id\" is empty"},
        {.value = "{\"user_id\":true," I "," T "}",
         .error = "user: \"user_id\" is true, expected a string or an integer"},
        {.value = "{" U ",\"item_id\":false," T "}", .error = "item: \"item_id\" is false"},
        {.value = "{" U ",\"item_id\":1.5," T "}", .error = "item: \"item_id\" is 1.5"},
        /* whole numbers written as doubles, as far as a double keeps every digit */
        {.value = "{\"user_id\":34.0,\"item_id\":1e3," T "}", OK("34", "1000", "", 1700000000123)},
        {.value = "{\"user_id\":-0.0,\"item_id\":-7.0," T "}", OK("0", "-7", "", 1700000000123)},
        {.value = "{" U ",\"item_id\":9007199254740991.0," T "}",
         OK("u", "9007199254740991", "", 1700000000123)},
        {.value = "{" U ",\"item_id\":9007199254740992.0," T "}",
         .error =
             "item: \"item_id\" is 9007199254740992, expected a string or an integer: a double of this size "
             "does not keep every digit"},
        {.value = "{" U ",\"item_id\":-1e300," T "}", .error = "does not keep every digit"},
        {.value = "{" U ",\"item_id\":{}," T "}", .error = "item: \"item_id\" is an object"},
        {.value = "{" U ",\"item_id\":[\"i\"]," T "}", .error = "item: \"item_id\" is an array"},
        {.value = "{" U "," T "}", .error = "item: none in the event (looked for \"item_id\")"},
        {.value = "{" U ",\"item_id\":null," T "}", .error = "item: none in the event"},
    };
    check_rows(&default_fields, ROWS(rows));
}

static void test_id_length(void **state)
{
    (void)state;
    struct ms_event_fields fields = default_fields;
    fields.id_max_bytes = 4;
    static const struct row rows[] = {
        {.value = "{\"user_id\":\"1234\",\"item_id\":1234," T "}", OK("1234", "1234", "", 1700000000123)},
        {.value = "{\"user_id\":\"\xc3\xa9\xc3\xa9\"," I "," T "}",
         OK("\xc3\xa9\xc3\xa9", "i", "", 1700000000123)},
        {.value = "{\"user_id\":\"12345\"," I "," T "}",
         .error = "user: \"user_id\" is 5 bytes long, at most 4"},
        {.value = "{" U ",\"item_id\":12345," T "}", .error = "item: \"item_id\" is 5 bytes long, at most 4"},
        {.value = "{" U ",\"item_id\":" DIGITS_40 "," T "}", .error = "is 40 bytes long"},
        {.key = "12345",
         .value = "{" I "," T "}",
         .error = "user: the record key is 5 bytes long, at most 4"},
        {.key = "12345", .error = "user: the record key is 5 bytes long, at most 4"},
    };
    check_rows(&fields, ROWS(rows));
}

static void test_huge_id(void **state)
{
    (void)state;
    enum { HUGE = 64 << 10 };
    char *value = malloc(HUGE + 100);
    assert_non_null(value);
    int start = sprintf(value, "{\"item_id\":\"i\",\"user_id\":\"");
    memset(value + start, 'x', HUGE);
    strcpy(value + start + HUGE, "\"}");
    const struct row rows[] = {
        {.value = value, .error = "user: \"user_id\" is 65536 bytes long, at most 1024 are taken"}};
    check_rows(&default_fields, ROWS(rows));
    free(value);
}

static void test_user_from_key(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.key = "k", .value = "{" I "," T "}", OK("k", "i", "", 1700000000123)},
        {.key = "k", .value = "{\"user_id\":null," I "," T "}", OK("k", "i", "", 1700000000123)},
        {.key = "u", .value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123)},
        {.key = "k", .value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123), .key_differs = true},
        {.key = "uu", .value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123), .key_differs = true},
        {.key = "", .value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123), .key_differs = true},
        {.key = "\xff", .value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123), .key_differs = true},
        {.key = "12", .value = "{\"user_id\":12," I "," T "}", OK("12", "i", "", 1700000000123)},
        {.value = "{" I "," T "}",
         .error = "user: none in the event (looked for \"user_id\"), and the record has no key"},
        {.key = "", .value = "{" I "," T "}", .error = "user: the record key is empty"},
        {.key = "a\xff", .value = "{" I "," T "}", .error = "user: the record key is not UTF-8"},
        {.key = "\xed\xa0\x80", .value = "{" I "," T "}", .error = "user: the record key is not UTF-8"},
        {.key = "k", .value = "{\"user_id\":\"\"," I "," T "}", OK("k", "i", "", 1700000000123)},
        {.key = "", .value = "{\"user_id\":\"\"," I "," T "}", .error = "user: \"user_id\" is empty"},
    };
    check_rows(&default_fields, ROWS(rows));
}

static void test_tombstones(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.key = "k", .kind = MS_EVENT_FORGET, .user = "k", .time = RECORD_TIME},
        {.key = "k", .record_time = NO_TIME, .kind = MS_EVENT_FORGET, .user = "k", .time = 0},
        {.error = "the record has neither a value nor a key"},
        {.key = "", .error = "user: the record key is empty"},
        {.key = "\xc3", .error = "user: the record key is not UTF-8"},
        {.key = "k", .value = "", .error = "the value is not JSON: it is empty"},
        {.key = "k", .value = "null", .error = "the value is null, expected an object"},
    };
    check_rows(&default_fields, ROWS(rows));
}

static void test_strictness(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.value = "{" U "," I "," T "} x", .error = "not JSON"},
        {.value = "{" U "," I "," T "}{}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",}", .error = "not JSON"},
        {.value = "{" U "," I "," T, .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":NaN}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":Infinity}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":nul}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":01}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":+1}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":1.}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":1e400}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":0" DIGITS_40 "}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":" DIGITS_40 "x}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":" DIGITS_40 " " DIGITS_40 "}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\"" DIGITS_40 "}", .error = "not JSON"},
        {.value = "{" U "," I "," T "," DIGITS_40 ":1}", .error = "not JSON"},
        {.value = "{" U "," I "," T "," DIGITS_40 " :" DIGITS_40 "}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":" DIGITS_40 "," DIGITS_40 " :1}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":" DIGITS_40 "," DIGITS_40 ":1}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":" DIGITS_40 ",}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":--" DIGITS_40 "}", .error = "not JSON"},
        {.value = DIGITS_40, .error = "expected an object"},
        {.value = "{'user_id':'u'," I "," T "}", .error = "not JSON"},
        {.value = "{user_id:\"u\"," I "," T "}", .error = "not JSON"},
        {.value = "{" U "," I "," T "} // c", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\t\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\n\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\x\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\ud800\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\ud800x\\udc00\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\ud800\\ud800\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\udc00\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\ud83d\\ude00\\udFFF\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"\\uDC00\":\"\\ud83d\\ude00\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\\\\udc00 \\\\\\ud83d\\ude00\\ud7ff\\ue000\"}",
         OK("u", "i", "", 1700000000123)},
        {.value = "{" U "," I "," T ",\"a\":\"\xff\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\xc0\x80\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\xed\xa0\x80\"}", .error = "not JSON"},
        {.value = "{" U "," I "," T ",\"a\":\"\xf4\x90\x80\x80\"}", .error = "not JSON"},
        {.value = "\xef\xbb\xbf{" U "," I "," T "}", OK("u", "i", "", 1700000000123)},
        {.value = "\xef\xbb\xbf\xef\xbb\xbf{" U "," I "," T "}", .error = "not JSON"},
        {.value = " \xef\xbb\xbf{" U "," I "," T "}", .error = "not JSON"},
        {.value = "\xef\xbb\xbf", .error = "not JSON"},
        {.value = "\xef\xbb", .error = "not JSON"},
        {.value = "\xef\xbb\xbf{" U ",\"item_id\":" DIGITS_40 "," T "}",
         OK("u", DIGITS_40, "", 1700000000123)},
        {.value = "[]", .error = "the value is an array, expected an object"},
        {.value = "\"text\"", .error = "the value is \"text\", expected an object"},
        {.value = "12", .error = "the value is 12, expected an object"},
        {.value = "true", .error = "the value is true, expected an object"},
        {.value = "   ", .error = "not JSON"},
    };
    check_rows(&default_fields, ROWS(rows));
}

/* JSON with the header of a schema registry: a zero byte and a schema id of four bytes. */
static void test_registry_frames(void **state)
{
    (void)state;
#define HEAD "\0\0\0\0\7"
    static const struct {
        struct ms_bytes value;
        const char *error;
    } rows[] = {
#define FRAME(text) {text, sizeof(text) - 1}
        {FRAME(HEAD "{" U "," I "," T "}"), NULL},
        {FRAME(HEAD "\xef\xbb\xbf {" U "," I "," T "}"), NULL},
        {FRAME(HEAD "\2\10u1"), "the value is not JSON: it begins with the header of a schema registry"},
        {FRAME(HEAD "{" U "," I "," T), "begins with the header of a schema registry"},
        {FRAME(HEAD), "not JSON"},
        {FRAME("\0"), "not JSON"},
        {FRAME("\1\0\0\0\7{" U "," I "," T "}"), "not JSON"},
    };
    struct ms_decoder *decoder;
    struct ms_arena arena = {0};
    struct ms_error error;
    assert_int_equal(ms_decoder_new(&decoder, &default_fields, &error), MS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ms_event event;
        enum ms_event_kind kind;
        struct ms_event_notes notes;
        enum ms_status status = ms_decode_event(decoder, &arena, (struct ms_bytes){NULL, 0}, rows[i].value, 0,
                                                &event, &kind, &notes, &error);
        if (status != (rows[i].error ? MS_EVENT : MS_OK) ||
            (rows[i].error && !strstr(error.text, rows[i].error)))
            fail_msg("row %zu: %s", i, status ? error.text : "taken");
    }
    ms_arena_free(&arena);
    ms_decoder_destroy(decoder);
}

/* An empty text counts as not there where another path has a value. */
static void test_empty_beside_fallback(void **state)
{
    (void)state;
    struct ms_event_fields fields = default_fields;
    fields.user = "userId, anonymousId";
    fields.item = "sku, item_id";
    fields.time = "timestamp, sentAt";
    static const struct row rows[] = {
        {.value = "{\"userId\":\"\",\"anonymousId\":\"a-1\",\"sku\":\"\"," I
                  ",\"timestamp\":\"\",\"sentAt\":5}",
         OK("a-1", "i", "", 5000)},
        {.value = "{\"userId\":\"u\",\"anonymousId\":\"\"," I "," T "}", OK("u", "i", "", 1700000000123)},
        {.value = "{\"userId\":\"\",\"anonymousId\":null," I "," T "}", .error = "user: \"userId\" is empty"},
        {.value = "{\"anonymousId\":\"\"," I "," T "}", .error = "user: \"anonymousId\" is empty"},
        {.key = "k",
         .value = "{\"userId\":\"\",\"anonymousId\":\"\"," I "," T "}",
         OK("k", "i", "", 1700000000123)},
        {.value = "{\"userId\":true,\"anonymousId\":\"a\"," I "," T "}", .error = "user: \"userId\" is true"},
        {.value = "{\"userId\":\"u\"," I ",\"timestamp\":\"\"}",
         .error = "time: \"timestamp\" is \"\": it is neither"},
    };
    check_rows(&fields, ROWS(rows));
}

/* Whether the record's time stood in, and whether a text may be an id or is a type that counts. */
static void test_notes_and_texts(void **state)
{
    (void)state;
    struct ms_event_fields fields = default_fields;
    struct ms_decoder *decoder;
    struct ms_arena arena = {0};
    struct ms_error error;
    fields.types = "a, b";
    assert_int_equal(ms_decoder_new(&decoder, &fields, &error), MS_OK);
    static const char *const values[] = {"{" U "," I "," T ",\"event_type\":\"a\"}",
                                         "{" U "," I ",\"event_type\":\"b\"}",
                                         "{" U ",\"event_type\":\"c\"}"};
    for (int i = 0; i < 3; i++) {
        struct ms_event event;
        enum ms_event_kind kind;
        struct ms_event_notes notes = {true, true, true};
        assert_int_equal(ms_decode_event(decoder, &arena, (struct ms_bytes){NULL, 0},
                                         (struct ms_bytes){values[i], strlen(values[i])}, 0, &event, &kind,
                                         &notes, &error),
                         MS_OK);
        assert_int_equal(notes.no_time, i == 1);
    }
    assert_true(ms_decoder_accepts(decoder, (struct ms_bytes){"b", 1}));
    assert_false(ms_decoder_accepts(decoder, (struct ms_bytes){"ab", 2}));
    ms_arena_free(&arena);
    ms_decoder_destroy(decoder);
    assert_null(ms_id_fault((struct ms_bytes){"\xc3\xbc", 2}, 2));
    assert_string_equal(ms_id_fault((struct ms_bytes){"", 0}, 2), "empty");
    assert_string_equal(ms_id_fault((struct ms_bytes){"abc", 3}, 2), "too long");
    assert_string_equal(ms_id_fault((struct ms_bytes){"\xc3", 1}, 2), "not UTF-8");
}

static void test_nul_in_ids(void **state)
{
    (void)state;
    struct ms_decoder *decoder;
    struct ms_arena arena = {0};
    struct ms_event event;
    enum ms_event_kind kind;
    struct ms_event_notes notes;
    struct ms_error error;
    static const char value[] = "{\"user_id\":\"a\\u0000b\",\"item_id\":\"\\u0000\"," T "}";
    assert_int_equal(ms_decoder_new(&decoder, &default_fields, &error), MS_OK);
    assert_int_equal(ms_decode_event(decoder, &arena, (struct ms_bytes){"a\0b", 3},
                                     (struct ms_bytes){value, sizeof value - 1}, 0, &event, &kind, &notes,
                                     &error),
                     MS_OK);
    assert_int_equal(event.user.size, 3);
    assert_memory_equal(event.user.data, "a\0b", 3);
    assert_int_equal(event.item.size, 1);
    assert_memory_equal(event.item.data, "", 1);
    assert_false(notes.key_differs);
    /* A NUL byte in the text itself is no white space. */
    static const char raw[] = "{" U "," I "," T "}\0";
    assert_int_equal(ms_decode_event(decoder, &arena, (struct ms_bytes){NULL, 0},
                                     (struct ms_bytes){raw, sizeof raw - 1}, 0, &event, &kind, &notes,
                                     &error),
                     MS_EVENT);
    ms_arena_free(&arena);
    ms_decoder_destroy(decoder);
}

static void test_types(void **state)
{
    (void)state;
    char longest[MS_TYPE_MAX_BYTES + 1], value[512], too_long[512];
    memset(longest, 't', MS_TYPE_MAX_BYTES);
    longest[MS_TYPE_MAX_BYTES] = '\0';
    snprintf(value, sizeof value, "{" U "," I "," T ",\"event_type\":\"%s\"}", longest);
    snprintf(too_long, sizeof too_long, "{" U "," I "," T ",\"event_type\":\"%sx\"}", longest);
    const struct row rows[] = {
        {.value = "{" U "," I "," T ",\"event_type\":\"\"}", OK("u", "i", "", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":null}", OK("u", "i", "", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":3}", OK("u", "i", "3", 1700000000123)},
        {.value = value, OK("u", "i", longest, 1700000000123)},
        {.value = too_long, .error = "type: \"event_type\" is 256 bytes long, at most 255 are taken"},
        {.value = "{" U "," I "," T ",\"event_type\":1.5}", .error = "type: \"event_type\" is 1.5"},
        {.value = "{" U "," I "," T ",\"event_type\":[]}", .error = "type: \"event_type\" is an array"},
    };
    check_rows(&default_fields, ROWS(rows));
}

static void test_type_filter(void **state)
{
    (void)state;
    struct ms_event_fields fields = default_fields;
    fields.types = " click , Product Clicked,a\\,b ,3";
    static const struct row rows[] = {
        {.value = "{" U "," I "," T ",\"event_type\":\"click\"}", OK("u", "i", "click", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":\"Product Clicked\"}",
         OK("u", "i", "Product Clicked", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":\"a,b\"}", OK("u", "i", "a,b", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":3}", OK("u", "i", "3", 1700000000123)},
        {.value = "{" U "," I "," T ",\"event_type\":\"clic\"}",
         .kind = MS_EVENT_FILTERED,
         .user = "u",
         .type = "clic"},
        {.value = "{" U "," I "," T ",\"event_type\":\"Click\"}",
         .kind = MS_EVENT_FILTERED,
         .user = "u",
         .type = "Click"},
        {.value = "{" U "," I "," T "}", .kind = MS_EVENT_FILTERED, .user = "u", .type = ""},
        /* an impression has no item; its time is not looked at */
        {.value = "{" U ",\"event_type\":\"view\",\"timestamp\":\"x\"}",
         .kind = MS_EVENT_FILTERED,
         .user = "u",
         .type = "view"},
        {.key = "k",
         .value = "{" U ",\"event_type\":\"view\"}",
         .kind = MS_EVENT_FILTERED,
         .user = "u",
         .type = "view",
         .key_differs = true},
        {.value = "{\"user_id\":\"\",\"event_type\":\"view\"}", .error = "user: \"user_id\" is empty"},
        {.value = "{" U ",\"event_type\":\"view\"", .error = "not JSON"},
        {.key = "k", .kind = MS_EVENT_FORGET, .user = "k", .time = RECORD_TIME},
    };
    check_rows(&fields, ROWS(rows));
}

static void test_deep_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 5000 };
    char *value = malloc(2 * DEPTH + 200);
    assert_non_null(value);
    int n = sprintf(value, "{" U "," I "," T ",\"a\":");
    memset(value + n, '[', DEPTH);
    memset(value + n + DEPTH, ']', DEPTH);
    strcpy(value + n + 2 * DEPTH, "}");
    const struct row rows[] = {{.value = value, .error = "not JSON"},
                               {.value = "{" U "," I "," T "}", OK("u", "i", "", 1700000000123)}};
    check_rows(&default_fields, ROWS(rows));
    free(value);
}

/* Error texts quote what they found, without control characters and without half characters. */
static void test_shown_values(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.value = "{" U "," I ",\"timestamp\":\"a\\n\\u007f\\u0000b\"}",
         .error = "\"timestamp\" is \"a???b\": it is neither"},
        {.value = "{" U "," I ",\"timestamp\":\"01234567890123456789012345678901234567890123456\xc3\xa9z\"}",
         .error = "is \"01234567890123456789012345678901234567890123456...\": "},
        {.value = "\"01234567890123456789012345678901234567890123456\xc3\xa9\"",
         .error = "is \"01234567890123456789012345678901234567890123456...\", expected an object"},
        {.value = "\"0123456789012345678901234567890123456789012345\xc3\xa9\"",
         .error = "is \"0123456789012345678901234567890123456789012345\xc3\xa9\", expected an object"},
    };
    check_rows(&default_fields, ROWS(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_id_length),
        cmocka_unit_test(test_huge_id),
        cmocka_unit_test(test_user_from_key),
        cmocka_unit_test(test_tombstones),
        cmocka_unit_test(test_strictness),
        cmocka_unit_test(test_notes_and_texts),
        cmocka_unit_test(test_nul_in_ids),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_type_filter),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_shown_values),
        cmocka_unit_test(test_registry_frames),
        cmocka_unit_test(test_empty_beside_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
