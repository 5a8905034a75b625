/* A view as JSON: the documented keys, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "view/json.h"
#include "view/sample_views.h"

static char *json_of(const struct ms_user_view *view)
{
    struct ms_buffer out = {0};
    struct ms_error error;
    assert_int_equal(ms_user_view_json(view, &out, &error), MS_OK);
    assert_true(ms_buffer_append(&out, "", 1));
    return out.data;
}

static void check_json(const struct ms_user_view *view, const char *expected)
{
    char *text = json_of(view);
    assert_string_equal(text, expected);
    free(text);
}

static void with_a_model(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    sample.view.refolded = true;
    sample.view.model_fold_id = 0xfeedbeef12345678;
    sample.view.partitions[sample.view.partition_count++] = 8;
    sample.vectors[1] = 0.1f; /* nine digits are what a float needs */
    check_json(
        &sample.view,
        "{\"user_id\":\"u1\",\"partition\":3,\"partitions\":[3,8],\"version\":9,\"event_time\":3000,"
        "\"own_offset\":77,\"kept\":3,\"slots\":2,\"slots_max\":2,\"fold_id\":\"0000000000000abc\","
        "\"profile\":null,\"model\":\"m@1\",\"routing_mode\":\"incremental\",\"refolded\":true,"
        "\"model_fold_id\":\"feedbeef12345678\",\"dim\":2,\"window\":1,"
        "\"coupling_by\":\"full routing over the kept window\",\"interests\":["
        "{\"slot\":0,\"weight\":0.75,\"norm\":5.0,\"vector\":[3.0,0.100000001],\"nearest\":["
        "{\"item\":\"near\",\"score\":1.5},{\"item\":\"less near\",\"score\":-0.25}]},"
        "{\"slot\":1,\"weight\":0.25,\"norm\":0.5,\"vector\":[0.5,0.0],\"nearest\":[]}],\"behaviors\":["
        "{\"item\":\"old\",\"time\":1000,\"type\":\"click\",\"known\":true,\"coupling\":null},"
        "{\"item\":\"gone\",\"time\":2000,\"type\":\"\",\"known\":false,\"coupling\":null},"
        "{\"item\":\"new\",\"time\":3000,\"type\":\"view\",\"known\":true,\"coupling\":[0.25,0.75]}]}");
}

static void without_a_model(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    sample.view.model = NULL;
    sample.view.interests = NULL;
    sample.view.behavior_count = 1;
    sample.view.profile = BYTES("{\"age\":\t7}");
    check_json(&sample.view,
               "{\"user_id\":\"u1\",\"partition\":3,\"partitions\":[3],\"version\":9,\"event_time\":3000,"
               "\"own_offset\":77,\"kept\":3,\"slots\":2,\"slots_max\":2,\"fold_id\":\"0000000000000abc\","
               "\"profile\":\"{\\\"age\\\":\\t7}\",\"model\":null,\"behaviors\":["
               "{\"item\":\"old\",\"time\":1000,\"type\":\"click\"}]}");
}

static void empty_user(void **state)
{
    (void)state;
    const struct ms_user_view view = {.id = BYTES("u"),
                                      .partition_count = 1,
                                      .last_time_ms = INT64_MIN,
                                      .own_offset = -1,
                                      .model = "m@1",
                                      .dim = 4};
    check_json(&view,
               "{\"user_id\":\"u\",\"partition\":0,\"partitions\":[0],\"version\":0,\"event_time\":null,"
               "\"own_offset\":-1,\"kept\":0,\"slots\":0,\"slots_max\":0,\"fold_id\":\"0000000000000000\","
               "\"profile\":null,\"model\":\"m@1\",\"routing_mode\":\"full\",\"refolded\":false,"
               "\"model_fold_id\":\"0000000000000000\",\"dim\":4,\"window\":0,"
               "\"coupling_by\":\"full routing over the kept window\",\"interests\":[],\"behaviors\":[]}");
}

/* Numbers that JSON does not have, no inner products, and ids of any bytes. */
static void hostile_values(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    sample.view.has_nearest = false;
    sample.view.id = BYTES("a\0\"\n");
    sample.behaviors[0].item = BYTES("\xff\\");
    sample.vectors[0] = HUGE_VALF;
    sample.interests[0].norm = (double)NAN;
    sample.behaviors[0].coupling = sample.coupling;
    sample.coupling[0] = -HUGE_VALF;
    char *text = json_of(&sample.view);
    assert_non_null(strstr(text, "\"user_id\":\"a\\u0000\\\"\\n\""));
    assert_non_null(strstr(text, "\"item\":\"\\\\xff\\\\x5c\"")); /* escaped as on a terminal */
    assert_non_null(strstr(text, "\"norm\":null,\"vector\":[null,4.0],\"nearest\":null}"));
    assert_non_null(strstr(text, "\"coupling\":[null,0.75]"));
    free(text);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct sample_view sample;
    struct ms_error error;
    struct ms_buffer out = {.max = 100};
    sample_view_init(&sample);
    assert_true(ms_buffer_append(&out, "abc", 3));
    assert_int_equal(ms_user_view_json(&sample.view, &out, &error), MS_MEMORY);
    assert_int_equal(out.size, 3);
    assert_int_equal(ms_view_json_text(NULL, &out, &error), MS_MEMORY);
    assert_int_equal(out.size, 3);
    ms_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_model),   cmocka_unit_test(without_a_model), cmocka_unit_test(empty_user),
        cmocka_unit_test(hostile_values), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
