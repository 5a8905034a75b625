/* Which user a record key names, in each format, and what a key looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/event.h"

#define ID_MAX 20

/* A text with NUL bytes and its size. */
#define B(text)                                                                                              \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

struct key_row {
    enum ms_key_format format;
    struct ms_bytes key;
    const char *user;  /* NULL: none */
    const char *error; /* NULL: it can be read */
};

static const struct key_row rows[] = {
    {MS_KEY_STRING, B("k1"), "k1", NULL},
    {MS_KEY_STRING, B("\"k1\""), "\"k1\"", NULL},
    {MS_KEY_STRING, {NULL, 0}, NULL, NULL},
    {MS_KEY_STRING, B(""), NULL, "the record key is empty (input.key.format=string)"},
    {MS_KEY_STRING, B("a\xff"), NULL, "not UTF-8"},
    {MS_KEY_STRING, B("\0\0\0\0\0\0\0\xff"), NULL, "it looks like long"},
    {MS_KEY_STRING, B("123456789012345678901"), NULL, "21 bytes long, at most 20"},

    {MS_KEY_JSON, B("\"k1\""), "k1", NULL},
    {MS_KEY_JSON, B("\"\\u00e9\""), "\xc3\xa9", NULL},
    {MS_KEY_JSON, B(" 77 "), "77", NULL},
    {MS_KEY_JSON, B("77.0"), "77", NULL},
    {MS_KEY_JSON, B("-9223372036854775808"), "-9223372036854775808", NULL},
    {MS_KEY_JSON, B("18446744073709551616"), "18446744073709551616", NULL}, /* every digit */
    {MS_KEY_JSON, B("null"), NULL, NULL},
    {MS_KEY_JSON, B("{\"user_id\":\"k1\",\"x\":1}"), "k1", NULL},
    {MS_KEY_JSON, B("{\"id\":5}"), "5", NULL}, /* a fallback of the list */
    {MS_KEY_JSON, B("{\"x\":5}"), NULL, "an object without the user's field"},
    {MS_KEY_JSON, B("\0\0\0\0\7\"k1\""), "k1", NULL},
    {MS_KEY_JSON, B("k1"), NULL, "not JSON (input.key.format=json, it looks like string)"},
    {MS_KEY_JSON, B("true"), NULL, "neither a string nor an integer"},
    {MS_KEY_JSON, B("[\"k1\"]"), NULL, "neither a string nor an integer"},
    {MS_KEY_JSON, B("1.5"), NULL, "neither a string nor an integer"},
    {MS_KEY_JSON, B("\"\""), NULL, "empty"},
    {MS_KEY_JSON, B(""), NULL, "not JSON"},
    {MS_KEY_JSON, B("\"123456789012345678901\""), NULL, "21 bytes long"},

    {MS_KEY_CONNECT, B("{\"schema\":{\"type\":\"string\",\"optional\":false},\"payload\":\"k2\"}"), "k2",
     NULL},
    {MS_KEY_CONNECT, B("{\"schema\":null,\"payload\":77}"), "77", NULL},
    {MS_KEY_CONNECT, B("{\"schema\":null,\"payload\":null}"), NULL, NULL},
    {MS_KEY_CONNECT, B("null"), NULL, NULL},
    {MS_KEY_CONNECT, B("{\"schema\":{},\"payload\":{\"user_id\":\"k2\"}}"), "k2", NULL},
    {MS_KEY_CONNECT, B("{\"user_id\":\"k2\"}"), NULL,
     "JSON without a payload (input.key.format=connect, it looks like json)"},
    {MS_KEY_CONNECT, B("\"k2\""), NULL, "JSON without a payload"},

    {MS_KEY_LONG, B("\0\0\0\0\0\0\0\x4d"), "77", NULL},
    {MS_KEY_LONG, B("\xff\xff\xff\xff\xff\xff\xff\xff"), "-1", NULL},
    {MS_KEY_LONG, B("\x80\0\0\0\0\0\0\0"), "-9223372036854775808", NULL},
    {MS_KEY_LONG, B("\0\0\0\x4d"), "77", NULL}, /* of the serializer of int */
    {MS_KEY_LONG, B("\xff\xff\xff\xfe"), "-2", NULL},
    {MS_KEY_LONG, B("77"), NULL, "not 8 or 4 bytes long (input.key.format=long, it looks like string)"},
    {MS_KEY_LONG, {NULL, 0}, NULL, NULL},

    {MS_KEY_REGISTRY_JSON, B("\0\0\0\0\7\"k1\""), "k1", NULL},
    {MS_KEY_REGISTRY_JSON, B("\0\xff\xff\xff\xff{\"user_id\":7}"), "7", NULL},
    {MS_KEY_REGISTRY_JSON, B("\"k1\""), NULL,
     "without the header of a schema registry (input.key.format=registry-json, it looks like json)"},
    {MS_KEY_REGISTRY_JSON, B("\0\0\0\0\7\4k1"), NULL, "not JSON"}, /* Avro */
    {MS_KEY_REGISTRY_JSON, B("\0\0\0\0"), NULL, "without the header"},
};

static void test_read(void **state)
{
    (void)state;
    struct ms_key_reader *readers[MS_KEY_FORMAT_COUNT];
    struct ms_error error;
    for (int format = 0; format < MS_KEY_FORMAT_COUNT; format++)
        assert_int_equal(
            ms_key_reader_new(&readers[format], (enum ms_key_format)format, "user_id, id", ID_MAX, &error),
            MS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct key_row *row = &rows[i];
        struct ms_bytes user = {"untouched", 9}, key = row->key;
        char *copy = malloc(key.size + 1); /* a sanitizer sees a read beyond */
        assert_non_null(copy);
        if (key.data)
            key.data = memcpy(copy + 1, key.data, key.size);
        enum ms_status status = ms_key_read(readers[row->format], key, &user, &error);
        if (row->error && (status != MS_EVENT || !strstr(error.text, row->error)))
            fail_msg("row %zu: \"%s\", expected \"%s\"", i, status ? error.text : "read", row->error);
        if (!row->error &&
            (status != MS_OK || !user.data != !row->user ||
             (row->user && (user.size != strlen(row->user) || memcmp(user.data, row->user, user.size) != 0))))
            fail_msg("row %zu: \"%.*s\" %s, expected %s", i, (int)user.size, user.data,
                     status ? error.text : "", row->user);
        free(copy);
    }
    for (int format = 0; format < MS_KEY_FORMAT_COUNT; format++)
        ms_key_reader_destroy(readers[format]);
}

static void test_looks_like(void **state)
{
    (void)state;
    static const struct {
        struct ms_bytes key;
        const char *like; /* where the format is string */
    } keys[] = {
        {B("k1"), NULL},
        {B("12345678"), NULL},
        {B("\"k1\""), "json"},
        {B("\""), NULL},
        {B("{\"a\":1}"), "json"},
        {B("{\"schema\":1,\"payload\":2}"), "connect"},
        {B("\0\0\0\0\0\0\0\x4d"), "long"},
        {B("\0\0\0\x4d"), "long"},
        {B("\0\0\0\0\7\"k\""), "registry-json"},
        {B("\0\0\0\0\7\4k1"), "long"}, /* 8 bytes that are no text: nothing tells them apart */
        {B("\0\0\0\0\7\6k12"), NULL},
        {B("\xff\xfe\xfd"), NULL},
        {{NULL, 0}, NULL},
        {B(""), NULL},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *like = ms_key_looks_like(keys[i].key, MS_KEY_STRING);
        if (!like != !keys[i].like || (like && strcmp(like, keys[i].like) != 0))
            fail_msg("key %zu looks like %s, expected %s", i, like, keys[i].like);
    }
    assert_string_equal(ms_key_looks_like((struct ms_bytes)B("k1"), MS_KEY_JSON), "string");
    assert_null(ms_key_looks_like((struct ms_bytes)B("\"k1\""), MS_KEY_JSON));
}

static void test_show(void **state)
{
    (void)state;
    char out[MS_KEY_SHOWN], all[400];
    assert_string_equal(ms_key_show(out, (struct ms_bytes)B("\xc3\xa9 k")), "\xc3\xa9 k");
    assert_string_equal(ms_key_show(out, (struct ms_bytes)B("\0a\xff")), "\\x00a\\xff");
    memset(all, 1, sizeof all);
    for (size_t size = 0; size <= sizeof all; size++) {
        assert_true(strlen(ms_key_show(out, (struct ms_bytes){all, size})) < MS_KEY_SHOWN);
        assert_int_equal(strstr(out, "...") != NULL, size > 30);
    }
    for (size_t from = 0; from < 2; from++) { /* the cut falls within a character, or between two */
        memset(all, 'x', from);
        for (size_t i = from; i + 1 < sizeof all; i += 2)
            memcpy(all + i, "\xc3\xa9", 2);
        ms_key_show(out, (struct ms_bytes){all, 300 + from});
        assert_true(strlen(out) > 100);
        assert_true(ms_utf8_valid(out, strlen(out)));
    }
    assert_string_equal(ms_key_show(out, (struct ms_bytes){NULL, 0}), "");
}

/* An event whose user the value names: the key is compared as it is read. */
static void test_notes(void **state)
{
    (void)state;
    static const struct {
        enum ms_key_format format;
        struct ms_bytes key;
        bool differs, none;
    } keys[] = {
        {MS_KEY_STRING, B("77"), false, false},
        {MS_KEY_STRING, B("\"77\""), true, false},
        {MS_KEY_STRING, {NULL, 0}, false, true},
        {MS_KEY_STRING, B(""), true, false},
        {MS_KEY_JSON, B("\"77\""), false, false},
        {MS_KEY_JSON, B("77"), false, false},
        {MS_KEY_JSON, B("78"), true, false},
        {MS_KEY_JSON, B("null"), false, true},
        {MS_KEY_JSON, B("broken"), true, false},
        {MS_KEY_LONG, B("\0\0\0\0\0\0\0\x4d"), false, false},
        {MS_KEY_LONG, B("77"), true, false},
        {MS_KEY_CONNECT, B("{\"payload\":77}"), false, false},
        {MS_KEY_REGISTRY_JSON,
         B("\0\0\0\0\1"
           "77"),
         false, false},
    };
    static const char value[] = "{\"user_id\":77,\"item_id\":1,\"timestamp\":5}",
                      userless[] = "{\"item_id\":1,\"timestamp\":5}";
    struct ms_arena arena = {0};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct ms_decoder *decoder;
        struct ms_event event;
        enum ms_event_kind kind;
        struct ms_event_notes notes;
        struct ms_error error;
        const struct ms_event_fields fields = {"user_id", "item_id", "timestamp",   "",
                                               "",        100,       keys[i].format};
        assert_int_equal(ms_decoder_new(&decoder, &fields, &error), MS_OK);
        assert_int_equal(ms_decode_event(decoder, &arena, keys[i].key,
                                         (struct ms_bytes){value, sizeof value - 1}, 0, &event, &kind, &notes,
                                         &error),
                         MS_OK);
        if (notes.key_differs != keys[i].differs || notes.no_key != keys[i].none)
            fail_msg("key %zu: differs %d, none %d", i, notes.key_differs, notes.no_key);
        enum ms_status status = ms_decode_event(decoder, &arena, keys[i].key,
                                                (struct ms_bytes){userless, sizeof userless - 1}, 0, &event,
                                                &kind, &notes, &error);
        if (!keys[i].differs && !keys[i].none) { /* and without a value */
            assert_int_equal(status, MS_OK);
            assert_memory_equal(event.user.data, "77", 2);
            assert_false(notes.key_differs);
            assert_int_equal(ms_decode_event(decoder, &arena, keys[i].key, (struct ms_bytes){NULL, 0}, 0,
                                             &event, &kind, &notes, &error),
                             MS_OK);
            assert_int_equal(kind, MS_EVENT_FORGET);
            assert_int_equal(event.user.size, 2);
            assert_memory_equal(event.user.data, "77", 2);
        }
        ms_decoder_destroy(decoder);
    }
    ms_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_looks_like),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
