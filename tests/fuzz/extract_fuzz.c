/* Feeds any line to `mindstream extract`, in one of four ways that the input's first byte chooses. A line
 * that is taken gives one record, a single line that ends in a newline and holds finite numbers; one that is
 * not leaves the output alone and says why. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_writer.h"
#include "train/history_line.h"

#define ITEMS 8

static const char *const ids[ITEMS] = {"a", "b", "c", "1", "2", "-3", "x y", "\xc3\xbc"};

enum { FULL, PADDED, FOLD, FOLD_BY_TIME, WAYS };

static struct ms_history_options options[WAYS];
static struct ms_history_line *readers[WAYS];

static struct ms_model *make_model(bool padded)
{
    static float numbers[ITEMS * 6];
    char config[400];
    struct ms_error error;
    struct ms_model *model = NULL;
    for (int i = 0; i < ITEMS * 6; i++)
        numbers[i] = 0.1f * (float)(i * 37 % 23 - 11);
    snprintf(config, sizeof config,
             "{\"format\": \"mindstream-model/1\", \"name\": \"f\", \"version\": \"1\", \"extractor\": "
             "\"mind\", \"dim\": 6, "
             "\"interests\": 3, \"max_behaviors\": 5%s}",
             padded ? ", \"routing\": {\"softmax\": \"behaviors\", \"padded_softmax\": true}" : "");
    const struct writer_tensor tensors[] = {
        {.name = "item_embedding", .data = numbers, .rank = 2, .shape = {ITEMS, 6}},
        {.name = "routing.bilinear", .data = numbers, .rank = 2, .shape = {6, 6}}};
    char *dir = writer_temp_dir();
    writer_model(dir, config, ids, ITEMS, tensors, 2);
    if (ms_model_load(&model, dir, &error) != MS_OK)
        abort();
    writer_remove(dir);
    free(dir);
    return model;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct ms_model *plain = make_model(false), *padded = make_model(true);
    options[FOLD] = (struct ms_history_options){true, {.count = 2, .per_event = {0.9, 0.5}}};
    options[FOLD_BY_TIME] = (struct ms_history_options){
        true, {.count = 1, .per_event = {1}, .half_life_ms = {1000}}};
    for (int way = 0; way < WAYS; way++) {
        struct ms_error error;
        if (ms_history_line_new(&readers[way], way == PADDED ? padded : plain, &options[way], &error) !=
            MS_OK)
            abort();
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ms_buffer out = {0};
    struct ms_error error = {MS_OK, ""};
    assert(ms_buffer_append(&out, "before\n", 7));
    enum ms_status status = ms_history_line_extract(readers[data[0] % WAYS], (const char *)data + 1, size - 1,
                                                    &out, &error);
    if (status == MS_OK) {
        assert(out.size > 8 && out.data[7] == '{' && out.data[out.size - 1] == '\n');
        assert(!memchr(out.data + 7, '\n', out.size - 8));
        assert(!memmem(out.data, out.size, "nan", 3) || memmem(data, size, "nan", 3));
    } else {
        assert(out.size == 7 && error.status == status && error.text[0]);
    }
    ms_buffer_free(&out);
    return 0;
}
