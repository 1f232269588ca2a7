// SPDX-License-Identifier: Apache-2.0
#pragma once

// A real terminal with a shell in it: tmux, with a server of the test's own.

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace promisqs_test {

/// What a command line prints.
inline std::string printed_by(const std::string& line) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(line.c_str(), "re"), &::pclose);
    if (!pipe) throw std::runtime_error("no shell");
    std::string all;
    std::array<char, 4096> some{};
    while (const std::size_t size = std::fread(some.data(), 1, some.size(), pipe.get())) all.append(some.data(), size);
    return all;
}

class terminal {
public:
    static bool is_possible() { return !printed_by("command -v tmux").empty(); }

    explicit terminal(unsigned columns = 80, unsigned rows = 24)
        : server_("promisqs-test-" + std::to_string(::getpid()) + "-" + std::to_string(next_++)),
          folder_("/tmp/" + server_ + "-XXXXXX") {
        if (::mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("no folder");
        tmux("new-session -d -x " + std::to_string(columns) + " -y " + std::to_string(rows) +
             " \"env -u TMUX ASAN_OPTIONS=detect_leaks=0 PS1='$ ' ENV= HISTFILE= LC_ALL=C.UTF-8 sh -i\"");
        type("echo \"rea\"dy");
        if (!shows("ready")) throw std::runtime_error("no shell in the terminal");
    }
    terminal(const terminal&) = delete;
    terminal& operator=(const terminal&) = delete;
    ~terminal() {
        tmux("kill-server");
        static_cast<void>(printed_by("rm -r " + folder_));
    }

    /// Types a line, and presses Enter.
    void type(const std::string& line) const {
        tmux("send-keys -l '" + line + "'");
        press("Enter");
    }
    /// By tmux's name for it, such as C-c.
    void press(const std::string& key) const { tmux("send-keys " + key); }
    void resize(unsigned columns, unsigned rows) const {
        tmux("resize-window -x " + std::to_string(columns) + " -y " + std::to_string(rows));
    }

    [[nodiscard]] std::vector<std::string> lines() const {
        std::istringstream all(tmux("capture-pane -p"));
        std::vector<std::string> result;
        for (std::string line; std::getline(all, line);) result.push_back(line);
        return result;
    }
    [[nodiscard]] std::string text() const { return tmux("capture-pane -p"); }
    /// Whether the shell's screen is shown, with its cursor.
    [[nodiscard]] bool is_given_back() const {
        return tmux("display-message -p '#{alternate_on} #{cursor_flag} #{wrap_flag}'") == "0 1 1\n";
    }

    /// Waits until something holds.
    template <class Condition>
    bool becomes(Condition holds) const {
        for (int looks = 0; looks < 60 * 20; ++looks) {
            if (holds()) return true;
            ::poll(nullptr, 0, 50);
        }
        return false;
    }
    [[nodiscard]] bool shows(const std::string& what) const {
        return becomes([&] { return text().find(what) != std::string::npos; });
    }

    [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }
    [[nodiscard]] std::string content(const std::string& file) const {
        std::ifstream in(path(file));
        return {std::istreambuf_iterator<char>(in), {}};
    }

private:
    std::string tmux(const std::string& command) const {
        return printed_by("env -u TMUX LC_ALL=C.UTF-8 tmux -u -L " + server_ + " -f /dev/null " + command);
    }

    static inline unsigned next_ = 0;
    std::string server_;
    std::string folder_;
};

}  // namespace promisqs_test
