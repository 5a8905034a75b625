/* Profile fields of a model: found or listed, their vocabularies and default rows, the widths, and what is
 * refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mindstream/extract.h"
#include "model/config.h"
#include "model/model_writer.h"

#define CONFIG(dim, more)                                                                                    \
    "{\"format\":\"mindstream-model/"                                                                        \
    "1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\",\"dim\":" #dim                              \
    ",\"interests\":3,\"max_behaviors\":5" more "}"

static const char *const items[] = {"i1", "i2", "i3", "i4"};
static const float zeros[4 * 5000];
static const float genders[2][1] = {{1}, {2}}, ages[3][2] = {{10, 11}, {20, 21}, {30, 31}};
/* Not in the order of their names. */
static const struct writer_tensor tensors[] = {{"profile.gender", genders[0], 2, {2, 1}, false},
                                               {"item_embedding", zeros, 2, {4, 3}, false},
                                               {"profile.age", ages[0], 2, {3, 2}, false},
                                               {"routing.bilinear", zeros, 2, {3, 2}, false}};

static void text(const char *dir, const char *name, const char *lines)
{
    writer_file(dir, name, lines, strlen(lines));
}

static void write_model(const char *dir, const char *config)
{
    writer_model(dir, config, items, 4, tensors, 4);
    text(dir, "profile_gender.txt", "f\nm\n");   /* as many as rows: the first is the default */
    text(dir, "profile_age.txt", "young\n25\n"); /* one fewer: the last row is */
}

static struct ms_model *loaded(const char *dir)
{
    struct ms_model *model;
    struct ms_error error;
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    return model;
}

static void refused(const char *dir, const char *file, const char *expected)
{
    struct ms_model *model = NULL;
    struct ms_error error = {0};
    char prefix[4200];
    assert_int_equal(ms_model_load(&model, dir, &error), MS_MODEL);
    assert_null(model);
    snprintf(prefix, sizeof prefix, "%s/%s: ", dir, file);
    if (strncmp(error.text, prefix, strlen(prefix)) != 0 || !strstr(error.text, expected))
        fail_msg("gives: %s\n wanted: %s %s", error.text, prefix, expected);
}

static void is_row(const struct ms_model *model, int field, const char *value, const float *row)
{
    const float *found = ms_model_profile_row(model, field, value, value ? strlen(value) : 0);
    assert_memory_equal(found, row, (size_t)ms_model_config(model)->profile_width[field] * sizeof *row);
}

static void fields(void **state)
{
    const char *dir = *state;
    write_model(dir, CONFIG(5, ""));
    struct ms_model *model = loaded(dir);
    const struct ms_model_config *config = ms_model_config(model);
    assert_int_equal(config->profile_fields, 2); /* found, in the order of their names */
    assert_string_equal(config->profile_field[0], "age");
    assert_string_equal(config->profile_field[1], "gender");
    assert_int_equal(config->profile_width[0], 2);
    assert_int_equal(config->profile_width[1], 1);
    assert_int_equal(config->profile_dim, 3);
    assert_int_equal(ms_item_vector_dim(model), 2);
    assert_int_equal(ms_model_spec(model)->profile_order, MS_PROFILE_BEFORE_INTEREST);
    is_row(model, 0, "young", ages[0]);
    is_row(model, 0, "25", ages[1]);
    is_row(model, 0, "old", ages[2]);
    is_row(model, 0, "", ages[2]);
    is_row(model, 0, NULL, ages[2]);
    is_row(model, 1, "f", genders[0]);
    is_row(model, 1, "m", genders[1]);
    is_row(model, 1, "fm", genders[0]);
    is_row(model, 1, NULL, genders[0]);
    ms_model_destroy(model);

    write_model(dir,
                CONFIG(5, ",\"profile\":{\"fields\":[\"gender\",\"age\"],\"order\":\"after-interest\"}"));
    model = loaded(dir);
    config = ms_model_config(model);
    assert_int_equal(config->profile_fields, 2); /* as listed */
    assert_string_equal(config->profile_field[0], "gender");
    assert_int_equal(config->profile_width[1], 2);
    assert_int_equal(ms_model_spec(model)->profile_order, MS_PROFILE_AFTER_INTEREST);
    is_row(model, 0, "m", genders[1]);
    ms_model_set_profile_order(model, MS_PROFILE_BEFORE_INTEREST);
    assert_int_equal(ms_model_spec(model)->profile_order, MS_PROFILE_BEFORE_INTEREST);
    uint64_t hash = ms_model_hash(model);
    ms_model_destroy(model);

    text(dir, "profile_gender.txt", "f\nx\n"); /* a vocabulary is part of what a model is */
    model = loaded(dir);
    assert_true(ms_model_hash(model) != hash);
    ms_model_destroy(model);
}

/* The head takes capsule and profile. */
static void head(void **state)
{
    const char *dir = *state;
    struct writer_tensor wide[5];
    memcpy(wide, tensors, sizeof tensors);
    wide[4] = (struct writer_tensor){"head.0.weight", zeros, 2, {7, 5}, false};
    write_model(dir, CONFIG(7, ",\"head\":[{\"activation\":\"linear\"}]"));
    writer_tensors(dir, wide, 5);
    struct ms_model *model = loaded(dir);
    assert_int_equal(ms_model_config(model)->dim, 7);
    assert_int_equal(ms_item_vector_dim(model), 2);
    ms_model_destroy(model);
    wide[4].shape[1] = 2;
    writer_tensors(dir, wide, 5);
    refused(dir, "model.safetensors", "tensor head.0.weight has shape [7, 2], expected [out=7, in=5]");
}

static void vocabularies(void **state)
{
    const char *dir = *state;
    static const struct {
        const char *lines, *expected;
    } bad[] = {
        {"young\n", "1 lines, but tensor profile.age has 3 rows (as many, or one more for all other values)"},
        {"a\nb\nc\nd\n", "4 lines, but tensor profile.age has 3 rows"},
        {"", "the file is empty"},
        {"a\n\n", "line 2 is empty"},
        {"a\na\n", "line 2 repeats the id of line 1"},
        {"a\r\n\r\nb\r\n", "line 2 is empty"},
        {"a\n\xff\n", "line 2 is not valid UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_model(dir, CONFIG(5, ""));
        text(dir, "profile_age.txt", bad[i].lines);
        refused(dir, "profile_age.txt", bad[i].expected);
    }
    char path[4200];
    write_model(dir, CONFIG(5, ""));
    snprintf(path, sizeof path, "%s/profile_gender.txt", dir);
    unlink(path);
    refused(dir, "profile_gender.txt", "the file is missing");
}

static void shapes(void **state)
{
    const char *dir = *state;
    struct writer_tensor changed[4];
    write_model(dir, CONFIG(3, ""));
    refused(dir, "model.safetensors", "dim=3 leaves no room beside a profile of 3 (no head)");
    write_model(dir, CONFIG(2, ""));
    refused(dir, "model.safetensors", "dim=2 leaves no room beside a profile of 3 (no head)");
    write_model(dir, CONFIG(6, ""));
    refused(dir, "model.safetensors", "tensor routing.bilinear has shape [3, 2], expected [d=3, dim=3]");
    write_model(dir, CONFIG(5, ""));
    memcpy(changed, tensors, sizeof tensors);
    changed[2].rank = 1;
    writer_tensors(dir, changed, 4);
    refused(dir, "model.safetensors", "tensor profile.age has shape [3], expected [V, dp]");
    changed[2] = (struct writer_tensor){"profile.age", zeros, 2, {3, 0}, false};
    writer_tensors(dir, changed, 4);
    refused(dir, "model.safetensors", "tensor profile.age has shape [3, 0], expected [V, dp]");
    changed[2] = (struct writer_tensor){"profile.age", zeros, 2, {3, 4096}, false};
    writer_tensors(dir, changed, 4);
    refused(dir, "model.safetensors", "the profile's embeddings are 4097 wide together, at most 4096");
    static const char *const names[] = {
        "profile.", "profile.a/b", "profile.a.b",
        "profile.0123456789012345678901234567890123456789012345678901234567891234"
        "5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        memcpy(changed, tensors, sizeof tensors);
        changed[2].name = names[i];
        writer_tensors(dir, changed, 4);
        refused(dir, "model.safetensors",
                "at most 32 profile fields, named by 1 to 64 bytes without / and .");
    }
}

static void configs(void **state)
{
    const char *dir = *state;
    static const struct {
        const char *config, *file, *expected;
    } bad[] = {{CONFIG(4, ",\"profile\":{\"fields\":[\"age\"]}"), "model.safetensors",
                "tensor profile.gender is not one that this config asks for"},
               {CONFIG(5, ",\"profile\":{\"fields\":[\"age\",\"gender\",\"city\"]}"), "model.safetensors",
                "tensor profile.city is missing, expected with shape [V, dp]"},
               {CONFIG(5, ",\"profile\":{\"fields\":\"age\"}"), "config.json",
                "profile.fields is \"age\", allowed is a list of at most 32 names"},
               {CONFIG(5, ",\"profile\":{\"fields\":[7]}"), "config.json",
                "profile.fields is 7, allowed is a name of 1 to 64 bytes without / and ."},
               {CONFIG(5, ",\"profile\":{\"fields\":[\"../x\"]}"), "config.json",
                "profile.fields is \"../x\", allowed is a name of 1 to 64 bytes without / and ."},
               {CONFIG(5, ",\"profile\":{\"fields\":[\"\"]}"), "config.json", "a name of 1 to 64 bytes"},
               {CONFIG(5, ",\"profile\":{\"fields\":[\"age\",\"age\"]}"), "config.json",
                "profile.fields is \"age\", allowed is each name once"},
               {CONFIG(5, ",\"profile\":{\"order\":\"beside\"}"), "config.json",
                "profile.order is \"beside\", allowed is before-interest, after-interest"},
               {CONFIG(5, ",\"profile\":{\"dim\":3}"), "config.json", "unknown key \"profile.dim\""},
               {CONFIG(5, ",\"profile\":[]"), "config.json", "profile is [], allowed is an object"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_model(dir, bad[i].config);
        refused(dir, bad[i].file, bad[i].expected);
    }
    char many[1024] = CONFIG(5, ",\"profile\":{\"fields\":[");
    char *at = strstr(many, "[}"); /* the closing brace of the config moves behind the list */
    at++;
    for (int i = 0; i < 33; i++)
        at += sprintf(at, "%s\"f%d\"", i ? "," : "", i);
    strcpy(at, "]}}");
    write_model(dir, many);
    refused(dir, "config.json", "allowed is a list of at most 32 names");
}

/* One of more fields than there may be, found by their tensors. */
static void too_many(void **state)
{
    const char *dir = *state;
    struct writer_tensor many[36];
    static char names[33][16];
    memcpy(many, tensors, sizeof tensors);
    many[0] = tensors[1], many[1] = tensors[3];
    for (int i = 0; i < 33; i++) {
        snprintf(names[i], sizeof names[i], "profile.f%d", i);
        many[2 + i] = (struct writer_tensor){names[i], genders[0], 2, {2, 1}, false};
    }
    write_model(dir, CONFIG(34, ""));
    for (int i = 0; i < 33; i++) {
        char file[32];
        snprintf(file, sizeof file, "profile_f%d.txt", i);
        text(dir, file, "a\nb\n");
    }
    writer_tensors(dir, many, 34);
    struct ms_model *model = loaded(dir);
    assert_int_equal(ms_model_config(model)->profile_fields, 32);
    assert_string_equal(ms_model_config(model)->profile_field[1], "f1");
    assert_string_equal(ms_model_config(model)->profile_field[2], "f10");
    ms_model_destroy(model);
    write_model(dir, CONFIG(35, ""));
    writer_tensors(dir, many, 35);
    refused(dir, "model.safetensors", "tensor profile.f32: at most 32 profile fields");
}

static int make_dir(void **state)
{
    *state = writer_temp_dir();
    return 0;
}

static int remove_dir(void **state)
{
    writer_remove(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(head, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(vocabularies, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(shapes, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(configs, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(too_many, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
