// SPDX-License-Identifier: Apache-2.0

#include "text/columns.hpp"

#include <langinfo.h>
#include <wchar.h>

#include <algorithm>
#include <clocale>
#include <cstring>

namespace promisqs_tool {

namespace {

struct character {
    std::size_t bytes;
    std::size_t columns;
    bool is_shown;  // false: the terminal has no such character
};

// The character at the beginning.
character first_of(std::string_view text) {
    if (static_cast<unsigned char>(text.front()) < 0x80) return {1, 1, true};
    std::size_t bytes = 1;
    while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0U) == 0x80) ++bytes;
    if (!has_utf8()) return {bytes, 1, false};
    std::mbstate_t state{};
    wchar_t wide = 0;
    if (std::mbrtowc(&wide, text.data(), bytes, &state) != bytes) return {bytes, 1, false};
    const int columns = ::wcwidth(wide);
    if (columns < 0) return {bytes, 1, false};
    return {bytes, static_cast<std::size_t>(columns), true};
}

struct piece {
    std::string text;
    std::size_t columns;
    bool is_whole;
};

piece piece_of(std::string_view text, std::size_t columns) {
    piece result{{}, 0, false};
    while (!text.empty()) {
        const character next = first_of(text);
        if (result.columns + next.columns > columns) return result;
        if (next.is_shown) {
            result.text += text.substr(0, next.bytes);
        } else {
            result.text += '?';
        }
        result.columns += next.columns;
        text.remove_prefix(next.bytes);
    }
    result.is_whole = true;
    return result;
}

// Where it is cut, its last column says so.
piece fitted(std::string_view text, std::size_t columns) {
    piece whole = piece_of(text, columns);
    if (whole.is_whole || columns == 0) return whole;
    piece part = piece_of(text, columns - 1);
    part.text += has_utf8() ? "…" : "~";
    ++part.columns;
    return part;
}

}  // namespace

void use_locale() { std::setlocale(LC_CTYPE, ""); }  // if there is no such locale, that of C stays: ASCII

bool has_utf8() { return std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0; }

std::string to_the_left(std::string_view text, std::size_t columns) {
    piece part = fitted(text, columns);
    return part.text.append(columns - part.columns, ' ');
}

std::string to_the_right(std::string_view text, std::size_t columns) {
    const piece part = fitted(text, columns);
    return std::string(columns - part.columns, ' ') + part.text;
}

std::string cut(std::string_view text, std::size_t columns) { return fitted(text, columns).text; }

std::size_t shown_columns(std::string_view text) { return piece_of(text, text.size()).columns; }

}  // namespace promisqs_tool
