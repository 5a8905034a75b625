/* The quick reader of simple documents says what the strict one says: of documents laid out here, and of what becomes of them when
 * bytes are changed, taken away and put in at random. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/flat.h"

#define MUTANTS 200000
#define FIELDS  4

static const struct ms_flat_field fields[FIELDS] = {{"user", 4}, {"item", 4}, {"time", 4}, {"", 0}};

static const char *const simple[] = {
    "{\"user\":\"u1\",\"item\":\"i9\",\"time\":1700000000123,\"type\":\"click\"}",
    " {} ",
    "{\"user\" : -12 , \"\":\"\",\t\"time\":0}\r\n",
    "{\"item\":\"a\",\"item\":\"b\",\"user\":999999999999999999,\"time\":\"2023-11-14T22:13:20Z\"}",
    "{\"x\":{\"user\":1},\"user\":true,\"item\":[1,\"2\"],\"time\":1.5e3}",
};

/* A simple document is a good one, and its values are the same. */
static bool compare(struct ms_json *json, const char *text, size_t size)
{
    struct ms_flat_value values[FIELDS];
    struct ms_json_value root, member;
    if (!ms_flat_read((struct ms_bytes){text, size}, fields, FIELDS, values))
        return false;
    assert_null(ms_json_read(json, text, size, &root));
    assert_int_equal(ms_json_type(root), MS_JSON_OBJECT);
    for (int i = 0; i < FIELDS; i++) {
        char digits[MS_JSON_DIGITS_MAX];
        size_t bytes;
        bool found = ms_json_member(root, fields[i].key, fields[i].key_bytes, &member);
        assert_int_equal(found, values[i].text.data != NULL);
        if (!found)
            continue;
        assert_int_equal(ms_json_type(member), values[i].integer ? MS_JSON_INTEGER : MS_JSON_STRING);
        const char *id = ms_json_id(member, digits, &bytes);
        assert_int_equal(bytes, values[i].text.size);
        assert_memory_equal(id, values[i].text.data, bytes);
    }
    return true;
}

static void laid_out(void **state)
{
    static const struct {
        const char *text;
        bool simple;
    } cases[] = {{"{\"user\":1}", true},
                 {"{ \"user\" : \"a b\" , \"x\" : -1 }\n", true},
                 {"{\"user\":\"\"}", true},
                 {"{\"user\":999999999999999999}", true},
                 {"{\"user\":9999999999999999999}", false}, /* good, but not of this kind */
                 {"{\"user\":\"\\u0061\"}", false},
                 {"{\"user\":\"\xc3\xa9\"}", false},
                 {"{\"user\":null}", false},
                 {"{\"user\":1.0}", false},
                 {"{\"user\":-0}", false},
                 {"{}", false},
                 {"{\"user\":01}", false}, /* bad */
                 {"{\"user\":1,}", false},
                 {"{\"user\":1}x", false},
                 {"{\"user\":1", false},
                 {"{\"user\":-}", false},
                 {"{\"user\":\"\n\"}", false},
                 {"{\"user\" 1}", false},
                 {"[1]", false},
                 {"", false}};
    struct ms_json *json = ms_json_new();
    (void)state;
    assert_non_null(json);
    assert_true(ms_json_reserve(json, 4096));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(compare(json, cases[i].text, strlen(cases[i].text)), cases[i].simple);
    ms_json_destroy(json);
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % below;
}

/* One to three bytes changed, taken away or put in. */
static size_t mutate(char *text, size_t size, uint64_t *seed)
{
    static const char bytes[] = "\"\"\\{}[]:,,-+.eE0019 \t\n\rtfnu\x01\x1f\x7f\xc3\xa9/";
    for (uint64_t times = 1 + draw(seed, 3); times > 0; times--) {
        size_t at = draw(seed, size + 1);
        char byte = bytes[draw(seed, sizeof bytes)]; /* the NUL, too */
        uint64_t how = draw(seed, 3);
        if (how == 0 && at < size) {
            text[at] = byte;
        } else if (how == 1 && at < size) {
            memmove(text + at, text + at + 1, --size - at);
        } else {
            memmove(text + at + 1, text + at, size++ - at);
            text[at] = byte;
        }
    }
    return size;
}

static void mutants(void **state)
{
    struct ms_json *json = ms_json_new();
    uint64_t seed = 88172645463325252;
    size_t read = 0;
    (void)state;
    assert_non_null(json);
    assert_true(ms_json_reserve(json, 4096));
    for (int i = 0; i < MUTANTS; i++) {
        char text[256];
        const char *from = simple[draw(&seed, sizeof simple / sizeof *simple)];
        size_t size = strlen(from);
        memcpy(text, from, size);
        size = mutate(text, size, &seed);
        read += compare(json, text, size);
    }
    assert_in_range(read, MUTANTS / 20, MUTANTS / 2); /* some are still simple */
    ms_json_destroy(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(laid_out), cmocka_unit_test(mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
