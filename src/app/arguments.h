/* The arguments of a command as a table of rows: parsing, help, man page and bash completion come from it.
 *
 * A row says where its value goes: |offset| into the command's own struct of arguments, which begins zeroed.
 * What is not given gets |standard|, through the same checks as a value from the command line. */
#ifndef MS_APP_ARGUMENTS_H
#define MS_APP_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_ARGUMENTS_MAX 48 /* most rows of a command */

enum ms_argument_kind {                   /* type of the field */
                        MS_ARGUMENT_END,  /* closes the table */
                        MS_ARGUMENT_FLAG, /* bool: true when given */
                        MS_ARGUMENT_PICK, /* int: set to |pick|; of several rows with one field, the last given counts */
                        MS_ARGUMENT_STRING,    /* const char * */
                        MS_ARGUMENT_FILE,      /* const char *, not "" */
                        MS_ARGUMENT_DIRECTORY, /* const char *, not "" */
                        MS_ARGUMENT_INTEGER,   /* int64_t, min to max, both legal */
                        MS_ARGUMENT_REAL,      /* double, real_min to real_max, both legal */
                        MS_ARGUMENT_CHOICE,    /* int: which of |values| */
                        MS_ARGUMENT_LIST,      /* const char *, checked by |check| */
                        MS_ARGUMENT_KEY_VALUE, /* const char *, KEY=VALUE */
};

struct ms_argument {
    const char *name; /* "model" is --model; of a positional argument, what messages call it */
    char letter;      /* 'c' is -c; 0: none */
    bool positional;  /* taken by its place among the words that are no options */
    bool required;
    bool once;         /* giving it twice is an error; otherwise the last counts */
    bool repeatable;   /* values go into an array of |max| at |offset|, their number into |count_offset| */
    bool hidden;       /* known, but not in help, man page and completion */
    bool not_empty;    /* of a string: "" is refused */
    bool min_excluded; /* of a real: real_min itself is refused */
    enum ms_argument_kind kind;
    int pick;
    int64_t min, max;
    int64_t absent; /* of an integer without a default: the field when it is not given */
    double real_min, real_max;
    const char *values;        /* of a choice, '|' between them */
    const char *standard;      /* the default, as one would write it; NULL: the field stays as it is */
    const char *standard_text; /* what help says of a default that the command works out */
    const char *placeholder;   /* "FILE" */
    const char *group;         /* heading of its help from here on; NULL: as the row before */
    const char *help;
    size_t offset, count_offset;
    /* Of a list: MS_USAGE with |option| ("--decay") in the text when |value| is not legal. */
    enum ms_status (*check)(const char *option, const char *value, struct ms_error *error);
};

/* Parses |words| into *arguments. Options may come before, between and behind positional words; "--" ends
 * them. Options are --name VALUE, --name=VALUE, -c VALUE, -cVALUE; flags with one letter may be joined (-hx).
 * Names are not abbreviated. *help is set, and the rest left unread, when -h or --help comes. |title| is the
 * command in full ("mindstream model check") for hints. MS_USAGE names option, value and what is legal.
 * Strings of *arguments point into |words| or the table. */
enum ms_status ms_arguments_parse(const struct ms_argument *rows, const char *title, int count,
                                  char *const *words, void *arguments, bool *help,
                                  struct ms_error *error) MS_MUST_CHECK;

/* Whether a word follows the row's name as its value. */
bool ms_argument_has_value(const struct ms_argument *row);

/* The row of the option "--name", "--name=value" or "-c", or NULL. */
const struct ms_argument *ms_argument_find(const struct ms_argument *rows, const char *word);

/* What is legal: "a whole number from 1 to 64", "full or incremental", ... */
void ms_argument_legal(const struct ms_argument *row, char *text, size_t size);

/* The i-th value of a choice; false when there are fewer. */
bool ms_argument_value_at(const struct ms_argument *row, int i, const char **value, size_t *size);

#endif
