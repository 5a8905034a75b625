/* Values to rows, rows to their mean. */
#include "user/profile.h"

#include <string.h>

/* The row of one value; NULL when it is of a type that no row can have. */
static const float *row_of(const struct ms_model *model, int field, struct ms_json_value value)
{
    char digits[MS_JSON_DIGITS_MAX];
    size_t bytes;
    const char *text = ms_json_id(value, digits, &bytes);
    return text ? ms_model_profile_row(model, field, text, bytes) : NULL;
}

/* The mean of the rows of a list, summed in double. False when no element has a row. */
static bool embed_list(const struct ms_model *model, int field, struct ms_json_value list, float *out)
{
    struct ms_json_value values[MS_PROFILE_VALUES];
    const float *rows[MS_PROFILE_VALUES];
    size_t given = ms_json_elements(list, values, MS_PROFILE_VALUES), count = 0;
    for (size_t i = 0; i < given && i < MS_PROFILE_VALUES; i++) {
        const float *row = row_of(model, field, values[i]);
        if (row)
            rows[count++] = row;
    }
    for (int c = 0; count && c < ms_model_config(model)->profile_width[field]; c++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)rows[i][c];
        out[c] = (float)(sum / (double)count);
    }
    return count > 0;
}

void ms_profile_embed(const struct ms_model *model, struct ms_json_value profile, float *out)
{
    const struct ms_model_config *config = ms_model_config(model);
    for (int field = 0; field < config->profile_fields; field++) {
        const char *name = config->profile_field[field];
        size_t width = (size_t)config->profile_width[field];
        struct ms_json_value value;
        const float *row = NULL;
        bool done = false;
        if (ms_json_member(profile, name, strlen(name), &value)) {
            if (ms_json_type(value) == MS_JSON_ARRAY)
                done = embed_list(model, field, value, out);
            else
                row = row_of(model, field, value);
        }
        if (!done)
            memcpy(out, row ? row : ms_model_profile_row(model, field, NULL, 0), width * sizeof *out);
        out += width;
    }
}

void ms_profile_embed_text(const struct ms_model *model, struct ms_json *json, const char *text, size_t bytes,
                           float *out)
{
    const struct ms_model_config *config = ms_model_config(model);
    struct ms_json_value root;
    if (bytes && !ms_json_read(json, text, bytes, &root) && ms_json_type(root) == MS_JSON_OBJECT) {
        ms_profile_embed(model, root, out);
        return;
    }
    for (int field = 0; field < config->profile_fields; field++) {
        memcpy(out, ms_model_profile_row(model, field, NULL, 0),
               (size_t)config->profile_width[field] * sizeof *out);
        out += config->profile_width[field];
    }
}
