/* Lists of decays become columns. */
#include "train/columns.h"

#include <string.h>

#include "interest/decay.h"

#define BLANKS " \t\n"

static enum ms_status add_column(struct ms_column_list *list, enum ms_column_kind kind, const char *name,
                                 const char *decay, const char *half_life, struct ms_error *error)
{
    if (list->count == MS_COLUMNS_MAX)
        return ms_fail(error, MS_USAGE, "more than %d columns", MS_COLUMNS_MAX);
    struct ms_column *column = &list->columns[list->count];
    char *made = list->names[list->count];
    *column = (struct ms_column){.kind = kind};
    if (kind == MS_COLUMN_INCREMENTAL) {
        enum ms_status status = ms_decay_list(decay[0] ? "--decays" : "--half-lives",
                                              decay[0] ? decay : half_life, !decay[0], &column->decay, error);
        if (status != MS_OK)
            return status;
    }
    if (snprintf(made, MS_COLUMN_NAME_SIZE, "%s%s%s", name, decay, half_life) >= MS_COLUMN_NAME_SIZE)
        return ms_fail(error, MS_USAGE, "'%s%s' is too long for the name of a column", decay, half_life);
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->names[i], made) == 0)
            return ms_fail(error, MS_USAGE, "'%s%s' is given twice", decay, half_life);
    list->count++;
    return MS_OK;
}

/* A column for each word of |text|. */
static enum ms_status add_words(struct ms_column_list *list, const char *text, bool by_time,
                                struct ms_error *error)
{
    char copy[MS_COLUMNS_TEXT_MAX + 1], *save = NULL;
    if (strlen(text) >= sizeof copy)
        return ms_fail(error, MS_USAGE, "a list of decays longer than %d bytes", MS_COLUMNS_TEXT_MAX);
    strcpy(copy, text);
    for (char *word = strtok_r(copy, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save)) {
        enum ms_status status = add_column(list, MS_COLUMN_INCREMENTAL, "incremental@", by_time ? "" : word,
                                           by_time ? word : "", error);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

enum ms_status ms_columns_make(struct ms_column_list *list, const char *decays, const char *half_lives,
                               struct ms_error *error)
{
    list->count = 0;
    list->asked = decays || half_lives;
    enum ms_status status = add_column(list, MS_COLUMN_FULL, "full", "", "", error);
    if (status == MS_OK && (decays || !list->asked))
        status = add_words(list, decays ? decays : MS_DECAY_OF_MODEL " 0.9", false, error);
    if (status == MS_OK && half_lives)
        status = add_words(list, half_lives, true, error);
    if (status == MS_OK)
        status = add_column(list, MS_COLUMN_STALE, "stale", "", "", error);
    return status ? status : add_column(list, MS_COLUMN_LAST, "last", "", "", error);
}

enum ms_status ms_columns_check(const char *option, const char *text, bool by_time, struct ms_error *error)
{
    char copy[MS_COLUMNS_TEXT_MAX + 1], *save = NULL;
    struct ms_decay decay;
    if (strlen(text) >= sizeof copy)
        return ms_fail(error, MS_USAGE, "%s: a list longer than %d bytes", option, MS_COLUMNS_TEXT_MAX);
    strcpy(copy, text);
    for (char *word = strtok_r(copy, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save)) {
        if (ms_decay_list(option, word, by_time, &decay, error) != MS_OK)
            return MS_USAGE;
    }
    return MS_OK;
}

/* A column of the model's own decays is for models that have some. */
static enum ms_status column_supported(const struct ms_model *model, const struct ms_column *column,
                                       struct ms_error *why)
{
    enum ms_status status = ms_column_supported(model, column->kind, why);
    bool own = column->kind == MS_COLUMN_INCREMENTAL && column->decay.count == 0;
    if (status == MS_OK && own && !ms_fold_has_decays(model))
        return ms_fail(why, MS_CONFIG, "model %s has no decays of its own", ms_model_config(model)->id);
    return status;
}

enum ms_status ms_columns_keep_supported(struct ms_column_list *list, const struct ms_model *model,
                                         FILE *notes, struct ms_error *error)
{
    int kept = 0;
    for (int i = 0; i < list->count; i++) {
        enum ms_column_kind kind = list->columns[i].kind;
        struct ms_error why;
        enum ms_status status = column_supported(model, &list->columns[i], &why);
        if (status != MS_OK && (kind == MS_COLUMN_FULL || (kind == MS_COLUMN_INCREMENTAL && list->asked))) {
            *error = why;
            return status;
        }
        if (status != MS_OK) {
            if (!(kind == MS_COLUMN_INCREMENTAL &&
                  list->columns[i].decay.count == 0)) /* by default; few models have them */
                fprintf(notes, "no column %s: %s\n", list->names[i], why.text);
            continue;
        }
        list->columns[kept] = list->columns[i];
        memmove(list->names[kept++], list->names[i], MS_COLUMN_NAME_SIZE);
    }
    list->count = kept;
    return MS_OK;
}
