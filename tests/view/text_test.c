/* A view as text, line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "view/sample_views.h"
#include "view/text.h"

/* The caller frees the text. */
static char *text_of(const struct ms_user_view *view, size_t limit)
{
    struct ms_buffer out = {0};
    struct ms_error error;
    assert_int_equal(ms_user_view_text(view, limit, NULL, &out, &error), MS_OK);
    assert_true(ms_buffer_append(&out, "", 1));
    return out.data;
}

static void check_text(const struct ms_user_view *view, size_t limit, const char *expected)
{
    char *text = text_of(view, limit);
    assert_string_equal(text, expected);
    free(text);
}

static void incremental(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    check_text(
        &sample.view, 0,
        "user          u1\n"
        "partition     3\n"
        "version       9\n"
        "last event    1970-01-01T00:00:03.000Z\n"
        "folded up to  input offset 77\n"
        "behaviors     3 kept, 1 of them in the window of 20\n"
        "interests     2 (K'u)\n"
        "model         m@1, routing.mode=incremental\n"
        "fold id       0000000000000abc\n"
        "\n"
        "interests\n"
        "  slot  weight   norm  nearest items (inner product)\n"
        "     0   0.750  5.000  near 1.500  less near -0.250\n"
        "     1   0.250  0.500\n"
        "\n"
        "behaviors, oldest first, with their coupling to each interest by full routing over the kept window\n"
        "  time                      item  type         to 0        to 1\n"
        "  1970-01-01T00:00:01.000Z  old   click           -           -  before the window\n"
        "  1970-01-01T00:00:02.000Z  gone                  -           -  unknown to the model\n"
        "  1970-01-01T00:00:03.000Z  new   view   0.250 █     0.750 ███ \n");
}

/* Full routing, folded again, without inner products, in two partitions, and only the newest behavior. */
static void full_and_refolded(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    struct ms_user_view *view = &sample.view;
    view->incremental = view->has_nearest = false;
    view->refolded = true;
    view->model_fold_id = 0xfeedbeef12345678;
    view->partitions[view->partition_count++] = 8;
    view->partitions[view->partition_count++] = 11;
    sample.interests[0].nearest_count = 0;
    check_text(
        view, 1,
        "user          u1\n"
        "partition     3  (state of this user is also in 8 11: the topic is not keyed by user; see --partition)\n"
        "version       9\n"
        "last event    1970-01-01T00:00:03.000Z\n"
        "folded up to  input offset 77\n"
        "behaviors     3 kept, 1 of them in the window of 20\n"
        "interests     2 (K'u)\n"
        "model         m@1, routing.mode=full\n"
        "fold id       0000000000000abc\n"
        "              not that of this model and these settings (feedbeef12345678): the interests below are of a\n"
        "              copy that was folded again from the kept behaviors\n"
        "\n"
        "interests\n"
        "  slot  weight   norm\n"
        "     0   0.750  5.000\n"
        "     1   0.250  0.500\n"
        "\n"
        "behaviors, oldest first, with their coupling to each interest\n"
        "  (2 older ones are not shown)\n"
        "  time                      item  type        to 0        to 1\n"
        "  1970-01-01T00:00:03.000Z  new   view  0.250 █     0.750 ███ \n");
}

static void without_a_model(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    struct ms_user_view *view = &sample.view;
    view->model = NULL;
    view->interests = NULL;
    view->coupling_count = 0;
    view->profile = BYTES("{\"age\":\t7}");
    check_text(view, 3,
               "user          u1\n"
               "partition     3\n"
               "version       9\n"
               "last event    1970-01-01T00:00:03.000Z\n"
               "folded up to  input offset 77\n"
               "profile       {\"age\":\\x097}\n"
               "behaviors     3 kept\n"
               "interests     2 (K'u)\n"
               "fold id       0000000000000abc\n"
               "\n"
               "Interests and couplings need the model: give --model DIR, or -c FILE with model.dir in it.\n"
               "\n"
               "behaviors, oldest first\n"
               "  time                      item  type\n"
               "  1970-01-01T00:00:01.000Z  old   click\n"
               "  1970-01-01T00:00:02.000Z  gone\n"
               "  1970-01-01T00:00:03.000Z  new   view\n");
}

static void empty_user(void **state)
{
    (void)state;
    const struct ms_user_view view = {.id = BYTES("u"),
                                      .partition_count = 1,
                                      .last_time_ms = INT64_MIN,
                                      .own_offset = -1,
                                      .model = "m@1",
                                      .max_behaviors = 5};
    check_text(&view, 0,
               "user          u\n"
               "partition     0\n"
               "version       0\n"
               "last event    -\n"
               "folded up to  input offset -1\n"
               "behaviors     0 kept, 0 of them in the window of 5\n"
               "interests     0 (K'u)\n"
               "model         m@1, routing.mode=full\n"
               "fold id       0000000000000000\n"
               "\n"
               "interests\n"
               "  none: no kept behavior has an item that the model knows\n"
               "\n"
               "behaviors, oldest first\n"
               "  time  item  type\n");
}

/* No byte of an id, an item, a type or a profile reaches the terminal as a control character. */
static void hostile_bytes(void **state)
{
    (void)state;
    struct sample_view sample;
    sample_view_init(&sample);
    sample.view.id = BYTES("\x1b[2J\xff\0");
    sample.view.profile = BYTES("\r{}");
    sample.behaviors[0].item = BYTES("a\nuser          u2");
    sample.behaviors[0].type = BYTES("\xc2\x9b");
    sample.interests[0].nearest[0].item = BYTES("\x07");
    char *text = text_of(&sample.view, 0);
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
    assert_non_null(strstr(text, "user          \\x1b[2J\\xff\\x00\n"));
    assert_non_null(strstr(text, "profile       \\x0d{}\n"));
    assert_non_null(strstr(text, "a\\x0auser          u2  \\xc2\\x9b"));
    assert_non_null(strstr(text, "\\x07 1.500"));
    free(text);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct sample_view sample;
    struct ms_error error;
    sample_view_init(&sample);
    char *text = text_of(&sample.view, 0);
    size_t size = strlen(text);
    free(text);
    for (size_t max = 3; max < 3 + size; max += 7) {
        struct ms_buffer out = {.max = max};
        assert_true(ms_buffer_append(&out, "abc", 3));
        assert_int_equal(ms_user_view_text(&sample.view, 0, NULL, &out, &error), MS_MEMORY);
        assert_int_equal(out.size, 3);
        ms_buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incremental), cmocka_unit_test(full_and_refolded), cmocka_unit_test(without_a_model),
        cmocka_unit_test(empty_user),  cmocka_unit_test(hostile_bytes),     cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
