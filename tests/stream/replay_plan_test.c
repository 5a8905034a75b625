/* The bounds of a replay as people write them, and its plan as a file. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/replay_plan.h"

static void bounds(void **state)
{
    static const struct {
        const char *text;
        struct ms_bound bound;
    } cases[] = {{"earliest", {MS_BOUND_EARLIEST, 0}},
                 {"latest", {MS_BOUND_LATEST, 0}},
                 {"offset:0", {MS_BOUND_OFFSET, 0}},
                 {"offset:123456789012", {MS_BOUND_OFFSET, 123456789012}},
                 {"last:PT6H", {MS_BOUND_LAST, 21600000}},
                 {"last:7d", {MS_BOUND_LAST, 604800000}},
                 {"2023-11-14T22:13:20Z", {MS_BOUND_TIME, 1700000000000}},
                 {"2023-11-14", {MS_BOUND_TIME, 1699920000000}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ms_bound bound;
        assert_int_equal(ms_bound_parse(&bound, "--from", cases[i].text, NULL), MS_OK);
        assert_int_equal(bound.kind, cases[i].bound.kind);
        assert_int_equal(bound.value, cases[i].bound.value);
    }
}

static void no_bounds(void **state)
{
    static const char *const texts[] = {
        "",       "Earliest",   "offset:",     "offset:-1", "offset:1x", "offset:99999999999999999999",
        "last:",  "last:0",     "last:P1Y",    "last:PT",   "12345",     "2023-13-01",
        "offset", "last:-PT1H", "2023-11-14Tx"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ms_bound bound;
        struct ms_error error;
        assert_int_equal(ms_bound_parse(&bound, "--to", texts[i], &error), MS_USAGE);
        assert_non_null(strstr(error.text, "--to '"));
    }
}

static void make_dir(char path[64])
{
    snprintf(path, 64, "/tmp/ms-replay-plan-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void remove_dir(const char *path)
{
    char file[128];
    snprintf(file, sizeof file, "%s/replay", path);
    unlink(file);
    snprintf(file, sizeof file, "%s/replay.new", path);
    unlink(file);
    rmdir(path);
}

static struct ms_replay_plan some_plan(void)
{
    struct ms_replay_plan plan = {.id = 0xabcdef0123456789,
                                  .every = true,
                                  .output = "interests",
                                  .from = "last:PT6H",
                                  .to = "latest",
                                  .fold_id = 0xfedcba9876543210,
                                  .decode_id = 7,
                                  .stage = MS_REPLAY_READ};
    for (int i = 0; i < 20; i++) {
        const struct ms_replay_part part = {
            .source = i / 10, .partition = i % 10, .from = 3 * i, .to = INT64_MAX - i};
        if (!ms_replay_plan_add(&plan, &part)) {
            ms_replay_plan_free(&plan);
            break;
        }
    }
    assert_int_equal(plan.count, 20);
    return plan;
}

static void written_and_read(void **state)
{
    char dir[64];
    struct ms_error error;
    struct ms_replay_plan plan = some_plan(), again;
    bool found;
    (void)state;
    make_dir(dir);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_OK);
    assert_false(found);
    assert_int_equal(ms_replay_plan_write(&plan, dir, &error), MS_OK);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_OK);
    assert_true(found);
    assert_string_equal(again.from, plan.from);
    assert_string_equal(again.to, plan.to);
    assert_int_equal(again.stage, plan.stage);
    assert_int_equal(again.count, plan.count);
    assert_memory_equal(again.parts, plan.parts, plan.count * sizeof *plan.parts);
    assert_int_equal(again.id, plan.id);
    assert_true(again.every);
    assert_string_equal(again.output, plan.output);
    plan.every = false;
    plan.output[0] = '\0';
    ms_replay_plan_free(&again);
    assert_int_equal(ms_replay_plan_write(&plan, dir, &error), MS_OK);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_OK);
    assert_false(again.every);
    assert_string_equal(again.output, "");
    ms_replay_plan_free(&again);
    ms_replay_plan_free(&plan);
    remove_dir(dir);
}

/* A replay of files: their paths may have blanks in them. */
static void files(void **state)
{
    char dir[64], blanks[] = "/data/click log 1.csv", pipe[] = "-";
    const struct ms_replay_file both[] = {{blanks, 123456789012, 0x8000000000000001}, {pipe, 0, 0}};
    struct ms_error error;
    struct ms_replay_plan plan = some_plan(), again;
    bool found, added = true;
    (void)state;
    plan.files = 3;
    plan.files_done = 2;
    plan.reading = 0xfedcba9876543210;
    for (size_t i = 0; i < 2; i++)
        added &= ms_replay_plan_add_file(&plan, &both[i]);
    assert_true(added);
    make_dir(dir);
    assert_int_equal(ms_replay_plan_write(&plan, dir, &error), MS_OK);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_OK);
    assert_int_equal(again.files, 3);
    assert_int_equal(again.files_done, 2);
    assert_int_equal(again.reading, plan.reading);
    assert_false(again.seam);
    assert_int_equal(again.file_count, 2);
    for (size_t i = 0; i < again.file_count; i++) {
        assert_string_equal(again.file[i].path, both[i].path);
        assert_int_equal(again.file[i].size, both[i].size);
        assert_int_equal(again.file[i].digest, both[i].digest);
    }
    assert_int_equal(again.count, plan.count);
    ms_replay_plan_free(&again);
    plan.seam = true;
    assert_int_equal(ms_replay_plan_write(&plan, dir, &error), MS_OK);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_OK);
    assert_true(again.seam);
    ms_replay_plan_free(&again);
    ms_replay_plan_free(&plan);
    remove_dir(dir);
}

static void damaged(void **state)
{
    char dir[64], path[128];
    struct ms_error error;
    struct ms_replay_plan plan = some_plan(), again;
    bool found;
    (void)state;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/replay", dir);
    assert_int_equal(ms_replay_plan_write(&plan, dir, &error), MS_OK);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 12, SEEK_SET);
    fputc('x', file);
    fclose(file);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_STATE);
    ms_replay_plan_free(&again);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("format=2\nstage=reading\n", file); /* without a seal */
    fclose(file);
    assert_int_equal(ms_replay_plan_read(&again, dir, &found, &error), MS_STATE);
    ms_replay_plan_free(&again);
    ms_replay_plan_free(&plan);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds), cmocka_unit_test(no_bounds),
                                       cmocka_unit_test(written_and_read), cmocka_unit_test(files),
                                       cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
