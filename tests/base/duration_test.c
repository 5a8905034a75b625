/* Durations as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"

static void accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0", 0},
                 {"1500", 1500},
                 {"500ms", 500},
                 {"10s", 10000},
                 {"5m", 300000},
                 {"12h", 43200000},
                 {"007d", 604800000},
                 {"9223372036854775807", INT64_MAX},
                 {"106751991167d", 9223372036828800000},
                 {"PT6H", 21600000},
                 {"P1DT30M", 88200000},
                 {"P7D", 604800000},
                 {"PT1H2M3S", 3723000},
                 {"PT0S", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        if (!ms_duration_parse(cases[i].text, strlen(cases[i].text), &ms) || ms != cases[i].ms)
            fail_msg("'%s' is %lld ms", cases[i].text, (long long)ms);
    }
    int64_t ms = -1;
    assert_true(ms_duration_parse("10seconds", 3, &ms)); /* |size| counts */
    assert_int_equal(ms, 10000);
}

static void refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "s",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 s",
                                        "1w",
                                        "1.5h",
                                        "1hs",
                                        "1S",
                                        "9223372036854775808",
                                        "106751991168d",
                                        "P",
                                        "PT",
                                        "P1",
                                        "P1H",
                                        "PT1D",
                                        "P1Y",
                                        "PT1M1H",
                                        "PT1H1H",
                                        "P1DT",
                                        "PT1.5H",
                                        "pt1h",
                                        "PT9223372036854775807H"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t ms = 77;
        if (ms_duration_parse(texts[i], strlen(texts[i]), &ms) || ms != 77)
            fail_msg("'%s' was accepted", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
