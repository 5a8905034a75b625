/* Field paths, and the shapes of events that they make readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event_check.h"

#define ROWS(rows)       (rows), sizeof(rows) / sizeof *(rows)
#define OK(u, i, ty, ti) .kind = MS_EVENT_ACCEPTED, .user = (u), .item = (i), .type = (ty), .time = (ti)

static void test_fallbacks(void **state)
{
    (void)state;
    const struct ms_event_fields fields = {
        .user = "user_id , userId,who.name,who",
        .item = "a.b[1][0].c d , items[2] .id,a\\.b,back\\\\slash,br\\[0\\],com\\,ma",
        .time = "t[0],t",
        .type = "",
        .types = "",
        .id_max_bytes = 100,
    };
    static const struct row rows[] = {
        {.value = "{\"userId\":\"second\",\"user_id\":\"first\",\"a.b\":\"i\",\"t\":1}",
         OK("first", "i", "", 1000)},
        {.value = "{\"userId\":\"second\",\"user_id\":null,\"a.b\":\"i\",\"t\":[2]}",
         OK("second", "i", "", 2000)},
        {.value = "{\"who\":{\"name\":\"w\"},\"back\\\\slash\":\"i\",\"t\":1}", OK("w", "i", "", 1000)},
        {.value = "{\"who\":\"me\",\"br[0]\":\"i\",\"t\":1}", OK("me", "i", "", 1000)},
        {.value = "{\"who\":7,\"com,ma\":\"i\",\"t\":1}", OK("7", "i", "", 1000)},
        {.value = "{\"who\":7,\"a\":{\"b\":[0,[{\"c d\":\"deep\"}]]},\"t\":1}", OK("7", "deep", "", 1000)},
        {.value = "{\"who\":7,\"a\":{\"b\":[0,[{\"c d\":null}]]},\"a.b\":\"i\",\"t\":1}",
         OK("7", "i", "", 1000)},
        {.value = "{\"who\":7,\"a\":{\"b\":[0]},\"a.b\":\"i\",\"t\":1}", OK("7", "i", "", 1000)},
        {.value = "{\"who\":7,\"a\":{\"b\":{\"1\":1}},\"a.b\":\"i\",\"t\":1}", OK("7", "i", "", 1000)},
        {.value = "{\"who\":7,\"a\":[1],\"a.b\":\"i\",\"t\":1}", OK("7", "i", "", 1000)},
        {.value = "{\"who\":7,\"a\":\"text\",\"a.b\":\"i\",\"t\":1,\"event_type\":\"not asked\"}",
         OK("7", "i", "", 1000)},
        /* what is there but wrong is not passed over */
        {.value = "{\"user_id\":true,\"userId\":\"u\",\"a.b\":\"i\",\"t\":1}",
         .error = "user: \"user_id\" is true"},
        {.value = "{\"user_id\":\"\",\"userId\":\"u\",\"a.b\":\"i\",\"t\":1}", OK("u", "i", "", 1000)},
        {.value = "{\"who\":{},\"a.b\":\"i\",\"t\":1}", .error = "user: \"who\" is an object"},
        {.value = "{\"who\":7,\"a\":{\"b\":[0,[{\"c d\":[]}]]},\"a.b\":\"i\",\"t\":1}",
         .error = "item: \"a.b[1][0].c d\" is an array"},
        {.value = "{\"who\":7,\"t\":1}",
         .error = "item: none in the event (looked for \"a.b[1][0].c d , items"},
        {.value = "{\"who\":7,\"a.b\":\"i\",\"t\":[]}", .error = "time: \"t\" is an array"},
    };
    check_rows(&fields, ROWS(rows));
}

static void test_user_only_from_key(void **state)
{
    (void)state;
    const struct ms_event_fields fields = {"", "item_id", " ", "", " ", 100, MS_KEY_STRING};
    static const struct row rows[] = {
        {.key = "k",
         .value = "{\"user_id\":\"u\",\"item_id\":\"i\",\"timestamp\":1}",
         OK("k", "i", "", RECORD_TIME)},
        {.value = "{\"user_id\":\"u\",\"item_id\":\"i\"}", .error = "user: none in the event"},
    };
    check_rows(&fields, ROWS(rows));
}

/* Paths for the shapes that trackers, shops and demos publish, in one list for each field. */
static const struct ms_event_fields wide_fields = {
    .user = "user_id,userId,userid,visitorid,anonymousId,domain_userid,user_pseudo_id,data.user_id,payload."
            "user_id",
    .item = "item_id,itemid,product_id,target_id,pageid,properties.product_id,"
            "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1[0].id,items[0].item_id,"
            "ecommerce.items[0].item_id,data.item_id,payload.item_id",
    .time =
        "timestamp,originalTimestamp,derived_tstamp,event_timestamp,event_time,viewtime,ts,time,payload.ts",
    .type = "event,event_name,event_type,behavior,behavior_type,"
            "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1.type",
    .types = "",
    .id_max_bytes = 1024,
};

static void test_tracker_shapes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Segment and RudderStack */
        {.value =
             "{\"type\":\"track\",\"event\":\"Product Clicked\",\"userId\":\"w7Kc\",\"anonymousId\":\"an-1\","
             "\"timestamp\":\"2021-06-01T10:00:00.250Z\",\"properties\":{\"product_id\":\"p-55\",\"price\":4."
             "5}}",
         OK("w7Kc", "p-55", "Product Clicked", 1622541600250)},
        {.value =
             "{\"type\":\"track\",\"event\":\"Product Clicked\",\"userId\":null,\"anonymousId\":\"an-1\","
             "\"originalTimestamp\":\"2021-06-01T10:00:00.25Z\",\"properties\":{\"product_id\":77}}",
         OK("an-1", "77", "Product Clicked", 1622541600250)},
        /* Google Analytics 4: the data layer, and the export in microseconds */
        {.key = "c.9",
         .value = "{\"event\":\"select_item\",\"ecommerce\":{\"items\":[{\"item_id\":\"K1\",\"index\":0},"
                  "{\"item_id\":\"K2\"}]}}",
         OK("c.9", "K1", "select_item", RECORD_TIME)},
        {.value = "{\"event_date\":\"20210601\",\"event_timestamp\":1622541600250999,\"event_name\":\"select_"
                  "item\","
                  "\"user_id\":null,\"user_pseudo_id\":\"55.66\",\"items\":[{\"item_id\":\"K1\"}]}",
         OK("55.66", "K1", "select_item", 1622541600250)},
        /* Snowplow: contexts are arrays */
        {.value =
             "{\"domain_userid\":\"d3\",\"event_type\":null,\"derived_tstamp\":\"2021-06-01T10:00:00.250Z\","
             "\"unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1\":"
             "{\"type\":\"list_click\"},\"contexts_com_snowplowanalytics_snowplow_ecommerce_product_1\":"
             "[{\"id\":\"9001\",\"price\":20}]}",
         OK("d3", "9001", "list_click", 1622541600250)},
    };
    check_rows(&wide_fields, ROWS(rows));
}

static void test_demo_shapes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.key = "User_8",
         .value = "{\"viewtime\":1622541600250,\"userid\":\"User_8\",\"pageid\":\"Page_3\"}",
         OK("User_8", "Page_3", "", 1622541600250)},
        {.value =
             "{\"product_id\":\"0d9c-11\",\"user_id\":\"77ab-22\",\"view_time\":12,\"ts\":1622541600250}",
         OK("77ab-22", "0d9c-11", "", 1622541600250)},
        {.value = "{\"user_id\":\"9\",\"target_id\":\"thread3\",\"target_type\":\"thread\",\"behavior_type\":"
                  "\"share\","
                  "\"event_timestamp\":\"2021-06-01 10:00:00.250000 +00:00\"}",
         OK("9", "thread3", "share", 1622541600250)},
        {.value = "{\"user_id\":\"31\",\"item_id\":\"62\",\"category_id\":\"5\",\"behavior\":\"pv\",\"ts\":"
                  "\"2021-06-01T10:00:00Z\"}",
         OK("31", "62", "pv", 1622541600000)},
        {.value =
             "{\"event_time\":\"2021-06-01 10:00:00 UTC\",\"event_type\":\"view\",\"product_id\":1003461,"
             "\"category_id\":2053013555631882655,\"price\":489.07,\"user_id\":520088904}",
         OK("520088904", "1003461", "view", 1622541600000)},
        {.value = "{\"timestamp\":1622541600250,\"visitorid\":4,\"event\":\"addtocart\",\"itemid\":15,"
                  "\"transactionid\":null}",
         OK("4", "15", "addtocart", 1622541600250)},
        /* envelopes: CloudEvents, Kafka Connect's JSON converter */
        {.value = "{\"specversion\":\"1.0\",\"type\":\"shop.clicked\",\"id\":\"e1\",\"time\":\"2021-06-01T10:"
                  "00:00Z\","
                  "\"data\":{\"user_id\":\"u5\",\"item_id\":\"i6\"}}",
         OK("u5", "i6", "", 1622541600000)},
        {.value =
             "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"user_id\",\"type\":\"string\"}]},"
             "\"payload\":{\"user_id\":\"u5\",\"item_id\":6,\"ts\":1622541600250}}",
         OK("u5", "6", "", 1622541600250)},
        /* an access log has no item */
        {.value =
             "{\"userid\":12,\"time\":\"01/Jun/2021:10:00:00 +0000\",\"request\":\"GET /x.html HTTP/1.1\"}",
         .error = "item: none in the event"},
    };
    check_rows(&wide_fields, ROWS(rows));
}

static void check_config_error(struct ms_event_fields fields, const char *expected)
{
    struct ms_decoder *decoder = NULL;
    struct ms_error error = {.text = ""};
    enum ms_status status = ms_decoder_new(&decoder, &fields, &error);
    if (status != MS_CONFIG || !strstr(error.text, expected))
        fail_msg("status %s \"%s\", expected CONFIG with \"%s\"", ms_status_name(status), error.text,
                 expected);
    assert_null(decoder);
}

static void test_bad_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *expected;
    } bad[] = {
        {"a..b", "\"a..b\" does not parse at character 3: expected a name"},
        {".a", "character 1: expected a name"},
        {"a.", "character 3: expected a name"},
        {"a,", "character 3: expected a name"},
        {"a, ,b", "character 4: expected a name"},
        {",a", "character 1: expected a name"},
        {"[0]", "character 1: expected a name"},
        {"a.[0]", "character 3: expected a name"},
        {"a[x]", "character 3: expected a number"},
        {"a[]", "character 3: expected a number"},
        {"a[-1]", "character 3: expected a number"},
        {"a[1", "character 4: expected a ']'"},
        {"a[1 ]", "character 4: expected a ']'"},
        {"a[9999999999]", "character 12: expected an index of at most 999999999"},
        {"a]", "character 2: expected a '.', a '[' or a ','"},
        {"a[0]b", "character 5: expected a '.', a '[' or a ','"},
        {"a\xff", "is not UTF-8"},
        {"a\\", "character 3: expected a character after the backslash"},
        {"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "expected at most 32 names"},
        {"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "expected at most 32 paths"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ms_event_fields fields = default_fields;
        fields.user = bad[i].path;
        check_config_error(fields, bad[i].expected);
        check_config_error(fields, "input.user.field");
    }
    struct ms_event_fields fields = default_fields;
    fields.item = "a[";
    check_config_error(fields, "input.item.field: \"a[\"");
    fields = default_fields;
    fields.time = "a[";
    check_config_error(fields, "input.time.field: ");
    fields = default_fields;
    fields.type = "a[";
    check_config_error(fields, "input.type.field: ");
    fields = default_fields;
    fields.item = "";
    check_config_error(fields, "input.item.field is empty");
    fields = default_fields;
    fields.types = "a,,b";
    check_config_error(fields, "input.types: type 2 of \"a,,b\" has 0 bytes");
    fields.types = "a,";
    check_config_error(fields, "input.types: type 2");
}

/* An error about a long path keeps its reason and cuts no character in half. */
static void test_long_path_in_error(void **state)
{
    (void)state;
    char path[1000], value[1100];
    memset(path, 'p', sizeof path);
    memcpy(path + 199, "\xc3\xa9", 2);
    path[sizeof path - 1] = '\0';
    struct ms_event_fields fields = default_fields;
    fields.user = path;
    snprintf(value, sizeof value, "{\"%s\":true}", path);
    char expected[300];
    snprintf(expected, sizeof expected, "user: \"%.199s\" is true, expected a string", path);
    const struct row wrong = {.value = value, .error = expected};
    check_rows(&fields, &wrong, 1);
    snprintf(expected, sizeof expected, "user: none in the event (looked for \"%.199s\"), and", path);
    const struct row none = {.value = "{}", .error = expected};
    check_rows(&fields, &none, 1);
}

static void test_longest_path(void **state)
{
    (void)state;
    struct ms_event_fields fields = default_fields;
    fields.item =
        "a.a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0],"
        "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,item_id";
    static const struct row rows[] = {
        {.value = "{\"user_id\":\"u\",\"item_id\":\"i\",\"timestamp\":1}", OK("u", "i", "", 1000)},
        {.value = "{\"user_id\":\"u\",\"a\":{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[5]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                  "]]]},\"timestamp\":1}",
         OK("u", "5", "", 1000)},
    };
    check_rows(&fields, ROWS(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fallbacks),          cmocka_unit_test(test_user_only_from_key),
        cmocka_unit_test(test_tracker_shapes),     cmocka_unit_test(test_demo_shapes),
        cmocka_unit_test(test_bad_paths),          cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_long_path_in_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
