/* Which topics the settings need, with how many partitions, and which differences count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/topic_plan.h"

static const struct ms_config all = {.input_topic = "clicks",
                                     .profile_topic = "people",
                                     .output_topic = "interests",
                                     .dead_letter_topic = "dead"};

static struct ms_topic_found topic(int partitions, int replication, const char *cleanup)
{
    struct ms_topic_found found = {.exists = true, .partitions = partitions, .replication = replication};
    strcpy(found.cleanup, cleanup);
    return found;
}

/* The plan of all four topics, settled by what exists of input and profile (0 partitions: it does not). */
static void plan(struct ms_topic_want *wants, int asked, int input_partitions, int profile_partitions)
{
    struct ms_topic_found found[MS_TOPICS_MAX] = {{0}};
    if (input_partitions)
        found[0] = topic(input_partitions, 1, "delete");
    if (profile_partitions)
        found[1] = topic(profile_partitions, 1, "compact");
    assert_int_equal(ms_topic_plan(wants, &all, asked, 0), 4);
    ms_topic_plan_settle(wants, found, 4);
}

static void test_topics(void **state)
{
    (void)state;
    struct ms_topic_want wants[MS_TOPICS_MAX];
    assert_int_equal(ms_topic_plan(wants, &all, 7, 3), 4);
    static const char *const names[] = {"clicks", "people", "interests", "dead"};
    static const char *const cleanups[] = {"delete", "compact", "compact", "delete"};
    static const char *const keys[] = {"input.topic", "profile.topic", "output.topic", "dead.letter.topic"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(wants[i].name, names[i]);
        assert_string_equal(wants[i].cleanup, cleanups[i]);
        assert_string_equal(wants[i].key, keys[i]);
        assert_int_equal(wants[i].partitions, 7);
        assert_int_equal(wants[i].replication, 3);
    }
    struct ms_config two = all;
    two.profile_topic = two.dead_letter_topic = "";
    assert_int_equal(ms_topic_plan(wants, &two, 0, 0), 2);
    assert_string_equal(wants[1].key, "output.topic");
}

static void test_partitions(void **state)
{
    (void)state;
    static const struct {
        int asked, input, profile, expected;
    } cases[] = {
        {0, 0, 0, MS_TOPIC_PARTITIONS}, {0, 6, 0, 6}, {0, 0, 5, 5}, {0, 6, 5, 6}, {9, 6, 5, 9}, {9, 0, 0, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ms_topic_want wants[MS_TOPICS_MAX];
        plan(wants, cases[i].asked, cases[i].input, cases[i].profile);
        for (size_t t = 0; t < 4; t++) {
            assert_int_equal(wants[t].partitions, cases[i].expected);
            /* Of output and dead letters any number fits, unless one was asked for. */
            assert_int_equal(wants[t].any_partitions, t >= 2 && !cases[i].asked);
        }
    }
}

static void test_fits(void **state)
{
    (void)state;
    char text[256];
    struct ms_topic_want wants[MS_TOPICS_MAX];
    struct ms_topic_found found = topic(6, 1, "delete");
    plan(wants, 0, 6, 0);
    assert_true(ms_topic_fits(&wants[0], &found, text, sizeof text));
    assert_string_equal(text, "");
    assert_false(ms_topic_fits(&wants[2], &found, text, sizeof text));
    assert_string_equal(text, "cleanup.policy=delete, expected compact");
    found = topic(5, 1, "compact");
    assert_true(ms_topic_fits(&wants[2], &found, text, sizeof text));
    assert_false(ms_topic_fits(&wants[1], &found, text, sizeof text));
    assert_string_equal(text, "partitions=5, expected 6");
    plan(wants, 4, 0, 0);
    assert_false(ms_topic_fits(&wants[2], &found, text, sizeof text));
    assert_string_equal(text, "partitions=5, expected 4");
    found = topic(4, 1, "compact,delete");
    assert_false(ms_topic_fits(&wants[2], &found, text, sizeof text));
    assert_string_equal(text, "cleanup.policy=compact,delete, expected compact");
}

static void test_replication(void **state)
{
    (void)state;
    char text[256];
    struct ms_topic_want wants[MS_TOPICS_MAX];
    struct ms_topic_found found = topic(4, 1, "delete");
    ms_topic_plan(wants, &all, 4, 3);
    ms_topic_plan_settle(wants, (struct ms_topic_found[4]){{0}}, 4);
    assert_false(ms_topic_fits(&wants[0], &found, text, sizeof text));
    assert_string_equal(text, "replication=1, expected 3");
    found.replication = 3;
    assert_true(ms_topic_fits(&wants[0], &found, text, sizeof text));
    /* Not asked for: any. */
    ms_topic_plan(wants, &all, 4, 0);
    assert_true(ms_topic_fits(&wants[0], &found, text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_replication),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
