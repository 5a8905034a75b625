/* Tables: alignment, characters of several bytes, long cells, and cells that play tricks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "view/table.h"

static void check_text(struct ms_table *table, size_t indent, const char *expected)
{
    struct ms_buffer out = {0};
    struct ms_error error;
    assert_int_equal(ms_table_text(table, indent, &out, &error), MS_OK);
    assert_true(ms_buffer_append(&out, "", 1));
    assert_string_equal(out.data, expected);
    ms_buffer_free(&out);
    ms_table_free(table);
}

static void cells(struct ms_table *table, size_t count, const char *const *texts)
{
    for (size_t i = 0; i < count; i++)
        ms_table_raw(table, texts[i]);
}

static void alignment(void **state)
{
    (void)state;
    struct ms_table table = {0};
    ms_table_column(&table, "name", false);
    ms_table_column(&table, "n", true);
    ms_table_column(&table, "note", false);
    cells(&table, 6, (const char *const[]){"a", "1000", "x", "longer name", "7", ""});
    check_text(&table, 2,
               "  name            n  note\n"
               "  a            1000  x\n"
               "  longer name     7\n");
}

/* Every character counts as one column, however many bytes it has; wide ones too. */
static void characters(void **state)
{
    (void)state;
    struct ms_table table = {0};
    ms_table_column(&table, "\xc3\xbc", true);
    ms_table_column(&table, "end", false);
    cells(&table, 4, (const char *const[]){"\xe6\xbc\xa2\xe5\xad\x97", "x", "\xf0\x9f\x98\x80", "y"});
    check_text(&table, 0,
               " \xc3\xbc  end\n"
               "\xe6\xbc\xa2\xe5\xad\x97  x\n"
               " \xf0\x9f\x98\x80  y\n");
}

/* Blanks are written only before text: empty cells at the end leave none behind. */
static void empty_cells(void **state)
{
    (void)state;
    struct ms_table table = {0};
    ms_table_column(&table, "", false);
    ms_table_column(&table, "b", true);
    ms_table_column(&table, "", true);
    cells(&table, 6, (const char *const[]){"", "22", "", "aaa", "", ""});
    check_text(&table, 1,
               "       b\n"
               "      22\n"
               " aaa\n");
    check_text(&(struct ms_table){0}, 3, "");
}

static void only_titles(void **state)
{
    (void)state;
    struct ms_table table = {0};
    ms_table_column(&table, "a", false);
    ms_table_column(&table, "b", false);
    check_text(&table, 0, "a  b\n");
}

static void control_characters(void **state)
{
    (void)state;
    struct ms_table table = {0};
    ms_table_column(&table, "id", false);
    ms_table_column(&table, "n", true);
    ms_table_bytes(&table, (struct ms_bytes){"a\0\x1b[2J\n", 7});
    ms_table_cell(&table, "%d", 5);
    check_text(&table, 0,
               "id                n\n"
               "a\\x00\\x1b[2J\\x0a  5\n");
}

/* A formatted cell is cut at 511 bytes; a cell of bytes is not. */
static void long_cells(void **state)
{
    (void)state;
    struct ms_table table = {0};
    struct ms_buffer out = {0};
    struct ms_error error;
    char text[2001];
    memset(text, 'x', 2000);
    text[2000] = '\0';
    ms_table_column(&table, "", false);
    ms_table_cell(&table, "%s", text);
    ms_table_bytes(&table, (struct ms_bytes){text, 2000});
    assert_int_equal(ms_table_text(&table, 0, &out, &error), MS_OK);
    assert_int_equal(out.size, 1 + 512 + 2001);
    ms_buffer_free(&out);
    ms_table_free(&table);
}

static void most_columns(void **state)
{
    (void)state;
    struct ms_table table = {0};
    struct ms_buffer out = {0};
    struct ms_error error;
    for (int i = 0; i < MS_TABLE_MAX_COLUMNS; i++)
        ms_table_column(&table, "c", i % 2);
    for (int i = 0; i < MS_TABLE_MAX_COLUMNS; i++)
        ms_table_cell(&table, "%d", i % 10);
    assert_int_equal(ms_table_text(&table, 0, &out, &error), MS_OK);
    assert_int_equal(out.size, 2 * (3 * MS_TABLE_MAX_COLUMNS - 2 + 1));
    ms_buffer_free(&out);
    ms_table_free(&table);
}

/* What was in the buffer stays, also where the table does not fit. */
static void out_of_memory(void **state)
{
    (void)state;
    struct ms_buffer small = {.max = 12};
    struct ms_error error;
    struct ms_table table = {0}, failed = {.text = {.max = 3}};
    assert_true(ms_buffer_append(&small, "before", 6));
    ms_table_column(&table, "title", false);
    ms_table_raw(&table, "cell");
    assert_int_equal(ms_table_text(&table, 0, &small, &error), MS_MEMORY);
    assert_int_equal(small.size, 6);
    ms_table_column(&failed, "title", false);
    ms_table_column(&failed, "other", false);
    ms_table_raw(&failed, "c");
    assert_int_equal(ms_table_text(&failed, 0, &small, &error), MS_MEMORY);
    assert_int_equal(small.size, 6);
    ms_buffer_free(&small);
    ms_table_free(&table);
    ms_table_free(&failed);
}

/* Colours of titles, warnings and bars take no room, and end before the blanks. */
static void colors(void **state)
{
    (void)state;
    struct ms_table table = {.palette = &ms_ansi_palette};
    struct ms_buffer out = {0};
    ms_table_column(&table, "one", false);
    ms_table_column(&table, "two", true);
    ms_table_warning(&table, "careful");
    ms_table_raw(&table, "0.5 \xe2\x96\x88\xe2\x96\x8c x");
    if (ms_table_text(&table, 0, &out, NULL) == MS_OK) {
        assert_true(ms_buffer_append(&out, "", 1));
        assert_string_equal(out.data,
                            "\033[1mone\033[0m           \033[1mtwo\033[0m\n"
                            "\033[33mcareful\033[0m  0.5 \033[36m\xe2\x96\x88\xe2\x96\x8c\033[0m x\n");
    }
    ms_buffer_free(&out);
    ms_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colors),      cmocka_unit_test(alignment),    cmocka_unit_test(characters),
        cmocka_unit_test(empty_cells), cmocka_unit_test(only_titles),  cmocka_unit_test(control_characters),
        cmocka_unit_test(long_cells),  cmocka_unit_test(most_columns), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
