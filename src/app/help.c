/* SPDX-License-Identifier: MIT */
#include "app/help.h"

#include <stdio.h>
#include <string.h>

#include "app/options.h"

enum { WIDTH = 80, HELP_COLUMN = 26 };

void help_overview(struct buf *out)
{
    buf_add_str(out, "Parley: talk with AI models on your own machine.\n\n"
                     "usage: parley VERB [OPTIONS] [OPERANDS]\n\n");
    for (int i = 0; commands[i]; i++)
        buf_add_fmt(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    buf_add_str(out, "\n  parley VERB --help   options and an example\n"
                     "  parley --version     the version, one line\n");
}

/* Breaks text at blanks so that lines fit a terminal, and where it says so; later lines begin with
 * indent blanks. */
static void add_wrapped(struct buf *out, const char *text, int column, int indent)
{
    while (*text) {
        int  len = (int)strcspn(text, " \n");
        bool ends_line = text[len] == '\n';

        buf_add(out, text, (size_t)len);
        column += len;
        text += len + (text[len] != 0);
        if (ends_line || column + 1 + (int)strcspn(text, " \n") > WIDTH) {
            buf_add_fmt(out, "\n%*s", *text ? indent : 0, "");
            column = indent;
        } else if (*text) {
            buf_add_byte(out, ' ');
            column++;
        }
    }
}

static void add_option(struct buf *out, enum option o)
{
    const struct option_row *row = &options_rows[o];
    size_t                   before = out->len;
    char                     text[256];

    buf_add_fmt(out, "  --%s%s%s", row->name, *row->arg ? " " : "", row->arg);
    int column = (int)(out->len - before);
    if (column + 2 > HELP_COLUMN) {
        buf_add_byte(out, '\n');
        column = 0;
    }
    buf_add_fmt(out, "%*s", HELP_COLUMN - column, "");
    snprintf(text, sizeof text, *row->dflt ? "%s [%s]" : "%s", row->help, row->dflt);
    add_wrapped(out, text, HELP_COLUMN, HELP_COLUMN);
    buf_add_byte(out, '\n');
}

void help_command(struct buf *out, const struct command *c)
{
    buf_add_fmt(out, "parley %s: %s\n\nusage: parley %s [OPTIONS]%s%s\n\n", c->name, c->summary,
                c->name, *c->operands ? " " : "", c->operands);
    add_wrapped(out, c->text, 0, 0);
    buf_add_fmt(out, "\n\nexample:\n  %s\n\noptions, with their defaults in brackets:\n",
                c->example);
    for (int o = 0; o < OPTION_COUNT; o++)
        if (options_is_of(c, (enum option)o))
            add_option(out, (enum option)o);
}

/* Text with roff's own signs escaped. */
static void add_roff(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '-')
            buf_add_str(out, "\\-");
        else if (*p == '\\')
            buf_add_str(out, "\\e");
        else if (*p == '\n')
            buf_add_str(out, "\n.br\n");
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            buf_add_fmt(out, "\\&%c", *p);
        else
            buf_add_byte(out, (uint8_t)*p);
    }
}

static void man_command(struct buf *out, const struct command *c)
{
    buf_add_str(out, ".SS parley ");
    add_roff(out, c->name);
    buf_add_str(out, " [OPTIONS] ");
    add_roff(out, c->operands);
    buf_add_str(out, "\n");
    add_roff(out, c->text);
    buf_add_str(out, "\n.PP\nOptions:");
    for (int o = 0, n = 0; o < OPTION_COUNT; o++) {
        if (!options_is_of(c, (enum option)o))
            continue;
        buf_add_str(out, n++ ? ", \\fB" : " \\fB");
        add_roff(out, "--");
        add_roff(out, options_rows[o].name);
        buf_add_str(out, "\\fR");
    }
    buf_add_str(out, ".\n.PP\n.nf\n");
    add_roff(out, c->example);
    buf_add_str(out, "\n.fi\n");
}

static void man_option(struct buf *out, enum option o)
{
    buf_add_str(out, ".TP\n\\fB");
    add_roff(out, "--");
    add_roff(out, options_rows[o].name);
    buf_add_str(out, "\\fR");
    if (*options_rows[o].arg) {
        buf_add_str(out, " \\fI");
        add_roff(out, options_rows[o].arg);
        buf_add_str(out, "\\fR");
    }
    buf_add_str(out, "\n");
    add_roff(out, options_rows[o].help);
    if (*options_rows[o].dflt) {
        buf_add_str(out, " (default ");
        add_roff(out, options_rows[o].dflt);
        buf_add_str(out, ")");
    }
    buf_add_str(out, "\n");
}

static const char man_end[] =
    ".SH ENVIRONMENT\n"
    "Every setting has a variable: \\fBPARLEY_\\fR and its name in capitals, with _ for \\-, as\n"
    "\\fBPARLEY_MAX_TALKS\\fR; of a list it holds one value. \\fBPARLEY_MODELS\\fR holds further\n"
    "folders with models, colons between them. \\fBNO_COLOR\\fR is honoured. A setting that is\n"
    "on or off is true (1) or false (0), here and in the file. Models named owner/name are\n"
    "looked for in \\fBHF_HUB_CACHE\\fR, else in hub of \\fBHF_HOME\\fR, else in\n"
    "~/.cache/huggingface/hub;\n"
    "\\fBXDG_CONFIG_HOME\\fR and \\fBXDG_CACHE_HOME\\fR stand for ~/.config and ~/.cache.\n"
    ".SH FILES\n"
    "\\fI~/.config/parley/config.json\\fR: settings by name. A flag wins over the\n"
    "environment, the environment over the file, the file over the default;\n"
    "\\fBparley config \\-\\-origin\\fR tells.\n"
    ".SH EXIT STATUS\n"
    "0 ok; 1 run-time failure; 2 usage; 3 not found; 4 key missing or wrong; 5 network; 6 broken\n"
    "file; 7 out of memory or capacity; 8 this machine cannot; 130 interrupted.\n";

void help_man_page(struct buf *out)
{
    buf_add_str(out,
                ".\\\" Made by `parley --man` from the tables of the program.\n"
                ".TH PARLEY 1 \"\" \"Parley " PARLEY_VERSION "\" \"User Commands\"\n"
                ".SH NAME\nparley \\- talk with AI models on your own machine\n"
                ".SH SYNOPSIS\n\\fBparley\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR] [\\fIOPERANDS\\fR]\n"
                ".br\n\\fBparley\\fR \\fB\\-\\-version\\fR | \\fB\\-\\-help\\fR | "
                "\\fB\\-\\-man\\fR\n"
                ".SH DESCRIPTION\n"
                "Full\\-duplex spoken conversation with a Moshi model, from the microphone, from\n"
                "files, or served to browsers and programs. Data goes to standard output,\n"
                "everything else to standard error.\n"
                "\\fB\\-\\-version\\fR prints one line, \\fB\\-\\-help\\fR the verbs and\n"
                "\\fB\\-\\-man\\fR this page; the options of each verb are below.\n.SH VERBS\n");
    for (int i = 0; commands[i]; i++)
        man_command(out, commands[i]);
    buf_add_str(out, ".SH OPTIONS\n");
    for (int o = 0; o < OPTION_COUNT; o++)
        man_option(out, (enum option)o);
    buf_add_str(out, man_end);
}
