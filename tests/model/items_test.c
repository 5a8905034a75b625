/* items.txt: look-up of every id, and every bad line by its number. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"
#include "model/items.h"
#include "model/model_writer.h"

static enum ms_status read_text(const char *dir, const char *text, size_t size, struct ms_items *items,
                                struct ms_error *error)
{
    char path[4200];
    XXH64_state_t *hashing = XXH64_createState();
    XXH64_reset(hashing, 0);
    writer_file(dir, "items.txt", text, size);
    snprintf(path, sizeof path, "%s/items.txt", dir);
    enum ms_status status = ms_items_load(items, path, hashing, error);
    XXH64_freeState(hashing);
    return status;
}

static void refused(const char *dir, const char *text, size_t size, const char *expected)
{
    struct ms_items items = {0};
    struct ms_error error = {0};
    assert_int_equal(read_text(dir, text, size, &items, &error), MS_MODEL);
    assert_null(items.text);
    if (!strstr(error.text, "/items.txt: ") || !strstr(error.text, expected))
        fail_msg("gives: %s\n wanted: %s", error.text, expected);
}

static void bad_lines(void **state)
{
    char *dir = *state;
#define REFUSED(text, expected) refused(dir, text, sizeof text - 1, expected)
    REFUSED("", "the file is empty");
    REFUSED("\n", "line 1 is empty");
    REFUSED("a\n\nb\n", "line 2 is empty");
    REFUSED("a\nb\n\n", "line 3 is empty");
    REFUSED("a\r\n\r\nb\r\n", "line 2 is empty");
    REFUSED("a\nb\nc\na\n", "line 4 repeats the id of line 1: \"a\"");
    REFUSED("a\nb\nb", "line 3 repeats the id of line 2: \"b\"");
    REFUSED("\xef\xbb\xbf", "line 1 is empty");
    REFUSED("a\n\xef\xbb\xbf"
            "a\n\xef\xbb\xbf"
            "a",
            "line 3 repeats the id of line 2");
    REFUSED("a\n\xff\n", "line 2 is not valid UTF-8");
    REFUSED("a\n\xc3\n", "line 2 is not valid UTF-8");
    REFUSED("\xc0\x80\n", "line 1 is not valid UTF-8");
    REFUSED("\xed\xa0\x80\n", "line 1 is not valid UTF-8");
    char *longest = malloc(MS_MAX_ITEM_ID + 3);
    memset(longest, 'x', MS_MAX_ITEM_ID + 3);
    longest[0] = 'a', longest[1] = '\n';
    refused(dir, longest, MS_MAX_ITEM_ID + 3, "line 2 has 32769 bytes, at most 32768 are allowed");
    free(longest);
    size_t size = (size_t)3 << 20;
    char *endless = malloc(size);
    assert_non_null(endless);
    memset(endless, 'x', size);
    endless[1] = '\n';
    refused(dir, endless, size, "line 2 has more than 1048576 bytes, at most 32768 are allowed");
    free(endless);
}

/* Written on another system: a byte order mark, and carriage returns before the newlines. */
static void foreign_lines(void **state)
{
    char *dir = *state;
    struct ms_items items;
    static const char text[] = "\xef\xbb\xbfone\r\ntwo\rtwo\r\n\xef\xbb\xbfthree\r";
    size_t size;
    assert_int_equal(read_text(dir, text, sizeof text - 1, &items, NULL), MS_OK);
    assert_int_equal(items.count, 3);
    assert_int_equal(ms_items_find(&items, "one", 3), 0);
    assert_int_equal(ms_items_find(&items, "two\rtwo", 7), 1);
    assert_memory_equal(ms_items_id(&items, 2, &size), "\xef\xbb\xbfthree", 8);
    assert_int_equal(size, 8);
    ms_items_free(&items);
}

static void odd_but_good(void **state)
{
    char *dir = *state;
    struct ms_items items;
    char text[] = "one\ntwo words\nd\xc3\xa9j\xc3\xa0\nnul\0inside\nend";
    size_t size;
    assert_int_equal(read_text(dir, text, sizeof text - 1, &items, NULL), MS_OK);
    assert_int_equal(items.count, 5);
    assert_int_equal(ms_items_find(&items, "two words", 9), 1);
    assert_int_equal(ms_items_find(&items, "d\xc3\xa9j\xc3\xa0", 6), 2);
    assert_int_equal(ms_items_find(&items, "nul\0inside", 10), 3);
    assert_int_equal(ms_items_find(&items, "nul", 3), MS_NO_ITEM);
    assert_int_equal(ms_items_find(&items, "end", 3), 4);
    assert_int_equal(ms_items_find(&items, "", 0), MS_NO_ITEM);
    assert_memory_equal(ms_items_id(&items, 4, &size), "end", 3);
    assert_int_equal(size, 3);
    ms_items_free(&items);
    char *longest = malloc(MS_MAX_ITEM_ID);
    memset(longest, 'x', MS_MAX_ITEM_ID);
    assert_int_equal(read_text(dir, longest, MS_MAX_ITEM_ID, &items, NULL), MS_OK);
    assert_int_equal(ms_items_find(&items, longest, MS_MAX_ITEM_ID), 0);
    assert_int_equal(ms_items_find(&items, longest, MS_MAX_ITEM_ID - 1), MS_NO_ITEM);
    ms_items_free(&items);
    free(longest);
}

static void many(void **state)
{
    enum { COUNT = 200000 };
    char *dir = *state, *text = NULL, id[32];
    size_t size = 0;
    struct ms_items items;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < COUNT; i++)
        fprintf(out, "item-%d\n", i * 7);
    fclose(out);
    assert_int_equal(read_text(dir, text, size, &items, NULL), MS_OK);
    free(text);
    assert_int_equal(items.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(id, sizeof id, "item-%d", i * 7);
        assert_int_equal(ms_items_find(&items, id, (size_t)length), i);
        length = snprintf(id, sizeof id, "item-%d", i * 7 + 1);
        assert_int_equal(ms_items_find(&items, id, (size_t)length), MS_NO_ITEM);
    }
    ms_items_free(&items);
}

static int set_up(void **state)
{
    *state = writer_temp_dir();
    return 0;
}

static int tear_down(void **state)
{
    writer_remove(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_lines), cmocka_unit_test(odd_but_good),
                                       cmocka_unit_test(foreign_lines), cmocka_unit_test(many)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
