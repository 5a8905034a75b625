/* Every way to write a time, and every time that is refused. The calendar is held against timegm over all
 * days. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "event_check.h"
#include "event/time.h"

#define EARLY "it is before 1970"
#define LATE  "it is in the year 9999 or later"
#define NEVER "it is the largest time that a system can hold, which stands for never"
#define DATE  "its digits look like a date and not like a time since 1970; dates are taken as ISO 8601 text"
#define NONE  "it is neither a number nor an ISO 8601 time"

struct time_row {
    const char *json; /* the value of "timestamp" */
    int64_t ms;
    const char *error; /* NULL: it is |ms| */
};

static const struct time_row numbers[] = {
    {"0", 0, NULL},
    {"-0", 0, NULL},
    {"-0.0", 0, NULL},
    {"1", 1000, NULL},
    {"1700000000", 1700000000000, NULL},
    {"1700000000.123", 1700000000123, NULL}, /* * 1000 in doubles gives ...122.9999 for some of these */
    {"1700000000.1239", 1700000000123, NULL},
    {"1609459200.001", 1609459200001, NULL},
    {"1609459200.004", 1609459200004, NULL},
    {"1.7e9", 1700000000000, NULL},
    {"1.7E12", 1700000000000, NULL},
    {"17e8", 1700000000000, NULL},
    {"0.0009", 0, NULL},
    {"1e-320", 0, NULL},
    {"99999999999", 99999999999000, NULL},
    {"99999999999.9999", 99999999999999, NULL},
    {"100000000000", 100000000000, NULL}, /* 1e11: milliseconds from here */
    {"1700000000123", 1700000000123, NULL},
    {"1700000000123.9", 1700000000123, NULL},
    {"99999999999999", 99999999999999, NULL},
    {"100000000000000", 100000000000, NULL}, /* 1e14: microseconds from here */
    {"1700000000123456", 1700000000123, NULL},
    {"1700000000123999", 1700000000123, NULL},
    {"99999999999999999", 99999999999999, NULL},
    {"100000000000000000", 100000000000, NULL}, /* 1e17: nanoseconds from here */
    {"1700000000123456789", 1700000000123, NULL},
    {"1.700000000123456789e18", 1700000000123, NULL},
    {"9223372036854775807", 0, NEVER},
    {"9223372036854775806", 0, NEVER},
    {"9223372036854775", 0, NEVER}, /* the same in microseconds, milliseconds, seconds */
    {"9223372036854", 0, NEVER},
    {"9223372036", 0, NEVER},
    {"9.223372036854775807e18", 0, NEVER},
    {"8640000000000000", 0, NEVER},
    {"9007199254740991", 0, NEVER},
    {"31556889864403199", 0, NEVER},
    /* dates in digits */
    {"20231114221320", 0, DATE},
    {"20231114221320.0", 0, DATE},
    {"202311142213", 0, DATE},
    {"20231114221320123", 0, DATE},
    {"20231114", 0, DATE},
    {"20231314", 20231314000, NULL}, /* no such months and hours */
    {"20231114241320", 20231114241320, NULL},
    {"2023111422", 2023111422000, NULL}, /* ten digits are seconds */
    {"18446744073709551615", 0, LATE},
    {"123456789012345678901234567890", 0, LATE},
    {"1e17", 100000000000, NULL},
    {"1e300", 0, LATE},
    {"-1e300", 0, EARLY},
    {"-1e-320", 0, EARLY},
    {"-1", 0, EARLY},
    {"-0.001", 0, EARLY},
    {"-1700000000000", 0, EARLY},
    {"-9223372036854775808", 0, EARLY},
    /* the year 9999 in seconds and in milliseconds, and the numbers around it */
    {"253370764799", 253370764799, NULL},
    {"253370764800", 0, LATE},
    {"253402300799", 0, LATE},
    {"253402300799.999", 0, LATE},
    {"253402300800", 0, LATE}, /* still 9999 west of here */
    {"253402387199", 0, LATE},
    {"253402387200", 253402387200, NULL},
    {"253370764799999", 253370764799, NULL},
    {"253370764800000", 0, LATE},
    {"253402300799999", 0, LATE},
    {"253402300800000", 0, LATE},
    {"253402387200000", 253402387200, NULL},
    {"253370764799999999", 253370764799, NULL},
    {"253370764800000000", 0, LATE}, /* and in microseconds */
    {"253402300799999999", 0, LATE},
};

static const struct time_row texts[] = {
    {"\"1700000000\"", 1700000000000, NULL},
    {"\"1700000000.5\"", 1700000000500, NULL},
    {"\"1700000000123\"", 1700000000123, NULL},
    {"\"1700000000123456\"", 1700000000123, NULL},
    {"\"0\"", 0, NULL},
    {"\"253402300799\"", 0, LATE},
    {"\"-5\"", 0, EARLY},
    {"\"-0.5\"", 0, EARLY},
    {"\"99999999999999999999999999\"", 0, LATE},
    {"\"2023-11-14T22:13:20Z\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13:20.123Z\"", 1700000000123, NULL},
    {"\"2023-11-14t22:13:20.1z\"", 1700000000100, NULL},
    {"\"2023-11-14 22:13:20.123456789123 UTC\"", 1700000000123, NULL},
    {"\"2023-11-14 22:13:20.999999\"", 1700000000999, NULL},
    {"\"2023-11-14T22:13:20,5Z\"", 1700000000500, NULL},
    {"\"2023-11-14 22:13:20 UTC\"", 1700000000000, NULL},
    {"\"2023-11-14 22:13:20UTC\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13:20\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13Z\"", 1699999980000, NULL},
    {"\"2023-11-15T00:13:20+02:00\"", 1700000000000, NULL},
    {"\"2023-11-15T03:43:20+0530\"", 1700000000000, NULL},
    {"\"2023-11-14T14:13:20-08\"", 1700000000000, NULL},
    {"\"2023-11-14 22:13:20.100000 +00:00\"", 1700000000100, NULL},
    {"\"2023-11-14T22:13:20-00:00\"", 1700000000000, NULL},
    {"\"2023-11-14\"", 1699920000000, NULL},
    {"\"1970-01-01\"", 0, NULL},
    {"\"1970-01-01T00:00:00.0009Z\"", 0, NULL},
    {"\"1969-12-31T23:30:00-01:00\"", 1800000, NULL},
    {"\"1969-12-31T23:59:59.999Z\"", 0, EARLY},
    {"\"1970-01-01T00:59:59+01:00\"", 0, EARLY},
    {"\"0001-01-01T00:00:00Z\"", 0, EARLY},
    {"\"0000-01-01\"", 0, EARLY},
    {"\"9998-12-31T23:59:59.999Z\"", 253370764799999, NULL},
    {"\"9999-01-01T00:00:00Z\"", 0, LATE},
    {"\"9999-12-31T23:59:59.999Z\"", 0, LATE},
    {"\"9998-12-31T23:59:59-00:01\"", 0, LATE},
    {"\"9999-01-01T00:00:00+00:01\"", 253370764740000, NULL},
    {"\"10000-01-01T00:00:00Z\"", 0, NONE},
    {"\"2024-02-29\"", 1709164800000, NULL},
    {"\"2000-02-29\"", 951782400000, NULL},
    {"\"2023-02-29\"", 0, NONE},
    {"\"2100-02-29\"", 0, NONE},
    {"\"2023-04-31\"", 0, NONE},
    {"\"2023-00-10\"", 0, NONE},
    {"\"2023-13-10\"", 0, NONE},
    {"\"2023-01-00\"", 0, NONE},
    {"\"2023-01-32\"", 0, NONE},
    {"\"2023-11-14T24:00:00Z\"", 0, NONE},
    {"\"2023-11-14T23:59:60Z\"", 0, NONE},
    {"\"2023-11-14T23:60:00Z\"", 0, NONE},
    {"\"2023-11-14T22:13:20+24:00\"", 0, NONE},
    {"\"2023-11-14T22:13:20+02:60\"", 0, NONE},
    {"\"2023-11-14T22:13:20+2\"", 0, NONE},
    {"\"2023-11-14T22:13:20+02:\"", 0, NONE},
    {"\"2023-11-14T22:13:20.Z\"", 0, NONE},
    {"\"2023-11-14T22:13:20Zx\"", 0, NONE},
    {"\"2023-11-14T22:13:20 \"", 0, NONE},
    {"\"2023-11-14T22:13:20 CET\"", 0, NONE},
    {"\"2023-11-14T22\"", 0, NONE},
    {"\"2023-11-14T\"", 0, NONE},
    {"\"2023-11-14Z\"", 0, NONE},
    {"\"2023-1-14\"", 0, NONE},
    {"\"14/Nov/2023:22:13:20 +0000\"", 0, NONE},
    {"\" 2023-11-14\"", 0, NONE},
    {"\"1700000000 \"", 0, NONE},
    {"\"1.\"", 0, NONE},
    {"\".5\"", 0, NONE},
    {"\"+5\"", 0, NONE},
    {"\"1e9\"", 1000000000000, NULL},
    {"\"1.700000000123E9\"", 1700000000123, NULL},
    {"\"1.700000000123000000e+09\"", 1700000000123, NULL},
    {"\"1.700000000123E12\"", 1700000000123, NULL},
    {"\"17000000001239E-4\"", 1700000000123, NULL},
    {"\"5e-1\"", 500, NULL},
    {"\"5e-4\"", 0, NULL},
    {"\"1e-400\"", 0, NULL},
    {"\"0e99999999999\"", 0, NULL},
    {"\"1e400\"", 0, LATE},
    {"\"-1e3\"", 0, EARLY},
    {"\"1e\"", 0, NONE},
    {"\"1e+\"", 0, NONE},
    {"\"e9\"", 0, NONE},
    {"\"1700000000123456789\"", 1700000000123, NULL},
    {"\"9223372036854775807\"", 0, NEVER},
    {"\"9223372036854775808\"", 0, "it is "},
    /* basic ISO 8601 */
    {"\"20231114T221320Z\"", 1700000000000, NULL},
    {"\"20231114T221320.123Z\"", 1700000000123, NULL},
    {"\"20231115T034320+0530\"", 1700000000000, NULL},
    {"\"20231114T2213Z\"", 1699999980000, NULL},
    {"\"20231114\"", 1699920000000, NULL},
    {"\"20231314\"", 20231314000, NULL},
    {"\"20231114221320\"", 0, DATE},
    {"\"20231114T22132Z\"", 0, NONE},
    {"\"2023-1114\"", 0, NONE},
    {"\"202311-14\"", 0, NONE},
    /* the zone's name behind its offset */
    {"\"2023-11-15T03:43:20+05:30[Asia/Kolkata]\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13:20Z[UTC]\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13:20+00[Etc/GMT-0][u-ca=iso8601]\"", 1700000000000, NULL},
    {"\"2023-11-14T22:13:20[Europe/Paris]\"", 0, "it names its zone without the offset from UTC"},
    {"\"2023-11-14T22:13:20Z[]\"", 0, NONE},
    {"\"2023-11-14T22:13:20Z[UTC\"", 0, NONE},
    {"\"2262-04-11T23:47:16.854775807Z\"", 0, NEVER},
    {"\"-\"", 0, NONE},
    {"\"\"", 0, NONE},
    {"\"now\"", 0, NONE},
    {"true", 0, "expected a number or an ISO 8601 time"},
    {"{}", 0, "is an object, expected a number"},
    {"[1700000000]", 0, "is an array, expected a number"},
};

static void check_times(const struct time_row *times, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char value[256];
        snprintf(value, sizeof value, "{\"user_id\":\"u\",\"item_id\":\"i\",\"timestamp\":%s}",
                 times[i].json);
        struct row row = {.value = value, .user = "u", .item = "i", .type = "", .time = times[i].ms};
        row.error = times[i].error;
        check_rows(&default_fields, &row, 1);
        if (row.error) { /* it is named, too */
            row.error = "time: \"timestamp\" is ";
            check_rows(&default_fields, &row, 1);
        }
    }
}

static void test_numbers(void **state)
{
    (void)state;
    check_times(numbers, sizeof numbers / sizeof *numbers);
}

static void test_texts(void **state)
{
    (void)state;
    check_times(texts, sizeof texts / sizeof *texts);
}

static void test_record_time(void **state)
{
    (void)state;
#define VALUE(time) "{\"user_id\":\"u\",\"item_id\":\"i\"" time "}"
    static const struct row rows[] = {
        {.value = VALUE(""), .user = "u", .item = "i", .type = "", .time = RECORD_TIME},
        {.value = VALUE(",\"timestamp\":null"), .user = "u", .item = "i", .type = "", .time = RECORD_TIME},
        {.value = VALUE(""), .record_time = 1, .user = "u", .item = "i", .type = "", .time = 1},
        {.value = VALUE(""),
         .record_time = NO_TIME,
         .error = "time: none in the event (looked for \"timestamp\"), and the record has no timestamp"},
        {.value = VALUE(""),
         .record_time = MS_TIME_END_MS,
         .error = "the record timestamp 253370764800000 is in the year 9999"},
        {.value = VALUE(",\"timestamp\":5"),
         .record_time = NO_TIME,
         .user = "u",
         .item = "i",
         .type = "",
         .time = 5000},
    };
    check_rows(&default_fields, rows, sizeof rows / sizeof *rows);
}

static void test_every_day(void **state)
{
    (void)state;
    for (time_t day = 0; day < MS_TIME_END_MS / 86400000; day++) {
        time_t second = day * 86400 + day % 86400;
        struct tm tm;
        char text[64];
        assert_non_null(gmtime_r(&second, &tm));
        size_t bytes = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t ms = -1;
        if (ms_time_from_text(text, bytes, &ms) || ms != second * 1000)
            fail_msg("%s is read as %lld", text, (long long)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_record_time),
        cmocka_unit_test(test_every_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
