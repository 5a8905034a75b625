/* Commands as text: help, man page, bash completion, JSON. */
#ifndef MS_APP_COMMAND_TEXT_H
#define MS_APP_COMMAND_TEXT_H

#include <stdio.h>

#include "app/command.h"

#define MS_COMMAND_TITLE_BYTES 128 /* "mindstream inspect user", and names in a row */

/* Each writes to |out|, whose error flag tells of failures. |title| is the command in full. */
void ms_command_help(FILE *out, const struct ms_command *command, const char *title);
void ms_command_man(FILE *out, const struct ms_command *root);

/* "check or info": the group's commands that can be run. */
void ms_command_names(const struct ms_command *group, char *text, size_t size);

/* "mindstream extract --model DIR [OPTION]... < histories.jsonl", without a newline. */
void ms_command_usage(const struct ms_command *command, const char *title, char *text, size_t size);

/* A bash script. |keys| are the settings that --set completes, closed by NULL. */
void ms_command_completion(FILE *out, const struct ms_command *root, const char *const *keys);

/* One JSON object: {"commands": [{"command", "summary", "usage", "arguments": [{"name", "letter", "kind", "min", "max",
 * "values", "default", "placeholder", "positional", "required", "repeatable", "hidden", "help"}...]}...]}: every
 * command that runs, in full. min and max are there for numbers, values for choices. */
enum ms_status ms_command_json(FILE *out, const struct ms_command *root,
                               struct ms_error *error) MS_MUST_CHECK;

#endif
