/* All commands of the binary; each is described in cmd_NAME.c. */
#ifndef MS_APP_COMMANDS_H
#define MS_APP_COMMANDS_H

#include "app/command.h"

extern const struct ms_command ms_command_run, ms_command_replay, ms_command_inspect, ms_command_model,
    ms_command_topics, ms_command_extract, ms_command_train, ms_command_evaluate, ms_command_generate,
    ms_command_bench, ms_command_demo, ms_command_config;

#endif
