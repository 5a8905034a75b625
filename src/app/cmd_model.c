/* mindstream model: checks a model directory, or describes it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "interest/overflow.h"
#include "mindstream/extract.h"
#include "mindstream/model.h"
#include "model/config.h"

#define VALUE_MAX 600 /* longer than any value of config.json */

struct model_arguments {
    const char *dir;
    bool json;
};

static void shape_text(char *text, size_t size, struct ms_tensor tensor)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < tensor.rank; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", tensor.shape[i]);
    snprintf(text + used, size - used, "]");
}

static const char *activation(const struct ms_model_spec *spec, int layer)
{
    return spec->head_activation[layer] == MS_ACTIVATION_RELU ? "relu" : "linear";
}

static void print_row(const char *name, const char *value)
{
    printf("  %-28s %s\n", name, value);
}

static void print_number(const char *name, size_t value, const char *unit)
{
    printf("  %-28s %zu%s\n", name, value, unit);
}

static void print_options(const struct ms_model_spec *spec)
{
    char value[VALUE_MAX];
    const char *key;
    puts("options");
    for (size_t i = 0; (key = ms_model_spec_key(spec, i, value, sizeof value)); i++)
        if (*value)
            print_row(key, value);
    for (int n = 0; n < spec->head_layers; n++) {
        snprintf(value, sizeof value, "head[%d].activation", n);
        print_row(value, activation(spec, n));
    }
}

/* Each value of an object with its dotted path. */
static void print_values(const char *path, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        char name[200];
        snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key);
        char *text = json_is_object(value) ? NULL
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        if (json_is_object(value))
            print_values(name, value);
        else
            print_row(name, json_is_string(value) ? json_string_value(value) : text ? text : "?");
        free(text);
    }
}

static json_t *training_json(const struct ms_model *model)
{
    const char *training = ms_model_spec(model)->training;
    return training ? json_loads(training, 0, NULL) : NULL;
}

static void print_training(const struct ms_model *model)
{
    json_t *training = training_json(model);
    if (training) {
        puts("training");
        print_values("", training);
    }
    json_decref(training);
}

static void print_info(const struct ms_model *model, const struct ms_error *refused)
{
    const struct ms_model_config *config = ms_model_config(model);
    struct ms_tensor tensor;
    char text[200];
    const char *name;
    printf("%s\n", config->id);
    print_number("items", ms_model_item_count(model), "");
    print_number("item width", (size_t)config->item_dim, "");
    print_number("capsule width", (size_t)ms_model_spec(model)->capsule_dim, "");
    print_number("memory", ms_model_bytes(model), " bytes");
    snprintf(text, sizeof text, "%016" PRIx64, ms_model_hash(model));
    print_row("hash", text);
    printf("  %-28s %s%s\n", "incremental fold", refused->status == MS_OK ? "yes" : "no: ", refused->text);
    print_options(ms_model_spec(model));
    print_training(model);
    puts("tensors");
    for (size_t i = 0; (tensor = ms_model_tensor_at(model, i, &name)).data; i++) {
        shape_text(text, sizeof text, tensor);
        print_row(name, text);
    }
}

/* Puts a value at a dotted path, making the objects on the way. */
static void set_path(json_t *object, const char *path, json_t *value)
{
    const char *dot;
    while ((dot = strchr(path, '.'))) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        json_t *next = json_object_get(object, name);
        if (!next) {
            next = json_object();
            json_object_set_new(object, name, next);
        }
        object = next;
        path = dot + 1;
    }
    json_object_set_new(object, path, value);
}

/* A value as config.json would hold it: numbers and truth values unquoted. */
static json_t *value_json(const char *key, const char *value)
{
    bool text = strcmp(key, "name") == 0 || strcmp(key, "version") == 0;
    json_t *json = text ? NULL : json_loads(value, JSON_DECODE_ANY, NULL);
    return json ? json : json_string(value);
}

static json_t *options_json(const struct ms_model_spec *spec)
{
    char value[VALUE_MAX];
    const char *key;
    json_t *options = json_object(), *head = json_array();
    for (size_t i = 0; (key = ms_model_spec_key(spec, i, value, sizeof value)); i++)
        if (*value)
            set_path(options, key, value_json(key, value));
    for (int n = 0; n < spec->head_layers; n++)
        json_array_append_new(head, json_pack("{s:s}", "activation", activation(spec, n)));
    json_object_set_new(options, "head", head);
    return options;
}

static json_t *tensors_json(const struct ms_model *model)
{
    struct ms_tensor tensor;
    const char *name;
    json_t *tensors = json_object();
    for (size_t i = 0; (tensor = ms_model_tensor_at(model, i, &name)).data; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < tensor.rank; d++)
            json_array_append_new(shape, json_integer(tensor.shape[d]));
        json_object_set_new(tensors, name, shape);
    }
    return tensors;
}

/* Prints and releases. */
static enum ms_status print_json(json_t *json, struct ms_error *error)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(json);
    if (!text)
        return ms_fail(error, MS_MEMORY, "out of memory");
    puts(text);
    free(text);
    return MS_OK;
}

static json_t *info_json(const struct ms_model *model, const struct ms_error *refused)
{
    const struct ms_model_config *config = ms_model_config(model);
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, ms_model_hash(model));
    return json_pack("{s:b, s:s, s:I, s:i, s:i, s:I, s:s, s:b, s:s*, s:o, s:o*, s:o}", "ok", 1, "model",
                     config->id, "items", (json_int_t)ms_model_item_count(model), "item_dim",
                     config->item_dim, "capsule_dim", ms_model_spec(model)->capsule_dim, "memory_bytes",
                     (json_int_t)ms_model_bytes(model), "hash", hash, "incremental", refused->status == MS_OK,
                     "incremental_refused", refused->status == MS_OK ? NULL : refused->text, "options",
                     options_json(ms_model_spec(model)), "training", training_json(model), "tensors",
                     tensors_json(model));
}

/* Loads the model. With --json, what is wrong with it is printed as JSON, and the error has no text then. */
static enum ms_status load_model(struct ms_model **model, const struct model_arguments *arguments,
                                 struct ms_error *error)
{
    enum ms_status status = ms_model_load(model, arguments->dir, error);
    if (status != MS_OK && arguments->json) {
        json_t *answer = json_pack("{s:b, s:s}", "ok", 0, "error", error->text);
        error->text[0] = '\0';
        if (print_json(answer, error) != MS_OK)
            return error->status;
    }
    return status;
}

/* Says which tensor lets vectors leave float32; null in JSON where none does. */
static json_t *overflow_json(const struct ms_model *model)
{
    struct ms_overflow found;
    if (!ms_overflow_possible(model, &found))
        return json_null();
    return json_pack("{s:s, s:f, s:s, s:f}", "tensor", found.tensor, "largest", found.largest, "what",
                     found.what, "bound", found.bound);
}

static void print_overflow(const struct ms_model *model)
{
    struct ms_overflow found;
    if (ms_overflow_possible(model, &found))
        printf(
            "warning: tensor %s has numbers up to %.3g: %s may reach %.3g, beyond float32 (3.4e38); a user whose "
            "vectors overflow is published without interests\n",
            found.tensor, found.largest, found.what, found.bound);
}

static enum ms_status run_check(void *context, struct ms_error *error)
{
    const struct model_arguments *arguments = context;
    struct ms_model *model = NULL;
    enum ms_status status = load_model(&model, arguments, error);
    if (status != MS_OK)
        return status;
    const struct ms_model_config *config = ms_model_config(model);
    if (arguments->json)
        status = print_json(json_pack("{s:b, s:s, s:I, s:i, s:i, s:o}", "ok", 1, "model", config->id, "items",
                                      (json_int_t)ms_model_item_count(model), "interests", config->interests,
                                      "dim", config->dim, "overflow", overflow_json(model)),
                            error);
    else {
        print_overflow(model);
        printf("%s: ok, %s, %s, %u items, %d interests of %d floats, window %d\n", arguments->dir, config->id,
               config->extractor_name, ms_model_item_count(model), config->interests, config->dim,
               config->max_behaviors);
    }
    ms_model_destroy(model);
    return status;
}

static enum ms_status run_info(void *context, struct ms_error *error)
{
    const struct model_arguments *arguments = context;
    struct ms_model *model = NULL;
    struct ms_error refused = {0};
    enum ms_status status = load_model(&model, arguments, error);
    if (status != MS_OK)
        return status;
    refused.status = ms_fold_supported(model, &refused);
    if (arguments->json)
        status = print_json(info_json(model, &refused), error);
    else
        print_info(model, &refused);
    ms_model_destroy(model);
    return status;
}

static const struct ms_argument rows[] = {
    {.name = "DIR",
     .kind = MS_ARGUMENT_DIRECTORY,
     .positional = true,
     .required = true,
     .help = "the model directory",
     .offset = offsetof(struct model_arguments, dir)},
    {.name = "json",
     .kind = MS_ARGUMENT_FLAG,
     .help = "print one JSON object instead of text",
     .offset = offsetof(struct model_arguments, json)},
    {0},
};

static const struct ms_command check_command = {
    .name = "check",
    .summary = "whether a model directory is good",
    .description =
        "Reads config.json, model.safetensors and items.txt as the service would and ends with one line: what the model\n"
        "is, or the first thing that is wrong with it. A line before it warns of a tensor whose numbers are so large that\n"
        "vectors may overflow float32.\n",
    .rows = rows,
    .examples = "mindstream model check models/2026-11-20 && mv -T models/2026-11-20 models/next\n",
    .exit_status = "0 the model is good, 1 it is not or cannot be read, 2 bad usage",
    .arguments_bytes = sizeof(struct model_arguments),
    .run = run_check,
};

static const struct ms_command info_command = {
    .name = "info",
    .summary = "every option, every tensor, and what a model costs",
    .description =
        "Reads a model directory as the service would and prints every option with its value, every tensor with\n"
        "its shape, and what the model costs.\n",
    .rows = rows,
    .examples = "mindstream model info models/next\n"
                "mindstream model info models/next --json | jq .options.routing\n",
    .exit_status = "0 printed, 1 the model is not good or cannot be read, 2 bad usage",
    .arguments_bytes = sizeof(struct model_arguments),
    .run = run_info,
};

static const struct ms_command activate_command = {
    .name = "activate",
    .refused = "activate is not built yet: point model.dir at the directory and start the service again",
};

static const struct ms_command *const commands[] = {&check_command, &info_command, &activate_command, NULL};

const struct ms_command ms_command_model = {
    .name = "model",
    .summary = "check or describe a model directory",
    .description = "Tells what a model directory holds, and whether the service would take it.\n",
    .commands = commands,
    .examples = "mindstream model check models/2026-11-20 && mv -T models/2026-11-20 models/next\n"
                "mindstream model info models/next --json | jq .options.routing\n",
};
