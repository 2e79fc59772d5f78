/* Reads pipelines. What parameters a pass has is in its row of pass/passes.def, and checked here. */
#include "pass/pipeline.h"

struct parser {
    struct context *context;
    const struct source *source;
    size_t at;
};

static struct position position_of(const struct parser *parser, struct text text) {
    return source_position(parser->source, text);
}

static bool ends(const struct parser *parser) { return parser->at == parser->source->contents.length; }

/* The next byte; 0 at the end. */
static char peek(const struct parser *parser) {
    return ends(parser) ? '\0' : parser->source->contents.data[parser->at];
}

static bool is_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\n'; }

static void skip_spaces(struct parser *parser) {
    while (is_space(peek(parser))) parser->at++;
}

static bool take(struct parser *parser, char byte) {
    bool found = !ends(parser) && peek(parser) == byte;
    parser->at += found;
    return found;
}

/* Up to a space or one of `stops`. */
static struct text take_word(struct parser *parser, const char *stops) {
    struct text word = {parser->source->contents.data + parser->at, 0};
    while (!ends(parser) && !is_space(peek(parser)) && !strchr(stops, peek(parser))) {
        parser->at++;
        word.length++;
    }
    return word;
}

static struct position here(const struct parser *parser) {
    return (struct position){parser->source, parser->at, !ends(parser)};
}

/* ---- passes ---- */

static const char *candidate(const void *table, size_t index) {
    (void)table;
    const struct pass *pass = pass_at(index);
    return pass ? pass->name : NULL;
}

static regraft_status find_pass(struct parser *parser, struct text name, const struct pass **result) {
    struct diagnostics *diagnostics = &parser->context->diagnostics;
    if (!name.length)
        return fail(diagnostics, REGRAFT_USAGE, here(parser),
                    "expected the name of a pass; `regraft passes` lists them");
    for (size_t i = 0; (*result = pass_at(i)); i++)
        if (text_is(name, (*result)->name)) return REGRAFT_OK;
    regraft_status status = fail(diagnostics, REGRAFT_USAGE, position_of(parser, name),
                                 "there is no pass '%.*s'; `regraft passes` lists them", TEXT_ARGS(name));
    const char *nearest = text_nearest(name, candidate, NULL);
    if (nearest) fail_note(diagnostics, position_of(parser, name), "did you mean '%s'?", nearest);
    return status;
}

/* ---- parameters ---- */

/* The form of the parameter `name` in the pass's row: `OP,...` of `split-ops=OP,... boundary=alias|owned`. */
static bool find_form(const struct pass *pass, struct text name, struct text *form) {
    struct text rest = text_of(pass->parameters);
    while (rest.length) {
        const char *space = memchr(rest.data, ' ', rest.length);
        struct text one = {rest.data, space ? (size_t)(space - rest.data) : rest.length};
        const char *equals = memchr(one.data, '=', one.length);
        size_t length = (size_t)(equals - one.data);
        *form = text_skip(one, length + 1);
        if (text_equal((struct text){one.data, length}, name)) return true;
        rest = text_skip(rest, one.length + 1);
    }
    return false;
}

static regraft_status check_name(struct parser *parser, const struct step *step, struct text name, struct text *form) {
    struct diagnostics *diagnostics = &parser->context->diagnostics;
    struct position position = position_of(parser, name);
    const struct pass *pass = step->pass;
    if (!*pass->parameters)
        return fail(diagnostics, REGRAFT_USAGE, position, "the pass %s takes no parameters", pass->name);
    if (!find_form(pass, name, form))
        return fail(diagnostics, REGRAFT_USAGE, position, "the pass %s has no parameter '%.*s'; it takes %s{%s}",
                    pass->name, TEXT_ARGS(name), pass->name, pass->parameters);
    for (size_t i = 0; i < step->parameters.list.count; i++)
        if (text_equal(step->parameters.list.items[i].name, name))
            return fail(diagnostics, REGRAFT_USAGE, position, "the parameter '%.*s' is given twice", TEXT_ARGS(name));
    return REGRAFT_OK;
}

/* Whether `a|b|c` names the value; a form without `|` takes any. */
static bool is_choice(struct text form, struct text value) {
    if (!memchr(form.data, '|', form.length)) return true;
    while (form.length) {
        const char *bar = memchr(form.data, '|', form.length);
        struct text one = {form.data, bar ? (size_t)(bar - form.data) : form.length};
        if (text_equal(one, value)) return true;
        form = text_skip(form, one.length + 1);
    }
    return false;
}

static bool takes_many(struct text form) {
    return form.length > 4 && text_is(text_skip(form, form.length - 4), ",...");
}

static regraft_status add_value(struct parser *parser, struct parameter *parameter, struct text form,
                                struct text value) {
    struct diagnostics *diagnostics = &parser->context->diagnostics;
    struct position position = position_of(parser, value);
    if (!value.length)
        return fail(diagnostics, REGRAFT_USAGE, here(parser), "expected a value: %.*s=%.*s", TEXT_ARGS(parameter->name),
                    TEXT_ARGS(form));
    if (!is_choice(form, value))
        return fail(diagnostics, REGRAFT_USAGE, position, "the parameter '%.*s' takes %.*s, found '%.*s'",
                    TEXT_ARGS(parameter->name), TEXT_ARGS(form), TEXT_ARGS(value));
    if (parameter->values.count && !takes_many(form))
        return fail(diagnostics, REGRAFT_USAGE, position, "the parameter '%.*s' takes one value: %.*s",
                    TEXT_ARGS(parameter->name), TEXT_ARGS(form));
    vector_push(parser->context->arena, &parameter->values, (struct parameter_value){value, position});
    return REGRAFT_OK;
}

/* One word between the braces: NAME=VALUE, or one more value of the parameter before. */
static regraft_status parse_word(struct parser *parser, struct step *step, struct text *form, bool comma) {
    struct text word = take_word(parser, ",{}");
    const char *equals = memchr(word.data, '=', word.length);
    parameter_list *list = &step->parameters.list;
    if (!equals && comma && word.length && list->count)
        return add_value(parser, &list->items[list->count - 1], *form, word);
    if (!equals || equals == word.data)
        return fail(&parser->context->diagnostics, REGRAFT_USAGE,
                    word.length ? position_of(parser, word) : here(parser), "expected a parameter, NAME=VALUE%s%s%s%s",
                    *step->pass->parameters ? ": " : "", *step->pass->parameters ? step->pass->name : "",
                    *step->pass->parameters ? " takes " : "", step->pass->parameters);
    struct parameter parameter = {.name = {word.data, (size_t)(equals - word.data)}};
    TRY(check_name(parser, step, parameter.name, form));
    TRY(add_value(parser, &parameter, *form, text_skip(word, parameter.name.length + 1)));
    vector_push(parser->context->arena, list, parameter);
    return REGRAFT_OK;
}

static regraft_status parse_parameters(struct parser *parser, struct step *step) {
    struct position brace = here(parser);
    struct text form = {"", 0};
    bool comma = false;
    if (!take(parser, '{')) return REGRAFT_OK;
    for (skip_spaces(parser); comma || !take(parser, '}'); skip_spaces(parser)) {
        if (ends(parser))
            return fail(&parser->context->diagnostics, REGRAFT_USAGE, brace, "this brace is never closed");
        TRY(parse_word(parser, step, &form, comma));
        skip_spaces(parser);
        comma = take(parser, ',');
    }
    return REGRAFT_OK;
}

static regraft_status parse_step(struct parser *parser, step_list *steps) {
    struct step step = {0};
    skip_spaces(parser);
    struct text name = take_word(parser, ",{}");
    bool several = text_is(name, "default");
    if (!several) TRY(find_pass(parser, name, &step.pass));
    step.parameters.position = position_of(parser, name);
    skip_spaces(parser);
    if (!several) TRY(parse_parameters(parser, &step));
    skip_spaces(parser);
    if (!ends(parser) && peek(parser) != ',')
        return fail(&parser->context->diagnostics, REGRAFT_USAGE, here(parser),
                    "expected a comma and the next pass, or the end of the pipeline");
    if (several) return pipeline_parse(parser->context, default_pipeline, steps);
    vector_push(parser->context->arena, steps, step);
    return REGRAFT_OK;
}

regraft_status pipeline_parse(struct context *context, const char *pipeline, step_list *steps) {
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<pipeline>", text_copy(context->arena, text_of(pipeline))};
    struct parser parser = {context, source, 0};
    skip_spaces(&parser);
    if (ends(&parser)) return REGRAFT_OK;
    do TRY(parse_step(&parser, steps));
    while (take(&parser, ','));
    return REGRAFT_OK;
}

const char *pipeline_expand(struct arena *arena, const char *pipeline) {
    struct builder out;
    struct text part;
    builder_init(&out, arena);
    for (size_t i = 0; (part = pipeline_part(text_of(pipeline), i)).length; i++) {
        struct text name = part;
        while (name.length && is_space(*name.data)) name = text_skip(name, 1);
        while (name.length && is_space(name.data[name.length - 1])) name.length--;
        if (i) builder_byte(&out, ',');
        builder_add(&out, text_is(name, "default") ? text_of(default_pipeline) : part);
    }
    return out.length ? out.data : "";
}

struct text pipeline_part(struct text pipeline, size_t index) {
    struct text part = {pipeline.data, 0};
    bool braces = false;
    for (size_t i = 0; i < pipeline.length; i++) {
        char byte = pipeline.data[i];
        braces = byte == '{' || (braces && byte != '}');
        if (byte != ',' || braces) {
            part.length++;
            continue;
        }
        if (index-- == 0) return part;
        part = (struct text){pipeline.data + i + 1, 0};
    }
    return index ? (struct text){"", 0} : part;
}

/* ---- what a pass asks for ---- */

const struct parameter *parameter_find(const struct graph *graph, const char *name) {
    const struct parameters *parameters = graph->parameters;
    for (size_t i = 0; parameters && i < parameters->list.count; i++)
        if (text_is(parameters->list.items[i].name, name)) return &parameters->list.items[i];
    return NULL;
}

struct text parameter_text(const struct graph *graph, const char *name, const char *fallback) {
    const struct parameter *parameter = parameter_find(graph, name);
    return parameter ? parameter->values.items[0].text : text_of(fallback);
}

struct position parameter_position(const struct graph *graph) {
    return graph->parameters ? graph->parameters->position : (struct position){0};
}
