/* Writes small model directories for tests. */
#include "model/model_writer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/write.h"

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

void writer_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    FILE *file = fopen(path, "wb");
    check(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, path);
}

static struct ms_bytes item_line(void *context, uint64_t number)
{
    const char *const *items = context;
    return (struct ms_bytes){items[number], strlen(items[number])};
}

void writer_items(const char *dir, const char *const *items, size_t item_count)
{
    char path[4096];
    struct ms_error error;
    const struct ms_write_lines lines = {item_count, item_line, (void *)(uintptr_t)items};
    snprintf(path, sizeof path, "%s/items.txt", dir);
    check(ms_model_write_lines(path, &lines, &error) == MS_OK, error.text);
}

void writer_tensors(const char *dir, const struct writer_tensor *tensors, size_t tensor_count)
{
    char path[4096];
    struct ms_error error;
    struct ms_write_tensor *list = calloc(tensor_count + 1, sizeof *list);
    check(list != NULL, "no memory");
    for (size_t i = 0; i < tensor_count; i++) {
        list[i] = (struct ms_write_tensor){.name = tensors[i].name,
                                           .dtype = tensors[i].half ? MS_F16 : MS_F32,
                                           .rank = tensors[i].rank,
                                           .data = tensors[i].data};
        memcpy(list[i].shape, tensors[i].shape, sizeof list[i].shape);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    check(ms_model_write_tensors(path, list, tensor_count, &error) == MS_OK, error.text);
    free(list);
}

void writer_model(const char *dir, const char *config, const char *const *items, size_t item_count,
                  const struct writer_tensor *tensors, size_t tensor_count)
{
    writer_file(dir, "config.json", config, strlen(config));
    writer_items(dir, items, item_count);
    writer_tensors(dir, tensors, tensor_count);
}
