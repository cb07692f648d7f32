/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/model.h"
#include "text/sentencepiece.h"

#define LINE_CAP (16u << 20)
/* Answers are held back until all lines are read, so that a bad line leaves stdout empty; what is
 * more than this goes out as it comes. */
#define HELD_CAP (64u << 20)

struct job {
    const struct sentencepiece *s;
    bool                        is_json;
    int64_t                     n_line;
    struct buf                  line, text, out;
    uint8_t                     in[65536]; /* from standard input, taken up to at */
    size_t                      at, n_in;
    bool                        is_over; /* a terminal would go on after its end */
};

/* Adds the line's number to the sentence that is there. */
static enum err at_line(const struct job *j, enum err err)
{
    char text[ERR_TEXT_CAP];

    if (err == ERR_IO || err == ERR_INTERRUPTED) /* no line is to blame */
        return err;
    snprintf(text, sizeof text, "%s", err_text(err));
    if (err == ERR_FORMAT) /* what people type is no file */
        err = ERR_USAGE;
    return err_set(err, "line %lld: %s", (long long)j->n_line, text);
}

/* Text to ids. */

static void add_ids(struct job *j, const int *ids, int n)
{
    if (j->is_json)
        buf_add_byte(&j->out, '[');
    for (int i = 0; i < n; i++)
        buf_add_fmt(&j->out, "%s%d", i == 0 ? "" : j->is_json ? ", " : " ", ids[i]);
    buf_add_str(&j->out, j->is_json ? "]\n" : "\n");
}

static enum err encode_line(struct job *j)
{
    struct bytes text = buf_view(&j->line);
    int         *ids, n;

    if (j->is_json) {
        buf_clear(&j->text);
        enum err err = json_parse_string(&j->text, text, LINE_CAP, "text");
        if (err)
            return err;
        text = buf_view(&j->text);
    }
    enum err err = sentencepiece_encode_new(j->s, &ids, &n, text);
    if (err)
        return err;
    add_ids(j, ids, n);
    mem_free(ids);
    return OK;
}

/* Ids to text. */

static enum err not_an_id(struct bytes word)
{
    return err_set(ERR_USAGE, "'%.*s' is not an id", (int)(word.len < 40 ? word.len : 40),
                   (const char *)word.p);
}

static enum err read_raw_ids(int *ids, int *n, struct bytes in)
{
    *n = 0;
    for (size_t i = 0, from; i < in.len;) {
        for (; i < in.len && strchr(" \t\r", in.p[i]) && in.p[i]; i++)
            ;
        int64_t v = 0;
        for (from = i; i < in.len && in.p[i] >= '0' && in.p[i] <= '9' && v <= INT_MAX; i++)
            v = v * 10 + (in.p[i] - '0');
        if (from == in.len)
            break;
        if (i == from || v > INT_MAX || (i < in.len && (!strchr(" \t\r", in.p[i]) || !in.p[i])))
            return not_an_id(bytes_of(in.p + from, in.len - from));
        ids[(*n)++] = (int)v;
    }
    return OK;
}

static enum err read_json_ids(int *ids, int *n, struct bytes in)
{
    json_t  *v = NULL;
    enum err err = json_parse(&v, in, LINE_CAP, "ids");

    if (err)
        return err;
    *n = 0;
    if (!json_is_array(v))
        err = err_set(ERR_USAGE, "not a JSON array of ids");
    for (size_t i = 0; !err && i < json_array_size(v); i++) {
        const json_t *id = json_array_get(v, i);
        json_int_t    value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT_MAX)
            err = err_set(ERR_USAGE, "member %zu of the array is not an id", i);
        else
            ids[(*n)++] = (int)value;
    }
    json_decref(v);
    return err;
}

static enum err decode_line(struct job *j)
{
    struct bytes in = buf_view(&j->line);
    int          n;
    int         *ids = mem_alloc(mem_size(in.len / 2 + 1, sizeof *ids)); /* a digit and a blank */

    if (!ids)
        return ERR_NOMEM;
    enum err err = j->is_json ? read_json_ids(ids, &n, in) : read_raw_ids(ids, &n, in);
    buf_clear(&j->text);
    if (!err)
        err = sentencepiece_decode(j->s, &j->text, ids, n);
    mem_free(ids);
    if (err)
        return err;
    if (j->is_json)
        buf_add_json(&j->out, (const char *)j->text.p, j->text.len);
    else
        buf_add(&j->out, j->text.p, j->text.len);
    buf_add_byte(&j->out, '\n');
    return OK;
}

/* Lines. */

/* The next line without its end, perhaps with zero bytes in it; *is_end when there is none. */
static enum err read_line(struct job *j, bool *is_end)
{
    const uint8_t *end = NULL;

    buf_clear(&j->line);
    while (!end && !j->is_over) {
        const uint8_t *from = j->in + j->at;
        size_t         left = j->n_in - j->at;
        end = left ? memchr(from, '\n', left) : NULL;
        buf_add(&j->line, from, end ? (size_t)(end - from) : left);
        j->at = end ? (size_t)(end - j->in) + 1 : 0;
        if (end)
            break;
        enum err err = os_stream_read(0, j->in, sizeof j->in, &j->n_in, "standard input");
        if (err)
            return err;
        j->is_over = j->n_in == 0;
    }
    *is_end = !end && j->line.len == 0;
    j->n_line++;
    if (buf_err(&j->line) == ERR_LIMIT)
        return err_set(ERR_LIMIT, "longer than %u MiB", LINE_CAP >> 20);
    return buf_err(&j->line);
}

static enum err run_lines(struct job *j, enum err (*one)(struct job *j))
{
    bool is_end = false;

    for (;;) {
        enum err err = read_line(j, &is_end);
        if (!err)
            err = app_go_on();
        if (!err && is_end)
            return app_print(buf_view(&j->out));
        if (!err)
            err = one(j);
        if (!err)
            err = buf_err(&j->out);
        if (err)
            return at_line(j, err);
        if (j->out.len < HELD_CAP)
            continue;
        err = app_print(buf_view(&j->out));
        if (err)
            return err;
        buf_clear(&j->out);
    }
}

static enum err open_tokenizer(struct sentencepiece **out, const char *dir)
{
    struct model_files *files;
    struct os_map       map;

    enum err err = model_files_open(&files, dir);
    if (err)
        return err;
    if (!files->tokenizer_path[0])
        err = err_set(ERR_MISSING, "%s: a codec has no tokenizer", dir);
    else
        err = os_map_open(&map, files->tokenizer_path);
    if (!err) {
        err = sentencepiece_open(out, map.view, files->tokenizer_path);
        os_map_close(&map);
    }
    model_files_close(&files);
    return err;
}

static enum err run(struct app *app)
{
    char                  dir[MODEL_PATH_CAP];
    struct sentencepiece *s = NULL;
    struct job            j = { .is_json = app_flag(app, OPT_JSON) };

    enum err err = app_model_dir(app, dir, sizeof dir);
    if (!err)
        err = open_tokenizer(&s, dir);
    if (err)
        return err;
    j.s = s;
    buf_init(&j.line, LINE_CAP);
    buf_init(&j.text, (size_t)LINE_CAP * 8);
    buf_init(&j.out, HELD_CAP + (size_t)LINE_CAP * 16); /* and one line's answer */
    err = run_lines(&j, app_flag(app, OPT_DECODE) ? decode_line : encode_line);
    buf_fini(&j.line);
    buf_fini(&j.text);
    buf_fini(&j.out);
    sentencepiece_close(&s);
    return err;
}

static const enum option options[] = { OPT_MODEL, OPT_DECODE, OPT_JSON, OPTION_COUNT };

const struct command cmd_tokenize = {
    .name = "tokenize",
    .summary = "convert text to token ids and back",
    .operands = "",
    .text = "Reads lines on standard input and writes one line for each: the ids of its text, "
            "separated by blanks, or with --decode the text of its ids. With --json a line is a "
            "JSON string and the answer a JSON array, or the other way round; that is the way for "
            "text with line breaks. No bos or eos is added. Output appears once all lines have "
            "been read, so a bad line leaves standard output empty, unless more than 64 MiB had "
            "to be written before it.",
    .example = "echo \"what is two plus two\" | parley tokenize --model tiny-voice",
    .run = run,
    .options = options,
};
