/* PyTorch's schema strings: `ns::name.overload(Type(a!) name=default, *, ...) -> (Type, ...)`.
 * Grammar: torch/csrc/jit/frontend/function_schema_parser.cpp; `Tensor!` is torch.library's short form of `Tensor(x!)`. */
#include "ir/operation.h"

struct reader {
    struct arena *arena;
    struct diagnostics *diagnostics;
    const struct source *source;
    struct text rest;
};

static struct position here(const struct reader *reader) {
    return (struct position){reader->source, (size_t)(reader->rest.data - reader->source->contents.data), 1};
}

static void skip_spaces(struct reader *reader) {
    while (reader->rest.length && strchr(" \t", reader->rest.data[0])) reader->rest = text_skip(reader->rest, 1);
}

static bool accept(struct reader *reader, const char *literal) {
    skip_spaces(reader);
    if (!text_starts_with(reader->rest, literal)) return false;
    reader->rest = text_skip(reader->rest, strlen(literal));
    return true;
}

static regraft_status expect(struct reader *reader, const char *literal) {
    if (accept(reader, literal)) return REGRAFT_OK;
    return fail(reader->diagnostics, REGRAFT_REJECTED, here(reader),
                "expected '%s' in the schema; a schema reads `ns::name(Tensor a, Tensor(x!) b, int c=0) -> Tensor`",
                literal);
}

static bool is_word(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_';
}

static regraft_status word(struct reader *reader, const char *what, struct text *result) {
    skip_spaces(reader);
    size_t length = 0;
    while (length < reader->rest.length && is_word(reader->rest.data[length])) length++;
    if (!length) return fail(reader->diagnostics, REGRAFT_REJECTED, here(reader), "expected %s in the schema", what);
    *result = (struct text){reader->rest.data, length};
    reader->rest = text_skip(reader->rest, length);
    return REGRAFT_OK;
}

static enum schema_type type_named(struct text name) {
    static const struct {
        const char *name;
        enum schema_type type;
    } names[] = {{"Tensor", schema_tensor},
                 {"int", schema_integer},
                 {"SymInt", schema_integer},
                 {"float", schema_float},
                 {"bool", schema_bool},
                 {"str", schema_string},
                 {"Scalar", schema_scalar},
                 {"ScalarType", schema_dtype},
                 {"Layout", schema_layout},
                 {"Device", schema_device},
                 {"MemoryFormat", schema_memory_format}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(name, names[i].name)) return names[i].type;
    return schema_other;
}

/* `(a!)`, `(a)`, `(a -> *)` or `!`, which the registry prints as `($0! -> )` */
static regraft_status alias_set(struct reader *reader, struct schema_argument *argument) {
    if (accept(reader, "!")) {
        argument->written = true;
        argument->alias = '!';
    } else if (accept(reader, "(")) {
        struct text name;
        bool numbered = accept(reader, "$");
        TRY(word(reader, "the letter of an alias set", &name));
        argument->alias = numbered ? '!' : name.data[0];
        argument->written = accept(reader, "!");
        if (accept(reader, "->")) accept(reader, "*");
        TRY(expect(reader, ")"));
    }
    return REGRAFT_OK;
}

static regraft_status type(struct reader *reader, struct schema_argument *argument) {
    struct text name, size;
    TRY(word(reader, "a type", &name));
    argument->type = type_named(name);
    TRY(alias_set(reader, argument));
    while (true) {
        if (accept(reader, "?")) {
            argument->optional = true;
        } else if (accept(reader, "[")) {
            argument->optional_item = argument->optional;
            argument->optional = false;
            argument->list = true;
            if (!accept(reader, "]")) {
                TRY(word(reader, "the size of a list", &size));
                TRY(expect(reader, "]"));
            }
        } else {
            return REGRAFT_OK;
        }
    }
}

/* A default ends at the comma or parenthesis outside of its own brackets and quotes. */
static struct text default_value(struct reader *reader) {
    size_t length = 0, depth = 0;
    char quote = 0;
    skip_spaces(reader);
    for (; length < reader->rest.length; length++) {
        char byte = reader->rest.data[length];
        if (quote) {
            if (byte == quote) quote = 0;
        } else if (byte == '\'' || byte == '"') {
            quote = byte;
        } else if (byte == '[' || byte == '(') {
            depth++;
        } else if (depth && (byte == ']' || byte == ')')) {
            depth--;
        } else if (!depth && (byte == ',' || byte == ')')) {
            break;
        }
    }
    struct text result = {reader->rest.data, length};
    reader->rest = text_skip(reader->rest, length);
    return result;
}

static regraft_status arguments(struct reader *reader, struct schema *schema) {
    VECTOR(struct schema_argument) items = {0};
    bool keyword_only = false;
    TRY(expect(reader, "("));
    while (!accept(reader, ")")) {
        if (items.count || keyword_only) TRY(expect(reader, ","));
        if (!keyword_only && accept(reader, "*")) {
            keyword_only = true;
            continue;
        }
        struct schema_argument argument = {.keyword_only = keyword_only};
        TRY(type(reader, &argument));
        TRY(word(reader, "the name of an argument", &argument.name));
        if (accept(reader, "=")) {
            argument.has_default = true;
            argument.default_text = default_value(reader);
        }
        vector_push(reader->arena, &items, argument);
    }
    schema->arguments = items.items;
    schema->argument_count = items.count;
    return REGRAFT_OK;
}

static regraft_status returns(struct reader *reader, struct schema *schema) {
    VECTOR(struct schema_argument) items = {0};
    TRY(expect(reader, "->"));
    bool several = accept(reader, "(");
    while (!several || !accept(reader, ")")) {
        struct schema_argument item = {0};
        if (items.count) TRY(expect(reader, ","));
        TRY(type(reader, &item));
        skip_spaces(reader);
        if (several && reader->rest.length && is_word(reader->rest.data[0])) TRY(word(reader, "a name", &item.name));
        vector_push(reader->arena, &items, item);
        if (!several) break;
    }
    schema->returns = items.items;
    schema->return_count = items.count;
    skip_spaces(reader);
    if (!reader->rest.length) return REGRAFT_OK;
    return fail(reader->diagnostics, REGRAFT_REJECTED, here(reader), "unexpected text after the schema");
}

regraft_status schema_parse(struct arena *arena, struct diagnostics *diagnostics, const struct source *source,
                            struct text text, struct schema *schema) {
    struct reader reader = {arena, diagnostics, source, text};
    struct text space, name;
    *schema = (struct schema){.text = text};
    TRY(word(&reader, "a namespace", &space));
    TRY(expect(&reader, "::"));
    TRY(word(&reader, "the name of an operation", &name));
    schema->name = (struct text){space.data, (size_t)(name.data + name.length - space.data)};
    if (accept(&reader, ".")) TRY(word(&reader, "the name of an overload", &schema->overload));
    TRY(arguments(&reader, schema));
    return returns(&reader, schema);
}

size_t schema_find_argument(const struct schema *schema, struct text name) {
    for (size_t i = 0; i < schema->argument_count; i++)
        if (text_equal(schema->arguments[i].name, name)) return i;
    return SIZE_MAX;
}
