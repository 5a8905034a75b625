/* What the settings of routing mean: decays and half-lives, and the mode that a model gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "interest/decay.h"
#include "interest/mode.h"
#include "model/model_writer.h"

static void decays(void **state)
{
    (void)state;
    struct ms_decay decay = {.count = -1};
    struct ms_error error = {0};
    assert_int_equal(ms_decay_parse("0.7, 0.95,1", "", NULL, &decay, &error), MS_OK);
    assert_int_equal(decay.count, 3);
    assert_true(decay.per_event[0] == 0.7 && decay.per_event[1] == 0.95 && decay.per_event[2] == 1.0);
    assert_int_equal(ms_decay_parse("", "7d,1500,500ms,2h", NULL, &decay, &error), MS_OK);
    assert_int_equal(decay.count, 4);
    assert_int_equal(decay.half_life_ms[0], 604800000);
    assert_int_equal(decay.half_life_ms[1], 1500);
    assert_int_equal(decay.half_life_ms[2], 500);
    assert_int_equal(decay.half_life_ms[3], 7200000);
    static const char *const bad[] = {
        "0",    "-0.5",    "1.0001", "nan",    "inf", "0x1p-1",           "0.9,",
        ",0.9", "0.9 0.8", "x",      "1e-600", ".5.", "1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ms_decay untouched = {.count = 77};
        if (ms_decay_parse(bad[i], "", NULL, &untouched, &error) != MS_CONFIG)
            fail_msg("decay '%s' was accepted", bad[i]);
        assert_int_equal(untouched.count, 77);
    }
    static const char *const bad_half_lives[] = {"0",   "-1",   "1w",  "d",
                                                 "7 d", "1.5h", "7d,", "9223372036854775807d"};
    for (size_t i = 0; i < sizeof bad_half_lives / sizeof bad_half_lives[0]; i++) {
        if (ms_decay_parse("", bad_half_lives[i], NULL, &decay, &error) != MS_CONFIG)
            fail_msg("half-life '%s' was accepted", bad_half_lives[i]);
    }
}

/* A mind model of two items; |more| goes into its configuration. */
static struct ms_model *make_model(const char *more)
{
    static const float numbers[4] = {1, 2, 3, 4};
    static const char *const items[] = {"a", "b"};
    const struct writer_tensor tensors[] = {{"item_embedding", numbers, 2, {2, 2}, false},
                                            {"routing.bilinear", numbers, 2, {2, 2}, false}};
    char config[400];
    struct ms_model *model = NULL;
    struct ms_error error;
    snprintf(config, sizeof config,
             "{\"format\":\"mindstream-model/1\",\"name\":\"m\",\"version\":\"1\",\"extractor\":\"mind\","
             "\"dim\":2,\"interests\":2,\"max_behaviors\":4%s}",
             more);
    char *dir = writer_temp_dir();
    writer_model(dir, config, items, 2, tensors, 2);
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    writer_remove(dir);
    free(dir);
    return model;
}

static void mode_of_a_foldable_model(void **state)
{
    (void)state;
    static const enum ms_routing_mode modes[] = {MS_ROUTING_AUTO, MS_ROUTING_INCREMENTAL, MS_ROUTING_FULL};
    struct ms_model *model = make_model("");
    for (size_t i = 0; i < 3; i++) {
        struct ms_error error;
        char reason[512] = "untouched";
        bool incremental = modes[i] == MS_ROUTING_FULL;
        assert_int_equal(
            ms_routing_mode_resolve(model, modes[i], &incremental, reason, sizeof reason, &error), MS_OK);
        assert_int_equal(incremental, modes[i] != MS_ROUTING_FULL);
        assert_string_equal(reason, "");
    }
    ms_model_destroy(model);
}

static void mode_of_a_model_that_cannot_be_folded(void **state)
{
    (void)state;
    struct ms_model *model = make_model(",\"routing\":{\"softmax\":\"behaviors\"}");
    struct ms_error error = {0};
    char reason[512] = "";
    bool incremental = true;
    assert_int_equal(
        ms_routing_mode_resolve(model, MS_ROUTING_AUTO, &incremental, reason, sizeof reason, &error), MS_OK);
    assert_false(incremental);
    assert_non_null(strstr(reason, "softmax"));
    incremental = true;
    assert_int_equal(
        ms_routing_mode_resolve(model, MS_ROUTING_FULL, &incremental, reason, sizeof reason, &error), MS_OK);
    assert_false(incremental);
    assert_string_equal(reason, "");
    assert_int_equal(
        ms_routing_mode_resolve(model, MS_ROUTING_INCREMENTAL, &incremental, reason, sizeof reason, &error),
        MS_CONFIG);
    assert_memory_equal(error.text, "routing.mode=incremental: ", 26);
    assert_non_null(strstr(error.text, "softmax"));
    ms_model_destroy(model);
}

/* "auto" and nothing are the model's decays where it has some, else 0.9; "model" insists. */
static void decays_of_the_model(void **state)
{
    (void)state;
    static const char *const automatic[] = {"", "auto"};
    struct ms_model *without = make_model(""), *with = make_model(",\"routing\":{\"decay\":[0.5,0.75]}");
    struct ms_decay decay;
    struct ms_error error = {0};
    assert_false(ms_fold_has_decays(without));
    assert_true(ms_fold_has_decays(with));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ms_decay_parse(automatic[i], "", without, &decay, &error), MS_OK);
        assert_int_equal(decay.count, 1);
        assert_true(decay.per_event[0] == 0.9 && decay.half_life_ms[0] == 0);
        assert_int_equal(ms_decay_parse(automatic[i], "", with, &decay, &error), MS_OK);
        assert_int_equal(decay.count, 0);
    }
    assert_int_equal(ms_decay_parse("model", "", with, &decay, &error), MS_OK);
    assert_int_equal(decay.count, 0);
    assert_int_equal(ms_decay_parse("model", "", NULL, &decay, &error), MS_OK);
    assert_int_equal(ms_decay_parse("model", "", without, &decay, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "model m@1 has no decays"));
    assert_int_equal(ms_decay_parse("0.8", "", with, &decay, &error), MS_OK);
    assert_int_equal(decay.count, 1);
    assert_int_equal(ms_decay_parse("", "1d", with, &decay, &error), MS_OK);
    assert_int_equal(decay.count, 1);
    ms_model_destroy(with);
    ms_model_destroy(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decays),
        cmocka_unit_test(decays_of_the_model),
        cmocka_unit_test(mode_of_a_foldable_model),
        cmocka_unit_test(mode_of_a_model_that_cannot_be_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
