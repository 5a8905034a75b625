/* The columns of an evaluation, with names: what is compared, from the lists of decays that a user gives. */
#ifndef MS_TRAIN_COLUMNS_H
#define MS_TRAIN_COLUMNS_H

#include <stdio.h>

#include "train/evaluate.h"

#define MS_COLUMNS_MAX      64
#define MS_COLUMN_NAME_SIZE 128  /* bytes of a column's name, NUL included */
#define MS_COLUMNS_TEXT_MAX 4095 /* bytes of a list of decays */

struct ms_column_list {
    struct ms_column columns[MS_COLUMNS_MAX];
    char names[MS_COLUMNS_MAX][MS_COLUMN_NAME_SIZE];
    int count;
    bool asked; /* the incremental columns were asked for by name */
};

/* Fills *list with full, incremental@D for each decay and half-life, stale, last. |decays| and |half_lives| are words
 * separated by blanks, each a list as in interest/decay.h; NULL: not given. Without either there is one column for the
 * model's own decays, incremental@model, and one for a decay of 0.9. MS_CONFIG or MS_USAGE with the word that is not legal, given twice, or one too many. */
enum ms_status ms_columns_make(struct ms_column_list *list, const char *decays, const char *half_lives,
                               struct ms_error *error) MS_MUST_CHECK;

/* Checks one such list for the option |option|: half-lives where |by_time| is set, else decays. MS_USAGE names the option
 * and the word. */
enum ms_status ms_columns_check(const char *option, const char *text, bool by_time,
                                struct ms_error *error) MS_MUST_CHECK;

/* Removes the columns that the model does not support and writes a line for each to |notes|. The column full and columns
 * that were asked for are errors instead, with the status of ms_column_supported. */
enum ms_status ms_columns_keep_supported(struct ms_column_list *list, const struct ms_model *model,
                                         FILE *notes, struct ms_error *error) MS_MUST_CHECK;

#endif
