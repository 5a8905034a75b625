/* Paths and queries, good and bad, and the routes that they lead to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/route.h"
#include "serve/target.h"
#include "serve/traffic.h"

static enum ms_target_fault parse(struct ms_target *target, const char *text)
{
    return ms_target_parse(target, (struct ms_bytes){text, strlen(text)});
}

static void assert_bytes(struct ms_bytes bytes, const char *text, size_t size)
{
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, text, size);
}

static void good_targets(void **state)
{
    struct ms_target target;
    (void)state;
    assert_int_equal(parse(&target, "/"), MS_TARGET_GOOD);
    assert_int_equal(target.segment_count, 1);
    assert_int_equal(parse(&target, "/v1/users/a%2Fb%00%c3%A9+/interests?n=2%30&x&&y=a+b"), MS_TARGET_GOOD);
    assert_int_equal(target.segment_count, 4);
    assert_bytes(target.segments[2], "a/b\0\xc3\xa9+", 7);
    assert_int_equal(target.query_count, 3);
    assert_bytes(target.queries[0].value, "20", 2);
    assert_bytes(target.queries[1].name, "x", 1);
    assert_int_equal(target.queries[1].value.size, 0);
    assert_bytes(target.queries[2].value, "a b", 3);
    assert_int_equal(parse(&target, "/a?"), MS_TARGET_GOOD);
    assert_int_equal(target.query_count, 0);
}

static void bad_targets(void **state)
{
    static const struct {
        const char *text;
        enum ms_target_fault fault;
    } cases[] = {{"", MS_TARGET_NO_PATH},
                 {"*", MS_TARGET_NO_PATH},
                 {"http://host/metrics", MS_TARGET_NO_PATH},
                 {"/%", MS_TARGET_BAD_PERCENT},
                 {"/%4", MS_TARGET_BAD_PERCENT},
                 {"/%4g", MS_TARGET_BAD_PERCENT},
                 {"/%%41", MS_TARGET_BAD_PERCENT},
                 {"/a%/b", MS_TARGET_BAD_PERCENT},
                 {"/a?b=%", MS_TARGET_BAD_PERCENT},
                 {"/a?%zz", MS_TARGET_BAD_PERCENT},
                 {"/a b", MS_TARGET_BAD_BYTE},
                 {"/a\tb", MS_TARGET_BAD_BYTE},
                 {"/\x7f", MS_TARGET_BAD_BYTE},
                 {"/1/2/3/4/5/6/7/8/9", MS_TARGET_TOO_MANY_PARTS},
                 {"/?1&2&3&4&5&6&7&8&9", MS_TARGET_TOO_MANY_QUERIES}};
    static struct ms_target target;
    static char text[MS_TARGET_MAX_BYTES + 2];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(parse(&target, cases[i].text), cases[i].fault);
    memset(text, 'a', sizeof text);
    text[0] = '/';
    assert_int_equal(ms_target_parse(&target, (struct ms_bytes){text, MS_TARGET_MAX_BYTES}), MS_TARGET_GOOD);
    assert_int_equal(ms_target_parse(&target, (struct ms_bytes){text, MS_TARGET_MAX_BYTES + 1}),
                     MS_TARGET_TOO_LONG);
}

static int find(const char *text)
{
    struct ms_target target;
    return parse(&target, text) == MS_TARGET_GOOD ? ms_route_find(&target) : -2;
}

/* Every route is found by its own path, and its name is its own. */
static void routes_are_found(void **state)
{
    (void)state;
    for (int i = 0; i < ms_route_count; i++) {
        char path[200] = "";
        for (const char *at = ms_routes[i].path; *at; at++) { /* {id} becomes x */
            if (*at == '{')
                at = strchr(at, '}');
            path[strlen(path)] = *at == '}' ? 'x' : *at;
        }
        assert_int_equal(find(path), i);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ms_routes[i].name, ms_routes[j].name);
    }
    assert_true(ms_route_count < MS_TRAFFIC_ROUTES);
    assert_int_equal(find("/metrics/"), -1);
    assert_int_equal(find("/Metrics"), -1);
    assert_int_equal(find("//metrics"), -1);
    assert_int_equal(find("/v1"), -1);
    assert_int_equal(find("/..%2Fetc"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_targets),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(routes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
