/* Writes small model directories for tests. */
#include "model/model_writer.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(bool good, const char *what)
{
    if (!good) {
        perror(what);
        abort();
    }
}

char *writer_temp_dir(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/ms-model-XXXXXX", base ? base : "/tmp");
    check(mkdtemp(path) != NULL, path);
    return strdup(path);
}

void writer_remove(const char *dir)
{
    char path[4096];
    struct dirent *entry;
    DIR *open = opendir(dir);
    if (!open)
        return;
    while ((entry = readdir(open))) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(path);
    }
    closedir(open);
    check(rmdir(dir) == 0, dir);
}

static FILE *create(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    FILE *file = fopen(path, "wb");
    check(file != NULL, path);
    return file;
}

void writer_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    FILE *file = create(dir, name);
    check(fwrite(bytes, 1, size, file) == size && fclose(file) == 0, name);
}

void writer_items(const char *dir, const char *const *items, size_t item_count)
{
    FILE *file = create(dir, "items.txt");
    for (size_t i = 0; i < item_count; i++)
        check(fprintf(file, "%s\n", items[i]) > 0, "items.txt");
    check(fclose(file) == 0, "items.txt");
}

static size_t elements(const struct writer_tensor *tensor)
{
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->shape[i];
    return count;
}

/* Exact for the normal values and zeros that tests use. */
static uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, fraction = bits >> 13 & 0x3ff;
    if (exponent == 0)
        return (uint16_t)sign;
    if (exponent == 255)
        return (uint16_t)(sign | 0x7c00 | fraction);
    check(exponent > 112 && exponent < 143 && !(bits & 0x1fff), "a value that is not exact in float16");
    return (uint16_t)(sign | (exponent - 112) << 10 | fraction);
}

static void write_data(FILE *file, const struct writer_tensor *tensor)
{
    for (size_t i = 0; i < elements(tensor); i++) {
        uint16_t half = tensor->half ? to_half(tensor->data[i]) : 0;
        const void *at = tensor->half ? (const void *)&half : (const void *)&tensor->data[i];
        check(fwrite(at, tensor->half ? 2 : 4, 1, file) == 1, "model.safetensors");
    }
}

void writer_tensors(const char *dir, const struct writer_tensor *tensors, size_t tensor_count)
{
    char *header = NULL;
    size_t size = 0, at = 0;
    FILE *text = open_memstream(&header, &size), *file = create(dir, "model.safetensors");
    for (size_t i = 0; i < tensor_count; i++) {
        const struct writer_tensor *tensor = &tensors[i];
        size_t bytes = elements(tensor) * (tensor->half ? 2 : 4);
        fprintf(text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "{", tensor->name,
                tensor->half ? "F16" : "F32");
        for (int d = 0; d < tensor->rank; d++)
            fprintf(text, "%s%" PRId64, d ? "," : "", tensor->shape[d]);
        fprintf(text, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    fputs("}", text);
    check(fclose(text) == 0, "header");
    uint64_t length = size;
    check(fwrite(&length, sizeof length, 1, file) == 1 && fwrite(header, 1, size, file) == size,
          "model.safetensors");
    for (size_t i = 0; i < tensor_count; i++)
        write_data(file, &tensors[i]);
    check(fclose(file) == 0, "model.safetensors");
    free(header);
}

void writer_model(const char *dir, const char *config, const char *const *items, size_t item_count,
                  const struct writer_tensor *tensors, size_t tensor_count)
{
    writer_file(dir, "config.json", config, strlen(config));
    writer_items(dir, items, item_count);
    writer_tensors(dir, tensors, tensor_count);
}
