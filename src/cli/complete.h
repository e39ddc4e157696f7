/* Completion scripts: what the shells have in common. */
#ifndef WITAN_CLI_COMPLETE_H
#define WITAN_CLI_COMPLETE_H

#include "cli.h"

bool complete_takes_value(const witan_param *p);
void complete_names(const witan_param *p, char text[160]);   /* "--predict -n" */
void complete_bash(FILE *f);
void complete_zsh(FILE *f);
void complete_fish(FILE *f);

#endif
