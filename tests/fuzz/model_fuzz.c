/* Feeds any bytes to the safetensors reader, header and data. An input that begins with '{' gets the length
 * that makes its last '}' the header's end, so that inserting into the header does not end every try at the
 * length. What it accepts must hold together: tensors that cover the data exactly and finite values; and the
 * shape check of a model must stand every such file.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interest/mind/mind.h"
#include "model/tensors.h"

static void check_loaded(const struct ms_safetensors *st, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < st->count; i++) {
        const struct ms_safetensor *tensor = &st->tensors[i];
        assert(tensor->begin == at && tensor->end - at == tensor->count * ms_dtype_bytes(tensor->dtype));
        assert((uintptr_t)tensor->data % MS_TENSOR_ALIGN == 0);
        for (size_t k = 0; k < tensor->count; k++)
            assert(isfinite(tensor->data[k]));
        at = tensor->end;
    }
    assert(st->data_start + at == size);
}

/* Every kind, and of those that have maps every map, with and without a head. */
static void check_shapes(const struct ms_safetensors *st)
{
    for (size_t k = 0; ms_model_kinds[k]; k++) {
        struct ms_model_spec spec = {.config = {.dim = 2, .interests = 2, .max_behaviors = 3},
                                     .kind = ms_model_kinds[k],
                                     .kinds = ms_model_kinds};
        for (int variant = 0; variant < 8; variant++) {
            struct ms_error error;
            struct ms_routing routing;
            if (ms_model_kinds[k]->options_bytes)
                memcpy(spec.options, ms_model_kinds[k]->defaults, ms_model_kinds[k]->options_bytes);
            if (ms_model_kinds[k]->maps_items) {
                memcpy(&routing, spec.options, sizeof routing);
                routing.bilinear = (enum ms_bilinear)(variant / 2);
                memcpy(spec.options, &routing, sizeof routing);
            }
            spec.head_layers = variant % 2;
            spec.config.profile_fields = spec.config.profile_dim = 0;
            if (ms_tensors_check(&spec, st, "fuzz", &error) == MS_OK)
                assert(spec.config.item_dim >= 1 && spec.capsule_dim >= 1 &&
                       ms_tensors_find(st, "item_embedding"));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_safetensors st = {0};
    struct ms_error error;
    XXH64_state_t *hash = XXH64_createState();
    struct ms_file file = {.fd = -1};
    char path[64];
    size_t total = size;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    assert(hash && fd >= 0);
    if (size > 0 && data[0] == '{') {
        const uint8_t *end = memrchr(data, '}', size);
        uint64_t length = end ? (uint64_t)(end - data) + 1 : size;
        assert(write(fd, &length, sizeof length) == sizeof length);
        total += sizeof length;
    }
    assert(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    XXH64_reset(hash, 0);
    if (ms_file_open(&file, path, (size_t)1 << 30, &error) == MS_OK &&
        ms_safetensors_open(&st, &file, &error) == MS_OK) {
        check_shapes(&st);
        if (ms_safetensors_load(&st, &file, hash, &error) == MS_OK)
            check_loaded(&st, total);
        ms_safetensors_free(&st);
    }
    close(fd);
    XXH64_freeState(hash);
    ms_file_close(&file);
    return 0;
}
