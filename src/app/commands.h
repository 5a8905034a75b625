/* The subcommands. Each gets argv with its own name in argv[0] and returns the process's exit code (0 done, 1
 * failed at run time, 2 bad usage or configuration). */
#ifndef MS_APP_COMMANDS_H
#define MS_APP_COMMANDS_H

int ms_cmd_run(int argc, char **argv);
int ms_cmd_inspect(int argc, char **argv);
int ms_cmd_model(int argc, char **argv);
int ms_cmd_extract(int argc, char **argv);
int ms_cmd_evaluate(int argc, char **argv);
int ms_cmd_generate(int argc, char **argv);
int ms_cmd_bench(int argc, char **argv);
int ms_cmd_demo(int argc, char **argv);
int ms_cmd_config(int argc, char **argv);

#endif
