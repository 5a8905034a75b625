/* Logs become histories: which users, which order, which rows. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "model/model_writer.h"
#include "train/clicks.h"

#define CONFIG                                                                                               \
    "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\",\"dim\":1,"  \
    "\"interests\":1,\"max_behaviors\":5,\"interest_count\":\"fixed\",\"routing\":{\"bilinear\":\"none\"}}"

static const char *const items[] = {"a", "b", "c", "d"};
static const float floats[4] = {1, 2, 3, 4};
static const struct writer_tensor tensors[] = {{"item_embedding", floats, 2, {4, 1}, false}};

struct fixture {
    char *dir;
    char path[4096], users[4096];
    const char *paths[1];
    struct ms_model *model;
    struct ms_click_log log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = writer_temp_dir();
    writer_model(f->dir, CONFIG, items, 4, tensors, 1);
    assert_int_equal(ms_model_load(&f->model, f->dir, NULL), MS_OK);
    snprintf(f->path, sizeof f->path, "%s/log", f->dir);
    snprintf(f->users, sizeof f->users, "%s/users", f->dir);
    f->paths[0] = f->path;
    f->log = (struct ms_click_log){
        .events = {.paths = f->paths, .path_count = 1, .passed = MS_PASSED_STRICT | 1u << MS_PASSED_BLANK},
        .buckets = MS_HOLDOUT_BUCKETS,
        .min_events = 1,
        .max_events = 100};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ms_model_destroy(f->model);
    writer_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static struct ms_histories read_log(struct fixture *f, const char *text)
{
    struct ms_histories histories;
    struct ms_error error = {0};
    writer_file(f->dir, "log", text, strlen(text));
    if (ms_histories_read(&histories, &f->log, f->model, &error) != MS_OK)
        fail_msg("%s", error.text);
    return histories;
}

/* The rows of a history, as letters of items and '?' for unknown ones. */
static void assert_history(const struct ms_histories *histories, uint32_t user, const char *expected)
{
    struct ms_history history = histories->users[user];
    assert_int_equal(history.count, strlen(expected));
    for (uint32_t i = 0; i < history.count; i++) {
        uint32_t item = histories->clicks[history.first + i].item;
        assert_int_equal(item, expected[i] == '?' ? MS_NO_ITEM : (uint32_t)(expected[i] - 'a'));
    }
}

static void order(void **state)
{
    struct fixture *f = *state;
    /* Equal times keep the order of the file, whatever sorts them. */
    struct ms_histories h = read_log(f, "user_id,item_id,timestamp\n"
                                        "u,b,20\nv,a,9\nu,c,20\nu,a,10\nu,d,20\nu,x,20\nv,b,8\nu,b,20\n");
    assert_true(h.csv && h.timed);
    assert_int_equal(h.clicks_read, 8);
    assert_int_equal(h.user_count, 2);
    assert_history(&h, 0, "abcd?b");
    assert_history(&h, 1, "ba");
    assert_int_equal(h.clicks[h.users[0].first].time_ms, 10000);
    ms_histories_free(&h);
    f->log.events.time = "";
    f->log.max_events = 3;
    h = read_log(f, "user_id,item_id,timestamp\nu,b,20\nv,a,9\nu,c,1\nu,a,10\nu,d,20\n");
    assert_false(h.timed);
    assert_history(&h, 0, "bca");
    ms_histories_free(&h);
}

static void users(void **state)
{
    struct fixture *f = *state;
    const char *log = "{\"user_id\":\"u\",\"item_id\":\"a\",\"timestamp\":1}\n\n"
                      "{\"user_id\":7,\"item_id\":\"b\",\"timestamp\":1}\r\n"
                      "{\"user_id\":\"7\",\"item_id\":\"c\",\"timestamp\":2}\n"
                      "{\"user_id\":\"v\",\"item_id\":\"d\",\"timestamp\":1}";
    f->log.min_events = 2;
    struct ms_histories h = read_log(f, log);
    assert_int_equal(h.user_count, 1);
    assert_int_equal(h.users_met, 3);
    assert_history(&h, 0, "bc");
    ms_histories_free(&h);

    f->log.min_events = 1;
    for (int user = 0; user < 2; user++) { /* on the edge of a bucket */
        f->log.buckets = (uint32_t)(XXH64("v", 1, 0) % MS_HOLDOUT_BUCKETS) + (uint32_t)user;
        h = read_log(f, log);
        bool found = false;
        for (uint32_t u = 0; u < h.user_count; u++)
            found |= h.clicks[h.users[u].first].item == 3;
        assert_int_equal(found, user);
        ms_histories_free(&h);
    }
    writer_file(f->dir, "users", "\xef\xbb\xbfv\r\n\nnobody\n7", 15);
    f->log.users_path = f->users;
    h = read_log(f, log);
    assert_int_equal(h.user_count, 2);
    assert_history(&h, 0, "d");
    assert_history(&h, 1, "bc");
    ms_histories_free(&h);
}

/* A share is a decimal number: it gives the bucket count that one expects, and never none. */
static void shares_become_buckets(void **state)
{
    static const struct {
        double share;
        uint32_t buckets;
    } cases[] = {{0.07, 700},     {0.1, 1000},  {0.3, 3000},  {0.5512, 5512},
                 {0.55121, 5513}, {0.00001, 1}, {1.0, 10000}, {0, 10000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ms_holdout_buckets(cases[i].share), cases[i].buckets);
    for (uint32_t n = 1; n <= MS_HOLDOUT_BUCKETS; n++)
        assert_int_equal(ms_holdout_buckets(n / 10000.0), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_become_buckets),
        cmocka_unit_test_setup_teardown(order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
