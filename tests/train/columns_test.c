/* Columns from lists of decays, and which of them a model has. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_writer.h"
#include "train/columns.h"

static void assert_names(const struct ms_column_list *list, const char *expected)
{
    char names[1024] = "";
    for (int i = 0; i < list->count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? " " : "", list->names[i]);
    assert_string_equal(names, expected);
}

static void lists_become_columns(void **state)
{
    static const struct {
        const char *decays, *half_lives, *names;
    } cases[] = {
        {NULL, NULL, "full incremental@model incremental@0.9 stale last"},
        {" 0.8  0.7,0.95\t", NULL, "full incremental@0.8 incremental@0.7,0.95 stale last"},
        {NULL, "12h 1d,7d", "full incremental@12h incremental@1d,7d stale last"},
        {"1", "1d", "full incremental@1 incremental@1d stale last"},
        {"model 0.9", NULL, "full incremental@model incremental@0.9 stale last"},
        {"", NULL, "full stale last"},
    };
    static struct ms_column_list list;
    struct ms_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ms_columns_make(&list, cases[i].decays, cases[i].half_lives, &error), MS_OK);
        assert_names(&list, cases[i].names);
        assert_int_equal(list.asked, cases[i].decays || cases[i].half_lives);
        assert_int_equal(list.columns[0].kind, MS_COLUMN_FULL);
        assert_int_equal(list.columns[list.count - 1].kind, MS_COLUMN_LAST);
    }
    assert_int_equal(ms_columns_make(&list, "0.7,0.95", NULL, &error), MS_OK);
    assert_int_equal(list.columns[1].kind, MS_COLUMN_INCREMENTAL);
    assert_int_equal(list.columns[1].decay.count, 2);
    assert_true(list.columns[1].decay.per_event[1] == 0.95);
}

static void bad_lists_are_refused(void **state)
{
    static const struct {
        const char *decays, *half_lives, *text;
    } cases[] = {
        {"0.9 1.1", NULL, "1.1"},   {"0.9 0.8 0.9", NULL, "'0.9' is given twice"},
        {NULL, "7w", "7w"},         {"x", NULL, "--decays"},
        {"auto", NULL, "--decays"}, {"model,0.9", NULL, "'model'"},
    };
    static struct ms_column_list list;
    struct ms_error error;
    char many[1024] = "", longest[MS_COLUMNS_TEXT_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_not_equal(ms_columns_make(&list, cases[i].decays, cases[i].half_lives, &error), MS_OK);
        assert_non_null(strstr(error.text, cases[i].text));
    }
    for (int i = 0; i < MS_COLUMNS_MAX - 3; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "0.%03d ", i + 1);
    assert_int_equal(ms_columns_make(&list, many, NULL, &error), MS_OK);
    assert_int_equal(list.count, MS_COLUMNS_MAX);
    strcat(many, "0.999");
    assert_int_equal(ms_columns_make(&list, many, NULL, &error), MS_USAGE);
    memset(longest, ' ', sizeof longest);
    longest[MS_COLUMNS_TEXT_MAX] = '\0';
    assert_int_equal(ms_columns_make(&list, longest, NULL, &error), MS_OK);
    assert_int_equal(ms_columns_check("--decays", longest, false, &error), MS_OK);
    longest[MS_COLUMNS_TEXT_MAX] = ' ';
    longest[MS_COLUMNS_TEXT_MAX + 1] = '\0';
    assert_int_equal(ms_columns_make(&list, longest, NULL, &error), MS_USAGE);
    assert_int_equal(ms_columns_check("--decays", longest, false, &error), MS_USAGE);
}

static void lists_are_checked_by_option(void **state)
{
    struct ms_error error;
    (void)state;
    assert_int_equal(ms_columns_check("--decays", "0.9 0.7,0.95", false, &error), MS_OK);
    assert_int_equal(ms_columns_check("--half-lives", "12h 7d", true, &error), MS_OK);
    assert_int_equal(ms_columns_check("--half-lives", "12h 7w", true, &error), MS_USAGE);
    assert_non_null(strstr(error.text, "--half-lives"));
    assert_non_null(strstr(error.text, "7w"));
}

/* A model whose logits come by slot does not fold. */
static void unsupported_columns_are_dropped_or_refused(void **state)
{
    static const char config[] =
        "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\","
        "\"dim\":2,\"interests\":2,\"max_behaviors\":3,\"interest_count\":\"fixed\","
        "\"routing\":{\"bilinear\":\"none\",\"initial_logits\":\"table\"}}";
    static const char *const items[] = {"a", "b"};
    static const float floats[6] = {1, 0, 0, 1, 1, 1};
    const struct writer_tensor tensors[] = {{"item_embedding", floats, 2, {2, 2}, false},
                                            {"routing.initial_logits", floats, 2, {3, 2}, false}};
    char *dir = writer_temp_dir(), notes[512] = "";
    struct ms_model *model;
    static struct ms_column_list list;
    struct ms_error error;
    (void)state;
    writer_model(dir, config, (const char **)(uintptr_t)items, 2, tensors, 2);
    assert_int_equal(ms_model_load(&model, dir, NULL), MS_OK);
    FILE *file = fmemopen(notes, sizeof notes, "w");
    assert_int_equal(ms_columns_make(&list, NULL, NULL, &error), MS_OK);
    assert_int_equal(ms_columns_keep_supported(&list, model, file, &error), MS_OK);
    fclose(file);
    assert_names(&list, "full stale last");
    assert_int_equal(list.columns[1].kind, MS_COLUMN_STALE);
    assert_non_null(strstr(notes, "no column incremental@0.9: "));
    assert_int_equal(ms_columns_make(&list, "0.9", NULL, &error), MS_OK);
    assert_int_equal(ms_columns_keep_supported(&list, model, stderr, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "table"));
    ms_model_destroy(model);
    writer_remove(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_become_columns),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(lists_are_checked_by_option),
        cmocka_unit_test(unsupported_columns_are_dropped_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
