/* Who may ask: rates, tokens, addresses, and clients that take too long. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/links.h"
#include "serve/listen.h"
#include "serve/rate.h"
#include "serve/server.h"
#include "serve/token.h"

static uint64_t client_of(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return ms_rate_client((const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return ms_rate_client((const struct sockaddr *)&in6);
}

static void rates(void **state)
{
    static struct ms_rate rate;
    uint64_t one = client_of("10.0.0.1"), two = client_of("10.0.0.2");
    int allowed = 0;
    (void)state;
    ms_rate_init(&rate, 10);
    for (int i = 0; i < 100; i++)
        allowed += ms_rate_allow(&rate, one, 5);
    assert_int_equal(allowed, 20);
    assert_true(ms_rate_allow(&rate, two, 5)); /* another's requests are not its own */
    assert_true(ms_rate_allow(&rate, one, 5.15));
    assert_false(ms_rate_allow(&rate, one, 5.15));
    assert_true(ms_rate_allow(&rate, 0, 5.1)); /* the socket in the state directory */
    assert_int_equal(client_of("2001:db8::1"), client_of("2001:db8::ffff:2"));
    assert_int_not_equal(client_of("2001:db8::1"), client_of("2001:db8:0:1::1"));
    ms_rate_free(&rate);
    ms_rate_init(&rate, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(ms_rate_allow(&rate, one, 5));
    ms_rate_free(&rate);
}

static void tokens(void **state)
{
    struct ms_buffer token = {.data = (char[]){"0123456789abcdef"}, .size = 16};
    (void)state;
    assert_true(ms_token_shown(&token, "Bearer 0123456789abcdef"));
    assert_true(ms_token_shown(&token, "bearer 0123456789abcdef"));
    assert_false(ms_token_shown(&token, NULL));
    assert_false(ms_token_shown(&token, ""));
    assert_false(ms_token_shown(&token, "Bearer "));
    assert_false(ms_token_shown(&token, "Bearer 0123456789abcde"));
    assert_false(ms_token_shown(&token, "Bearer 0123456789abcdeg"));
    assert_false(ms_token_shown(&token, "Bearer 0123456789abcdef0123456789abcdef"));
    assert_false(ms_token_shown(&token, "Basic 0123456789abcdef"));
}

static enum ms_status read_token(const char *path, const char *text, mode_t mode, struct ms_buffer *token)
{
    struct ms_error error;
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    token->size = 0;
    enum ms_status status = ms_token_read(path, token, &error);
    if (status != MS_OK)
        assert_null(strstr(error.text, "secretsecret"));
    return status;
}

static void token_files(void **state)
{
    char path[] = "/tmp/token-XXXXXX";
    struct ms_buffer token = {0};
    struct ms_error error;
    (void)state;
    close(mkstemp(path));
    enum ms_status status = read_token(path, " secretsecret0123\n\n", 0600, &token);
    if (status == MS_OK) {
        assert_int_equal(token.size, 16);
        assert_memory_equal(token.data, "secretsecret0123", 16);
    }
    assert_int_equal(read_token(path, "secretsecret0123", 0640, &token), MS_CONFIG);
    assert_int_equal(read_token(path, "secretsecret", 0600, &token), MS_CONFIG);
    assert_int_equal(read_token(path, "secretsecret 0123", 0600, &token), MS_CONFIG);
    assert_int_equal(read_token(path, "", 0600, &token), MS_CONFIG);
    unlink(path);
    assert_int_equal(ms_token_read(path, &token, &error), MS_CONFIG);
    assert_int_equal(ms_token_read("/tmp", &token, &error), MS_CONFIG);
    ms_buffer_free(&token);
}

static void addresses(void **state)
{
    static const struct {
        const char *text;
        bool good, loopback;
    } cases[] = {
        {"127.0.0.1:8080", true, true},   {"localhost:1", true, true},  {"[::1]:8080", true, true},
        {"127.3.2.1:0", true, true},      {"0.0.0.0:80", true, false},  {"[::]:80", true, false},
        {"10.0.0.1:65535", true, false},  {"8080", false, false},       {":8080", false, false},
        {"127.0.0.1", false, false},      {"127.0.0.1:", false, false}, {"127.0.0.1:65536", false, false},
        {"::1:8080", false, false},       {"host:8080", false, false},  {"127.0.0.1:-1", false, false},
        {"127.0.0.1:8080x", false, false}};
    struct ms_listen listen;
    struct ms_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ms_listen_parse(&listen, cases[i].text, &error) == MS_OK, cases[i].good);
        if (cases[i].good)
            assert_int_equal(listen.loopback, cases[i].loopback);
    }
}

/* Elsewhere than on a loopback address only with a token and a certificate. */
static void settings_together(void **state)
{
    struct ms_config config = {.http_listen = "0.0.0.0:8080",
                               .http_advertise = "",
                               .http_token_file = "",
                               .http_tls_certificate_file = "",
                               .http_tls_key_file = "",
                               .items_meta = ""};
    struct ms_error error;
    (void)state;
    assert_int_not_equal(ms_server_check(&config, &error), MS_OK);
    config.http_listen = "127.0.0.1:8080";
    enum ms_status status = ms_server_check(&config, &error);
    assert_true(status == MS_OK || status == MS_MEMORY);
    config.http_advertise = "https://host-1.example:8080";
    status = ms_server_check(&config, &error);
    assert_true(status == MS_OK || status == MS_MEMORY);
    config.http_advertise = "host:8080";
    assert_int_not_equal(ms_server_check(&config, &error), MS_OK);
    config.http_advertise = "http://host:8080/path";
    assert_int_not_equal(ms_server_check(&config, &error), MS_OK);
    config.http_advertise = "";
    config.http_tls_key_file = "/none";
    assert_int_not_equal(ms_server_check(&config, &error), MS_OK);
}

static void slow_clients_are_cut(void **state)
{
    int pair[2];
    char byte;
    struct ms_links links;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ms_links_init(&links);
    struct ms_link *link = ms_links_add(&links, pair[0], 100);
    if (link) {
        assert_int_equal(ms_links_cut(&links, 100 + MS_LINK_HEADER_S), 0);
        ms_links_begin(&links, link, 105);
        assert_int_equal(ms_links_cut(&links, 105 + MS_LINK_ANSWER_S), 0);
        ms_links_last(&links, link);
        assert_int_equal(ms_links_cut(&links, 1e6), 0);
        ms_links_end(&links, link, 200);
        assert_int_equal(ms_links_cut(&links, 200 + MS_LINK_IDLE_S), 0);
        assert_int_equal(ms_links_cut(&links, 201 + MS_LINK_IDLE_S), 1);
        assert_int_equal(ms_links_cut(&links, 999), 0); /* once */
        assert_int_equal(read(pair[1], &byte, 1), 0);
    }
    ms_links_free(&links);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates),
        cmocka_unit_test(tokens),
        cmocka_unit_test(token_files),
        cmocka_unit_test(addresses),
        cmocka_unit_test(settings_together),
        cmocka_unit_test(slow_clients_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
