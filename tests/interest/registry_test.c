/* The registry of extractor kinds: every kind is complete, and a name stands for one kind. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "interest/kind.h"
#include "model/model_writer.h"

static void complete(void **state)
{
    size_t kinds = 0;
    (void)state;
    for (; ms_model_kinds[kinds]; kinds++) {
        const struct ms_model_kind *model = ms_model_kinds[kinds];
        const struct ms_kind *kind = ms_kind_at(model);
        assert_true(model->name && *model->name);
        assert_non_null(kind->extract);
        assert_non_null(kind->count);
        assert_true(model->options_bytes <= MS_KIND_OPTIONS_MAX);
        assert_true(model->options_bytes == 0 || (model->defaults && model->keys));
        assert_true(!model->make_tables == !model->free_tables &&
                    !model->make_tables == !model->bytes_of_tables);
        if (kind->fold)
            assert_true(kind->fold->floats && kind->fold->event && kind->fold->interests);
        for (const struct ms_key *key = model->keys; key && key->path; key++)
            assert_true(key->offset < model->options_bytes);
    }
    assert_true(kinds >= 4);
}

static void unique(void **state)
{
    (void)state;
    for (size_t i = 0; ms_model_kinds[i]; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(ms_model_kinds[i]->name, ms_model_kinds[j]->name);
            if (ms_model_kinds[i]->keys == ms_model_kinds[j]->keys)
                continue; /* one table, other defaults */
            for (const struct ms_key *a = ms_model_kinds[i]->keys; a && a->path; a++)
                for (const struct ms_key *b = ms_model_kinds[j]->keys; b && b->path; b++)
                    assert_string_not_equal(a->path, b->path);
        }
    }
}

/* log2-floor is the rule of MIND's paper, and of no other kind. */
static void default_counts(void **state)
{
    (void)state;
    for (size_t i = 0; ms_model_kinds[i]; i++)
        assert_int_equal(ms_model_kinds[i]->interest_count == MS_COUNT_LOG2_FLOOR,
                         strcmp(ms_model_kinds[i]->name, "mind") == 0);
}

/* A kind without a fold says so with its name, and has no state. */
static void without_a_fold(void **state)
{
    char *dir = writer_temp_dir();
    const char *const items[] = {"a", "b"};
    static const float floats[4] = {1, 2, 3, 4};
    const struct writer_tensor tensors[] = {{"item_embedding", floats, 2, {2, 2}, false}};
    const struct ms_kind plain = {.model.name = "plain", .count = ms_count_by_rule};
    const struct ms_model_kind *const kinds[] = {&plain.model, NULL};
    struct ms_model *model;
    struct ms_error error = {0};
    (void)state;
    writer_model(
        dir,
        "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"plain\","
        "\"dim\":2,\"interests\":3,\"max_behaviors\":5}",
        items, 2, tensors, 1);
    assert_int_equal(ms_model_load(&model, dir, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "extractor is \"plain\", allowed is mind, comirec-dr, "));
    assert_int_equal(ms_model_load_as(&model, dir, kinds, &error), MS_OK);
    assert_int_equal(ms_fold_supported(model, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "model n@v cannot be folded one event at a time"));
    assert_non_null(strstr(error.text, "extractor 'plain'"));
    assert_int_equal(ms_fold_floats(model), 0);
    assert_int_equal(ms_extract_logit_rows(model, 7), 0);
    assert_int_equal(ms_interest_count(model, 2), 3);
    assert_int_equal(ms_interest_count(model, 0), 0);
    ms_model_destroy(model);
    writer_remove(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete),
        cmocka_unit_test(unique),
        cmocka_unit_test(default_counts),
        cmocka_unit_test(without_a_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
