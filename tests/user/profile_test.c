/* Profiles to embeddings: values of every type against rows picked by hand, and means of several. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_writer.h"
#include "user/profile.h"

/* Fields in the order of their names: age (3 values and a row for all others), tags (2, default the first).
 */
static const float ages[4][1] = {{1}, {2}, {3}, {100}}, tags[2][2] = {{10, -10}, {20, 40}};

static struct ms_model *model;
static struct ms_json *json;

static int setup(void **state)
{
    static const float zeros[12];
    static const char *const items[] = {"i1", "i2"};
    const struct writer_tensor tensors[] = {{"item_embedding", zeros, 2, {2, 3}, false},
                                            {"routing.bilinear", zeros, 2, {3, 2}, false},
                                            {"profile.age", ages[0], 2, {4, 1}, false},
                                            {"profile.tags", tags[0], 2, {2, 2}, false}};
    struct ms_error error;
    char *dir = writer_temp_dir();
    (void)state;
    writer_model(dir,
                 "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\","
                 "\"dim\":5,\"interests\":3,\"max_behaviors\":5}",
                 items, 2, tensors, 4);
    writer_file(dir, "profile_age.txt", "7\n-7\n18446744073709551615\n", 26);
    writer_file(dir, "profile_tags.txt", "a\nb \xc3\xa9\n", 7);
    assert_int_equal(ms_model_load(&model, dir, &error), MS_OK);
    writer_remove(dir);
    free(dir);
    json = ms_json_new();
    return json && ms_json_reserve(json, MS_PROFILE_MAX_BYTES) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    ms_model_destroy(model);
    ms_json_destroy(json);
    return 0;
}

static void embeds(const char *profile, float age, float tag0, float tag1)
{
    float out[4] = {-1, -1, -1, -1};
    ms_profile_embed_text(model, json, profile, profile ? strlen(profile) : 0, out);
    if (out[0] != age || out[1] != tag0 || out[2] != tag1 || out[3] != -1)
        fail_msg("%s: %g %g %g, then %g", profile ? profile : "none", (double)out[0], (double)out[1],
                 (double)out[2], (double)out[3]);
}

static void single_values(void **state)
{
    (void)state;
    embeds("{\"age\":\"7\",\"tags\":\"b \xc3\xa9\"}", 1, 20, 40);
    embeds("{\"tags\":\"b \\u00e9\",\"age\":7}", 1, 20, 40);
    embeds("{\"age\":-7}", 2, 10, -10);
    embeds("{\"age\":18446744073709551615}", 3, 10, -10);
    embeds("{\"age\":8,\"tags\":\"b\"}", 100, 10, -10); /* not known */
    embeds("{\"age\":\"\",\"tags\":\"A\"}", 100, 10, -10);
    embeds("{\"age\":\"07\"}", 100, 10, -10);
}

static void no_values(void **state)
{
    (void)state;
    static const char *const defaults[] = {"{}",
                                           "{\"age\":null,\"tags\":null}",
                                           "{\"age\":7.5,\"tags\":true}",
                                           "{\"age\":{\"a\":7},\"tags\":[]}",
                                           "{\"age\":[null,7.5,[7],{}],\"tags\":[false]}",
                                           "{\"Age\":7,\"user\":{\"age\":7}}",
                                           "",
                                           "[7]",
                                           "7",
                                           "{\"age\":7",
                                           NULL};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        embeds(defaults[i], 100, 10, -10);
}

static void several_values(void **state)
{
    (void)state;
    embeds("{\"age\":[7],\"tags\":[\"a\"]}", 1, 10, -10);
    embeds("{\"age\":[7.0],\"tags\":[\"a\"]}", 1, 10, -10); /* a whole number written as a double */
    embeds("{\"age\":[7,\"-7\"],\"tags\":[\"a\",\"b \xc3\xa9\"]}", 1.5f, 15, 15);
    embeds("{\"age\":[7,\"no\"],\"tags\":[\"b \xc3\xa9\",\"no\"]}", 50.5f, 15,
           15); /* the default row counts */
    embeds("{\"age\":[7,7,7,-7],\"tags\":[\"a\",\"a\",\"b \xc3\xa9\",\"a\"]}", 1.25f, 12.5f, 2.5f);
    embeds("{\"age\":[7,null,7.5,-7]}", 1.5f, 10, -10); /* what has no row does not */
}

/* The first MS_PROFILE_VALUES count. */
static void too_many_values(void **state)
{
    (void)state;
    char text[8 * MS_PROFILE_VALUES] = "{\"age\":[7";
    for (int i = 1; i < MS_PROFILE_VALUES; i++)
        strcat(text, ",7");
    strcat(text, ",-7,-7]}");
    embeds(text, 1, 10, -10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_values),
        cmocka_unit_test(no_values),
        cmocka_unit_test(several_values),
        cmocka_unit_test(too_many_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
