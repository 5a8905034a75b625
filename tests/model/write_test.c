/* The writer of model directories: what it writes is read back, bit for bit, and a directory that it may not replace
 * stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mindstream/model.h"
#include "model/model_writer.h"
#include "model/write.h"

#define ITEMS 3
#define DIM   2
#define CONFIG(more)                                                                                                 \
    "{\"format\":\"mindstream-model/1\",\"name\":\"written\",\"version\":\"2\",\"extractor\":\"mind\",\"dim\":" more \
    ",\"interests\":2,\"max_behaviors\":4}"

static const char *const ids[ITEMS] = {"a", "second item", "\xc3\xbc"};
static const char *const colors[] = {"red", "blue"};
static const float embedding[ITEMS * DIM] = {1, -2, 0.1f, 3e-20f, -0.0f, 7};
static const float map[DIM * DIM] = {1, 0, 0.5f, 1}, color_rows[2 * 3] = {1, 2, 3, 4, 5, 6};

static struct ms_bytes text_line(void *context, uint64_t number)
{
    const char *const *lines = context;
    return (struct ms_bytes){lines[number], strlen(lines[number])};
}

static struct ms_write_lines lines_of(const char *const *lines, uint64_t count)
{
    return (struct ms_write_lines){count, text_line, (void *)(uintptr_t)lines};
}

/* Rows are asked for one after another, each once. */
struct asked {
    uint64_t next;
};

static void embedding_row(void *context, uint64_t number, float *values)
{
    struct asked *asked = context;
    assert_int_equal(number, asked->next++);
    memcpy(values, embedding + number * DIM, DIM * sizeof *values);
}

/* Scratch space for a directory that does not exist yet, in a directory of its own. */
struct scratch {
    char *base;
    char dir[4096];
};

static int setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    scratch->base = writer_temp_dir();
    snprintf(scratch->dir, sizeof scratch->dir, "%s/model", scratch->base);
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    struct scratch *scratch = *state;
    writer_remove(scratch->dir);
    writer_remove(scratch->base); /* fails where anything else is left in it */
    free(scratch->base);
    free(scratch);
    return 0;
}

static enum ms_status write_plain_over(const char *dir, const struct ms_write_lines *items, bool replace,
                                       struct ms_error *error)
{
    const struct ms_write_tensor tensors[] = {
        {.name = "item_embedding", .rank = 2, .shape = {ITEMS, DIM}, .data = embedding},
        {.name = "routing.bilinear", .rank = 2, .shape = {DIM, DIM}, .data = map}};
    const struct ms_write_model model = {
        .config = CONFIG("2"), .items = *items, .tensors = tensors, .tensor_count = 2, .replace = replace};
    return ms_model_write(dir, &model, error);
}

static enum ms_status write_plain(const char *dir, const struct ms_write_lines *items, struct ms_error *error)
{
    return write_plain_over(dir, items, false, error);
}

static void must_replace(const char *dir)
{
    struct ms_error error;
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    if (write_plain_over(dir, &items, true, &error) != MS_OK)
        fail_msg("%s", error.text);
}

static void must_write(const char *dir)
{
    struct ms_error error;
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    if (write_plain(dir, &items, &error) != MS_OK)
        fail_msg("%s", error.text);
}

static struct ms_model *load(const char *dir)
{
    struct ms_model *model = NULL;
    struct ms_error error;
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    return model;
}

static void round_trip(void **state)
{
    const struct scratch *scratch = *state;
    struct asked asked = {0};
    struct ms_error error;
    const struct ms_write_tensor tensors[] = {
        {.name = "item_embedding", .rank = 2, .shape = {ITEMS, DIM}, .row = embedding_row, .context = &asked},
        {.name = "routing.bilinear", .rank = 2, .shape = {DIM, DIM}, .dtype = MS_F16, .data = map},
        {.name = "profile.color", .rank = 2, .shape = {2, 3}, .data = color_rows}};
    const struct ms_write_vocabulary color = {"color", lines_of(colors, 2)};
    const struct ms_write_model parts = {.config = CONFIG("5"),
                                         .items = lines_of(ids, ITEMS),
                                         .tensors = tensors,
                                         .tensor_count = 3,
                                         .vocabularies = &color,
                                         .vocabulary_count = 1};
    if (ms_model_write(scratch->dir, &parts, &error) != MS_OK)
        fail_msg("%s", error.text);
    assert_int_equal(asked.next, ITEMS);
    struct ms_model *model = load(scratch->dir);
    assert_string_equal(ms_model_config(model)->id, "written@2");
    assert_int_equal(ms_model_item_count(model), ITEMS);
    for (uint32_t row = 0; row < ITEMS; row++) {
        assert_int_equal(ms_model_find(model, ids[row], strlen(ids[row])), row);
        assert_memory_equal(ms_model_item_embedding(model, row), embedding + row * DIM, DIM * sizeof(float));
    }
    assert_memory_equal(ms_model_tensor(model, "routing.bilinear").data, map, sizeof map);
    assert_memory_equal(ms_model_profile_row(model, 0, "blue", 4), color_rows + 3, 3 * sizeof(float));
    ms_model_destroy(model);
}

static off_t size_of(const char *dir, const char *name)
{
    struct stat found;
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &found) == 0 ? found.st_size : -1;
}

/* A model replaces a model, vocabularies included. Slashes at the end of the name do not matter. */
static void replaces_a_model(void **state)
{
    const struct scratch *scratch = *state;
    struct stat found;
    char slashes[5000];
    must_write(scratch->dir);
    snprintf(slashes, sizeof slashes, "%s//", scratch->dir);
    must_write(slashes);
    writer_file(scratch->dir, "config.json", "old", 3);
    writer_file(scratch->dir, "profile_gone.txt", "x\n", 2);
    must_replace(slashes);
    assert_int_equal(size_of(scratch->dir, "profile_gone.txt"), -1);
    ms_model_destroy(load(scratch->dir));
    assert_int_equal(stat(scratch->dir, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0755);
}

/* A model that was changed since it was written, one without a mark, and one behind a link stay as they are. */
static void keeps_models_of_others(void **state)
{
    static const char *const changes[][2] = {{"config.json", "trained"},
                                             {"model.safetensors", "x"},
                                             {"profile_x.txt", "a\n"},
                                             {".mindstream-written", ""}};
    const struct scratch *scratch = *state;
    struct ms_error error;
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    char link[5000];
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const char *name = changes[i][0], *text = changes[i][1];
        must_replace(scratch->dir);
        writer_file(scratch->dir, name, text, strlen(text));
        assert_int_equal(write_plain(scratch->dir, &items, &error), MS_IO);
        assert_int_equal(size_of(scratch->dir, name), strlen(text));
    }
    snprintf(link, sizeof link, "%s/link", scratch->base);
    must_replace(scratch->dir);
    assert_int_equal(symlink(scratch->dir, link), 0);
    assert_int_equal(write_plain_over(link, &items, true, &error), MS_IO);
    snprintf(link, sizeof link, "%s/link/", scratch->base);
    assert_int_equal(write_plain_over(link, &items, true, &error), MS_IO);
    snprintf(link, sizeof link, "%s/link", scratch->base);
    unlink(link);
    ms_model_destroy(load(scratch->dir));
}

static void keeps_other_files(void **state)
{
    static const char *const others[] = {"thesis.tex", "profile_.txt", "profile_x.csv", "Config.json"};
    const struct scratch *scratch = *state;
    struct ms_error error;
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[5000];
        must_write(scratch->dir);
        writer_file(scratch->dir, others[i], "precious", 8);
        assert_int_equal(write_plain(scratch->dir, &items, &error), MS_IO);
        assert_non_null(strstr(error.text, others[i]));
        assert_int_equal(size_of(scratch->dir, others[i]), 8);
        assert_true(size_of(scratch->dir, "config.json") > 8);
        snprintf(path, sizeof path, "%s/%s", scratch->dir, others[i]);
        unlink(path);
    }
}

/* A failure half-way leaves the model that was there, and nothing beside it (teardown looks). */
static void refused_lines(void **state)
{
    static const char *const empty[ITEMS] = {"a", "", "c"}, *const two_lines[ITEMS] = {"a", "b", "c\nd"};
    const struct scratch *scratch = *state;
    struct ms_error error;
    struct ms_write_lines items = lines_of(empty, ITEMS);
    must_write(scratch->dir);
    assert_int_equal(write_plain(scratch->dir, &items, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "items.txt: line 2 would be empty"));
    items = lines_of(two_lines, ITEMS);
    assert_int_equal(write_plain(scratch->dir, &items, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "items.txt: line 3 would have a newline in it"));
    ms_model_destroy(load(scratch->dir));
}

static void refused_directories(void **state)
{
    const struct scratch *scratch = *state;
    struct ms_error error;
    char path[5000], *long_name = malloc(5001);
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    memset(long_name, 'x', 5000);
    long_name[5000] = '\0';
    assert_int_equal(write_plain("", &items, &error), MS_USAGE);
    assert_int_equal(write_plain(long_name, &items, &error), MS_USAGE);
    snprintf(path, sizeof path, "%s/no/model", scratch->base);
    assert_int_equal(write_plain(path, &items, &error), MS_IO); /* no parent directory */
    writer_file(scratch->base, "file", "x", 1);
    snprintf(path, sizeof path, "%s/file", scratch->base);
    assert_int_equal(write_plain(path, &items, &error), MS_IO);
    assert_int_equal(size_of(scratch->base, "file"), 1);
    free(long_name);
}

static void full_disk(void **state)
{
    (void)state;
    struct ms_error error;
    const struct ms_write_lines items = lines_of(ids, ITEMS);
    const struct ms_write_tensor tensor = {.name = "t", .rank = 1, .shape = {2}, .data = map};
    assert_int_equal(ms_model_write_lines("/dev/full", &items, &error), MS_IO);
    assert_non_null(strstr(error.text, "/dev/full: No space left"));
    assert_int_equal(ms_model_write_tensors("/dev/full", &tensor, 1, &error), MS_IO);
}

/* The tensors begin on a multiple of 8 bytes, whatever the names are. */
static void alignment(void **state)
{
    const struct scratch *scratch = *state;
    char path[5000], name[20] = "";
    struct ms_error error;
    snprintf(path, sizeof path, "%s/t.safetensors", scratch->base);
    for (int i = 0; i < 9; i++) {
        strcat(name, "n");
        const struct ms_write_tensor tensor = {.name = name, .rank = 1, .shape = {2}, .data = map};
        assert_int_equal(ms_model_write_tensors(path, &tensor, 1, &error), MS_OK);
        assert_int_equal(size_of(scratch->base, "t.safetensors") % 8, 0);
    }
}

/* Every half survives the way through float, and values between two halves go to the nearer one, ties to the
 * even one. */
static void halves(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x7c00; half++) {
        float below = ms_half_to_float((uint16_t)half), above = ms_half_to_float((uint16_t)(half + 1));
        assert_int_equal(ms_half_of_float(below), half);
        assert_int_equal(ms_half_of_float(-below), half | 0x8000);
        if (half == 0x7bff)
            above = 65536; /* the next half if there were one */
        float middle = (below + above) / 2;
        assert_int_equal(ms_half_of_float(middle), half + (half & 1));
        assert_int_equal(ms_half_of_float(nextafterf(middle, 0)), half);
        assert_int_equal(ms_half_of_float(nextafterf(middle, HUGE_VALF)), half + 1);
    }
    assert_int_equal(ms_half_of_float(HUGE_VALF), 0x7c00);
    assert_int_equal(ms_half_of_float(-1e30f), 0xfc00);
    assert_int_equal(ms_half_of_float(0x1p-149f), 0);
    assert_true(isnan(ms_half_to_float(ms_half_of_float(NAN))));
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(round_trip),        IN_SCRATCH(replaces_a_model), IN_SCRATCH(keeps_models_of_others),
        IN_SCRATCH(keeps_other_files), IN_SCRATCH(refused_lines),    IN_SCRATCH(refused_directories),
        cmocka_unit_test(full_disk),   IN_SCRATCH(alignment),        cmocka_unit_test(halves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
