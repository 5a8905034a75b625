/* A small ranking service without the service: the interests of one history, and the record that an output topic holds.
 *
 * usage: consumer MODEL ITEM... < RECORD.json
 *
 * Loads the model directory, extracts the interests of the items (oldest first) and prints a line for each: weight and
 * vector. Then decodes the record from standard input and the same interests encoded as protobuf, and exits with 0
 * when both say what was extracted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/extract.h"
#include "mindstream/model.h"
#include "mindstream/record.h"
#include "mindstream/status.h"

enum { RECORD_BYTES = 1 << 20 };

static int fail(const struct ms_error *error)
{
    fprintf(stderr, "consumer: %s: %s\n", ms_status_text(error->status), error->text);
    return ms_status_exit_code(error->status);
}

static void print_interests(struct ms_interests interests)
{
    for (int i = 0; i < interests.count; i++) {
        printf("%.9g", (double)interests.weights[i]);
        for (int j = 0; j < interests.dim; j++)
            printf(" %.9g", (double)interests.vectors[i * interests.dim + j]);
        putchar('\n');
    }
}

static int same_interests(struct ms_interests a, struct ms_interests b)
{
    size_t count = (size_t)a.count, dim = (size_t)a.dim;
    return a.count == b.count && a.dim == b.dim && !memcmp(a.weights, b.weights, count * sizeof(float)) &&
           !memcmp(a.vectors, b.vectors, count * dim * sizeof(float));
}

/* Decodes |value| and compares it with |expected|. Returns an exit code. */
static int check_record(enum ms_record_format format, struct ms_bytes value, struct ms_interests expected)
{
    struct ms_decoded *decoded = NULL;
    struct ms_error error;
    if (ms_decode_user(&decoded, format, value, &error) != MS_OK)
        return fail(&error);
    int same = same_interests(ms_decoded_record(decoded)->interests, expected);
    ms_decoded_destroy(decoded);
    if (!same)
        fprintf(stderr, "consumer: the record does not say what was extracted\n");
    return same ? 0 : 1;
}

static int check_json(struct ms_interests expected)
{
    char *text = malloc(RECORD_BYTES);
    if (!text)
        return 1;
    struct ms_bytes value = {text, fread(text, 1, RECORD_BYTES, stdin)};
    int code = check_record(MS_RECORD_JSON, value, expected);
    free(text);
    return code;
}

static int check_protobuf(struct ms_interests expected)
{
    struct ms_encoder *encoder = NULL;
    struct ms_error error;
    if (ms_encoder_new(&encoder, MS_RECORD_PROTOBUF, &error) != MS_OK)
        return fail(&error);
    struct ms_record record = {
        .user_id = {"u1", 2}, .version = 1, .model = {"m@1", 3}, .interests = expected};
    int code = check_record(MS_RECORD_PROTOBUF, ms_encode_user(encoder, &record), expected);
    ms_encoder_destroy(encoder);
    return code;
}

/* The numbers of those items that the model knows. Returns how many. */
static size_t find_items(const struct ms_model *model, char **ids, size_t count, uint32_t *items)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t item = ms_model_find(model, ids[i], strlen(ids[i]));
        if (item != MS_NO_ITEM)
            items[found++] = item;
    }
    return found;
}

static int extract(const struct ms_model *model, char **ids, size_t count)
{
    struct ms_extractor *extractor = NULL;
    struct ms_error error;
    uint32_t *items = calloc(count, sizeof *items);
    if (!items)
        return 1;
    int code = 0;
    if (ms_extractor_new(&extractor, model, &error) != MS_OK) {
        code = fail(&error);
    } else {
        size_t found = find_items(model, ids, count, items);
        struct ms_interests interests = ms_extract_full(extractor, items, found, NULL, 0, NULL);
        print_interests(interests);
        code = check_json(interests);
        if (!code)
            code = check_protobuf(interests);
    }
    ms_extractor_destroy(extractor);
    free(items);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: consumer MODEL ITEM... < RECORD.json\n");
        return 2;
    }
    struct ms_model *model = NULL;
    struct ms_error error;
    if (ms_model_load(&model, argv[1], &error) != MS_OK)
        return fail(&error);
    int code = extract(model, argv + 2, (size_t)argc - 2);
    ms_model_destroy(model);
    return code;
}
