/* What librdkafka says, without the values of settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/kafka/redact.h"

static void check_settings(struct ms_passthrough *pass, const char *text, const char *expected)
{
    const struct ms_config config = {.passthrough = pass, .passthrough_count = 1};
    char shown[256];
    strcpy(shown, text);
    ms_redact_settings(shown, &config);
    assert_string_equal(shown, expected);
}

static void test_secret(void **state)
{
    struct ms_passthrough secret = {.value = "principal=x hush7Hush", .secret = true};
    struct ms_passthrough small = {.value = "abc", .secret = true};
    (void)state;
    check_settings(&secret, "Invalid config: near 'hush7Hush'", "Invalid config: near '*********'");
    check_settings(&secret, "of principal=x", "of ***********");
    check_settings(&small, "abc: abcd, abc", "***: abcd, ***");
}

static void test_harmless(void **state)
{
    struct ms_passthrough mechanism = {.value = "FOO"}, protocol = {.value = "ssl"};
    (void)state;
    check_settings(&mechanism, "Unsupported SASL mechanism: FOO", "Unsupported SASL mechanism: ***");
    check_settings(&mechanism, "FOO.", "***.");
    check_settings(&protocol, "ssl.ca.location: ssl failed, see ssl_ca and openssl",
                   "ssl.ca.location: *** failed, see ssl_ca and openssl");
}

static void test_client(void **state)
{
    char text[128] = "kinit of hush7Hush failed for me1234", error[128];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)state;
    rd_kafka_conf_set(conf, "sasl.password", "hush7Hush", error, sizeof error);
    rd_kafka_conf_set(conf, "sasl.username", "me1234", error, sizeof error);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    assert_non_null(client);
    ms_redact_client(text, client);
    rd_kafka_destroy(client);
    assert_string_equal(text, "kinit of ********* failed for ******");
    ms_redact_client(text, NULL); /* before it is made */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_harmless),
        cmocka_unit_test(test_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
