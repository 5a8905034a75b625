/* What a command that fetches a token may print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/token.h"

#define NOW_MS INT64_C(1700000000000)

static enum ms_status parse(const char *text, struct ms_token *token, struct ms_error *error)
{
    return ms_token_parse(token, text, strlen(text), NOW_MS, error);
}

/* {"alg":"none"} . {"sub":"ann","exp":1700000060.5} . */
#define JWT "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJleHAiOjE3MDAwMDAwNjAuNX0."

static void takes_a_jwt(void **state)
{
    (void)state;
    struct ms_token token, copy;
    struct ms_error error;
    assert_int_equal(parse("\r\n " JWT " \n", &token, &error), MS_OK);
    assert_string_equal(token.value, JWT);
    assert_string_equal(token.principal, "ann");
    assert_int_equal(token.expires_ms, NOW_MS + 60500);
    assert_int_equal(ms_token_copy(&copy, &token, &error), MS_OK);
    ms_token_free(&token);
    assert_string_equal(copy.value, JWT);
    ms_token_free(&copy);
}

static void takes_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value, *principal;
        int64_t expires_ms;
    } good[] = {
        {"{\"token\":\"t\",\"expiry\":1700000010,\"principal\":\"p\"}", "t", "p", NOW_MS + 10000},
        {"{\"token\":\"t\",\"expiry\":1700000010500}", "t", "unknown", NOW_MS + 10500},
        {"{\"token\":\"t\",\"expiry\":\"2023-11-14T22:13:21Z\"}", "t", "unknown", NOW_MS + 1000},
        {"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":3600}", "a", "unknown",
         NOW_MS + 3600000},
        {"{\"access_token\":\"" JWT "\",\"principal\":null}", JWT, "ann", NOW_MS + 60500},
        {"{\"token\":\"" JWT "\",\"expires_in\":5,\"principal\":\"other\"}", JWT, "other", NOW_MS + 5000},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ms_token token;
        struct ms_error error;
        assert_int_equal(parse(good[i].text, &token, &error), MS_OK);
        assert_string_equal(token.value, good[i].value);
        assert_string_equal(token.principal, good[i].principal);
        assert_int_equal(token.expires_ms, good[i].expires_ms);
        assert_int_equal(token.extension_count, 0);
        ms_token_free(&token);
    }
}

static void takes_extensions(void **state)
{
    (void)state;
    struct ms_token token;
    struct ms_error error;
    assert_int_equal(
        parse("{\"token\":\"t\",\"expires_in\":9,\"extensions\":{\"cluster\":\"lkc-1\",\"pool\":\"\"}}",
              &token, &error),
        MS_OK);
    const char *expected[] = {"cluster", "lkc-1", "pool", ""};
    assert_int_equal(token.extension_count, 2);
    for (int i = 0; i < 4; i++)
        assert_string_equal(token.extensions[i], expected[i]);
    ms_token_free(&token);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "is empty"},
        {" \n\t", "is empty"},
        {"two words", "neither JSON nor one token"},
        {"t\x7f", "neither JSON nor one token"},
        {"opaque", "does not say when the token ends"},
        {"a.b.c", "does not say when the token ends"},
        {"{", "begins like JSON"},
        {"{}", "neither token nor access_token"},
        {"{\"token\":7}", "a token that is no text"},
        {"{\"token\":\"\",\"expires_in\":5}", "an empty token"},
        {"{\"token\":\"a b\",\"expires_in\":5}", "neither JSON nor one token"},
        {"{\"token\":\"t\",\"expires_in\":-5}", "no number of seconds"},
        {"{\"token\":\"t\",\"expires_in\":\"5\"}", "no number of seconds"},
        {"{\"token\":\"t\",\"expires_in\":1e300}", "no number of seconds"},
        {"{\"token\":\"t\",\"expiry\":\"soon\"}", "an expiry that is no time"},
        {"{\"token\":\"t\",\"expiry\":1600000000}", "already expired"},
        {"{\"token\":\"t\",\"expires_in\":5,\"principal\":[]}", "a principal that is no text"},
        {"{\"token\":\"t\",\"expires_in\":5,\"extensions\":[]}", "extensions that are no object"},
        {"{\"token\":\"t\",\"expires_in\":5,\"extensions\":{\"a-b\":\"c\"}}",
         "extensions that are no object"},
        {"{\"token\":\"t\",\"expires_in\":5,\"extensions\":{\"auth\":\"c\"}}",
         "extensions that are no object"},
        {"{\"token\":\"t\",\"expires_in\":5,\"extensions\":{\"a\":1}}", "extensions that are no object"},
        {"{\"token\":\"t\\u0000\",\"expires_in\":5}", "a token that is no text"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ms_token token;
        struct ms_error error = {0};
        enum ms_status status = parse(bad[i].text, &token, &error);
        assert_true(status == MS_FORMAT || status == MS_MEMORY);
        if (status == MS_FORMAT && !strstr(error.text, bad[i].why))
            fail_msg("%s: %s", bad[i].text, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_jwt),
        cmocka_unit_test(takes_json),
        cmocka_unit_test(takes_extensions),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
