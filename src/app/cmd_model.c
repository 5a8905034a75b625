/* mindstream model: checks a model directory, or describes it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "mindstream/extract.h"
#include "mindstream/model.h"
#include "model/config.h"

static const char help[] =
    "Usage: mindstream model check DIR [--json]\n"
    "       mindstream model info DIR [--json]\n"
    "\n"
    "check reads config.json, model.safetensors and items.txt as the service would and ends with one line: "
    "what the\n"
    "model is, or the first thing that is wrong with it. info prints every option, every tensor, and what it "
    "costs.\n"
    "\n"
    "Options:\n"
    "  --json   print one JSON object instead of text\n"
    "  --help   print this\n"
    "\n"
    "Examples:\n"
    "  mindstream model check models/2026-11-20 && mv -T models/2026-11-20 models/next\n"
    "  mindstream model info models/next --json | jq .options.routing\n"
    "\n"
    "Exit status: 0 the model is good, 1 it is not or cannot be read, 2 bad usage.\n";

#define VALUE_MAX 600 /* longer than any value of config.json */

static int usage(const char *what, const char *argument)
{
    fprintf(stderr, "mindstream model: %s%s%s; 'mindstream model --help' shows the usage\n", what,
            argument ? " " : "", argument ? argument : "");
    return 2;
}

static void shape_text(char *text, size_t size, struct ms_tensor tensor)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < tensor.rank; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", tensor.shape[i]);
    snprintf(text + used, size - used, "]");
}

static const char *activation(const struct ms_model_config *config, int layer)
{
    return config->head_activation[layer] == MS_ACTIVATION_RELU ? "relu" : "linear";
}

static void print_row(const char *name, const char *value)
{
    printf("  %-28s %s\n", name, value);
}

static void print_number(const char *name, size_t value, const char *unit)
{
    printf("  %-28s %zu%s\n", name, value, unit);
}

static void print_options(const struct ms_model_config *config)
{
    char value[VALUE_MAX];
    const char *key;
    puts("options");
    for (size_t i = 0; (key = ms_model_config_key(config, i, value, sizeof value)); i++)
        if (*value)
            print_row(key, value);
    for (int n = 0; n < config->head_layers; n++) {
        snprintf(value, sizeof value, "head[%d].activation", n);
        print_row(value, activation(config, n));
    }
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
    print_number("capsule width", (size_t)config->capsule_dim, "");
    print_number("memory", ms_model_bytes(model), " bytes");
    snprintf(text, sizeof text, "%016" PRIx64, ms_model_hash(model));
    print_row("hash", text);
    printf("  %-28s %s%s\n", "incremental fold", refused->status == MS_OK ? "yes" : "no: ", refused->text);
    print_options(config);
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
static json_t *typed(const char *key, const char *value)
{
    bool text = strcmp(key, "name") == 0 || strcmp(key, "version") == 0;
    json_t *json = text ? NULL : json_loads(value, JSON_DECODE_ANY, NULL);
    return json ? json : json_string(value);
}

static json_t *options_json(const struct ms_model_config *config)
{
    char value[VALUE_MAX];
    const char *key;
    json_t *options = json_object(), *head = json_array();
    for (size_t i = 0; (key = ms_model_config_key(config, i, value, sizeof value)); i++)
        if (*value)
            set_path(options, key, typed(key, value));
    for (int n = 0; n < config->head_layers; n++)
        json_array_append_new(head, json_pack("{s:s}", "activation", activation(config, n)));
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
static int print_json(json_t *json, int exit_code)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(json);
    if (!text) {
        fputs("mindstream model: out of memory\n", stderr);
        return 1;
    }
    puts(text);
    free(text);
    return exit_code;
}

static int info_json(const struct ms_model *model, const struct ms_error *refused)
{
    const struct ms_model_config *config = ms_model_config(model);
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, ms_model_hash(model));
    return print_json(json_pack("{s:b, s:s, s:I, s:i, s:i, s:I, s:s, s:b, s:s*, s:o, s:o}", "ok", 1, "model",
                                config->id, "items", (json_int_t)ms_model_item_count(model), "item_dim",
                                config->item_dim, "capsule_dim", config->capsule_dim, "memory_bytes",
                                (json_int_t)ms_model_bytes(model), "hash", hash, "incremental",
                                refused->status == MS_OK, "incremental_refused",
                                refused->status == MS_OK ? NULL : refused->text, "options",
                                options_json(config), "tensors", tensors_json(model)),
                      0);
}

static int check(const struct ms_model *model, const char *dir, bool json)
{
    const struct ms_model_config *config = ms_model_config(model);
    if (json)
        return print_json(json_pack("{s:b, s:s, s:I, s:i, s:i}", "ok", 1, "model", config->id, "items",
                                    (json_int_t)ms_model_item_count(model), "interests", config->interests,
                                    "dim", config->dim),
                          0);
    printf("%s: ok, %s, %s, %u items, %d interests of %d floats, window %d\n", dir, config->id,
           config->extractor_name, ms_model_item_count(model), config->interests, config->dim,
           config->max_behaviors);
    return 0;
}

static int run(const char *verb, const char *dir, bool json)
{
    struct ms_model *model = NULL;
    struct ms_error error = {0}, refused = {0};
    enum ms_status status = ms_model_load(&model, dir, &error);
    if (status != MS_OK) {
        if (json)
            return print_json(json_pack("{s:b, s:s}", "ok", 0, "error", error.text),
                              ms_status_exit_code(status));
        fprintf(stderr, "mindstream model: %s\n", error.text);
        return ms_status_exit_code(status);
    }
    int exit_code = 0;
    if (strcmp(verb, "check") == 0) {
        exit_code = check(model, dir, json);
    } else {
        refused.status = ms_fold_supported(model, &refused);
        if (json)
            exit_code = info_json(model, &refused);
        else
            print_info(model, &refused);
    }
    ms_model_destroy(model);
    return exit_code;
}

int ms_cmd_model(int argc, char **argv)
{
    const char *words[2] = {NULL, NULL};
    int count = 0;
    bool json = false;
    if (argc > 1 && strcmp(argv[1], "activate") == 0)
        return usage(
            "activate is not built yet: point model.dir at the directory and start the service again", NULL);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-')
            return usage("unknown option", argv[i]);
        else if (count == 2)
            return usage("one argument too many:", argv[i]);
        else
            words[count++] = argv[i];
    }
    if (count == 0)
        return usage("check or info is missing", NULL);
    if (strcmp(words[0], "check") != 0 && strcmp(words[0], "info") != 0)
        return usage("unknown verb", words[0]);
    if (count == 1)
        return usage("the model directory is missing", NULL);
    return run(words[0], words[1], json);
}
