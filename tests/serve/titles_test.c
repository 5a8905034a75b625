/* What items are called: the file of items.meta. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/titles.h"

static char path[] = "/tmp/titles-XXXXXX";

static enum ms_status load(const char *text, struct ms_titles **titles, struct ms_error *error)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    return ms_titles_load(titles, path, error);
}

static void assert_title(const struct ms_titles *titles, const char *item, const char *title,
                         const char *image)
{
    struct ms_title found = ms_titles_find(titles, (struct ms_bytes){item, strlen(item)});
    assert_int_equal(found.title.size, strlen(title));
    assert_int_equal(found.image.size, strlen(image));
    assert_true(found.title.size == 0 || memcmp(found.title.data, title, found.title.size) == 0);
    assert_true(found.image.size == 0 || memcmp(found.image.data, image, found.image.size) == 0);
}

static void titles_are_found(void **state)
{
    struct ms_titles *titles = NULL;
    struct ms_error error;
    (void)state;
    assert_int_equal(
        load("\xef\xbb\xbf{\"item_id\": \"a\", \"title\": \"First\", \"price\": 3}\r\n\n"
             "{\"item_id\": 7, \"title\": \"Seven\", \"image\": \"https://x/7.png\"}\n"
             "{\"item_id\": \"b\", \"image\": \"javascript:alert(1)\"}\n"
             "{\"item_id\": \"a\", \"title\": \"Last\", \"image\": \"data:image/png;base64,AA\"}",
             &titles, &error),
        MS_OK);
    assert_non_null(titles);
    assert_int_equal(ms_titles_count(titles), 3);
    assert_title(titles, "a", "Last", "data:image/png;base64,AA");
    assert_title(titles, "7", "Seven", "https://x/7.png");
    assert_title(titles, "b", "", "");
    assert_title(titles, "c", "", "");
    assert_title(NULL, "a", "", "");
    ms_titles_free(titles);
}

/* Many rows make the index grow; a long title is cut between characters. */
static void many_and_long(void **state)
{
    struct ms_titles *titles = NULL;
    struct ms_error error;
    size_t room = 5000 * 60 + 3000, used = 0;
    char *text = malloc(room);
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < 5000; i++)
        used += (size_t)snprintf(text + used, room - used, "{\"item_id\": %d, \"title\": \"number %d\"}\n", i,
                                 i);
    used += (size_t)snprintf(text + used, room - used, "{\"item_id\": \"long\", \"title\": \"x");
    for (int i = 0; i < 600; i++)
        used += (size_t)snprintf(text + used, room - used, "\xc3\xa4");
    snprintf(text + used, room - used, "\"}\n");
    assert_int_equal(load(text, &titles, &error), MS_OK);
    assert_non_null(titles);
    assert_int_equal(ms_titles_count(titles), 5001);
    assert_title(titles, "4321", "number 4321", "");
    assert_int_equal(ms_titles_find(titles, (struct ms_bytes){"long", 4}).title.size, MS_TITLE_MAX_BYTES - 1);
    ms_titles_free(titles);
    free(text);
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"item_id\": \"a\"}\n{\"item_id\": ", ": line 2: not JSON: "},
        {"{\"title\": \"no item\"}\n", ": line 1: item_id is missing"},
        {"[1]\n", ": line 1: item_id is missing"},
        {"{\"item_id\": \"\"}\n", ": line 1: item_id is missing"},
        {"{\"item_id\": {}}\n", ": line 1: item_id is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ms_titles *titles = NULL;
        struct ms_error error;
        assert_int_equal(load(cases[i].text, &titles, &error), MS_CONFIG);
        assert_non_null(strstr(error.text, cases[i].message));
        assert_non_null(strstr(error.text, path));
        assert_null(titles);
    }
    struct ms_titles *titles = NULL;
    struct ms_error error;
    assert_int_equal(ms_titles_load(&titles, "/nowhere/at/all", &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "items.meta=/nowhere/at/all: No such file"));
}

static int make_file(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(titles_are_found),
        cmocka_unit_test(many_and_long),
        cmocka_unit_test(bad_lines_are_named),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
